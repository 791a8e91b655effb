"""The registry's wire formats, in one application (spec registry.md)."""

from glance.common.config import CONF
from glance.db.sqlalchemy import engine
from glance.registry.api.v1 import routes
from glance.wsgi.router import Router


class API(Router):
    """REST (v1), as far as the configuration enables it."""

    def __init__(self) -> None:
        super().__init__(routes(CONF) if CONF.enable_v1_registry else [], method_not_allowed=False)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> "API":
        """Paste app factory."""
        engine.configure(CONF)
        return cls()
