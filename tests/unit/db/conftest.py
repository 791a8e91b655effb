"""The data functions on every engine, called directly and over the registry's RPC.

A test that takes ``db`` runs on SQLite, MariaDB and PostgreSQL, both ways.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from glance.common.config import programs
from glance.context import RequestContext
from glance.db.sqlalchemy import api, engine, models
from glance.db.sqlalchemy.engine import Database
from glance.db.sqlalchemy.migrations import sync
from tests.unit.db.over_rpc import OverRPC

ENGINES = ("sqlite", "mariadb", "postgresql")
SAMPLES = Path(__file__).parent / "samples"


def options(url: str | None, **more: Any) -> cfg.ConfigOpts:
    """The options of a program that works on the database at ``url``."""
    conf = cfg.ConfigOpts()
    programs.register(conf, "glance-manage")
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in {"connection": url, **more}.items():
        conf.set_override(name, value, group="database")
    return conf


def silent(line: str) -> None:
    """A listener for what ``db sync`` says."""


def load_sample(name: str, path: Path) -> str:
    """Make an SQLite file of a sample; return its URL."""
    with sqlite3.connect(path) as connection:
        connection.executescript((SAMPLES / name).read_text())
    connection.close()
    return f"sqlite:///{path}"


def _with_schema(url: str) -> str:
    database = Database(options(url), patient=True)
    sync.sync(database, silent)
    database.dispose()
    return url


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database with the newest schema, one for the whole run; likewise on the other engines."""
    return _with_schema(f"sqlite:///{tmp_path_factory.mktemp('db')}/glance.sqlite")


@pytest.fixture(scope="session")
def mariadb_schema(mariadb_server: Any) -> Iterator[str]:
    with mariadb_server.database() as url:
        yield _with_schema(url)


@pytest.fixture(scope="session")
def postgresql_schema(postgresql_server: Any) -> Iterator[str]:
    with postgresql_server.database() as url:
        yield _with_schema(url)


@pytest.fixture(params=[f"{engine}{way}" for engine in ENGINES for way in ("", "-rpc")])
def db(request: pytest.FixtureRequest) -> Iterator[Any]:
    """``glance.db.sqlalchemy.api`` on an empty database of each engine; with ``-rpc`` through the registry's RPC."""
    name, _, way = request.param.partition("-")
    for module in _configured(request.getfixturevalue(f"{name}_schema")):
        if not way:
            yield module
            continue
        remote = OverRPC()
        yield remote
        remote.close()


@pytest.fixture
def sqlite_db(sqlite_schema: str) -> Iterator[Any]:
    """The same on SQLite alone."""
    yield from _configured(sqlite_schema)


def _configured(url: str) -> Iterator[Any]:
    database = api.configure(options(url))
    empty()
    yield api
    database.dispose()


def empty() -> None:
    """Delete all rows of the configured database but the migrations' own."""
    tables = [*models.metadata.sorted_tables, models.glance_transfers, models.glance_legacy_ids, models.glance_owners]

    def work(conn: sa.Connection) -> None:
        for table in reversed(tables):
            conn.execute(table.delete())

    engine.database().write(work)


def rows(table: sa.Table, *conditions: Any) -> list[dict[str, Any]]:
    """Rows as they are stored, in the order of their ids."""
    key = next(iter(table.primary_key.columns))
    statement = sa.select(table).where(*conditions).order_by(key)
    return engine.database().read(lambda conn: [dict(row._mapping) for row in conn.execute(statement)])


def execute(statement: Any, parameters: Any = None) -> None:
    """Run one statement on the configured database."""
    engine.database().write(lambda conn: conn.execute(statement, parameters))


def caller(tenant: str | None, **more: Any) -> RequestContext:
    return RequestContext(project_id=tenant, user_id="u", overwrite=False, **more)


@pytest.fixture
def admin() -> RequestContext:
    return caller("admin", is_admin=True, roles=["admin"])


@pytest.fixture
def alice() -> RequestContext:
    return caller("alice")


@pytest.fixture
def bob() -> RequestContext:
    return caller("bob")
