"""The rows that belong to an image: reading them for many images at once, and changing an image's set."""

import functools
import json
from collections.abc import Container, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.db.sqlalchemy import checks
from glance.db.sqlalchemy.comparing import live
from glance.db.sqlalchemy.models import image_locations, image_members, image_properties, image_tags

ROWS = "rows"
"""Children in full: property rows with their times and the deleted ones among them (registry.md §4.3)."""
LIVE = "live"
"""Only what an answer shows of them: live property rows with name and value, live locations."""
NONE = "none"
"""The image rows alone."""

_TIMES = ("created_at", "updated_at", "deleted_at")


@functools.cache
def _statement(
    dialect: str, detail: str, deleted_locations: bool, tags: bool, single: bool
) -> sa.Select | sa.CompoundSelect:
    """One statement for all kinds of children: a round trip costs more than the wider rows do.

    Columns: kind, image_id, id, name (of a location its status), value, meta_data, then for ``ROWS``
    deleted and the times.  Each column costs a microsecond a row, even where it is NULL.
    """
    full = detail == ROWS

    def branch(kind: str, table: sa.Table, live_only: bool) -> sa.Select:
        def column(name: str) -> Any:
            return table.c[name] if name in table.c else sa.null().label(name)

        chosen = [sa.literal_column(f"'{kind}'").label("kind"), table.c.image_id, table.c.id]
        chosen.append(table.c.status.label("name") if table is image_locations else column("name"))
        chosen += [column(name) for name in ("value", "meta_data")]
        chosen += [table.c.deleted, *(table.c[name] for name in _TIMES)] if full else []
        image_id = table.c.image_id
        chosen_images = image_id == sa.bindparam("id") if single else image_id.in_(sa.bindparam("ids", expanding=True))
        select = sa.select(*chosen).where(chosen_images)
        return select.where(live(dialect, table.c)) if live_only else select

    branches = [branch("p", image_properties, not full), branch("l", image_locations, not deleted_locations)]
    if tags:
        branches.append(branch("t", image_tags, True))
    return sa.union_all(*branches)


def attach(
    conn: Connection,
    images: list[dict[str, Any]],
    *,
    detail: str = ROWS,
    deleted_locations: bool = False,
    tags: bool = False,
) -> None:
    """Give every image dict its ``properties``, ``locations`` and (asked for) ``tags``, in the order of their ids."""
    if detail == NONE or not images:
        return
    by_id = {}
    for image in images:
        image["properties"], image["locations"] = [], []
        if tags:
            image["tags"] = []
        by_id[image["id"]] = image
    single = len(images) == 1
    statement = _statement(conn.dialect.name, detail, deleted_locations, tags, single)
    rows = conn.execute(statement, {"id": images[0]["id"]} if single else {"ids": list(by_id)}).all()
    for row in sorted(rows, key=lambda row: row[2]):
        image = by_id[row[1]]
        if row[0] == "p":
            image["properties"].append(_property(row))
        elif row[0] == "l":
            image["locations"].append({"id": row[2], "url": row[4], "metadata": _metadata(row[5]), "status": row[3]})
        elif row[4] not in image["tags"]:
            image["tags"].append(row[4])


def _property(row: Any) -> dict[str, Any]:
    if len(row) == 6:
        return {"name": row[3], "value": row[4], "deleted": False}
    return {
        "id": row[2], "image_id": row[1], "name": row[3], "value": row[4], "deleted": row[6],
        "created_at": row[7], "updated_at": row[8], "deleted_at": row[9],
    }  # fmt: skip


