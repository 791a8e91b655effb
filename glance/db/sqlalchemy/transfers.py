"""Who is moving data into which image (spec database.md §9).

All times are the database's own: the clocks of the nodes need not agree.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection

from glance.context import RequestContext
from glance.db.sqlalchemy import checks
from glance.db.sqlalchemy.access import require_admin, require_write
from glance.db.sqlalchemy.engine import database
from glance.db.sqlalchemy.models import glance_transfers, images

STATUSES = ("saving", "uploading", "importing")
"""Statuses in which data may be on its way; an image that rests in ``uploading`` has no row."""
MAX_AGE = 60
"""Seconds without a beat after which a transfer counts as dead."""
_BATCH = 500

_NOW = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    "mysql": "UTC_TIMESTAMP()",
    "postgresql": "timezone('utc', clock_timestamp())",
}
_AGE = {
    "sqlite": "(julianday('now') - julianday(glance_transfers.beat)) * 86400.0",
    "mysql": "TIMESTAMPDIFF(SECOND, glance_transfers.beat, UTC_TIMESTAMP())",
    "postgresql": "EXTRACT(EPOCH FROM timezone('utc', clock_timestamp()) - glance_transfers.beat)",
}


def transfers_beat(context: RequestContext, node: str, image_ids: list[str]) -> None:
    """Say that ``node`` is still moving data into these images; those that have left such a status are passed over."""
    require_write(context)
    checks.text("node", node, 255)
    ids = sorted({image_id for image_id in image_ids if checks.storable(image_id)})
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        database().write(lambda conn, batch=batch: _renew(conn, node, batch))  # type: ignore[misc]


def transfers_get_all(context: RequestContext) -> list[dict[str, Any]]:
    """Every image that waits for data: in saving or importing, or named by a transfer row.

    :returns: ``{"image_id", "status", "node", "age"}``; node and age (seconds since the last beat) are None
        when nobody says that it moves the data
    :raises Forbidden: for administrators only
    """
    require_admin(context)

    def work(conn: Connection) -> list[dict[str, Any]]:
        age = sa.literal_column(_AGE[conn.dialect.name], sa.Float)
        statement = (
            sa.select(images.c.id.label("image_id"), images.c.status, glance_transfers.c.node, age.label("age"))
            .select_from(images.outerjoin(glance_transfers, glance_transfers.c.image_id == images.c.id))
            .where(images.c.status.in_(STATUSES), images.c.deleted == sa.false())
            .where(sa.or_(images.c.status != "uploading", glance_transfers.c.node.is_not(None)))
        )
        rows = conn.execute(statement)
        return [{**row._mapping, "age": None if row.age is None else max(0.0, float(row.age))} for row in rows]

    return database().read(work)


def transfers_stale(context: RequestContext, max_age: int = MAX_AGE) -> list[tuple[str, str, str]]:
    """Those of ``transfers_get_all`` that are dead: (image id, status, node or ``""``).

    :param max_age: seconds without a beat
    """
    return [
        (row["image_id"], row["status"], row["node"] or "")
        for row in transfers_get_all(context)
        if row["age"] is None or row["age"] > max_age
    ]


def begin(conn: Connection, node: str, image_id: str) -> None:
    """Record that ``node`` begins to move data into the image."""
    checks.text("transfer", node, 255)
    end(conn, image_id)
    now: sa.ColumnElement[Any] = sa.literal_column(_NOW[conn.dialect.name])
    conn.execute(glance_transfers.insert().values(image_id=image_id, node=node, started=now, beat=now))


def end(conn: Connection, image_id: str) -> None:
    """Forget the image's transfer, if there is one."""
    conn.execute(glance_transfers.delete().where(glance_transfers.c.image_id == image_id))


def _renew(conn: Connection, node: str, image_ids: list[str]) -> None:
    dialect = conn.dialect.name
    now: sa.ColumnElement[Any] = sa.literal_column(_NOW[dialect])
    moving = sa.select(images.c.id, sa.literal(node), now, now).where(
        images.c.id.in_(image_ids), images.c.status.in_(STATUSES), images.c.deleted == sa.false()
    )
    names = ["image_id", "node", "started", "beat"]
    if dialect == "mysql":
        renewal = mysql.insert(glance_transfers).from_select(names, moving)
        statement = renewal.on_duplicate_key_update(node=renewal.inserted.node, beat=renewal.inserted.beat)
    else:
        insert = (sqlite if dialect == "sqlite" else postgresql).insert(glance_transfers).from_select(names, moving)
        statement = insert.on_conflict_do_update(
            index_elements=["image_id"], set_={"node": insert.excluded.node, "beat": insert.excluded.beat}
        )
    conn.execute(statement)
