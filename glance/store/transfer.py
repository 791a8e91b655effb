"""The upload pipeline: from a socket to a store, hashing on the way (spec stores.md §1).

The caller's thread reads the source into a few reusable buffers.  The store's write and
each hash run in a native thread of their own (``glance.store.lanes``), so socket, disk
and hashes work at the same time; a buffer is used again when all of them are done with
it.  That bounds a transfer's memory to ``BUFFERS`` blocks, however large the image.
"""

import hashlib
import logging
import mmap
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from glance.common import exception
from glance.common.offload import pause
from glance.store.base import Driver, Writer, Written
from glance.store.lanes import Job, Lane, Mailbox

LOG = logging.getLogger(__name__)

BLOCK = 1024 * 1024
BUFFERS = 4
"""More made no transfer faster; fewer let the socket wait for the slowest lane."""

_SLICE = 0.002
"""Seconds after which the reader lets other green threads run, however fast the source is."""


def store_data(
    driver: Driver,
    image_id: str,
    source: Any,
    size: int | None,
    *,
    hash_algo: str = "sha512",
    limit: int | None = None,
    exceeded: exception.LimitExceeded | None = None,
    on_progress: Callable[[int], None] | None = None,
    observers: Sequence[Callable[[memoryview], None]] = (),
) -> Written:
    """Write ``source`` to the store under ``image_id``; nothing remains of it if that fails.

    :param source: has ``readinto(memoryview) -> int`` (0 at the end), or ``read(bytes)``,
        or is an iterable of bytes
    :param size: bytes announced, None if unknown; more or fewer is ``Invalid``
    :param hash_algo: the second hash beside md5, any name that ``hashlib`` knows
    :param limit: most bytes that are accepted; ``exceeded`` is raised beyond it
    :param on_progress: called in the caller's thread with the bytes read so far, once per
        block; what it raises ends the transfer
    :param observers: each is called with every block, in order, in a native thread of its own,
        and must keep no reference to it; what one raises ends the transfer
    :raises OSError: whatever the source raised, as when the client broke off
    :raises Invalid, LimitExceeded, Duplicate, StorageFull, StorageWriteDenied,
        StoreAddDisabled, StoreUnavailable:
    """
    if limit is not None and size is not None and size > limit:
        raise exceeded or exception.ImageSizeLimitExceeded(limit=limit)
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("md5", hash_algo)}
    watchers = [*(digest.update for digest in digests.values()), *observers]
    pipeline = _Pipeline(driver.BLOCKING, driver.patience, watchers)
    try:
        pipeline.open(driver, image_id, size)
        read = _reader(source)
        total, ended = 0, False
        while not ended:
            data, length, ended = _fill(read, pipeline.buffer())
            total += length
            if limit is not None and total > limit:
                raise exceeded or exception.ImageSizeLimitExceeded(limit=limit)
            if size is not None and (total > size or (ended and total < size)):
                raise _wrong_size(size, total, ended)
            pipeline.put(data, length)
            if on_progress is not None:
                on_progress(total)
        uri, metadata = pipeline.commit()
    except exception.GlanceException as error:
        if isinstance(error.__cause__, OSError):
            LOG.error("The transfer of image %s to store %s failed: %s", image_id, driver.NAME, error.__cause__)
        raise
    finally:
        pipeline.close()
    return Written(
        uri=uri, size=total, checksum=digests["md5"].hexdigest(), hash_algo=hash_algo,
        hash_value=digests[hash_algo].hexdigest(),
        metadata={**metadata, "store": driver.backend} if driver.backend else metadata,
    )  # fmt: skip


def _wrong_size(size: int, total: int, ended: bool) -> exception.Invalid:
    if ended:
        return exception.Invalid(f"Only {total} of the {size} bytes announced were received.")
    return exception.Invalid(f"More than the {size} bytes announced were received.")


def _fill(read: Callable[[memoryview], int], data: mmap.mmap) -> tuple[mmap.mmap, int, bool]:
    """Read until ``data`` is full or the source ends; return it, the length, and whether it ended."""
    view = memoryview(data)
    filled, since = 0, time.monotonic()
    while filled < BLOCK:
        count = read(view[filled:])
        if not count:
            return data, filled, True
        filled += count
        # A source that always has data never waits, so it would never let anyone else run.
        if time.monotonic() - since > _SLICE:
            pause()
            since = time.monotonic()
    pause()
    return data, filled, False


