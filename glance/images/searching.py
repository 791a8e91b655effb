"""The list query of the v2 API (spec v2-images.md §5)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.common.values import MAX_BIGINT, parse_time
from glance.context import RequestContext
from glance.images import lifecycle
from glance.images.model import VISIBILITIES, Image
from glance.images.service import Service

SORT_KEYS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
MEMBER_STATUSES = ("pending", "accepted", "rejected", "all")
_DIRECTIONS = ("asc", "desc")
_LISTS = frozenset(("name", "id", "status", "container_format", "disk_format"))
_TEXTS = frozenset(("owner", "checksum", "os_hash_value", "os_hash_algo"))
_TIMES = frozenset(("created_at", "updated_at"))
_NUMBERS = frozenset(("size", "virtual_size", "min_ram", "min_disk"))
_BOUNDS = frozenset(f"{name}_{bound}" for name in ("size", "min_ram", "min_disk") for bound in ("min", "max"))
_NO_FILTERS = frozenset(("limit", "marker", "sort", "sort_key", "sort_dir", "member_status"))
_REFUSED = frozenset(("properties", "locations", "members", "tags", "changes-since", "deleted", "deleted_at"))
_OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")
_OPERATOR = re.compile(r"([A-Za-z_]+):")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of images.

    :ivar marker: where the next page begins, None if there may be none
    """

    images: list[Image]
    marker: str | None


def search(service: Service, context: RequestContext, query: dict[str, Any]) -> Page:
    """Return a page of the images that the caller may list; those that policy get_image hides are left out."""
    found = lifecycle.page(service, context, query)
    full = query["limit"] and len(found) == query["limit"]
    policy = service.policy
    seen = [image for image in found if policy.check(context, "get_image", policy.image_target(context, image))]
    return Page(seen, found[-1].id if full else None)


