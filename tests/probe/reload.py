"""Reload the API under load, and see whether anybody notices.

``python -m tests.probe.reload [--size-mib 1024]``: eight downloads and 50 requests a second
run while the API's parent gets HUP, with another number of workers and another log level in
its file.  Prints a table; exits 1 if a request failed, a transfer broke, an old worker stays
or a new setting is not in force.
"""

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests

from tests.functional.conftest import Deployment

DOWNLOADS = 8
RATE = 50
BLOCK = 1024 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    size = parser.parse_args().size_mib
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(Path(directory), api={"workers": 2}).start()
        try:
            return _run(deployment, size)
        finally:
            deployment.stop()


class Load:
    """What runs meanwhile, and what went wrong with it."""

    def __init__(self, deployment: Deployment, image_id: str, checksum: str) -> None:
        self.url, self.image_id, self.checksum = deployment.url, image_id, checksum
        self.requests = self.failed = self.whole = self.broken = 0
        self.stop = threading.Event()

    def download(self) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with requests.get(f"{self.url}/images/{self.image_id}", stream=True, timeout=120) as answer:
                for block in answer.iter_content(BLOCK):
                    digest.update(block)
        except requests.RequestException as error:
            print("download:", error)
        if digest.hexdigest() == self.checksum:
            self.whole += 1
        else:
            self.broken += 1

    def ask(self) -> None:
        session = requests.Session()
        begun = time.monotonic()
        while not self.stop.is_set():
            self.requests += 1
            path = f"/images/{self.image_id}" if self.requests % 2 else "/images"
            try:
                answer = session.request("HEAD" if self.requests % 2 else "GET", self.url + path, timeout=60)
                if answer.status_code != 200:
                    raise requests.RequestException(str(answer.status_code))
            except requests.RequestException as error:
                self.failed += 1
                print("request:", error)
            time.sleep(max(0.0, begun + self.requests / RATE - time.monotonic()))


def _run(deployment: Deployment, size: int) -> int:
    block, digest = os.urandom(BLOCK), hashlib.md5(usedforsecurity=False)
    for _ in range(size):
        digest.update(block)
    image = deployment.create((block for _ in range(size)), name="reload", is_public="true")
    load = Load(deployment, image["id"], digest.hexdigest())
    downloads = [threading.Thread(target=load.download) for _ in range(DOWNLOADS)]
    asking = threading.Thread(target=load.ask)
    asking.start()
    for thread in downloads:
        thread.start()
    time.sleep(0.5)
    old = set(deployment.api.children())
    text = deployment.api.config.read_text().replace("workers = 2", "workers = 3\ndebug = True")
    deployment.api.config.write_text(text)
    os.kill(deployment.api.pid, signal.SIGHUP)
    begun = time.monotonic()
    while len(set(deployment.api.children()) - old) < 3 and time.monotonic() - begun < 60:
        time.sleep(0.05)
    started = time.monotonic() - begun
    new = set(deployment.api.children()) - old
    running = sum(thread.is_alive() for thread in downloads)
    for thread in downloads:
        thread.join()
    transferred = time.monotonic() - begun
    while old & set(deployment.api.children()) and time.monotonic() - begun < 180:
        time.sleep(0.05)
    gone = time.monotonic() - begun
    time.sleep(2)
    load.stop.set()
    asking.join()
    left = old & set(deployment.api.children())
    debug = " DEBUG " in deployment.api.log.read_text()
    for name, value in (
        ("workers before", sorted(old)),
        ("workers after", sorted(deployment.api.children())),
        ("new workers running after s", f"{started:.2f}"),
        ("downloads still running then", running),
        ("last download ended after s", f"{transferred:.2f}"),
        ("old workers gone after s", f"{gone:.2f}"),
        ("downloads whole / broken", f"{load.whole} / {load.broken}"),
        ("requests / failed", f"{load.requests} / {load.failed}"),
        ("log level DEBUG in force", debug),
    ):
        print(f"{name:32} {value}")
    fault = load.failed or load.broken or left or len(new) != 3 or not debug
    print("FAULT" if fault else "no faults")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
