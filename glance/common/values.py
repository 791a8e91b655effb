"""Strict readings of the small values that headers, queries and bodies carry as text."""

import re
from datetime import UTC, datetime

from glance.common import exception

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_TRUE = frozenset(("1", "t", "true", "on", "y", "yes"))
MAX_BIGINT = 2**63 - 1


def is_uuid_like(text: object) -> bool:
    """Whether ``text`` is a uuid in its usual written form (dashes optional, either case)."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def parse_bool(text: str) -> bool:
    """True for 1, t, true, on, y, yes in any case; everything else is False."""
    return text.strip().lower() in _TRUE


def non_negative_int(text: str, complaint: str, maximum: int = MAX_BIGINT) -> int:
    """Read decimal digits.  :raises Invalid: with ``complaint``, or because it exceeds ``maximum``"""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        raise exception.Invalid(complaint)
    if len(text) > 19 or int(text) > maximum:
        raise exception.Invalid(f"{complaint} (the largest is {maximum})")
    return int(text)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time as naive UTC; without a zone it is UTC already.  :raises ValueError:"""
    if len(text) > 64:
        raise ValueError("too long")
    moment = datetime.fromisoformat(text.strip().replace(" ", "T", 1) if "T" not in text else text.strip())
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError("before the first or after the last year") from None
