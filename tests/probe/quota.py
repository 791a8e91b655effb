"""A hundred uploads at the same time against a storage quota that has room for ten.

``python -m tests.probe.quota [--size-mib 16] [--database mariadb]``: through API v1 and v2, with the
size announced and not.  While they run the usage is asked for again and again.  Then ten uploads
that all fit, with the quota and without, in turns.  Prints a table; exits 1 if other than ten
were accepted, the usage was ever above the quota, or data stayed of one that was refused.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.bench.services import mariadb
from tests.functional.conftest import Deployment, identity

MIB = 1024 * 1024
ROOM, UPLOADS, TURNS = 10, 100, 5
WORKERS = 2
OCTETS = {"Content-Type": "application/octet-stream"}
V1 = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}


class Site:
    """A deployment with or without a quota; each run has an owner of its own."""

    def __init__(self, directory: Path, size: int, connection: str | None, quota: bool) -> None:
        directory.mkdir()
        self.size = size
        settings = {"workers": WORKERS, **({"user_storage_quota": f"{ROOM * size}B"} if quota else {})}
        self.deployment = Deployment(
            directory, api=settings, registry={"workers": WORKERS}, flavor="trusted-auth", connection=connection
        )
        self.deployment.contract = None

    def upload(self, owner: str, version: str, known: bool, ready: threading.Barrier) -> tuple[str, int]:
        """Upload an image with the others; return its id and the status."""
        image_id, url, session = str(uuid.uuid4()), self.deployment.endpoint, requests.Session()
        session.headers.update(identity(owner))
        if version == "v2":
            body = {"id": image_id, "disk_format": "raw", "container_format": "bare"}
            assert session.post(f"{url}/v2/images", json=body).status_code == 201
        data = bytes(self.size) if known else iter([bytes(MIB)] * (self.size // MIB))
        ready.wait()
        try:
            if version == "v1":
                headers = OCTETS | V1 | {"x-image-meta-id": image_id}
                return image_id, session.post(f"{url}/v1/images", data=data, headers=headers).status_code
            return image_id, session.put(f"{url}/v2/images/{image_id}/file", data=data, headers=OCTETS).status_code
        except requests.ConnectionError:  # refused while the data was still being sent
            return image_id, 0

    def run(self, count: int, version: str, known: bool) -> "Outcome":
        """Upload ``count`` images at once."""
        owner, ready, watch = f"owner-{uuid.uuid4()}", threading.Barrier(count + 1), Watch(self)
        with ThreadPoolExecutor(count) as threads:
            uploads = [threads.submit(self.upload, owner, version, known, ready) for _ in range(count)]
            ready.wait()
            began = time.monotonic()
            with watch.over(owner):
                found = dict(upload.result() for upload in uploads)
            seconds = time.monotonic() - began
        return Outcome(self, owner, found, seconds, watch.highest)

    def usage(self, owner: str) -> int:
        """Bytes that count against the quota."""
        answer = requests.get(f"{self.deployment.endpoint}/v2/images?limit=1000", headers=identity(owner))
        return sum(image["size"] for image in answer.json()["images"] if image["status"] == "active")


class Watch:
    """Asks for an owner's usage while it is entered."""

    def __init__(self, site: Site) -> None:
        self.site, self.highest = site, 0
        self._done = threading.Event()

    @contextlib.contextmanager
    def over(self, owner: str) -> Iterator[None]:
        thread = threading.Thread(target=self._look, args=(owner,))
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _look(self, owner: str) -> None:
        while not self._done.wait(0.2):
            self.highest = max(self.highest, self.site.usage(owner))


class Outcome:
    """What became of uploads.

    :ivar faults: what is wrong, a line each
    """

    def __init__(self, site: Site, owner: str, found: dict[str, int], seconds: float, highest: int) -> None:
        self.seconds, self.highest = seconds, highest
        self.statuses = Counter(found.values())
        url, deployment = f"{site.deployment.endpoint}/v2/images", site.deployment
        images = requests.get(f"{url}?limit=1000", headers=identity(owner)).json()["images"]
        self.active = {image["id"] for image in images if image["status"] == "active"}
        accepted = {image_id for image_id, status in found.items() if status in (201, 204)}
        stray = [image_id for image_id in found if image_id not in self.active and deployment.files(image_id)]
        self.faults = [
            *(["accepted and active differ"] if accepted != self.active else []),
            *(["saving"] if any(image["status"] == "saving" for image in images) else []),
            *([f"data of {len(stray)} refused images stayed"] if stray else []),
            *([f"wrong files of {image_id}" for image_id in self.active if deployment.files(image_id) != [image_id]]),
        ]
        for image in images:
            requests.delete(f"{url}/{image['id']}", headers=identity(owner))


def main() -> int:
    """Run and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.probe.quota", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=16, help="size of each image (16)")
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glance-quota-") as directory, contextlib.ExitStack() as stack:
        connections: list[str | None] = [None, None]
        if options.database == "mariadb":
            server = stack.enter_context(mariadb())
            connections = [stack.enter_context(server.database()) for _ in connections]
        limited, free = (
            Site(Path(directory) / name, options.size_mib * MIB, connection, name == "limited")
            for name, connection in zip(("limited", "free"), connections, strict=True)
        )
        for site in (limited, free):
            stack.callback(site.deployment.stop)
            site.deployment.start()
        return _report(limited, free)


def _report(limited: Site, free: Site) -> int:
    quota, faults = ROOM * limited.size, 0
    print(f"{UPLOADS} uploads of {limited.size // MIB} MiB, room for {ROOM}; then {ROOM} uploads, {TURNS} times")
    print(f"{'api':4} {'size':8} {'statuses':32} {'active':>6} {'highest':>8}   with quota  without  ratio")
    for version in ("v1", "v2"):
        for known in (True, False):
            outcome = limited.run(UPLOADS, version, known)
            wrong = outcome.faults
            if len(outcome.active) != ROOM:
                wrong.append(f"{len(outcome.active)} active, not {ROOM}")
            if outcome.highest > quota:
                wrong.append("usage above the quota")
            turns = [[site.run(ROOM, version, known) for site in (limited, free)] for _ in range(TURNS)]
            wrong += [fault for turn in turns for one in turn for fault in one.faults]
            wrong += [f"{len(one.active)} of {ROOM} fit" for turn in turns for one in turn if len(one.active) != ROOM]
            with_quota, without = (
                statistics.median(one.seconds for one in column) for column in zip(*turns, strict=True)
            )
            statuses = ", ".join(
                f"{count} x {status or 'broken'}" for status, count in sorted(outcome.statuses.items())
            )
            print(
                f"{version:4} {'known' if known else 'unknown':8} {statuses:32} {len(outcome.active):6} "
                f"{outcome.highest / quota:8.2f} {with_quota:10.2f} s {without:6.2f} s {with_quota / without:6.2f}"
            )
            for line in wrong:
                print(f"  FAULT: {line}")
            faults += len(wrong)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
