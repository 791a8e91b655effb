"""An HTTP/1.1 client that costs next to nothing.

Client and server share the processors, so what the client burns is missing from the figures.  Requests are bytes made
beforehand, answers are read just far enough, and downloads are discarded inside the kernel (recv with MSG_TRUNC).
"""

import os
import re
import socket
from dataclasses import dataclass

MIB = 2**20
TIMEOUT = 120
_BLOCK = memoryview(os.urandom(MIB))
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its head in lower case, and the body unless it was discarded."""

    status: int
    head: bytes
    body: bytes
    length: int
    """Bytes of the body."""


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"", length: int | None = None) -> bytes:
    """A request as bytes; ``length`` announces a body that is sent afterwards."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    announced = len(body) if length is None else length
    if announced or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {announced}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """Asks one server on loopback, over one connection for as long as the server keeps it open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._buffer = bytearray(4 * MIB)

    def ask(self, message: bytes, discard: bool = False) -> Answer:
        """Send a request and return the answer.

        :raises RuntimeError: the status is not 2xx
        :raises OSError: no answer within ``TIMEOUT`` seconds, or the connection broke
        """
        self.connect().sendall(message)
        return self.answer(message, discard)

    def upload(self, head: bytes, size: int) -> Answer:
        """Send ``head`` and ``size`` bytes of noise."""
        self.connect().sendall(head)
        self.send_noise(size)
        return self.answer(head)

    def send_noise(self, size: int) -> None:
        """Send bytes of a body."""
        connection = self.connect()
        for _ in range(size // MIB):
            connection.sendall(_BLOCK)
        connection.sendall(_BLOCK[: size % MIB])

    def answer(self, message: bytes, discard: bool = False) -> Answer:
        """Read the answer to a request that was sent; ``message`` names it in errors."""
        connection = self.connect()
        head, rest = self._head(connection)
        status = int(head[9:12])
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        body = b"" if message.startswith(b"HEAD ") else self._body(connection, rest, length, discard)
        if b"\r\nconnection: close" in head or head.startswith(b"http/1.0"):
            self.close()
        if not 200 <= status < 300:
            asked = message.partition(b"\r\n")[0].decode()
            raise RuntimeError(f"{asked}: status {status}: {body[:300].decode(errors='replace')}")
        return Answer(status, head, body, length)

    def connect(self) -> socket.socket:
        """The open connection."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @staticmethod
    def _head(connection: socket.socket) -> tuple[bytes, bytes]:
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            received = connection.recv(65536)
            if not received:
                raise ConnectionError("the server closed the connection before it answered")
            data += received
        return bytes(data[:end]).lower(), bytes(data[end + 4 :])

    def _body(self, connection: socket.socket, rest: bytes, length: int, discard: bool) -> bytes:
        parts = [rest]
        missing = length - len(rest)
        flags = socket.MSG_TRUNC if discard else 0
        while missing > 0:
            received = connection.recv_into(self._buffer, min(missing, len(self._buffer)), flags)
            if not received:
                raise ConnectionError(f"the server closed the connection {missing} bytes before the end")
            if not discard:
                parts.append(bytes(self._buffer[:received]))
            missing -= received
        return b"" if discard else b"".join(parts)
