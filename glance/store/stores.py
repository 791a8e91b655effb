"""The stores that are switched on, by name and by location (spec stores.md §2)."""

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from glance.common import exception
from glance.context import RequestContext
from glance.store.base import Driver, Reader
from glance.store.selection import NAMES, select

LOG = logging.getLogger(__name__)

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,31})://", re.IGNORECASE | re.ASCII)
_NEVER_EXTERNAL = frozenset({"file", "filesystem", "swift+config"})


class Place:
    """Where data lies: an address in one of the stores.  Its calls block no other request.

    :ivar store: name of the store
    :ivar has_acls: whether ``set_acls`` does anything
    """

    def __init__(self, store: str, driver: Driver, uri: str) -> None:
        self.store = store
        self.has_acls = driver.has_acls
        self._driver, self._uri = driver, uri

    def size(self) -> int:
        """See ``Driver.size``."""
        return _call(self._driver, self._driver.size, self._uri)

    def open(self, offset: int = 0, length: int | None = None) -> Reader:
        """See ``Driver.open``."""
        reader = _call(self._driver, self._driver.open, self._uri, offset, length)
        reader.store = self.store
        return reader

    def delete(self) -> None:
        """See ``Driver.delete``."""
        _call(self._driver, self._driver.delete, self._uri)

    def set_acls(self, public: bool, read: list[str], write: list[str]) -> None:
        """See ``Driver.set_acls``."""
        _call(self._driver, self._driver.set_acls, self._uri, public, read, write)


class Stores:
    """Every store that is switched on.

    :ivar default: where images go that name no store
    :ivar several: whether ``enabled_backends`` names the stores; each kind is there once if not
    :raises StoreConfigurationError: the default store cannot be used
    """

    def __init__(self, conf: Any) -> None:
        self._conf = conf
        self.several = bool(conf.enabled_backends)
        self._drivers, self._default = select(conf)
        self.default = self._drivers[self._default]

    @property
    def names(self) -> list[str]:
        """The stores in the order of the configuration, the default one first."""
        return [self._default, *(name for name in self._drivers if name != self._default)]

    def weight(self, store: str | None) -> int:
        """How much a store is preferred for reading; more is better."""
        return self._conf[store].weight if self.several and store in self._drivers else 0

    def kind(self, store: str) -> str:
        """The type of a store.  :raises KeyError: unknown"""
        return self._drivers[store].NAME

    def drivers(self, name: str | None = None) -> dict[str, Driver]:
        """All drivers by store name, or the one that is called ``name``.  :raises Invalid: unknown"""
        if name is None:
            return dict(self._drivers)
        known = self._known(name)
        if known is None:
            raise exception.Invalid(f"Store {name!r} is not one of {', '.join(self._drivers)}.")
        return {known: self._drivers[known]}

    def place(self, uri: str, store: str | None = None, context: RequestContext | None = None) -> Place:
        """Where the data of a location lies.

        :param store: name of the store, if the location says it
        :param context: who asks, None: the service
        :raises UnknownScheme, BadStoreUri:
        """
        name = self._holder(uri, store)
        driver = self._drivers[name]
        return Place(name, driver if context is None else driver.acting_for(context), uri)

    def _holder(self, uri: str, store: str | None) -> str:
        """Name of the store that has a location: the one that it names, or the first that it may be in."""
        scheme = _scheme(uri)
        fitting = [name for name, driver in self._drivers.items() if scheme in driver.SCHEMES]
        if store in fitting:
            return str(store)
        if not fitting:
            raise exception.UnknownScheme(scheme=scheme)
        if len(fitting) > 1:
            fitting = [name for name in fitting if self._drivers[name].holds(uri)] or fitting
        return fitting[0]

    def for_upload(self, name: str | None = None) -> Driver:
        """The driver that new data goes to.

        :param name: store that the caller asks for, None for the default
        :raises Invalid: unknown, not enabled, or read-only
        :raises StoreAddDisabled: not configured for writing
        """
        driver = self.default if name is None else self._drivers.get(self._known(name) or "")
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
        fitting = [driver for driver in self._drivers.values() if scheme in driver.SCHEMES]
        if scheme in _NEVER_EXTERNAL or not fitting:
            raise exception.Invalid(f"External sources are not supported: the scheme '{scheme}' cannot be used.")
        fitting[0].check_location(uri)

    def checks(self) -> dict[str, Callable[[], None]]:
        """For each store that can be used what asks whether it is there; the call raises StoreUnavailable if not."""
        usable = {name: driver for name, driver in self._drivers.items() if not driver.add_disabled}
        return {name: partial(_call, driver, driver.check) for name, driver in usable.items()}

    def discard(self, image_id: str) -> None:
        """Remove from every store what an upload that died left behind; failures are logged."""
        for name, driver in self._drivers.items():
            try:
                _call(driver, driver.discard, image_id)
            except exception.GlanceException as error:
                LOG.warning("What is left of image %s in store %s stays: %s", image_id, name, error)

    def _known(self, name: str) -> str | None:
        """The store that a caller's name means: its own, or without ``enabled_backends`` also a scheme."""
        if not self.several:
            name = NAMES.get(name, name)
        return name if name in self._drivers else None


def _call(driver: Driver, fn: Callable[..., Any], *args: Any) -> Any:
    """Return ``fn(*args)``, off the hub if it blocks; log what the error text keeps back."""
    try:
        return driver.offload(fn, *args)
    except exception.GlanceException as error:
        if isinstance(error.__cause__, OSError):
            LOG.error("Store %s: %s", driver.backend or driver.NAME, error.__cause__)
        raise


def _scheme(uri: str) -> str:
    match = _SCHEME.match(uri)
    if match is None:
        raise exception.BadStoreUri()  # what stands there may be a password
    return match[1].lower()
