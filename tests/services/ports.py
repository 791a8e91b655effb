"""Ports for the servers that tests start."""

import itertools
import os
import random
import socket

# Below those that outgoing connections get (from 32768 on), so that none of them takes one in the meantime.
_FIRST, _LAST = 10240, 32767
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = list(range(_FIRST + _worker, _LAST, _workers))
_start = random.randrange(len(_ports))
_candidates = itertools.cycle(_ports[_start:] + _ports[:_start])


def free_port() -> int:
    """A TCP port that nobody uses, nor gets from here again for a long time."""
    for port in _candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")
