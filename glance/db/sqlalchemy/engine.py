"""The connection to the database: pools, transactions, retries (spec database.md §4.3).

Connections stand in autocommit: a read costs one round trip per statement and no
more.  ``Database.write`` opens a transaction by hand, runs a function in it and runs
the whole function again when the transaction lost against another one.
"""

import contextlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine

from glance.common import exception, health
from glance.common.offload import is_green, offload
from glance.db.sqlalchemy import errors

LOG = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 15.0
"""Seconds for which a write is tried again while others are in its way."""
_TRIES = 50
_IDLE = 5.0
"""Seconds after which an idle connection is tested before it is used."""
_CONNECT_TIMEOUT = 5
_ANSWER_TIMEOUT = 30
_POOL_SIZE = 10
_QUICK = 2.0
"""A connection that broke later than this many seconds into a call is not tried a second time."""
_SQLITE_WAIT = 0.02
"""Seconds SQLite itself may wait for a lock; longer waits sleep here, where other green threads go on."""
_DRIVERS = {"mysql": ("mysql+pymysql", "mysql"), "postgresql": ("postgresql+psycopg2", "postgresql")}
_BEGIN = {"sqlite": "BEGIN IMMEDIATE"}


class Database:
    """One database and its pool of connections; made lazily, safe for threads and green threads.

    :param conf: object with the ``[database]`` options as ``conf.database.<name>``, and perhaps with
        ``conf.profiler.trace_sqlalchemy``
    :param patient: no limit on how long a statement may take (maintenance programs)
    :ivar common_filters: filters of lists that many images met, and until when that counts (``listing``)
    """

    def __init__(self, conf: Any, *, patient: bool = False) -> None:
        self._options = conf.database
        self._traced = getattr(getattr(conf, "profiler", None), "trace_sqlalchemy", False)
        self._patient = patient
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._indexes: frozenset[str] | None = None
        self.common_filters: dict[tuple[Any, ...], float] = {}

    @property
    def engine(self) -> Engine:
        """The engine.  :raises ConfigurationError: no connection, or its driver is not installed"""
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    self._engine = _create(self._options, self._patient)
                    if self._traced:
                        _trace(self._engine)
        return self._engine

    def dispose(self, *, forked: bool = False) -> None:
        """Forget all connections.

        :param forked: in a child after fork: leave the sockets to the parent, which owns them
        """
        if forked:
            self._lock = threading.Lock()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose(close=not forked)

    def image_indexes(self, conn: Connection) -> frozenset[str]:
        """Names of the indexes of table ``images``, so that MariaDB may be told to use one; looked up once."""
        if self._indexes is None:
            self._indexes = frozenset(str(index["name"]) for index in sa.inspect(conn).get_indexes("images"))
        return self._indexes

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit, for maintenance.

        :raises ServiceUnavailable: with the reason, for the person at the keyboard
        """
        try:
            with self.engine.connect() as conn:
                yield conn
        except exc.SQLAlchemyError as error:
            raise exception.ServiceUnavailable(f"The database failed: {errors.describe(error)}") from None

    def ping(self) -> None:
        """Ask the server for anything at all.  :raises ServiceUnavailable:"""
        self.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar())

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return ``work(connection)``; the connection stands in autocommit.

        :raises ServiceUnavailable, Invalid: instead of any error of the driver
        """

        def attempt() -> T:
            with self.engine.connect() as conn:
                return work(conn)

        return self._insist(attempt)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return ``work(connection)`` run in one transaction; all of it again after a deadlock.

        :raises ServiceUnavailable, Invalid, Duplicate, NotFound: instead of any error of the driver
        """
        return self._insist(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as conn:
            conn.exec_driver_sql(_BEGIN.get(conn.dialect.name, "BEGIN"))
            try:
                result = work(conn)
                _commit(conn)
            except BaseException:
                _abandon(conn)
                raise
            return result

    def _insist(self, attempt: Callable[[], T]) -> T:
        started = time.monotonic()
        tries = 0
        reconnected = False
        while True:
            tries += 1
            try:
                return attempt()
            except (exc.SQLAlchemyError, errors.CommitLost, OverflowError, UnicodeError) as error:
                failure: Exception = error
            except exception.ConfigurationError as error:
                LOG.error("%s", error)
                raise self._unavailable() from None
            elapsed = time.monotonic() - started
            if errors.is_transient(failure) and elapsed < PATIENCE and (tries < _TRIES or errors.is_occupied(failure)):
                time.sleep(random.uniform(0.002, min(0.05, 0.005 * tries)))  # noqa: S311
            elif errors.is_disconnect(failure) and not reconnected and elapsed < _QUICK:
                reconnected = True
            else:
                raise errors.translate(failure, self._options.retry_interval) from None

    def _unavailable(self) -> exception.ServiceUnavailable:
        return exception.ServiceUnavailable(
            "The database is not available at the moment.", retry_after=self._options.retry_interval
        )


_database: Database | None = None


def configure(conf: Any) -> Database:
    """Make the database of ``conf`` the one that ``glance.db.sqlalchemy.api`` works on; connects to nothing."""
    global _database  # noqa: PLW0603 - the data functions take no handle
    if _database is not None:
        _database.dispose()
    _database = Database(conf)
    health.provide("database", {"database": _database.ping})
    return _database


def database() -> Database:
    """The configured database.  :raises ConfigurationError: ``configure`` was never called"""
    if _database is None:
        raise exception.ConfigurationError("The database is not configured: set [database] connection.")
    return _database


def dispose_after_fork() -> None:
    """Call in every child: a connection must not be shared between processes."""
    if _database is not None:
        _database.dispose(forked=True)


def now(conn: Connection) -> datetime:
    """The time, naive UTC, as precise as the columns of this engine keep it."""
    moment = datetime.now(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=0) if conn.dialect.name == "mysql" else moment


def _commit(conn: Connection) -> None:
    raw: Any = conn.connection.dbapi_connection
    try:
        if isinstance(raw, sqlite3.Connection):
            _commit_sqlite(raw)
        else:
            conn.exec_driver_sql("COMMIT")
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise errors.CommitLost("The connection to the database broke during a commit.") from error
        raise


def _commit_sqlite(raw: sqlite3.Connection) -> None:
    """Commit in a native thread: it waits for the disk."""
    try:
        offload(raw.commit)
    except sqlite3.OperationalError as error:
        raise exc.OperationalError("COMMIT", None, error) from error


def _abandon(conn: Connection) -> None:
    if conn.invalidated:
        return
    try:
        conn.exec_driver_sql("ROLLBACK")
    except exc.SQLAlchemyError:
        conn.invalidate()


# --- making the engine -------------------------------------------------------


def _create(options: Any, patient: bool) -> Engine:
    url = _url(options.connection)
    dialect = url.get_backend_name()
    arguments: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "skip_autocommit_rollback": True,
        "hide_parameters": True,
        "pool_recycle": options.connection_recycle_time,
        "pool_size": _POOL_SIZE if options.max_pool_size is None else options.max_pool_size,
        "max_overflow": options.max_overflow,
        "pool_timeout": _ANSWER_TIMEOUT if options.pool_timeout is None else options.pool_timeout,
        "pool_use_lifo": True,
    }
    if options.connection_debug >= 50:
        arguments["echo"] = "debug" if options.connection_debug >= 100 else True
    try:
        engine = sa.create_engine(url, connect_args=_connect_args(url, dialect, patient), **arguments)
    except (ModuleNotFoundError, exc.NoSuchModuleError):
        remedy = f": pip install 'glance-classic[{_DRIVERS[dialect][1]}]'" if dialect in _DRIVERS else ""
        raise exception.ConfigurationError(
            f"The driver for {url.drivername} databases is not installed{remedy}"
        ) from None
    if dialect == "postgresql" and is_green() and not patient:
        _limit_waits()
    event.listen(engine, "connect", _Session(dialect, options))
    if dialect != "sqlite":
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _test_idle)
    return engine


def _trace(engine: Engine) -> None:
    """Make each statement a step of the trace that its request leaves, if it leaves any."""
    from osprofiler import sqlalchemy as tracing

    tracing.add_tracing(sa, engine, "db")


def _url(connection: str | None) -> URL:
    if not connection:
        raise exception.ConfigurationError("No database is configured: set [database] connection.")
    try:
        url = sa.make_url(connection.replace("postgres://", "postgresql://", 1))
    except (exc.ArgumentError, ValueError):
        raise exception.ConfigurationError(
            "[database] connection is not of the form mysql://user:password@host/name, "
            "postgresql://user:password@host/name or sqlite:////absolute/path."
        ) from None
    if url.get_backend_name() == "mariadb":  # the same dialect under the name that the table options know
        url = url.set(drivername=url.drivername.replace("mariadb", "mysql", 1))
    if url.drivername in _DRIVERS:
        url = url.set(drivername=_DRIVERS[url.drivername][0])
    return url


def _connect_args(url: URL, dialect: str, patient: bool) -> dict[str, Any]:
    if dialect == "sqlite":
        return {"timeout": _SQLITE_WAIT}
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT}
    if url.drivername == "mysql+pymysql":
        arguments["charset"] = "utf8mb4"
        arguments["conv"] = _mysql_conversions()
        if _is_local(url) and not any(name.startswith("ssl") for name in url.query):
            # For the TLS that it then does not verify PyMySQL reads all certificate authorities,
            # which keeps every other request waiting for 30 ms at each new connection.
            arguments["ssl_disabled"] = True
        if not patient:
            arguments["read_timeout"] = arguments["write_timeout"] = _ANSWER_TIMEOUT
    return {name: value for name, value in arguments.items() if name not in url.query}


def _is_local(url: URL) -> bool:
    return "unix_socket" in url.query or url.host in ("localhost", "127.0.0.1", "::1")


def _mysql_conversions() -> dict[Any, Any]:
    """PyMySQL's, with a reader of times that takes a tenth of the time for those that are whole."""
    from pymysql import converters
    from pymysql.constants import FIELD_TYPE

    def moment(text: str) -> Any:
        try:
            return datetime.fromisoformat(text)
        except ValueError:  # 0000-00-00
            return converters.convert_datetime(text)

    return {**converters.conversions, FIELD_TYPE.DATETIME: moment, FIELD_TYPE.TIMESTAMP: moment}


