"""How long a small request waits in a worker that is busy with uploads."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

from tests.bench import clients
from tests.bench.clients import Gate, Job
from tests.bench.dialects import V1
from tests.bench.services import Service
from tests.bench.transfers import add, remove
from tests.bench.wire import Connection

TRICKLING = 4
PER_SECOND = 20

WAKE = "wake-up of an idle process"
"""A probe that asks nobody: what the machine alone makes one wait."""

_REHEARSAL = 2.0
"""Seconds of the same before the measured time: pools fill, statements are compiled."""

_DROP = 64 * 1024
_EVERY = 0.5
_TINY = 1024


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from the moment a request was due to its answer."""

    p50: float
    p99: float
    longest: float


def waits(service: Service, size: int, seconds: float) -> dict[str, dict[str, Waits]]:
    """Probe a service with one worker, quiet and then beside uploads.

    :param size: bytes of each upload of the fast client
    :returns: "quiet" and "busy" → ``WAKE`` or kind of probe → how long it waited
    """
    dialect = V1()
    image_id = add(service, _TINY)
    probes = {"HEAD": dialect.show(image_id), "GET 1 KiB": dialect.download(image_id)}
    found = {}
    for name, duration in (("", _REHEARSAL), ("quiet", seconds), ("busy", seconds)):
        jobs: list[Job] = [partial(_wake, duration)]
        jobs += [partial(_probe, service.port, request, duration) for request in probes.values()]
        if name != "quiet":
            jobs.append(partial(_upload, service, size, duration))
            jobs += [partial(_trickle, service.port, dialect, duration)] * TRICKLING
        results = clients.run(jobs, {}, limit=duration + 300).results
        found[name] = {kind: _summary(result) for kind, result in zip([WAKE, *probes], results, strict=False)}
    return found


def _probe(port: int, request: bytes, seconds: float, gate: Gate) -> list[float]:
    """Ask ``PER_SECOND`` times per second; an answer that delays the next request counts against that one too."""
    connection = Connection(port)
    connection.ask(request)
    gate()
    times = []
    for due in _schedule(seconds):
        connection.ask(request)
        times.append(time.perf_counter() - due)
    return times


def _wake(seconds: float, gate: Gate) -> list[float]:
    gate()
    return [time.perf_counter() - due for due in _schedule(seconds)]


def _schedule(seconds: float) -> Iterator[float]:
    """Sleep until each moment at which a request is due, and yield that moment."""
    began = time.perf_counter()
    for number in range(max(2, int(seconds * PER_SECOND))):
        due = began + number / PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        yield due


def _upload(service: Service, size: int, seconds: float, gate: Gate) -> None:
    """Upload at full speed, again and again."""
    gate()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        remove(service, add(service, size))


def _trickle(port: int, dialect: V1, seconds: float, gate: Gate) -> None:
    drops = int(seconds / _EVERY) + 1
    connection = Connection(port)
    connection.connect()
    gate()
    head = dialect.upload(drops * _DROP)
    connection.connect().sendall(head)
    for number in range(drops):
        connection.send_noise(_DROP)
        if number < drops - 1:
            time.sleep(_EVERY)
    connection.answer(head)


def _summary(times: list[float]) -> Waits:
    cuts = quantiles(times, n=100, method="inclusive")
    return Waits(cuts[49] * 1000, cuts[98] * 1000, max(times) * 1000)
