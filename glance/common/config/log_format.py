"""What a log line looks like (spec daemons-and-config.md §3.5).

oslo.log's formatter decides.  A line without a traceback is made here, from the same
format strings: every request writes one, and oslo.log's is ten times dearer.  It also
adds whatever exception is being handled to warnings, which would end up in notifications.
"""

import logging
import time
from typing import Any

from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import formatters

from glance.common.redact import mask_secrets, one_line

_IDENTITY = "_log_identity"
"""Attribute of a context in which its part of the line is kept."""


class SafeFormatter(logging.Formatter):
    """Wraps another formatter: secrets are masked, and one record cannot look like two.

    Only a traceback adds lines, behind the first.
    """

    def __init__(self, inner: logging.Formatter, conf: cfg.ConfigOpts | None = None) -> None:
        super().__init__()
        self._inner = inner
        self._quick = _QuickFormat.of(inner, conf)

    def format(self, record: logging.LogRecord) -> str:
        if self._quick and record.levelno > logging.DEBUG and not (record.exc_info or record.stack_info):
            return one_line(mask_secrets(self._quick.format(record, _message(record))))
        plain = logging.makeLogRecord(record.__dict__)
        plain.msg, plain.args = mask_secrets(_message(record)), None
        text = mask_secrets(self._inner.format(plain))
        if isinstance(self._inner, formatters.JSONFormatter):
            return text
        stack = plain.stack_info and self._inner.formatStack(plain.stack_info)
        details = mask_secrets("\n".join(part for part in (plain.exc_text, stack) if part))
        head = text.removesuffix(details).removesuffix("\n") if details else text
        return "\n".join(map(one_line, [head, *details.split("\n")] if details else [head]))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # the arguments do not fit the format
        return f"{record.msg} {record.args}"


class _QuickFormat:
    """The formats of ``logging_*_format_string`` for a record without extras."""

    def __init__(self, conf: cfg.ConfigOpts, datefmt: str) -> None:
        self._plain = conf.logging_default_format_string
        self._in_context = conf.logging_context_format_string
        self._identity = conf.logging_user_identity_format
        self._datefmt = datefmt
        self._second = 0
        self._asctime = ""

    @classmethod
    def of(cls, inner: logging.Formatter, conf: cfg.ConfigOpts | None) -> "_QuickFormat | None":
        """None when another formatter is in use, or a format names something that is not known here."""
        if conf is None or type(inner) is not formatters.ContextFormatter or not inner.datefmt:
            return None
        quick = cls(conf, inner.datefmt)
        try:
            quick.format(logging.makeLogRecord({"created": time.time()}), "")
            _ = quick._in_context % quick._values(logging.makeLogRecord({}), "", "", "")
        except (KeyError, TypeError, ValueError):
            return None
        return quick

    def format(self, record: logging.LogRecord, message: str) -> str:
        context = oslo_context.get_current()
        if context is None:
            return self._plain % self._values(record, message, "", "")
        kept = vars(context).get(_IDENTITY)
        if kept is None or kept[0] is not self:
            values = {name: value or "-" for name, value in context.get_logging_values().items()}
            kept = (self, values.get("request_id", ""), self._identity % values)
            vars(context)[_IDENTITY] = kept
        return self._in_context % self._values(record, message, kept[1], kept[2])

    def _values(self, record: logging.LogRecord, message: str, request_id: str, identity: str) -> dict[str, Any]:
        second = int(record.created)
        if second != self._second:
            self._second, self._asctime = second, time.strftime(self._datefmt, time.localtime(second))
        return {
            "asctime": self._asctime,
            "msecs": record.msecs,
            "process": record.process,
            "levelname": record.levelname,
            "name": record.name,
            "request_id": request_id,
            "user_identity": identity,
            "instance": "",
            "message": message,
        }
