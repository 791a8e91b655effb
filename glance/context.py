"""Who is asking: the identity that every rule and every query is given."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from oslo_context import context


class Authority(Protocol):
    """Where the caller's rights come from."""

    def lasting(self, context: "RequestContext") -> AbstractContextManager[None]:
        """While the block runs, ``context.renew`` gets tokens."""


class RequestContext(context.RequestContext):
    """Identity of one request (spec policy-quota-protection.md §1).

    :ivar user_id, project_id: as confirmed by the authentication middleware, or None
    :ivar roles: lower-cased
    :ivar is_admin: may see and change everything
    :ivar read_only: anonymous: every change is refused
    :ivar owner_is_tenant: whether images belong to projects (True) or to users
    :ivar service_catalog: parsed X-Service-Catalog, or None
    :ivar renew: returns a new token or None; set while the caller's authority lasts longer than its token
    :ivar internal: the service itself acts, not its caller
    :ivar request_id: ``req-…``, echoed in the answer and sent on to the registry
    """

    def __init__(
        self,
        *,
        owner_is_tenant: bool = True,
        internal: bool = False,
        service_catalog: list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.owner_is_tenant = owner_is_tenant
        self.service_catalog = service_catalog
        self.internal = internal
        self.authority: Authority | None = None
        self.renew: Callable[[], str | None] | None = None

    def lasting(self) -> AbstractContextManager[None]:
        """While the block runs, the service can act for the caller even when its token has expired."""
        return self.authority.lasting(self) if self.authority else nullcontext()

    @property
    def owner(self) -> str | None:
        """The identity that owns what this request creates."""
        return self.project_id if self.owner_is_tenant else self.user_id

    def get_logging_values(self) -> dict[str, Any]:
        """What log formats may name; ``tenant`` is the project's name in those of 2016."""
        return {**super().get_logging_values(), "tenant": self.project_id}

    def elevated(self) -> "RequestContext":
        """The same caller with the rights of an administrator, for the service's own work."""
        return RequestContext(
            user_id=self.user_id, project_id=self.project_id, roles=[*self.roles, "admin"], is_admin=True,
            auth_token=self.auth_token, request_id=self.request_id, owner_is_tenant=self.owner_is_tenant,
            service_catalog=self.service_catalog, internal=True, overwrite=False,
        )  # fmt: skip


def forget() -> None:
    """Forget who asked: what is logged from now on belongs to no request."""
    vars(context._request_store).pop("context", None)  # the library only ever replaces it


def admin_context() -> RequestContext:
    """The service itself, when no request asks: sweeps, tools."""
    return RequestContext(is_admin=True, roles=["admin"], internal=True, overwrite=False)
