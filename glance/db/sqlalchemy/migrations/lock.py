"""One migration at a time: whoever comes second waits, then finds nothing to do (spec database.md §3)."""

import contextlib
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.db.sqlalchemy import errors
from glance.db.sqlalchemy.engine import Database

_PATIENCE = 3600.0
_INTERVAL = 0.2
_KEY = 0x676C616E6365  # "glance"


@contextlib.contextmanager
def locked(database: Database) -> Iterator[Connection]:
    """A connection on which the schema may be changed until the end of the block.

    On SQLite the block is one exclusive transaction, undone when it fails.  Elsewhere the
    connection stands in autocommit and the lock, which the server gives back when the
    connection breaks, lies beside the data.
    """
    with database.connection() as conn:
        take, give_back = _LOCKS[conn.dialect.name]
        deadline = time.monotonic() + _PATIENCE
        while not take(conn):
            if time.monotonic() > deadline:
                raise exception.Conflict("Another db sync has been holding the database for an hour.")
            time.sleep(_INTERVAL)
        done = False
        try:
            yield conn
            done = True
        finally:
            if not conn.invalidated:  # else the lock went with the connection
                give_back(conn, done)


def _take_sqlite(conn: Connection) -> bool:
    try:
        conn.exec_driver_sql("BEGIN EXCLUSIVE")
    except exc.DBAPIError as error:
        if errors.is_occupied(error):
            return False
        raise
    return True


def _give_back_sqlite(conn: Connection, done: bool) -> None:
    conn.exec_driver_sql("COMMIT" if done else "ROLLBACK")


def _take_mysql(conn: Connection) -> bool:
    return conn.exec_driver_sql("SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), '.glance_schema'), 0)").scalar() == 1


def _give_back_mysql(conn: Connection, done: bool) -> None:
    conn.exec_driver_sql("SELECT RELEASE_LOCK(CONCAT(LEFT(DATABASE(), 40), '.glance_schema'))")


def _take_postgresql(conn: Connection) -> bool:
    # Asked again and again: a session that waits inside a statement holds up CREATE INDEX CONCURRENTLY.
    return bool(conn.execute(sa.select(sa.func.pg_try_advisory_lock(_KEY))).scalar())


def _give_back_postgresql(conn: Connection, done: bool) -> None:
    conn.execute(sa.select(sa.func.pg_advisory_unlock(_KEY)))


_LOCKS: dict[str, tuple[Callable[[Connection], bool], Callable[[Connection, bool], None]]] = {
    "sqlite": (_take_sqlite, _give_back_sqlite),
    "mysql": (_take_mysql, _give_back_mysql),
    "postgresql": (_take_postgresql, _give_back_postgresql),
}
