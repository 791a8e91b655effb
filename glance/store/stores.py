"""The configured stores, by name and by location (spec stores.md §2, daemons-and-config.md §3.6)."""

import importlib
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from glance.common import exception
from glance.common.offload import offload
from glance.store.base import Driver, Reader

LOG = logging.getLogger(__name__)


class _Kind(NamedTuple):
    """A kind of store.

    :ivar schemes: of its locations, also accepted as its name
    :ivar driver: ``module:class``, None if this version has no driver for it
    """

    schemes: tuple[str, ...]
    driver: str | None = None


_KINDS = {
    "file": _Kind(("file", "filesystem"), "glance.store.file:FileDriver"),
    "http": _Kind(("http", "https"), "glance.store.http:HttpDriver"),
    "swift": _Kind(("swift", "swift+http", "swift+https", "swift+config"), "glance.store.swift:SwiftDriver"),
    "s3": _Kind(("s3", "s3+http", "s3+https"), "glance.store.s3:S3Driver"),
    "rbd": _Kind(("rbd",), "glance.store.rbd:RbdDriver"),
    "cinder": _Kind(("cinder",)),
    "vmware": _Kind(("vsphere",)),
    "sheepdog": _Kind(("sheepdog",)),
    "gridfs": _Kind(("gridfs",)),
}
_NAMES = {scheme: kind for kind, entry in _KINDS.items() for scheme in (kind, *entry.schemes)}
_NAMES["vmware_datastore"] = "vmware"  # the module's name in class paths

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,31})://", re.IGNORECASE | re.ASCII)
_CLASS_PATH = re.compile(r"glance(?:_store|\.store)\.(?:_drivers\.)?([a-z0-9_]+)\.Store")
_NEVER_EXTERNAL = frozenset({"file", "filesystem", "swift+config"})


class Stores:
    """Every store that is switched on.  Its calls block no other request.

    :ivar default: where images go that name no store
    :raises StoreConfigurationError: the default store cannot be used
    """

    def __init__(self, conf: Any) -> None:
        options = conf.glance_store
        default = _kind(options.default_store)
        self._drivers: dict[str, Driver] = {}
        for name in _enabled(options, default):
            try:
                self._drivers[name] = _load(conf, name)
            except exception.ConfigurationError as error:
                if name == default:
                    raise _unusable(name, str(error)) from error
                LOG.warning("Store %s is skipped: %s", name, error)
        for name, driver in self._drivers.items():
            try:
                driver.configure()
            except exception.ConfigurationError as error:
                if name == default:
                    raise _unusable(name, str(error)) from error
                driver.add_disabled = str(error)
                LOG.warning("Adding images to store %s is disabled: %s", name, error)
        self.default = self._drivers[default]
        if not self.default.WRITABLE:
            raise _unusable(default, "nothing can be added to it.")
        self._schemes = {scheme: driver for driver in self._drivers.values() for scheme in driver.SCHEMES}

    def drivers(self, name: str | None = None) -> dict[str, Driver]:
        """All drivers by store name, or the one that is called ``name``.  :raises Invalid: unknown"""
        if name is None:
            return dict(self._drivers)
        kind = _NAMES.get(name)
        if kind not in self._drivers:
            raise exception.Invalid(f"Store {name!r} is not one of {', '.join(self._drivers)}.")
        return {kind: self._drivers[kind]}

    def for_uri(self, uri: str) -> Driver:
        """The driver that reads a location.  :raises UnknownScheme, BadStoreUri:"""
        scheme = _scheme(uri)
        if scheme not in self._schemes:
            raise exception.UnknownScheme(scheme=scheme)
        return self._schemes[scheme]

    def for_upload(self, name: str | None = None) -> Driver:
        """The driver that new data goes to.

        :param name: store or scheme that the caller asks for, None for the default
        :raises Invalid: unknown, not enabled, or read-only
        :raises StoreAddDisabled: not configured for writing
        """
        driver = self.default if name is None else self._drivers.get(_NAMES.get(name, ""))
        if driver is None or not driver.WRITABLE:
            raise exception.Invalid("The store that was asked for is unknown, not enabled or read-only.")
        if driver.add_disabled:
            raise exception.StoreAddDisabled()
        return driver

    def check_external(self, uri: str) -> None:
        """Refuse addresses that a caller may not name; no network (spec v1-api.md §6).

        :raises Invalid: the scheme is for the service alone or not enabled
        :raises BadStoreUri: malformed
        """
        scheme = _scheme(uri)
        if scheme in _NEVER_EXTERNAL or scheme not in self._schemes:
            raise exception.Invalid(f"External sources are not supported: the scheme '{scheme}' cannot be used.")
        self._schemes[scheme].check_location(uri)

    def size(self, uri: str) -> int:
        """See ``Driver.size``.  :raises UnknownScheme:"""
        driver = self.for_uri(uri)
        return _call(driver, driver.size, uri)

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        """See ``Driver.open``.  :raises UnknownScheme:"""
        driver = self.for_uri(uri)
        return _call(driver, driver.open, uri, offset, length)

    def delete(self, uri: str) -> None:
        """See ``Driver.delete``.  :raises UnknownScheme:"""
        driver = self.for_uri(uri)
        _call(driver, driver.delete, uri)

    def discard(self, image_id: str) -> None:
        """Remove from every store what an upload that died left behind; failures are logged."""
        for name, driver in self._drivers.items():
            try:
                _call(driver, driver.discard, image_id)
            except exception.GlanceException as error:
                LOG.warning("What is left of image %s in store %s stays: %s", image_id, name, error)


def _call(driver: Driver, fn: Callable[..., Any], *args: Any) -> Any:
    """Return ``fn(*args)``, off the hub if it blocks; log what the error text keeps back."""
    try:
        return offload(fn, *args) if driver.BLOCKING else fn(*args)
    except exception.GlanceException as error:
        if isinstance(error.__cause__, OSError):
            LOG.error("Store %s: %s", driver.NAME, error.__cause__)
        raise


def _scheme(uri: str) -> str:
    match = _SCHEME.match(uri)
    if match is None:
        raise exception.BadStoreUri()  # what stands there may be a password
    return match[1].lower()


def _kind(name: str) -> str:
    """The kind of store that a name, scheme or class path of a file means.  :raises StoreConfigurationError:"""
    path = _CLASS_PATH.fullmatch(name.strip())
    kind = _NAMES.get(path[1] if path else name.strip())
    if kind is None:
        raise exception.StoreConfigurationError(f"Unknown store '{name}': choose one of {', '.join(_KINDS)}.")
    return kind


def _enabled(options: Any, default: str) -> list[str]:
    """Names of the stores to switch on, each once, in the order of the file."""
    listed = options.stores or options.known_stores or ["file", "http"]
    names = []
    for item in listed:
        try:
            names.append(_kind(item))
        except exception.StoreConfigurationError as error:
            LOG.warning("%s It is skipped.", error)
    return list(dict.fromkeys([*names, default]))


def _load(conf: Any, kind: str) -> Driver:
    path = _KINDS[kind].driver
    if path is None:
        raise exception.ConfigurationError("this version has no driver for it.")
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)(conf)


def _unusable(name: str, why: str) -> exception.StoreConfigurationError:
    return exception.StoreConfigurationError(f"The default store '{name}' cannot be used: {why}")
