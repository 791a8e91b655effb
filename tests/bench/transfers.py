"""Uploads and downloads: MB/s, and CPU seconds of the servers per GiB."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.bench import clients
from tests.bench.clients import Gate, Outcome
from tests.bench.services import Nginx, Service
from tests.bench.wire import Connection, request

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Rate:
    """Medians of the rounds."""

    speed: float
    """MB/s (10⁶ bytes) of all clients together."""

    cpu: float
    """CPU s/GiB."""


def rates(rounds: int, size: int, runs: Mapping[str, Callable[[], Outcome]]) -> dict[str, Rate]:
    """Run every contestant once per round, so that all meet the same weather.

    :param size: bytes that one run moves
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, one in runs.items():
            outcomes[name].append(one())
    return {
        name: Rate(median(size / 1e6 / o.seconds for o in done), median(o.total_cpu * GIB / size for o in done))
        for name, done in outcomes.items()
    }


def upload(service: Service, size: int) -> Callable[[], Outcome]:
    """One client uploads ``size`` bytes: a contestant of ``rates``."""
    return partial(_upload, service, size)


def _upload(service: Service, size: int) -> Outcome:
    outcome = clients.run([partial(_uploader, service, size)], service.processes)
    remove(service, outcome.results[0])
    return outcome


def _uploader(service: Service, size: int, gate: Gate) -> str:
    connection = Connection(service.port)
    connection.connect()
    gate()
    return service.dialect.add(connection, size)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is downloaded from: a request, and who answers it."""

    port: int
    request: bytes
    processes: Mapping[str, Sequence[int]]


def image_source(service: Service, image_id: str) -> Source:
    """An image of a service."""
    return Source(service.port, service.dialect.download(image_id), service.processes)


def file_source(server: Nginx, name: str) -> Source:
    """A file that nginx serves."""
    return Source(server.port, request("GET", f"/{name}", {}), server.processes)


def download(source: Source, size: int, count: int) -> Callable[[], Outcome]:
    """``count`` clients download the same ``size`` bytes at once: a contestant of ``rates``."""
    return partial(clients.run, [partial(_downloader, source, size)] * count, source.processes)


def _downloader(source: Source, size: int, gate: Gate) -> None:
    connection = Connection(source.port)
    connection.connect()
    gate()
    answer = connection.ask(source.request, discard=True)
    if answer.length != size:
        raise RuntimeError(f"{answer.length} bytes were announced instead of {size}")


def add(service: Service, size: int) -> str:
    """Upload an image and return its id."""
    connection = Connection(service.port)
    try:
        return service.dialect.add(connection, size)
    finally:
        connection.close()


def remove(service: Service, image_id: str) -> None:
    """Delete an image."""
    connection = Connection(service.port)
    try:
        connection.ask(service.dialect.delete(image_id))
    finally:
        connection.close()
