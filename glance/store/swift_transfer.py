"""Moving the data of images to and from Swift: uploads, downloads, and removing what uploads wrote."""

import http.client
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote

from glance.common import exception
from glance.common.offload import pause
from glance.store import swift_location
from glance.store.swift_account import Account, Put, Refused
from glance.store.swift_location import Location

LOG = logging.getLogger(__name__)

MB = 1024 * 1024
BLOCK = 256 * 1024
_UPLOAD = "x-object-meta-glance-upload"
"""Which upload wrote an object, so that none removes what another one has written since."""


class Leftover:
    """An object that an upload wrote and that must go."""

    def __init__(self, account: Account, container: str, name: str, upload: str) -> None:
        self._account = account
        self._container = container
        self._name = name
        self._upload = upload

    def remove(self) -> None:
        """:raises Refused, StoreUnavailable:"""
        headers = self._account.head(self._container, self._name)
        if headers is not None and headers.get(_UPLOAD) == self._upload:
            _delete(self._account, self._container, self._name)


class SwiftWriter:
    """One upload.

    :param options: of the store
    :param remove: is given what the upload wrote if it is cancelled

    The first block is kept until it is clear that there is more, so a small image is sent when its size is known.
    """

    def __init__(
        self,
        options: Any,
        account: Account,
        place: Location,
        size: int | None,
        remove: Callable[[Iterable["Leftover"]], None],
    ) -> None:
        self._remove = remove
        self._account = account
        self._place = place
        self._large = options.swift_store_large_object_size * MB
        self._segment_size = options.swift_store_large_object_chunk_size * MB
        self._announced = size
        self._upload = secrets.token_hex(8)
        self._first = self._last = b""
        self._started = self._whole = False
        self._put: Put | None = None
        self._room = 0
        self._number = 0
        self._etags: dict[str, str] = {}
        self._names: list[str] = []

    def write(self, data: memoryview) -> None:
        """:raises Invalid: more than was announced"""
        if not self._started and not self._first and len(data) <= MB:
            self._first = bytes(data)
            return
        with storing():
            if not self._started:
                first, self._first = self._first, b""
                self._start(len(first) + len(data))
                self._send(memoryview(first))
            self._send(data)

    def _start(self, more_than: int) -> None:
        """Choose the form: one object where the size is known and small enough, else segments."""
        self._started = True
        size = self._announced
        if size is not None and more_than <= size < self._large:
            self._whole = True
            self._begin(self._place.name, size)

    def _begin(self, name: str, length: int | None) -> None:
        self._names.append(name)
        self._room = self._segment_size if length is None else length
        headers = {"If-None-Match": "*", _UPLOAD: self._upload}
        self._put = self._account.put(self._place.container, name, length, headers)

    def _send(self, data: memoryview) -> None:
        while data:
            if self._put is None:
                self._begin_segment()
            if self._whole and (self._last or len(data) > self._room):
                raise exception.Invalid(f"More than the {self._announced} bytes announced were received.")
            if self._whole and len(data) == self._room:
                # Complete, the object would have its final name at once: the last byte waits for commit.
                self._last, data = bytes(data[-1:]), data[:-1]
            piece = data[: self._room]
            if piece and self._put is not None:
                self._put.send(piece)
            self._room -= len(piece)
            if not self._whole and not self._room:
                self._finish_segment()
            data = data[len(piece) :]

    def _begin_segment(self) -> None:
        if self._number:
            self._account.head(self._place.container)  # renews a token that has expired
        self._number += 1
        self._begin(swift_location.segment_name(self._place.name, self._number), None)

    def _finish_segment(self) -> None:
        if self._put is not None:
            put, self._put = self._put, None
            self._etags[self._names[-1]] = put.finish()

    def commit(self) -> tuple[str, dict[str, Any]]:
        """:raises Invalid: fewer bytes than announced"""
        with storing():
            if not self._started and (self._announced is not None or not self._first):
                self._commit_small()
            elif self._whole:
                self._commit_whole()
            else:
                self._commit_segments()
        return self._place.build(), {}

    def _commit_small(self) -> None:
        if len(self._first) >= self._large:  # a setting for tests at most: the smallest is 1 MB
            self._commit_segments()
            return
        self._begin(self._place.name, len(self._first))
        if self._put is not None and self._first:
            self._put.send(memoryview(self._first))
        self._finish_segment()

    def _commit_whole(self) -> None:
        if not self._last or self._put is None:
            raise exception.Invalid(f"Fewer than the {self._announced} bytes announced were received.")
        self._put.send(memoryview(self._last))
        self._finish_segment()

    def _commit_segments(self) -> None:
        self._send(memoryview(self._first))
        self._finish_segment()
        container, name = self._place.container, self._place.name
        self._check_segments()
        self._names.append(name)
        headers = {"X-Object-Manifest": quote(f"{container}/{name}-"), "If-None-Match": "*", _UPLOAD: self._upload}
        self._account.call("put_object", container, name, "", headers=headers)

    def _check_segments(self) -> None:
        """The manifest takes in everything of that prefix: it must be what this upload wrote."""
        container, name = self._place.container, self._place.name
        missing = dict(self._etags)
        for entry in self._account.listing(container, f"{name}-"):
            if entry["name"] not in self._etags:
                if swift_location.image_of_segment(entry["name"]) == name:
                    _delete(self._account, container, entry["name"])
            elif missing.pop(entry["name"]) not in ("", entry.get("hash")):
                raise exception.Duplicate()
        if missing:
            LOG.warning("Swift lists %d segments of image %s later than it stored them", len(missing), name)

    def cancel(self) -> None:
        if self._put is not None:
            self._put.abort()
            self._put = None
        names, self._names = self._names, []
        if names:
            container = self._place.container
            self._remove(Leftover(self._account, container, name, self._upload) for name in names)


