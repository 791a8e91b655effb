"""Requests that HTTP libraries would not send, or not in pieces."""

import http.client
import socket
from typing import Any


class Conversation:
    """One connection to a server; what is sent is what the test says, byte for byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self, method: str, path: str | bytes, *headers: dict[str, str | bytes]) -> None:
        """Send the request line and headers; strings as UTF-8."""
        lines = [method.encode() + b" " + _bytes(path) + b" HTTP/1.1", b"Host: test"]
        lines += [_bytes(name) + b": " + _bytes(value) for group in headers for name, value in group.items()]
        self.send(b"\r\n".join(lines) + b"\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """Send the last, empty chunk."""
        self.send(b"0\r\n\r\n")

    def answer(self, method: str = "GET") -> "Answer":
        """Read one response."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        return Answer(response.status, response.msg, response.read())

    def ask(self, method: str, path: str | bytes, *headers: dict[str, str | bytes], body: bytes = b"") -> "Answer":
        """Send a request with a body of known length and read the response."""
        self.head(method, path, *headers, {"Content-Length": str(len(body))} if body else {})
        self.send(body)
        return self.answer(method)

    def closed(self) -> bool:
        """Whether the server has ended the connection; waits for it to say something."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


class Answer:
    """``headers`` is case-insensitive and keeps every value, ``body`` is bytes."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
