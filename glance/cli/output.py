"""What the commands print (spec cli-and-client.md §3)."""

from collections.abc import Mapping
from typing import Any

from glance.client.http import Origin
from glance.common.redact import one_line

_COLUMNS = (
    ("ID", "id", 36, "<"),
    ("Name", "name", 30, "<"),
    ("Disk Format", "disk_format", 20, "<"),
    ("Container Format", "container_format", 20, "<"),
    ("Size", "size", 14, ">"),
)
RULE = "=" * 80


def index_header() -> str:
    """The two lines above the rows of ``index``."""
    titles = " ".join(f"{title:<{width}}" for title, _, width, _ in _COLUMNS)
    return f"{titles}\n{' '.join('-' * width for _, _, width, _ in _COLUMNS)}"


def index_row(image: Mapping[str, Any]) -> str:
    """One image as a row of ``index``; what is too wide is cut off."""
    return " ".join(f"{one_line(str(image.get(key)))[:width]:{side}{width}}" for _, key, width, side in _COLUMNS)


def metadata_listing(meta: Mapping[str, Any]) -> str:
    """``key => value`` lines, sorted, keys right-aligned to column 31."""
    return "\n".join(f" {key:>30} => {one_line(str(value))}" for key, value in sorted(meta.items()))


def image_block(origin: Origin, image: Mapping[str, Any]) -> str:
    """The lines of ``show``."""
    rows = [
        f"URI: {_uri(origin, image['id'])}",
        f"Id: {image['id']}",
        f"Public? {_yes(image.get('is_public'))}",
        f"Protected: {_yes(image.get('protected'))}",
        f"Name: {image.get('name')}",
        f"Status: {image.get('status')}",
        f"Size: {image.get('size')}",
    ]
    if image.get("location"):
        rows.append(f"Location: {image['location']}")
    rows += [
        f"Disk format: {image.get('disk_format')}",
        f"Container format: {image.get('container_format')}",
        f"Minimum Ram Required (MB): {image.get('min_ram')}",
        f"Minimum Disk Required (GB): {image.get('min_disk')}",
    ]
    for title, key in (("Owner", "owner"), ("Created at", "created_at"), ("Updated at", "updated_at")):
        if image.get(key):
            rows.append(f"{title}: {image[key]}")
    rows += [f"Property '{key}': {value}" for key, value in sorted((image.get("properties") or {}).items())]
    return "\n".join(map(one_line, rows))


def member_listing(names_key: str, memberships: list[dict[str, Any]]) -> str:
    """One line per membership, marked when it may be shared further."""
    lines = [f"{one_line(entry[names_key])}{' *' if entry['can_share'] else ''}" for entry in memberships]
    if any(entry["can_share"] for entry in memberships):
        lines += ["", "(*: Can share image)"]
    return "\n".join(lines)


def _uri(origin: Origin, image_id: str) -> str:
    if origin.port in (80, 443):
        return f"{str(origin).rpartition(':')[0]}/images/{image_id}"
    return f"{origin}/v1/images/{image_id}"


def _yes(value: object) -> str:
    return "Yes" if value else "No"
