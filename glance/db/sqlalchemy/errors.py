"""What a failed statement means: try again, the caller's fault, or the database's."""

import logging

from sqlalchemy import exc

from glance.common import exception

LOG = logging.getLogger(__name__)

_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6
# Deadlock (also what a lost Galera certification looks like), lock wait, changed since the snapshot.
_MYSQL_TRANSIENT = frozenset((1213, 1205, 1020))
_MYSQL_FULL = 1040
_MYSQL_BAD_VALUE = frozenset((1264, 1265, 1267, 1292, 1300, 1366, 1406, 3854, 3988))
_MYSQL_NO_SCHEMA = frozenset((1049, 1146, 1054))
_POSTGRESQL_TRANSIENT = frozenset(("40001", "40P01", "55P03"))
_POSTGRESQL_FULL = ("remaining connection slots are reserved", "too many clients already")
"""Texts, because the driver keeps the code of a refused connection to itself."""
_POSTGRESQL_NO_SCHEMA = frozenset(("3D000", "42P01", "42703"))


class CommitLost(Exception):
    """The connection broke during COMMIT: nobody knows whether the transaction happened."""


def _codes(error: exc.DBAPIError) -> tuple[int | None, str]:
    """(number of SQLite or MySQL, SQLSTATE of PostgreSQL) of a driver's error."""
    original = error.orig
    sqlite = getattr(original, "sqlite_errorcode", None)
    if sqlite is not None:
        return sqlite & 0xFF, ""
    sqlstate = getattr(original, "pgcode", None) or ""
    arguments = getattr(original, "args", ())
    number = arguments[0] if arguments and isinstance(arguments[0], int) else None
    return number, sqlstate


def is_occupied(error: Exception) -> bool:
    """Others hold the lock of the SQLite file, or all connections of the server: it is a matter of waiting."""
    if not isinstance(error, exc.DBAPIError):
        return False
    if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in {_SQLITE_BUSY, _SQLITE_LOCKED}:
        return True
    return _codes(error)[0] == _MYSQL_FULL or any(text in str(error.orig) for text in _POSTGRESQL_FULL)


def is_transient(error: Exception) -> bool:
    """The transaction lost against another one and may succeed when run again."""
    if not isinstance(error, exc.DBAPIError):
        return False
    number, sqlstate = _codes(error)
    return is_occupied(error) or number in _MYSQL_TRANSIENT or sqlstate in _POSTGRESQL_TRANSIENT


def is_disconnect(error: Exception) -> bool:
    """The connection broke while it was in use (not: could not be made)."""
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def translate(error: Exception, retry_after: int) -> exception.GlanceException:
    """The error to show for one of SQLAlchemy's; says nothing of the database's address.

    :param retry_after: seconds after which a caller may try again
    """
    if isinstance(error, exc.IntegrityError):
        return _broken_rule(error)
    if isinstance(error, exc.DBAPIError):
        number, sqlstate = _codes(error)
        if number in _MYSQL_BAD_VALUE or sqlstate.startswith("22") or isinstance(error, exc.DataError):
            return exception.Invalid("A value is too long, out of range or not text that the database can keep.")
        missing = number in _MYSQL_NO_SCHEMA or sqlstate in _POSTGRESQL_NO_SCHEMA or "no such table" in str(error.orig)
        remedy = "; is the schema there? Run glance-manage db sync" if missing else ""
        LOG.error("The database failed: %s%s", describe(error), remedy)
    elif isinstance(error, OverflowError | UnicodeError) or (
        isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError)
    ):
        return exception.Invalid("A value is out of range or not text that the database can keep.")
    elif isinstance(error, exc.TimeoutError):
        LOG.error("All connections to the database are in use; see [database] max_pool_size and max_overflow")
    else:
        LOG.error("The database failed: %s", describe(error))
    return exception.ServiceUnavailable("The database is not available at the moment.", retry_after=retry_after)


def _broken_rule(error: exc.IntegrityError) -> exception.GlanceException:
    number, sqlstate = _codes(error)
    text = str(error.orig)
    if number == 1062 or sqlstate == "23505" or "UNIQUE constraint" in text:
        return exception.Duplicate()
    if number in {1216, 1217, 1451, 1452} or sqlstate == "23503" or "FOREIGN KEY" in text:
        return exception.NotFound()
    return exception.Invalid("A required value is missing.")


def describe(error: Exception) -> str:
    """What the driver said, in one line; it names no password."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300] or type(error).__name__