def parse_query(params: Iterable[tuple[str, str]], conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Validate the query parameters of a list; the last of a repeated one counts, but every tag and sort key does.

    :returns: ``filters``, ``marker``, ``limit``, ``sort_key``, ``sort_dir``, ``member_status`` as
        ``glance.images.catalog.Catalog.page`` takes them
    :raises Invalid: a value is malformed
    """
    params = list(params)
    given = dict(params)
    keys, directions = _order(params, given)
    member_status = given.get("member_status", "accepted")
    if member_status not in MEMBER_STATUSES:
        raise exception.Invalid(f"Invalid member_status '{member_status}': it is one of {', '.join(MEMBER_STATUSES)}.")
    return {
        "filters": _filters(params, given),
        "marker": given.get("marker"),
        "limit": _limit(given.get("limit"), conf),
        "sort_key": keys,
        "sort_dir": directions,
        "member_status": member_status,
    }


def _limit(text: str | None, conf: cfg.ConfigOpts) -> int:
    limit = conf.limit_param_default if text is None else _integer("limit", text)
    if limit < 0:
        raise exception.Invalid("limit must not be negative.")
    return min(limit, conf.api_limit_max)


# --- order -----------------------------------------------------------------------


def _order(params: list[tuple[str, str]], given: dict[str, str]) -> tuple[list[str], list[str]]:
    """Sort keys, and a direction for each or one for all."""
    if "sort" in given:
        if "sort_key" in given or "sort_dir" in given:
            raise exception.Invalid(
                "Old and new sorting syntax cannot be combined: give sort, or sort_key and sort_dir."
            )
        pairs = [entry.strip().partition(":") for entry in given["sort"].split(",")]
        keys = [key.strip() for key, _, _ in pairs]
        directions = [direction.strip() or "desc" if colon else "desc" for _, colon, direction in pairs]
    else:
        keys = [value.strip() for name, value in params if name == "sort_key"] or ["created_at"]
        directions = [value.strip() for name, value in params if name == "sort_dir"] or ["desc"]
        if len(directions) not in (1, len(keys)):  # one holds for all, and for what decides between equals
            raise exception.Invalid("The number of sort_dir differs from the number of sort_key.")
    for key in keys:
        if key not in SORT_KEYS:
            raise exception.InvalidSortKey(f"Invalid sort key '{key}': it is one of {', '.join(SORT_KEYS)}.")
    for direction in directions:
        if direction not in _DIRECTIONS:
            raise exception.Invalid(f"Invalid sort direction '{direction}': it is asc or desc.")
    return keys, directions


# --- filters ---------------------------------------------------------------------


def _filters(params: list[tuple[str, str]], given: dict[str, str]) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    properties = {}
    for name, text in given.items():
        if name in _NO_FILTERS:
            continue
        if name in _REFUSED:
            raise exception.Invalid(f"'{name}' is not a filter.")
        if name == "tag":
            filters["tags"] = [value.strip() for key, value in params if key == "tag"]
        elif name == "visibility":
            if text not in (*VISIBILITIES, "all"):
                raise exception.Invalid(f"Invalid visibility '{text}': it is all or one of {', '.join(VISIBILITIES)}.")
            filters[name] = text
        elif name in _LISTS:
            filters[name] = _any_of(name, text)
        elif name in _TEXTS:
            filters[name] = text
        elif name in _TIMES:
            filters[name] = [_comparison(name, value) for key, value in params if key == name]
        elif name in _NUMBERS or name in _BOUNDS:
            filters[name] = _integer(name, text)
        elif name in ("protected", "os_hidden"):
            filters[name] = _boolean(name, text)
        elif name.endswith(("_min", "_max")):
            raise exception.Invalid(f"'{name}' is not a filter: no number of an image has that name.")
        else:
            properties[name] = text
    if properties:
        filters["properties"] = properties
    return filters


def _integer(name: str, text: str) -> int:
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise exception.Invalid(f"{name} must be an integer, not '{text}'.")
    return max(-1, min(int(text), MAX_BIGINT)) if len(digits) < 20 else (-1 if text.strip()[0] == "-" else MAX_BIGINT)


def _boolean(name: str, text: str) -> bool:
    value = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise exception.Invalid(f"{name} must be true or false, not '{text}'.")
    return value


def _comparison(name: str, text: str) -> list[str | datetime]:
    """Operator and time of ``[op:]time``."""
    match = _OPERATOR.match(text)
    operator, rest = (match[1], text[match.end() :]) if match else ("eq", text)
    if operator not in _OPERATORS:
        raise exception.Invalid(f"Invalid operator '{operator}' of {name}: it is one of {', '.join(_OPERATORS)}.")
    try:
        return [operator, parse_time(rest)]
    except ValueError:
        raise exception.Invalid(f"Invalid time '{rest}' of {name}: give ISO 8601.") from None


def _any_of(name: str, text: str) -> str | list[str]:
    """A plain value, ``eq:value``, or the values of ``in:value,"value, with comma"``."""
    match = _OPERATOR.match(text)
    if match is None:
        return text
    operator, rest = match[1], text[match.end() :]
    if operator == "eq":
        return rest
    if operator != "in":
        raise exception.Invalid(f"Unable to filter {name} by the operator '{operator}': it is in or eq.")
    return split_values(rest)


_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",]*)', re.DOTALL)


def split_values(text: str) -> list[str]:
    """Split at commas that are not within quotes; ``\\\\"`` is a quote within them.

    :raises Invalid: a quote without its partner, or without a comma beside it
    """
    values = []
    position = 0
    while True:
        match = _VALUE.match(text, position)
        assert match is not None  # both sides match nothing, too
        quoted, plain = match.groups()
        values.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else plain)
        position = match.end()
        if position == len(text):
            return values
        if text[position] != ",":
            raise exception.Invalid("Unbalanced quotes, or no comma beside one, in the values of a filter.")
        position += 1
