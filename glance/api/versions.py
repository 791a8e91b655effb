"""Which API versions there are, and the document that says so (spec v1-api.md §1, v2-images.md §1)."""

from typing import Any

import webob
from oslo_config import cfg

from glance.common.config import CONF
from glance.wsgi.router import json_response

V1 = ("v1.1", "v1.0")
V2 = ("v2.9", "v2.7", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
"""What clients look for is there (v2-images.md §1); the numbers between name features that are not."""
V2_STORES = ("v2.15", "v2.13", "v2.10", "v2.9", "v2.8", *V2[1:])
"""The same with ``enabled_backends``."""


def enabled_families(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """First path segments that lead to an API: newest first."""
    return (*(["v2"] if conf.enable_v2_api else []), *(["v1"] if conf.enable_v1_api else []))


def ids(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """The versions to advertise, newest first."""
    offered = {"v1": V1, "v2": V2_STORES if conf.enabled_backends else V2}
    return tuple(version for family in enabled_families(conf) for version in offered[family])


def segments(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Accepted first path segments (and Accept versions) → the family that serves them."""
    return {name: name.split(".")[0] for name in (*enabled_families(conf), *ids(conf))}


def document(conf: cfg.ConfigOpts, host_url: str) -> dict[str, Any]:
    """The versions document; ``public_endpoint`` replaces the request's own address."""
    base = (conf.public_endpoint or host_url).rstrip("/")
    return {
        "versions": [
            {
                "id": version,
                "status": "SUPPORTED" if index else "CURRENT",
                "links": [{"rel": "self", "href": f"{base}/{version.split('.')[0]}/"}],
            }
            for index, version in enumerate(ids(conf))
        ]
    }


class VersionsApp:
    """Answers every request with the versions document: 300, or 200 where it was asked for.

    ``/openapi.json`` is answered with the description of the APIs.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._description: dict[str, Any] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = webob.Request(environ)
        if environ.get("PATH_INFO") == "/openapi.json":
            return self._described()(environ, start_response)
        asked_for = environ.get("PATH_INFO", "").lstrip("/").split("/", 1)[0] == "versions"
        response = json_response(document(self._conf, request.application_url), 200 if asked_for else 300)
        return response(environ, start_response)

    def _described(self) -> webob.Response:
        """The description, made when it is first asked for."""
        if self._description is None:
            from glance.api import openapi  # needs more than a list of versions does

            self._description = openapi.document(self._conf)
        return json_response(self._description)


def create_resource(global_conf: dict[str, str] | None = None, **local_conf: str) -> VersionsApp:
    """Paste app factory."""
    return VersionsApp(CONF)
