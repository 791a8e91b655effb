"""Knowing which data transfers are alive, and settling those that died (spec database.md §9).

Whoever moves data into an image holds a row that names it,
``<status if it dies>@<host>:<pid namespace>:<pid>:<start>``, and renews it every 15
seconds.  An image in ``saving`` whose row is missing, 60 seconds old, or of a process of
this host that has ended, belongs to nobody: it is settled at once, so that a crash
leaves nothing in ``saving``.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glance.common import exception
from glance.context import RequestContext, admin_context
from glance.images.catalog import Catalog, Transfer

LOG = logging.getLogger(__name__)

BEAT_SECONDS = 15
SWEEP_SECONDS = 30
STALE_SECONDS = 60
_TICK = 1.0


Alive = dict[str, tuple[RequestContext, str]]
"""Image id → who began the transfer, and its name."""


class Transfers:
    """The transfers of this process, and the sweep over everybody's.

    :param alive: shared by the objects of one process, each of which has a catalog of its own
    """

    def __init__(self, catalog: Catalog, alive: Alive) -> None:
        self._catalog = catalog
        self._alive = alive
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._node = ""
        self._lock = threading.Lock()
        self._sweep_now = False

    @property
    def node(self) -> str:
        """Who this process is, in the transfer rows; made anew after a fork."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._node = f"{_here()}:{self._pid}:{_start_time(self._pid)}"
        return self._node

    @contextmanager
    def holding(self, context: RequestContext, image_id: str, status: str) -> Iterator[str]:
        """Keep the transfer into ``image_id`` alive while the block runs; gives the name for its row.

        When the block fails without having settled the image's status, the next sweep does.

        :param status: what the image becomes should this process die
        """
        name = f"{status}@{self.node}"
        self._alive[image_id] = (context, name)
        try:
            yield name
        finally:
            self._alive.pop(image_id, None)

    def abandoned(self) -> None:
        """Ask for a sweep soon: a transfer of this process ended without its status being settled."""
        self._sweep_now = True

    def start(self, settle: Callable[[Transfer], None]) -> None:
        """Start beating and sweeping in this process, unless it does; the first sweep is made at once.

        :param settle: called with each dead transfer; makes the image's status say that no
            data is coming and removes partial data
        """
        if self._thread is not None and self._pid == os.getpid():
            return
        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                _ = self.node
                self._thread = threading.Thread(target=self._run, args=(settle,), name="transfers", daemon=True)
                self._thread.start()

    def _run(self, settle: Callable[[Transfer], None]) -> None:
        next_beat = next_sweep = time.monotonic()
        failed = False
        while True:
            now = time.monotonic()
            try:
                if now >= next_beat:
                    next_beat = now + BEAT_SECONDS
                    self._beat()
                if now >= next_sweep or self._sweep_now:
                    next_sweep = now + (5 if self._sweep_now else SWEEP_SECONDS)
                    self._sweep_now = False
                    self.sweep(settle)
                failed = False
            except exception.GlanceException as error:
                if not failed:
                    LOG.warning("Cannot renew or settle transfers at the moment: %s", error)
                failed = True
                next_sweep = min(next_sweep, now + 5)
            except Exception:
                LOG.exception("Unexpected error while settling transfers")
            time.sleep(_TICK)

    def _beat(self) -> None:
        groups: dict[str, list[str]] = {}
        for image_id, (_, name) in list(self._alive.items()):
            groups.setdefault(name, []).append(image_id)
        for name, image_ids in groups.items():
            holder = self._alive.get(image_ids[0])
            if holder is not None:
                self._catalog.beat(holder[0].elevated(), name, image_ids)  # its token may expire

    def sweep(self, settle: Callable[[Transfer], None]) -> int:
        """Settle every dead transfer; return how many there were."""
        dead = [transfer for transfer in self._catalog.transfers(admin_context()) if self._is_dead(transfer)]
        for transfer in dead:
            LOG.warning("Transfer into image %s by %s died; settling it", transfer.image_id, transfer.node or "?")
            settle(transfer)
        return len(dead)

    def _is_dead(self, transfer: Transfer) -> bool:
        if transfer.image_id in self._alive:
            return False
        if transfer.node is None or transfer.age is None or transfer.age > STALE_SECONDS:
            return True
        node = transfer.node.partition("@")[2]
        here, _, process = node.rpartition(":")[0].rpartition(":")
        if here != _here():
            return False
        return node == self.node or _start_time(int(process)) != node.rpartition(":")[2]


def status_if_dead(transfer: Transfer) -> str:
    """The status in which a dead transfer leaves its image: ``killed`` (v1) or ``queued`` (v2)."""
    return "queued" if (transfer.node or "").startswith("queued@") else "killed"


def _here() -> str:
    """This host and its process number space: containers may share a host name but not their pids."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}:{namespace}"


def _start_time(pid: int) -> str:
    """Boot-relative start of a process (field 22 of /proc/<pid>/stat), '' when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
