"""The server's own settings, read from the configuration once per start or reload."""

import os
from dataclasses import dataclass
from typing import Any, Self

_LEAST_TOTAL = 65536


@dataclass(frozen=True, slots=True)
class Settings:
    """What spec daemons-and-config.md §3.1 names, checked and with its defaults filled in.

    :ivar workers: processes to fork; 0 serves in the calling process
    :ivar timeout: seconds that one wait for a client may last, None for ever
    :ivar max_header_line: longest request line or header line, bytes
    """

    host: str
    port: int
    backlog: int
    tcp_keepidle: int
    workers: int
    cert_file: str | None
    key_file: str | None
    ca_file: str | None
    digest_algorithm: str
    max_header_line: int
    keepalive: bool
    timeout: float | None

    @classmethod
    def read(cls, conf: Any, default_port: int) -> Self:
        """Take the values from ``conf``, whose attributes are the options of section DEFAULT."""
        workers = conf.workers
        return cls(
            host=conf.bind_host or "0.0.0.0",  # noqa: S104 - the documented default
            port=default_port if conf.bind_port is None else conf.bind_port,
            backlog=conf.backlog,
            tcp_keepidle=conf.tcp_keepidle,
            workers=(os.cpu_count() or 1) if workers is None else workers,
            cert_file=conf.cert_file or None,
            key_file=conf.key_file or None,
            ca_file=conf.ca_file or None,
            digest_algorithm=conf.digest_algorithm,
            max_header_line=conf.max_header_line,
            keepalive=conf.http_keepalive,
            timeout=conf.client_socket_timeout or None,
        )

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def max_head(self) -> int:
        """Longest request line and headers together, bytes."""
        return max(_LEAST_TOTAL, 8 * self.max_header_line)
