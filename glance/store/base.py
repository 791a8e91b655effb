"""The interface between the rules and whatever keeps image data.

A driver is a small class that speaks one back end's language (spec stores.md §1).
It knows nothing of images, requests or policies: an object is named by an image id
when written and by a location (a URI) ever after.  ``tests/unit/store/contract.py``
is the executable form of this page; every driver passes it.

Errors, all from ``glance.common.exception``:

=========================  ==================================================
``ImageDataNotFound``      no object at the location
``Duplicate``              an object for this image id already exists
``StorageFull``            no space left
``StorageWriteDenied``     the medium refuses the write
``StoreAddDisabled``       not configured for writing, or read-only
``StoreUnavailable``       the back end does not answer
``BadStoreUri``            the location cannot be parsed or is not acceptable
``InUse``                  the object cannot be deleted because it has users
``Forbidden``              the back end refuses the deletion
``Store…NotSupported``     this kind of store cannot do that
=========================  ==================================================
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from glance.common import exception
from glance.common.offload import offload
from glance.context import RequestContext


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object found in a store, for ``glance-manage store check``.

    :ivar name: what the store calls it (a file name, an object key)
    :ivar image_id: the image it is named after, or None if the name is not an image id
    :ivar size: bytes, None if unknown
    :ivar modified: POSIX time of the last change, None if unknown
    :ivar partial: True for what an interrupted upload left behind
    """

    name: str
    image_id: str | None
    size: int | None
    modified: float | None
    partial: bool = False


class Writer(Protocol):
    """One upload in progress.  Exactly one of ``commit`` and ``cancel`` ends it.

    Until ``commit`` returns, nothing exists under the object's final name.
    """

    def write(self, data: memoryview) -> None:
        """Append ``data``; the buffer is reused once this returns."""
        ...

    def commit(self) -> tuple[str, dict[str, Any]]:
        """Make the object complete and durable; return (location URI, location metadata)."""
        ...

    def cancel(self) -> None:
        """Remove everything written; never raises, may be called after a failed commit."""
        ...


@dataclass(slots=True)
class Reader:
    """An object opened for reading.

    :ivar body: iterable of bytes, with ``close()`` if it holds resources; a
        ``glance.common.body.FileBody`` where the object is a local file
    :ivar length: bytes that ``body`` yields, None if the back end does not say
    :ivar store: name of the store, which ``Place.open`` fills in; None: no store
    """

    body: Iterable[bytes]
    length: int | None
    store: str | None = None


class Driver:
    """Base of all drivers.  One instance serves one configured store.

    :cvar NAME: the name in ``stores``, ``default_store``, and the types of ``enabled_backends``
    :cvar SCHEMES: URI schemes of its locations
    :cvar WRITABLE: whether images can be added (http: False)
    :cvar RANGES: whether ``open`` accepts an offset and a length
    :cvar BLOCKING: whether ``write``/``commit`` block the native thread (disk,
        librados) and must be called through ``offload``; drivers that speak through
        green sockets say False
    """

    NAME: ClassVar[str]
    SCHEMES: ClassVar[tuple[str, ...]]
    WRITABLE: ClassVar[bool] = True
    RANGES: ClassVar[bool] = False
    BLOCKING: ClassVar[bool] = False

    backend: str | None = None
    """Id in ``enabled_backends``; None for the single store of its kind."""

    patience: float | None = None
    """Seconds after which a blocking call counts as hung and is left alone; None: calls have limits of their own."""

    has_acls: bool = False
    """Whether ``set_acls`` does anything."""

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        """Read the options of this store; touch neither disk nor network.

        :param conf: the oslo.config object
        :param backend: the id in ``enabled_backends``, whose section then holds the
            options; None for the single store of ``[glance_store]``
        """
        self.conf = conf
        self.backend = backend
        self.add_disabled: str | None = None
        """Why writing is off: one line for the log, or None when it is on."""

    def configure(self) -> None:
        """Check what can be checked without the network; create what is missing.

        :raises ConfigurationError: the store cannot take new images; reading goes on
        """

    def offload(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Return ``fn(*args)``, a call of this driver, made where it keeps nobody else waiting."""
        return offload(fn, *args) if self.BLOCKING else fn(*args)

    def check(self) -> None:
        """Ask the back end whether it is there, with the least that it costs.

        :raises StoreUnavailable: new requests for images of this store would fail
        """

    def describe(self) -> dict[str, Any]:
        """What administrators are shown of the store (v2-images.md §11, /info/stores/detail)."""
        return {}

    def holds(self, uri: str) -> bool:
        """Whether an object at ``uri``, of which only the scheme is known to fit, is this store's.

        Tells several stores of one kind apart, for locations that do not name theirs.
        """
        return True

    def acting_for(self, context: RequestContext) -> "Driver":
        """The driver to use for one request: itself, unless what it does depends on who asks.

        A store that keeps images in the accounts of their owners returns a copy bound to
        the caller's token and service catalog.
        """
        return self

    def writer(self, image_id: str, size: int | None) -> Writer:
        """Begin an upload.

        :param size: bytes announced, None if unknown; used to choose where to write
        :raises Duplicate, StorageFull, StorageWriteDenied, StoreAddDisabled:
        """
        raise exception.StoreAddDisabled()

    def check_location(self, uri: str) -> None:
        """Raise BadStoreUri unless this driver can parse ``uri``; no network."""
        raise NotImplementedError

    def size(self, uri: str) -> int:
        """Size of the object in bytes; 0 when the back end does not tell.

        :raises ImageDataNotFound, StoreUnavailable, BadStoreUri:
        """
        raise NotImplementedError

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open the object, or ``length`` bytes of it from ``offset``.

        :raises ImageDataNotFound, StoreUnavailable, BadStoreUri, StoreRandomGetNotSupported:
        """
        raise exception.StoreGetNotSupported()

    def delete(self, uri: str) -> None:
        """Remove the object.

        :raises ImageDataNotFound, InUse, Forbidden, StoreDeleteNotSupported, StoreUnavailable:
        """
        raise exception.StoreDeleteNotSupported()

    def discard(self, image_id: str) -> None:
        """Remove what an upload that died left behind for ``image_id``; nothing there is fine.

        Only called once the image's status says that no upload is alive.  An object
        complete under its final name is removed as well: no location names it.
        """

    def objects(self) -> Iterator[StoredObject]:
        """Yield every object of the store, complete or partial, in any order."""
        return iter(())

    def remove(self, found: StoredObject) -> None:
        """Remove an object that ``objects`` yielded; already gone is fine."""
        raise exception.StoreDeleteNotSupported()

    def set_acls(self, uri: str, public: bool, read: list[str], write: list[str]) -> None:
        """Give tenants access to the object itself; drivers without ACLs ignore it."""


@dataclass(slots=True)
class Written:
    """What an upload produced (see ``glance.store.transfer``).

    :ivar uri: location; a secret if it holds credentials
    :ivar size: bytes stored
    :ivar checksum: md5, 32 hex digits
    :ivar hash_algo: name of the second hash
    :ivar hash_value: its hex digest
    """

    uri: str
    size: int
    checksum: str
    hash_algo: str
    hash_value: str
    metadata: dict[str, Any] = field(default_factory=dict)
