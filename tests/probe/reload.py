"""Reload the API and then the registry under load, and see whether anybody notices.

``python -m tests.probe.reload [--size-mib 1024]``: eight downloads and 50 requests a second
run while the daemon's parent gets HUP, with another number of workers and another log level
in its file.  Prints a table for each daemon; exits 1 if a request failed, a transfer broke,
an old worker stays or a new setting is not in force.
"""

import argparse
import hashlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from tests.functional.conftest import Daemon, Deployment, write_config

DOWNLOADS = 8
RATE = 50
PATIENCE = 300
BLOCK = 1024 * 1024
BEFORE = {"workers": 2, "verbose": False, "debug": False}
AFTER = {"workers": 3, "verbose": True, "debug": True}


class Image:
    """A public image of random data in a deployment."""

    def __init__(self, deployment: Deployment, size_mib: int) -> None:
        block, digest = os.urandom(BLOCK), hashlib.md5(usedforsecurity=False)

        def data():
            for number in range(size_mib):
                part = number.to_bytes(8, "big") + block[8:]
                digest.update(part)
                yield part

        self.size = size_mib * BLOCK
        self.id = deployment.create(data(), name="reload", is_public="true")["id"]
        self.checksum = digest.hexdigest()


class Load:
    """Downloads and requests that run while it is entered, and what went wrong with them.

    :ivar proceed: a download stops after its first block until this is set
    :ivar failures: what happened to requests and downloads that did not end well
    """

    def __init__(self, deployment: Deployment, image: Image, downloads: int = DOWNLOADS, rate: int = RATE) -> None:
        self.url, self.image, self.rate = deployment.url, image, rate
        self.requests = self.whole = 0
        self.failed: list[str] = []
        self.broken: list[str] = []
        self.proceed = threading.Event()
        self._begun = threading.Semaphore(0)
        self._stop = threading.Event()
        self._downloads = [threading.Thread(target=self._download) for _ in range(downloads)]
        self._askers = [threading.Thread(target=self._ask, args=(kept,)) for kept in (True, False)]

    def __enter__(self) -> "Load":
        for thread in self._downloads + self._askers:
            thread.start()
        for _ in self._downloads:
            self._begun.acquire()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.proceed.set()
        self._stop.set()
        for thread in self._downloads + self._askers:
            thread.join()

    def running(self) -> int:
        """How many downloads have not ended."""
        return sum(thread.is_alive() for thread in self._downloads)

    def _download(self) -> None:
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with requests.get(f"{self.url}/images/{self.image.id}", stream=True, timeout=120) as answer:
                answer.raise_for_status()
                for block in answer.iter_content(BLOCK):
                    if not size:
                        self._begun.release()
                        self.proceed.wait()
                    digest.update(block)
                    size += len(block)
            if (size, digest.hexdigest()) != (self.image.size, self.image.checksum):
                raise requests.RequestException(f"{size} bytes, or other bytes than were sent")
            self.whole += 1
        except requests.RequestException as error:
            self.broken.append(repr(error))
            self._begun.release()

    def _ask(self, kept: bool) -> None:
        """Send half of the requests, over one connection or each over one of its own."""
        session, begun, sent = requests.Session(), time.monotonic(), 0
        headers = {} if kept else {"Connection": "close"}
        while not self._stop.is_set():
            sent += 1
            method, path = ("HEAD", f"/images/{self.image.id}") if sent % 2 else ("GET", "/images")
            try:
                session.request(method, self.url + path, headers=headers, timeout=60).raise_for_status()
            except requests.RequestException as error:
                self.failed.append(f"{method} {path}: {error!r}")
            self._stop.wait(max(0.0, begun + sent / (self.rate / 2) - time.monotonic()))
        self.requests += sent


