"""Image metadata as ``x-image-meta-*`` headers and back (spec cli-and-client.md §6, v1-api.md §4.2)."""

from collections.abc import Mapping
from typing import Any

from glance.common.values import parse_bool

PREFIX = "x-image-meta-"
PROPERTY_PREFIX = "x-image-meta-property-"
_NUMBERS = frozenset({"size", "virtual_size", "min_disk", "min_ram"})
_FLAGS = frozenset({"is_public", "deleted", "protected"})


def to_headers(image_meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers for ``image_meta``, whose ``properties`` is a mapping; None values are left out."""
    headers = {PREFIX + key: value for key, value in image_meta.items() if key != "properties" and value is not None}
    for key, value in (image_meta.get("properties") or {}).items():
        if value is not None:
            headers[PROPERTY_PREFIX + key] = value
    return headers


def from_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the image metadata in ``headers`` (names in lower case); an empty value is None."""
    meta: dict[str, Any] = {}
    properties: dict[str, str | None] = {}
    for name, value in headers.items():
        if name.startswith(PROPERTY_PREFIX):
            properties[name.removeprefix(PROPERTY_PREFIX)] = value or None
        elif name.startswith(PREFIX):
            key = name.removeprefix(PREFIX)
            meta[key] = _typed(key, value)
    meta["properties"] = properties
    return meta


def _typed(key: str, value: str) -> Any:
    if not value:
        return None
    if key in _FLAGS:
        return parse_bool(value)
    if key in _NUMBERS:
        return int(value) if value.isascii() and value.isdigit() else None
    return value
