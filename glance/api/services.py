"""Building what the two APIs of a process work with."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from oslo_config import cfg

from glance.api import versions
from glance.common import exception, health
from glance.common.offload import offload
from glance.db.catalog import DataCatalog
from glance.db.registry.rest import RestCatalog
from glance.images import upload
from glance.images.policy import Policy
from glance.images.protection import Protections
from glance.images.service import Service
from glance.images.transfers import Alive, Transfers
from glance.notifier import Notifier
from glance.store.stores import Stores

BACKGROUND_TRANSFERS = 1024
"""Copies from other places that run at once (daemons-and-config.md §4)."""

_current: dict[str, Service] = {}


def current(conf: cfg.ConfigOpts, api: str) -> Service:
    """What ``api`` (``v1``, ``v2``) works with in this process, built on first use.

    :raises ConfigurationError: a setting is not usable
    """
    if not _current:
        _current.update(build(conf))
    return _current[api]


def reset() -> None:
    """Forget the services, because the configuration was read again."""
    _current.clear()


def build(conf: cfg.ConfigOpts) -> dict[str, Service]:
    """Build a service for each API that is switched on; they share all but the catalog.

    :raises ConfigurationError: a setting is not usable
    """
    if not conf.use_user_token and not conf.send_identity_headers and conf.paste_deploy.flavor:
        raise exception.ConfigurationError(
            "use_user_token = False would make the registry take everyone for the service user; "
            "set send_identity_headers = True (and the registry's flavor to trusted-auth), or remove it"
        )
    policy, stores = Policy(conf), Stores(conf)
    health.provide("stores", stores.checks())
    health.provide("cache", {"cache directory": partial(_check_cache, conf)} if conf.image_cache_dir else {})
    shared = {
        "conf": conf,
        "stores": stores,
        "policy": policy,
        "protections": Protections(conf, policy),
        "notifier": Notifier(conf),
        "background": ThreadPoolExecutor(BACKGROUND_TRANSFERS, thread_name_prefix="copy"),
    }
    catalogs: dict[str, type[RestCatalog] | type[DataCatalog]] = {"v1": RestCatalog, "v2": DataCatalog}
    alive: Alive = {}
    built = {}
    for api in versions.enabled_families(conf):
        catalog = catalogs[api](conf)
        built[api] = Service(api=api, catalog=catalog, transfers=Transfers(catalog, alive), **shared)
    return built


def _check_cache(conf: cfg.ConfigOpts) -> None:
    if not offload(os.access, conf.image_cache_dir, os.R_OK | os.W_OK | os.X_OK):
        raise OSError(f"{conf.image_cache_dir} cannot be read and written")


def start(service: Service) -> None:
    """Start what runs beside the requests, once in each process."""
    service.transfers.start(partial(upload.settle, service))


def after_fork() -> None:
    """Start the services in a new worker, with connections of its own."""
    health.after_fork()
    for service in _current.values():
        service.catalog.after_fork()
        start(service)


def drain() -> None:
    """Return when no copy is running any more."""
    for service in _current.values():
        service.background.shutdown(wait=True)
