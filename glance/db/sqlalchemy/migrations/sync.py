"""``glance-manage db sync`` and its kin (spec database.md §3, §6).

What is done is recorded in ``glance_schema``: ``base`` (0 while the tables of a fresh
database are being made, 1 after), ``own`` (number of ``_OWN_STEPS`` done) and
``foreign_keys`` (SQLite may enforce them: no row breaks them).
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Container
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from glance.common import exception
from glance.db.sqlalchemy import models
from glance.db.sqlalchemy.engine import Database
from glance.db.sqlalchemy.migrations import indexes
from glance.db.sqlalchemy.migrations.lock import locked
from glance.db.sqlalchemy.migrations.state import HEAD, Kind, State, recognise

_COPY_SECONDS = 600.0
_HEAD_NAMES = frozenset((None, "head", "heads", HEAD))
Say = Callable[[str], None]


class Refused(exception.GlanceException):
    """The database cannot be brought to the newest schema; nothing was changed."""


def sync(
    database: Database,
    say: Say,
    *,
    version: str | None = None,
    current_version: str | None = None,
    extra_indexes: bool = True,
) -> None:
    """Bring the database to the newest schema; does nothing to one that has it.

    :param say: takes one line for each thing found or done
    :param version: may name the newest revision, no other
    :param current_version: where a database that is not under version control stands: the newest, or it is refused
    :param extra_indexes: also create what only makes lists fast
    :raises Refused: the database is of another kind, or another version was asked for
    """
    if version not in _HEAD_NAMES:
        raise Refused(f"This release brings a database to {HEAD} and to no other version; {version} was asked for.")
    adopt = current_version == HEAD
    _back_up(database, say, {Kind.CURRENT, Kind.UNVERSIONED} if adopt else {Kind.CURRENT})
    with locked(database) as conn:
        state = recognise(conn)
        say(f"The database is {state}.")
        if state.kind in {Kind.EMPTY, Kind.CREATING}:
            _in_transaction(conn, _create)
        elif state.kind is Kind.UNVERSIONED and adopt:
            _require_newest_tables(conn)
            _in_transaction(conn, _stamp)
        elif state.kind is not Kind.CURRENT:
            raise _refusal(state)
        _run_own_steps(conn, state, say)
        if extra_indexes:
            indexes.create_missing(conn, say)
        say(f"The database is at {HEAD}.")


def version(database: Database) -> list[str]:
    """The revisions or the number that the database is at; empty if it has neither."""
    with database.connection() as conn:
        return list(recognise(conn).versions)


def check(database: Database) -> tuple[int, str]:
    """What remains to be done: (exit code of ``db check``, a sentence naming the next command).

    0: nothing; 3: the schema must be expanded first; 1: this release does not know the revision.
    """
    with database.connection() as conn:
        state = recognise(conn)
    if state.kind is Kind.UNKNOWN:
        return 1, str(_refusal(state))
    if state.kind is Kind.CURRENT and state.own.get("own", 0) >= len(_OWN_STEPS):
        return 0, "Database is up to date. No upgrades needed."
    found = "lacks this product's own tables" if state.kind is Kind.CURRENT else f"is {state}"
    return 3, f"The database {found}. Your next step is to run `glance-manage db sync` (or `db expand`)."


def migrate(database: Database, say: Say) -> None:
    """The data conversions between expand and contract: the newest schema needs none.  :raises Refused:"""
    _require_current(database)
    say("Migrated 0 rows.")


def contract(database: Database, say: Say) -> None:
    """Removal of what old releases needed: the newest schema has nothing of it.  :raises Refused:"""
    _require_current(database)
    say("Database is up to date. No contraction needed.")


def version_control(database: Database, say: Say, *, version: str | None = None) -> None:
    """Only record that an unversioned database has the newest schema.

    :raises Refused: it has not, another version was named, or it is under version control
    """
    if version not in _HEAD_NAMES:
        raise Refused(f"Only {HEAD} can be recorded; {version} was asked for.")
    with locked(database) as conn:
        state = recognise(conn)
        if state.kind is Kind.EMPTY:
            raise Refused("The database is empty: run `glance-manage db sync`, which creates the tables.")
        if state.kind is not Kind.UNVERSIONED:
            raise Refused(f"The database is {state}: there is nothing to record.")
        _require_newest_tables(conn)
        _in_transaction(conn, _stamp)
        say(f"The database is recorded to be at {HEAD}. Your next step is to run `glance-manage db sync`.")


def _require_current(database: Database) -> None:
    with database.connection() as conn:
        state = recognise(conn)
    if state.kind is not Kind.CURRENT:
        raise Refused(f"The database is {state}. Your next step is to run `glance-manage db sync`.")


def _refusal(state: State) -> Refused:
    return Refused(f"The database is {state}; this release cannot convert it, and nothing was changed.")


def _require_newest_tables(conn: Connection) -> None:
    inspector = sa.inspect(conn)
    tables = set(inspector.get_table_names())
    for table in models.metadata.sorted_tables:
        found = {column["name"] for column in inspector.get_columns(table.name)} if table.name in tables else set()
        missing = sorted(set(table.columns.keys()) - found)
        if missing:
            raise Refused(
                f"The database does not have the schema of {HEAD}: it lacks {table.name}.{missing[0]}; "
                "nothing was changed."
            )


def _back_up(database: Database, say: Say, kinds: Container[Kind]) -> None:
    """Copy an SQLite file that is about to be changed, for its owner alone; a copy of the same day is kept.

    :param kinds: what the caller is going to change
    """
    with database.connection() as conn:
        raw: Any = conn.connection.dbapi_connection
        state = recognise(conn)
        is_due = state.kind in kinds and state.own.get("own", 0) < len(_OWN_STEPS)
        name = f"{database.engine.url.database}.before-{datetime.now(UTC).date()}"
        if not isinstance(raw, sqlite3.Connection) or not is_due or os.path.exists(name):
            return
        deadline = time.monotonic() + _COPY_SECONDS

        def watch(status: int, remaining: int, total: int) -> None:
            if time.monotonic() > deadline:
                raise Refused("The SQLite file is in use: stop the services, or copy it yourself and try again.")

        unfinished = f"{name}.{os.getpid()}"
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(sqlite3.connect(unfinished)) as copy:
            raw.backup(copy, pages=1000, progress=watch)
        os.replace(unfinished, name)
    say(f"The file is copied to {name}.")


# --- steps: each looks before it acts, and leaves its mark last -------------------


def _in_transaction(conn: Connection, step: Callable[[Connection], None]) -> None:
    """Run a step whole or not at all where the engine can: MySQL commits every DDL statement by itself."""
    if conn.dialect.name != "postgresql":
        step(conn)
        return
    conn.exec_driver_sql("BEGIN")
    try:
        step(conn)
    except BaseException:
        if not conn.invalidated:
            conn.exec_driver_sql("ROLLBACK")
        raise
    conn.exec_driver_sql("COMMIT")


def _create(conn: Connection) -> None:
    models.glance_schema.create(conn, checkfirst=True)
    _mark(conn, "base", 0)
    begun = set(sa.inspect(conn).get_table_names())
    models.metadata.create_all(conn)
    for table in models.metadata.sorted_tables:
        if table.name in begun:  # perhaps without all of its indexes
            for index in table.indexes:
                index.create(conn, checkfirst=True)
    _mark(conn, "foreign_keys", 1)
    _stamp(conn)
    _mark(conn, "base", 1)


def _stamp(conn: Connection) -> None:
    models.alembic_version.create(conn, checkfirst=True)
    conn.execute(models.alembic_version.delete())
    conn.execute(models.alembic_version.insert(), {"version_num": HEAD})


def _run_own_steps(conn: Connection, state: State, say: Say) -> None:
    done = state.own.get("own", 0)
    models.glance_schema.create(conn, checkfirst=True)
    for number, (title, step) in enumerate(_OWN_STEPS[done:], done + 1):
        say(title)
        _in_transaction(conn, step)
        _mark(conn, "own", number)


def _create_side_tables(conn: Connection) -> None:
    models.own_metadata.create_all(conn)


_OWN_STEPS: list[tuple[str, Callable[[Connection], None]]] = [
    ("Creating the tables of this product beside those of upstream", _create_side_tables),
]


def _mark(conn: Connection, name: str, number: int) -> None:
    table = models.glance_schema
    if conn.execute(table.update().where(table.c.name == name).values(version=number)).rowcount == 0:
        conn.execute(table.insert(), {"name": name, "version": number})
