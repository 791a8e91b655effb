"""An image as the v1 API, its registry and notifications show it (spec v1-api.md §4.1, §4.2).

Locations are no part of it: they never leave the service.
"""

from typing import Any

from glance.images.model import Image


def image_dict(image: Image) -> dict[str, Any]:
    """The JSON form; times are ISO 8601 without a zone, a size that is unknown is 0."""
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size or 0,
        "virtual_size": image.virtual_size,
        "checksum": image.checksum,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "owner": image.owner,
        "is_public": image.is_public,
        "protected": image.protected,
        "deleted": image.deleted,
        "created_at": image.created_at and image.created_at.isoformat(),
        "updated_at": image.updated_at and image.updated_at.isoformat(),
        "deleted_at": image.deleted_at and image.deleted_at.isoformat(),
        "properties": image.properties,
    }


def image_headers(image: dict[str, Any]) -> list[tuple[str, str]]:
    """The header form of the JSON form, null values left out."""
    headers = [
        (f"x-image-meta-{key}", header_text(value))
        for key, value in image.items()
        if value is not None and key != "properties"
    ]
    headers += [
        (f"x-image-meta-property-{header_text(key)}", header_text(value))
        for key, value in image["properties"].items()
        if value is not None
    ]
    if image["checksum"]:
        headers.append(("ETag", header_text(image["checksum"])))
    return headers


_CONTROLS = dict.fromkeys([*range(32), 127], " ")


def header_text(value: object) -> str:
    """Header text as WSGI wants it; a line break in a stored value must not start a new header."""
    return str(value).translate(_CONTROLS).encode("utf-8").decode("latin-1")