def _reader(source: Any) -> Callable[[memoryview], int]:
    """Make any kind of source look like ``readinto``."""
    if hasattr(source, "readinto"):
        return source.readinto
    if hasattr(source, "read"):
        return IterableSource(iter(lambda: source.read(BLOCK), b"")).readinto
    return IterableSource(source).readinto


class IterableSource:
    """A source that takes its bytes from an iterable, such as the body of a ``Reader``."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Fill the start of ``view``; return the number of bytes, 0 at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Pipeline:
    """The buffers and lanes of one transfer.

    Everything that is done to the writer of a blocking driver is a job of one lane, so a
    cancel can never overtake a write or a commit that is still going on.  A driver that
    speaks through green sockets is called in the caller's thread instead.

    :param patience: seconds without any progress after which the writer counts as hung; its lane is then left
        alone, and cancels when it can
    """

    def __init__(self, blocking: bool, patience: float | None, updates: list[Callable[[memoryview], None]]) -> None:
        self._patience = patience
        self._hangs = False
        self._spare: list[mmap.mmap] = []
        self._made = 0
        self._users: dict[int, int] = {}
        self._outstanding = 0
        self._cancel: Callable[[], None] | None = None
        self._lanes: list[Lane] = []
        try:
            self._mailbox = Mailbox()
        except OSError as error:
            raise exception.StoreUnavailable() from error
        try:
            self._disk = self._lane() if blocking else None
            self._hashes = [(self._lane(), update) for update in updates]
        except RuntimeError as error:
            self.close()
            raise exception.StoreUnavailable() from error

    def _lane(self) -> Lane:
        lane = Lane(self._mailbox)
        self._lanes.append(lane)
        return lane

    def open(self, driver: Driver, image_id: str, size: int | None) -> None:
        def begin() -> Writer:
            writer = driver.writer(image_id, size)
            if self._hangs:  # nobody waits for it any more
                writer.cancel()
            return writer

        writer: Writer = self._call(begin)
        self._write, self._commit, self._cancel = writer.write, writer.commit, writer.cancel

    def buffer(self) -> mmap.mmap:
        """A buffer that nobody uses; raises the first error of a lane."""
        while not self._mailbox.empty():
            self._collect()
        if not self._spare and self._made < BUFFERS:
            self._made += 1
            return mmap.mmap(-1, BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # aligned, for direct writes
        while not self._spare:
            self._collect()
        return self._spare.pop()

    def put(self, data: mmap.mmap, length: int) -> None:
        """Hand ``length`` bytes to the writer and to every hash, in order."""
        if not length:
            return
        view = memoryview(data)[:length]
        self._users[id(data)] = len(self._lanes)
        if self._disk is not None:
            self._submit(self._disk, self._write, view, tag=data)
        for lane, update in self._hashes:
            self._submit(lane, update, view, tag=data)
        if self._disk is None:
            self._write(view)

    def commit(self) -> tuple[str, dict[str, Any]]:
        """Wait for everything, then make the object complete."""
        while self._outstanding:
            self._collect()
        location = self._call(self._commit)
        self._cancel = None
        return location

    def close(self) -> None:
        """Cancel the upload unless it was committed; returns when no lane does anything any more, unless one hangs."""
        if self._cancel is not None:
            if self._disk is None:
                self._cancel()
            else:
                self._submit(self._disk, self._cancel)
        for lane in self._lanes:
            lane.stop()
        interrupted = None
        while self._outstanding and not self._hangs:
            try:
                self._receive()
            except exception.StoreUnavailable:
                break
            except BaseException as error:  # a timeout or a kill: the lanes still use buffers and files
                interrupted = error
        self._mailbox.close()
        if interrupted is not None:
            raise interrupted

    def _call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Return ``fn(*args)``, run where the writer is run."""
        if self._disk is None:
            return fn(*args)
        job = self._submit(self._disk, fn, *args)
        while self._collect() is not job:
            pass
        return job.result

    def _submit(self, lane: Lane, fn: Callable[..., Any], *args: Any, tag: Any = None) -> Job:
        self._outstanding += 1
        return lane.submit(fn, *args, tag=tag)

    def _collect(self) -> Job:
        job = self._receive()
        if job.error is not None:
            raise job.error
        return job

    def _receive(self) -> Job:
        """Wait for a finished job and take back the buffer that it was the last to use."""
        try:
            job = self._mailbox.get(self._patience)
        except exception.StoreUnavailable:
            self._hangs = True
            raise
        self._outstanding -= 1
        if job.tag is not None:
            self._users[id(job.tag)] -= 1
            if not self._users[id(job.tag)]:
                self._spare.append(job.tag)
        return job
