"""Sending a region of a file without copying it through the process.

A native thread calls sendfile, since the pages may have to come from a disk and the hub
must not wait for it.  Each turn in the thread ends after ``_TURN_BYTES`` or
``_TURN_SECONDS``, and soon when the client does not keep up: then the hub waits for the
socket, so that a slow client occupies no thread.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

from eventlet import hubs, patcher

from glance.common.offload import offload

_TURN_BYTES = 16 << 20
_TURN_SECONDS = 0.02
_CALL_BYTES = 1 << 20
_POLL_MILLISECONDS = 5

_select = patcher.original("select")


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
        count, full = offload(_turn, out, fd, offset, length)
        offset += count
        length -= count
        yield count
        if full:
            hubs.trampoline(
                out, write=True, timeout=sock.gettimeout(), timeout_exc=TimeoutError("the client takes no more data")
            )
        elif not count:
            raise TruncatedFile


def _turn(out: int, fd: int, offset: int, length: int) -> tuple[int, bool]:
    """Send for a while; return (bytes sent, whether the socket takes no more)."""
    sent = 0
    poll = None
    length = min(length, _TURN_BYTES)
    stop = time.monotonic() + _TURN_SECONDS
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
