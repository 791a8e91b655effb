"""Registry REST: images as JSON, both ways (spec registry.md §2, §3.2, §3.3)."""

from datetime import datetime
from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.common.values import MAX_BIGINT, is_uuid_like, non_negative_int, parse_time
from glance.context import RequestContext
from glance.images import formats
from glance.images.model import MAX_INT, STATUSES

_NEW_STATUSES = ("active", "saving", "queued", "killed")
_FORMATLESS = ("queued", "killed")
_INTEGERS = {"size": MAX_BIGINT, "virtual_size": MAX_BIGINT, "min_disk": MAX_INT, "min_ram": MAX_INT}
_STRINGS = {
    "name": 255, "disk_format": 20, "container_format": 20, "checksum": 32, "os_hash_algo": 64, "os_hash_value": 128,
}  # fmt: skip
_MEMBERS_OF_IMAGE = (
    "id", "name", "status", "size", "virtual_size", "disk_format", "container_format", "min_disk", "min_ram",
    "checksum", "owner", "protected", "deleted",
)  # fmt: skip


def image_dict(context: RequestContext, row: dict[str, Any]) -> dict[str, Any]:
    """A database row as the REST API shows it.  A deactivated image has no locations for ordinary users."""
    image = {key: row[key] for key in _MEMBERS_OF_IMAGE}
    image["is_public"] = row["visibility"] == "public"
    for key in ("created_at", "updated_at", "deleted_at"):
        image[key] = row[key] and row[key].isoformat()
    image["properties"] = {entry["name"]: entry["value"] for entry in row["properties"] if not entry["deleted"]}
    hidden = row["status"] == "deactivated" and not context.is_admin
    image["location_data"] = [] if hidden else [
        {key: entry[key] for key in ("id", "url", "metadata", "status")} for entry in row["locations"]
    ]  # fmt: skip
    image["location"] = next((entry["url"] for entry in image["location_data"] if entry["status"] == "active"), None)
    return image


def new_image(conf: cfg.ConfigOpts, context: RequestContext, image: dict[str, Any]) -> dict[str, Any]:
    """Validate the image of a POST; return values for ``image_create``.  :raises Invalid:"""
    values = _common(conf, image)
    if image.get("id") is not None:
        if not is_uuid_like(image["id"]):
            raise exception.Invalid("Invalid image id format")
        values["id"] = image["id"]
    status = image.get("status", "active")
    if status not in _NEW_STATUSES:
        raise exception.Invalid(f"Invalid image status '{status}' for image.")
    values["status"] = status
    disk, container = values.get("disk_format"), values.get("container_format")
    if disk or container:
        formats.pair(disk, container)
    if status not in _FORMATLESS:
        formats.require_both(disk, container)
    owner = image["owner"] if context.is_admin and "owner" in image else context.owner
    values["owner"] = _text("owner", owner, 255) or None
    if image.get("created_at") is not None:
        values["created_at"] = _moment(image["created_at"])
    values.setdefault("is_public", False)
    return values


def changes(conf: cfg.ConfigOpts, context: RequestContext, image: dict[str, Any]) -> dict[str, Any]:
    """Validate the image of a PUT; return values for ``image_update``.  :raises Invalid:"""
    values = _common(conf, image)
    if "status" in image:
        if image["status"] not in STATUSES:
            raise exception.Invalid(f"Invalid image status '{image['status']}' for image.")
        values["status"] = image["status"]
    if context.is_admin and "owner" in image:
        values["owner"] = _text("owner", image["owner"], 255) or None
    return values


def _common(conf: cfg.ConfigOpts, image: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, limit in _STRINGS.items():
        if name in image:
            values[name] = _text(name, image[name], limit)
    for name, maximum in _INTEGERS.items():
        if name in image:
            values[name] = _integer(name, image[name], maximum)
    formats.check(conf, values.get("disk_format"), values.get("container_format"))
    for name in ("is_public", "protected"):
        if name in image:
            values[name] = bool(image[name])
    if "properties" in image:
        values["properties"] = _properties(image["properties"])
    locations = _locations(image)
    if locations is not None:
        values["locations"] = locations
    return values


def _text(name: str, value: Any, limit: int) -> str | None:
    if value is not None and not isinstance(value, str):
        raise exception.Invalid(f"Invalid value for {name}: it must be a string")
    if value is not None and len(value) > limit:
        raise exception.Invalid(f"{name} too long: {len(value)}, the limit is {limit}")
    return value


def _integer(name: str, value: Any, maximum: int) -> int | None:
    if value is None and name.endswith("size"):
        return None
    complaint = f"Invalid value '{value}' for {name}: it must be a number from 0 to {maximum}"
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise exception.Invalid(complaint)
    return non_negative_int(str(value), complaint, maximum)


def _moment(value: Any) -> datetime:
    try:
        return parse_time(str(value))
    except ValueError:
        raise exception.Invalid(f"Invalid time '{value}' for created_at") from None


def _properties(given: Any) -> dict[str, str | None]:
    """An object, or (2011) a list of name and value pairs."""
    if isinstance(given, list):
        if not all(isinstance(entry, dict) and "value" in entry for entry in given):
            raise exception.Invalid("properties must be an object")
        pairs = [(_text("property name", entry.get("name", entry.get("key")), 255), entry["value"]) for entry in given]
        given = dict(pairs)
    if not isinstance(given, dict):
        raise exception.Invalid("properties must be an object")
    for name, value in given.items():
        _text("property name", name, 255)
        if not name:
            raise exception.Invalid("A property needs a name")
        if isinstance(value, dict | list):
            raise exception.Invalid(f"Invalid value for property '{name}': it must be a string")
    return {name: value if value is None or isinstance(value, str) else str(value) for name, value in given.items()}


def _locations(image: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The union by url of ``location``, ``location_data`` and ``locations``, in order; None if none is sent."""
    if not {"location", "location_data", "locations"} & image.keys():
        return None
    data, urls = image.get("location_data") or [], image.get("locations") or []
    if not isinstance(data, list) or not isinstance(urls, list):
        raise exception.Invalid("location_data and locations must be lists")
    entries = [*data, *({"url": url} for url in [*urls, *([image["location"]] if image.get("location") else [])])]
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str) or not entry["url"]:
            raise exception.Invalid("Each location needs a url")
        if not isinstance(entry.get("metadata") or {}, dict):
            raise exception.Invalid("The metadata of a location must be an object")
        location = {"url": entry["url"], "metadata": entry.get("metadata") or {}}
        location["status"] = entry.get("status") or "active"
        if isinstance(entry.get("id"), int):
            location["id"] = entry["id"]
        found.setdefault(entry["url"], location)
    return list(found.values())
