"""The figures.  Import this only after ``files.prepare``: the library then shares them between processes.

Another one is a line in ``Recorder.__init__`` and a method that says when it changes.
Labels take few values: a route's pattern and never a path, a store's name, a method that
exists.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from glance.common.offload import offload
from glance.metrics import files

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_TRANSFER_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Recorder:
    """Counts for this process and those that it forks.

    :param path: directory of the figures
    """

    @classmethod
    @functools.cache  # a figure cannot be made twice in a process
    def instance(cls, path: str) -> Self:
        """The recorder of this process."""
        return cls(path)

    def __init__(self, path: str) -> None:
        self._path = path
        self._requests = Counter(
            "glance_requests", "Requests answered; 499: the client left before.", ["route", "method", "status"],
            registry=None,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "glance_request_seconds", "From the head of a request to the end of its answer, data included.", ["route"],
            registry=None, buckets=_REQUEST_SECONDS,
        )  # fmt: skip
        self._received = Counter("glance_bytes_received", "Image data taken in.", ["store"], registry=None)
        self._sent = Counter("glance_bytes_sent", "Image data sent to clients.", ["store"], registry=None)
        self._in_flight = Gauge(
            "glance_transfers_in_flight", "Transfers of image data going on.", ["direction"],
            registry=None, multiprocess_mode="livesum",
        )  # fmt: skip
        self._upload_seconds = _transfers("glance_upload_seconds", "Taking in the data of an image.")
        self._download_seconds = _transfers("glance_download_seconds", "Sending the data of an image.")
        os.register_at_fork(after_in_child=files.forget_predecessor)

    def request(self, route: str, method: str, status: str, seconds: float) -> None:
        """Count one request.

        :param route: the pattern of its path
        :param status: three digits
        """
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        self._request_seconds.labels(route).observe(seconds)

    @contextmanager
    def upload(self, store: str) -> Iterator[Callable[[int], None]]:
        """See ``glance.metrics.upload``; counts while the data comes."""
        counter, seen = self._received.labels(store), 0

        def progress(total: int) -> None:
            nonlocal seen
            counter.inc(total - seen)
            seen = total

        in_flight, began = self._in_flight.labels("upload"), time.monotonic()
        in_flight.inc()
        try:
            yield progress
        finally:
            in_flight.dec()
            self._upload_seconds.labels(store).observe(time.monotonic() - began)

    def download(self, store: str) -> Callable[[int], None]:
        """See ``glance.metrics.download``; counts when it has ended."""
        in_flight, began = self._in_flight.labels("download"), time.monotonic()
        in_flight.inc()

        def end(sent: int) -> None:
            in_flight.dec()
            self._sent.labels(store).inc(sent)
            self._download_seconds.labels(store).observe(time.monotonic() - began)

        return end

    def exposition(self) -> bytes:
        """The figures of all processes in the text format, version 0.0.4."""
        return offload(self._read)

    def _read(self) -> bytes:
        files.forget_gone(self._path)
        return generate_latest(MultiProcessCollector(None, self._path))


def _transfers(name: str, text: str) -> Histogram:
    return Histogram(name, f"{text} Failed ones count as well.", ["store"], registry=None, buckets=_TRANSFER_SECONDS)
