"""Values that JSON does not know, as both ends of the registry's RPC write them (spec registry.md §4.2)."""

from datetime import UTC, datetime
from typing import Any


def encode(value: Any) -> Any:
    """For ``json.dumps(default=…)``: a datetime is an object that says so."""
    if isinstance(value, datetime):
        return {"_type": "datetime", "_value": value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def decode(value: dict[str, Any]) -> Any:
    """For ``json.loads(object_hook=…)``: datetimes become naive UTC; an unknown ``_type`` stays as it is.

    :raises ValueError: a datetime that is none
    """
    if value.get("_type") != "datetime":
        return value
    if not isinstance(value.get("_value"), str):
        raise ValueError("not a time")
    moment = datetime.fromisoformat(value["_value"])
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError("time out of range") from None
