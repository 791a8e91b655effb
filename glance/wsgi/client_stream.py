"""Buffered reading from a client's socket, shared by the heads and bodies of its requests."""

import re
import time
from collections.abc import Callable
from typing import Any

import eventlet

from glance.wsgi.request_head import MalformedRequest

HEAD_SECONDS = 60
"""A request line and its headers must be complete this long after their first byte."""

_HEAD_RECV = 65536
_BODY_RECV = 1 << 18
_DIRECT = 1 << 17
"""Buffers from this size on are filled straight from the socket."""

_YIELD_EVERY = 1 << 20
_LINE_EFFORT = 256
_MAX_LINE = 4096
_BARE_LF = re.compile(rb"(?<!\r)\n")


class ClientGone(ConnectionError):
    """The client broke off, or said nothing for client_socket_timeout seconds."""


class MalformedBody(OSError):
    """The chunked encoding of a body is broken (HTTP 400); the connection cannot go on."""


class ClientStream:
    """What a client sends; bytes received too many are kept for the next reader.

    :param sock: green socket, plain or TLS, with its timeout set
    """

    __slots__ = ("_at", "_data", "_unyielded", "sock")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self._data = b""
        self._at = 0
        self._unyielded = 0

    @property
    def buffered(self) -> int:
        """Bytes received and not yet read."""
        return len(self._data) - self._at

    def receive(self, size: int = _HEAD_RECV) -> None:
        """Wait for more bytes and buffer at most ``size`` of them.

        :raises ClientGone: end of stream, reset or timeout
        """
        block = self._from_socket(self.sock.recv, size)
        self._data = self._data[self._at :] + block
        self._at = 0

    def recv_into(self, view: memoryview) -> int:
        """Fill ``view`` partly or wholly, at least with one byte; return how many.

        :raises ClientGone: end of stream, reset or timeout
        """
        if not self.buffered:
            if len(view) >= _DIRECT:
                count = self._from_socket(self.sock.recv_into, view)
                self._let_others_run(count)
                return count
            self.receive(_BODY_RECV)
            self._let_others_run(self.buffered)
        count = min(self.buffered, len(view))
        view[:count] = memoryview(self._data)[self._at : self._at + count]
        self._at += count
        return count

    @staticmethod
    def _from_socket(recv: Callable[[Any], Any], argument: Any) -> Any:
        try:
            got = recv(argument)
        except TimeoutError:
            raise ClientGone("the client sent nothing in time") from None
        except (OSError, EOFError) as error:
            raise ClientGone(f"connection lost: {error}") from None
        if not got:
            raise ClientGone("connection closed by the client")
        return got

    def _let_others_run(self, work: int) -> None:
        """Yield now and then; ``work`` is what was done since the last call, in bytes or as much effort.

        A client that sends faster than we read keeps the socket readable, and then nothing
        here ever waits: without this it would have the worker to itself.
        """
        self._unyielded += work
        if self._unyielded >= _YIELD_EVERY:
            self._unyielded = 0
            eventlet.sleep(0)

    def has_line(self) -> bool:
        """Whether ``readline`` would return without waiting."""
        return self._data.find(b"\n", self._at) >= 0

    def readline(self) -> bytes:
        """Return a line of the chunked encoding without its CRLF.

        :raises ClientGone: end of stream, reset or timeout
        :raises MalformedBody: too long, or not ended by CRLF
        """
        while (end := self._data.find(b"\n", self._at, self._at + _MAX_LINE)) < 0:
            if self.buffered >= _MAX_LINE:
                raise MalformedBody("line of the chunked encoding too long")
            self.receive(_BODY_RECV)
        self._let_others_run(_LINE_EFFORT)
        line = self._data[self._at : end + 1]
        self._at = end + 1
        if not line.endswith(b"\r\n"):
            raise MalformedBody("line of the chunked encoding without CR LF")
        return line[:-2]

    def read_head(self, limit: int) -> bytes:
        """Return the request line and headers without the CRLF CRLF that ends them.

        :param limit: bytes of the longest head
        :raises ClientGone: end of stream, reset or timeout before the end
        :raises MalformedRequest: too long, or a line that is not ended by CRLF
        """
        self._skip_empty_lines()
        # Nearly always the whole head came in one packet, so nothing below is repeated.
        searched = self._at
        deadline = None
        while (end := self._data.find(b"\r\n\r\n", max(searched, self._at))) < 0:
            if _BARE_LF.search(self._data, searched):
                raise MalformedRequest("line not ended by CR LF")
            if self.buffered > limit:
                raise MalformedRequest("headers too long", "431 Request Header Fields Too Large")
            searched = max(len(self._data) - self._at - 3, 0)
            now = time.monotonic()
            deadline = deadline or now + HEAD_SECONDS
            self._receive_until(deadline - now)
            self._skip_empty_lines()
        head = self._data[self._at : end]
        if len(head) > limit:
            raise MalformedRequest("headers too long", "431 Request Header Fields Too Large")
        self._at = end + 4
        return head

    def _skip_empty_lines(self) -> None:
        while self._data.startswith(b"\r\n", self._at):
            self._at += 2

    def _receive_until(self, seconds: float) -> None:
        timeout = self.sock.gettimeout()
        self.sock.settimeout(max(0.001, min(seconds, timeout or seconds)))
        try:
            self.receive()
        finally:
            self.sock.settimeout(timeout)
