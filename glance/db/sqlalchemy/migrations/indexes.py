"""The extra indexes (spec database.md §5.1): created last, beside running services where the engine allows it."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.engine import Connection

from glance.db.sqlalchemy.models import EXTRA_INDEXES, VALUE_PREFIX


def missing(conn: Connection) -> list[str]:
    """Names of the extra indexes that this engine should have and has not, in the order to create them."""
    return [
        name for name, index in EXTRA_INDEXES.items()
        if index.instead.get(conn.dialect.name, index.columns) and name not in _valid(conn, index.table)
    ]  # fmt: skip


def create_missing(conn: Connection, say: Callable[[str], None]) -> None:
    """Create what is missing, one statement each; run again after a crash, it goes on where it stopped.

    :param conn: in autocommit, but for SQLite
    :param say: takes one line for each index
    """
    operations = Operations(MigrationContext.configure(conn))
    postgresql = conn.dialect.name == "postgresql"
    for name in missing(conn):
        index = EXTRA_INDEXES[name]
        columns = index.instead.get(conn.dialect.name, index.columns)
        say(f"Creating index {name} on {index.table}")
        if postgresql:  # an interrupted CONCURRENTLY leaves an invalid index of the name behind
            conn.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        operations.create_index(
            name,
            index.table,
            [sa.text(column) if "(" in column else column for column in columns],
            postgresql_concurrently=postgresql,
            mysql_length={"value": VALUE_PREFIX} if index.table == "image_properties" else None,
        )


def _valid(conn: Connection, table: str) -> set[str]:
    if conn.dialect.name != "postgresql":
        return {str(index["name"]) for index in sa.inspect(conn).get_indexes(table)}
    statement = sa.text(
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE indisvalid AND indrelid = to_regclass(:table)"
    )
    return set(conn.execute(statement, {"table": table}).scalars())
