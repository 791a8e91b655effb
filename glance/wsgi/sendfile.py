"""Sending a region of a file without copying it through the process.

A native thread calls sendfile, since the pages may have to come from a disk and the hub
must not wait for it.  A turn in the thread ends soon when the client does not keep up:
then the hub waits for the socket, so that a slow client occupies no thread.  Fast clients
share ``_SHARED_SECONDS`` between them: each hand-over between hub and thread costs some
of a lone client's speed, while among many nobody may keep a thread for long.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

from eventlet import hubs, patcher

from glance.common.offload import offload

_SHARED_SECONDS = 0.4
_CALL_BYTES = 16 << 20
_POLL_MILLISECONDS = 5

_select = patcher.original("select")
_in_turn: set[int] = set()
"""Descriptors of the sockets that threads are sending to, or are about to."""


class TruncatedFile(Exception):
    """The file ended before the region did."""


def send_region(sock: Any, fd: int, offset: int, length: int) -> Iterator[int]:
    """Send ``length`` bytes of file ``fd`` from ``offset``; yield the bytes sent in each turn.

    Nobody may close ``sock`` or ``fd`` before this generator is finished or closed.

    :param sock: plain green socket; its timeout bounds each wait for the client
    :raises TruncatedFile: the file is shorter
    :raises OSError: the client has gone; TimeoutError when it takes nothing any more
    """
    out = sock.fileno()
    while length:
        _in_turn.add(out)
        try:
            count, full = offload(_turn, out, fd, offset, length, _SHARED_SECONDS / len(_in_turn))
        finally:
            _in_turn.discard(out)
        offset += count
        length -= count
        yield count
        if full:
            hubs.trampoline(
                out, write=True, timeout=sock.gettimeout(), timeout_exc=TimeoutError("the client takes no more data")
            )
        elif not count:
            raise TruncatedFile


def _turn(out: int, fd: int, offset: int, length: int, seconds: float) -> tuple[int, bool]:
    """Send for a while; return (bytes sent, whether the socket takes no more)."""
    sent = 0
    poll = None
    stop = time.monotonic() + seconds
    while sent < length:
        try:
            count = os.sendfile(out, fd, offset + sent, min(length - sent, _CALL_BYTES))
        except BlockingIOError:
            if poll is None:
                poll = _select.poll()
                poll.register(out, _select.POLLOUT)
            if not poll.poll(_POLL_MILLISECONDS):
                return sent, True
            continue
        except OSError:
            if sent:
                break  # what did go out counts; the next turn meets the error again
            raise
        if not count:
            break
        sent += count
        if time.monotonic() >= stop:
            break
    return sent, False
