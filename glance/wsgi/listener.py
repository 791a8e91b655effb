"""The listening socket of a daemon (spec daemons-and-config.md §4)."""

import errno
import os
import socket
import time

from glance.common.exception import ConfigurationError
from glance.wsgi.settings import Settings

PATIENCE = 30
_PAUSE = 0.1
HANDED_OVER = "GLANCE_TEST_SOCKET_FD"


class AddressInUse(ConfigurationError):
    """Another socket holds the address."""


def handed_over() -> socket.socket | None:
    """The listening socket whose descriptor the environment names, None without one."""
    fd = os.environ.get(HANDED_OVER)
    if fd is None:
        return None
    try:
        listener = socket.socket(fileno=int(fd))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{HANDED_OVER} is {fd!r}, which is no open socket: {error}") from None
    listener.setblocking(False)
    return listener


def bind(settings: Settings, patience: int = PATIENCE) -> socket.socket:
    """Return a listening, non-blocking socket on the configured address.

    :param patience: seconds to go on trying, every 0.1 s, while the address is in use
    :raises AddressInUse: when it still is after that
    :raises ConfigurationError: the address cannot be resolved or bound at all
    """
    host, port = settings.address
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"Could not bind to {shown}: bind_host cannot be resolved: {error}") from None
    family, address = next((i[0], i[4]) for i in found if i[0] in (socket.AF_INET, socket.AF_INET6))
    deadline = time.monotonic() + patience
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listen(listener, settings)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(f"Could not bind to {shown}: {error.strerror}") from None
        else:
            listener.setblocking(False)
            return listener
        if time.monotonic() >= deadline:
            raise AddressInUse(f"Could not bind to {shown} after trying for {patience} seconds")
        time.sleep(_PAUSE)


def listen(listener: socket.socket, settings: Settings) -> None:
    """Apply the settings that connections inherit from a listening socket; also on reload."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE") and listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.tcp_keepidle)
    listener.listen(settings.backlog)
