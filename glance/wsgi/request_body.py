"""The body of a request as ``environ["wsgi.input"]``.

Besides the methods that WSGI asks for, ``readinto`` moves bytes from the socket straight
into a caller's buffer, so that an upload needs no copy and no allocation per block.
"""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from glance.wsgi.client_stream import ClientStream, MalformedBody

_BLOCK = 1 << 16
_MAX_TRAILERS = 65536
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class RequestBody:
    """One request's body; ends after its last byte, whatever follows on the connection.

    :param length: Content-Length in bytes, None for a chunked body
    :param send_continue: called before the first read if the client waits for
        ``100 Continue``, else None
    :ivar finished: every byte was read
    :ivar remaining: bytes not yet read, None for a chunked body
    """

    __slots__ = ("_chunk", "_continue", "_stream", "finished", "remaining")

    def __init__(self, stream: ClientStream, length: int | None, send_continue: Callable[[], None] | None) -> None:
        self._stream = stream
        self._continue = send_continue
        self._chunk = 0
        self.remaining = length
        self.finished = length == 0

    @property
    def unasked(self) -> bool:
        """The client still waits for ``100 Continue``, so perhaps nothing of the body is on its way."""
        return self._continue is not None

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what is at hand, at least one byte; return how many, 0 at the end.

        Best are large buffers from ``mmap.mmap(-1, size)``: those of ``bytearray`` are not
        aligned, and the system's copy into them was measured to cost nearly twice as much.

        :raises ClientGone: the client broke off before the end, or timed out
        :raises MalformedBody: broken chunked encoding
        """
        view = memoryview(buffer).cast("B")
        if self.finished or not len(view):
            return 0
        if self._continue is not None:
            self._continue()
            self._continue = None
        if self.remaining is None:
            return self._chunked_readinto(view)
        if self.remaining < len(view):
            view = view[: self.remaining]
        count = self._stream.recv_into(view)
        self.remaining -= count
        self.finished = not self.remaining
        return count

    def _chunked_readinto(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            if not self._chunk:
                if filled and not self._stream.has_line():
                    break  # the next chunk is still on its way: hand over what is here
                self._next_chunk()
                if self.finished:
                    break
            elif filled and not self._stream.buffered:
                break
            count = self._stream.recv_into(view[filled : filled + self._chunk])
            filled += count
            self._chunk -= count
            if not self._chunk and self._stream.readline():
                raise MalformedBody("chunk longer than its size")
        return filled

    def _next_chunk(self) -> None:
        match = _CHUNK_SIZE.fullmatch(self._stream.readline())
        if match is None:
            raise MalformedBody("malformed chunk size")
        self._chunk = int(match[1], 16)
        if self._chunk:
            return
        size = 0
        while line := self._stream.readline():  # trailers: nobody wants them
            size += len(line)
            if size > _MAX_TRAILERS:
                raise MalformedBody("trailers too long")
        self.finished = True

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; all of them for None or -1."""
        wanted = float("inf") if size is None or size < 0 else size
        blocks: list[bytes] = []
        while wanted > 0 and not self.finished:
            room = int(min(wanted, _BLOCK if self.remaining is None else min(self.remaining, 16 * _BLOCK)))
            view = memoryview(bytearray(room))
            filled = 0
            while filled < room and (count := self.readinto(view[filled:])):
                filled += count
            blocks.append(view[:filled].tobytes())
            wanted -= filled
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def readline(self, size: int | None = -1) -> bytes:
        """Return one line, at most ``size`` bytes of it; byte by byte, as nothing here needs it."""
        line = BytesIO()
        limit = float("inf") if size is None or size < 0 else size
        while line.tell() < limit and (byte := self.read(1)):
            line.write(byte)
            if byte == b"\n":
                break
        return line.getvalue()

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return the remaining lines; stop after about ``hint`` bytes."""
        lines: list[bytes] = []
        size = 0
        while (not hint or hint < 0 or size < hint) and (line := self.readline()):
            lines.append(line)
            size += len(line)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")
