"""Tokens from a file, for a small site without Keystone.

Paste stanza, of both daemons::

    [filter:tokens]
    paste.filter_factory = glance.api.middleware.tokens:TokensFilter.factory

Each line of the file (option ``tokens_file``) is one user: token, user, project and roles,
separated by blanks; ``#`` begins a comment::

    # token                          user   project   roles
    3f9c…40 or so random characters  alice  research  member
    sha256:HEX                       root   -         admin

A token may be given by its SHA-256 instead; ``-`` stands for no project or no role; several
roles have commas between them.  The file must not be readable by everybody.  It is read
again when it has changed; while what it says is wrong, what it said before holds.
"""

import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from oslo_config import cfg

from glance.common import exception
from glance.common.config import CONF

LOG = logging.getLogger(__name__)

MIN_LENGTH = 16
"""Characters that a token has at least."""

_HASH = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_IDENTITY = ("HTTP_X_IDENTITY_STATUS", "HTTP_X_USER", "HTTP_X_PROJECT", "HTTP_X_TENANT", "HTTP_X_ROLE",
             "HTTP_X_SERVICE_", "HTTP_X_DOMAIN", "HTTP_X_IS_ADMIN")  # fmt: skip


class User(NamedTuple):
    """Whose a token is; ``project`` may be empty."""

    user: str
    project: str
    roles: str


class TokensFilter:
    """WSGI filter: sets the identity headers that ``context`` believes, and lets nobody else set them."""

    def __init__(self, application: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._file = TokensFile(conf.find_file(conf.tokens_file) or conf.tokens_file)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        for name in [name for name in environ if name.startswith(_IDENTITY)]:
            del environ[name]
        token = environ.get("HTTP_X_AUTH_TOKEN") or environ.get("HTTP_X_STORAGE_TOKEN")
        user = self._file.user(token) if token else None
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed" if user else "Invalid"
        if user:
            environ["HTTP_X_USER_ID"], environ["HTTP_X_ROLES"] = user.user, user.roles
            if user.project:
                environ["HTTP_X_PROJECT_ID"] = environ["HTTP_X_TENANT_ID"] = user.project
        return self._application(environ, start_response)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return lambda application: cls(application, CONF)


class TokensFile:
    """The users of a file, by token.

    :raises ConfigurationError: it cannot be used; the text names file and line
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._seen = self._stamp()
        self._users = self._read()

    def user(self, token: str) -> User | None:
        """Whose ``token`` (latin-1, as WSGI has it) it is, None if nobody's."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._users = self._read()
        except exception.ConfigurationError as error:
            LOG.error("%s What it said before holds.", error)
        return self._users.get(_digest(token.encode("latin-1")))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[str, User]:
        try:
            with open(self._path, encoding="utf-8") as stream:
                if os.fstat(stream.fileno()).st_mode & stat.S_IROTH:
                    raise self._wrong("everybody may read it: chmod o-r")
                users: dict[str, User] = {}
                for number, digest, user in self._lines(stream):
                    if digest in users:
                        raise self._wrong(f"line {number}: this token has been given already")
                    users[digest] = user
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise self._wrong(f"it cannot be read: {reason}") from None
        return users

    def _lines(self, stream: Iterable[str]) -> Iterator[tuple[int, str, User]]:
        for number, line in enumerate(stream, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 4:
                raise self._wrong(f"line {number}: it needs token, user, project and roles, not {len(words)} words")
            token, *user = (word.encode() for word in words)
            known = _HASH.fullmatch(words[0])
            if not known and len(token) < MIN_LENGTH:
                raise self._wrong(f"line {number}: a token needs at least {MIN_LENGTH} characters")
            texts = ("" if word == b"-" else word.decode("latin-1") for word in user)
            yield number, known[1].lower() if known else _digest(token), User(*texts)

    def _wrong(self, reason: str) -> exception.ConfigurationError:
        return exception.ConfigurationError(f"tokens_file {self._path}: {reason}.")


def _digest(token: bytes) -> str:
    """What is compared: looking a digest up tells nothing by the time that it takes."""
    return hashlib.sha256(token).hexdigest()
