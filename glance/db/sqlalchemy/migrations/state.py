"""What kind of database is this?  Decided by what is in it, never by a version of the product (spec database.md §3)."""

from dataclasses import dataclass
from enum import Enum

import sqlalchemy as sa
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection

from glance.db.sqlalchemy.models import glance_schema

HEAD = "2024_1_contract01"
"""The newest revision of upstream, and the only id of it that this product writes."""

_RELEASES = (
    "ocata", "pike", "queens", "rocky", "train", "ussuri", "wallaby", "xena", "yoga", "zed", "2023_1", "2024_1",
)  # fmt: skip
_UPSTREAM_IDS = {
    *("liberty", "mitaka01", "mitaka02", "ocata01", "pike01", "rocky_expand02", "rocky_contract02"),
    *(f"{release}_{branch}01" for release in _RELEASES for branch in ("expand", "contract")),
}


class Kind(Enum):
    EMPTY = "without tables of Glance"
    CREATING = "half created: an earlier db sync did not finish"
    CURRENT = "up to date"
    OLDER = "at an older revision of upstream"
    NUMBERED = "at a numbered version of upstream (2011 to 2016)"
    UNVERSIONED = "not under version control"
    UNKNOWN = "at a revision that this release does not know"


@dataclass(frozen=True, slots=True)
class State:
    """What was found.

    :ivar versions: what ``db version`` prints: revisions, or the number
    :ivar own: this product's migrations that are recorded: name → version
    """

    kind: Kind
    versions: tuple[str, ...]
    own: dict[str, int]

    def __str__(self) -> str:
        return f"{self.kind.value}{' (' + ', '.join(self.versions) + ')' if self.versions else ''}"


def recognise(conn: Connection) -> State:
    """Look at the tables and version marks; changes nothing."""
    tables = set(sa.inspect(conn).get_table_names())
    own: dict[str, int] = {}
    if glance_schema.name in tables:
        own = {row.name: row.version for row in conn.execute(sa.select(glance_schema))}
    heads = MigrationContext.configure(conn).get_current_heads() if "alembic_version" in tables else ()
    if heads:
        return State(_kind(heads), tuple(sorted(heads)), own)
    number = _number(conn) if "migrate_version" in tables else 0
    if number:
        return State(Kind.NUMBERED, (str(number),), own)
    if own.get("base") == 0:
        return State(Kind.CREATING, (), own)
    return State(Kind.UNVERSIONED if "images" in tables else Kind.EMPTY, (), own)


def _kind(heads: tuple[str, ...]) -> Kind:
    if not _UPSTREAM_IDS.issuperset(heads):
        return Kind.UNKNOWN
    return Kind.CURRENT if HEAD in heads else Kind.OLDER


def _number(conn: Connection) -> int:
    statement = "SELECT version FROM migrate_version WHERE repository_id = 'Glance Migrations'"
    return conn.exec_driver_sql(statement).scalar() or 0
