"""Lets a proxy in front say where the client's request went and where it came from.

Paste stanzas::

    [filter:http_proxy_to_wsgi]
    paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory

    [filter:ssl]
    paste.filter_factory = oslo_middleware.ssl:SSLMiddleware.factory

``http_proxy_to_wsgi``, on with ``[oslo_middleware] enable_proxy_headers_parsing``, reads
Forwarded (RFC 7239) or, where that is absent, X-Forwarded-Proto, -Host, -Port and -For; and
X-Forwarded-Prefix.  Of several proxies the first counts: the one that the client spoke to.
``ssl`` is what stood in its place until 2016 and knows the scheme alone.  A value that
cannot be part of a URL is left aside (spec policy-quota-protection.md §8).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from glance.common.config import CONF

Filter = Callable[[Callable[..., Any]], Callable[..., Any]]

_HOST = re.compile(r"(?P<name>[-\w.~]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_PREFIX = re.compile(r"(?:/[-\w.~%!$&'()*+,;=:@]+)+", re.ASCII)
_ADDRESS = re.compile(r"\[(?P<v6>[^\]]+)\](?::[0-9]+)?|(?P<v4>[0-9.]+)(?::[0-9]+)?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def http_proxy_to_wsgi(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """The filter, or none while it is switched off."""
    if not CONF.oslo_middleware.enable_proxy_headers_parsing:
        return lambda application: application
    return lambda application: _before(application, _believe_headers)


def ssl(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """The filter of the earlier years; ``secure_proxy_ssl_header`` may stand in its paste section."""
    header = local_conf.get("secure_proxy_ssl_header") or CONF.oslo_middleware.secure_proxy_ssl_header
    key = "HTTP_" + header.upper().replace("-", "_").removeprefix("HTTP_")
    return lambda application: _before(application, lambda environ: _set_scheme(environ, _first(environ, key)))


def _before(application: Callable[..., Any], change: Callable[[dict[str, Any]], None]) -> Callable[..., Any]:
    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        change(environ)
        return application(environ, start_response)

    return middleware


def _believe_headers(environ: dict[str, Any]) -> None:
    forwarded = environ.get("HTTP_FORWARDED")
    said: Mapping[str, str | None]
    if forwarded:
        said = _forwarded(forwarded)
    else:
        said = {name: _first(environ, f"HTTP_X_FORWARDED_{name.upper()}") for name in ("proto", "host", "port", "for")}
    _set_scheme(environ, said.get("proto"))
    _set_host(environ, said.get("host"), said.get("port"))
    _set_client(environ, said.get("for"))
    prefix = (_first(environ, "HTTP_X_FORWARDED_PREFIX") or "").rstrip("/")
    if _PREFIX.fullmatch(prefix):
        environ["SCRIPT_NAME"] = prefix + environ["SCRIPT_NAME"]


def _first(environ: dict[str, Any], key: str) -> str | None:
    """What the first of several proxies put there."""
    return environ[key].partition(",")[0].strip() if key in environ else None


def _forwarded(header: str) -> dict[str, str]:
    """The parameters of the first element of a Forwarded header; nothing that is of use here holds a , or ;."""
    pairs = (pair.partition("=") for pair in header.partition(",")[0].split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _set_scheme(environ: dict[str, Any], scheme: str | None) -> None:
    if scheme and scheme.lower() in _DEFAULT_PORTS:
        environ["wsgi.url_scheme"] = scheme.lower()


def _set_host(environ: dict[str, Any], host: str | None, port: str | None) -> None:
    found = _HOST.fullmatch(host or "")
    if not found:
        found = _HOST.fullmatch(environ.get("HTTP_HOST") or environ["SERVER_NAME"])
        if not found or not port:
            return
    port = port if port and re.fullmatch("[0-9]{1,5}", port) else found["port"]
    shown = port and port != _DEFAULT_PORTS[environ["wsgi.url_scheme"]]
    environ["HTTP_HOST"] = f"{found['name']}:{port}" if shown else found["name"]


def _set_client(environ: dict[str, Any], client: str | None) -> None:
    found = _ADDRESS.fullmatch(client or "")
    address = (found["v6"] or found["v4"]) if found else client or ""
    with suppress(ValueError):  # "unknown", or a name that hides it
        environ["REMOTE_ADDR"] = str(ipaddress.ip_address(address))
