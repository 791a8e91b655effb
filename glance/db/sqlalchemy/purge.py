"""Hard deletion of what was soft-deleted long ago (spec database.md §6).

Every statement has ``deleted = true`` in it: revived rows may carry an old deleted_at.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.db.sqlalchemy.engine import Database, now
from glance.db.sqlalchemy.models import (
    glance_legacy_ids,
    glance_transfers,
    image_locations,
    image_members,
    image_properties,
    image_tags,
    images,
    task_info,
    tasks,
)

ALL = -1
_BATCH = 1000
_CHILDREN = (image_properties, image_locations, image_members, image_tags)
_PENDING = image_locations.c.status == "pending_delete"


def purge(database: Database, age_in_days: int, max_rows: int) -> dict[str, int]:
    """Delete old rows of all tables but ``images``.

    :param max_rows: at most so many of each table, oldest first; ``ALL``: no limit
    :returns: rows deleted, by table; ``"pending_delete"``: old locations left to the scrubber
    """
    before = _before(database, age_in_days)
    counts = {"task_info": 0}
    for table in (*_CHILDREN, tasks):
        old = _old(table, before)
        if table is image_locations:
            old = sa.and_(old, sa.not_(_PENDING))
        dependants = ((task_info, task_info.c.task_id),) if table is tasks else ()
        counts[table.name], gone = _delete(database, table, old, max_rows, dependants)
        counts["task_info"] += gone["task_info"]
    counts["pending_delete"] = database.read(
        lambda conn: _count(conn, image_locations, sa.and_(_old(image_locations, before), _PENDING))
    )
    return counts


def purge_images(database: Database, age_in_days: int, max_rows: int) -> dict[str, int]:
    """Delete old rows of ``images``, with whatever children they still have.

    The ids become free: a new image may take one (OSSN-0075), which is why ``purge`` leaves them.
    Images with data that the scrubber has not removed yet stay, and those with a child that is not deleted.

    :returns: rows deleted, by table; ``"pending_delete"``: old images left to the scrubber
    """
    before = _before(database, age_in_days)
    waiting = sa.or_(
        images.c.status == "pending_delete", sa.exists().where(image_locations.c.image_id == images.c.id, _PENDING)
    )
    held = [sa.exists().where(table.c.image_id == images.c.id, table.c.deleted == sa.false()) for table in _CHILDREN]
    old = _old(images, before)
    dependants = [(table, table.c.image_id) for table in (*_CHILDREN, glance_transfers, glance_legacy_ids)]
    deleted, gone = _delete(database, images, sa.and_(old, sa.not_(sa.or_(waiting, *held))), max_rows, dependants)
    left = database.read(lambda conn: _count(conn, images, sa.and_(old, waiting)))
    return {**gone, "images": deleted, "pending_delete": left}


def _before(database: Database, age_in_days: int) -> Any:
    return database.read(now) - timedelta(days=age_in_days)


def _deleted(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [table.c.deleted == sa.true()] if "deleted" in table.c else []


def _old(table: sa.Table, before: Any) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.deleted == sa.true(), table.c.deleted_at < before)


def _count(conn: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return conn.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()


def _delete(
    database: Database,
    table: sa.Table,
    condition: sa.ColumnElement[bool],
    max_rows: int,
    dependants: Sequence[tuple[sa.Table, sa.Column[Any]]],
) -> tuple[int, Counter[str]]:
    """Delete rows with those that depend on them, oldest first, one transaction for each batch.

    :returns: (rows of ``table``, rows by table that depended on them)
    """
    deleted = 0
    gone: Counter[str] = Counter()
    while max_rows == ALL or deleted < max_rows:
        size = _BATCH if max_rows == ALL else min(_BATCH, max_rows - deleted)

        def batch(conn: Connection, size: int = size) -> tuple[int, dict[str, int]]:
            oldest = sa.select(table.c.id).where(condition).order_by(table.c.deleted_at, table.c.id).limit(size)
            ids = list(conn.execute(oldest).scalars())
            if not ids:
                return 0, {}
            went = {
                other.name: conn.execute(other.delete().where(reference.in_(ids), *_deleted(other))).rowcount
                for other, reference in dependants
            }
            return conn.execute(table.delete().where(table.c.id.in_(ids), condition)).rowcount, went

        rows, went = database.write(batch)
        deleted += rows
        gone.update(went)
        if not rows:
            break
    return deleted, gone
