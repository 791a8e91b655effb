"""Getting the data of one image into a bucket (spec stores.md §6).

There are three ways, and ``S3Writer`` chooses: in parts, which several requests send at
the same time (also for what fits into one part, as one request); as one request that is
sent while the data arrives; as one request from a temporary file.  Either way the object
appears under its name in ``commit`` and not before.

Threads are those of ``threading``: green ones under eventlet, native ones elsewhere.
"""

import errno
import logging
import mmap
import os
import queue
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from glance.common import exception
from glance.common.offload import offload
from glance.store.s3_client import Body, Interrupted, calling, code_of, status_of

LOG = logging.getLogger(__name__)

MIB = 1024 * 1024
MAX_PARTS = 10000
"""The most parts that an object can have; their numbers start at 1."""

WINDOW = 40 * MIB
"""Memory of a transfer in parts, in bytes; but always two parts, one that is filled and one that is sent."""

_GROWTH = 1000
"""When the size is unknown, parts double in size after as many: 10000 parts of 10 MiB and up hold 10 TiB."""


@dataclass(frozen=True)
class Target:
    """The object to be."""

    client: Any
    bucket: str
    key: str

    @property
    def address(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}

    def size(self) -> int | None:
        """Size of the object in bytes, None if there is none."""
        try:
            with calling(f"looking for object {self.key}"):
                return self.client.head_object(**self.address)["ContentLength"]
        except exception.ImageDataNotFound:
            return None

    def check_absent(self) -> None:
        """:raises Duplicate: the object exists"""
        if self.size() is not None:
            raise exception.Duplicate()

    def put(self, body: Any, length: int) -> None:
        with calling(f"uploading object {self.key}", exception.StorageWriteDenied):
            self.client.put_object(**self.address, Body=body, ContentLength=length)

    def delete(self) -> None:
        with calling(f"deleting object {self.key}", exception.Forbidden):
            self.client.delete_object(**self.address)


@dataclass(frozen=True)
class Plan:
    """How to upload, from the options; sizes in bytes.

    :ivar large: size from which an image goes in parts
    :ivar part: least size of a part
    :ivar threads: most parts in flight
    :ivar spool: directory for temporary files, "" for the system's, None to pass small images on as they arrive
    """

    large: int
    part: int
    threads: int
    spool: str | None


class _Way(Protocol):
    def write(self, data: memoryview) -> None: ...

    def prepare(self) -> None:
        """Send everything but what makes the object appear."""
        ...

    def finish(self) -> None:
        """Make the object appear."""
        ...

    def abort(self) -> None:
        """Stop and remove everything; may raise."""
        ...


