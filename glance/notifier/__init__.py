"""Telling other systems what happens to images (spec notifications.md).

``Notifier`` builds the message and hands it to the strategies that the configuration
selects.  Sending never fails the request that caused it.
"""

import logging
import uuid
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from oslo_config import cfg

from glance.common.exception import InvalidNotifierStrategy
from glance.notifier.base import Strategy
from glance.notifier.log import LoggingStrategy
from glance.notifier.noop import NoopStrategy

LOG = logging.getLogger(__name__)

STRATEGIES: dict[str, type[Strategy]] = {
    "noop": NoopStrategy,
    "default": NoopStrategy,
    "logging": LoggingStrategy,
}
# [oslo_messaging_notifications] driver, where notifier_strategy is not set
DRIVERS = {"log": "logging", "noop": "noop", "messaging": "rabbit", "messagingv2": "rabbit"}


class Notifier:
    """Sends notifications the way the configuration says.

    :param conf: notifier_strategy, disabled_notifications, default_publisher_id and
        ``[oslo_messaging_notifications] driver``
    :raises InvalidNotifierStrategy: the strategy is unknown
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._publisher_id = conf.default_publisher_id
        self._disabled = frozenset(conf.disabled_notifications)
        classes = [_strategy_class(name) for name in _selected(conf)]
        self._strategies = [cls(conf) for cls in classes if cls is not NoopStrategy]

    def info(self, event_type: str, payload: dict[str, Any]) -> None:
        """Say that something happened; ``payload`` is JSON-serialisable."""
        self._notify("INFO", event_type, payload)

    def error(self, event_type: str, payload: str | dict[str, Any]) -> None:
        """Say that something failed: a text, for ``image.send`` its usual payload."""
        self._notify("ERROR", event_type, payload)

    def _notify(self, priority: str, event_type: str, payload: str | dict[str, Any]) -> None:
        if not self._strategies:
            return
        if event_type in self._disabled or event_type.partition(".")[0] in self._disabled:
            return
        message = {
            "message_id": str(uuid.uuid4()),
            "publisher_id": self._publisher_id,
            "event_type": event_type,
            "priority": priority,
            "payload": payload,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        }
        for strategy in self._strategies:
            try:
                strategy.send(message)
            except Exception as error:  # of whatever kind: the request goes on
                LOG.error("Notification %s could not be sent: %s: %s", event_type, type(error).__name__, error)


def _selected(conf: cfg.ConfigOpts) -> list[str]:
    """The names of the strategies to use, each once."""
    if conf.notifier_strategy:
        return [conf.notifier_strategy]
    names = []
    for driver in conf.oslo_messaging_notifications.driver:
        if driver.lower() not in DRIVERS:
            raise InvalidNotifierStrategy(
                f"[oslo_messaging_notifications] driver '{driver}' is unknown: use one of {', '.join(DRIVERS)}"
            )
        names.append(DRIVERS[driver.lower()])
    return list(dict.fromkeys(names))


def _strategy_class(name: str) -> type[Strategy]:
    known = STRATEGIES.get(name.lower())
    if known is not None:
        return known
    module, dot, cls = name.rpartition(".")
    if not dot:
        raise InvalidNotifierStrategy(
            f"This build has no notifier strategy '{name}': set notifier_strategy to one of "
            f"{', '.join(STRATEGIES)} or to the dotted name of a class"
        )
    try:
        return getattr(import_module(module), cls)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidNotifierStrategy(f"Notifier strategy '{name}' cannot be loaded: {error}") from None
