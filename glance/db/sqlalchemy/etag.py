"""A digest of all that is stored about an image (spec v2-images.md §6.2a)."""

import hashlib
import json
from typing import Any

_BY_THE_CLOCK = ("updated_at",)
"""Columns that say less than the others: two changes may fall into one second."""


def etag(image: dict[str, Any]) -> str:
    """32 hex digits that differ whenever a stored attribute, property, tag or location does.

    :param image: the row with all its children, tags included, before any is hidden from the caller
    """
    columns = {
        name: value
        for name, value in image.items()
        if name not in ("properties", "locations", "tags", "etag", *_BY_THE_CLOCK)
    }
    content = [
        columns,
        {row["name"]: row["value"] for row in image["properties"] if not row["deleted"]},
        [(entry["url"], entry["metadata"]) for entry in image["locations"] if entry["status"] == "active"],
        sorted(image["tags"]),
    ]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
