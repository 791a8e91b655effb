"""Speaking to one account of Swift.

python-swiftclient logs in, lists, looks and deletes.  Data goes over a plain HTTP connection instead: the writer
of a store is *given* its data, while swiftclient wants to fetch it, so using it would take a thread and a queue
for each upload; a connection takes the caller's buffer as it is.
"""

import http.client
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from glance.common import exception
from glance.common.offload import native
from glance.common.redact import mask_secrets, one_line
from glance.store.swift_location import Login

try:
    import swiftclient
    from swiftclient import client as _client
except ImportError:
    swiftclient = None
else:
    # At debug these show every request and half of its token.
    for _name in ("swiftclient", "keystoneclient", "keystoneauth"):
        logging.getLogger(_name).setLevel(logging.WARNING)
    _client.logger_settings["reveal_sensitive_prefix"] = 0

LOG = logging.getLogger(__name__)

TIMEOUT = 60
"""Seconds to wait for a connection, and for each answer or piece of one."""
_REFUSAL_TIMEOUT = 5
_UNAUTHORIZED = 401


class Refused(Exception):
    """Swift answered with an error."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _failures() -> tuple[type[Exception], ...]:
    """What swiftclient raises when something does not answer, or not as Swift or Keystone would."""
    found: list[type[Exception]] = [OSError, http.client.HTTPException, ValueError, LookupError, TypeError]
    with suppress(ImportError):
        from urllib3.exceptions import HTTPError

        found.append(HTTPError)
    with suppress(ImportError):
        from keystoneauth1.exceptions import ClientException

        found.append(ClientException)
    return tuple(found)


_FAILURES = _failures()


class Account:
    """One account, as one user; the token is kept, and renewed when it has expired.

    :param options: of the store
    :param login: None if ``token`` is all there is
    :param url: storage URL; None to take what the login says
    """

    def __init__(self, options: Any, login: Login | None, url: str | None = None, token: str | None = None) -> None:
        self._options = options
        self._login = login
        self._url = url
        self._token = token

    @property
    def url(self) -> str:
        """The storage URL.  :raises StoreUnavailable: the login fails"""
        return self._authorized()[0]

    def at(self, url: str) -> "Account":
        """Another account that the same user may reach.  :raises StoreUnavailable: the login fails"""
        return Account(self._options, self._login, url, self._authorized()[1])

    # --- through swiftclient ------------------------------------------------------

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``swiftclient.Connection``.

        :raises Refused: Swift answered with another status
        :raises StoreUnavailable: no answer, or the login fails
        """
        url, token = self._authorized()
        connection = self._connection(url, token)
        try:
            with self._translated(method):
                return getattr(connection, method)(*args, **kwargs)
        finally:
            self._token = connection.token
            _close(connection)

    def exists(self, container: str, name: str) -> bool:
        """Whether there is such an object."""
        return self.head(container, name) is not None

    def head(self, container: str, name: str | None = None) -> dict[str, str] | None:
        """Headers of an object or a container, None if there is none."""
        try:
            if name is None:
                return self.call("head_container", container)
            return self.call("head_object", container, name)
        except Refused as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def listing(self, container: str, prefix: str | None = None, page: int = 10000) -> Iterator[dict[str, Any]]:
        """Entries of a container in the order of their names; none if it does not exist."""
        yield from self._pages("get_container", container, limit=page, prefix=prefix)

    def containers(self, prefix: str) -> Iterator[str]:
        """Names of the containers that start with ``prefix``."""
        for entry in self._pages("get_account", limit=10000, prefix=prefix):
            yield entry["name"]

    def _pages(self, method: str, *args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
        marker = None
        while True:
            try:
                entries = self.call(method, *args, marker=marker, **kwargs)[1]
            except Refused as error:
                if error.status == http.client.NOT_FOUND:
                    return
                raise
            yield from (entry for entry in entries if "name" in entry)
            if not entries:
                return
            marker = entries[-1]["name"]

    def _authorized(self) -> tuple[str, str]:
        if self._url is None or self._token is None:
            if self._login is None:
                raise exception.StoreUnavailable()
            connection = self._connection(self._url, None)
            try:
                with self._translated("login"):
                    url, self._token = connection.get_auth()
            except Refused:
                raise exception.StoreUnavailable() from None
            finally:
                _close(connection)
            self._url = self._url or self._internal(url)
            if not self._token or not self._url:
                LOG.error("Swift: %s gives no token or no storage URL", self._login.auth_url)
                raise exception.StoreUnavailable()
        return self._url, self._token

    def _internal(self, url: str) -> str:
        """The storage URL by its name in the internal network of swift_enable_snet."""
        return url.replace("://", "://snet-", 1) if url and self._options.swift_enable_snet else url

    def _connection(self, url: str | None, token: str | None) -> Any:
        login = self._login or Login("", None, None, "1")
        return swiftclient.Connection(
            login.auth_url, login.user, login.key, auth_version=login.version, os_options=dict(login.options),
            preauthurl=url, preauthtoken=token, cacert=self._options.swift_store_cacert or None,
            insecure=self._options.swift_store_auth_insecure, timeout=TIMEOUT, retries=1, starting_backoff=0.5,
        )  # fmt: skip

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except swiftclient.ClientException as error:
            if error.http_status is None or error.http_status == _UNAUTHORIZED:
                _log(what, error)
                raise exception.StoreUnavailable() from None
            if error.http_status != http.client.NOT_FOUND:
                _log(what, error)
            raise Refused(error.http_status) from None
        except _FAILURES as error:
            _log(what, error)
            raise exception.StoreUnavailable() from None

    # --- data ----------------------------------------------------------------------

    def get(self, container: str, name: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, Any]:
        """Send a GET; return the answer, of any status but 401, and the connection to close.

        :raises StoreUnavailable: no answer
        """
        for attempt in range(2):
            connection = self._request("GET", container, name, headers)
            try:
                response = connection.getresponse()
                if response.status != _UNAUTHORIZED or attempt:
                    return response, connection
                self._expired()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                _log("GET", error)
                raise exception.StoreUnavailable() from None
            connection.close()
        raise exception.StoreUnavailable()

    def put(self, container: str, name: str, length: int | None, headers: dict[str, str]) -> "Put":
        """Begin to write an object of ``length`` bytes, None if unknown.  :raises StoreUnavailable:"""
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        connection = self._request(
            "PUT", container, name, {"Content-Type": "application/octet-stream", **framing, **headers}
        )
        return Put(connection, chunked=length is None)

    def _expired(self) -> None:
        if self._login is not None:
            self._token = None

    def _request(self, method: str, container: str, name: str, headers: dict[str, str]) -> http.client.HTTPConnection:
        url, token = self._authorized()
        try:
            parts = urlsplit(url)
            kind: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
            if parts.scheme == "https":
                kind = self._secure
            connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        except ValueError as error:
            _log(method, error)
            raise exception.StoreUnavailable() from None
        try:
            path = quote(f"{parts.path.rstrip('/')}/{container}/{name}")
            connection.putrequest(method, path, skip_accept_encoding=True)
            for key, value in {"X-Auth-Token": token, "User-Agent": "glance", **headers}.items():
                connection.putheader(key, value)
            connection.endheaders()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            _log(method, error)
            raise exception.StoreUnavailable() from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _secure(self, host: str, port: int | None, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._options.swift_store_cacert or None)
        if self._options.swift_store_auth_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Put:
    """A PUT in progress.  Exactly one of ``finish`` and ``abort`` ends it."""

    def __init__(self, connection: http.client.HTTPConnection, *, chunked: bool) -> None:
        self._connection = connection
        self._chunked = chunked
        self._poll = None
        if not isinstance(connection, http.client.HTTPSConnection):  # there, what can be read need not be an answer
            self._poll = native("select").poll()
            self._poll.register(connection.sock.fileno(), native("select").POLLIN)

    def send(self, data: memoryview) -> None:
        """Send a piece that is not empty.

        :raises Refused: Swift has answered already, so it wants no more
        :raises StoreUnavailable:
        """
        if self._poll is not None and self._poll.poll(0):
            self._answer()
            raise exception.StoreUnavailable()
        try:
            if self._chunked:
                self._connection.send(b"%x\r\n" % len(data))
                self._connection.send(data)
                self._connection.send(b"\r\n")
            else:
                self._connection.send(data)
        except (OSError, http.client.HTTPException) as error:
            if self._connection.sock is not None:
                self._connection.sock.settimeout(_REFUSAL_TIMEOUT)
                with suppress(exception.StoreUnavailable):
                    self._answer()
            self.abort()
            _log("PUT", error)
            raise exception.StoreUnavailable() from None

    def finish(self) -> str:
        """Complete the object; return its ETag.  :raises Refused, StoreUnavailable:"""
        if self._chunked:
            try:
                self._connection.send(b"0\r\n\r\n")
            except OSError as error:
                _log("PUT", error)
                raise exception.StoreUnavailable() from None
        return self._answer()

    def abort(self) -> None:
        """Break off: Swift forgets what it was sent."""
        self._connection.close()

    def _answer(self) -> str:
        try:
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            _log("PUT", error)
            raise exception.StoreUnavailable() from None
        finally:
            self.abort()
        if response.status != http.client.CREATED:
            _log("PUT", f"{response.status} {response.reason}")
            raise Refused(response.status)
        return (response.getheader("ETag") or "").strip('"')


def _close(connection: Any) -> None:
    """Close a swiftclient connection, whose own ``close`` leaves the socket to the garbage collector."""
    if connection.http_conn:
        web = connection.http_conn[1]
        if web.resp is not None:
            web.resp.close()
        web.resp = None  # it refers back, and nothing closes the pool but its end
    connection.close()


def _log(what: str, error: object) -> None:
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    LOG.error("Swift: %s: %s", what, one_line(mask_secrets(text)))
