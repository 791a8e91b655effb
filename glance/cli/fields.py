"""``field=value`` arguments and what they mean for a command (spec cli-and-client.md §2)."""

from collections.abc import Iterable
from typing import Any

from glance.cli.errors import Failure
from glance.common.values import parse_bool

_URI_FIELDS = frozenset({"location", "copy_from"})  # their values may hold further equals signs
_FLAGS = frozenset({"is_public", "protected"})
_FILTERS = frozenset(
    ("name", "disk_format", "container_format", "status", "min_ram", "min_disk", "size_min", "size_max")
)
_SHARED_CORE = frozenset(
    ("name", "disk_format", "container_format", "min_disk", "min_ram", "owner", "is_public", "protected", "location")
)
_ADD_CORE = _SHARED_CORE | {"id", "checksum"}
_NOT_SETTABLE = ("status", "size")
_NOT_MODIFIABLE = ("created_on", "deleted_on", "deleted", "updated_on", "size", "status")


def parse(arguments: Iterable[str]) -> dict[str, str]:
    """Return the fields by their normal name (lower case, underscores); the last of two equal names wins.

    :raises Failure: an argument is not ``field=value``
    """
    fields = {}
    for argument in arguments:
        name, equals, value = argument.strip(",").partition("=")
        name = name.lower().replace("-", "_")
        if not equals or not name or ("=" in value and name not in _URI_FIELDS):
            raise Failure(f"Arguments should be in the form of field=value. You specified {argument}.")
        fields[name] = value
    return fields


def filters(fields: dict[str, str]) -> dict[str, str]:
    """Return the query of a list: known filters as they are, everything else as a property."""
    query = {}
    for name, value in fields.items():
        if name == "changes_since":
            query["changes-since"] = value
        else:
            query[name if name in _FILTERS else f"property-{name}"] = value
    return query


def new_image(fields: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the metadata of an image to add, defaults included, and further request headers.

    :raises Failure: there is no name
    """
    if not fields.get("name"):
        raise Failure("Please specify a name for the image using name=VALUE")
    fields = _without(fields, _NOT_SETTABLE, "non-settable")
    defaults = {"disk_format": "raw", "container_format": "ovf", "is_public": "False"}
    return _split({**defaults, **fields}, _ADD_CORE)


def changes(fields: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the metadata to change and further request headers."""
    return _split(_without(fields, _NOT_MODIFIABLE, "non-modifiable"), _SHARED_CORE)


def _without(fields: dict[str, str], names: Iterable[str], kind: str) -> dict[str, str]:
    for name in names:
        if name in fields:
            print(f"Found {kind} field {name}. Removing.")
    return {name: value for name, value in fields.items() if name not in names}


def _split(fields: dict[str, str], core: frozenset[str]) -> tuple[dict[str, Any], dict[str, str]]:
    meta: dict[str, Any] = {}
    properties: dict[str, str] = {}
    features: dict[str, str] = {}
    for name, value in fields.items():
        if name == "copy_from":
            features["x-glance-api-copy-from"] = value
        elif name in _FLAGS:
            meta[name] = parse_bool(value)
        elif name in core:
            meta[name] = value
        else:
            properties[name] = value
    meta["properties"] = properties
    return meta, features
