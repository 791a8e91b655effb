"""Keyset pages: an order that is total, and the rows after a marker in it (spec database.md §5.3).

A page is never found by counting rows: the condition names the marker's own values, so
that an index leads straight to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from glance.common import exception
from glance.db.sqlalchemy.models import images
from glance.images.listing import SORT_KEYS

_TIE_BREAKERS = ("created_at", "id")


class Order:
    """Sort keys and their directions, made total by created_at and id.

    NULL stands before everything else (after it, descending).  Of the first key these
    rows are read by a statement of their own (``Group``), because a condition that
    mixes them with the rest would defeat the index; the later keys only order rows that
    are equal in the first, so they may be expressions.
    """

    def __init__(self, keys: Sequence[str] | None, directions: Sequence[str] | None) -> None:
        """:raises Invalid: an unknown key or direction, or not as many directions as keys"""
        keys = list(keys or ["created_at"])
        directions = list(directions or ["desc"])
        unknown = [key for key in keys if key not in SORT_KEYS]
        if unknown:
            raise exception.InvalidSortKey(
                f"'{unknown[0]}' is not a valid sort key: it must be one of {', '.join(SORT_KEYS)}."
            )
        if len(directions) == 1:
            directions *= len(keys)
        if len(directions) != len(keys) or not {"asc", "desc"}.issuperset(directions):
            raise exception.Invalid("Sort directions must be asc or desc, one for all sort keys or one for each.")
        self._keys = list(dict(zip(reversed(keys), reversed(directions), strict=True)).items())[::-1]
        for key in _TIE_BREAKERS:
            if key not in dict(self._keys):
                self._keys.append((key, directions[-1]))

    @property
    def first(self) -> str:
        """The key that orders the page before all others."""
        return self._keys[0][0]

    def groups(self, marker: Mapping[str, Any] | None) -> "Iterator[Group]":
        """The parts of the list that follow ``marker`` (an image row; None: from the start), in order."""
        key, direction = self._keys[0]
        whole = Group(self._keys, marker)
        if not images.c[key].nullable:
            yield whole
            return
        nulls_first = direction == "asc"
        marker_is_null = marker is not None and marker[key] is None
        nulls = Group(self._keys[1:], marker if marker_is_null else None, images.c[key].is_(None))
        rest = Group(self._keys, None if marker_is_null else marker, images.c[key].is_not(None))
        groups = [nulls, rest] if nulls_first else [rest, nulls]
        yield from groups if marker is None or marker_is_null == nulls_first else groups[1:]


class Group:
    """Rows that one statement can read in order.

    :ivar conditions: what makes a row of ``images`` one of them
    """

    def __init__(
        self,
        keys: Sequence[tuple[str, str]],
        marker: Mapping[str, Any] | None,
        *conditions: sa.ColumnElement[bool],
    ) -> None:
        self._keys = keys
        self.conditions = list(conditions)
        if marker is not None:
            self.conditions += _after(keys, marker)

    def order_by(self, table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """ORDER BY for ``images`` or a subquery with its columns."""
        columns = [_comparable(table, key, number) for number, (key, _) in enumerate(self._keys)]
        return [
            column.asc() if direction == "asc" else column.desc()
            for column, (_, direction) in zip(columns, self._keys, strict=True)
        ]


def _comparable(table: sa.FromClause, key: str, number: int) -> sa.ColumnElement[Any]:
    column = table.c[key]
    if number == 0 or not images.c[key].nullable:
        return column
    if key == "size":
        return sa.func.coalesce(column, -1)
    return sa.func.coalesce(column, sa.literal("1000-01-01 00:00:00") if key == "updated_at" else "")


def _after(keys: Sequence[tuple[str, str]], marker: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    """Rows strictly after ``marker``; the redundant bound on the first key is what MariaDB makes a range of."""
    key, direction = keys[0]
    bound = images.c[key] >= marker[key] if direction == "asc" else images.c[key] <= marker[key]
    return [bound, _beyond(keys, marker, 0)]


def _beyond(keys: Sequence[tuple[str, str]], marker: Mapping[str, Any], number: int) -> sa.ColumnElement[bool]:
    key, direction = keys[number]
    column = _comparable(images, key, number)
    value = marker[key]
    beyond = column > value if direction == "asc" else column < value
    if number + 1 == len(keys):
        return beyond
    return sa.or_(beyond, sa.and_(column == value, _beyond(keys, marker, number + 1)))
