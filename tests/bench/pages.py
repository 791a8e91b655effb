"""How long a page of 25 images takes in a small and in a large MariaDB database (spec database.md §5).

Run ``python -m tests.bench.pages [--images 200000] [--only REGEX]``.  It fills two databases of a
private server, asks for pages as an administrator, as a tenant with few images and as
one that owns a fifth of all, every time with another filter value or marker, and prints
median milliseconds and their ratio.
"""

import argparse
import contextlib
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

from glance.context import RequestContext
from glance.db.sqlalchemy import api, engine
from glance.db.sqlalchemy.engine import Database
from glance.db.sqlalchemy.migrations import sync
from tests.bench.services import Unavailable, mariadb

SMALL = 1000
PAGE = 25
PER_OWNER = 100
AIM = 1.5
TURNS = 3

_FILL = (
    # A fifth of all belongs to owner 0, as much is public; 3 % community, 30 % private, the rest shared; 10 % deleted.
    # Twenty are queued, however many there are.
    """INSERT INTO images (id, name, size, status, created_at, updated_at, deleted_at, deleted, disk_format,
            container_format, checksum, owner, min_disk, min_ram, protected, visibility, os_hidden)
        SELECT CONCAT(LEFT(h, 8), '-', MID(h, 9, 4), '-4', MID(h, 14, 3), '-a', MID(h, 18, 3), '-', MID(h, 21, 12)),
            CONCAT('name-', seq MOD GREATEST({n} DIV 5, 1)), seq * 4096,
            CASE WHEN seq MOD 10 = 3 THEN 'deleted' WHEN seq MOD ({n} DIV 20) = 5 THEN 'queued' ELSE 'active' END,
            '2020-01-01' + INTERVAL seq * 7 SECOND, '2021-01-01' + INTERVAL CRC32(h) MOD 30000000 SECOND,
            IF(seq MOD 10 = 3, '2022-01-01', NULL), seq MOD 10 = 3, 'qcow2', 'bare', h,
            CONCAT('owner-', IF(seq MOD 5 = 0, 0, CRC32(h) MOD {owners})), 0, 0, 0,
            ELT(1 + (p >= 20) + (p >= 23) + (p >= 53), 'public', 'community', 'private', 'shared'), 0
        FROM (SELECT seq, MD5(seq) AS h, CRC32(seq) MOD 100 AS p FROM seq_1_to_{n}) AS numbers""",
    # What belongs to an image lies together, as if it had been created with it.
    """INSERT INTO image_properties (image_id, name, value, created_at, deleted, deleted_at)
        SELECT id, names.name, CASE names.name WHEN 'os_distro' THEN CONCAT('distro-', CRC32(id) MOD 5)
            WHEN 'build' THEN CONCAT('build-', CRC32(id) MOD GREATEST({n} DIV 20, 1)) ELSE id END,
            created_at, deleted, deleted_at
        FROM images CROSS JOIN (SELECT 'os_distro' AS name UNION SELECT 'build' UNION SELECT 'serial') AS names
        ORDER BY images.created_at, images.id""",
    """INSERT INTO image_locations (image_id, value, meta_data, status, created_at, deleted, deleted_at)
        SELECT id, CONCAT('file:///var/lib/glance/images/', id), '{{}}', IF(deleted, 'deleted', 'active'), created_at,
            deleted, deleted_at
        FROM images ORDER BY created_at""",
    """INSERT INTO image_members (image_id, member, can_share, status, created_at, deleted, deleted_at)
        SELECT id, CONCAT('owner-', CRC32(CONCAT(id, 'm')) MOD {owners}), 0, 'accepted', created_at, deleted, deleted_at
        FROM images WHERE CRC32(id) MOD 10 < 4 ORDER BY images.created_at""",
    """INSERT INTO image_tags (image_id, value, created_at, deleted, deleted_at)
        SELECT id, CONCAT('tag-', CRC32(id) MOD GREATEST({n} DIV 100, 1)), created_at, deleted, deleted_at
        FROM images ORDER BY created_at""",
)


