"""A registry that answers what a test tells it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

IMAGE_ID = "11111111-2222-3333-4444-555555555555"
IMAGE = {
    "id": IMAGE_ID, "name": "canned", "status": "active", "size": 3, "virtual_size": None, "disk_format": "raw",
    "container_format": "bare", "min_disk": 0, "min_ram": 0, "is_public": True, "checksum": None, "owner": "tenant",
    "protected": False, "deleted": False, "deleted_at": None, "properties": {"a": "1"}, "location": None,
    "location_data": [], "created_at": "2020-01-02T03:04:05.000006", "updated_at": "2020-01-02T03:04:05",
}  # fmt: skip


class Asked(NamedTuple):
    """One request; ``path`` has the query, ``headers`` is case-insensitive."""

    method: str
    path: str
    headers: Any
    body: Any


class Answer(NamedTuple):
    """What to answer: ``length`` is announced (None: nothing is); ``status`` 0 closes the connection at once."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = -1


def canned(asked: Asked) -> Answer:
    """What a registry with one image says; it has none of the additions."""
    path = asked.path.partition("?")[0]
    if path in ("/images/detail", "/images") and asked.method == "GET":
        return said({"images": [IMAGE]})
    if path.endswith("/members") and asked.method == "GET":
        return said({"members": [{"member_id": "m", "can_share": False}]})
    if path.startswith("/shared-images/"):
        return said({"shared_images": [{"image_id": IMAGE_ID, "can_share": True}]})
    if "/members" in path:
        return Answer(204)
    if path.startswith("/images"):
        return said({"image": IMAGE | ((asked.body or {}).get("image") or {})})
    return Answer(404)


def said(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), (("Content-Type", "application/json"),))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer] = canned
        self.connections = 0

    def process_request(self, *arguments: Any) -> None:
        self.connections += 1
        super().process_request(*arguments)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def _handle(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, self.headers, json.loads(raw) if raw else None)
        self.server.asked.append(asked)
        answer = self.server.answer(asked)
        if not answer.status:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.length is None:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(answer.body) if answer.length < 0 else answer.length))
            self.close_connection = answer.length >= 0
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def log_message(self, *arguments: Any) -> None:
        pass


class StandIn:
    """Context manager; listens on ``port``."""

    def __init__(self) -> None:
        self._server = _Server()
        self.port = self._server.server_address[1]

    def answers(self, answer: Callable[[Asked], Answer] | Answer = canned) -> None:
        """From now on: one answer to everything about images, or what a function says; forgets what was asked."""
        fixed = answer if isinstance(answer, Answer) else None
        self._server.answer = (lambda asked: fixed) if fixed else answer  # type: ignore[assignment,return-value]
        self._server.asked.clear()

    @property
    def asked(self) -> list[Asked]:
        """What the API server's callers caused: not its own sweeps."""
        return [asked for asked in self._server.asked if not asked.path.startswith("/transfers")]

    @property
    def connections(self) -> int:
        return self._server.connections

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
