"""Plug-ins of oslo.middleware's healthcheck: ``backends = disable_by_file,database,registry,stores,cache``.

Each says 503 as long as what it is named after does not answer.  Which of them a load
balancer shall heed is the operator's choice; ``detailed = True`` lists every part.
"""

from typing import ClassVar

from oslo_middleware.healthcheck.pluginbase import HealthcheckBaseExtension, HealthcheckResult

from glance.common import health


class _Check(HealthcheckBaseExtension):
    SUBJECT: ClassVar[str]

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        problems = health.ask(self.SUBJECT)
        down = [name for name, problem in problems.items() if problem]
        lines = [f"{name}: {problem or 'OK'}" for name, problem in problems.items()]
        return HealthcheckResult(
            available=not down,
            reason=f"UNAVAILABLE: {', '.join(down)}" if down else "OK",
            details="; ".join(lines) or f"{self.SUBJECT}: not used by this server",
        )


class Database(_Check):
    """The database, where this process speaks to it."""

    SUBJECT = "database"


class Registry(_Check):
    """The registry; it counts as down as well while its own healthcheck says so."""

    SUBJECT = "registry"


class Stores(_Check):
    """Every store that is switched on."""

    SUBJECT = "stores"


class Cache(_Check):
    """The directory of the image cache."""

    SUBJECT = "cache"
