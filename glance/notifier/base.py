"""What a notification strategy is."""

from typing import Any, Protocol

from oslo_config import cfg


class Strategy(Protocol):
    """One way to send notifications.

    ``notifier_strategy`` may name any class of this shape by its dotted name.

    :param conf: all options; whatever is wrong with them is a ConfigurationError
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None: ...

    def send(self, message: dict[str, Any]) -> None:
        """Send one message (spec notifications.md §2), without waiting for a network.

        :param message: JSON-serialisable; keys message_id, publisher_id, event_type,
            priority, payload, timestamp
        :raises Exception: anything; it is logged and the message is lost
        """
        ...