class Reload:
    """HUP to a daemon that has the settings ``AFTER`` in its file in place of ``BEFORE``."""

    def __init__(self, daemon: Daemon, settings: dict[str, Any]) -> None:
        self.daemon = daemon
        self.old = set(daemon.children())
        self._logged = daemon.log.stat().st_size
        write_config(daemon.config, settings | AFTER)
        self._begun = time.monotonic()
        os.kill(daemon.pid, signal.SIGHUP)

    def new(self) -> set[int]:
        """Pids of the workers that did not exist before."""
        return set(self.daemon.children()) - self.old

    def left(self) -> set[int]:
        """Pids of the former workers that still run."""
        return self.old & set(self.daemon.children())

    def lines(self, pids: set[int], level: str) -> list[str]:
        """What these processes logged at this level since HUP."""
        with self.daemon.log.open("rb") as log:
            log.seek(self._logged)
            text = log.read().decode("utf-8", "replace")
        return [line for line in text.splitlines() if (match := _LINE.match(line)) and _is(match, pids, level)]

    def answered(self) -> bool:
        """Whether a new worker has answered a request; the old log level hides such lines."""
        return any("HTTP/1.1" in line for line in self.lines(self.new(), "INFO"))

    def wait(self, condition: Callable[[], Any]) -> float:
        """Poll ``condition`` until it is true or patience ends; return the seconds since HUP."""
        while not condition() and time.monotonic() - self._begun < PATIENCE:
            time.sleep(0.05)
        return time.monotonic() - self._begun


_LINE = re.compile(r"\S+ \S+ (?P<pid>\d+) (?P<level>[A-Z]+) ")


def _is(match: re.Match[str], pids: set[int], level: str) -> bool:
    return match["level"] == level and int(match["pid"]) in pids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    size = parser.parse_args().size_mib
    faults = 0
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(Path(directory), api=BEFORE, registry=BEFORE).start()
        try:
            image = Image(deployment, size)
            faults += _probe(deployment, image, deployment.api, deployment.api_settings)
            faults += _probe(deployment, image, deployment.registry, deployment.registry_settings)
        finally:
            deployment.stop()
    print("no faults" if not faults else f"{faults} FAULTS")
    return 1 if faults else 0


def _probe(deployment: Deployment, image: Image, daemon: Daemon, settings: dict[str, Any]) -> int:
    with Load(deployment, image) as load:
        load.proceed.set()
        time.sleep(0.5)
        reload = Reload(daemon, settings)
        forked = reload.wait(lambda: len(reload.new()) == AFTER["workers"])
        answered = reload.wait(reload.answered)
        running = load.running()
        serves_transfers = daemon is deployment.api
        gone = reload.wait(lambda: not reload.left()) if not serves_transfers else 0.0
        transferred = reload.wait(lambda: not load.running())
        gone = gone or reload.wait(lambda: not reload.left())
        time.sleep(2)
    new, left = reload.new(), reload.left()
    known = new | {daemon.pid}
    checks: list[tuple[str, Any, bool]] = [
        ("workers before", sorted(reload.old), len(reload.old) == BEFORE["workers"]),
        ("workers after", sorted(daemon.children()), len(new) == AFTER["workers"] and not left),
        ("new workers forked after s", f"{forked:.2f}", True),
        ("first answer of a new one after s", f"{answered:.2f}", reload.answered()),
        ("downloads running then", running, running > 0),
        ("last download ended after s", f"{transferred:.2f}", True),
        ("old workers gone after s", f"{gone:.2f}", not left),
        ("downloads whole / broken", f"{load.whole} / {len(load.broken)}", load.whole == DOWNLOADS),
        ("requests / failed", f"{load.requests} / {len(load.failed)}", not load.failed),
        ("new processes' INFO lines", len(reload.lines(known, "INFO")), True),
        ("new processes' DEBUG lines", count := len(reload.lines(known, "DEBUG")), count > 0),
    ]
    print(f"HUP to {daemon.module}, {DOWNLOADS} downloads of {image.size // BLOCK} MiB, {RATE} requests/s")
    for name, value, good in checks:
        print(f"  {name:34} {value}{'' if good else '   FAULT'}")
    for line in load.failed + load.broken:
        print(f"  {line}")
    return sum(not good for _, _, good in checks)


if __name__ == "__main__":
    sys.exit(main())
