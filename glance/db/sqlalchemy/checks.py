"""Checks of what callers want to store: a bad value is ``Invalid`` before any driver sees it (spec database.md §4)."""

import json
import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from glance.common import exception
from glance.common.values import MAX_BIGINT, is_uuid_like
from glance.images.model import MAX_INT, STATUSES, VISIBILITIES

_LENGTHS = {
    "name": 255,
    "disk_format": 20,
    "container_format": 20,
    "checksum": 32,
    "owner": 255,
    "os_hash_algo": 64,
    "os_hash_value": 128,
}
_NUMBERS = {"size": MAX_BIGINT, "virtual_size": MAX_BIGINT, "min_disk": MAX_INT, "min_ram": MAX_INT}
_REQUIRED_NUMBERS = frozenset(("min_disk", "min_ram"))
_FLAGS = ("protected", "os_hidden")
LOCATION_STATUSES = ("active", "pending_delete", "deleted")
MEMBER_STATUSES = ("pending", "accepted", "rejected")

# The utf8 of MySQL ends with the basic plane; PostgreSQL keeps no NUL; half a surrogate pair is no text.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff\U00010000-\U0010ffff]")
_TEXT_BYTES = 65535  # a TEXT column of MySQL


@dataclass(slots=True)
class ImageChanges:
    """Checked values of an image: columns of its row, and its children where they were named."""

    columns: dict[str, Any]
    properties: dict[str, str | None] | None
    drop_properties: list[str]
    locations: list[dict[str, Any]] | None
    change_locations: list[dict[str, Any]] | None
    tags: list[str] | None
    add_tags: list[str]
    drop_tags: list[str]
    is_public: bool | None


def storable(text: object) -> bool:
    """Whether ``text`` is a string that every engine can keep."""
    return isinstance(text, str) and _UNSTORABLE.search(text) is None


def text(name: str, value: object, length: int | None = None) -> str:
    """Return ``value`` if it can be stored.

    :param length: characters that the column holds; None for a TEXT column
    """
    if not isinstance(value, str):
        raise exception.Invalid(f"'{name}' must be a string.")
    if _UNSTORABLE.search(value):
        raise exception.Invalid(f"'{name}' contains a character that cannot be stored (NUL, or beyond U+FFFF).")
    if (length is not None and len(value) > length) or len(value.encode()) > _TEXT_BYTES:
        raise exception.Invalid(f"'{name}' is too long: at most {length or _TEXT_BYTES} characters are kept.")
    return value


def number(name: str, value: object, maximum: int) -> int:
    """Return ``value``, an integer or its decimal digits, if it lies in 0…maximum."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 25:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise exception.Invalid(f"'{name}' must be an integer between 0 and {maximum}.")
    return value


def moment(name: str, value: object) -> datetime:
    """Return a datetime as naive UTC."""
    if not isinstance(value, datetime):
        raise exception.Invalid(f"'{name}' must be a time.")
    try:
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (OverflowError, ValueError):
        raise exception.Invalid(f"'{name}' is out of range.") from None


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        raise exception.Invalid(f"'{value}' is not a valid {name}: it must be one of {', '.join(allowed)}.")
    return value


def image_id(value: object) -> str:
    """Return a client's own image id, or a new one for None."""
    if value is None:
        return str(uuid.uuid4())
    if not isinstance(value, str) or not is_uuid_like(value):
        raise exception.Invalid("Invalid image id format")
    return value


def image_changes(values: Mapping[str, Any]) -> ImageChanges:
    """Check the values of an image; names that are not columns or children are ignored.

    id and the times are the caller's matter (``image_id``, ``moment``): an update ignores them.
    """
    columns: dict[str, Any] = {}
    for name, length in _LENGTHS.items():
        if name in values:
            value = values[name]
            columns[name] = None if value is None else text(name, value, length)
    if columns.get("owner") == "":
        columns["owner"] = None
    for name, maximum in _NUMBERS.items():
        if name in values:
            value = values[name]
            if value is None:
                columns[name] = 0 if name in _REQUIRED_NUMBERS else None
            else:
                columns[name] = number(name, value, maximum)
    for name in _FLAGS:
        if name in values:
            columns[name] = bool(values[name])
    if "status" in values:
        columns["status"] = choice("status", values["status"], STATUSES)
    if values.get("visibility") is not None:
        columns["visibility"] = choice("visibility", values["visibility"], VISIBILITIES)
    is_public = None if "visibility" in columns or "is_public" not in values else bool(values["is_public"])
    return ImageChanges(
        columns,
        properties(values.get("properties")),
        texts("property name", values.get("drop_properties")) or [],
        locations(values.get("locations")),
        locations(values.get("change_locations")),
        texts("tag", values.get("tags")),
        texts("tag", values.get("add_tags")) or [],
        texts("tag", values.get("drop_tags")) or [],
        is_public,
    )


def texts(name: str, values: object) -> list[str] | None:
    """Check a list of names or tags, each kept once; None if there is none."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise exception.Invalid(f"A list of each {name} is expected.")
    return list(dict.fromkeys(text(name, value, 255) for value in values))


def properties(values: object) -> dict[str, str | None] | None:
    """Check custom properties, a mapping of names to text or None; None if there are none to speak of."""
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise exception.Invalid("'properties' must be an object of names and values.")
    return {text("property name", name, 255): property_value(name, value) for name, value in values.items()}


def property_value(name: str, value: object) -> str | None:
    """Text of a property; numbers and booleans are written out."""
    if isinstance(value, bool | int | float):
        value = str(value)
    return None if value is None else text(name, value)


def locations(values: object) -> list[dict[str, Any]] | None:
    """Check locations: objects with url, metadata, status and, for those already stored, id."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise exception.Invalid("'locations' must be a list.")
    return [location(value) for value in values]


def location(value: object) -> dict[str, Any]:
    """Check one location.  Messages do not repeat it: it may hold a password."""
    if not isinstance(value, Mapping) or not value.get("url"):
        raise exception.Invalid("A location must be an object with a url.")
    metadata = value.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise exception.Invalid("The metadata of a location must be an object.")
    identity = value.get("id")
    return {
        "id": None if identity is None else number("location id", identity, MAX_INT),
        "value": text("location", value["url"]),
        "meta_data": text("location metadata", json.dumps(metadata or {})),
        "status": choice("location status", value.get("status") or "active", LOCATION_STATUSES),
    }


def same_name(dialect: str, name: str) -> str:
    """A key that is equal for names which the database takes for the same.

    MySQL's utf8 collation ignores case, accents and trailing spaces.
    """
    if dialect != "mysql":
        return name
    letters = (c for c in unicodedata.normalize("NFD", name.rstrip(" ")) if not unicodedata.combining(c))
    return "".join(letters).upper()
