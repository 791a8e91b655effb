"""Which servers each scenario needs, and which figures come of it."""

import argparse
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench import bare, fairness, metadata, peer, processes, services, transfers
from tests.bench.clients import Outcome
from tests.bench.dialects import V2
from tests.bench.metadata import Cost
from tests.bench.report import Report
from tests.bench.services import Service
from tests.bench.transfers import Rate

MIB = 2**20
_NAMES = {"list": "list 25", "show": "show", "create": "create", "patch": "patch"}
_SECONDS, _FAIRNESS_SECONDS = 5, 20


class Bench:
    """One run of the program.

    :param directory: an empty directory for everything that the servers write
    """

    def __init__(self, options: argparse.Namespace, directory: Path, report: Report) -> None:
        self._options, self._directory, self._report = options, directory, report
        self._stack = contextlib.ExitStack()
        self._upstream: Service | None = None

    def run(self) -> None:
        """Start the servers, measure, and stop them.

        :raises Unavailable: a server that was asked for cannot be run here
        :raises RuntimeError: a server or a client failed
        """
        with self._stack:
            if "mariadb" in self._options.database:
                self._mariadb = self._stack.enter_context(services.mariadb())
            first, *others = self._options.database
            here = {first: self._here(first)}
            if "memory" in self._options.scenarios:  # before anything is asked, or shares pages
                self._memory(here[first])
            here |= {name: self._here(name) for name in others}
            if self._options.peer:
                self._upstream = self._peer("upstream")
            self._measure(here, here[first])

    def _measure(self, here: Mapping[str, Service], first: Service) -> None:
        wanted = self._options.scenarios
        if self._upstream and "memory" in wanted:
            self._report.upstream("memory API + registry, idle", "MiB PSS", _pss(self._upstream))
        if "upload" in wanted:
            self._upload(first)
        if "download" in wanted:
            self._download(first)
        operations = [name for name in metadata.OPERATIONS if name in wanted]
        for database, service in here.items():
            self._small_requests(database, service, operations)
        if "v2" in wanted:
            for database in here:
                self._version_two(database)
        if "memory" in wanted and len(wanted) > 1:
            self._report.add("memory API + registry, at the end", "MiB PSS", _pss(first))
        if "fairness" in wanted:
            self._fairness()

    # --- servers --------------------------------------------------------------------

    def _here(self, database: str, name: str = "here", **options: Any) -> Service:
        directory = self._directory / f"{name}-{database}"
        return self._stack.enter_context(services.glance(directory, self._new_database(database), **options))

    def _peer(self, name: str, **options: Any) -> Service:
        self._report.doing("starting upstream" if peer.installed() else "installing upstream")
        url = self._stack.enter_context(self._mariadb.database())
        return self._stack.enter_context(peer.upstream(self._directory / name, url, **options))

    def _new_database(self, kind: str) -> str | None:
        """URL of an empty database; None is SQLite."""
        return self._stack.enter_context(self._mariadb.database()) if kind == "mariadb" else None

    # --- transfers ------------------------------------------------------------------

    def _upload(self, first: Service) -> None:
        self._upload_with("sha512", first, self._upstream, bare.costs(self._directory, self._options.size))
        here = self._here(self._options.database[0], "sha256", hashing_algorithm="sha256")
        there = self._peer("upstream-sha256", hashing_algorithm="sha256") if self._upstream else None
        self._upload_with("sha256", here, there, {})

    def _upload_with(
        self, algorithm: str, here: Service, there: Service | None, costs: dict[str, Callable[[], Outcome]]
    ) -> None:
        size = self._options.size
        contestants = {"here": transfers.upload(here, size), "hashing": bare.hashing(size, "md5", algorithm), **costs}
        if there:
            contestants["upstream"] = transfers.upload(there, size)
        rates = transfers.rates(self._options.rounds, size, contestants)
        for name in costs:
            self._rate(f"bare: {name}", rates[name])
        hashing = ("hashing alone", rates["hashing"])
        self._rate(f"upload md5+{algorithm}", rates["here"], hashing, rates.get("upstream"))

    def _download(self, first: Service) -> None:
        size, rounds = self._options.size, self._options.rounds
        image_id = transfers.add(first, size)
        sources = {"here": transfers.image_source(first, image_id)}
        with contextlib.ExitStack() as stack:
            if self._options.nginx:
                file = next(first.images.rglob(image_id))
                server = stack.enter_context(services.nginx(self._directory / "nginx", file.parent))
                sources["nginx"] = transfers.file_source(server, file.name)
            if self._upstream:
                sources["upstream"] = transfers.image_source(self._upstream, transfers.add(self._upstream, size))
            for count, what in {1: "download, 1 client", 8: "download, 8 clients"}.items():
                contestants = {name: transfers.download(source, size, count) for name, source in sources.items()}
                rates = transfers.rates(rounds, size * count, contestants)
                beside = ("nginx", rates["nginx"]) if "nginx" in rates else None
                self._rate(what, rates["here"], beside, rates.get("upstream"))

    def _rate(
        self, what: str, rate: Rate, beside: tuple[str, Rate] | None = None, upstream: Rate | None = None
    ) -> None:
        for unit, name in {"MB/s": "speed", "CPU s/GiB": "cpu"}.items():
            reference = (beside[0], getattr(beside[1], name)) if beside else None
            self._report.add(what, unit, getattr(rate, name), reference)
            if upstream:
                self._report.upstream(what, unit, getattr(upstream, name))

    # --- API v2 -----------------------------------------------------------------------

    def _version_two(self, database: str) -> None:
        seconds = self._options.seconds or _SECONDS
        modules = {"over RPC": "glance.db.registry.api", "direct": "glance.db.sqlalchemy.api"}
        services = {
            name: self._here(database, f"v2 {name}", dialect=V2(), data_api=module) for name, module in modules.items()
        }
        image_ids = {name: metadata.fill(service) for name, service in services.items()}
        for operation in metadata.V2_OPERATIONS:
            costs = {
                name: metadata.through_api(service, operation, image_ids[name], seconds)
                for name, service in services.items()
            }
            what = f"v2 {_NAMES[operation]}, {database}"
            remote, direct = costs["over RPC"], costs["direct"]
            self._report.add(what, "CPU ms", remote.total_cpu, ("direct", direct.total_cpu))
            self._report.add(what, "CPU ms, API", remote.cpu["api"], ("direct", direct.cpu["api"]))
            self._report.add(what, "requests/s", remote.rate, ("direct", direct.rate))

    # --- small requests ---------------------------------------------------------------

    def _small_requests(self, database: str, service: Service, operations: list[str]) -> None:
        if not operations:
            return
        seconds = self._options.seconds or _SECONDS
        upstream = self._upstream if database == "mariadb" else None
        image_id = metadata.fill(service)
        theirs = metadata.fill(upstream) if upstream else ""
        for operation in operations:
            what = f"{_NAMES[operation]}, {database}"
            through = metadata.through_api(service, operation, image_id, seconds)
            straight = metadata.at_registry(service, operation, image_id, seconds)
            self._report.add(what, "CPU ms", through.total_cpu, ("registry alone", straight.total_cpu))
            self._report.add(what, "CPU ms, API", through.cpu["api"])
            self._report.add(what, "requests/s", through.rate, ("registry alone", straight.rate))
            alone = [
                side(service, operation, image_id, seconds, count=1).latency
                for side in (metadata.through_api, metadata.at_registry)
            ]
            self._report.add(what, "ms, 1 client", alone[0], ("registry alone", alone[1]))
            if upstream:
                self._report_upstream(what, metadata.through_api(upstream, operation, theirs, seconds))
                single = metadata.through_api(upstream, operation, theirs, seconds, count=1)
                self._report.upstream(what, "ms, 1 client", single.latency)

    def _report_upstream(self, what: str, cost: Cost) -> None:
        self._report.upstream(what, "CPU ms", cost.total_cpu)
        self._report.upstream(what, "requests/s", cost.rate)

    # --- the rest -----------------------------------------------------------------------

    def _fairness(self) -> None:
        service = self._here(self._options.database[0], "one-worker", workers=1)
        seconds = self._options.seconds or _FAIRNESS_SECONDS
        found = fairness.waits(service, self._options.size, seconds)
        for kind, busy in found["busy"].items():
            quiet = found["quiet"][kind]
            for unit, name in {"p50 ms": "p50", "p99 ms": "p99", "max ms": "longest"}.items():
                reference = ("quiet", getattr(quiet, name))
                self._report.add(f"{kind} beside 5 uploads", unit, getattr(busy, name), reference)

    def _memory(self, service: Service) -> None:
        for part, pids in service.processes.items():
            self._report.add(f"memory {part}, idle", "MiB PSS", processes.pss_bytes(pids) / MIB)
        self._report.add("memory API + registry, idle", "MiB PSS", _pss(service))


def _pss(service: Service) -> float:
    return sum(processes.pss_bytes(pids) for pids in service.processes.values()) / MIB
