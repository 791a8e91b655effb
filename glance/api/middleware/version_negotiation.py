"""Finds out which API version a request is for.

Paste stanza::

    [filter:versionnegotiation]
    paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory

The first path segment, or an Accept header ``application/vnd.openstack.images-<version>``,
names the version; later filters and the root application see ``/v1/…`` whatever minor
version was asked for.  A request for no version that is served gets the versions
document, before any authentication (spec v1-api.md §1, v2-images.md §1).
"""

from collections.abc import Callable, Iterable
from typing import Any

from oslo_config import cfg

from glance.api import versions
from glance.common.config import CONF

_ACCEPT = "application/vnd.openstack.images-"


class VersionNegotiationFilter:
    def __init__(self, application: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._versions_app = versions.VersionsApp(conf)
        self._segments = versions.segments(conf)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").lstrip("/")
        accept = environ.get("HTTP_ACCEPT", "")
        if accept.startswith(_ACCEPT):
            family = self._segments.get(accept[len(_ACCEPT) :].strip())
            rest = "/" + path
        else:
            segment, slash, rest = path.partition("/")
            family = self._segments.get(segment)
            rest = slash + rest
        if family is None:
            return self._versions_app(environ, start_response)
        environ["PATH_INFO"] = f"/{family}{rest}"
        return self._application(environ, start_response)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return lambda application: cls(application, CONF)
