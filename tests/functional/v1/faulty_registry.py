"""A registry that answers some requests with an error instead of passing them on."""

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[str, str, Any], int | None]


def _none(*request: Any) -> None:
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, real_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.real_port = real_port
        self.fault: Fault = _none


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.server.fault(self.command, self.path, json.loads(body) if body else None)
        if status:
            self._reply(status, [], b"out of order")
            return
        real = http.client.HTTPConnection("127.0.0.1", self.server.real_port, timeout=20)
        real.request(self.command, self.path, body or None, dict(self.headers.items()))
        answer = real.getresponse()
        self._reply(answer.status, [("Content-Type", answer.headers["Content-Type"])], answer.read())
        real.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


class FaultyRegistry:
    """Stands in front of a real registry.

    :ivar port: where it listens
    """

    def __init__(self, real_port: int) -> None:
        self._server = _Server(real_port)
        self.port = self._server.server_address[1]

    def fail(self, fault: Fault) -> None:
        """Call ``fault`` with method, path and JSON body of each request from now on.

        It returns the status to answer with, or None to pass the request on.
        """
        self._server.fault = fault

    def heal(self) -> None:
        """Pass every request on again."""
        self._server.fault = _none

    def __enter__(self) -> "FaultyRegistry":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
