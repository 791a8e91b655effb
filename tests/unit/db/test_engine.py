"""Connections, retries, and what a caller hears when the database is away."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from glance.common import exception
from glance.db.sqlalchemy import engine, models
from glance.db.sqlalchemy.engine import Database
from tests.unit.db.conftest import caller, execute, options, rows


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (None, r"\[database\] connection"),
        ("", r"\[database\] connection"),
        ("sqlite:var/lib/glance/glance.sqlite", "not of the form"),
        ("nonsense hunter2", "not of the form"),
        ("oracle://u:hunter2@h/x", "driver for oracle"),
        ("mysql+unheardof://u:hunter2@h/x", "glance-classic"),
    ],
)
def test_a_bad_connection_is_one_line_without_the_password(url, named, caplog):
    with pytest.raises(exception.ConfigurationError, match=named) as caught:
        _ = Database(options(url)).engine
    assert "hunter2" not in str(caught.value)
    with pytest.raises(exception.ServiceUnavailable):
        Database(options(url)).read(lambda conn: None)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("mysql://h/x", "pymysql", "mysql"), ("postgresql://h/x", "psycopg2", "postgresql")]
)
def test_a_missing_driver_names_the_extra(monkeypatch, url, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(exception.ConfigurationError, match=rf"pip install 'glance-classic\[{extra}\]'"):
        _ = Database(options(url)).engine


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("mysql://u@h/x", "mysql+pymysql"),
        ("mariadb://u@h/x", "mysql+pymysql"),
        ("postgres://u@h/x", "postgresql+psycopg2"),
        ("postgresql://u@h/x", "postgresql+psycopg2"),
        ("mysql+pymysql://u@h/x?charset=utf8", "mysql+pymysql"),
    ],
)
def test_urls_of_all_ages_find_their_driver(url, driver):
    assert Database(options(url)).engine.url.drivername == driver


def test_nobody_listens(caplog):
    database = Database(options("mysql://glance:hunter2@127.0.0.1:1/glance", retry_interval=7))
    for work in (database.read, database.write):
        with pytest.raises(exception.ServiceUnavailable) as caught:
            work(lambda conn: None)
        assert caught.value.retry_after == 7
        assert "127.0.0.1" not in str(caught.value)
    assert "hunter2" not in caplog.text
    assert "2003" in caplog.text


def test_a_database_without_tables_says_what_to_do(tmp_path, caplog):
    database = Database(options(f"sqlite:///{tmp_path}/x.sqlite"))
    with pytest.raises(exception.ServiceUnavailable):
        database.read(lambda conn: conn.execute(sa.select(models.images)))
    assert "glance-manage db sync" in caplog.text


@pytest.fixture
def busy(sqlite_schema):
    """Holds the write lock of the SQLite file until told to let go."""
    holder = sqlite3.connect(sqlite_schema.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    yield holder
    holder.close()


def test_a_busy_sqlite_is_waited_for(sqlite_db, alice, busy):
    timer = threading.Timer(0.4, lambda: busy.execute("ROLLBACK"))
    timer.start()
    assert sqlite_db.image_get_all(alice) == []  # readers do not wait
    assert sqlite_db.image_create(alice, {"status": "queued"})["status"] == "queued"
    timer.join()


def test_the_wait_ends(sqlite_db, alice, busy, monkeypatch):
    assert engine.PATIENCE >= 5
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    with pytest.raises(exception.ServiceUnavailable) as caught:
        sqlite_db.image_create(alice, {"status": "queued"})
    assert caught.value.retry_after == 10
    busy.execute("ROLLBACK")
    assert rows(models.images) == []


def run_green(program):
    """Run a program whose whole process eventlet has patched; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"import eventlet\neventlet.monkey_patch()\n{program}"],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_waiting_for_sqlite_leaves_others_the_hub(sqlite_schema):
    answer = run_green(f"""
import sqlite3, time
from glance.db.sqlalchemy import api
from tests.unit.db.conftest import caller, options
api.configure(options({sqlite_schema!r}))
holder = sqlite3.connect({sqlite_schema.removeprefix("sqlite:///")!r}, isolation_level=None)
holder.execute("BEGIN IMMEDIATE")
turns = []
def beat():
    while True:
        eventlet.sleep(0.005)
        turns.append(time.monotonic())
eventlet.spawn(beat)
eventlet.spawn_after(0.6, holder.execute, "ROLLBACK")
writers = [eventlet.spawn(api.image_create, caller("a"), {{"status": "queued"}}) for _ in range(3)]
for writer in writers:
    writer.wait()
print(len(turns) > 10)
""")
    assert answer == "True"


