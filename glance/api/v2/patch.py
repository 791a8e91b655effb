"""Reading the body of a PATCH: two dialects of JSON patch (spec v2-images.md §6, §6.1)."""

import re
from collections.abc import Callable
from typing import Any

from glance.common import exception
from glance.images.editing import Change

CONTENT_TYPES = ("application/openstack-images-v2.0-json-patch", "application/openstack-images-v2.1-json-patch")
_OPS = ("add", "remove", "replace")
_BAD_ESCAPE = re.compile("~(?![01])")
_DEPTHS = {"add": 2, "remove": 2, "replace": 1}
"""How long the path of a change of locations is."""


def parse(content_type: str, body: Any) -> list[Change]:
    """Read the changes of a body.

    :param content_type: one of ``CONTENT_TYPES``
    :raises Invalid: the syntax is wrong
    """
    if not isinstance(body, list):
        raise exception.Invalid("The request body must be a JSON array of operation objects.")
    read: Callable[[dict[str, Any]], Change] = _read_old if content_type == CONTENT_TYPES[0] else _read
    changes = []
    for entry in body:
        if not isinstance(entry, dict):
            raise exception.Invalid("Operations must be JSON objects.")
        changes.append(read(entry))
    return changes


def _read(entry: dict[str, Any]) -> Change:
    """``{"op": …, "path": …, "value": …}``"""
    op = entry.get("op")
    if not isinstance(op, str) or op not in _OPS:
        raise exception.Invalid(f"Operations must have an op, one of {', '.join(_OPS)}.")
    return _change(op, entry.get("path"), entry)


def _read_old(entry: dict[str, Any]) -> Change:
    """``{"add": "/path", "value": …}``"""
    ops = [op for op in _OPS if op in entry]
    if len(ops) != 1:
        raise exception.Invalid(f"Operation objects must contain exactly one of {', '.join(_OPS)}.")
    return _change(ops[0], entry[ops[0]], entry, only_new=True)


def _change(op: Any, path: Any, entry: dict[str, Any], only_new: bool = False) -> Change:
    tokens = _tokens(path)
    if len(tokens) != (_DEPTHS[op] if tokens[0] == "locations" else 1):
        raise exception.Invalid(f"Invalid JSON pointer for this resource: '{path}'")
    if op != "remove" and "value" not in entry:
        raise exception.Invalid(f"Operation '{op}' of '{path}' needs a value.")
    return Change(op, tokens, None if op == "remove" else entry["value"], only_new)


def _tokens(path: Any) -> tuple[str, ...]:
    if not isinstance(path, str) or not path.startswith("/"):
        raise exception.Invalid("Operations must have a path, a JSON pointer that starts with '/'.")
    if _BAD_ESCAPE.search(path):
        raise exception.Invalid(f"Malformed JSON pointer '{path}'.")
    tokens = tuple(token.replace("~1", "/").replace("~0", "~").strip() for token in path[1:].split("/"))
    if not all(tokens):
        raise exception.Invalid(f"Malformed JSON pointer '{path}'.")
    return tokens
