"""The strategy that writes notifications to the log (spec notifications.md §7)."""

import json
import logging
from typing import Any

from oslo_config import cfg

_LEVELS = {"INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}


class LoggingStrategy:
    """One line of JSON per message, to the logger ``oslo.messaging.notification.<event type>``."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        pass

    def send(self, message: dict[str, Any]) -> None:
        logger = logging.getLogger(f"oslo.messaging.notification.{message['event_type']}")
        logger.log(_LEVELS[message["priority"]], "%s", json.dumps(message))
