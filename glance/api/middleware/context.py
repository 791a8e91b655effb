"""Turns the identity headers of a request into a ``RequestContext``.

Paste stanzas::

    [filter:context]
    paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory

    [filter:unauthenticated-context]
    paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory

``context`` believes the headers that an authentication filter (or, with the trusted-auth
flavors, a trusted front) has set; ``unauthenticated-context`` makes everybody an
administrator without a project.  Both daemons use them (spec v1-api.md §3,
policy-quota-protection.md §1).
"""

import json
import uuid
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import webob
import webob.exc
from oslo_config import cfg

from glance.api.middleware.trusts import Authority
from glance.common.config import CONF
from glance.context import RequestContext
from glance.wsgi import errors


class _Base:
    """Gives each request a context and its answer the request id."""

    def __init__(self, application: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._conf = conf
        self._owner_is_tenant = conf.owner_is_tenant
        self._max_request_id = conf.max_request_id_length

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            request_id = self._request_id(environ)
            environ["glance.context"] = self._context(environ, request_id)
        except webob.exc.HTTPException as answer:
            return errors.send(answer, environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("x-openstack-request-id", request_id))
            return start_response(status, headers, exc_info)

        return self._application(environ, start)

    def _request_id(self, environ: dict[str, Any]) -> str:
        sent = environ.get("HTTP_X_OPENSTACK_REQUEST_ID")
        if not sent:
            return "req-" + str(uuid.uuid4())
        if 0 < self._max_request_id < len(sent):
            raise webob.exc.HTTPRequestHeaderFieldsTooLarge(
                explanation=f"x-openstack-request-id is too long, max size {self._max_request_id}"
            )
        if not sent.isascii():
            raise webob.exc.HTTPBadRequest(explanation="x-openstack-request-id is not ASCII")
        return sent if sent.startswith("req-") else "req-" + sent

    def _context(self, environ: dict[str, Any], request_id: str) -> RequestContext:
        raise NotImplementedError

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return lambda application: cls(application, CONF)


class ContextMiddleware(_Base):
    """Identity from headers; 401 when it is not confirmed."""

    def __init__(self, application: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        super().__init__(application, conf)
        from glance.images.policy import Policy

        self._policy = Policy(conf)
        self._admin_role = conf.admin_role.strip().lower()

    def _context(self, environ: dict[str, Any], request_id: str) -> RequestContext:
        if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
            if self._conf.allow_anonymous_access:
                return RequestContext(
                    read_only=True, request_id=request_id, owner_is_tenant=self._owner_is_tenant, roles=[]
                )
            raise webob.exc.HTTPUnauthorized()

        def header(*names: str) -> str | None:
            return next((_text(environ[name]) for name in names if environ.get(name)), None)

        roles = [role.strip().lower() for role in (header("HTTP_X_ROLES", "HTTP_X_ROLE") or "").split(",")]
        service_roles = [role.strip().lower() for role in (header("HTTP_X_SERVICE_ROLES") or "").split(",")]
        context = RequestContext(
            user_id=header("HTTP_X_USER_ID", "HTTP_X_USER"),
            project_id=header("HTTP_X_PROJECT_ID", "HTTP_X_TENANT_ID", "HTTP_X_TENANT"),
            system_scope=header("HTTP_OPENSTACK_SYSTEM_SCOPE"),
            roles=[role for role in roles if role],
            service_roles=[role for role in service_roles if role],
            auth_token=header("HTTP_X_AUTH_TOKEN", "HTTP_X_STORAGE_TOKEN"),
            service_catalog=_catalog(environ.get("HTTP_X_SERVICE_CATALOG")),
            request_id=request_id,
            owner_is_tenant=self._owner_is_tenant,
            is_admin=False,
        )
        token_auth = environ.get("keystone.token_auth")
        if token_auth is not None and token_auth.has_user_token:
            context.authority = Authority(self._conf, token_auth)
        context.is_admin = self._admin_role in context.roles or self._policy.is_admin(context)
        return context


class UnauthenticatedContextMiddleware(_Base):
    """Everybody is an administrator without a project."""

    def _context(self, environ: dict[str, Any], request_id: str) -> RequestContext:
        return RequestContext(
            is_admin=True, roles=["admin"], request_id=request_id, owner_is_tenant=self._owner_is_tenant
        )


def _text(raw: str) -> str:
    """WSGI hands headers over as latin-1; what is sent is UTF-8, to the registry as well."""
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return raw


@lru_cache(maxsize=64)
def _catalog(text: str | None) -> list[dict[str, Any]] | None:
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise webob.exc.HTTPBadRequest(explanation="Invalid service catalog json.") from None
