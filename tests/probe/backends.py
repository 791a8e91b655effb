"""Move large images through the service into swift, s3 and rbd, beside what their client libraries do alone.

``python -m tests.probe.backends [--size-mib 1024] [swift s3 rbd]``: one worker; each image goes up with
known and with unknown size, comes down whole and in part, and is deleted.  Then one transfer
for each store crawls at 1 MiB/s while others ask for images.  Prints a table; exits 1 if something failed.
The libraries move the same bytes alone, then hashing what they send with md5 and sha512 as the service does.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.functional.backends.conftest import FORMATS, OCTETS, Backend, RbdBackend, S3Backend, SwiftBackend
from tests.functional.conftest import Deployment
from tests.services.ceph import running_ceph
from tests.services.keystone import openstack_environment
from tests.services.swift import _swift

MIB = 1024 * 1024
CRAWL = 1.0
"""Seconds for a MiB of a transfer that crawls."""
ASKED = 400
PAUSE = 0.02
LOWERED = ("large_object_size", "large_object_chunk_size", "rbd_store_chunk_size")


class Source:
    """Random data, no two MiB of which are alike.

    :param pause: seconds between two MiB
    """

    def __init__(self, size_mib: int, pause: float = 0.0) -> None:
        self.size, self._pause, self._block = size_mib * MIB, pause, os.urandom(MIB - 8)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self.size // MIB):
            time.sleep(self._pause)
            yield number.to_bytes(8, "big") + self._block


class Sized(Source):
    """The same with a length, and as a file."""

    def __len__(self) -> int:
        return self.size

    def file(self) -> Any:
        blocks, rest = iter(self), b""

        class File:
            def read(self, count: int = -1) -> bytes:
                nonlocal rest
                while len(rest) < count and (block := next(blocks, b"")):
                    rest += block
                part, rest = rest[:count], rest[count:]
                return part

        return File()


class Hashed(Sized):
    """The same, hashed meanwhile as the service must: md5 and sha512, each in a thread."""

    def __iter__(self) -> Iterator[bytes]:
        hashes = (hashlib.md5(usedforsecurity=False), hashlib.sha512())
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            pending: list[Any] = []
            for block in super().__iter__():
                pending += [first.submit(hashes[0].update, block), second.submit(hashes[1].update, block)]
                while len(pending) > 8:
                    pending.pop(0).result()
                yield block


# --- the libraries alone -------------------------------------------------------------


def _swift_alone(backend: Any, source: Sized) -> Iterator[Callable[[], int]]:
    container = backend._container
    with backend._client() as client:
        yield lambda: client.put_object(container, "x", source.file(), source.size, chunk_size=MIB) and 0
        yield lambda: sum(map(len, client.get_object(container, "x", resp_chunk_size=MIB)[1]))
        client.delete_object(container, "x")


def _s3_alone(backend: Any, source: Sized) -> Iterator[Callable[[], int]]:
    client, place = backend._client, {"Bucket": backend._bucket, "Key": "x"}
    yield lambda: client.upload_fileobj(source.file(), *place.values()) or 0
    yield lambda: sum(map(len, client.get_object(**place)["Body"].iter_chunks(MIB)))
    client.delete_object(**place)


def _rbd_alone(backend: Any, source: Sized) -> Iterator[Callable[[], int]]:
    import rbd

    with backend._pool() as pool:

        def up() -> int:
            rbd.RBD().create(pool, "x", source.size, old_format=False, features=rbd.RBD_FEATURE_LAYERING)
            with rbd.Image(pool, "x") as image:
                for number, block in enumerate(source):
                    image.write(block, number * MIB)
                image.flush()
            return 0

        def down() -> int:
            with rbd.Image(pool, "x", read_only=True) as image:
                return sum(len(image.read(number * MIB, MIB)) for number in range(source.size // MIB))

        yield up
        yield down
        rbd.RBD().remove(pool, "x")


ALONE = {"swift": _swift_alone, "s3": _s3_alone, "rbd": _rbd_alone}


# --- through the service ---------------------------------------------------------------


class Probe:
    """A service with a store of each kind.

    :ivar faults: what went wrong
    """

    def __init__(self, deployment: Deployment, backends: list[Backend], size_mib: int) -> None:
        self.deployment, self.backends, self.size_mib = deployment, backends, size_mib
        self.faults: list[str] = []

    def run(self) -> None:
        print(f"{self.size_mib} MiB, one worker; MB/s, peak RSS of the worker in MiB")
        print(f"{'':6} {'':22} {'service':>9} {'library':>9} {'ratio':>6} {'hashing':>9} {'ratio':>6} {'RSS':>5}")
        for backend in self.backends:
            try:
                self._transfers(backend)
            except Exception as error:
                self._fault(f"{backend.name}: {type(error).__name__}: {error}")
        self._latency("nothing else", contextlib.nullcontext)
        self._latency("downloads that crawl", lambda: self._crawling(self._crawl_down))
        self._latency("uploads that crawl", lambda: self._crawling(self._crawl_up))
        for backend in self.backends:
            if isinstance(backend, RbdBackend):
                self._latency("an rbd cluster that is down", lambda backend=backend: self._down(backend))

    def _transfers(self, backend: Backend) -> None:
        alone = ALONE[backend.name](backend, Sized(self.size_mib))
        up, down = (self._rate(next(alone)) for _ in range(2))
        next(alone, None)
        alone = ALONE[backend.name](backend, Hashed(self.size_mib))
        hashed, _ = self._rate(next(alone)), next(alone)
        next(alone, None)
        images = []
        for kind, source in (("up, size known", Sized), ("up, size unknown", Source)):
            image = self._create()
            data = source(self.size_mib)
            body = data if isinstance(data, Sized) else iter(data)
            self._row(backend, kind, lambda image=image, body=body: self._upload(image, backend, body), up, hashed)
            images.append(image)
        self._row(backend, "down", lambda: self._download(images[0]), down, down)
        quarter = self.size_mib * MIB // 4
        asked = {"Range": f"bytes={quarter}-{3 * quarter - 1}"}
        self._row(backend, "down, middle half", lambda: self._download(images[1], asked), down, down, 0.5)
        begun = time.monotonic()
        for image in images:
            self._expect(self._send("DELETE", f"/images/{image}"), 204)
        print(f"{backend.name:6} {'delete, s each':22} {(time.monotonic() - begun) / len(images):9.2f}")
        if left := [name for image in images for name in backend.names(image)]:
            self._fault(f"{backend.name}: {len(left)} objects are left")

    def _row(
        self, backend: Backend, what: str, fn: Callable[[], int], alone: float, hashed: float, part: float = 1.0
    ) -> None:
        worker = self._worker()
        Path(f"/proc/{worker}/clear_refs").write_text("5")  # forgets the peak so far
        rate = self._rate(fn, part)
        peak = _peak(worker)
        ratios = f"{alone:9.0f} {rate / alone:6.2f} {hashed:9.0f} {rate / hashed:6.2f}"
        print(f"{backend.name:6} {what:22} {rate:9.0f} {ratios} {peak:5.0f}", flush=True)
        if self._worker() != worker:
            self._fault(f"{backend.name}: {what}: the worker died")

    def _rate(self, fn: Callable[[], int], part: float = 1.0) -> float:
        """Megabytes per second of a transfer, which returns the bytes that came or 0."""
        size, begun = int(self.size_mib * MIB * part), time.monotonic()
        got = fn()
        if got not in (0, size):
            self._fault(f"{got} bytes instead of {size}")
        return size / 1e6 / (time.monotonic() - begun)

    def _latency(self, beside: str, load: Callable[[], Any]) -> None:
        image = self._create()
        with load(), requests.Session() as session:
            times = []
            for _ in range(ASKED):
                begun = time.monotonic()
                answer = session.get(f"{self.deployment.endpoint}/v2/images/{image}", timeout=60)
                times.append((time.monotonic() - begun) * 1000)
                self._expect(answer, 200)
                time.sleep(PAUSE)
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"GET /v2/images/ID beside {beside:22} p50 {statistics.median(times):6.1f} ms, p99 {p99:6.1f} ms")

    @contextlib.contextmanager
    def _crawling(self, crawl: Callable[[Backend, threading.Event, threading.Event], None]) -> Iterator[None]:
        stop, begun = threading.Event(), [threading.Event() for _ in self.backends]
        threads = [
            threading.Thread(target=crawl, args=(backend, event, stop), daemon=True)
            for backend, event in zip(self.backends, begun, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            for event, backend in zip(begun, self.backends, strict=True):
                if not event.wait(60):
                    self._fault(f"{backend.name}: a crawling transfer did not begin")
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(120)

    @contextlib.contextmanager
    def _down(self, backend: RbdBackend) -> Iterator[None]:
        """Eight clients ask again and again for an image in a cluster that does not answer."""
        image, stop = self._create(), threading.Event()
        self._upload(image, backend, Sized(4))

        def ask() -> None:
            while not stop.is_set():
                self._send("GET", f"/images/{image}/file").close()

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        backend.server.stop()
        try:
            for thread in threads:
                thread.start()
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(120)
            backend.server.start()

    def _crawl_down(self, backend: Backend, begun: threading.Event, stop: threading.Event) -> None:
        image = self._create()
        self._upload(image, backend, Sized(64))
        with self._send("GET", f"/images/{image}/file", stream=True) as answer:
            while answer.raw.read(MIB) and not stop.wait(CRAWL):
                begun.set()
        self._send("DELETE", f"/images/{image}")

    def _crawl_up(self, backend: Backend, begun: threading.Event, stop: threading.Event) -> None:
        image = self._create()

        def data() -> Iterator[bytes]:
            for block in Source(64):
                yield block
                begun.set()
                if stop.wait(CRAWL):
                    return

        self._upload(image, backend, data())
        self._send("DELETE", f"/images/{image}")

    def _create(self) -> str:
        image = str(uuid.uuid4())
        self._expect(self._send("POST", "/images", json={"id": image, **FORMATS}), 201)
        return image

    def _upload(self, image: str, backend: Backend, data: Any) -> int:
        headers = OCTETS | {"X-Image-Meta-Store": backend.name}
        self._expect(self._send("PUT", f"/images/{image}/file", headers=headers, data=data), 204)
        return 0

    def _download(self, image: str, headers: dict[str, str] | None = None) -> int:
        with self._send("GET", f"/images/{image}/file", headers=headers, stream=True) as answer:
            return sum(map(len, answer.iter_content(MIB)))

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, f"{self.deployment.endpoint}/v2{path}", timeout=600, **more)

    def _expect(self, answer: requests.Response, status: int) -> None:
        if answer.status_code != status:
            self._fault(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:200]}")

    def _worker(self) -> int:
        (worker,) = self.deployment.api.children()
        return worker

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        print(f"FAULT: {text}", flush=True)


def _peak(pid: int) -> float:
    """The most MiB that a process has had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _start(names: list[str], stack: contextlib.ExitStack) -> list[Backend]:
    """The back ends, as far as their programs are installed, with the sizes that the service has by default."""
    made: list[Backend] = []
    if {"swift", "s3"} & set(names):
        installed = shutil.which("swift-proxy-server")
        programs = os.path.dirname(installed) if installed else str(openstack_environment() / "bin")
        server = stack.enter_context(_swift(programs, "s3api tempauth"))
        made += [kind(server) for kind in (SwiftBackend, S3Backend) if kind.name in names]
    if "rbd" in names:
        made.append(RbdBackend(stack.enter_context(running_ceph())))
    for backend in made:
        backend.options = {name: value for name, value in backend.options.items() if not name.endswith(LOWERED)}
        backend.names()  # makes the container
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("backends", nargs="*", metavar="BACKEND", help="swift, s3, rbd; default: all")
    arguments = parser.parse_args()
    names = arguments.backends or list(ALONE)
    if unknown := set(names) - set(ALONE):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        try:
            backends = _start(names, stack)
        except pytest.skip.Exception as reason:
            print(f"not possible here: {reason}")
            return 1
        settings = {
            "enabled_backends": ",".join(f"{backend.name}:{backend.name}" for backend in backends),
            "glance_store": {"default_backend": backends[0].name},
            **{backend.name: backend.options for backend in backends},
        }
        deployment = Deployment(Path(directory), api=settings)
        stack.callback(deployment.stop)
        probe = Probe(deployment.start(), backends, arguments.size_mib)
        probe.run()
    return 1 if probe.faults else 0


if __name__ == "__main__":
    sys.exit(main())