@dataclass(frozen=True)
class Filled:
    """A database with ``count`` images, and what to ask it for."""

    conf: Any
    count: int
    names: list[str]
    builds: list[str]
    markers: dict[str, list[str]]


def main() -> int:
    """Measure and print; return the exit code: 2 when MariaDB is not installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--images", type=int, default=200_000, help="images of the large database (200000)")
    parser.add_argument("--only", default="", help="queries whose names match this regular expression")
    parser.add_argument("--rounds", type=int, default=25, help="requests of each kind, three times (25)")
    options = parser.parse_args()
    try:
        with mariadb() as server, server.database() as small, server.database() as large:
            server.run("SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024")
            databases = [_filled(small, SMALL), _filled(large, options.images)]
            _report(databases, options.rounds, options.only)
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _filled(url: str, count: int) -> Filled:
    conf = configuration(url)
    database = Database(conf, patient=True)
    began = time.monotonic()
    sync.sync(database, lambda line: None, extra_indexes=False)
    fill(database, count)
    loaded = time.monotonic()
    sync.sync(database, lambda line: None)
    with database.connection() as conn:
        tables = "images, image_properties, image_locations, image_members, image_tags"
        conn.exec_driver_sql(f"ANALYZE TABLE {tables}").all()
        live = "SELECT id FROM images WHERE deleted = 0 AND status = 'active' AND {} ORDER BY RAND(1) LIMIT 500"
        markers = {
            caller: list(conn.exec_driver_sql(live.format(condition)).scalars())
            for caller, condition in (
                ("admin", "1"),
                ("tenant", "(owner = 'owner-7' OR visibility = 'public')"),
                ("large tenant", "owner = 'owner-0'"),
            )
        }
    database.dispose()
    print(
        f"{count} images: {loaded - began:.0f} s to fill, {time.monotonic() - loaded:.0f} s for the extra indexes",
        file=sys.stderr,
    )
    names = [f"name-{random.randrange(max(count // 5, 1))}" for _ in range(500)]
    builds = [f"build-{random.randrange(max(count // 20, 1))}" for _ in range(500)]
    return Filled(conf, count, names, builds, markers)


def configuration(url: str) -> Any:
    """The configuration of a database."""
    return SimpleNamespace(database=SimpleNamespace(connection=url, **_OPTIONS))


def fill(database: Database, count: int) -> None:
    """Add ``count`` images with properties, locations, members and tags."""
    with database.connection() as conn:
        for statement in _FILL:
            conn.exec_driver_sql(statement.format(n=count, owners=max(count // PER_OWNER, 1)))


_OPTIONS = {
    "connection_recycle_time": 3600, "max_pool_size": None, "max_overflow": 50, "pool_timeout": None,
    "connection_debug": 0, "mysql_sql_mode": "TRADITIONAL", "sqlite_synchronous": True, "retry_interval": 10,
}  # fmt: skip

_CALLERS = {
    "admin": (RequestContext(is_admin=True, roles=["admin"], overwrite=False), {}),
    "tenant": (RequestContext(project_id="owner-7", overwrite=False), {"member_status": "all"}),
    "large tenant": (RequestContext(project_id="owner-0", overwrite=False), {"member_status": "all"}),
}


def _queries(filled: Filled, caller: str, turn: int) -> dict[str, dict[str, Any]]:
    """What is asked for, with the values of this turn."""
    marker = filled.markers[caller][turn % len(filled.markers[caller])]
    build = {"build": filled.builds[turn]}
    distro = {"os_distro": f"distro-{turn % 5}"}
    tag = {"tags": [f"tag-{turn % max(filled.count // 100, 1)}"]}
    others = filled.count // PER_OWNER - 1
    owners = [f"owner-{1 + number % others}" for number in (turn, turn + 1)]
    owner = {"owner": owners[0]}
    moment = datetime(2020, 1, 1) + timedelta(seconds=7 * (filled.count - 100))
    return {
        "list, first page": {"detail": "none"},
        "detail, first page": {},
        "detail, deep marker": {"marker": marker},
        "detail, deep, by updated_at": {"marker": marker, "sort_key": ["updated_at"]},
        "list, deep, by name": {"marker": marker, "sort_key": ["name"], "sort_dir": ["asc"], "detail": "none"},
        "detail, name filter": {"filters": {"name": filled.names[turn]}},
        "detail, property, few hits": {"filters": {"properties": build}},
        "detail, property, a fifth": {"filters": {"properties": distro}},
        "detail, property, a fifth, deep": {"filters": {"properties": distro}, "marker": marker},
        "detail, two properties": {"filters": {"properties": {**distro, **build}}},
        "detail, any of five names": {"filters": {"name": filled.names[turn : turn + 5]}},
        "detail, any of 100 names": {"filters": {"name": filled.names[turn : turn + 100]}},
        "detail, tag": {"filters": tag},
        "detail, tag and property": {"filters": {**tag, "properties": distro}},
        "detail, of an owner": {"filters": owner},
        "detail, of an owner, by name": {"filters": owner, "sort_key": ["name"], "sort_dir": ["asc"]},
        "detail, of an owner, by updated_at": {"filters": owner, "sort_key": ["updated_at"]},
        "detail, of the largest owner": {"filters": {"owner": "owner-0"}},
        "detail, of the largest owner, deep": {"filters": {"owner": "owner-0"}, "marker": marker},
        "detail, of two owners": {"filters": {"owner": owners}},
        "detail, queued": {"filters": {"status": "queued"}},
        "detail, queued or saving": {"filters": {"status": ["queued", "saving"]}},
        "detail, active": {"filters": {"status": "active"}, "marker": marker},
        "detail, hidden": {"filters": {"os_hidden": True}},
        "detail, checksum": {"filters": {"checksum": "0" * 32}},
        "detail, created at a time, by name": {"filters": {"created_at": [["gte", moment]]}, "sort_key": ["name"]},
        "detail, created before a time": {"filters": {"created_at": [["lt", moment]]}},
        **{
            f"detail, {visibility}{where}": {"filters": {"visibility": visibility}, **more}
            for visibility in ("public", "community", "shared", "private", "all")
            for where, more in (("", {}), (", deep", {"marker": marker}))
        },
    }


def _report(databases: list[Filled], rounds: int, only: str) -> None:
    print(f"{'as':<13} {'query':<35} {SMALL:>9} {databases[1].count:>9}  ratio")
    over = 0
    for caller in _CALLERS:
        for name in filter(re.compile(only).search, _queries(databases[0], caller, 0)):
            # In turns, and the best of them: others use the machine, too.
            turns = [[_median(filled, caller, name, rounds) for filled in databases] for _ in range(TURNS)]
            small, large = (min(times) for times in zip(*turns, strict=True))
            ratio = large / small
            over += ratio > AIM
            print(f"{caller:<13} {name:<35} {small:>7.2f}ms {large:>7.2f}ms {ratio:>6.2f}{' !' * (ratio > AIM)}")
    print(f"{over} above {AIM}")


def _median(filled: Filled, caller: str, name: str, rounds: int) -> float:
    context, common = _CALLERS[caller]

    def ask(turn: int) -> None:
        query = {"detail": "live", **common, **_queries(filled, caller, turn)[name]}
        api.image_get_all(context, limit=PAGE, **query)

    with _configured(filled.conf):
        for turn in range(5):
            ask(turn)
        return statistics.median(_milliseconds(partial(ask, turn)) for turn in range(5, 5 + rounds))


@contextlib.contextmanager
def _configured(conf: Any) -> Iterator[None]:
    api.configure(conf)
    yield
    engine.database().dispose()


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
