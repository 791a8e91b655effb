"""Building the one ``Service`` that both APIs of a process work with."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from oslo_config import cfg

from glance.common import exception
from glance.db.registry.rest import RestCatalog
from glance.images import upload
from glance.images.policy import Policy
from glance.images.protection import Protections
from glance.images.service import Service
from glance.images.transfers import Transfers
from glance.notifier import Notifier
from glance.store.stores import Stores

BACKGROUND_TRANSFERS = 1024
"""Copies from other places that run at once (daemons-and-config.md §4)."""

_current: Service | None = None


def current(conf: cfg.ConfigOpts) -> Service:
    """The service of this process, built on first use."""
    global _current  # noqa: PLW0603
    if _current is None:
        _current = build(conf)
    return _current


def reset() -> None:
    """Forget the service, because the configuration was read again."""
    global _current  # noqa: PLW0603
    _current = None


def build(conf: cfg.ConfigOpts) -> Service:
    """Build a service.  :raises ConfigurationError: a setting is not usable"""
    if not conf.use_user_token and not conf.send_identity_headers and conf.paste_deploy.flavor:
        raise exception.ConfigurationError(
            "use_user_token = False would make the registry take everyone for the service user; "
            "set send_identity_headers = True (and the registry's flavor to trusted-auth), or remove it"
        )
    catalog = RestCatalog(conf)
    policy = Policy(conf)
    return Service(
        conf=conf,
        catalog=catalog,
        stores=Stores(conf),
        policy=policy,
        protections=Protections(conf, policy),
        notifier=Notifier(conf),
        transfers=Transfers(catalog),
        background=ThreadPoolExecutor(BACKGROUND_TRANSFERS, thread_name_prefix="copy"),
    )


def start(service: Service) -> None:
    """Start what runs beside the requests, once in each process."""
    service.transfers.start(partial(upload.settle, service))
