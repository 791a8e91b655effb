"""A process that accepts connections and serves them until it is told to leave."""

import errno
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

import eventlet
from eventlet import hubs
from eventlet.event import Event

from glance.wsgi.connection import Connection, Site

_LOG = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
GRACE_SECONDS = 2.0
"""A leaving worker gives a client this long after its last response to send another request."""

SIGNALS = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))
"""What the parent keeps blocked, and a worker must unblock."""

_SHORT_OF = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE = 0.1


class Worker:
    """Serves ``site`` on ``listener``.

    :param lifeline: descriptor that becomes readable when the parent is gone, None without a parent
    """

    def __init__(self, site: Site, listener: socket.socket, lifeline: int | None = None) -> None:
        self._site = site
        self._listener = listener
        self._lifeline = lifeline
        self._connections: set[Connection] = set()
        self._stop = Event()
        self._short = False
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Each transfer needs a file besides its socket.
        self._limit = MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)

    def run(self, on_signal: Mapping[int, Callable[[], None]]) -> None:
        """Serve until ``halt`` is called, or ``leave`` and the last connection has ended.

        :param on_signal: what to call, in a green thread, when a signal arrives
        """
        eventlet.spawn(self._watch_signals, _signal_pipe(on_signal), on_signal)
        if self._lifeline is not None:
            eventlet.spawn(self._watch_parent, self._lifeline)
        acceptor = eventlet.spawn(self._accept)
        graceful = self._stop.wait()
        acceptor.kill()
        if graceful:
            self._accept_queued()
        self._listener.close()
        if graceful:
            _LOG.info("Child %d accepts no more connections and finishes %d", os.getpid(), len(self._connections))
            for connection in list(self._connections):
                connection.leave(GRACE_SECONDS)
            while self._connections:
                eventlet.sleep(_PAUSE)

    def leave(self) -> None:
        """Stop accepting and end when the running requests and transfers are done."""
        if not self._stop.ready():
            self._stop.send(True)

    def halt(self) -> None:
        """Stop at once."""
        if not self._stop.ready():
            self._stop.send(False)

    # --- accepting --------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            if len(self._connections) >= self._limit:
                self._make_room("connections")
                continue
            try:
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                hubs.trampoline(self._listener.fileno(), read=True)
            except OSError as error:
                if error.errno in _SHORT_OF:
                    self._make_room("file descriptors or memory")
                else:
                    _LOG.debug("accept failed: %s", error)
                    eventlet.sleep(_PAUSE)
            else:
                self._short = False
                self._start(accepted, peer)
                # One at a time, so that a burst of connections spreads over the workers.
                eventlet.sleep(0)

    def _accept_queued(self) -> None:
        """Take what waits in the queue: nobody else may be left to do it."""
        for _ in range(self._site.settings.backlog):
            try:
                accepted, peer = self._listener.accept()
            except OSError:
                return
            self._start(accepted, peer)

    def _start(self, accepted: socket.socket, peer: Any) -> None:
        hubs.notify_opened(accepted.fileno())
        accepted.setblocking(False)
        if isinstance(peer, tuple):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self._site, accepted, peer)
        self._connections.add(connection)
        eventlet.spawn_n(self._serve, connection)

    def _serve(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            self._connections.discard(connection)

    def _make_room(self, shortage: str) -> None:
        """End the connection that has waited longest for its client, and pause."""
        if not self._short:
            self._short = True
            _LOG.warning(
                "Out of %s with %d connections: ending those that wait for their client",
                shortage,
                len(self._connections),
            )
        waiting = [(c.waiting_since, id(c), c) for c in self._connections if c.waiting_since is not None]
        if waiting:
            min(waiting)[2].make_room()
        eventlet.sleep(0 if waiting else _PAUSE)

    # --- being told ---------------------------------------------------------------

    @staticmethod
    def _watch_signals(pipe: int, on_signal: Mapping[int, Callable[[], None]]) -> None:
        while True:
            hubs.trampoline(pipe, read=True)
            for number in os.read(pipe, 64):
                if number in on_signal:
                    on_signal[number]()

    def _watch_parent(self, lifeline: int) -> None:
        hubs.trampoline(lifeline, read=True)
        _LOG.warning("The parent process has gone: finishing the running requests")
        self.leave()


def _signal_pipe(signals: Mapping[int, Any]) -> int:
    """Return a descriptor from which the numbers of arriving signals can be read.

    A handler in Python could do nothing: it interrupts the hub at an unknown point, and
    the hub, waiting in poll(), would not notice what it leaves behind.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return reading
