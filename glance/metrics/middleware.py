"""Counts requests, and answers ``/metrics`` before any authentication.

Paste stanza::

    [filter:metrics]
    paste.filter_factory = glance.metrics:filter_factory

The route of a request is what the router put into ``environ["glance.route"]``, ``none``
for what no router saw.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from glance import metrics

_PATH = "/metrics"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_CLIENT_GONE = "499"
_ON_FINISH = "glance.on_finish"


class MetricsApp:
    """Answers the figures, summed over all workers, to GET and HEAD; 404 while metrics are off."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        if metrics.recorder is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        text = metrics.recorder.exposition()
        start_response("200 OK", [("Content-Type", _TEXT), ("Content-Length", str(len(text)))])
        return [text] if environ["REQUEST_METHOD"] == "GET" else []


class MetricsFilter:
    """WSGI filter around ``application``; only made while metrics are on."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._figures = MetricsApp()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == _PATH and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._figures(environ, start_response)
        recorder = metrics.recorder
        if recorder is None:
            return self._application(environ, start_response)
        began = time.monotonic()
        status = _CLIENT_GONE

        def start(line: str, *rest: Any) -> Any:
            nonlocal status
            status = line[:3]
            return start_response(line, *rest)

        def finish(sent: int) -> None:
            route = environ.get("glance.route", "none")
            recorder.request(route, environ["REQUEST_METHOD"], status, time.monotonic() - began)

        own_server = _ON_FINISH in environ
        environ.setdefault(_ON_FINISH, []).append(finish)
        try:
            result = self._application(environ, start)
        except BaseException as error:
            status = _status(error)
            raise
        return result if own_server else _Watched(result, environ[_ON_FINISH])


def _status(error: BaseException) -> str:
    """What the server answers to an error that the application did not."""
    if isinstance(error, ConnectionError | TimeoutError):
        return _CLIENT_GONE
    return "400" if isinstance(error, OSError) else "500"  # a body whose chunks are malformed is an OSError


class _Watched:
    """A body under a server that does not say how a response ended (``glance.wsgi`` does)."""

    def __init__(self, body: Iterable[bytes], finishers: list[Callable[[int], None]]) -> None:
        self._body = body
        self._finishers = finishers
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body:
            yield block
            self._sent += len(block)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            while self._finishers:
                self._finishers.pop()(self._sent)
