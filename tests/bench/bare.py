"""The bare costs of an upload, with nothing of Glance around them."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import clients
from tests.bench.clients import Gate, Outcome
from tests.bench.wire import MIB, TIMEOUT, Connection

WRITE = "write 1 MiB blocks, fsync"
RECEIVE = "receive on loopback"

_BLOCK = memoryview(os.urandom(MIB))


def costs(directory: Path, size: int) -> dict[str, Callable[[], Outcome]]:
    """Writing and receiving ``size`` bytes, each alone, as contestants of ``rates``."""
    return {WRITE: partial(_in_child, partial(_write, directory / "bare", size)), RECEIVE: partial(_receive, size)}


def hashing(size: int, *names: str) -> Callable[[], Outcome]:
    """Updating these hash functions with ``size`` bytes, each in a thread of its own."""
    return partial(_in_child, partial(_hash, names, size))


def _in_child(work: Callable[[], None]) -> Outcome:
    def job(gate: Gate) -> float:
        gate()
        began = time.process_time()
        work()
        return time.process_time() - began

    outcome = clients.run([job], {})
    return Outcome([], outcome.seconds, {"child": outcome.results[0]})


def _hash(names: tuple[str, ...], size: int) -> None:
    def update(name: str) -> None:
        digest = hashlib.new(name, usedforsecurity=False)
        for _ in range(max(1, size // MIB)):
            digest.update(_BLOCK)

    threads = [threading.Thread(target=update, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in range(max(1, size // MIB)):
            file.write(_BLOCK)
        os.fsync(file.fileno())
    path.unlink()


def _receive(size: int) -> Outcome:
    """The CPU is that of the receiving side alone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)

        def receiver(gate: Gate) -> float:
            gate()
            began = time.process_time()
            connection, _ = listener.accept()
            buffer, missing = bytearray(MIB), size
            while missing:
                received = connection.recv_into(buffer)
                if not received:
                    raise ConnectionError("the sender has gone")
                missing -= received
            return time.process_time() - began

        def sender(gate: Gate) -> None:
            connection = Connection(listener.getsockname()[1])
            gate()
            connection.send_noise(size)

        outcome = clients.run([receiver, sender], {})
    return Outcome([], outcome.seconds, {"receiver": outcome.results[0]})
