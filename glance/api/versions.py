"""Which API versions there are, and the document that says so (spec v1-api.md §1)."""

from typing import Any

import webob
from oslo_config import cfg

from glance.common.config import CONF
from glance.wsgi.router import json_response

V1 = ("v1.1", "v1.0")


def enabled_families(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """First path segments that lead to an API: newest first."""
    return ("v1",) if conf.enable_v1_api else ()


def segments(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Accepted first path segments (and Accept versions) → the family that serves them."""
    return {name: "v1" for name in ("v1", *V1)} if conf.enable_v1_api else {}


def document(conf: cfg.ConfigOpts, host_url: str) -> dict[str, Any]:
    """The versions document; ``public_endpoint`` replaces the request's own address."""
    base = (conf.public_endpoint or host_url).rstrip("/")
    ids = V1 if conf.enable_v1_api else ()
    return {
        "versions": [
            {
                "id": version,
                "status": "SUPPORTED" if index else "CURRENT",
                "links": [{"rel": "self", "href": f"{base}/{version.split('.')[0]}/"}],
            }
            for index, version in enumerate(ids)
        ]
    }


class VersionsApp:
    """Answers every request with the versions document: 300, or 200 where it was asked for."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = webob.Request(environ)
        asked_for = environ.get("PATH_INFO", "").lstrip("/").split("/", 1)[0] == "versions"
        response = json_response(document(self._conf, request.application_url), 200 if asked_for else 300)
        return response(environ, start_response)


def create_resource(global_conf: dict[str, str] | None = None, **local_conf: str) -> VersionsApp:
    """Paste app factory."""
    return VersionsApp(CONF)
