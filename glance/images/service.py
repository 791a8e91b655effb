"""What the recipes work with: one object per API and process, handed to every recipe."""

from concurrent.futures import Executor
from dataclasses import dataclass

from oslo_config import cfg

from glance.images.catalog import Catalog
from glance.images.policy import Policy
from glance.images.protection import Protections
from glance.images.transfers import Transfers
from glance.notifier import Notifier
from glance.store.stores import Stores


@dataclass(frozen=True)
class Service:
    """The parts of a running image service.

    :ivar api: ``v1`` or ``v2``: in whose form notifications are
    :ivar catalog: where metadata lives
    :ivar stores: where bytes live
    :ivar policy, protections: who may do what
    :ivar transfers: heartbeat of the data this process is moving
    :ivar background: runs copy-from; waited for when a worker leaves gracefully
    """

    api: str
    conf: cfg.ConfigOpts
    catalog: Catalog
    stores: Stores
    policy: Policy
    protections: Protections
    notifier: Notifier
    transfers: Transfers
    background: Executor
