"""What an owner has, for the quotas (spec database.md §4.1, policy-quota-protection.md §5)."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy.comparing import equals
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.models import image_locations, images

_GONE = ("killed", "deleted", "pending_delete")
_HALF = 2**32 - 1
_TURN = {
    "mysql": "INSERT INTO glance_owners (owner, turns) VALUES (:owner, 1) ON DUPLICATE KEY UPDATE turns = turns + 1",
    "postgresql": "INSERT INTO glance_owners (owner, turns) VALUES (:owner, 1) "
    "ON CONFLICT (owner) DO UPDATE SET turns = glance_owners.turns + 1",
}


def user_get_storage_usage(context: RequestContext, owner_id: str | None, image_id: str | None = None) -> int:
    """Bytes in use by an owner: the size of each image, once for each of its locations.

    :param image_id: leave this image out
    """
    return database().read(lambda conn: usage(conn, owner_id or None, image_id))


def user_get_image_count(context: RequestContext, owner_id: str | None) -> int:
    """Number of images that count against an owner's quota."""
    return database().read(lambda conn: count(conn, owner_id))


def usage(conn: Connection, owner: str | None, without: str | None = None) -> int:
    """Bytes in use by ``owner``."""
    # In halves: SQLite's sum fails beyond 64 bits.
    halves = images.c.size.bitwise_rshift(32), images.c.size.bitwise_and(_HALF)
    statement = (
        sa.select(*(sa.func.coalesce(sa.func.sum(half), 0) for half in halves))
        .join(image_locations, image_locations.c.image_id == images.c.id)
        .where(
            equals(conn.dialect.name, images.c.owner, owner),
            images.c.size > 0,
            images.c.status.not_in(_GONE),
            image_locations.c.status != "deleted",
        )
    )
    if without is not None:
        statement = statement.where(images.c.id != without)
    high, low = conn.execute(statement).one()
    return (int(high) << 32) + int(low)


def count(conn: Connection, owner: str | None, without: str | None = None) -> int:
    """Number of live images of ``owner`` that are not killed."""
    statement = sa.select(sa.func.count()).where(
        equals(conn.dialect.name, images.c.owner, owner),
        images.c.deleted == sa.false(),
        images.c.status.not_in(_GONE),
    )
    if without is not None:
        statement = statement.where(images.c.id != without)
    return conn.execute(statement).scalar_one()


def take_turn(conn: Connection, owner: str | None) -> None:
    """Wait until no other transaction is between this and its end for the same owner.

    Whoever locks the row of an image does so before: one order for all, so that no two wait for each other.
    The row is written, not only locked: nodes of a Galera cluster see each other's writes
    alone.  SQLite has one writer at a time as it is.
    """
    statement = _TURN.get(conn.dialect.name)
    if statement is not None:
        conn.execute(sa.text(statement), {"owner": owner or ""})


def require_count(conn: Connection, owner: str | None, maximum: int, without: str | None = None) -> None:
    """Check that there is room for one more image; exact until the transaction ends.

    :param without: the image itself, which is in the table already
    :raises ImageCountQuotaExceeded: ``owner`` has ``maximum`` images
    """
    take_turn(conn, owner)
    if count(conn, owner, without) >= maximum:
        raise exception.ImageCountQuotaExceeded(maximum=maximum)


def require_usage(
    conn: Connection, owner: str | None, image_id: str, size: int | None, copies: int, maximum: int
) -> None:
    """Check what an image is going to take; exact until the transaction ends.

    :param size: bytes of the image's data
    :param copies: number of its locations
    :raises StorageQuotaFull: it and the rest of the owner's images exceed ``maximum`` bytes
    """
    wanted = (size or 0) * copies
    if not wanted:
        return
    take_turn(conn, owner)
    others = usage(conn, owner, image_id)
    if others + wanted > maximum:
        raise exception.StorageQuotaFull(image_size=wanted, remaining=max(0, maximum - others))
