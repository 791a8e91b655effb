"""Servers for the client to talk to: a small imitation of the v1 API, and a scripted socket."""

import io
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from glance.client.http import HTTPClient

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


class Peer:
    """Serves the v1 routes from memory; ``script`` answers instead where it has the (method, path)."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.images: dict[str, dict[str, Any]] = {}
        self.data: dict[str, bytes] = {}
        self.members: dict[str, dict[str, bool]] = {}
        self.script: dict[tuple[str, str], Callable[[Seen], Answer]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def on(self, method: str, path: str, status: int, body: bytes | str = b"", **headers: str) -> None:
        """Answer a request always in the same way; ``_`` in header names stands for ``-``."""
        data = body.encode() if isinstance(body, str) else body
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script[method, path] = lambda seen: (status, fields, data)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._answer
                raise AttributeError(name)

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                blocks = []
                while size := int(self.rfile.readline(), 16):
                    blocks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(blocks)

            def _answer(self) -> None:
                parts = urlsplit(self.path)
                headers = {
                    name.lower(): value.encode("latin-1").decode("utf-8", "replace")
                    for name, value in self.headers.items()
                }
                seen = Seen(
                    self.command, parts.path, dict(parse_qsl(parts.query)), headers, self._body(), self.client_address
                )
                peer.seen.append(seen)
                status, fields, body = peer.script.get((seen.method, seen.path), peer._v1)(seen)
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value.encode().decode("latin-1"))
                if "Content-Length" not in fields and "Transfer-Encoding" not in fields:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    # --- the imitation -----------------------------------------------------

    def _v1(self, seen: Seen) -> Answer:
        words = [unquote(word) for word in seen.path.strip("/").split("/")][1:]
        if words[0] == "shared-images":
            shared = [
                {"image_id": image_id, "can_share": members[words[1]]}
                for image_id, members in self.members.items()
                if words[1] in members
            ]
            return _json({"shared_images": shared})
        if words == ["images"] and seen.method == "POST":
            return self._create(seen)
        if len(words) == 1 or words[1] == "detail":
            return _json({"images": self._page(seen.query)})
        image = self.images.get(words[1])
        if image is None:
            return 404, {}, b"404 Not Found\n\nThe resource could not be found.\n\n   "
        if "members" in words:
            return self._members(seen, words)
        if seen.method == "PUT":
            self._change(image, seen)
            return _json({"image": image})
        if seen.method == "DELETE":
            del self.images[words[1]]
            return 200, {}, b""
        return 200, _headers(image), self.data.get(words[1], b"")

    def _create(self, seen: Seen) -> Answer:
        image: dict[str, Any] = {key: None for key in ("name", "disk_format", "container_format", "owner", "checksum")}
        image |= {"id": str(uuid.uuid4()), "size": len(seen.body), "status": "active" if seen.body else "queued"}
        image |= {key: False for key in ("is_public", "protected", "deleted")} | {"min_disk": 0, "min_ram": 0}
        image |= {"created_at": "2011-02-22T19:20:53", "updated_at": "2011-02-22T19:20:53", "deleted_at": None}
        self._change(image, seen)
        self.images[image["id"]] = image
        self.data[image["id"]] = seen.body
        return 201, {"Content-Type": "application/json"}, json.dumps({"image": image}).encode()

    def _change(self, image: dict[str, Any], seen: Seen) -> None:
        image["properties"] = {}
        for name, value in seen.headers.items():
            if name.startswith("x-image-meta-property-"):
                image["properties"][name.removeprefix("x-image-meta-property-")] = value
            elif name.startswith("x-image-meta-"):
                key = name.removeprefix("x-image-meta-")
                image[key] = value == "True" if key in ("is_public", "protected") else value

    def _page(self, query: dict[str, str]) -> list[dict[str, Any]]:
        images = list(self.images.values())
        if "marker" in query:
            images = images[[image["id"] for image in images].index(query["marker"]) + 1 :]
        for key, value in query.items():
            if key in ("name", "status"):
                images = [image for image in images if image[key] == value]
            elif key.startswith("property-"):
                images = [image for image in images if image["properties"].get(key[9:]) == value]
        return images[: int(query.get("limit", 25))]

    def _members(self, seen: Seen, words: list[str]) -> Answer:
        members = self.members.setdefault(words[1], {})
        if seen.method == "GET":
            return _json({"members": [{"member_id": key, "can_share": value} for key, value in members.items()]})
        if seen.method == "DELETE":
            return (204, {}, b"") if members.pop(words[3], None) is not None else (404, {}, b"no such membership")
        document = json.loads(seen.body or b"{}")
        if len(words) == 4:
            members[words[3]] = document.get("member", {}).get("can_share", members.get(words[3], False))
        else:
            self.members[words[1]] = {
                entry["member_id"]: entry.get("can_share", members.get(entry["member_id"], False))
                for entry in document["memberships"]
            }
        return 204, {}, b""


def _json(document: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _headers(image: dict[str, Any]) -> dict[str, str]:
    headers = {f"x-image-meta-{key}": str(value) for key, value in image.items() if value is not None}
    del headers["x-image-meta-properties"]
    return headers | {f"x-image-meta-property-{key}": value for key, value in image["properties"].items()}


@contextmanager
def scripted(*connections: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where each new connection is given to the next function; the functions end the connection.

    Anything that a function raises fails the test at the end; so does a connection too many.
    """
    trouble: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for function in connections:
                try:
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.settimeout(20)
                        function(accepted)
                except OSError:
                    if listener.fileno() >= 0:
                        trouble.append(AssertionError("a scripted connection broke"))
                except BaseException as error:
                    trouble.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        deadline = time.monotonic() + 5
        while thread.is_alive() and time.monotonic() < deadline:
            thread.join(0.05)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert not trouble, trouble
    assert not thread.is_alive(), "fewer connections than scripted"


def read_request(sock: socket.socket) -> bytes:
    """Everything up to the end of the headers."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = sock.recv(65536)
        if not block:
            raise AssertionError(f"request cut off: {data!r}")
        data += block
    return data


def answer(sock: socket.socket, *parts: bytes) -> None:
    """Send an answer."""
    sock.sendall(b"".join(parts))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def plain(port: int, **options: Any) -> HTTPClient:
    """A client of a scripted port."""
    return HTTPClient("127.0.0.1", port, timeout=10, **options)


class Pipe:
    """A source that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.asked: list[int] = []

    def read(self, amount: int) -> bytes:
        self.asked.append(amount)
        return self._data.read(amount)
