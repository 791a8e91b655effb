"""The progress bar of an upload (spec cli-and-client.md §3, add)."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from glance.client.wire import Body

_REFRESH = 0.1  # seconds
_STALLED_AFTER = 5.0  # seconds without a byte


@contextmanager
def shown(body: Body, size: int | None, name: str) -> Iterator[Body]:
    """Announce the upload on stdout and draw a bar while the body that is yielded is read.

    Nothing at all is written when stdout is no terminal.

    :param body: a bar is drawn for a seekable file
    :param size: bytes; None: a line says that there is no end to draw towards
    """
    if not sys.stdout.isatty():
        yield body
        return
    print(f"Uploading image '{name}'")
    if size is None:
        print("The size of the data is not known in advance: no progress is shown.")
    if not size or not hasattr(body, "seek"):
        yield body
        return
    watched = _Watched(cast(IO[bytes], body))
    finished = threading.Event()
    drawer = threading.Thread(target=_draw, args=(watched, size, finished), daemon=True)
    drawer.start()
    try:
        yield cast(Body, watched)
    finally:
        finished.set()
        drawer.join()


class _Watched:
    """A file that knows how far it was read; ``seek`` and ``tell`` are the file's own."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._start = source.tell()
        self.done = 0

    def read(self, amount: int) -> bytes:
        block = self._source.read(amount)
        self.done = self._source.tell() - self._start
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def _draw(watched: _Watched, size: int, finished: threading.Event) -> None:
    began = moved = time.monotonic()
    before = 0
    ended = False
    while not ended:
        ended = finished.wait(_REFRESH)
        now, done = time.monotonic(), watched.done
        if done != before:
            moved, before = now, done
        stalled = now - moved > _STALLED_AFTER
        line = bar_line(done, size, now - began, stalled, shutil.get_terminal_size().columns - 1)
        sys.stdout.write(f"\r{line}{chr(10) if ended else ''}")
        sys.stdout.flush()


def bar_line(done: int, size: int, seconds: float, stalled: bool, width: int) -> str:
    """Return one state of the bar, ``width`` columns wide where that is enough for it.

    :param done, size: bytes; ``size`` is not 0
    :param seconds: since the start
    :param stalled: nothing has moved for a while
    """
    done = min(done, size)
    rate = done / max(seconds, 0.001)
    if stalled:
        tail = "Stalled"
    else:
        left = int((size - done) / rate) if rate else 0
        hours, minutes = min(left // 3600, 99), left // 60 % 60
        tail = f"{_human(rate)}/s, ETA {hours:2}h {minutes:2}m {left % 60:2}s"
    status = f"[{done * 100 // size:3}%] {tail:<28}"
    room = max(1, width - len(status) - 1)
    return f"{'=' * (done * room // size) + '>':<{room + 1}}{status}"


def _human(amount: float) -> str:
    for unit in ("B", "K", "M", "G"):
        if amount < 1000 or unit == "G":
            break
        amount /= 1024
    return f"{amount:.1f}{unit}"