@pytest.mark.parametrize(("kind", "sleep"), [("mariadb", "SELECT SLEEP(20)"), ("postgresql", "SELECT pg_sleep(20)")])
def test_a_server_that_stops_answering_is_given_up(request, kind, sleep):
    answer = run_green(f"""
import time
from glance.common import exception
from glance.db.sqlalchemy import engine
from tests.unit.db.conftest import options
engine._ANSWER_TIMEOUT = 1
database = engine.Database(options({request.getfixturevalue(f"{kind}_schema")!r}))
began = time.monotonic()
try:
    database.read(lambda conn: conn.exec_driver_sql({sleep!r}).scalar())
except exception.ServiceUnavailable:
    print("given up" if time.monotonic() - began < 15 else "too late")
print(database.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar()))
""")
    assert answer == "given up\n1"


class Deadlock(Exception):
    """What a driver raises for a transaction that lost."""


def lost(code):
    error = Deadlock(code, "Deadlock found")
    return exc.OperationalError("UPDATE", None, error)


@pytest.mark.parametrize("code", [1213, 1205])
def test_a_lost_transaction_runs_again_whole(sqlite_db, alice, code):
    calls = []

    def work(conn):
        conn.execute(models.glance_owners.insert(), {"owner": f"o{len(calls)}", "turns": 1})
        calls.append(1)
        if len(calls) < 4:
            raise lost(code)
        return "won"

    assert engine.database().write(work) == "won"
    assert [row["owner"] for row in rows(models.glance_owners)] == ["o3"]


def test_not_for_ever(sqlite_db, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    calls = []

    def work(conn):
        calls.append(1)
        raise lost(1213)

    with pytest.raises(exception.ServiceUnavailable):
        engine.database().write(work)
    assert len(calls) == 50


def test_an_error_undoes_the_transaction(db, alice):
    def work(conn):
        conn.execute(models.glance_owners.insert(), {"owner": "x", "turns": 1})
        raise KeyError("x")

    with pytest.raises(KeyError):
        engine.database().write(work)
    assert rows(models.glance_owners) == []
    assert db.image_create(alice, {"status": "queued"})


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_connections_that_the_server_closed_are_replaced(request, kind, alice):
    schema = request.getfixturevalue(f"{kind}_schema")
    server = request.getfixturevalue(f"{kind}_server")
    database = Database(options(schema))

    def cut():
        if kind == "mariadb":
            server.run(f"KILL {database.read(lambda conn: conn.exec_driver_sql('SELECT connection_id()').scalar())}")
        else:
            pid = database.read(lambda conn: conn.exec_driver_sql("SELECT pg_backend_pid()").scalar())
            server.run(f"SELECT pg_terminate_backend({pid})")
        time.sleep(0.05)

    count = sa.select(sa.func.count()).select_from(models.images)
    cut()
    assert database.read(lambda conn: conn.execute(count).scalar()) >= 0
    cut()
    assert database.write(lambda conn: conn.execute(count).scalar()) >= 0
    database.dispose()


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_connection_lost_on_the_way_is_unavailable_or_done(request, kind):
    schema = request.getfixturevalue(f"{kind}_schema")
    server = request.getfixturevalue(f"{kind}_server")
    database = Database(options(schema))
    tries = []

    def work(conn):
        tries.append(1)
        statement = "SELECT connection_id()" if kind == "mariadb" else "SELECT pg_backend_pid()"
        number = conn.exec_driver_sql(statement).scalar()
        server.run(f"KILL {number}" if kind == "mariadb" else f"SELECT pg_terminate_backend({number})")
        time.sleep(0.05)
        conn.exec_driver_sql("SELECT 1")

    with pytest.raises(exception.ServiceUnavailable):
        database.write(work)
    assert len(tries) == 2
    assert database.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar()) == 1
    database.dispose()


def test_what_checks_miss_is_still_the_callers_fault(db):
    long = {"owner": "x" * 300, "turns": 2**70}
    with pytest.raises(exception.Invalid):
        execute(models.glance_owners.insert(), long)
    execute(models.glance_owners.insert(), {"owner": "x", "turns": 1})
    with pytest.raises(exception.Duplicate):
        execute(models.glance_owners.insert(), {"owner": "x", "turns": 1})
    with pytest.raises(exception.Invalid):
        execute(models.glance_owners.insert(), {"owner": "y", "turns": None})


def test_a_child_makes_its_own_connections(db, alice):
    db.image_get_all(alice)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine.dispose_after_fork()
            db.image_create(alice, {"status": "queued"})
            os.write(writing, b"done")
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 10) == b"done"
    os.close(reading)
    os.waitpid(child, 0)
    assert len(db.image_get_all(alice)) == 1


def test_statements_are_logged_without_their_values(sqlite_schema, caplog):
    database = Database(options(sqlite_schema, connection_debug=50))
    with caplog.at_level(logging.INFO, logger="sqlalchemy.engine"):
        database.read(
            lambda conn: conn.execute(sa.select(models.images).where(models.images.c.name == "hunter2")).all()
        )
    assert "SELECT" in caplog.text
    assert "hunter2" not in caplog.text
    database.dispose()


def test_nothing_is_configured(monkeypatch):
    monkeypatch.setattr(engine, "_database", None)
    with pytest.raises(exception.ConfigurationError):
        engine.database()
    engine.dispose_after_fork()
    assert caller(None).owner is None
