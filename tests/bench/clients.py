"""Clients at work: each in a process of its own, all started at the same moment."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

from tests.bench import processes

Gate = Callable[[], None]
"""A job calls it once, when it is ready; it returns when the measured time begins."""

Job = Callable[[Gate], Any]

_START_SECONDS = 120
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the jobs returned, and what happened between the start signal and the last result."""

    results: list[Any]
    seconds: float
    cpu: dict[str, float]
    """CPU seconds of each watched group of processes."""

    @property
    def total_cpu(self) -> float:
        return sum(self.cpu.values())


def run(jobs: Sequence[Job], watched: Mapping[str, Sequence[int]], limit: float = 600) -> Outcome:
    """Run every job in its own process.

    :param watched: name of a group → process ids whose CPU time, with their descendants', is measured
    :param limit: seconds after which jobs are ended
    :raises RuntimeError: a job failed, or was not done in time
    """
    barrier = _FORK.Barrier(len(jobs) + 1)
    pipes, children = [], []
    for job in jobs:
        reading, writing = _FORK.Pipe(duplex=False)
        child = _FORK.Process(target=_work, args=(job, barrier, writing), daemon=True)
        child.start()
        writing.close()
        pipes.append(reading)
        children.append(child)
    try:
        return _measure(barrier, pipes, watched, limit)
    finally:
        for child in children:
            child.terminate()
            child.join()


def _measure(barrier: Any, pipes: list[Pipe], watched: Mapping[str, Sequence[int]], limit: float) -> Outcome:
    try:
        barrier.wait(_START_SECONDS)
        before = {name: processes.cpu_seconds(pids) for name, pids in watched.items()}
        barrier.wait(_START_SECONDS)
    except threading.BrokenBarrierError:
        before = {}  # one of the jobs says why
    began = time.monotonic()
    results = [_result(pipe, began + limit) for pipe in pipes]
    seconds = time.monotonic() - began
    cpu = {name: processes.cpu_seconds(watched[name]) - used for name, used in before.items()}
    return Outcome(results, seconds, cpu)


def _result(pipe: Pipe, deadline: float) -> Any:
    if not pipe.poll(max(0.0, deadline - time.monotonic())):
        raise RuntimeError("a client was not done in time")
    try:
        error, result = pipe.recv()
    except EOFError:
        raise RuntimeError("a client ended without a result") from None
    if error is not None:
        raise RuntimeError(error)
    return result


def _work(job: Job, barrier: Any, pipe: Pipe) -> None:
    def gate() -> None:
        barrier.wait(_START_SECONDS)
        barrier.wait(_START_SECONDS)

    try:
        pipe.send((None, job(gate)))
    except threading.BrokenBarrierError:
        pipe.send(("another client failed", None))
    except Exception as error:
        barrier.abort()
        pipe.send((f"{type(error).__name__}: {error}", None))
