"""Asking the registry: one pool of kept connections, and what its answers mean (spec registry.md §5)."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from oslo_config import cfg

from glance.client.http import HTTPClient
from glance.client.wire import Response
from glance.common import exception, health
from glance.context import RequestContext
from glance.db.registry import service_user

LOG = logging.getLogger(__name__)

_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading an answer raises that is no JSON, or not the JSON of an image."""


class Registry:
    """The registry that the configuration names.

    :param conf: registry_host, registry_port, registry_client_*
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._service_user = service_user.login(conf)
        self._http = HTTPClient(
            conf.registry_host,
            conf.registry_port,
            use_ssl=conf.registry_client_protocol.lower() == "https",
            key_file=conf.registry_client_key_file,
            cert_file=conf.registry_client_cert_file,
            ca_file=conf.registry_client_ca_file,
            insecure=conf.registry_client_insecure,
            timeout=conf.registry_client_timeout,
        )
        health.provide("registry", {"registry": self.ping})

    def ping(self) -> None:
        """Ask the registry how it is.  :raises ServiceUnavailable: it is not there, or says it is not well"""
        with meaning(), suppress(exception.NotFound, exception.NotAuthenticated, exception.NotAuthorized):
            self._http.request("GET", "/healthcheck").read()  # any answer will do, of a registry of any year

    def request(
        self,
        context: RequestContext,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        default: Callable[[Any], Any] | None = None,
        object_hook: Callable[[dict[str, Any]], Any] | None = None,
        idempotent: bool | None = None,
    ) -> Any:
        """Send a request for ``context``; return the answer's JSON, None if it is empty.

        :param body: sent as JSON, ``default`` and ``object_hook`` as for the ``json`` module
        :param idempotent: see ``HTTPClient.request``
        :raises GlanceException: by status, or ``ClientConnectionError``; wrap the call in ``meaning``
        :raises ValueError: the answer is not JSON
        """
        headers = (headers or {}) | self._identity(context) | _trace()
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, default=default).encode()

        def send(token: dict[str, str]) -> Response:
            return self._http.request(
                method, path, headers=headers | token, params=params, body=data, idempotent=idempotent
            )

        raw = self._with_token(context, send).read()
        return json.loads(raw, object_hook=object_hook) if raw else None

    def _with_token(self, context: RequestContext, send: service_user.Send) -> Response:
        """Send with the token of whoever this is for: the user's, or that of the service itself."""
        if self._service_user and (context.internal or not self._conf.use_user_token):
            return self._service_user.call(send)
        if not (self._conf.use_user_token and context.auth_token):
            return send({})
        try:
            return send({"X-Auth-Token": context.auth_token})
        except exception.NotAuthenticated:
            token = context.renew() if context.renew else None
            if token is None:
                raise
            context.auth_token = token
            return send({"X-Auth-Token": token})

    def _identity(self, context: RequestContext) -> dict[str, str]:
        """Headers that say who asks."""
        headers = {"Accept": "application/json", "X-Openstack-Request-ID": self._request_id(context.request_id)}
        if self._conf.send_identity_headers:
            headers["X-Identity-Status"] = "Confirmed"
            headers["X-User-Id"] = context.user_id or ""
            headers["X-Tenant-Id"] = context.project_id or ""
            headers["X-Roles"] = ",".join(context.roles)
            if context.service_catalog is not None:
                catalog = json.dumps(context.service_catalog, ensure_ascii=False, separators=(",", ":"))
                headers["X-Service-Catalog"] = catalog
        return headers

    def _request_id(self, request_id: str) -> str:
        """The id, without the prefix that this side gave it where the registry would find it too long with it."""
        limit = self._conf.max_request_id_length
        return request_id if not 0 < limit < len(request_id) else request_id.removeprefix("req-")


def _trace() -> dict[str, str]:
    """Headers that make the registry's part of a trace, if this request leaves one."""
    web = sys.modules.get("osprofiler.web")  # loaded by the filter that is on; it is large
    return web.get_trace_id_headers() if web else {}


@contextmanager
def meaning(image_id: str | None = None) -> Iterator[None]:
    """Read the registry's answer as what it means to the API's caller (registry.md §5, last table).

    Goes around the request and the reading of its answer: a registry that talks nonsense is one that is down.
    """
    try:
        yield
    except exception.NotFound as error:
        if image_id is None:
            raise
        raise exception.ImageNotFound(image_id=image_id) from error
    except exception.Invalid as error:
        raise exception.Invalid(_details(error)) from error
    except exception.NotAuthenticated:
        raise
    except exception.Forbidden as error:
        raise exception.Forbidden(_details(error)) from error
    except exception.Duplicate as error:
        raise exception.Duplicate(_details(error)) from error
    except exception.LimitExceeded as error:
        raise exception.LimitExceeded(_details(error), retry_after=error.retry_after) from error
    except exception.ServiceUnavailable as error:
        raise exception.ServiceUnavailable("The registry is not available.", retry_after=error.retry_after) from error
    except (exception.GlanceException, OSError, *_NONSENSE) as error:
        LOG.error("The registry failed: %s: %s", type(error).__name__, error)
        raise exception.ServiceUnavailable("The registry is not available.") from error


def _details(error: exception.GlanceException) -> str:
    """What the registry said, without the sentence that the client puts before it."""
    return getattr(error, "details", None) or str(error)