class S3Writer:
    """One upload.

    :param uri: location of the object once it is complete
    """

    def __init__(self, target: Target, size: int | None, plan: Plan, uri: str) -> None:
        self._target = target
        self._uri = uri
        self._finishing = False
        self._ended = False
        target.check_absent()
        self._way: _Way
        if size is None or size >= plan.large or size <= plan.part:
            self._way = _Parts(target, size, plan)
        elif plan.spool is None:
            self._way = _Stream(target, size)
        else:
            self._way = _Spool(target, plan.spool)

    def write(self, data: memoryview) -> None:
        self._way.write(data)

    def commit(self) -> tuple[str, dict[str, Any]]:
        self._way.prepare()
        # Another upload may have been quicker; the image's status admits one at a time.
        self._target.check_absent()
        self._finishing = True
        self._way.finish()
        self._ended = True
        return self._uri, {}

    def cancel(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            self._way.abort()
            if self._finishing:  # the request may have succeeded though its answer was lost
                self._target.delete()
        except exception.GlanceException as error:
            LOG.warning("An upload to object %s could not be removed: %s", self._target.key, error)
        except Exception:
            LOG.exception("An upload to object %s could not be removed", self._target.key)


# --- in parts --------------------------------------------------------------------


def part_size(number: int, size: int | None, least: int) -> int:
    """Bytes of part ``number`` of an image of ``size`` bytes (None: unknown), if it is not the last."""
    if size is not None:
        return max(least, -(-size // MAX_PARTS))
    return least * 2 ** ((number - 1) // _GROWTH)


class _Parts:
    """Sends full parts while the next one is filled; begins when it is clear that there are two."""

    def __init__(self, target: Target, size: int | None, plan: Plan) -> None:
        self._target = target
        self._size = size
        self._plan = plan
        self._upload_id: str | None = None
        self._buffer: mmap.mmap | None = None
        self._filled = 0
        self._total = 0
        self._spare: list[mmap.mmap] = []
        self._etags: dict[int, str] = {}
        self._number = 0
        self._in_flight = 0
        self._done: queue.Queue[tuple[int, mmap.mmap, str | BaseException]] = queue.Queue()
        self._stopped = False

    def write(self, data: memoryview) -> None:
        while data:
            if self._buffer is not None and self._filled == len(self._buffer):
                self._send()
            if self._buffer is None:
                self._buffer = self._take()
            count = min(len(data), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = data[:count]
            self._filled += count
            self._total += count
            data = data[count:]

    def _take(self) -> mmap.mmap:
        """An empty buffer for the next part; waits until the parts in flight leave room for it."""
        if self._number >= MAX_PARTS:
            raise exception.StorageFull()
        size = part_size(self._number + 1, self._size, self._plan.part)
        most = min(self._plan.threads, max(1, WINDOW // size - 1))
        while self._in_flight and (self._in_flight >= most or not self._done.empty()):
            self._collect()
        while self._spare:
            buffer = self._spare.pop()
            if len(buffer) == size:
                return buffer
        return mmap.mmap(-1, size)

    def _send(self) -> None:
        """Give the filled part to a thread of its own."""
        if self._upload_id is None:
            with calling(f"starting the upload of object {self._target.key}", exception.StorageWriteDenied):
                self._upload_id = self._target.client.create_multipart_upload(**self._target.address)["UploadId"]
        self._number += 1
        assert self._buffer is not None
        arguments = (self._number, self._buffer, self._filled)
        self._buffer, self._filled = None, 0
        self._in_flight += 1
        try:
            threading.Thread(target=self._send_part, args=arguments, name="s3-part", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._in_flight -= 1
            raise exception.StoreUnavailable() from error

    def _send_part(self, number: int, buffer: mmap.mmap, length: int) -> None:
        outcome: str | BaseException
        try:
            outcome = self._target.client.upload_part(
                **self._target.address,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=_in_memory(buffer, length, lambda: self._stopped),
                ContentLength=length,
            )["ETag"]
        except BaseException as error:
            outcome = error
        self._done.put((number, buffer, outcome))

    def _collect(self) -> None:
        """Wait for a part to be stored.  :raises: why it is not"""
        number, buffer, outcome = self._done.get()
        self._in_flight -= 1
        if isinstance(outcome, BaseException):
            with calling(f"uploading part {number} of object {self._target.key}", exception.StorageWriteDenied):
                raise outcome
        self._etags[number] = outcome
        self._spare.append(buffer)

    def prepare(self) -> None:
        if self._number == 0:
            return
        if self._filled:
            self._send()
        while self._in_flight:
            self._collect()

    def finish(self) -> None:
        if self._number == 0:
            body = _in_memory(self._buffer, self._filled, lambda: self._stopped) if self._buffer is not None else b""
            self._target.put(body, self._filled)
        else:
            self._complete()

    def _complete(self) -> None:
        from botocore.exceptions import ClientError

        parts = [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]
        with calling(f"completing object {self._target.key}", exception.StorageWriteDenied):
            try:
                self._target.client.complete_multipart_upload(
                    **self._target.address, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
            except ClientError as error:
                # The answer to the first attempt was lost, and the second finds the upload gone.
                if code_of(error) != "NoSuchUpload" or self._target.size() != self._total:
                    raise

    def abort(self) -> None:
        self._stopped = True
        while self._in_flight:  # a part that arrives after the abort would stay
            self._done.get()
            self._in_flight -= 1
        self._buffer = None
        self._spare.clear()
        if self._upload_id is not None:
            abort_upload(self._target, self._upload_id)


def abort_upload(target: Target, upload_id: str) -> None:
    """Remove the parts of an upload; one that is gone is fine."""
    from botocore.exceptions import ClientError

    with calling(f"removing the parts of object {target.key}", exception.Forbidden):
        try:
            target.client.abort_multipart_upload(**target.address, UploadId=upload_id)
        except ClientError as error:
            if status_of(error) != 404:
                raise


def _in_memory(buffer: mmap.mmap, length: int, stopped: Any) -> Body:
    view = memoryview(buffer)
    return Body(length, lambda position, count: view[position : position + count], stopped)


# --- as it arrives ----------------------------------------------------------------


class _Arriving:
    """The body of a request whose bytes arrive while it is sent, and which cannot be repeated."""

    DEPTH = 2

    def __init__(self, length: int) -> None:
        self._length = length
        self._position = 0
        self._blocks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return self._length

    def put(self, block: bytes) -> bool:
        """Append ``block``, which waits for the reader; False if there is no reader any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._blocks) < self.DEPTH)
            self._blocks.append(block)
            self._changed.notify_all()
            return not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, count: int = -1) -> bytes:
        """The next block, however large."""
        if self._position >= self._length:
            return b""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._blocks))
            if self._closed:
                raise Interrupted("the upload was given up")
            block = self._blocks.popleft()
            self._changed.notify_all()
        self._position += len(block)
        return block

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if (whence, offset) != (os.SEEK_SET, self._position):
            raise OSError(errno.ESPIPE, "data that is passed on as it arrives cannot be sent again")
        return self._position


class _Stream:
    """One request, sent while the data arrives.  The last block waits for ``finish``."""

    def __init__(self, target: Target, size: int) -> None:
        self._target = target
        self._size = size
        self._received = 0
        self._held = b""
        self._body = _Arriving(size)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def write(self, data: memoryview) -> None:
        self._received += len(data)
        if self._received > self._size:
            raise exception.Invalid(f"More than the {self._size} bytes announced were received.")
        if self._held:
            self._pass_on()
        self._held = bytes(data)

    def _pass_on(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="s3-upload", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise exception.StoreUnavailable() from error
            self._thread = thread
        if not self._body.put(self._held):
            self._wait()
            raise exception.StoreUnavailable()
        self._held = b""

    def _run(self) -> None:
        try:
            self._target.put(self._body, self._size)
        except BaseException as error:
            self._error = error
        finally:
            self._body.close()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def prepare(self) -> None:
        if self._received != self._size:
            raise exception.Invalid(f"Only {self._received} of the {self._size} bytes announced were received.")

    def finish(self) -> None:
        self._pass_on()
        self._wait()

    def abort(self) -> None:
        self._body.close()
        if self._thread is not None:
            self._thread.join()


# --- from a file ------------------------------------------------------------------


class _Spool:
    """One request, sent from a temporary file without a name once the data is complete."""

    def __init__(self, target: Target, directory: str) -> None:
        self._target = target
        self._length = 0
        self._stopped = False
        with _spooling():
            self._file = tempfile.TemporaryFile(dir=directory or None, buffering=0)  # noqa: SIM115 - until it ends

    def write(self, data: memoryview) -> None:
        with _spooling():
            while data:
                count = offload(os.pwrite, self._file.fileno(), data, self._length)
                self._length += count
                data = data[count:]

    def prepare(self) -> None:
        """Nothing: the request begins with ``finish``."""

    def finish(self) -> None:
        self._target.put(Body(self._length, self._fetch, lambda: self._stopped), self._length)
        self._file.close()

    def _fetch(self, position: int, count: int) -> bytes:
        return offload(os.pread, self._file.fileno(), count, position)

    def abort(self) -> None:
        self._stopped = True
        self._file.close()


@contextmanager
def _spooling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise exception.StorageFull() from error
        raise exception.StoreUnavailable() from error
