"""Single locations, properties and tags of an image (registry.md §4.3), for callers that change one at a time."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy import access, checks, children
from glance.db.sqlalchemy.comparing import equals
from glance.db.sqlalchemy.engine import database, now
from glance.db.sqlalchemy.models import image_properties, image_tags

# --- locations ---------------------------------------------------------------


def image_location_add(context: RequestContext, image_id: str, location: dict[str, Any]) -> None:
    """Add a location ``{"url", "metadata", "status"}``.  :raises ImageNotFound, Forbidden, Invalid:"""
    access.require_write(context)
    entry = checks.location(location)

    def work(conn: Connection) -> None:
        access.find_mutable(conn, context, image_id, "modify")
        children.insert_location(conn, image_id, entry, now(conn))

    database().write(work)


def image_location_update(context: RequestContext, image_id: str, location: dict[str, Any]) -> None:
    """Change the location with ``location["id"]``.  :raises NotFound, ImageNotFound, Forbidden, Invalid:"""
    access.require_write(context)
    entry = checks.location(location)
    location_id = entry.pop("id")
    if location_id is None:
        raise exception.Invalid("The location has no id.")

    def work(conn: Connection) -> None:
        access.find_mutable(conn, context, image_id, "modify")
        children.update_location(conn, image_id, location_id, now(conn), entry)

    database().write(work)


def image_location_delete(
    context: RequestContext, image_id: str, location_id: int, status: str, delete_time: datetime | None = None
) -> None:
    """End a location.

    :param status: ``deleted``, or ``pending_delete`` to leave its data to the scrubber
    :param delete_time: naive UTC; None: now
    :raises NotFound, ImageNotFound, Forbidden, Invalid:
    """
    access.require_write(context)
    checks.choice("status of a removed location", status, ("deleted", "pending_delete"))
    checks.number("location id", location_id, checks.MAX_INT)

    def work(conn: Connection) -> None:
        access.find_mutable(conn, context, image_id, "modify")
        moment = now(conn) if delete_time is None else checks.moment("delete_time", delete_time)
        children.update_location(conn, image_id, location_id, moment, {"status": status})

    database().write(work)


# --- properties --------------------------------------------------------------


def image_property_create(context: RequestContext, values: dict[str, Any]) -> dict[str, Any]:
    """Add a property ``{"image_id", "name", "value"}``; one that was removed is revived.

    :returns: the property row
    :raises Duplicate: the image has it
    :raises ImageNotFound, Forbidden, Invalid:
    """
    access.require_write(context)
    image_id, name = (
        checks.text("image_id", values.get("image_id"), 36),
        checks.text("property name", values.get("name"), 255),
    )
    value = checks.property_value(name, values.get("value"))

    def work(conn: Connection) -> dict[str, Any]:
        image = access.find_mutable(conn, context, image_id, "modify")
        children.attach(conn, [image])
        if any(_same(conn, row["name"], name) and not row["deleted"] for row in image["properties"]):
            raise exception.Duplicate(f"Image {image_id} has a property {name} already.")
        children.save_properties(conn, image_id, {name: value}, image["properties"], now(conn), purge=False)
        children.attach(conn, [image])
        return next(row for row in image["properties"] if _same(conn, row["name"], name))

    return database().write(work)


def image_property_delete(context: RequestContext, prop_ref: str, image_ref: str) -> dict[str, Any]:
    """Remove the property named ``prop_ref`` of image ``image_ref``.

    :returns: the deleted row
    :raises NotFound: the image has no such property
    :raises ImageNotFound, Forbidden:
    """
    access.require_write(context)

    def work(conn: Connection) -> dict[str, Any]:
        image = access.find_mutable(conn, context, image_ref, "modify")
        children.attach(conn, [image])
        row = next((row for row in image["properties"] if row["name"] == prop_ref and not row["deleted"]), None)
        if row is None:
            raise exception.NotFound(f"Image {image_ref} has no property {prop_ref}.")
        moment = now(conn)
        ended = {"deleted": True, "deleted_at": moment, "updated_at": moment}
        conn.execute(image_properties.update().where(image_properties.c.id == row["id"]).values(**ended))
        return {**row, **ended}

    return database().write(work)


def image_set_property_atomic(context: RequestContext, image_id: str, name: str, value: str) -> None:
    """Claim a property: of many that try at once, one succeeds (a lock for imports).

    :raises Duplicate: the image has the property
    :raises ImageNotFound, Forbidden, Invalid:
    """
    image_property_create(context, {"image_id": image_id, "name": name, "value": value})


def image_delete_property_atomic(context: RequestContext, image_id: str, name: str, value: str) -> None:
    """Release what ``image_set_property_atomic`` claimed with the same value; leaves no row behind.

    :raises NotFound: somebody else's value stands there, or none
    """
    access.require_write(context)

    def work(conn: Connection) -> None:
        access.find_mutable(conn, context, image_id, "modify")
        dialect = conn.dialect.name
        mine = (
            image_properties.c.image_id == image_id,
            equals(dialect, image_properties.c.name, name),
            equals(dialect, image_properties.c.value, value),
            image_properties.c.deleted == sa.false(),
        )
        if conn.execute(image_properties.delete().where(*mine)).rowcount == 0:
            raise exception.NotFound(f"Image {image_id} has no property {name} with this value.")

    database().write(work)


# --- tags --------------------------------------------------------------------


def image_tag_get_all(context: RequestContext, image_id: str) -> list[str]:
    """The tags of an image, in the order they were added.  :raises ImageNotFound:"""

    def work(conn: Connection) -> list[str]:
        access.find(conn, context, image_id)
        statement = sa.select(image_tags.c.value).where(
            image_tags.c.image_id == image_id, image_tags.c.deleted == sa.false()
        )
        return list(dict.fromkeys(conn.execute(statement.order_by(image_tags.c.id)).scalars()))

    return database().read(work)


def image_tag_create(context: RequestContext, image_id: str, value: str) -> str:
    """Give an image a tag, once.  :raises ImageNotFound, Forbidden, Invalid:"""
    _change_tags(context, image_id, add=[checks.text("tag", value, 255)])
    return value


def image_tag_delete(context: RequestContext, image_id: str, value: str) -> None:
    """Take a tag away.  :raises NotFound: the image does not have it  :raises ImageNotFound, Forbidden:"""
    _change_tags(context, image_id, drop=[value])


def image_tag_set_all(context: RequestContext, image_id: str, tags: list[str]) -> None:
    """Make ``tags`` the image's only ones.  :raises ImageNotFound, Forbidden, Invalid:"""
    _change_tags(context, image_id, only=[checks.text("tag", tag, 255) for tag in tags])


def _change_tags(context: RequestContext, image_id: str, **changes: list[str]) -> None:
    access.require_write(context)

    def work(conn: Connection) -> None:
        access.find_mutable(conn, context, image_id, "modify")
        children.save_tags(conn, image_id, now(conn), **changes)

    database().write(work)


def _same(conn: Connection, one: str, other: str) -> bool:
    return checks.same_name(conn.dialect.name, one) == checks.same_name(conn.dialect.name, other)
