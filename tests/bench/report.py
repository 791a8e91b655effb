"""What was measured, beside what it should be: figures, aims, and the table."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Key = tuple[str, str]
"""What was measured, and its unit."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound for a figure, or for its ratio to what stands beside it or to upstream's."""

    bound: float
    at_least: bool = False
    of: str = "figure"
    """"figure", "beside" or "upstream"."""

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}" + ("" if self.of == "figure" else f" × {self.of}")

    def met(self, value: float | None) -> bool | None:
        """Whether the bound holds; None without a value."""
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound


def speed(bound: float, of: str) -> Aim:
    """At least so many times as fast."""
    return Aim(bound, at_least=True, of=of)


AIMS: dict[Key, Aim] = {
    ("upload md5+sha512", "MB/s"): speed(2.3, "upstream"),
    ("upload md5+sha512", "CPU s/GiB"): Aim(0.72, of="upstream"),
    ("upload md5+sha256", "MB/s"): speed(2.8, "upstream"),
    ("download, 1 client", "MB/s"): speed(0.9, "beside"),
    ("download, 1 client", "CPU s/GiB"): Aim(1.3, of="beside"),
    ("download, 8 clients", "MB/s"): speed(0.9, "beside"),
    ("download, 8 clients", "CPU s/GiB"): Aim(1.3, of="beside"),
    ("list 25, mariadb", "CPU ms"): Aim(3),
    ("show, mariadb", "CPU ms"): Aim(1.5),
    ("create, mariadb", "CPU ms"): Aim(4),
    ("v2 list 25, mariadb", "CPU ms"): Aim(3),
    ("v2 show, mariadb", "CPU ms"): Aim(1.5),
    ("v2 create, mariadb", "CPU ms"): Aim(4),
    ("v2 patch, mariadb", "CPU ms"): Aim(4),
    ("HEAD beside 5 uploads", "p99 ms"): Aim(50),
    ("GET 1 KiB beside 5 uploads", "p99 ms"): Aim(50),
    ("memory API + registry, idle", "MiB PSS"): Aim(160),
}

STATED: dict[Key, float] = {
    ("upload md5+sha512", "MB/s"): 159,
    ("upload md5+sha512", "CPU s/GiB"): 5.9,
    ("upload md5+sha256", "MB/s"): 159,  # with sha512: no other figure is known
    ("download, 1 client", "MB/s"): 1100,
    ("download, 1 client", "CPU s/GiB"): 0.96,
    ("list 25, mariadb", "CPU ms"): 13,
    ("show, mariadb", "CPU ms"): 3.6,
    ("create, mariadb", "CPU ms"): 23,
    ("v2 list 25, mariadb", "CPU ms"): 13,
    ("v2 show, mariadb", "CPU ms"): 3.6,
    ("v2 create, mariadb", "CPU ms"): 23,
    ("v2 patch, mariadb", "CPU ms"): 44,
    ("HEAD beside 5 uploads", "p99 ms"): 14000,
    ("memory API + registry, idle", "MiB PSS"): 210,
}
"""Upstream 33.0.0 (uWSGI, MariaDB) as measured once on another 2-core machine; its memory is that of the API alone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    value: float
    beside: str | None
    beside_value: float | None
    upstream: float | None
    upstream_measured: bool
    aim: str | None
    met: bool | None


class Report:
    """Collects figures; with ``say``, tells each one at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._figures: list[tuple[Key, float, tuple[str, float] | None]] = []
        self._upstream: dict[Key, float] = {}
        self._say = say

    def add(self, what: str, unit: str, value: float, beside: tuple[str, float] | None = None) -> None:
        """Take a figure of the product, and the name and figure of what it is to be compared with."""
        self._figures.append(((what, unit), value, beside))
        self._say(f"{what}, {unit}: {number(value)}" + (f" ({beside[0]} {number(beside[1])})" if beside else ""))

    def upstream(self, what: str, unit: str, value: float) -> None:
        """Take a figure measured at upstream's release."""
        self._upstream[what, unit] = value
        self._say(f"upstream, {what}, {unit}: {number(value)}")

    def doing(self, what: str) -> None:
        """Say what takes its time."""
        self._say(f"... {what}")

    def rows(self) -> list[Row]:
        """All figures with their references and aims."""
        return [self._row(*figure) for figure in self._figures]

    def _row(self, key: Key, value: float, beside: tuple[str, float] | None) -> Row:
        measured = key in self._upstream
        reference = self._upstream[key] if measured else STATED.get(key)
        aim = AIMS.get(key)
        compared = {
            "figure": value,
            "beside": ratio(value, beside and beside[1]),
            "upstream": ratio(value, reference),
        }
        return Row(
            *key,
            value,
            beside[0] if beside else None,
            beside[1] if beside else None,
            reference,
            measured,
            str(aim) if aim else None,
            aim.met(compared[aim.of]) if aim else None,
        )


def ratio(value: float, reference: float | None) -> float | None:
    """``value`` as a multiple of ``reference``."""
    return value / reference if reference else None


_HEADINGS = ("what", "unit", "here", "beside it", "", "ratio", "upstream", "ratio", "aim", "met")


def table(rows: Sequence[Row]) -> str:
    """The rows as a plain table, which is a simple table of reStructuredText too; ``*`` marks a stated figure."""
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    rule = "  ".join("=" * max(2, width) for width in widths)
    text = ["  ".join(cell.ljust(max(2, width)) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(line.rstrip() for line in (rule, text[0], rule, *text[1:], rule))


def _cells(row: Row) -> tuple[str, ...]:
    stated = "" if row.upstream is None or row.upstream_measured else " *"
    return (
        row.what,
        row.unit,
        number(row.value),
        row.beside or "",
        number(row.beside_value),
        number(ratio(row.value, row.beside_value)),
        number(row.upstream) + stated,
        number(ratio(row.value, row.upstream)),
        row.aim or "",
        {True: "yes", False: "NO", None: ""}[row.met],
    )


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_json(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write everything as one JSON object: "machine" and the list "figures"."""
    path.write_text(json.dumps({"machine": machine, "figures": [asdict(row) for row in rows]}, indent=2) + "\n")
