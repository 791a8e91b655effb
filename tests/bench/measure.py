"""Which servers each scenario needs, and which figures come of it."""

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench import bare, fairness, metadata, peer, processes, services, transfers
from tests.bench.report import Report
from tests.bench.services import Service
from tests.bench.transfers import Rate, Source

MIB = 2**20
_OPERATIONS = {"list": "list 25", "show": "show", "create": "create"}


class Bench:
    """One run of the program.

    :param directory: an empty directory for everything that the servers write
    """

    def __init__(self, options: argparse.Namespace, directory: Path, report: Report) -> None:
        self._options, self._directory, self._report = options, directory, report
        self._stack = contextlib.ExitStack()
        self._here: dict[str, Service] = {}
        self._upstream: Service | None = None

    def run(self) -> None:
        """Start the servers, measure, and stop them.

        :raises Unavailable: a server that was asked for cannot be run here
        :raises RuntimeError: a server or a client failed
        """
        wanted = self._options.scenarios
        with self._stack:
            self._start()
            if "memory" in wanted:  # first: nothing has been asked yet
                self._memory()
            if "upload" in wanted:
                self._upload()
            if "download" in wanted:
                self._download()
            for database, service in self._here.items():
                self._metadata(database, service, [name for name in metadata.OPERATIONS if name in wanted])
            if "fairness" in wanted:
                self._fairness()

    @property
    def _first(self) -> Service:
        return next(iter(self._here.values()))

    def _start(self) -> None:
        options = self._options
        if "mariadb" in options.database:
            self._mariadb = self._stack.enter_context(services.mariadb())
        for name in options.database:
            directory = self._directory / f"here-{name}"
            self._here[name] = self._stack.enter_context(services.glance(directory, self._database(name)))
        if options.peer:
            self._upstream = self._stack.enter_context(self._peer("upstream"))

    def _database(self, name: str) -> str | None:
        """A new, empty database of that kind."""
        return self._stack.enter_context(self._mariadb.database()) if name == "mariadb" else None

    def _peer(self, name: str, **options: str) -> contextlib.AbstractContextManager[Service]:
        connection = self._database("mariadb")
        assert connection
        return peer.upstream(self._directory / name, connection, **options)

    # --- transfers ----------------------------------------------------------------

    def _upload(self) -> None:
        costs = bare.costs(self._directory, self._options.size, self._options.rounds)
        with contextlib.ExitStack() as sha256:
            self._upload_with("sha512", self._first, self._upstream, costs)
            here = sha256.enter_context(
                services.glance(
                    self._directory / "here-sha256",
                    self._database(self._options.database[0]),
                    hashing_algorithm="sha256",
                )
            )
            there = (
                sha256.enter_context(self._peer("upstream-sha256", hashing_algorithm="sha256"))
                if self._upstream
                else None
            )
            self._upload_with("sha256", here, there, costs)
        slowest = "upload md5+sha512"
        for name in ("write 1 MiB blocks, fsync", "receive on loopback"):
            self._rates(f"bare: {name}", costs[name])
        del slowest

    def _upload_with(self, algorithm: str, here: Service, there: Service | None, costs: Mapping[str, Rate]) -> None:
        contestants = {"here": here} | ({"upstream": there} if there else {})
        rates = transfers.uploads(contestants, self._options.size, self._options.rounds)
        hashing = costs[f"hash md5 and {algorithm}, two threads"]
        self._rates(f"upload md5+{algorithm}", rates["here"], ("hashing only", hashing), rates.get("upstream"))

    def _download(self) -> None:
        size, rounds = self._options.size, self._options.rounds
        with contextlib.ExitStack() as stack:
            image_id = transfers.add(self._first, size)
            sources = {"here": _source(self._first, image_id)}
            if self._options.nginx:
                assert self._first.images
                file = next(self._first.images.rglob(image_id))
                server = stack.enter_context(services.nginx(self._directory / "nginx", file.parent))
                request = transfers.file_request(f"/{file.name}")
                sources["nginx"] = Source(server.port, request, server.processes)
            if self._upstream:
                sources["upstream"] = _source(self._upstream, transfers.add(self._upstream, size))
            for count in (1, 8):
                rates = transfers.downloads(sources, size, count, rounds)
                beside = ("nginx", rates["nginx"]) if "nginx" in rates else None
                what = f"download, {count} client" + ("s" if count > 1 else "")
                self._rates(what, rates["here"], beside, rates.get("upstream"))
        transfers.remove(self._first, image_id)

    def _rates(
        self, what: str, rate: Rate, beside: tuple[str, Rate] | None = None, upstream: Rate | None = None
    ) -> None:
        for unit, name in {"MB/s": "speed", "CPU s/GiB": "cpu"}.items():
            self._report.add(
                what, unit, getattr(rate, name), (beside[0], getattr(beside[1], name)) if beside else None
            )
            if upstream:
                self._report.upstream(what, unit, getattr(upstream, name))
