"""What this process depends on, and whether it is there (spec policy-quota-protection.md §8).

Whoever builds an application says with ``provide`` what can be asked; the healthcheck
filter asks.  A probe that hangs is waited for once and not started again meanwhile, so
asking every second never piles up calls to a dependency that is down.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from glance.common import exception
from glance.common.offload import begin

LOG = logging.getLogger(__name__)

DEADLINE = 5.0
"""Seconds after which an answer no longer counts."""

Probe = Callable[[], object]
"""Asks a dependency; raises GlanceException or OSError when it is not there."""

_probes: dict[str, dict[str, Probe]] = {}
_running: dict[tuple[str, str], "Future[object]"] = {}
_lock = threading.Lock()


def provide(subject: str, probes: Mapping[str, Probe]) -> None:
    """Let ``subject`` (such as ``stores``) be asked for; ``probes`` by the name of each part."""
    _probes[subject] = dict(probes)


def after_fork() -> None:
    """Forget the probes of the parent's threads."""
    _running.clear()


def ask(subject: str) -> dict[str, str | None]:
    """Ask every part of ``subject`` at once.

    :returns: by the name of the part, what is wrong with it, None if nothing; empty: there is no such dependency
    """
    started = {name: _begin(subject, name, probe) for name, probe in _probes.get(subject, {}).items()}
    wait(started.values(), timeout=DEADLINE)
    return {name: _outcome(subject, name, future) for name, future in started.items()}


def _begin(subject: str, name: str, probe: Probe) -> "Future[object]":
    with _lock:
        running = _running.get((subject, name))
        if running is None or running.done():
            running = _running[subject, name] = begin(probe)
        return running


def _outcome(subject: str, name: str, future: "Future[object]") -> str | None:
    if not future.done():
        return f"no answer within {DEADLINE:g} seconds"
    error = future.exception()
    if error is None:
        return None
    if not isinstance(error, exception.GlanceException | OSError):
        LOG.error("The check of %s failed", name, exc_info=error)
        return "the check failed; the log says more"
    LOG.warning("The check of %s says: %s", name, error.__cause__ or error)
    return str(error)
