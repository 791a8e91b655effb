"""The HTTP transport of ``glance.client`` and of the API server's registry client.

``HTTPClient(host, port).request("GET", "/images")`` returns a ``Response`` or raises what
the answer's status means (spec cli-and-client.md §6).  Connections are kept and used
again.  Works in native threads and, when its caller has patched the standard library,
in green ones.
"""

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, NamedTuple, cast
from urllib.parse import urlencode, urljoin, urlsplit

from glance.client.wire import BLOCK, BadAnswer, Body, Connection, Response
from glance.common import exception

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 305, 307})
_SUCCESS = frozenset({200, 201, 202, 204})
_ERRORS: dict[int, type[exception.GlanceException]] = {
    300: exception.MultipleChoices,
    400: exception.Invalid,
    401: exception.NotAuthenticated,
    403: exception.NotAuthorized,
    404: exception.NotFound,
    409: exception.Duplicate,
    413: exception.LimitExceeded,
    500: exception.ServerError,
    503: exception.ServiceUnavailable,
}
_MAX_ERROR_BODY = 65536
_MAX_IDLE = 64  # connections kept
_MAX_IDLE_SECONDS = 60.0  # middle boxes forget a silent connection without telling
# Meant for one server alone: who the caller is, and what proves it.
_PRIVATE_HEADERS = frozenset(
    (
        "authorization", "cookie", "x-auth-token", "x-storage-token", "x-service-token",
        "x-auth-user", "x-auth-key", "x-auth-tenant",
        "x-identity-status", "x-user-id", "x-tenant-id", "x-roles", "x-service-catalog",
    )
)  # fmt: skip
_HEADER = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+: [^\r\n\0]*\r\n").fullmatch
_STATUS_LINE = re.compile(r"\A\d{3} [^\n]*\n\s*")  # first line of a plain error body
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "host", "connection"})


class Origin(NamedTuple):
    """Which server: what a connection and a token belong to."""

    use_ssl: bool
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.use_ssl else 'http'}://{host}:{self.port}"


def split_url(url: str) -> tuple[Origin, str]:
    """Return the server of an http or https URL and its path with the query.  :raises ValueError: it is none"""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https URL")
    use_ssl = parts.scheme == "https"
    origin = Origin(use_ssl, parts.hostname, parts.port or (443 if use_ssl else 80))
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_repeatable(body: Body | None) -> bool:
    """Whether ``body`` can be sent a second time as it is."""
    return body is None or isinstance(body, bytes | bytearray | memoryview)


def position(body: Body | None) -> int | None:
    """Offset of a seekable file, None for any other body."""
    try:
        return cast(IO[bytes], body).tell() if hasattr(body, "seek") and cast(IO[bytes], body).seekable() else None
    except OSError:
        return None


def data_size(body: Body) -> int | None:
    """Number of bytes that ``body`` has to give, None when only reading would tell."""
    if isinstance(body, bytes | bytearray | memoryview):
        return memoryview(body).nbytes
    start = position(body)
    if start is None:
        return None
    source = cast(IO[bytes], body)
    end = source.seek(0, os.SEEK_END)
    source.seek(start)
    return max(0, end - start)


