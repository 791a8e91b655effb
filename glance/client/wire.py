"""One HTTP/1.1 connection and the answers that come over it.

Written out, rather than taken from ``http.client``, for two reasons.  That library
refuses an answer with more than 100 headers, and an image may have 128 properties and
a dozen and a half attributes, each a header.  And its header parser costs more than
all the rest of a small call, while the API server makes such a call to its registry
for every request.

Failures of a connection are ``OSError``; callers outside this room only see ``ClientConnectionError``.
"""

import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from glance.common import exception

if TYPE_CHECKING:
    import ssl

BLOCK = 65536
"""Bytes per block of a streamed body, both ways."""

_MAX_LINE = 65536
_MAX_HEADERS = 4096
_TCP_ESTABLISHED = 1
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?\r?\n", re.DOTALL)

Body = bytes | bytearray | memoryview | IO[bytes] | Iterator[bytes]


class NoAnswer(ConnectionError):
    """The peer closed the connection without a byte of an answer."""


class BadAnswer(OSError):
    """What the peer sent is not HTTP/1, or ends too early."""


class Connection:
    """A connected socket, over TLS when ``context`` is given.

    :param timeout: seconds that connecting and every single send or receive may take; None: no limit
    """

    def __init__(self, host: str, port: int, timeout: float | None, context: "ssl.SSLContext | None") -> None:
        self.idle_since = 0.0
        sock = socket.create_connection((host, port), timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = context.wrap_socket(sock, server_hostname=host) if context else sock
        except BaseException:
            sock.close()
            raise
        self.reader = self._sock.makefile("rb", BLOCK)
        self.send: Callable[[bytes | memoryview], Any] = self._sock.sendall

    def is_open(self) -> bool:
        """False when the peer has closed its end; costs one system call and never waits."""
        if not hasattr(socket, "TCP_INFO"):
            return True
        return self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_ESTABLISHED

    def close(self) -> None:
        """Close the socket; safe to call again."""
        self.reader.close()
        self._sock.close()

    def send_counted(self, source: IO[bytes], length: int) -> None:
        """Send exactly ``length`` bytes of ``source``.  :raises BadAnswer: it has fewer"""
        while length:
            block = source.read(min(BLOCK, length))
            if not block:
                raise BadAnswer(f"the data ended {length} bytes before its announced size")
            self.send(block)
            length -= len(block)

    def send_chunked(self, blocks: Iterator[bytes]) -> None:
        """Send ``blocks`` in chunks of at most 65536 bytes, with the end mark."""
        for block in blocks:
            for start in range(0, len(block), BLOCK):
                piece = bytes(block[start : start + BLOCK])
                self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.send(b"0\r\n\r\n")

    def _line(self) -> bytes:
        line = self.reader.readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise BadAnswer("a line of the answer is too long")
        return line

    def read_head(self) -> tuple[int, bool, dict[str, str]]:
        """Return (status, whether it is HTTP/1.1, headers by lower-case name); 1xx answers are skipped.

        Values are UTF-8; a header that comes twice is joined by a comma.
        """
        while True:
            line = self._line()
            if not line:
                raise NoAnswer("the server closed the connection without an answer")
            version, _, rest = line.partition(b" ")
            code = rest[:3]
            if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
                raise BadAnswer("the server does not speak HTTP")
            headers = self.read_headers()
            if int(code) >= 200:
                return int(code), version != b"HTTP/1.0", headers

    def read_headers(self) -> dict[str, str]:
        """Read header lines up to the empty one (also the trailer of a chunked body)."""
        headers: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if not colon or not line.endswith(b"\n"):
                raise BadAnswer("a header of the answer is malformed or cut off")
            name = name.lower()
            value = value.strip(" \t\r\n")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise BadAnswer("the answer has too many headers")

    def read_chunk_size(self) -> int:
        size = _CHUNK_SIZE.match(self._line())
        if not size:
            raise BadAnswer("a chunk of the answer is malformed or cut off")
        return int(size[1], 16)

    def end_chunk(self) -> None:
        if self._line() not in (b"\r\n", b"\n"):
            raise BadAnswer("a chunk of the answer is malformed or cut off")


class Response:
    """An answer whose body has not been read yet.

    The connection is handed to ``release`` as soon as the body was read to its end
    (closed, when ``release`` is None); ``close`` gives up a body that is not wanted.

    :ivar status: HTTP status
    :ivar headers: by lower-case name
    """

    def __init__(self, connection: Connection, method: str, release: Callable[[Connection], None] | None) -> None:
        self._connection = connection
        self._release = release
        self.status, is_11, self.headers = connection.read_head()
        tokens = self.headers.get("connection", "").lower()
        self._reusable = "close" not in tokens if is_11 else "keep-alive" in tokens
        self._chunked = False
        self._left: int | None = 0  # bytes left of the body or of its current chunk; None: until the peer closes
        self._done = False
        if method == "HEAD" or self.status in (204, 304):
            self._finish()
        elif "transfer-encoding" in self.headers:
            self._chunked = True
            self._reusable = self._reusable and "content-length" not in self.headers
        elif "content-length" in self.headers:
            length = self.headers["content-length"]
            if not (length.isascii() and length.isdigit()):
                raise BadAnswer(f"the answer has the Content-Length {length!r}")
            self._left = int(length)
            if not self._left:
                self._finish()
        else:
            self._left = None
            self._reusable = False

    def _finish(self) -> None:
        self._done = True
        if self._reusable and self._release:
            self._release(self._connection)
        else:
            self._connection.close()

    def _block(self, limit: int) -> bytes:
        """Return up to ``limit`` bytes, b"" at the end."""
        if self._done:
            return b""
        connection = self._connection
        if self._chunked and not self._left:
            self._left = connection.read_chunk_size()
            if not self._left:
                connection.read_headers()
                self._finish()
                return b""
        block = connection.reader.read(limit if self._left is None else min(limit, self._left))
        if self._left is None:
            if not block:
                self._finish()
            return block
        if not block:
            raise BadAnswer(f"the server closed the connection {self._left} bytes before the end of the body")
        self._left -= len(block)
        if not self._left:
            if self._chunked:
                connection.end_chunk()
            else:
                self._finish()
        return block

    def iterate(self, block_size: int = BLOCK) -> Iterator[bytes]:
        """Yield the body in blocks of at most ``block_size`` bytes.

        :raises ClientConnectionError: the connection broke, or the body is shorter than announced
        """
        try:
            while block := self._block(block_size):
                yield block
        except OSError as error:
            raise exception.ClientConnectionError(f"The answer of the server broke off: {error}") from error
        finally:
            self.close()

    def read(self, limit: int | None = None) -> bytes:
        """Return the whole body, or about its first ``limit`` bytes and give up the rest."""
        blocks, size = [], 0
        for block in self.iterate():
            blocks.append(block)
            size += len(block)
            if limit is not None and size >= limit:
                break
        self.close()
        return b"".join(blocks)

    def json(self) -> Any:
        """Return the body parsed as JSON.  :raises ServerError: it is not JSON"""
        try:
            return json.loads(self.read())
        except ValueError:
            raise exception.ServerError("The server sent an answer that is not JSON.") from None

    def close(self) -> None:
        """Give up what was not read; the connection is then closed.  Safe to call again."""
        if not self._done:
            self._done = True
            self._connection.close()
