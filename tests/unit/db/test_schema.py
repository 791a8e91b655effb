"""``db sync`` and what it makes (database.md §0, §1, §3, §5.1, §9)."""

import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from glance.common import exception
from glance.db.sqlalchemy import api, engine, models
from glance.db.sqlalchemy.engine import Database
from glance.db.sqlalchemy.migrations import indexes, sync
from glance.db.sqlalchemy.migrations.lock import locked
from glance.db.sqlalchemy.migrations.state import HEAD, Kind, recognise
from tests.unit.db.conftest import ENGINES, caller, load_sample, options, silent

OWN_TABLES = {"glance_schema", "glance_legacy_ids", "glance_transfers", "glance_owners"}


@pytest.fixture(params=ENGINES)
def database(request, tmp_path):
    """An empty database of each engine."""
    url = (
        f"sqlite:///{tmp_path}/new.sqlite"
        if request.param == "sqlite"
        else request.getfixturevalue(f"{request.param}_url")
    )
    database = Database(options(url), patient=True)
    yield database
    database.dispose()


def described(database):
    """Everything that §1 is about: columns, keys and indexes of every table."""
    inspector = sa.inspect(database.engine)
    found = {}
    for table in inspector.get_table_names():
        found[table] = {
            "columns": {
                column["name"]: (re.sub(r" COLLATE \S+", "", str(column["type"])), column["nullable"])
                for column in inspector.get_columns(table)
            },
            "primary": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": {(u["name"], tuple(u["column_names"])) for u in inspector.get_unique_constraints(table)},
            "foreign": {
                (tuple(f["constrained_columns"]), f["referred_table"]) for f in inspector.get_foreign_keys(table)
            },
            "indexes": {(i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(table)},
        }
    return found


def recorded(database):
    with database.connection() as conn:
        return recognise(conn)


def test_a_fresh_database(database):
    said = []
    sync.sync(database, said.append)
    assert said[0] == "The database is without tables of Glance."
    state = recorded(database)
    assert (state.kind, state.versions) == (Kind.CURRENT, (HEAD,))
    assert state.own == {"base": 1, "own": 1, "foreign_keys": 1}
    found = described(database)
    assert set(found) == {*models.metadata.tables, *models.own_metadata.tables, "alembic_version"}
    with database.connection() as conn:
        assert indexes.missing(conn) == []
        assert conn.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1
    assert sync.check(database)[0] == 0
    said.clear()
    sync.sync(database, said.append)
    assert len(said) == 2
    assert described(database) == found


def test_the_indexes_of_each_engine(database):
    sync.sync(database, silent)
    found = {name for table in described(database).values() for name, *_ in table["indexes"] if name.startswith("gx_")}
    expected = set(models.EXTRA_INDEXES)
    if database.engine.dialect.name == "mysql":
        expected -= {"gx_images_created"}
    assert found == expected


def test_long_values_fit_beside_their_index(database):
    sync.sync(database, silent)
    conf = options(database.engine.url.render_as_string(hide_password=False))
    api.configure(conf)
    alice = caller("alice")
    value = "".join(chr(0x100 + number % 5000) for number in range(20000))
    api.image_create(alice, {"status": "queued", "properties": {"p": value}})
    assert len(api.image_get_all(alice, {"properties": {"p": value}})) == 1
    assert api.image_get_all(alice, {"properties": {"p": value[:-1]}}) == []
    engine.database().dispose()


def test_mariadb_tables_can_be_handed_back(mariadb_url):
    database = Database(options(mariadb_url), patient=True)
    sync.sync(database, silent)
    with database.connection() as conn:
        rows = conn.exec_driver_sql(
            "SELECT table_name, engine, table_collation FROM information_schema.tables WHERE table_schema = database()"
        ).all()
        assert conn.exec_driver_sql("SELECT @@tx_isolation").scalar() == "READ-COMMITTED"
        assert "index_merge=off" in conn.exec_driver_sql("SELECT @@optimizer_switch").scalar()
        assert "STRICT_ALL_TABLES" in conn.exec_driver_sql("SELECT @@sql_mode").scalar()
        visibility = conn.exec_driver_sql("SHOW COLUMNS FROM images LIKE 'visibility'").one()
    assert {(kind, collation) for name, kind, collation in rows if name != "alembic_version"} == {
        ("InnoDB", "utf8mb3_general_ci")
    }
    assert (visibility[1], visibility[2], visibility[4]) == (
        "enum('private','public','shared','community')",
        "NO",
        "shared",
    )
    database.dispose()


def test_postgresql_has_upstreams_type(postgresql_url):
    database = Database(options(postgresql_url), patient=True)
    sync.sync(database, silent)
    with database.connection() as conn:
        labels = conn.exec_driver_sql("SELECT enum_range(NULL::image_visibility)::text").scalar()
    assert labels == "{private,public,shared,community}"
    database.dispose()


def test_a_database_of_upstream_is_accepted_as_it_is(tmp_path):
    database = Database(options(load_sample("2026.sql", tmp_path / "glance.sqlite")), patient=True)
    before = described(database)
    code, sentence = sync.check(database)
    assert code == 3
    assert sentence.startswith("The database lacks this product's own tables. Your next step is to run `glance-manage")
    said = []
    sync.sync(database, said.append)
    assert any("copied to" in line for line in said)
    after = described(database)
    assert set(after) - set(before) == OWN_TABLES
    fresh = Database(options(f"sqlite:///{tmp_path}/fresh.sqlite"), patient=True)
    sync.sync(fresh, silent)
    for table, made in described(fresh).items():
        assert after[table]["columns"] == made["columns"], table
        for kind in ("primary", "unique", "foreign", "indexes"):
            assert after[table][kind] == made[kind], (table, kind)
    for table, had in before.items():
        assert had["columns"] == after[table]["columns"]
        assert had["indexes"] <= after[table]["indexes"]
    assert recorded(database).own == {"own": 1}  # its rows may break foreign keys: they stay unenforced
    with database.connection() as conn:
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
    with fresh.connection() as conn:
        fresh.dispose()
    with fresh.connection() as conn:
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    api.configure(options(f"sqlite:///{tmp_path}/glance.sqlite"))
    images = {image["id"][-2:]: image for image in api.image_get_all(caller("tenant-a"), member_status="all")}
    assert set(images) == {"01", "02", "03", "16", "04", "05", "06", "07", "08", "10", "12", "13"}
    assert {row["name"] for row in images["01"]["properties"]} > {"empty"} or images["01"]["properties"]
    engine.database().dispose()
    (copy,) = tmp_path.glob("glance.sqlite.before-*")
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (16,)
    assert tables == set(before)


def unversioned(path):
    url = load_sample("2026.sql", path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE alembic_version")
    return url


def unknown(path):
    url = load_sample("2026.sql", path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '2031_1_contract01'")
    return url


@pytest.mark.parametrize(
    ("make", "kind", "named", "code"),
    [
        (lambda path: load_sample("queens.sql", path), Kind.OLDER, "queens_contract01", 3),
        (lambda path: load_sample("mitaka.sql", path), Kind.NUMBERED, "44", 3),
        (unversioned, Kind.UNVERSIONED, "not under version control", 3),
        (unknown, Kind.UNKNOWN, "2031_1_contract01", 1),
    ],
)
def test_other_databases_are_refused_in_one_line(tmp_path, make, kind, named, code):
    database = Database(options(make(tmp_path / "glance.sqlite")), patient=True)
    before = (tmp_path / "glance.sqlite").read_bytes()
    assert recorded(database).kind is kind
    assert sync.check(database)[0] == code
    for refuse in (
        lambda: sync.sync(database, silent),
        lambda: sync.migrate(database, silent),
        lambda: sync.contract(database, silent),
    ):
        with pytest.raises(sync.Refused) as caught:
            refuse()
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)
    database.dispose()
    with sqlite3.connect(tmp_path / "glance.sqlite") as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name LIKE 'glance_%'").fetchall()
    assert not list(tmp_path.glob("*.before-*"))
    assert before[100:] == (tmp_path / "glance.sqlite").read_bytes()[100:]  # but for the mark of WAL in the header


def test_an_unversioned_database_is_adopted_on_demand(tmp_path):
    for number, adopt in enumerate(
        (
            lambda database: sync.version_control(database, silent),
            lambda database: sync.sync(database, silent, current_version=HEAD),
        )
    ):
        database = Database(options(unversioned(tmp_path / f"{number}.sqlite")), patient=True)
        adopt(database)
        sync.sync(database, silent)
        assert sync.version(database) == [HEAD]
        with pytest.raises(sync.Refused, match="nothing to record"):
            sync.version_control(database, silent)


def test_what_is_not_the_newest_schema_is_not_recorded(tmp_path):
    url = unversioned(tmp_path / "glance.sqlite")
    with sqlite3.connect(tmp_path / "glance.sqlite") as connection:
        connection.execute("ALTER TABLE tasks DROP COLUMN user_id")
    database = Database(options(url), patient=True)
    with pytest.raises(sync.Refused, match=r"lacks tasks\.user_id"):
        sync.version_control(database, silent)
    with pytest.raises(sync.Refused, match=r"lacks tasks\.user_id"):
        sync.sync(database, silent, current_version=HEAD)
    empty = Database(options(f"sqlite:///{tmp_path}/empty.sqlite"), patient=True)
    with pytest.raises(sync.Refused, match="empty"):
        sync.version_control(empty, silent)
    assert sync.version(empty) == []


def test_only_the_newest_version_can_be_asked_for(tmp_path):
    database = Database(options(f"sqlite:///{tmp_path}/glance.sqlite"), patient=True)
    for version in ("44", "queens_contract01"):
        with pytest.raises(sync.Refused, match=version):
            sync.sync(database, silent, version=version)
    assert not sa.inspect(database.engine).get_table_names()
    sync.sync(database, silent, version="heads")


def test_an_interrupted_creation_goes_on(database):
    """Killed between any two statements, the next run completes what the first began."""
    fresh = None
    for survives in (0, 1, 2, 5, 17, 40, 57, 70):
        _drop_all(database)
        count = 0

        def interrupt(conn, cursor, statement, *rest, survives=survives):
            nonlocal count
            if statement.lstrip().startswith(("CREATE", "INSERT", "UPDATE", "DELETE")):
                count += 1
                if count > survives:
                    raise KeyboardInterrupt

        sa.event.listen(database.engine, "before_cursor_execute", interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                sync.sync(database, silent)
        except BaseException:
            if count <= survives:
                break
            raise
        finally:
            sa.event.remove(database.engine, "before_cursor_execute", interrupt)
        assert recorded(database).kind in {Kind.EMPTY, Kind.CREATING, Kind.CURRENT}
        sync.sync(database, silent)
        assert recorded(database).kind is Kind.CURRENT
        fresh = fresh or described(database)
        assert described(database) == fresh


def _drop_all(database):
    for metadata in (models.metadata, models.own_metadata):
        metadata.drop_all(database.engine)
    models.alembic_version.drop(database.engine, checkfirst=True)


def test_an_invalid_index_of_postgresql_is_made_anew(postgresql_url):
    """CREATE INDEX CONCURRENTLY that fails leaves its name behind."""
    database = Database(options(postgresql_url), patient=True)
    sync.sync(database, silent)
    with database.connection() as conn:
        conn.exec_driver_sql("DROP INDEX gx_image_tags_value")
        conn.exec_driver_sql(
            "INSERT INTO images (id, status, created_at, deleted, min_disk, min_ram) "
            "VALUES ('i', 'queued', now(), false, 0, 0)"
        )
        conn.exec_driver_sql(
            "INSERT INTO image_tags (image_id, value, created_at, deleted) "
            "SELECT 'i', 'x', now(), false FROM generate_series(1, 2)"
        )
        with pytest.raises(sa.exc.IntegrityError):
            conn.exec_driver_sql("CREATE UNIQUE INDEX CONCURRENTLY gx_image_tags_value ON image_tags (value)")
        assert indexes.missing(conn) == ["gx_image_tags_value"]
    said = []
    sync.sync(database, said.append)
    assert "Creating index gx_image_tags_value on image_tags" in said
    with database.connection() as conn:
        assert indexes.missing(conn) == []
    database.dispose()


def test_many_syncs_at_once(database):
    barrier = threading.Barrier(4)
    url = database.engine.url.render_as_string(hide_password=False)

    def run(_):
        other = Database(options(url), patient=True)
        barrier.wait(30)
        said = []
        sync.sync(other, said.append)
        other.dispose()
        return sum("Creating" in line for line in said)

    with ThreadPoolExecutor(4) as pool:
        done = sorted(pool.map(run, range(4)))
    assert done[:3] == [0, 0, 0]
    assert done[3] > 0
    assert recorded(database).kind is Kind.CURRENT


def test_the_lock_is_given_back_after_a_failure(database):
    with pytest.raises(ZeroDivisionError), locked(database):
        raise ZeroDivisionError
    with locked(database) as conn:
        assert recognise(conn).kind is Kind.EMPTY


def test_without_extra_indexes_everything_works(tmp_path):
    url = f"sqlite:///{tmp_path}/glance.sqlite"
    database = Database(options(url), patient=True)
    sync.sync(database, silent, extra_indexes=False)
    assert sync.check(database)[0] == 0
    with database.connection() as conn:
        assert len(indexes.missing(conn)) == len(models.EXTRA_INDEXES)
    api.configure(options(url))
    alice = caller("alice")
    api.image_create(alice, {"status": "queued", "properties": {"a": "b"}})
    assert len(api.image_get_all(alice, {"properties": {"a": "b"}})) == 1
    engine.database().dispose()


def test_the_three_steps_of_newer_releases(tmp_path):
    database = Database(options(f"sqlite:///{tmp_path}/glance.sqlite"), patient=True)
    for step in (sync.migrate, sync.contract):
        with pytest.raises(sync.Refused, match="db sync"):
            step(database, silent)
    sync.sync(database, silent)
    said = []
    sync.migrate(database, said.append)
    sync.contract(database, said.append)
    assert said == ["Migrated 0 rows.", "Database is up to date. No contraction needed."]


def test_a_missing_directory_is_one_line(tmp_path):
    database = Database(options(f"sqlite:///{tmp_path}/no/glance.sqlite"))
    with pytest.raises(exception.ServiceUnavailable, match="unable to open database file"):
        sync.sync(database, silent)