class HTTPClient:
    """Requests to one server.

    :param host: name or address; IPv6 without brackets
    :param timeout: seconds for connecting and for each send or receive; None or 0: no limit
    :param doc_root: put before every path, e.g. ``/v1``
    :param key_file, cert_file, ca_file, insecure: see ``glance.client.tls.context``; only used with ``use_ssl``
    :raises ClientConnectionError: a TLS file is missing or of no use
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        use_ssl: bool = False,
        key_file: str | None = None,
        cert_file: str | None = None,
        ca_file: str | None = None,
        insecure: bool = False,
        timeout: float | None = None,
        doc_root: str = "",
    ) -> None:
        self.origin = Origin(use_ssl, host, port)
        self.doc_root = "/" + doc_root.strip("/") if doc_root.strip("/") else ""
        self._timeout = timeout or None
        self._tls_options = (key_file, cert_file, ca_file, insecure)
        self._tls = self._tls_context() if use_ssl else None
        self._idle: deque[Connection] = deque()
        self._pid = os.getpid()

    def _tls_context(self) -> Any:
        from glance.client import tls  # ssl takes longer to import than all the rest

        return tls.context(*self._tls_options)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Body | None = None,
        raw: bool = False,
        idempotent: bool | None = None,
    ) -> Response:
        """Send one request and return the answer; its body is still to be read.

        :param path: already quoted; goes after ``doc_root``
        :param headers: values are sent as UTF-8; framing headers are the transport's own and ignored here
        :param params: query; None values are dropped
        :param body: bytes; a binary file, sent with Content-Length from its position on when it is seekable; an
            iterator of bytes or any other object with ``read``, sent chunked
        :param raw: return the answer whatever its status, redirects included
        :param idempotent: whether sending it twice does what sending it once does; None: by the method.
            Such a request is repeated when a kept connection turns out to be dead
        :raises ClientConnectionError: refused, timed out, broken, or not HTTP
        :raises MaxRedirectsExceeded, InvalidRedirect:
        :raises Invalid, NotAuthenticated, NotAuthorized, NotFound, Duplicate, LimitExceeded, ServerError,
            ServiceUnavailable, MultipleChoices, UnexpectedStatus: by status; ``details`` has what the body says
        """
        target = self.doc_root + path
        if params:
            query = urlencode([(key, value) for key, value in params.items() if value is not None])
            if query:
                target = f"{target}{'&' if '?' in target else '?'}{query}"
        if idempotent is None:
            idempotent = method != "POST"
        origin, fields = self.origin, dict(headers) if headers else {}
        start = position(body)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._exchange(origin, method, target, fields, body, idempotent)
            except OSError as error:
                raise exception.ClientConnectionError(_connection_message(origin, error)) from error
            if raw or response.status in _SUCCESS:
                return response
            if response.status not in REDIRECTS:
                raise _error(response)
            location = response.headers.get("location")
            response.read(_MAX_ERROR_BODY)
            origin, target, fields = _redirected(origin, target, fields, location)
            if response.status == 303 and method != "HEAD":
                method, body = "GET", None
            elif start is not None:
                cast(IO[bytes], body).seek(start)
            elif not is_repeatable(body):
                raise exception.InvalidRedirect(f"{origin} was named as the place for data that has already been sent.")
        raise exception.MaxRedirectsExceeded(redirects=MAX_REDIRECTS)

    def _exchange(
        self, origin: Origin, method: str, target: str, headers: Mapping[str, Any], body: Body | None, idempotent: bool
    ) -> Response:
        """One request, one answer.  :raises OSError:"""
        streamed = not is_repeatable(body)
        # Streamed data can be sent only once: it goes over a connection that cannot be stale.
        connection = None if streamed or origin != self.origin else self._kept()
        head = _request_head(origin, method, target, headers)
        if connection:
            try:
                return self._send(connection, method, head, body, self._release)
            except (TimeoutError, BadAnswer):
                raise
            except OSError:  # closed by the server before it answered; TLS has errors of its own for that
                if not idempotent:
                    raise
        release = self._release if origin == self.origin else None  # what a redirect led to is not kept
        return self._send(self._connect(origin), method, head, body, release)

    def _send(
        self,
        connection: Connection,
        method: str,
        head: bytes,
        body: Body | None,
        release: Callable[[Connection], None] | None,
    ) -> Response:
        try:
            try:
                _transmit(connection, head, body, needs_length=method in ("POST", "PUT"))
            except (ConnectionResetError, BrokenPipeError):
                # A server that refuses an upload answers and closes before the data has ended.
                return Response(connection, method, release=None)
            return Response(connection, method, release)
        except BaseException:
            connection.close()
            raise

    def _connect(self, origin: Origin) -> Connection:
        context = None
        if origin.use_ssl:
            if self._tls is None:
                self._tls = self._tls_context()
            context = self._tls
        return Connection(origin.host, origin.port, self._timeout, context)

    def _kept(self) -> Connection | None:
        if self._pid != os.getpid():  # connections are not shared with the process that forked this one
            self._idle, self._pid = deque(), os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                return None
            if time.monotonic() - connection.idle_since < _MAX_IDLE_SECONDS and connection.is_open():
                return connection
            connection.close()
        return None

    def _release(self, connection: Connection) -> None:
        if len(self._idle) < _MAX_IDLE:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()


def _request_head(origin: Origin, method: str, target: str, headers: Mapping[str, Any]) -> bytes:
    """Request line and headers, without the framing ones and the empty line.  :raises Invalid: cannot be sent"""
    if not target.isascii() or not target.isprintable() or " " in target:
        raise exception.Invalid(f"The path {target!r} has characters that must be quoted.")
    netloc = str(origin).partition("//")[2]
    if origin.port == (443 if origin.use_ssl else 80):
        netloc = netloc.rpartition(":")[0]
    lines = [f"{method} {target} HTTP/1.1\r\nHost: {netloc}\r\n"]
    for name, value in headers.items():
        line = f"{name}: {value}\r\n"
        if not _HEADER(line):
            raise exception.Invalid(f"{name!r} with the value {value!r} cannot be sent as a header.")
        if name.lower() not in _FRAMING_HEADERS:
            lines.append(line)
    try:
        return "".join(lines).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise exception.Invalid(f"A header holds {error.object[error.start]!r}, which is not text.") from None


def _transmit(connection: Connection, head: bytes, body: Body | None, needs_length: bool) -> None:
    if body is None:
        connection.send(head + (b"Content-Length: 0\r\n\r\n" if needs_length else b"\r\n"))
    elif isinstance(body, bytes | bytearray | memoryview):
        data = memoryview(body).cast("B")
        head += b"Content-Length: %d\r\n\r\n" % len(data)
        if len(data) <= BLOCK:  # one packet, one system call
            connection.send(head + data)
        else:
            connection.send(head)
            connection.send(data)
    elif (length := data_size(body)) is not None:
        connection.send(head + b"Content-Length: %d\r\n\r\n" % length)
        connection.send_counted(cast(IO[bytes], body), length)
    else:
        read = getattr(body, "read", None)
        connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.send_chunked(iter(lambda: read(BLOCK), b"") if read else iter(cast(Iterable[bytes], body)))


def _redirected(
    origin: Origin, target: str, headers: dict[str, Any], location: str | None
) -> tuple[Origin, str, dict[str, Any]]:
    """Where a redirect leads, and the headers that may be sent there.  :raises InvalidRedirect:"""
    try:
        if not location:
            raise ValueError
        new, new_target = split_url(urljoin(f"{origin}{target}", location))
    except ValueError:
        raise exception.InvalidRedirect(f"{origin} redirects to {location!r}, which is no address.") from None
    if origin.use_ssl and not new.use_ssl:
        raise exception.InvalidRedirect(f"{origin} redirects from https to http: {new} is not asked.")
    if (new.host, new.port) != (origin.host.lower(), origin.port):
        headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return new, new_target, headers


def _connection_message(origin: Origin, error: OSError) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        reason = "no answer in time"
    else:
        reason = getattr(error, "verify_message", None) or error.strerror or str(error)
    return f"There was an error connecting to {origin}: {reason}"


def _error(response: Response) -> exception.GlanceException:
    """The exception that a status stands for, with the text of the answer."""
    body = response.read(_MAX_ERROR_BODY).decode("utf-8", "replace").strip()
    kind = _ERRORS.get(response.status, exception.UnexpectedStatus)
    message = kind.message.format(status=response.status)
    if body:
        message = f"{message}\nDetails: {body}"
    if issubclass(kind, exception.LimitExceeded | exception.ServiceUnavailable):
        seconds = response.headers.get("retry-after", "")
        error: exception.GlanceException = kind(message, retry_after=int(seconds) if seconds.isdecimal() else None)
    else:
        error = kind(message)
    error.details = _STATUS_LINE.sub("", body)
    return error