class Body:
    """The data of an object, from ``offset``; a read that breaks is continued ``retries`` times.

    :ivar length: bytes that it yields, None if Swift does not say
    """

    def __init__(self, account: Account, place: Location, offset: int, length: int | None, retries: int) -> None:
        self._account = account
        self._place = place
        self._offset = offset
        self._wanted = length
        self._retries = retries
        self._etag: str | None = None
        self._closed = False
        self._response: http.client.HTTPResponse | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.length = self._request(offset, length)

    def _request(self, offset: int, length: int | None) -> int | None:
        """Ask for the bytes; return how many will come.  :raises ImageDataNotFound, StoreUnavailable:"""
        headers = {}
        if offset or length is not None:
            headers["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        response, connection = self._account.get(self._place.container, self._place.name, headers)
        self._response, self._connection = response, connection
        if response.status == (http.client.PARTIAL_CONTENT if headers else http.client.OK):
            if self._etag in (None, response.getheader("ETag")):
                self._etag = response.getheader("ETag")
                return response.length
            LOG.error("Swift: the object of image %s changed while it was read", self._place.name)
        status = response.status
        self._drop()
        if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and self._etag is None:
            self._closed = True
            return 0
        if status == http.client.NOT_FOUND:
            raise exception.ImageDataNotFound()
        LOG.error("Swift: GET answers %d", status)
        raise exception.StoreUnavailable()

    def __iter__(self) -> Iterator[bytes]:
        """:raises StoreUnavailable: the data ends early"""
        done, retries = 0, self._retries
        try:
            while not self._closed:
                block = self._read()
                if block:
                    done += len(block)
                    yield block
                    pause()
                elif block is not None and (self.length is None or done == self.length):
                    return
                elif not retries:
                    raise exception.StoreUnavailable()
                else:
                    retries -= 1
                    self._resume(done)
        finally:
            self.close()

    def _read(self) -> bytes | None:
        """The next bytes, ``b""`` at the end, None if the connection broke."""
        try:
            return self._response.read(BLOCK) if self._response is not None else None
        except (OSError, http.client.HTTPException) as error:
            LOG.warning("Swift: GET: %s", type(error).__name__)
            return None

    def _resume(self, done: int) -> None:
        """Ask for the rest; should Swift still not answer, then the next attempt will see."""
        LOG.warning("Swift broke off at byte %d of image %s; it is asked again", done, self._place.name)
        self._drop()
        with suppress(exception.StoreUnavailable):
            self._request(self._offset + done, None if self._wanted is None else self._wanted - done)

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            self._connection.close()
        self._response = self._connection = None

    def close(self) -> None:
        self._closed = True
        self._drop()


# --- removing ---------------------------------------------------------------------


def remove_object(account: Account, container: str, name: str, headers: dict[str, str]) -> None:
    """Remove an object and, of a large one, its segments."""
    if headers.get("x-static-large-object", "").lower() == "true":
        _delete(account, container, name, query_string="multipart-manifest=delete")
        return
    where, _, prefix = unquote(headers.get("x-object-manifest", "")).lstrip("/").partition("/")
    if where and prefix:
        for entry in list(account.listing(where, prefix)):
            try:
                _delete(account, where, entry["name"])
            except (Refused, exception.StoreUnavailable):
                LOG.warning("Swift: segment %s of image %s could not be removed", entry["name"], name)
    _delete(account, container, name)


def remove_segments(account: Account, container: str, image_id: str) -> None:
    for entry in list(account.listing(container, f"{image_id}-")):
        if swift_location.image_of_segment(entry["name"]) == image_id:
            _delete(account, container, entry["name"])


def _delete(account: Account, container: str, name: str, **kwargs: Any) -> None:
    try:
        account.call("delete_object", container, name, **kwargs)
    except Refused as error:
        if error.status != http.client.NOT_FOUND:
            raise


# --- what an answer means ----------------------------------------------------------


@contextmanager
def storing() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        if error.status in (http.client.CONFLICT, http.client.PRECONDITION_FAILED):
            raise exception.Duplicate() from None
        if error.status in (http.client.REQUEST_ENTITY_TOO_LARGE, http.client.INSUFFICIENT_STORAGE):
            raise exception.StorageFull() from None
        if error.status == http.client.FORBIDDEN:
            raise exception.StorageWriteDenied() from None
        raise exception.StoreUnavailable() from None


@contextmanager
def reading() -> Iterator[None]:
    try:
        yield
    except Refused:
        raise exception.StoreUnavailable() from None


@contextmanager
def deleting() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        if error.status == http.client.FORBIDDEN:
            raise exception.Forbidden("The image store refuses to change the data of the image.") from None
        raise exception.StoreUnavailable() from None