def _metadata(stored: str | None) -> dict[str, Any]:
    try:
        found = json.loads(stored or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- properties --------------------------------------------------------------


def save_properties(
    conn: Connection,
    image_id: str,
    wanted: dict[str, str | None],
    stored: Iterable[dict[str, Any]],
    moment: datetime,
    *,
    purge: bool,
    drop: Iterable[str] = (),
) -> bool:
    """Make ``wanted`` the image's properties, or merge them into those it has.

    A deleted row of the same name is revived: names are unique with the deleted rows.

    :param stored: the image's property rows, deleted ones included
    :param purge: properties not named are removed
    :param drop: names of properties that are removed in any case
    :returns: whether anything was changed
    :raises Invalid: two of the names are one to this database
    """
    dialect = conn.dialect.name
    rows = {checks.same_name(dialect, row["name"]): row for row in stored}
    named = {checks.same_name(dialect, name): (name, value) for name, value in wanted.items()}
    if len(named) < len(wanted):
        raise exception.Invalid("Two properties have names that this database cannot tell apart.")
    fresh = []
    changed = False
    for key, (name, value) in named.items():
        row = rows.get(key)
        if row is None:
            fresh.append(_new_row(image_id, moment, name=name, value=value))
        elif row["deleted"] or row["value"] != value:
            _update(conn, image_properties, [row["id"]], value=value, deleted=False, deleted_at=None, updated_at=moment)
            changed = True
    if fresh:
        try:
            conn.execute(image_properties.insert(), fresh)
        except exc.IntegrityError:
            raise exception.Invalid("Two properties have names that this database cannot tell apart.") from None
    dropped = {checks.same_name(dialect, name) for name in drop}
    gone = [
        row["id"] for key, row in rows.items() if (purge or key in dropped) and key not in named and not row["deleted"]
    ]
    if gone:
        _update(conn, image_properties, gone, deleted=True, deleted_at=moment, updated_at=moment)
    return bool(changed or fresh or gone)


# --- locations ---------------------------------------------------------------


def save_locations(
    conn: Connection,
    image_id: str,
    wanted: list[dict[str, Any]],
    stored: Iterable[dict[str, Any]],
    moment: datetime,
    *,
    purge: bool = True,
) -> bool:
    """Make ``wanted`` (of ``checks.locations``) the image's locations.

    :param purge: live ones not named become deleted
    :param stored: the image's locations as ``attach`` gives them, deleted ones included
    :returns: whether anything was changed
    :raises Invalid: an id is not one of the image's locations
    """
    rows = {row["id"]: row for row in stored}
    named = {entry["id"] for entry in wanted if entry["id"] is not None}
    if not named <= rows.keys():
        raise exception.Invalid(f"The image has no location {min(named - rows.keys())}.")
    gone = [key for key, row in rows.items() if purge and key not in named and row["status"] == "active"]
    if gone:
        _update(conn, image_locations, gone, status="deleted", deleted=True, deleted_at=moment, updated_at=moment)
    changed = bool(gone)
    for entry in wanted:
        key = entry["id"]
        if key is None:
            insert_location(conn, image_id, entry, moment)
        elif (entry["value"], json.loads(entry["meta_data"]), entry["status"]) != (
            rows[key]["url"], rows[key]["metadata"], rows[key]["status"],
        ):  # fmt: skip
            update_location(conn, image_id, key, moment, {k: v for k, v in entry.items() if k != "id"})
        else:
            continue
        changed = True
    return changed


def update_location(
    conn: Connection, image_id: str, location_id: int, moment: datetime, columns: dict[str, Any]
) -> None:
    """Change one location; a status other than active ends it.

    :param columns: of image_locations
    :raises NotFound: the image has no such location
    """
    if "status" in columns:
        columns = {**columns, **_location_end(columns["status"], moment)}
    statement = (
        image_locations.update()
        .where(image_locations.c.id == location_id, image_locations.c.image_id == image_id)
        .values(**columns, updated_at=moment)
    )
    if conn.execute(statement).rowcount == 0:
        raise exception.NotFound(f"No location found with ID {location_id} from image {image_id}")


def insert_location(conn: Connection, image_id: str, entry: dict[str, Any], moment: datetime) -> None:
    """Add one location (of ``checks.location``)."""
    columns = {name: value for name, value in entry.items() if name != "id"}
    columns.update(_location_end(entry["status"], moment))
    conn.execute(image_locations.insert(), _new_row(image_id, moment, **columns))


def _location_end(status: str, moment: datetime) -> dict[str, Any]:
    ended = status != "active"
    return {"deleted": ended, "deleted_at": moment if ended else None}


# --- tags --------------------------------------------------------------------


def save_tags(
    conn: Connection,
    image_id: str,
    moment: datetime,
    *,
    only: list[str] | None = None,
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
) -> bool:
    """Change an image's tags.

    :param only: make these the only ones
    :returns: whether anything was changed
    :raises NotFound: the image has not a tag of ``drop``
    """
    columns = image_tags.c
    statement = sa.select(columns.id, columns.value).where(columns.image_id == image_id, columns.deleted == sa.false())
    live = conn.execute(statement).all()
    has = {row.value for row in live}
    for tag in drop:
        if tag not in has:
            raise exception.NotFound(f"Image {image_id} has no tag {tag}.")
    ended = has & set(drop) if only is None else has - set(only)
    fresh = [tag for tag in (*(only or ()), *add) if tag not in has]
    if ended:
        gone = [row.id for row in live if row.value in ended]
        _update(conn, image_tags, gone, deleted=True, deleted_at=moment, updated_at=moment)
    if fresh:
        conn.execute(image_tags.insert(), [_new_row(image_id, moment, value=tag) for tag in dict.fromkeys(fresh)])
    return bool(ended or fresh)


# --- all of them -------------------------------------------------------------


def delete_all(conn: Connection, image_id: str, moment: datetime, location_status: str = "deleted") -> None:
    """Soft-delete the image's live children at ``moment``; the scrubber keeps its pending locations.

    :param location_status: of the other locations: ``deleted``, or ``pending_delete`` while their data exists
    """
    status = sa.case((image_locations.c.status == "pending_delete", "pending_delete"), else_=location_status)
    end_members(conn, image_id, moment)
    for table in (image_locations, image_properties, image_tags):
        ended: dict[str, Any] = {"deleted": True, "deleted_at": moment, "updated_at": moment}
        if table is image_locations:
            ended["status"] = status
        conn.execute(table.update().where(table.c.image_id == image_id, table.c.deleted == sa.false()).values(**ended))


def end_members(conn: Connection, image_id: str, moment: datetime, only: Container[str] | None = None) -> None:
    """Soft-delete live members of the image at ``moment``.

    The database refuses a second deleted row of the same member and moment: of members that
    are double (or that it takes for the same) one row is kept, the others are removed.

    :param only: these members; None: all
    """
    columns = image_members.c
    found = conn.execute(
        sa.select(columns.id, columns.member, columns.deleted)
        .where(columns.image_id == image_id, sa.or_(columns.deleted == sa.false(), columns.deleted_at == moment))
        .order_by(columns.deleted.desc(), columns.id)
    ).all()
    taken = {checks.same_name(conn.dialect.name, row.member) for row in found if row.deleted}
    ended: list[int] = []
    removed: list[int] = []
    for row in found:
        if row.deleted or not (only is None or row.member in only):
            continue
        key = checks.same_name(conn.dialect.name, row.member)
        (removed if key in taken else ended).append(row.id)
        taken.add(key)
    if removed:
        conn.execute(image_members.delete().where(columns.id.in_(removed)))
    if ended:
        _update(conn, image_members, ended, deleted=True, deleted_at=moment, updated_at=moment)


def revive_all(conn: Connection, image_id: str, deleted_at: datetime | None, moment: datetime) -> None:
    """Bring back what went with the image at ``deleted_at``, and locations that await the scrubber."""
    alive: dict[str, Any] = {"deleted": False, "deleted_at": None, "updated_at": moment}
    for table in (image_properties, image_members, image_tags):
        went_along = (table.c.image_id == image_id, table.c.deleted == sa.true(), table.c.deleted_at == deleted_at)
        conn.execute(table.update().where(*went_along).values(**alive))
    _change_pending_locations(conn, image_id, status="active", **alive)


def end_pending_locations(conn: Connection, image_id: str, moment: datetime) -> None:
    """The data of the locations that awaited the scrubber is gone."""
    _change_pending_locations(conn, image_id, status="deleted", updated_at=moment)


def _change_pending_locations(conn: Connection, image_id: str, **columns: Any) -> None:
    pending = (image_locations.c.image_id == image_id, image_locations.c.status == "pending_delete")
    conn.execute(image_locations.update().where(*pending).values(**columns))


def end_pending(conn: Connection, image_id: str, moment: datetime) -> None:
    """The data of the image's pending locations is gone."""
    pending = (image_locations.c.image_id == image_id, image_locations.c.status == "pending_delete")
    conn.execute(image_locations.update().where(*pending).values(status="deleted", deleted=True, updated_at=moment))


def _new_row(image_id: str, moment: datetime, **columns: Any) -> dict[str, Any]:
    return {"image_id": image_id, "created_at": moment, "updated_at": moment, "deleted": False, **columns}


def _update(conn: Connection, table: sa.Table, ids: list[int], **columns: Any) -> None:
    conn.execute(table.update().where(table.c.id.in_(ids)).values(**columns))
