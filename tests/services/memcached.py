"""A private memcached for tests.

``memcached`` gives a server of the test module's own, on a free port of 127.0.0.1, that ends with the module.  A test
that needs it is skipped, with the reason, where the program is not installed.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.services.databases import START_SECONDS, _directory, _program, _running
from tests.services.ports import free_port


class Memcached:
    """The server.

    :ivar address: ``host:port``
    """

    def __init__(self, program: str, directory: Path) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        as_root = ["-u", "root"] if os.geteuid() == 0 else []
        self._command = [program, "-l", "127.0.0.1", "-p", str(self._port), *as_root]
        self._directory = directory
        self._running: contextlib.ExitStack | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again after ``stop``; it is empty then."""
        if self._running is not None:
            return
        self._running = contextlib.ExitStack()
        self._process = self._running.enter_context(_running(self._command, self._directory, signal.SIGKILL))
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                self.stats()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._directory / "log").read_text(errors="replace")
                raise RuntimeError(f"memcached did not start; its log ends:\n{log[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once."""
        if self._running is not None:
            self._running.close()
            self._running = None

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stats(self) -> dict[str, str]:
        """Its statistics: ``curr_items``, ``get_hits`` and many more."""
        lines = self._ask(b"stats", b"END").decode().splitlines()
        return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT "))

    def items(self) -> dict[str, bytes]:
        """All that it stores, by key; for servers that nobody writes to meanwhile."""
        deadline = time.monotonic() + START_SECONDS
        while len(keys := self._keys()) != int(self.stats()["curr_items"]):  # the dump leaves out what is in use
            assert time.monotonic() < deadline, keys
            time.sleep(0.1)
        return {key: self._value(key) for key in keys}

    def _keys(self) -> list[str]:
        lines = self._ask(b"lru_crawler metadump all", b"END").decode().splitlines()
        return [unquote(line.split()[0].removeprefix("key=")) for line in lines if line.startswith("key=")]

    def put(self, key: str, value: bytes) -> None:
        """Store ``value``, as a text of Python's clients."""
        order = b"set %s 16 0 %d\r\n%s" % (key.encode(), len(value), value)
        assert self._ask(order, b"STORED") == b"STORED\r\n"

    def _value(self, key: str) -> bytes:
        head, _, rest = self._ask(b"get " + key.encode(), b"END").partition(b"\r\n")
        return rest[: int(head.split()[3])]

    def _ask(self, order: bytes, end: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=START_SECONDS) as connection:
            connection.sendall(order + b"\r\n")
            answer = b""
            while not answer.endswith(end + b"\r\n"):
                if not (more := connection.recv(65536)):
                    raise ConnectionError(f"memcached hung up after {answer!r}")
                if more.startswith((b"ERROR", b"CLIENT_ERROR")):
                    raise RuntimeError(more.decode())
                answer += more
        return answer


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    """A private memcached."""
    program = _program("memcached")
    with _directory() as directory:
        server = Memcached(program, directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()
