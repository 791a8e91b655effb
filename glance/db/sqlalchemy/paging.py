"""Keyset pages: an order that is total, and the rows after a marker in it (spec database.md §5.3).

A page is never found by counting rows: the condition names the marker's own values
(bound as ``marker_<key>``), so that an index leads straight to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from glance.common import exception
from glance.db.sqlalchemy.models import images

SORT_KEYS = (
    "id", "name", "status", "disk_format", "container_format", "size", "created_at", "updated_at",
    "min_disk", "min_ram", "virtual_size", "checksum", "os_hash_value",
)  # fmt: skip
"""Columns that lists can be sorted by; the APIs offer fewer."""

Keys = tuple[tuple[str, str], ...]
"""Sort keys, each with its direction."""

_TIE_BREAKERS = ("created_at", "id")


class Group(NamedTuple):
    """Rows that one statement can read in order.

    :ivar keys: what they are ordered by
    :ivar first: the key that orders the whole list before all others
    :ivar nulls: they are those with NULL in ``first`` (True), those without (False), or ``first`` is never NULL
    :ivar after: only those after the marker
    """

    keys: Keys
    first: str
    nulls: bool | None
    after: bool

    def columns(self) -> list[sa.Column[Any]]:
        """What a subquery must select for ``order_by`` on it: the sort keys, among them the id."""
        return [images.c[key] for key, _ in self.keys]

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What makes a row of ``images`` one of the group."""
        found: list[sa.ColumnElement[bool]] = []
        if self.nulls is not None:
            first = images.c[self.first]
            found.append(first.is_(None) if self.nulls else first.is_not(None))
        if self.after:
            # The redundant bound on the first key is what MariaDB makes a range of.
            key, direction = self.keys[0]
            column, marker = self._comparable(images, key), _marker(key)
            found += [column >= marker if direction == "asc" else column <= marker, self._beyond(0)]
        return found

    def order_by(self, table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """ORDER BY for ``images`` or a subquery with its columns."""
        return [
            self._comparable(table, key).asc() if direction == "asc" else self._comparable(table, key).desc()
            for key, direction in self.keys
        ]

    def _beyond(self, number: int) -> sa.ColumnElement[bool]:
        key, direction = self.keys[number]
        column, marker = self._comparable(images, key), _marker(key)
        beyond = column > marker if direction == "asc" else column < marker
        if number + 1 == len(self.keys):
            return beyond
        return sa.or_(beyond, sa.and_(column == marker, self._beyond(number + 1)))

    def _comparable(self, table: sa.FromClause, key: str) -> sa.ColumnElement[Any]:
        """The bare column where an index may serve it; elsewhere NULL takes part as the least value."""
        column: sa.ColumnElement[Any] = table.c[key]
        if key == self.first or not images.c[key].nullable:
            return column
        return sa.func.coalesce(column, sa.literal(_least(key), column.type))


class Order:
    """Sort keys and their directions, made total by created_at and id (spec v2-images.md §5).

    Those two go in the direction that is given once for all keys, else from the youngest on.

    NULL stands before everything else (after it, descending).  Of the first key these rows
    are read by a statement of their own, because a condition that mixes them with the
    rest would defeat the index; the later keys only order what is equal in the first.
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
        rest = directions[0] if len(directions) == 1 else "desc"
        if len(directions) == 1:
            directions *= len(keys)
        if len(directions) != len(keys) or not {"asc", "desc"}.issuperset(directions):
            raise exception.Invalid("Sort directions must be asc or desc, one for all sort keys or one for each.")
        chosen: dict[str, str] = {}
        for key, direction in zip(keys, directions, strict=True):
            chosen.setdefault(key, direction)
        for key in _TIE_BREAKERS:
            chosen.setdefault(key, rest)
        # No two images are equal in their id: what comes after it orders nothing.
        self._keys: Keys = tuple(chosen.items())[: list(chosen).index("id") + 1]

    @property
    def first(self) -> str:
        """The key that orders the list before all others."""
        return self._keys[0][0]

    def groups(self, marker: Mapping[str, Any] | None) -> list[Group]:
        """The parts of the list that follow ``marker`` (an image row; None: from the start), in order."""
        first, direction = self._keys[0]
        after = marker is not None
        if not images.c[first].nullable:
            return [Group(self._keys, first, None, after)]
        at_null = marker is not None and marker[first] is None
        nulls = Group(self._keys[1:], first, True, after and at_null)
        rest = Group(self._keys, first, False, after and not at_null)
        if direction == "asc":
            return [rest] if after and not at_null else [nulls, rest]
        return [nulls] if at_null else [rest, nulls]

    def bound(self, marker: Mapping[str, Any] | None) -> dict[str, Any]:
        """The values of the statements' parameters for ``marker``."""
        if marker is None:
            return {}
        return {f"marker_{key}": _least(key) if marker[key] is None else marker[key] for key, _ in self._keys}


def _marker(key: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"marker_{key}", type_=images.c[key].type)


def _least(key: str) -> Any:
    return {"size": -1, "virtual_size": -1, "updated_at": datetime(1000, 1, 1)}.get(key, "")
