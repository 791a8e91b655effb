"""Conditions that every engine must understand alike, and find rows by quickly (spec database.md §4.3)."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import BINARY

from glance.db.sqlalchemy import checks


def equals(dialect: str, column: Any, value: "str | sa.BindParameter[Any] | None") -> sa.ColumnElement[bool]:
    """``column`` is exactly ``value``; None matches NULL, text that cannot be stored matches nothing.

    MySQL compares twice: by its collation, which finds the rows through an index, and by bytes.
    """
    if value is None:
        return column.is_(None)
    if isinstance(value, str):
        if not checks.storable(value):
            return sa.false()
        value = sa.literal(value, sa.String())
    if dialect != "mysql":
        return column == value
    return sa.and_(column == value, sa.cast(column, BINARY) == value)


def live(dialect: str, columns: Any) -> sa.ColumnElement[bool]:
    """Not a deleted row; SQLite is told that most are not, or it takes the index on ``deleted`` for the best.

    :param columns: of a table
    """
    condition = columns.deleted == sa.false()
    return sa.func.likely(condition, type_=sa.Boolean()) if dialect == "sqlite" else condition
