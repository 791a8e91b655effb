"""The server of both daemons: a parent that keeps N workers running (spec daemons-and-config.md §4).

The parent loads the application once and forks, so that the workers share its memory;
it serves nothing itself unless ``workers`` is 0.  What a worker does is in ``worker``.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from glance.common.exception import ConfigurationError
from glance.common.names import PID_FILE_VARIABLE
from glance.wsgi import eventlet_patch, listener, tls
from glance.wsgi.connection import Site
from glance.wsgi.settings import Settings
from glance.wsgi.worker import SIGNALS, Worker

_LOG = logging.getLogger(__name__)

NO_WORKERS = 2
"""Exit code when no worker can be created or none is left (§2)."""

DRAIN_SECONDS = 86400.0
"""Background work may go on this long in a worker that leaves."""

_EARLY = 1.0
_BACKOFF = 0.25
_MAX_BACKOFF = 2.0
_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Generation:
    """What the workers forked between two reloads have in common."""

    site: Site
    listener: socket.socket


class Server:
    """Runs one daemon.

    :param name: what log and errors call it, e.g. ``glance-api``
    :param conf: its attributes are the options of spec daemons-and-config.md §3.1
    :param default_port: used when ``bind_port`` is not set
    :param load_app: builds the application; called in the parent at start and at each reload
    :param reload: re-reads the configuration into ``conf`` and re-applies logging and stores
    :param after_fork: called in each new worker, in a green thread's world: pools, heartbeats
    :param drain: called in a worker that leaves, after its last request, with the seconds
        that background work may still take
    """

    def __init__(
        self,
        name: str,
        conf: Any,
        default_port: int,
        load_app: Callable[[], Callable[..., Any]],
        reload: Callable[[], None] = lambda: None,
        after_fork: Callable[[], None] = lambda: None,
        drain: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._name = name
        self._conf = conf
        self._default_port = default_port
        self._load_app = load_app
        self._reload_conf = reload
        self._after_fork = after_fork
        self._drain = drain
        self._workers: dict[int, float] = {}
        self._stale: set[int] = set()
        self._wanted = 0
        self._failures = 0
        self._fork_at = 0.0

    def run(self) -> int:
        """Serve until told to end; return the exit code of the program.

        :raises ConfigurationError: the address or the TLS files cannot be used (exit code 1)
        :raises Exception: whatever ``load_app`` raises
        """
        os.umask(0o027)
        _lead_process_group()
        # Blocked signals stay pending until the parent's loop asks for them: nothing interrupts a start, a reload or
        # a fork, and a new child meets none before it has its own handlers.  Blocked from here on, they are so in
        # the threads as well that libraries start while the application is loaded.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        settings = Settings.read(self._conf, self._default_port)
        site = self._load(settings)
        self._generation = _Generation(site, listener.handed_over() or listener.bind(settings))
        if settings.workers == 0:
            return self._serve_alone()
        return self._supervise()

    def _load(self, settings: Settings) -> Site:
        context = tls.server_context(settings)
        return Site(self._load_app(), settings, context)

    # --- without workers ----------------------------------------------------------

    def _serve_alone(self) -> int:
        self._after_fork()
        worker = Worker(self._generation.site, self._generation.listener)
        self._log_start()

        def hang_up() -> None:
            if _is_dismissed():
                worker.leave()
            else:
                _LOG.warning("With workers = 0 there is no reload: restart to apply a new configuration")

        worker.run({signal.SIGTERM: worker.halt, signal.SIGINT: worker.halt, signal.SIGHUP: hang_up})
        _kill_group(())
        return 0

    def _log_start(self) -> None:
        scheme = "http" if self._generation.site.tls is None else "https"
        host, port = self._generation.listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        _LOG.info("%s (%d) serves %s://%s:%s", self._name, os.getpid(), scheme, host, port)

    # --- the parent -----------------------------------------------------------------

    def _supervise(self) -> int:
        # Only the parent holds the writing end: when it dies, however, its workers read
        # the end of the pipe.
        self._lifeline, self._held = os.pipe2(os.O_CLOEXEC)
        self._log_start()
        self._begin_generation()
        while True:
            self._reap()
            if not self._wanted and not self._workers:
                _LOG.error("No worker of %s is left", self._name)
                _kill_group(self._stale)
                return NO_WORKERS
            self._fork_missing()
            arrived = self._wait()
            if arrived in (signal.SIGTERM, signal.SIGINT):
                _LOG.info("%s ends on %s", self._name, signal.Signals(arrived).name)
                _kill_group(self._workers.keys() | self._stale)
                return 0
            if arrived == signal.SIGHUP and _is_dismissed():
                return self._shut_down()
            if arrived == signal.SIGHUP:
                self._reload()

    def _shut_down(self) -> int:
        """Let the workers finish what they do, then end."""
        self._generation.listener.close()
        self._wanted = 0
        _signal_all(self._retire(), signal.SIGHUP)
        _LOG.info("%s ends when its %d workers are done", self._name, len(self._stale))
        while True:
            self._reap()
            if not self._stale:
                return 0
            if self._wait() in (signal.SIGTERM, signal.SIGINT):
                _kill_group(self._stale)
                return 0

    def _wait(self) -> int | None:
        """Sleep until a signal arrives or a fork is due; return the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            if number in signal.sigpending():
                return number
        if len(self._workers) < self._wanted:
            found = signal.sigtimedwait(SIGNALS, max(0.0, self._fork_at - time.monotonic()))
        else:
            found = signal.sigwaitinfo(SIGNALS)
        return None if found is None else found.si_signo

    def _begin_generation(self) -> None:
        settings = self._generation.site.settings
        self._wanted = max(1, settings.workers)
        self._failures = 0
        self._fork_at = 0.0
        # What exists now stays: collecting it would touch, and so copy, every shared page.
        gc.collect()
        gc.freeze()
        _LOG.info("Starting %d workers", self._wanted)
        self._fork_missing()

    def _fork_missing(self) -> None:
        if time.monotonic() < self._fork_at:
            return
        while len(self._workers) < self._wanted:
            try:
                pid = os.fork()
            except OSError as error:
                _LOG.error("Cannot create a worker: %s", error)
                self._back_off()
                return
            if not pid:
                self._become_worker()
            self._workers[pid] = time.monotonic()
            _LOG.info("Started child %d", pid)

    def _back_off(self) -> None:
        """Delay the next fork, longer with each failure in a row."""
        self._failures += 1
        self._fork_at = time.monotonic() + min(_BACKOFF * self._failures, _MAX_BACKOFF)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self._stale:
                self._stale.remove(pid)
                _LOG.info("Removed stale child %d", pid)
            elif pid in self._workers:
                age = time.monotonic() - self._workers.pop(pid)
                _LOG.info("Removed dead child %d", pid)
                self._replace(pid, os.waitstatus_to_exitcode(status), age)

    def _replace(self, pid: int, code: int, age: float) -> None:
        if code > 0:
            _LOG.error("Child %d exited with code %d and is not replaced", pid, code)
            self._wanted -= 1
        elif age < _EARLY:
            self._back_off()
        else:
            self._failures = 0

    def _reload(self) -> None:
        """Start workers with the configuration as it is now, and let the old ones finish."""
        _LOG.info("Reloading %s", self._name)
        gc.unfreeze()
        try:
            self._reload_conf()
            settings = Settings.read(self._conf, self._default_port)
            site = self._load(settings)
            new_listener = self._listener_for(settings)
        except (Exception, SystemExit) as error:
            gc.freeze()
            reason = " ".join(str(error).split()) or type(error).__name__
            _LOG.error("The new configuration of %s is not used: %s", self._name, reason)
            return
        old, self._generation = self._generation, _Generation(site, new_listener)
        former = self._retire()
        if new_listener is old.listener:
            listener.listen(new_listener, settings)
        else:
            old.listener.close()  # before the fork, or the new workers would hold it open as well
        self._begin_generation()
        _signal_all(former, signal.SIGHUP)
        _LOG.info("Reloaded %s", self._name)

    def _retire(self) -> set[int]:
        """Count the present workers as stale; return them."""
        former = set(self._workers)
        self._stale |= former
        self._workers.clear()
        return former

    def _listener_for(self, settings: Settings) -> socket.socket:
        """Return the present socket if the address is the same, else a new one."""
        current = self._generation
        former = current.site.settings
        if settings.address == former.address:
            return current.listener
        try:
            return listener.bind(settings, patience=0)
        except listener.AddressInUse:
            if settings.port != former.port:
                raise
        # Two addresses overlap on one port (0.0.0.0 and 127.0.0.1, say): the old one must go first.
        _signal_all(self._retire(), signal.SIGHUP)
        current.listener.close()
        try:
            return listener.bind(settings)
        except ConfigurationError:
            self._generation = _Generation(current.site, listener.bind(former))
            self._begin_generation()
            raise

    # --- a child ----------------------------------------------------------------------

    def _become_worker(self) -> None:
        """Serve as a worker and exit; never returns."""
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._held)
            eventlet_patch.after_fork()
            self._after_fork()
            worker = Worker(self._generation.site, self._generation.listener, self._lifeline)
            worker.run({signal.SIGHUP: worker.leave})
            self._drain(DRAIN_SECONDS)
            code = 0
        except BaseException:
            _LOG.exception("Worker %d failed", os.getpid())
        finally:
            logging.shutdown()
            sys.stdout.flush()
            os._exit(code)


def _is_dismissed() -> bool:
    """Whether HUP means a graceful end: ``glance-control shutdown`` removes the pid file, and then signals."""
    path = os.environ.get(PID_FILE_VARIABLE)
    if not path:
        return False
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip() != str(os.getpid())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _lead_process_group() -> None:
    with contextlib.suppress(OSError):  # a session leader, as under glance-control, leads a group already
        os.setpgid(0, 0)


def _kill_group(children: Any) -> None:
    """End every process of the own group, and see the given children gone."""
    if os.getpgrp() == os.getpid():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
    else:
        _signal_all(children, signal.SIGTERM)
    left = set(children)
    deadline = time.monotonic() + _KILL_SECONDS
    while left:
        for pid in list(left):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    left.discard(pid)
            except ChildProcessError:
                left.discard(pid)
        if left:
            if time.monotonic() > deadline:
                _signal_all(left, signal.SIGKILL)
                return
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)


def _signal_all(pids: Any, number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
