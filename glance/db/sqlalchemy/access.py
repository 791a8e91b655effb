"""Who may see and change an image (spec v1-api.md §5.1, registry.md §3.3, §3.5).

Owners and members are compared here, exactly, and never by a collation of the
database that takes ``ABC`` for ``abc``.
"""

import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy import checks
from glance.db.sqlalchemy.comparing import live
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.models import image_members, images

_BY_ID = sa.select(images).where(images.c.id == sa.bindparam("id"))
_BY_ID_LOCKED = _BY_ID.with_for_update()


def require_write(context: RequestContext) -> None:
    """:raises ReadonlyContext: the caller may change nothing"""
    if context.read_only:
        raise exception.ReadonlyContext()


def require_admin(context: RequestContext) -> None:
    """:raises Forbidden: the caller is no administrator"""
    if not context.is_admin:
        raise exception.Forbidden()


def find(
    conn: Connection,
    context: RequestContext,
    image_id: str,
    *,
    show_deleted: bool = False,
    lock: bool = False,
) -> dict[str, Any]:
    """Return the row of an image that the caller may see.

    :param show_deleted: also find a deleted row; administrators always do
    :param lock: keep others from changing the image until the transaction ends
    :raises ImageNotFound: there is none, or the caller may not know of it
    """
    known = checks.storable(image_id)
    row = conn.execute(_BY_ID_LOCKED if lock else _BY_ID, {"id": image_id}).first() if known else None
    if row is None or row.id != image_id or (row.deleted and not (show_deleted or context.is_admin)):
        raise exception.ImageNotFound(image_id=image_id)
    image = dict(row._mapping)
    if not _visible(conn, context, image, None):
        raise exception.ImageNotFound(image_id=image_id)
    return image


def find_mutable(
    conn: Connection, context: RequestContext, image_id: str, verb: str, *, show_deleted: bool = False
) -> dict[str, Any]:
    """Return the row of an image that the caller may change, locked.

    :param verb: for the message: modify, delete
    :param show_deleted: as for ``find``
    :raises ImageNotFound: as ``find``, and when the image is somebody else's
    :raises Forbidden: the image is public and not the caller's
    """
    image = find(conn, context, image_id, show_deleted=show_deleted, lock=True)
    if is_image_mutable(context, image):
        return image
    if image["visibility"] == "public":
        raise exception.Forbidden(f"You cannot {verb} a public image that is not yours.")
    raise exception.ImageNotFound(image_id=image_id)


def find_sharable(conn: Connection, context: RequestContext, image_id: str) -> dict[str, Any]:
    """Return the row of an image that the caller may share with others, locked.

    :raises ImageNotFound: the caller may not see it
    :raises Forbidden: the caller sees it but may not share it
    """
    image = find(conn, context, image_id, lock=True)
    if image["deleted"]:
        raise exception.ImageNotFound(image_id=image_id)
    if not _sharable(conn, context, image):
        raise exception.Forbidden("You cannot share this image.")
    return image


def is_image_visible(context: RequestContext, image: dict[str, Any], status: str | None = None) -> bool:
    """Whether the caller may see the image.

    :param status: membership counts only in this state; None: in any
    """
    return database().read(lambda conn: _visible(conn, context, image, status))


def is_image_mutable(context: RequestContext, image: dict[str, Any]) -> bool:
    """Whether the caller may change the image: administrators and its owner."""
    return bool(context.is_admin or (image["owner"] is not None and image["owner"] == context.owner))


def is_image_sharable(context: RequestContext, image: dict[str, Any]) -> bool:
    """Whether the caller may manage the image's members: who may change it, and members with can_share."""
    return database().read(lambda conn: _sharable(conn, context, image))


def _visible(conn: Connection, context: RequestContext, image: dict[str, Any], status: str | None) -> bool:
    if context.is_admin or image["owner"] is None or image["owner"] == context.owner:
        return True
    if image["visibility"] in {"public", "community"}:
        return True
    if image["visibility"] != "shared":
        return False
    return any(status in {None, "all", row.status} for row in _memberships(conn, context, image["id"]))


def _sharable(conn: Connection, context: RequestContext, image: dict[str, Any]) -> bool:
    return is_image_mutable(context, image) or any(row.can_share for row in _memberships(conn, context, image["id"]))


@functools.cache
def _membership(dialect: str) -> sa.Select:
    columns = image_members.c
    return sa.select(columns.member, columns.can_share, columns.status).where(
        columns.image_id == sa.bindparam("id"), columns.member == sa.bindparam("member"), live(dialect, columns)
    )


def _memberships(conn: Connection, context: RequestContext, image_id: str) -> list[Any]:
    if context.owner is None:
        return []
    rows = conn.execute(_membership(conn.dialect.name), {"id": image_id, "member": context.owner})
    return [row for row in rows if row.member == context.owner]