def _limit_waits() -> None:
    """Let no green thread wait for ever for a PostgreSQL that has stopped to answer (eventlet's own callback does)."""
    import psycopg2
    from eventlet.hubs import trampoline
    from psycopg2 import extensions

    def wait(raw: Any) -> None:
        while (state := raw.poll()) != extensions.POLL_OK:
            # SQLAlchemy takes this text for a broken connection and throws it away.
            silence = psycopg2.OperationalError("could not receive data from server: no answer")
            awaited = {"read": True} if state == extensions.POLL_READ else {"write": True}
            trampoline(raw.fileno(), timeout=_ANSWER_TIMEOUT, timeout_exc=silence, **awaited)

    extensions.set_wait_callback(wait)


class _Session:
    """Settles what a fresh connection needs."""

    def __init__(self, dialect: str, options: Any) -> None:
        self._settle = getattr(self, f"_{dialect}", None)
        self._options = options

    def __call__(self, raw: Any, record: Any) -> None:
        if self._settle is not None:
            cursor = raw.cursor()
            self._settle(cursor)
            cursor.close()

    def _sqlite(self, cursor: sqlite3.Cursor) -> None:
        if not self._options.sqlite_synchronous:
            cursor.execute("PRAGMA synchronous = OFF")
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            # Adopted databases may hold rows that break the rule; those made here do not.
            cursor.execute("SELECT 1 FROM glance_schema WHERE name = 'foreign_keys'")
            if cursor.fetchone():
                cursor.execute("PRAGMA foreign_keys = ON")
        except sqlite3.OperationalError as error:
            LOG.debug("SQLite: %s", error)  # no schema yet, read-only, or just busy: works all the same

    def _mysql(self, cursor: Any) -> None:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # Merging ix_images_deleted with another index reads the whole of both.
        settings = "SET SESSION optimizer_switch = 'index_merge=off'"
        if self._options.mysql_sql_mode:
            cursor.execute(f"{settings}, sql_mode = %s", (self._options.mysql_sql_mode,))
        else:
            cursor.execute(settings)


def _note_use(raw: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _test_idle(raw: Any, record: Any, proxy: Any) -> None:
    """Refuse a connection that the server closed while it lay idle; the pool makes another."""
    if time.monotonic() - record.info.get("used", time.monotonic()) < _IDLE:
        return
    try:
        cursor = raw.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()
        cursor.close()
    except Exception as error:
        raise exc.DisconnectionError from error
