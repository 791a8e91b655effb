"""The one way in which the service connects to an address that a caller named (spec security.md §3).

``Guard.open`` resolves the host, checks every address it has, connects to the address
that it checked and to no other, and does all this again for each redirect.  Whatever
goes wrong, the caller gets the same error after the same time, so the service cannot be
used to find out what listens where; the log says what it was.
"""

import base64
import http.client
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, urljoin

from glance.common import exception
from glance.common.addresses import (
    Address,
    HostList,
    is_dangerous,
    is_of_this_machine,
    normalise_host,
    parse_address,
    with_embedded,
)
from glance.common.config import is_set

LOG = logging.getLogger(__name__)

MAX_REDIRECTS = 5
BLOCK = 1024 * 1024
READ_TIMEOUT = 60
"""Seconds of silence after which a transfer that has begun is given up."""

_REDIRECTS = (301, 302)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<credentials>[^/?#@\[\]]*)@)?(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>[/?][^#]*)?(?:#.*)?",
    re.IGNORECASE | re.ASCII,
)
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


class _Refused(Exception):
    """Why nothing is fetched: for the log, never for the caller."""


@dataclass(frozen=True)
class Target:
    """A parsed URL.

    :ivar host: normalised
    :ivar port: None unless the URL names one
    :ivar path: path and query, ready for the request line
    :ivar credentials: ``user:password`` as decoded bytes, None if there are none
    """

    scheme: str
    host: str
    port: int | None
    path: str
    credentials: bytes | None

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port or _DEFAULT_PORTS[self.scheme]


def parse(url: str) -> Target:
    """Take an http or https URL apart.  :raises BadStoreUri: malformed, or another scheme"""
    match = _URL.fullmatch(url)
    if match is None or _UNSAFE.search(url):
        raise exception.BadStoreUri()
    port = None if match["port"] is None else int(match["port"])
    try:
        host = normalise_host(match["host"])
    except ValueError:
        raise exception.BadStoreUri() from None
    if port is not None and not 1 <= port <= 65535:
        raise exception.BadStoreUri()
    path = match["path"] or "/"
    return Target(
        scheme=match["scheme"].lower(),
        host=host,
        port=port,
        path=quote(path if path.startswith("/") else f"/{path}", safe="/%?:@!$&'()*+,;=-._~[]|{}^"),
        credentials=None if match["credentials"] is None else unquote(match["credentials"]).encode(),
    )


