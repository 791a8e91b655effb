"""Small requests: list, show and create, through the API and straight at the registry."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.bench import clients
from tests.bench.clients import Gate, Job
from tests.bench.dialects import PAGE, REGISTRY, Dialect
from tests.bench.services import Service
from tests.bench.wire import Connection

OPERATIONS = ("list", "show", "create")
V2_OPERATIONS = (*OPERATIONS, "patch")
CLIENTS = 4

_IMAGES = 2 * PAGE
_WARM = 30
"""Requests of each client before the measured ones."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of request costs."""

    cpu: dict[str, float]
    """CPU milliseconds per request of each part of the service."""

    rate: float
    """Requests per second of all clients together."""

    latency: float
    """Median milliseconds from request to answer."""

    @property
    def total_cpu(self) -> float:
        return sum(self.cpu.values())


def fill(service: Service) -> str:
    """Create the images that lists show; return the id of one of them."""
    connection = Connection(service.port)
    answers = [connection.ask(service.dialect.create()) for _ in range(_IMAGES)]
    connection.close()
    return service.dialect.created(answers[0])


def through_api(service: Service, operation: str, image_id: str, seconds: float, count: int = CLIENTS) -> Cost:
    """Measure one of ``OPERATIONS`` as users ask for it."""
    request = _request(service.dialect, operation, image_id)
    return _cost(service.port, request, service.processes, seconds, count)


def at_registry(service: Service, operation: str, image_id: str, seconds: float, count: int = CLIENTS) -> Cost:
    """Measure one of ``OPERATIONS`` as glance-api asks the registry for it."""
    request = _request(REGISTRY, operation, image_id)
    return _cost(service.registry_port, request, {"registry": service.processes["registry"]}, seconds, count)


def _request(dialect: Dialect, operation: str, image_id: str) -> bytes:
    make = getattr(dialect, operation)
    return make(image_id) if operation in ("show", "patch") else make()


def _cost(port: int, request: bytes, processes: Mapping[str, Sequence[int]], seconds: float, count: int) -> Cost:
    """Let ``count`` clients repeat a request, each on its own connection, for ``seconds``."""
    work: list[Job] = [partial(_repeat, port, request, seconds)] * count
    outcome = clients.run(work, processes, limit=seconds + 120)
    times = [took for result in outcome.results for took in result]
    return Cost(
        {name: used * 1000 / len(times) for name, used in outcome.cpu.items()},
        len(times) / outcome.seconds,
        median(times) * 1000,
    )


def _repeat(port: int, request: bytes, seconds: float, gate: Gate) -> list[float]:
    connection = Connection(port)
    for _ in range(_WARM):
        connection.ask(request)
    gate()
    times = []
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        connection.ask(request)
        began, now = now, time.perf_counter()
        times.append(now - began)
    return times
