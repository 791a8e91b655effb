"""Filters of other libraries, given this service's configuration.

Paste files name the libraries' own factories; ``glance.wsgi.deploy`` sends them here.  A
filter that is switched off is not put into the pipeline, so nobody pays for it; one that
is on reads the options of the daemon's own files (spec policy-quota-protection.md §8).
"""

from collections.abc import Callable
from typing import Any

from glance.common.config import CONF
from glance.common.config.auth import authtoken_settings

Filter = Callable[[Callable[..., Any]], Callable[..., Any]]


def _nothing(application: Callable[..., Any]) -> Callable[..., Any]:
    return application


def cors(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """oslo.middleware's CORS, on when ``[cors] allowed_origin`` (or that paste option) is set."""
    if not (CONF.cors.allowed_origin or local_conf.get("allowed_origin")):
        return _nothing
    from oslo_middleware.cors import CORS

    if local_conf.get("allowed_origin"):
        return CORS.factory(global_conf, **local_conf)
    return lambda application: CORS(application, CONF)


def http_proxy_to_wsgi(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """oslo.middleware's proxy headers, on with ``[oslo_middleware] enable_proxy_headers_parsing``."""
    if not CONF.oslo_middleware.enable_proxy_headers_parsing:
        return _nothing
    from oslo_middleware import HTTPProxyToWSGI

    return lambda application: HTTPProxyToWSGI(application, CONF)


def authtoken(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """keystonemiddleware's token check, with the settings that the names of earlier years stand for."""
    from glance.api.middleware.keystone import TokenCheck

    settings = {**global_conf, **local_conf, **authtoken_settings(CONF, local_conf)}
    return lambda application: TokenCheck(application, settings)


def osprofiler(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """osprofiler, on with ``[profiler] enabled``."""
    if not CONF.profiler.enabled:
        return _nothing
    from osprofiler import web

    web.enable(CONF.profiler.hmac_keys)
    return web.WsgiMiddleware.factory(global_conf, **local_conf)