class Guard:
    """Decides where the service may connect, and connects.

    :param resolve: stands in for ``socket.getaddrinfo``
    :raises ConfigurationError: an entry of the host lists is no host
    """

    def __init__(self, conf: Any, resolve: Callable[..., list[tuple[Any, ...]]] = socket.getaddrinfo) -> None:
        self._conf = conf
        self._resolve = resolve
        self._hosts()

    def open(
        self,
        method: str,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
        image_import: bool = False,
    ) -> "Response":
        """Send a request and return the answer, which has status 200.

        :param method: HEAD or GET
        :param tls: how to verify servers; None: against the system's authorities
        :param proxies: ``host:port`` per scheme.  Proxies are asked (CONNECT) for the
            address that was checked, so they must allow that also for http
        :param image_import: the built-in port lists bind too
        :raises BadStoreUri: malformed (at once), or anything else that is wrong (after
            ``fetch_deadline`` seconds)
        :raises NotFound: the server answered 404
        """
        target = parse(url)
        end = time.monotonic() + self._conf.import_filtering_opts.fetch_deadline
        exchange = _Exchange(
            lambda hop: self._check(hop, image_import), method, target, end, tls or self._verifying, proxies or {}
        )  # fmt: skip
        response = exchange.result()
        if response is not None and response.status == 200:
            return response  # only success and 404 may be quick
        if response is not None:
            response.close()
            if response.status == 404:
                raise exception.NotFound()
            LOG.info("%s answers %d", target.host, response.status)
        time.sleep(max(0.0, end - time.monotonic()))
        raise exception.BadStoreUri()

    @cached_property
    def _verifying(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _hosts(self) -> tuple[HostList, HostList]:
        options = self._conf.import_filtering_opts
        try:
            return HostList(options.allowed_hosts, blocks=False), HostList(options.disallowed_hosts, blocks=True)
        except ValueError as error:
            raise exception.ConfigurationError(
                f"[import_filtering_opts] allowed_hosts and disallowed_hosts: {error} is not a host."
            ) from None

    def _check(self, target: Target, image_import: bool) -> list[Address]:
        """Return the addresses to which a request for ``target`` may go.  :raises _Refused:"""
        options = self._conf.import_filtering_opts
        allowed, disallowed = self._hosts()
        _check_lists("scheme", target.scheme, options.allowed_schemes, options.disallowed_schemes)
        named = allowed.names(target.host)
        if (allowed and not named) or (not allowed and disallowed.names(target.host)):
            raise _Refused("the host lists do not admit it")
        if target.port is not None:
            binding = image_import or is_set(self._conf, "allowed_ports", "import_filtering_opts")
            ports = options.allowed_ports if binding else []
            _check_lists("port", target.port, ports, options.disallowed_ports)
        addresses = self._addresses(target)
        for address in addresses:
            if not named and (is_dangerous(address) or any(map(self._is_own, with_embedded(address)))):
                raise _Refused(f"{address} is refused unless allowed_hosts names the host")
            if not allowed and disallowed.covers(address):
                raise _Refused(f"disallowed_hosts covers {address}")
        return addresses

    def _addresses(self, target: Target) -> list[Address]:
        """Every address of the host, in the resolver's order."""
        literal = parse_address(target.host)
        if literal is not None:
            return [literal]
        found = self._resolve(target.host, target.origin[2], type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))

    def _is_own(self, address: Address) -> bool:
        """Whether this service, or its registry, listens there."""
        if "bind_host" not in self._conf:
            return is_of_this_machine(address)
        for option in ("bind_host", "registry_host"):
            host = getattr(self._conf, option, None)
            if not host:
                continue
            listening = parse_address(host.strip("[]"))
            if listening is None:
                entries = self._resolve(host, None, type=socket.SOCK_STREAM)
                if address in [ip_address(entry[4][0]) for entry in entries]:
                    return True
            elif listening.is_unspecified:
                if option == "bind_host" and is_of_this_machine(address):
                    return True
            elif listening == address:
                return True
        return False


def _check_lists(kind: str, value: object, allowed: list[Any], disallowed: list[Any]) -> None:
    if value not in allowed if allowed else value in disallowed:
        raise _Refused(f"{kind} {value} is not admitted")


