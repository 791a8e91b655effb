"""Images as RADOS block devices of a Ceph pool (spec stores.md §7).

An upload is written to a block device called ``<image id>.<token>.part``.  When it is
complete it gets the protected snapshot ``snap``, which is what locations name and what
clones are made of, and then its final name, the image id.  A crash leaves nothing but a
``.part`` device, which ``objects`` and ``discard`` recognise, and the id stays free.

Every call of librados and librbd blocks its thread, and for as long as the cluster is
down.  Uploads make them in the lanes of the pipeline, all else in the threads of
``RbdDriver.offload``, which no other store shares.  Nothing may be logged there (the
locks of ``logging`` are green): errors carry their cause, and the callers log it.
"""

import errno
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from oslo_utils import uuidutils

from glance.common import exception
from glance.common.offload import native
from glance.store.base import Driver, Reader, StoredObject, Writer
from glance.store.pool import ThreadPool

try:
    import rados
    import rbd
except ImportError:
    rados = rbd = None
_ERRORS = (OSError,) if rbd is None else (OSError, rados.Error, rbd.Error)

SNAPSHOT = "snap"
BLOCK = 1024 * 1024

_MB = 1024 * 1024
_CONF = ("/etc/ceph/ceph.conf", "~/.ceph/config", "ceph.conf")
_THREADS = 16
_IN_FLIGHT = 4
"""Blocks on their way to the cluster.  More measured no faster, fewer let a plain loop of writes overtake."""

_AHEAD = 4
"""Blocks that are fetched before they are asked for."""

_WATCH_SECONDS = 40
"""A device stays busy for 30 seconds (``osd_client_watch_timeout``) after the worker that wrote it died."""

_PATIENCE = 60
"""Least seconds after which a call counts as hung, where there is a timeout at all."""

_HELPFUL = {
    # Writes and reads are whole blocks in order: the cache would only copy them once more.
    "rbd_cache": "false",
    # Who may only read from the monitors can then break the lock of a worker that died.
    "rbd_blocklist_on_break_lock": "false",
    # Look for a cluster that was away every few seconds, not less and less often.
    "mon_client_hunt_interval_max_multiple": "1",
}
"""Settings of the connection."""

_LARGEST_STEP = 8 * 1024**3
_LARGEST_ORDER = 25
_NAME = re.compile(r"(?!\.{1,2}$)[^/@\0]+")
_PARTIAL = re.compile(r"(?P<image_id>.+)\.[0-9a-f]{8}\.part")


class Place(NamedTuple):
    """What a location says.

    :ivar pool: None: the pool of the configuration
    :ivar snapshot: None: the image itself, as the oldest locations mean it
    """

    pool: str | None
    image: str
    snapshot: str | None


