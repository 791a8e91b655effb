"""The strategy that sends nothing."""

from typing import Any

from oslo_config import cfg


class NoopStrategy:
    """Forgets every message."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        pass

    def send(self, message: dict[str, Any]) -> None:
        pass
