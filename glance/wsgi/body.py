"""Reading the JSON body of a request, bounded."""

import json
from collections.abc import Callable
from typing import Any

import webob

from glance.common import exception

MAX_JSON = 1024 * 1024
"""Bytes of the largest JSON body that is read."""


def read_json(
    request: webob.Request, maximum: int = MAX_JSON, object_hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Return the parsed body, or None if the request has none.

    :param object_hook: as for ``json.loads``
    :raises Invalid: not JSON in UTF-8, or nested too deeply
    :raises LimitExceeded: longer than ``maximum`` bytes
    """
    if (request.content_length or 0) > maximum:
        raise exception.LimitExceeded(f"The request body must not exceed {maximum} bytes.")
    raw = request.body_file.read(maximum + 1)
    if len(raw) > maximum:
        raise exception.LimitExceeded(f"The request body must not exceed {maximum} bytes.")
    if not raw:
        return None
    try:
        return json.loads(raw, object_hook=object_hook)
    except (ValueError, RecursionError):
        raise exception.Invalid("Malformed JSON in request body.") from None