class RbdDriver(Driver):
    """The rbd store.  Locations are ``rbd://FSID/POOL/IMAGE/SNAPSHOT``; ``rbd://IMAGE`` is read as well.

    The FSID is not compared: after a failover to a mirrored cluster the same images have another one.
    """

    NAME = "rbd"
    SCHEMES = ("rbd",)
    RANGES = True
    BLOCKING = True

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        super().__init__(conf, backend)
        options = conf[backend or "glance_store"]
        self._pool = options.rbd_store_pool
        self._chunk = options.rbd_store_chunk_size * _MB
        self._thin = options.rbd_thin_provisioning
        self._conf = options.rbd_store_ceph_conf or ""
        self._cluster = _Cluster(options.rbd_store_user, options.rados_connect_timeout)
        self._threads = ThreadPool(_THREADS)
        # librbd tries some things again and again where librados would have given up.
        timeout = options.rados_connect_timeout
        self.patience = max(_PATIENCE, 20 * timeout) if timeout > 0 else None

    def configure(self) -> None:
        """Find the bindings and Ceph's configuration file.  :raises ConfigurationError: see the text"""
        try:
            if rados is None:
                raise exception.ConfigurationError(
                    "The Python bindings of Ceph are missing: install the package python3-rbd."
                )
            self._cluster.conf = find_conf(self._conf)
            if self._chunk.bit_length() - 1 > _LARGEST_ORDER:
                raise exception.ConfigurationError("rbd_store_chunk_size: objects have at most 32 MB.")
        except exception.ConfigurationError as error:
            self.add_disabled = str(error)
            raise

    def offload(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Return ``fn(*args)``, computed in a thread of this store."""
        return self._threads.run(fn, *args, patience=self.patience)

    # --- writing -------------------------------------------------------------

    def writer(self, image_id: str, size: int | None) -> Writer:
        if self.add_disabled:
            raise exception.StoreAddDisabled()
        if not _NAME.fullmatch(image_id):
            raise exception.Invalid("The image id cannot be the name of an RBD image.")
        with self._cluster.pool(self._pool, exception.StorageWriteDenied) as pool:
            if _exists(pool, image_id):
                raise exception.Duplicate()
        return _RbdWriter(self._cluster, self._pool, image_id, size or 0, chunk=self._chunk, thin=self._thin)

    # --- reading and removing ------------------------------------------------

    def check(self) -> None:
        with self._cluster.pool(self._pool) as pool:
            _exists(pool, "healthcheck")

    def describe(self) -> dict[str, Any]:
        return {"chunk_size": self._chunk // _MB, "pool": self._pool, "thin_provisioning": self._thin}

    def holds(self, uri: str) -> bool:
        return parse(uri).pool in (None, self._pool)

    def check_location(self, uri: str) -> None:
        parse(uri)

    def size(self, uri: str) -> int:
        image, size = self._open(uri)
        image.close()
        return size

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        image, size = self._open(uri)
        rest = max(size - offset, 0)
        length = rest if length is None else min(length, rest)
        body = _Body(self._cluster, image, offset, length, lambda: self.size(uri), self.offload)
        return Reader(body=body, length=length)

    def _open(self, uri: str) -> "tuple[rbd.Image, int]":
        place = parse(uri)
        with self._place(place) as pool:
            image = _open_image(pool, place.image, place.snapshot)
            return image, image.size()

    def delete(self, uri: str) -> None:
        place = parse(uri)
        with self._place(place, exception.Forbidden) as pool:
            _remove(pool, place.image, place.snapshot)

    def _place(self, place: Place, denied: type[exception.GlanceException] = exception.StoreUnavailable) -> Any:
        missing = exception.StoreUnavailable if place.pool in (None, self._pool) else exception.ImageDataNotFound
        return self._cluster.pool(place.pool or self._pool, denied, missing)

    # --- what uploads left behind --------------------------------------------

    def discard(self, image_id: str) -> None:
        with self._cluster.pool(self._pool, exception.Forbidden) as pool:
            for name in rbd.RBD().list(pool):
                if image_id == _image_id(name):
                    _remove_left(pool, name, 0 if name == image_id else _WATCH_SECONDS)

    def objects(self) -> Iterator[StoredObject]:
        with self._cluster.pool(self._pool) as pool:
            names = rbd.RBD().list(pool)
        for name in names:
            found = self._describe(name)
            if found is not None:
                yield found

    def _describe(self, name: str) -> StoredObject | None:
        with self._cluster.pool(self._pool) as pool:
            try:
                with _open_image(pool, name) as image:
                    size, created, complete = image.size(), _created(image), _is_complete(image)
            except rbd.ImageNotFound:
                return None
        image_id = _image_id(name)
        known = uuidutils.is_uuid_like(image_id)
        return StoredObject(
            name=name,
            image_id=image_id if known else None,
            size=size,
            modified=created,
            partial=image_id != name or (known and not complete),
        )

    def remove(self, found: StoredObject) -> None:
        with self._cluster.pool(self._pool, exception.Forbidden) as pool, suppress(rbd.ImageNotFound):
            with _open_image(pool, found.name) as image:
                if _created(image) != found.modified:
                    return  # an upload since gave the name to another one
            _remove(pool, found.name, SNAPSHOT)


# --- the cluster ---------------------------------------------------------------


class _Cluster:
    """The connection to one cluster.

    Each process has one, made when it is first needed: connecting takes some 15 ms and a dozen threads, and
    librados finds a cluster that was away by itself.  Only a client that the cluster locked out needs a new one.

    :ivar conf: path of the configuration file, "" for none
    """

    def __init__(self, user: str | None, timeout: int) -> None:
        self.conf = ""
        self._user = user or None
        self._settings = {}
        if timeout > 0:
            for name in ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"):
                self._settings[name] = str(timeout)
        # By process: what a parent made must not be used by its children, nor shut down by them.
        self._connections: dict[int, Any] = {}
        # Stay open: librbd 16 crashes when a pool is closed while other threads open or close images of it.
        self._pools: dict[tuple[int, str], Any] = {}
        # Nor may what is not used any more be closed while others are still at it.
        self._lost: list[Any] = []

    def connection(self) -> "rados.Rados":
        """The connection of this process.  :raises StoreUnavailable:"""
        found = self._connections.get(os.getpid())
        if found is not None:
            return found
        if rados is None:
            raise exception.StoreUnavailable()
        # Whoever comes meanwhile connects as well: waiting in a queue would add up the timeouts of a dead cluster.
        try:
            found = rados.Rados(rados_id=self._user, conffile=self.conf, conf=self._settings)
            for setting in _HELPFUL.items():
                with suppress(rados.Error):  # older releases do not have all of them
                    found.conf_set(*setting)
            found.connect()
        except rados.Error as error:
            raise exception.StoreUnavailable() from _cause(error)
        return self._connections.setdefault(os.getpid(), found)

    @contextmanager
    def pool(
        self,
        name: str,
        denied: type[exception.GlanceException] = exception.StoreUnavailable,
        missing: type[exception.GlanceException] = exception.StoreUnavailable,
    ) -> "Iterator[rados.Ioctx]":
        """Open a pool; errors of what is done with it become those of the store.

        :param denied: raised when the user of the store may not do it
        :param missing: raised when there is no such pool
        """
        with self.answers(denied):
            yield self.open_pool(name, missing)

    def open_pool(
        self, name: str, missing: type[exception.GlanceException] = exception.StoreUnavailable
    ) -> "rados.Ioctx":
        """A pool, which nobody may close.  :raises missing: there is no such pool"""
        key = (os.getpid(), name)
        if key not in self._pools:
            connection = self.connection()
            try:
                pool = connection.open_ioctx(name)
            except rados.ObjectNotFound as error:
                raise missing() from _cause(error)
            # Otherwise a full cluster makes writes, and deletions as well, wait until there is room.
            pool.set_osdmap_full_try()
            if self._pools.setdefault(key, pool) is not pool:
                self._lost.append(pool)
        return self._pools[key]

    @contextmanager
    def answers(self, denied: type[exception.GlanceException] = exception.StoreUnavailable) -> Iterator[None]:
        """Say what an error of librados or librbd means."""
        try:
            yield
        except _ERRORS as error:
            cause = _cause(error)
            if cause.errno == errno.ESHUTDOWN:  # locked out ("blocklisted")
                self._forget()
            if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise denied() from cause
            raise _MEANINGS.get(cause.errno, exception.StoreUnavailable)() from cause

    def _forget(self) -> None:
        """Let the next call connect anew."""
        process = os.getpid()
        self._lost.append(self._connections.pop(process, None))
        self._lost += [self._pools.pop(key, None) for key in list(self._pools) if key[0] == process]


_MEANINGS: dict[int | None, type[exception.GlanceException]] = {
    errno.ENOENT: exception.ImageDataNotFound,
    errno.EEXIST: exception.Duplicate,
    errno.ENOSPC: exception.StorageFull,
    errno.EDQUOT: exception.StorageFull,
    errno.EFBIG: exception.StorageFull,
    errno.EBUSY: exception.InUse,
}


def _cause(error: Exception) -> OSError:
    """The error as one of Python's own, which is what callers log."""
    return error if isinstance(error, OSError) else OSError(getattr(error, "errno", None), str(error))


# --- one upload, one download ----------------------------------------------------


class _RbdWriter:
    """One upload.

    :param size: bytes that are reserved; the device grows when more is written
    :param chunk: bytes of an object of the device
    :param thin: leave out blocks that are all zero
    """

    def __init__(self, cluster: _Cluster, pool: str, image_id: str, size: int, *, chunk: int, thin: bool) -> None:
        self._cluster = cluster
        self._final = image_id
        self._name = f"{image_id}.{secrets.token_hex(4)}.part"
        self._reserved = size
        self._step = 2 * chunk
        self._thin = thin
        self._size = 0
        self._in_flight: deque[Any] = deque()
        self._image: Any = None
        self._ended = False
        self._unreachable = False
        with self._storing():
            self._pool = cluster.open_pool(pool)
        try:
            with self._storing():
                self._create(chunk)
        except BaseException:
            self.cancel()
            raise

    def _create(self, chunk: int) -> None:
        default = self._cluster.connection().conf_get("rbd_default_features") or ""
        features = int(default) if default.isdecimal() else rbd.RBD_FEATURE_LAYERING
        order = chunk.bit_length() - 1
        rbd.RBD().create(self._pool, self._name, self._reserved, order, old_format=False, features=features)
        self._image = rbd.Image(self._pool, self._name)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            with self._cluster.answers(exception.StorageWriteDenied):
                yield
        except exception.StoreUnavailable:
            self._unreachable = True
            raise

    def write(self, data: memoryview) -> None:
        block = bytes(data)
        end = self._size + len(block)
        with self._storing():
            if end > self._reserved:
                self._grow(end)
            if not self._thin or block != bytes(len(block)):
                if len(self._in_flight) >= _IN_FLIGHT:
                    self._settle()
                self._in_flight.append(self._image.aio_write(block, self._size, _ignore))
        self._size = end

    def _grow(self, end: int) -> None:
        while self._reserved < end:
            self._reserved += self._step
            self._step = min(2 * self._step, _LARGEST_STEP)
        self._image.resize(self._reserved)

    def _settle(self) -> None:
        """Wait for the oldest write."""
        _wait(self._in_flight.popleft())

    def commit(self) -> tuple[str, dict[str, Any]]:
        with self._storing():
            while self._in_flight:
                self._settle()
            if self._reserved != self._size:
                self._image.resize(self._size)
            self._image.flush()
            _protect(self._image, SNAPSHOT)
            self._close()
            rbd.RBD().rename(self._pool, self._name, self._final)
            self._name = self._final
            uri = build(self._cluster.connection().get_fsid(), self._pool.name, self._final, SNAPSHOT)
        self._ended = True
        return uri, {}

    def cancel(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._unreachable:  # every step would wait for a timeout, and the client for all of them
            native("threading").Thread(target=self._clean_up, daemon=True).start()
        else:
            self._clean_up()

    def _clean_up(self) -> None:
        """Remove what was written.  What stays is found by discard and by glance-manage store check."""
        with suppress(Exception):
            self._close()
        with suppress(Exception):
            _remove(self._pool, self._name, SNAPSHOT)

    def _close(self) -> None:
        while self._in_flight:
            with suppress(OSError):
                self._settle()
        image, self._image = self._image, None
        if image is not None:
            image.close()


class _Body:
    """``length`` bytes of an open image from ``offset``; owns and closes it.

    :param check: fails if the image is there no more
    :param run: calls a function in a thread that may wait
    """

    def __init__(
        self,
        cluster: _Cluster,
        image: Any,
        offset: int,
        length: int,
        check: Callable[[], Any],
        run: Callable[..., Any],
    ) -> None:
        self._cluster = cluster
        self._image = image
        self._position = offset
        self._end = offset + length
        self._check = check
        self._run = run
        self._ahead: deque[tuple[Any, list[bytes]]] = deque()
        # A request that is broken off closes the body while the thread still waits for a block.
        self._lock = native("threading").Lock()

    def __iter__(self) -> Iterator[bytes]:
        while block := self._run(self._next):
            yield block

    def _next(self) -> bytes:
        """The next block, empty at the end.  :raises StoreUnavailable, ImageDataNotFound:"""
        with self._lock, self._cluster.answers():
            while self._image is not None and self._position < self._end and len(self._ahead) < _AHEAD:
                count = min(BLOCK, self._end - self._position)
                block: list[bytes] = []
                read = self._image.aio_read(self._position, count, lambda _, data, block=block: block.append(data))
                self._ahead.append((read, block))
                self._position += count
            if not self._ahead:
                return b""
            read, block = self._ahead.popleft()
            _wait(read)
            if not self._ahead:  # an image that was deleted meanwhile reads as zeros
                self._check()
            return block[0]

    def close(self) -> None:
        """Close the image; safe to call again."""
        if self._image is not None:
            self._run(self._close)

    def _close(self) -> None:
        with self._lock:
            while self._ahead:
                with suppress(OSError):
                    _wait(self._ahead.popleft()[0])
            image, self._image = self._image, None
            if image is not None:
                with suppress(rbd.Error):
                    image.close()


def _ignore(completion: Any) -> None:
    """Called by librbd when a write is done."""


def _wait(completion: Any) -> None:
    """Wait for a read or write.  :raises OSError: it failed"""
    completion.wait_for_complete_and_cb()
    code = completion.get_return_value()
    if code < 0:
        raise OSError(-code, os.strerror(-code))


# --- block devices of a pool --------------------------------------------------------


def _open_image(pool: "rados.Ioctx", name: str, snapshot: str | None = None) -> "rbd.Image":
    """Open a device, or what it was at its snapshot, for reading.

    The snapshot is chosen afterwards: librbd 16 spoils its memory, and then aborts the process, when several
    threads open images that have an object map directly at a snapshot.
    """
    image = rbd.Image(pool, name, read_only=True)
    try:
        if snapshot is not None:
            image.set_snap(snapshot)
    except BaseException:
        image.close()
        raise
    return image


def _exists(pool: "rados.Ioctx", name: str) -> bool:
    try:
        _open_image(pool, name).close()
    except rbd.ImageNotFound:
        return False
    return True


def _created(image: "rbd.Image") -> float:
    return image.create_timestamp().replace(tzinfo=UTC).timestamp()


def _is_complete(image: "rbd.Image") -> bool:
    try:
        return image.is_protected_snap(SNAPSHOT)
    except rbd.ImageNotFound:
        return False


def _protect(image: "rbd.Image", snapshot: str) -> None:
    image.create_snap(snapshot)
    image.protect_snap(snapshot)


def _remove(pool: "rados.Ioctx", name: str, snapshot: str | None) -> None:
    """Remove a device with its snapshot; to the trash if it has others.  :raises rbd.Error: ImageBusy: it has users"""
    released = snapshot is not None and _release(pool, name, snapshot)
    try:
        rbd.RBD().remove(pool, name)
    except rbd.ImageHasSnapshots:
        rbd.RBD().trash_move(pool, name)
    except rbd.ImageBusy:
        if released and snapshot is not None:  # what cannot go must stay readable
            with rbd.Image(pool, name) as image:
                _protect(image, snapshot)
        raise


def _release(pool: "rados.Ioctx", name: str, snapshot: str) -> bool:
    """Remove a protected snapshot; return whether there was one.  :raises rbd.Error: ImageBusy: it has clones"""
    with rbd.Image(pool, name) as image:
        try:
            protected = image.is_protected_snap(snapshot)
        except rbd.ImageNotFound:
            return False
        if protected:
            try:
                image.unprotect_snap(snapshot)
            except rbd.PermissionError as error:
                raise PermissionError(
                    errno.EPERM,
                    f"{error}: to see whether the volumes of other pools are clones of an image, the user of the "
                    "store needs the OSD capability 'profile rbd' or 'allow class-read object_prefix rbd_children'",
                ) from error
        image.remove_snap(snapshot)
    return True


def _remove_left(pool: "rados.Ioctx", name: str, patience: float) -> None:
    """Remove a device, if it is there; one that is busy gets ``patience`` seconds to become free."""
    time = native("time")
    deadline = time.monotonic() + patience
    while True:
        try:
            return _remove(pool, name, SNAPSHOT)
        except rbd.ImageNotFound:
            return
        except rbd.ImageBusy:
            if time.monotonic() >= deadline:
                raise
            time.sleep(1)


def _image_id(name: str) -> str:
    """The image id that a device is named after."""
    partial = _PARTIAL.fullmatch(name)
    return partial["image_id"] if partial is not None else name


# --- options and locations ------------------------------------------------------------


def find_conf(path: str, places: Iterable[str] = _CONF) -> str:
    """The configuration file of Ceph: ``path``, or the first of the usual ones.  :raises ConfigurationError:"""
    for candidate in map(os.path.expanduser, (path,) if path else places):
        if os.access(candidate, os.R_OK):
            return candidate
    if path:
        raise exception.ConfigurationError(f"rbd_store_ceph_conf: {path} cannot be read.")
    raise exception.ConfigurationError("Set rbd_store_ceph_conf to the configuration file of Ceph.")


def build(*parts: str) -> str:
    """The location of fsid, pool, image and snapshot."""
    return "rbd://" + "/".join(quote(part, safe="") for part in parts)


def parse(uri: str) -> Place:
    """Parse a location.  :raises BadStoreUri:"""
    scheme, separator, rest = uri.partition("://")
    parts = rest.split("/")
    if scheme.lower() != "rbd" or not separator or not uri.isascii() or len(parts) not in (1, 4):
        raise exception.BadStoreUri()
    try:
        names = [unquote(part, errors="strict") for part in parts]
    except UnicodeDecodeError:
        raise exception.BadStoreUri() from None
    if not all(names) or any("\0" in name for name in names):
        raise exception.BadStoreUri()
    if len(names) == 1:
        return Place(None, names[0], None)
    return Place(*names[1:])
