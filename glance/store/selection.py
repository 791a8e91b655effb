"""Which stores a configuration switches on (spec stores.md §2, daemons-and-config.md §3.6).

Either one store of each kind, with its options in ``[glance_store]`` (or, in files of
2011 to 2013, in ``[DEFAULT]``), or several by ``enabled_backends``, each with a section.
"""

import importlib
import logging
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from glance.common import config, exception
from glance.store.base import Driver

LOG = logging.getLogger(__name__)


class _Kind(NamedTuple):
    """A kind of store.

    :ivar schemes: of its locations, also accepted as its name
    :ivar driver: ``module:class``, None if this version has no driver for it
    :ivar signs: options that mean the store when they are set, where no list of stores is
    """

    schemes: tuple[str, ...]
    driver: str | None = None
    signs: tuple[str, ...] = ()


KINDS = {
    "file": _Kind(("file", "filesystem"), "glance.store.file:FileDriver"),
    "http": _Kind(("http", "https"), "glance.store.http:HttpDriver"),
    "swift": _Kind(
        ("swift", "swift+http", "swift+https", "swift+config"),
        "glance.store.swift:SwiftDriver",
        ("swift_store_auth_address", "swift_store_config_file", "swift_store_multi_tenant"),
    ),
    "s3": _Kind(("s3", "s3+http", "s3+https"), "glance.store.s3:S3Driver", ("s3_store_access_key", "s3_store_bucket")),
    "rbd": _Kind(("rbd",), "glance.store.rbd:RbdDriver", ("rbd_store_ceph_conf",)),
    "cinder": _Kind(("cinder",)),
    "vmware": _Kind(("vsphere",)),
    "sheepdog": _Kind(("sheepdog",)),
    "gridfs": _Kind(("gridfs",)),
}
NAMES = {scheme: kind for kind, entry in KINDS.items() for scheme in (kind, *entry.schemes)}
NAMES["vmware_datastore"] = "vmware"  # the module's name in class paths

ENTRY_POINTS = "glance.store.drivers"
"""Where packages of others name their drivers."""

_CLASS_PATH = re.compile(r"glance(?:_store|\.store)\.(?:_drivers\.)?([a-z0-9_]+)\.Store")


def select(conf: Any) -> tuple[dict[str, Driver], str]:
    """The drivers of all stores that can be used at least for reading, and the name of the default one.

    :raises StoreConfigurationError: the default store cannot take images
    """
    if conf.enabled_backends:
        wanted, default = dict(conf.enabled_backends), _default_backend(conf)
    else:
        default = _kind(conf.glance_store.default_store)
        wanted = dict.fromkeys(_enabled(conf, default))
    drivers = {}
    for name, kind in wanted.items():
        try:
            drivers[name] = _load(conf, kind, name) if kind else _load(conf, name)
        except exception.ConfigurationError as error:
            if name == default:
                raise _unusable(name, str(error)) from error
            LOG.warning("Store %s is skipped: %s", name, error)
    for name, driver in drivers.items():
        try:
            driver.configure()
        except exception.ConfigurationError as error:
            if name == default:
                raise _unusable(name, str(error)) from error
            driver.add_disabled = str(error)
            LOG.warning("Adding images to store %s is disabled: %s", name, error)
    if not drivers[default].WRITABLE:
        raise _unusable(default, "nothing can be added to it.")
    return drivers, default


def _default_backend(conf: Any) -> str:
    """:raises StoreConfigurationError: it is not named, or not one of those that are"""
    default = conf.glance_store.default_backend
    if default not in conf.enabled_backends:
        raise exception.StoreConfigurationError(
            f"[glance_store] default_backend is {default!r}: it must name one of enabled_backends, "
            f"{', '.join(conf.enabled_backends)}"
        )
    return default


def _kind(name: str) -> str:
    """The kind of store that a name, scheme or class path of a file means.  :raises StoreConfigurationError:"""
    path = _CLASS_PATH.fullmatch(name.strip())
    kind = NAMES.get(path[1] if path else name.strip())
    if kind is None:
        raise exception.StoreConfigurationError(f"Unknown store '{name}': choose one of {', '.join(KINDS)}.")
    return kind


def _enabled(conf: Any, default: str) -> list[str]:
    """Kinds of the stores to switch on, each once, in the order of the file."""
    options = conf.glance_store
    listed = options.stores or options.known_stores or _with_options(conf)
    names = []
    for item in listed:
        try:
            names.append(_kind(item))
        except exception.StoreConfigurationError as error:
            LOG.warning("%s It is skipped.", error)
    return list(dict.fromkeys([*names, default]))


def _with_options(conf: Any) -> Iterator[str]:
    """Stores of a file that lists none: file, http, and those that it describes."""
    for kind, entry in KINDS.items():
        if kind in ("file", "http") or any(config.is_set(conf, option, "glance_store") for option in entry.signs):
            yield kind


def _load(conf: Any, kind: str, backend: str | None = None) -> Driver:
    """:raises ConfigurationError: there is no such driver, or a value is of no use to it"""
    return _driver_class(kind)(conf, backend)


def _driver_class(kind: str) -> type[Driver]:
    known = NAMES.get(kind)
    path = KINDS[known].driver if known else None
    if path is not None:
        module, _, name = path.partition(":")
        return getattr(importlib.import_module(module), name)
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS, name=kind):
        return point.load()
    if known is None:
        raise exception.ConfigurationError(f"unknown type '{kind}': choose one of {', '.join(KINDS)}.")
    raise exception.ConfigurationError(f"this version has no driver for {kind}; a package may bring one.")


def _unusable(name: str, why: str) -> exception.StoreConfigurationError:
    return exception.StoreConfigurationError(f"The default store '{name}' cannot be used: {why}")