class _Exchange:
    """One request with its redirects, made in a thread of its own.

    Names, connections, TLS and headers each have their own way of taking long; the thread
    lets one deadline hold for all of them together.
    """

    def __init__(
        self,
        check: Callable[[Target], list[Address]],
        method: str,
        target: Target,
        end: float,
        tls: ssl.SSLContext,
        proxies: Mapping[str, str],
    ) -> None:
        self._check = check
        self._method = method
        self._target = target
        self._end = end
        self._tls = tls
        self._proxies = proxies
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._socket: socket.socket | None = None
        self._response: Response | None = None
        self._abandoned = False

    def result(self) -> "Response | None":
        """The final answer, None if there is none before the deadline."""
        threading.Thread(target=self._run, name="fetch", daemon=True).start()
        try:
            self._done.wait(self._left())
        finally:
            with self._lock:
                self._abandoned = self._response is None
                if self._abandoned and self._socket is not None:
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread if it waits for an answer
        return self._response

    def _left(self) -> float:
        return max(0.001, self._end - time.monotonic())

    def _run(self) -> None:
        try:
            response = self._follow()
            with self._lock:
                if not self._abandoned:
                    self._response = response
        except (_Refused, exception.BadStoreUri, OSError, http.client.HTTPException, ValueError) as error:
            LOG.info("Nothing is fetched from %s: %s", self._target.host, error)
        except Exception:
            LOG.exception("Unexpected error while fetching from %s", self._target.host)
        finally:
            if self._response is None and self._socket is not None:
                self._socket.close()
            self._done.set()

    def _follow(self) -> "Response":
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send()
            if response.status not in _REDIRECTS:
                return response
            response.close()
            self._target = self._redirected(response.headers.get("Location", ""))
        raise _Refused(f"more than {MAX_REDIRECTS} redirects")

    def _redirected(self, location: str) -> Target:
        before = self._target
        host = f"[{before.host}]" if ":" in before.host else before.host
        port = "" if before.port is None else f":{before.port}"
        after = parse(urljoin(f"{before.scheme}://{host}{port}{before.path}", location.strip()))
        if before.scheme == "https" and after.scheme == "http":
            raise _Refused("redirected from https to http")
        if after.credentials is None and after.origin == before.origin:
            return Target(after.scheme, after.host, after.port, after.path, before.credentials)
        return after

    def _send(self) -> "Response":
        target = self._target
        connected = self._socket = self._connect(self._check(target))
        port = target.origin[2]
        if target.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(target.host, port, context=self._tls)
        else:
            connection = http.client.HTTPConnection(target.host, port)
        connection.sock = connected  # already connected: http.client never resolves the name again
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "glance"}
        if target.credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(target.credentials).decode("ascii")
        connection.request(self._method, target.path, headers=headers)
        response = http.client.HTTPResponse(connected, method=self._method)
        response.begin()
        return Response(response, connected)

    def _connect(self, addresses: list[Address]) -> socket.socket:
        """Connect to the first of ``addresses`` that accepts, and start TLS."""
        proxy = self._proxies.get(self._target.scheme)
        for number, address in enumerate(addresses):
            timeout = self._left() / (len(addresses) - number)
            try:
                connected = self._open_socket(address, timeout, proxy)
                break
            except OSError as error:
                if number == len(addresses) - 1:
                    raise
                LOG.info("%s at %s does not answer: %s", self._target.host, address, error)
        else:
            raise _Refused("the name has no address")
        connected.settimeout(self._left())
        self._socket = connected
        if self._target.scheme == "https":
            return self._tls.wrap_socket(connected, server_hostname=self._target.host)
        return connected

    def _open_socket(self, address: Address, timeout: float, proxy: str | None) -> socket.socket:
        port = self._target.origin[2]
        if proxy is None:
            return socket.create_connection((str(address), port), timeout)
        host, _, proxy_port = proxy.rpartition(":")
        tunnel = http.client.HTTPConnection(host.strip("[]"), int(proxy_port), timeout=timeout)
        tunnel.set_tunnel(f"[{address}]" if address.version == 6 else str(address), port)
        tunnel.connect()
        connected, tunnel.sock = tunnel.sock, None
        return connected


class Response:
    """The answer to a request; iterate it for the body, then ``close``.

    :ivar status: HTTP status
    :ivar length: bytes of the body (for HEAD: that a GET would have), None if not said
    """

    def __init__(self, response: http.client.HTTPResponse, connected: socket.socket) -> None:
        self._response = response
        self._socket = connected
        self.status = response.status
        self.headers = response.headers
        length = response.headers.get("Content-Length", "")
        self.length = int(length) if re.fullmatch(r"[0-9]{1,18}", length) and not response.chunked else None
        connected.settimeout(READ_TIMEOUT)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body.  :raises StoreUnavailable: it ends early, or nothing comes for READ_TIMEOUT"""
        received = 0
        try:
            while block := self._response.read(BLOCK):
                received += len(block)
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise exception.StoreUnavailable() from error
        if self.length is not None and received < self.length:
            raise exception.StoreUnavailable()

    def close(self) -> None:
        """Give up the connection; safe to call again."""
        self._response.close()
        self._socket.close()
