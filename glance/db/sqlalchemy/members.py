"""Memberships: which tenants an image is shared with (spec database.md §4.2, v1-api.md §8).

The database does not keep live memberships unique.  Every change is made while the
image's row is locked, and readers merge what is double.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children
from glance.db.sqlalchemy.comparing import equals
from glance.db.sqlalchemy.engine import database, now
from glance.db.sqlalchemy.models import image_members, images

Member = dict[str, Any]
"""``id, image_id, member, can_share, status, created_at, updated_at, deleted``."""

_COLUMNS = [
    image_members.c[name]
    for name in ("id", "image_id", "member", "can_share", "status", "created_at", "updated_at", "deleted")
]


def image_member_find(
    context: RequestContext,
    image_id: str | None = None,
    member: str | None = None,
    status: str | None = None,
    include_deleted: bool = False,
) -> list[Member]:
    """Memberships that the caller may know of: of images it owns, and its own.

    :param status: only memberships in this state; None or ``all``: in any
    """

    def work(conn: Connection) -> list[Member]:
        dialect = conn.dialect.name
        statement = sa.select(*_COLUMNS).order_by(image_members.c.id)
        if image_id is not None:
            statement = statement.where(equals(dialect, image_members.c.image_id, image_id))
        if member is not None:
            statement = statement.where(equals(dialect, image_members.c.member, member))
        if status not in {None, "all"}:
            statement = statement.where(image_members.c.status == status)
        if not include_deleted:
            statement = statement.where(image_members.c.deleted == sa.false())
        if not context.is_admin:
            if context.owner is None:
                return []
            mine = sa.or_(
                equals(dialect, images.c.owner, context.owner), equals(dialect, image_members.c.member, context.owner)
            )
            statement = statement.join(images, images.c.id == image_members.c.image_id).where(mine)
        rows = [dict(row._mapping) for row in conn.execute(statement)]
        return rows if include_deleted else _merged(rows)

    return database().read(work)


def image_member_count(context: RequestContext, image_id: str) -> int:
    """Number of live members of an image, whoever asks: it serves the quota."""

    def work(conn: Connection) -> int:
        return len({row.member for row in _live(conn, image_id)})

    return database().read(work)


def image_member_create(context: RequestContext, values: dict[str, Any], max_count: int | None = None) -> Member:
    """Add a member; a membership that was removed is revived, as ``pending`` unless ``status`` says otherwise.

    :param values: ``image_id``, ``member``, and optionally ``can_share`` (new: false; revived: as it was), ``status``
    :param max_count: number of members the image may have
    :raises ImageMemberLimitExceeded: it has as many
    :raises Duplicate: it is a member already
    :raises ImageNotFound: the caller may not see the image
    :raises Forbidden: the caller may not share it
    """
    access.require_write(context)
    image_id, member = (
        checks.text("image_id", values.get("image_id"), 36),
        checks.text("member", values.get("member"), 255),
    )
    status = checks.choice("member status", values.get("status", "pending"), checks.MEMBER_STATUSES)
    can_share = values.get("can_share")

    def work(conn: Connection) -> Member:
        access.find_sharable(conn, context, image_id)
        members = {row.member for row in _live(conn, image_id)}
        if member in members:
            raise exception.Duplicate(f"{member} is a member of image {image_id} already.")
        if max_count is not None and len(members) >= max_count:
            raise exception.ImageMemberLimitExceeded(attempted=len(members) + 1, maximum=max_count)
        return _add(conn, image_id, member, can_share, status, now(conn))

    return database().write(work)


def image_member_save(context: RequestContext, image_id: str, member: str, can_share: bool | None = None) -> Member:
    """Make ``member`` a member, or change its membership: v1's PUT in one transaction.

    :param can_share: None keeps it (new: false)
    :raises ImageNotFound, Forbidden: as ``image_member_create``
    """
    access.require_write(context)
    checks.text("member", member, 255)

    def work(conn: Connection) -> Member:
        access.find_sharable(conn, context, image_id)
        return _save(conn, image_id, member, can_share, now(conn))

    return database().write(work)


def image_member_replace(context: RequestContext, image_id: str, members: list[dict[str, Any]]) -> None:
    """Make ``members`` the image's only ones, in one transaction.

    :param members: ``{"member": …, "can_share": …}``; can_share absent or None keeps it (new: false)
    :raises ImageNotFound, Forbidden: as ``image_member_create``
    """
    access.require_write(context)
    wanted = {checks.text("member", entry.get("member"), 255): entry.get("can_share") for entry in members}

    def work(conn: Connection) -> None:
        access.find_sharable(conn, context, image_id)
        moment = now(conn)
        gone = {row.member for row in _live(conn, image_id)} - wanted.keys()
        if gone:
            children.end_members(conn, image_id, moment, gone)
        for member, can_share in wanted.items():
            _save(conn, image_id, member, can_share, moment)

    database().write(work)


def image_member_update(context: RequestContext, memb_id: int, values: dict[str, Any]) -> Member:
    """Change ``can_share`` or ``status`` of a live membership.

    Its member may change the status; whoever may share the image may change both.

    :raises NotFound: no such membership, or not the caller's to know
    :raises Forbidden: not the caller's to change
    """
    access.require_write(context)
    columns: dict[str, Any] = {}
    if values.get("can_share") is not None:
        columns["can_share"] = bool(values["can_share"])
    if "status" in values:
        columns["status"] = checks.choice("member status", values["status"], checks.MEMBER_STATUSES)

    def work(conn: Connection) -> Member:
        row = _find(conn, memb_id)
        if row["member"] == context.owner and "can_share" not in columns:
            access.find(conn, context, row["image_id"], lock=True)
        else:
            access.find_sharable(conn, context, row["image_id"])
        columns["updated_at"] = now(conn)
        conn.execute(image_members.update().where(image_members.c.id == memb_id).values(**columns))
        return {**row, **columns}

    return database().write(work)


def image_member_delete(context: RequestContext, memb_id: int) -> None:
    """End a live membership.

    :raises NotFound: no such membership
    :raises ImageNotFound, Forbidden: as ``image_member_create``
    """
    access.require_write(context)

    def work(conn: Connection) -> None:
        row = _find(conn, memb_id)
        access.find_sharable(conn, context, row["image_id"])
        children.end_members(conn, row["image_id"], now(conn), {row["member"]})

    database().write(work)


def _find(conn: Connection, memb_id: int) -> Member:
    known = isinstance(memb_id, int) and 0 <= memb_id <= checks.MAX_INT
    statement = sa.select(*_COLUMNS).where(image_members.c.id == memb_id, image_members.c.deleted == sa.false())
    row = conn.execute(statement).first() if known else None
    if row is None:
        raise exception.NotFound(f"No membership found with ID {memb_id}")
    return dict(row._mapping)


def _live(conn: Connection, image_id: str) -> list[Any]:
    statement = sa.select(*_COLUMNS).where(image_members.c.image_id == image_id, image_members.c.deleted == sa.false())
    return list(conn.execute(statement.order_by(image_members.c.id)))


def _merged(rows: list[Member]) -> list[Member]:
    """Of live rows that say the same, the oldest."""
    first: dict[tuple[str, str], Member] = {}
    for row in rows:
        first.setdefault((row["image_id"], row["member"]), row)
    return list(first.values())


def _save(conn: Connection, image_id: str, member: str, can_share: bool | None, moment: datetime) -> Member:
    live = next((row for row in _live(conn, image_id) if row.member == member), None)
    if live is None:
        return _add(conn, image_id, member, can_share, "pending", moment)
    row = dict(live._mapping)
    if can_share is not None and row["can_share"] != bool(can_share):
        row.update(can_share=bool(can_share), updated_at=moment)
        statement = image_members.update().where(image_members.c.id == row["id"])
        conn.execute(statement.values(can_share=row["can_share"], updated_at=moment))
    return row


def _add(conn: Connection, image_id: str, member: str, can_share: bool | None, status: str, moment: datetime) -> Member:
    """Revive the membership that was removed last, or insert one."""
    statement = (
        sa.select(*_COLUMNS)
        .where(
            image_members.c.image_id == image_id,
            equals(conn.dialect.name, image_members.c.member, member),
            image_members.c.deleted == sa.true(),
        )
        .order_by(image_members.c.deleted_at.desc(), image_members.c.id.desc())
        .limit(1)
    )
    old = conn.execute(statement).first()
    columns: dict[str, Any] = {"status": status, "deleted": False, "deleted_at": None, "updated_at": moment}
    if old is not None:
        columns["can_share"] = old.can_share if can_share is None else bool(can_share)
        conn.execute(image_members.update().where(image_members.c.id == old.id).values(**columns))
        row = {**old._mapping, **columns}
    else:
        columns.update(image_id=image_id, member=member, can_share=bool(can_share), created_at=moment)
        result: Any = conn.execute(image_members.insert().values(**columns))
        row = {**columns, "id": result.inserted_primary_key[0]}
    del row["deleted_at"]
    return row
