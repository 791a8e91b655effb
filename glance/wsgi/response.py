"""Writing one response: status line, headers, and the body however the application gives it."""

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

import eventlet

from glance.common.body import FileBody
from glance.wsgi.client_stream import ClientGone
from glance.wsgi.sendfile import TruncatedFile, send_region

_JOINED = 65536
"""Blocks up to this many bytes are copied to go out together with headers and framing."""

_YIELD_EVERY = 1 << 20

_date: tuple[int, str] = (0, "")


class BrokenResponse(Exception):
    """The body does not have the announced length: the connection must be broken off."""


class Response:
    """The response to one request.

    :param sock: green socket of the client
    :param http11: version of the request; HTTP/1.0 knows no chunks
    :param head_only: True for a HEAD request
    :param secure: TLS, which sendfile cannot do
    :param reusable: asked when the headers are written: may another request follow?
    :ivar status: as the application gave it, e.g. ``200 OK``; ``""`` before that
    :ivar started: the headers are on their way
    :ivar keep_alive: what the headers told the client
    :ivar sent: bytes of the body handed to the system, without chunk framing
    """

    __slots__ = (
        "_chunked",
        "_head_only",
        "_headers",
        "_http11",
        "_length",
        "_reusable",
        "_secure",
        "_sock",
        "keep_alive",
        "sent",
        "started",
        "status",
    )

    def __init__(self, sock: Any, *, http11: bool, head_only: bool, secure: bool, reusable: Callable[[], bool]) -> None:
        self._sock = sock
        self._http11 = http11
        self._head_only = head_only
        self._secure = secure
        self._reusable = reusable
        self._headers: list[tuple[str, str]] = []
        self._length: int | None = None
        self._chunked = False
        self.status = ""
        self.started = False
        self.keep_alive = False
        self.sent = 0

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """WSGI's ``start_response``."""
        if exc_info:
            if self.started:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.status:
            raise RuntimeError("start_response was called twice")
        self.status = status
        self._headers = headers
        return self.write

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application returned; closing it is left to the caller.

        :raises ClientGone: the client did not take it all
        :raises BrokenResponse: it is shorter or longer than its Content-Length
        """
        total: int | None = None
        if isinstance(result, list | tuple):
            total = sum(map(len, result))
            if total <= _JOINED and len(result) > 1:
                result = [b"".join(result)]
        elif type(result) is FileBody:
            total = result.length
        if self.status and self._without_body:
            if not self.started:
                self._transmit(self._head(total))
        elif type(result) is FileBody and not self._secure:
            self._send_file(result)
        else:
            self._send_blocks(result, total)

    def refuse(self, status: str, text: str) -> None:
        """Send an answer of the server's own, in place of the application's."""
        self.status = status
        self._headers = [("Content-Type", "text/plain; charset=UTF-8")]
        self._length = None
        self.send([text.encode() + b"\n"])

    def write(self, data: bytes, total: int | None = None) -> None:
        """Send one block of the body, after the headers if they are not sent yet.

        :param total: length of the whole body if it is known without Content-Length
        """
        prefix = b"" if self.started else self._head(total)
        if self._without_body:
            data = b""
        excess = 0 if self._length is None else self.sent + len(data) - self._length
        if excess > 0:
            data = data[:-excess]
        suffix = b""
        if self._chunked and data:
            prefix += b"%x\r\n" % len(data)
            suffix = b"\r\n"
        if len(data) <= _JOINED:
            self._transmit(prefix + data + suffix)
        else:
            for part in (prefix, data, suffix):
                self._transmit(part)
        self.sent += len(data)
        if excess > 0:
            raise BrokenResponse(f"more than the announced {self._length} bytes")

    @property
    def _without_body(self) -> bool:
        return self._head_only or self.status.startswith(("1", "204", "304"))

    def _send_blocks(self, result: Iterable[bytes], total: int | None) -> None:
        unyielded = 0
        for block in result:
            if not block:
                continue
            self.write(block, total)
            if self._without_body:
                return
            unyielded += len(block)
            if unyielded >= _YIELD_EVERY:
                # A socket that takes everything never waits, but the others want their turn.
                unyielded = 0
                eventlet.sleep(0)
        if not self.started:
            self._transmit(self._head(0))
        if self._chunked:
            self._transmit(b"0\r\n\r\n")
        self._check_length()

    def _send_file(self, body: FileBody) -> None:
        if not self.started:
            self._transmit(self._head(body.length))
        length = body.length if self._length is None else min(body.length, self._length)
        try:
            for count in send_region(self._sock, body.fd, body.offset, length):
                self.sent += count
        except TruncatedFile:
            raise BrokenResponse(f"the file ended after {self.sent} of {length} bytes") from None
        except (OSError, EOFError) as error:
            raise ClientGone(f"connection lost: {error}") from None
        self._check_length()

    def _check_length(self) -> None:
        if self._length is not None and self.sent != self._length and not self._without_body:
            raise BrokenResponse(f"{self.sent} bytes instead of the announced {self._length}")

    def _head(self, total: int | None) -> bytes:
        """Build the status line and headers and decide how the body is framed."""
        if not self.status:
            raise RuntimeError("the application did not call start_response")
        lines = [f"HTTP/1.1 {self.status}"]
        dated = closing = False
        for name, value in self._headers:
            lines.append(f"{name}: {value}")
            lower = name.lower()
            if lower == "content-length":
                self._length = int(value)
            elif lower == "date":
                dated = True
            elif lower == "connection":
                closing = True
        delimited = True
        if self._length is None and not self._without_body:
            if total is not None:
                self._length = total
                lines.append(f"Content-Length: {total}")
            elif self._http11:
                self._chunked = True
                lines.append("Transfer-Encoding: chunked")
            else:
                delimited = False
        if not dated:
            lines.append(f"Date: {_now()}")
        self.keep_alive = delimited and not closing and self._reusable()
        if not self.keep_alive:
            if not closing:
                lines.append("Connection: close")
        elif not self._http11:
            lines.append("Connection: keep-alive")
        lines.append("\r\n")
        text = "\r\n".join(lines)
        # One count over the whole text: a line break in any header would forge another one.
        breaks = len(lines)
        if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
            raise ValueError("a response header contains a control character")
        head = text.encode("latin-1")
        self.started = True
        return head

    def _transmit(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._sock.send(view) :]
        except (OSError, EOFError) as error:
            raise ClientGone(f"connection lost: {error}") from None


def _now() -> str:
    """The Date header's value; rendered once a second."""
    global _date  # noqa: PLW0603 - a cache of one
    second = int(time.time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]
