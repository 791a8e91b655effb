"""The list query of the v1 API and of the registry's REST API (spec v1-api.md §5.2, registry.md §3.1)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.common.values import is_uuid_like, non_negative_int, parse_bool, parse_time
from glance.context import RequestContext

SORT_KEYS = ("id", "name", "status", "disk_format", "container_format", "size", "created_at", "updated_at")
_EXACT = ("name", "status", "container_format", "disk_format")
_TRUE_FALSE = {"true": True, "1": True, "false": False, "0": False}
_NO_SUCH_VALUE = -1
"""A min_disk that no image has: a value that is no number matches nothing."""


def parse_query(
    params: Iterable[tuple[str, str]], context: RequestContext, conf: cfg.ConfigOpts, *, registry: bool = False
) -> dict[str, Any]:
    """Validate the query parameters of a list; unknown ones are ignored, the last of a repeated one counts.

    :param registry: also accept ``deleted``, which only the registry has
    :returns: ``filters``, ``marker``, ``limit``, ``sort_key``, ``sort_dir`` as
        ``glance.images.catalog.Catalog.page`` takes them
    :raises Invalid: a value is malformed
    """
    given = dict(params)
    filters: dict[str, Any] = {key: given[key] for key in _EXACT if key in given}
    for key in ("size_min", "size_max", "min_ram"):
        if key in given:
            filters[key] = non_negative_int(given[key], f"Unable to filter on {key}: '{given[key]}' is no size")
    if "min_disk" in given:
        text = given["min_disk"]
        filters["min_disk"] = int(text) if text.isascii() and text.isdigit() else _NO_SUCH_VALUE
    if "protected" in given:
        if given["protected"].lower() not in _TRUE_FALSE:
            raise exception.Invalid(f"protected must be True or False, not '{given['protected']}'")
        filters["protected"] = _TRUE_FALSE[given["protected"].lower()]
    if "changes-since" in given:
        filters["changes-since"] = _changes_since(given["changes-since"])
    is_public = _is_public(given.get("is_public", "true"))
    if context.is_admin:
        filters["is_public"] = is_public
        if registry and "deleted" in given:
            filters["deleted"] = parse_bool(given["deleted"])
    properties = {key.removeprefix("property-"): value for key, value in given.items() if key.startswith("property-")}
    if properties:
        filters["properties"] = properties
    return {
        "filters": filters,
        "marker": _marker(given.get("marker")),
        "limit": _limit(given.get("limit"), conf),
        "sort_key": _choice(given, "sort_key", SORT_KEYS, "created_at"),
        "sort_dir": _choice(given, "sort_dir", ("asc", "desc"), "desc"),
    }


def _changes_since(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise exception.Invalid(f"Unrecognized changes-since value '{text}'; give an ISO 8601 time") from None


def _is_public(text: str) -> bool | None:
    if text.lower() == "none":
        return None
    if text.lower() not in _TRUE_FALSE:
        raise exception.Invalid(f"is_public must be None, True, or False, not '{text}'")
    return _TRUE_FALSE[text.lower()]


def _marker(text: str | None) -> str | None:
    if text is None:
        return None
    if not is_uuid_like(text):
        raise exception.Invalid("Invalid marker format: it must be the id of an image")
    return text


def _limit(text: str | None, conf: cfg.ConfigOpts) -> int:
    if text is None:
        return min(conf.limit_param_default, conf.api_limit_max)
    return min(non_negative_int(text, "limit param must be a non-negative integer"), conf.api_limit_max)


def _choice(given: dict[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = given.get(name, default)
    if value not in choices:
        raise exception.Invalid(f"Unsupported {name} '{value}'. Acceptable values: {', '.join(choices)}")
    return value
