"""The image headers of a request (spec v1-api.md §4.3)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import webob

from glance.common import exception
from glance.common.values import is_uuid_like, non_negative_int, parse_bool, parse_time
from glance.images.model import MAX_INT

_META = "HTTP_X_IMAGE_META_"
_PROPERTY = "HTTP_X_IMAGE_META_PROPERTY_"
_IGNORED = frozenset(("uri", "copy_from", "deleted", "updated_at", "deleted_at"))
_OLDEST_YEAR = 1900
_NAME_LENGTH = 255
_CHECKSUM_LENGTH = 32


@dataclass
class ImageHeaders:
    """What the headers of a POST or PUT say.

    :ivar attributes: attributes of ``Image`` that were sent, validated; an empty header is None
    :ivar properties: custom properties that were sent
    :ivar store: where to write, or None
    :ivar location, copy_from: address of data that lies elsewhere, or None
    :ivar status: as sent; the server decides
    :ivar purge_properties: whether the properties sent replace all others
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, str | None] = field(default_factory=dict)
    store: str | None = None
    location: str | None = None
    copy_from: str | None = None
    status: str | None = None
    purge_properties: bool = True


def parse(request: webob.Request) -> ImageHeaders:
    """Read the image headers of a request.  :raises Invalid: an unknown one, or a bad value"""
    found = ImageHeaders()
    for key, raw in request.environ.items():
        if not key.startswith(_META):
            continue
        value = _text(raw)
        if key.startswith(_PROPERTY):
            if key == _PROPERTY:
                raise exception.Invalid("Bad header: x-image-meta-property- names no property")
            found.properties[key[len(_PROPERTY) :].lower()] = value
            continue
        name = key[len(_META) :].lower()
        if name == "type":  # 2011 clients; its column became a property long ago
            found.properties["type"] = value
        elif name == "store":
            found.store = value
        elif name == "status":
            found.status = value
        elif name == "location":
            found.location = _address(value)
        elif name == "is_public":
            found.attributes["visibility"] = "public" if parse_bool(value or "") else "shared"
        elif name in _READERS:
            found.attributes[name] = _READERS[name](name, value)
        elif name not in _IGNORED:
            raise exception.Invalid(f"Bad header: x-image-meta-{name} is no attribute of an image")
        elif name.endswith("_at"):
            _moment(name, value)
    found.copy_from = _copy_from(request)
    found.purge_properties = parse_bool(request.headers.get("x-glance-registry-purge-props", "true"))
    return found


def _text(raw: str) -> str | None:
    """WSGI hands headers over as latin-1; what clients send is UTF-8."""
    try:
        return raw.encode("latin-1").decode("utf-8") or None
    except UnicodeError:
        raise exception.Invalid("Image headers must be UTF-8") from None


def _address(value: str | None) -> str:
    if not value:
        raise exception.Invalid("x-image-meta-location must not be empty")
    return value


def _copy_from(request: webob.Request) -> str | None:
    raw = request.environ.get("HTTP_X_GLANCE_API_COPY_FROM")
    return None if raw is None else _text(raw) or ""


def _string(limit: int) -> Callable[[str, str | None], str | None]:
    def read(name: str, value: str | None) -> str | None:
        if value is not None and len(value) > limit:
            raise exception.Invalid(f"Image {name} too long: {len(value)}, the limit is {limit}")
        return value

    return read


def _id(name: str, value: str | None) -> str:
    if not is_uuid_like(value):
        raise exception.Invalid("Invalid image id format")
    return value


def _format(name: str, value: str | None) -> str:
    if value is None:
        raise exception.Invalid(f"Invalid {name.replace('_', ' ')} '' for image.")
    return value


def _integer(maximum: int | None = None) -> Callable[[str, str | None], int]:
    def read(name: str, value: str | None) -> int:
        complaint = f"Cannot convert image {name} '{value or ''}' to a non-negative integer"
        if maximum is None:
            return non_negative_int(value or "", complaint)
        return non_negative_int(value or "", complaint, maximum)

    return read


def _virtual_size(name: str, value: str | None) -> int | None:
    return None if value in (None, "None") else _integer()(name, value)


def _boolean(name: str, value: str | None) -> bool:
    return parse_bool(value or "")


def _moment(name: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parse_time(value)
    except ValueError:
        raise exception.Invalid(f"Invalid time '{value}' for {name}; give an ISO 8601 time") from None
    if moment.year < _OLDEST_YEAR:
        raise exception.Invalid(f"Invalid time '{value}' for {name}; the year must be {_OLDEST_YEAR} or later")
    return moment


_READERS: dict[str, Callable[[str, str | None], Any]] = {
    "id": _id,
    "name": _string(_NAME_LENGTH),
    "owner": _string(_NAME_LENGTH),
    "disk_format": _format,
    "container_format": _format,
    "size": _integer(),
    "virtual_size": _virtual_size,
    "checksum": _string(_CHECKSUM_LENGTH),
    "min_disk": _integer(MAX_INT),
    "min_ram": _integer(MAX_INT),
    "protected": _boolean,
    "created_at": _moment,
}
