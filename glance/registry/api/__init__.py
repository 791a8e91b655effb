"""The registry's wire formats, in one application (spec registry.md)."""

from glance.common.config import CONF
from glance.db.sqlalchemy import engine
from glance.registry.api import v1, v2
from glance.wsgi.router import Router


class API(Router):
    """REST (v1) and RPC (v2), as far as the configuration enables them."""

    def __init__(self) -> None:
        table = [
            *(v1.routes(CONF) if CONF.enable_v1_registry else ()),
            *(v2.routes(CONF) if CONF.enable_v2_registry else ()),
        ]
        super().__init__(table, method_not_allowed=False)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> "API":
        """Paste app factory."""
        engine.configure(CONF)
        return cls()
