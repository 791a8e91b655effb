"""A web server that images are located at or copied from."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def content(size: int) -> bytes:
    """What ``/size/<n>`` serves."""
    return bytes(index % 251 for index in range(size))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.asked.append((self.command, self.path))
        word, _, rest = self.path.lstrip("/").partition("/")
        number = int(rest) if rest.isdigit() else 0
        if word == "size":
            self._reply(200, content(number))
        elif word == "status":
            self._reply(number, b"no image")
        elif word == "vanishing":  # gone when the data is asked for
            self._reply(200 if self.command == "HEAD" else 404, content(number))
        elif word == "short":  # breaks off half way
            self._reply(200, content(number), sent=number // 2)
            self.close_connection = True
        elif word == "to":
            self._reply(302, b"", location=f"/{rest}")
        else:
            self._reply(404, b"")

    def _reply(self, status: int, body: bytes, sent: int | None = None, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])

    def log_message(self, *arguments: Any) -> None:
        pass


class Source:
    """Serves ``/size/<n>``, ``/status/<code>``, ``/vanishing/<n>``, ``/short/<n>`` and ``/to/<path>`` while entered.

    :ivar url: its address
    :ivar asked: (method, path) of the requests it got
    """

    def __init__(self) -> None:
        self._server = _Server()
        self.asked = self._server.asked
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Source":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
