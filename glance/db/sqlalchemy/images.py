"""Creating, changing and deleting images (spec database.md §4.2, registry.md §3).

Every function takes the caller's context first and does all its work in one transaction.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children, quota, transfers
from glance.db.sqlalchemy.engine import database, now
from glance.db.sqlalchemy.etag import etag
from glance.db.sqlalchemy.models import glance_legacy_ids, glance_transfers, image_locations, images

Image = dict[str, Any]
"""A row of ``images`` by column names, with ``properties`` and ``locations`` (registry.md §4.3).

Asked for by ``return_tag``, an addition of ours, it has ``tags`` and ``etag`` as well.
"""

_DEFAULTS: Image = {
    **dict.fromkeys(column.name for column in images.columns),
    "min_disk": 0,
    "min_ram": 0,
    "protected": False,
    "visibility": "shared",
    "os_hidden": False,
    "deleted": False,
}


def image_get(
    context: RequestContext,
    image_id: str,
    force_show_deleted: bool = False,
    detail: str = children.ROWS,
    return_tag: bool = False,
) -> Image:
    """Return an image that the caller may see.

    :param force_show_deleted: also a deleted one, with the locations that went with it; administrators get
        deleted images in any case
    :param detail: how much of the properties and locations, ``children.ROWS``, ``LIVE`` or ``NONE``
    :raises ImageNotFound: there is none, or the caller may not know of it
    """

    def work(conn: Connection) -> Image:
        image = access.find(conn, context, image_id, show_deleted=force_show_deleted)
        deleted_locations = force_show_deleted and image["deleted"]
        return _complete(
            conn, context, image, detail=detail, deleted_locations=deleted_locations, return_tag=return_tag
        )

    return database().read(work)


def image_create(
    context: RequestContext, values: dict[str, Any], max_count: int | None = None, return_tag: bool = False
) -> Image:
    """Insert an image with its properties, locations and tags.

    :param values: columns; ``properties`` a dict; ``locations`` a list of ``{"url", "metadata", "status"}``;
        ``tags`` a list; ``is_public`` in place of ``visibility``.  ``status`` is required.  The owner is the
        caller's for all but administrators
    :param max_count: number of images the owner may have in all; exact under concurrency
    :raises Duplicate: the id is taken, even by a deleted image
    :raises ImageCountQuotaExceeded: the owner has ``max_count`` images
    :raises Invalid, ReadonlyContext:
    """
    access.require_write(context)
    changes = checks.image_changes(values)
    if "status" not in changes.columns:
        raise exception.Invalid("Image status is required.")
    if not context.is_admin or "owner" not in values:
        changes.columns["owner"] = context.owner
    image: Image = {**_DEFAULTS, **changes.columns, "id": checks.image_id(values.get("id"))}
    if changes.is_public:
        image["visibility"] = "public"
    created_at = values.get("created_at")

    def work(conn: Connection) -> Image:
        moment = now(conn)
        image["updated_at"] = moment
        image["created_at"] = moment if created_at is None else _as_kept(conn, created_at)
        try:
            conn.execute(images.insert(), image)
        except exc.IntegrityError:
            raise exception.Duplicate(f"Image ID {image['id']} already exists!") from None
        if max_count is not None:
            # After the row, the order of image_update too: with the turn first, a create that waits for
            # the row of its id and the upload into that row wait for each other.
            quota.require_count(conn, image["owner"], max_count, without=image["id"])
        if changes.properties:
            children.save_properties(conn, image["id"], changes.properties, (), moment, purge=False)
        for entry in changes.locations or ():
            children.insert_location(conn, image["id"], entry, moment)
        if changes.tags:
            children.save_tags(conn, image["id"], moment, only=changes.tags)
        created = {**image, "properties": [], "locations": [], "tags": []}
        if changes.properties or changes.locations or changes.tags:
            return _complete(conn, context, created, return_tag=return_tag)
        return _shown(context, created, return_tag)

    return database().write(work)


def image_update(
    context: RequestContext,
    image_id: str,
    values: dict[str, Any],
    purge_props: bool = False,
    from_state: str | None = None,
    transfer: str | None = None,
    max_usage: int | None = None,
    if_match: list[str] | None = None,
    return_tag: bool = False,
) -> Image:
    """Change an image.

    :param values: as for ``image_create``; id and times are ignored, as is the owner for all but administrators.
        ``locations`` replaces the set: entries with ``id`` keep or change a stored one, those without are added,
        live ones not named are marked deleted.  What others change at the same time stays as they make it with
        ``drop_properties`` (names), ``change_locations`` (like ``locations``, but those not named stay),
        ``add_tags``, ``drop_tags``; ``tags`` replaces the set
    :param purge_props: properties not named are removed
    :param from_state: compare-and-swap: nothing changes unless this is the image's status
    :param transfer: the node that begins to move data into the image, recorded in the same transaction
    :param max_usage: bytes the owner may use in all, this image with its new size and locations included
    :param if_match: nothing changes unless the image's ``etag`` is one of these, or ``*`` is
    :raises Conflict: the status is not ``from_state``
    :raises PreconditionFailed: see ``if_match``
    :raises ImageNotFound: gone, or not the caller's to know or change
    :raises Forbidden: public and not the caller's
    :raises NotFound: a tag of ``drop_tags`` is not there
    :raises StorageQuotaFull, Invalid, ReadonlyContext:
    """
    access.require_write(context)
    changes = checks.image_changes(values)
    if not context.is_admin:
        changes.columns.pop("owner", None)

    def work(conn: Connection) -> Image:
        moment = now(conn)
        image = access.find_mutable(conn, context, image_id, "modify")
        children.attach(conn, [image], deleted_locations=True, tags=return_tag or if_match is not None)
        _require_match(image, if_match)
        columns = {**changes.columns, **_visibility(image, changes.is_public), "updated_at": moment}
        _swap(conn, image_id, from_state, columns)
        _follow_transfer(conn, image, columns.get("status"), transfer)
        image.update(columns)
        if _save_children(conn, image, changes, moment, purge_props=purge_props):
            children.attach(conn, [image], deleted_locations=True, tags=return_tag)
        if max_usage is not None:
            copies = sum(entry["status"] != "deleted" for entry in image["locations"])
            quota.require_usage(conn, image["owner"], image_id, image["size"], copies, max_usage)
        return _without_ended_locations(context, image, return_tag)

    return database().write(work)


def image_destroy(
    context: RequestContext,
    image_id: str,
    status: str | None = None,
    from_state: str | None = None,
    if_match: list[str] | None = None,
) -> Image:
    """Mark an image and all its children deleted, at the same moment.

    :param status: the image's new status: ``deleted``, or ``pending_delete`` while the data is left to the
        scrubber; None leaves it
    :param from_state: compare-and-swap: nothing changes unless this is the image's status
    :param if_match: as for ``image_update``
    :returns: the deleted row, with its properties as they were
    :raises Conflict: the status is not ``from_state``
    :raises ImageNotFound: gone already, or not the caller's to know or delete
    :raises Forbidden: public and not the caller's
    """
    access.require_write(context)
    columns: dict[str, Any] = {"deleted": True}
    if status is not None:
        columns["status"] = checks.choice("status of a deleted image", status, ("deleted", "pending_delete"))

    def work(conn: Connection) -> Image:
        moment = now(conn)
        image = access.find_mutable(conn, context, image_id, "delete")
        if image["deleted"]:
            raise exception.ImageNotFound(image_id=image_id)
        children.attach(conn, [image], tags=if_match is not None)
        _require_match(image, if_match)
        columns.update(deleted_at=moment, updated_at=moment)
        _swap(conn, image_id, from_state, columns)
        children.delete_all(conn, image_id, moment, location_status=status or "deleted")
        transfers.end(conn, image_id)
        return _without_ended_locations(context, {**image, **columns})

    return database().write(work)


def image_finish_delete(context: RequestContext, image_id: str) -> Image:
    """The data of an image in pending_delete is gone: make it, and its locations, ``deleted``.

    :raises Conflict: it is in another status
    :raises ImageNotFound: there is none, or it is not the caller's
    """
    access.require_write(context)

    def work(conn: Connection) -> Image:
        moment = now(conn)
        image = access.find_mutable(conn, context, image_id, "delete", show_deleted=True)
        columns = {"status": "deleted", "updated_at": moment}
        _swap(conn, image_id, "pending_delete", columns)
        children.end_pending_locations(conn, image_id, moment)
        return _complete(conn, context, {**image, **columns})

    return database().write(work)


def image_restore(context: RequestContext, image_id: str, status: str = "active") -> Image:
    """Bring an image in pending_delete back, with the children that went with it.

    :param status: ``active`` or ``deactivated``
    :raises Conflict: it is in another status
    :raises ImageNotFound: there is none, or it is not the caller's
    """
    access.require_write(context)
    checks.choice("status of a restored image", status, ("active", "deactivated"))

    def work(conn: Connection) -> Image:
        moment = now(conn)
        image = access.find_mutable(conn, context, image_id, "restore", show_deleted=True)
        columns = {"status": status, "deleted": False, "deleted_at": None, "updated_at": moment}
        _swap(conn, image_id, "pending_delete", columns)
        children.revive_all(conn, image_id, image["deleted_at"], moment)
        return _complete(conn, context, {**image, **columns})

    return database().write(work)


def image_ids_in_use(context: RequestContext, image_ids: list[str]) -> set[str]:
    """Which of these images have or expect data: live ones with data, those being deleted, those being filled.

    :raises Forbidden: for administrators only
    """
    access.require_admin(context)
    filled = images.c.status.in_(("active", "deactivated", *transfers.STATUSES)) & (images.c.deleted == sa.false())
    located = sa.exists().where(image_locations.c.image_id == images.c.id, image_locations.c.status != "deleted")
    transferred = sa.exists().where(glance_transfers.c.image_id == images.c.id)
    statement = sa.select(images.c.id).where(images.c.id.in_(image_ids), sa.or_(filled, located, transferred))
    return set(database().read(lambda conn: conn.execute(statement).scalars().all()))


def image_id_of_legacy(context: RequestContext, old_id: int) -> str:
    """The id that an image with an integer id of 2011 has now; says nothing of whether the caller may see it.

    :raises ImageNotFound: no such image
    """
    known = 0 <= old_id <= checks.MAX_INT
    statement = sa.select(glance_legacy_ids.c.image_id).where(glance_legacy_ids.c.old_id == old_id)
    image_id = database().read(lambda conn: conn.execute(statement).scalar()) if known else None
    if image_id is None:
        raise exception.ImageNotFound(image_id=old_id)
    return image_id


def _swap(conn: Connection, image_id: str, from_state: str | None, columns: dict[str, Any]) -> None:
    """Change the row if it is in ``from_state`` (None: in any).  :raises Conflict:"""
    statement = images.update().where(images.c.id == image_id)
    if from_state is not None:
        statement = statement.where(images.c.status == from_state)
    if conn.execute(statement.values(**columns)).rowcount == 0:
        raise exception.Conflict()


def _as_kept(conn: Connection, moment: datetime) -> datetime:
    """A caller's time as this engine's columns keep it."""
    moment = checks.moment("created_at", moment)
    return moment.replace(microsecond=0) if conn.dialect.name == "mysql" else moment


def _visibility(image: Image, is_public: bool | None) -> dict[str, str]:
    """What v1's one flag means for an image that exists (v1-api.md §4.4)."""
    if is_public is None:
        return {}
    if is_public:
        return {"visibility": "public"}
    return {"visibility": "shared"} if image["visibility"] == "public" else {}


def _follow_transfer(conn: Connection, image: Image, status: str | None, transfer: str | None) -> None:
    if transfer is not None:
        transfers.begin(conn, transfer, image["id"])
    elif status not in {None, *transfers.STATUSES} and image["status"] in transfers.STATUSES:
        transfers.end(conn, image["id"])


def _require_match(image: Image, if_match: list[str] | None) -> None:
    """:raises PreconditionFailed: see ``image_update``"""
    if if_match is not None and "*" not in if_match and etag(image) not in if_match:
        raise exception.PreconditionFailed()


def _save_children(
    conn: Connection, image: Image, changes: checks.ImageChanges, moment: datetime, *, purge_props: bool
) -> bool:
    """Save properties, locations and tags as asked; return whether anything was changed."""
    image_id, changed = image["id"], False
    if changes.properties is not None or changes.drop_properties or purge_props:
        changed |= children.save_properties(
            conn, image_id, changes.properties or {}, image["properties"], moment,
            purge=purge_props, drop=changes.drop_properties,
        )  # fmt: skip
    if changes.locations is not None:
        changed |= children.save_locations(conn, image_id, changes.locations, image["locations"], moment)
    if changes.change_locations:
        changed |= children.save_locations(
            conn, image_id, changes.change_locations, image["locations"], moment, purge=False
        )
    if changes.tags is not None or changes.add_tags or changes.drop_tags:
        changed |= children.save_tags(
            conn, image_id, moment, only=changes.tags, add=changes.add_tags, drop=changes.drop_tags
        )
    return changed


def _complete(
    conn: Connection,
    context: RequestContext,
    image: Image,
    *,
    detail: str = children.ROWS,
    deleted_locations: bool = False,
    return_tag: bool = False,
) -> Image:
    children.attach(conn, [image], detail=detail, deleted_locations=deleted_locations, tags=return_tag)
    return _shown(context, image, return_tag)


def _shown(context: RequestContext, image: Image, return_tag: bool) -> Image:
    """The image as the caller gets it, with ``tags`` and ``etag`` if they were asked for."""
    if return_tag:
        image["etag"] = etag(image)
    else:
        image.pop("tags", None)
    return hide_locations(context, image)


def hide_locations(context: RequestContext, image: Image) -> Image:
    """A deactivated image's data is for administrators only."""
    if image["status"] == "deactivated" and not context.is_admin and "locations" in image:
        image["locations"] = []
    return image


def _without_ended_locations(context: RequestContext, image: Image, return_tag: bool = False) -> Image:
    if not image["deleted"]:
        image["locations"] = [entry for entry in image["locations"] if entry["status"] == "active"]
    return _shown(context, image, return_tag)
