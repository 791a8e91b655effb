"""Images and members as the v2 API shows them (spec v2-images.md §4, §10)."""

from collections.abc import Container
from datetime import datetime
from typing import Any

from glance.common import exception
from glance.context import RequestContext
from glance.images.download import located
from glance.images.model import Image, Member
from glance.images.service import Service

_UNSEEN = frozenset(("os_glance_stage_host", "os_glance_hash_op_host"))


class ImageView:
    """Turns images into JSON objects.

    :param typed: names of properties that the schema gives a type of their own: null stays null
    """

    def __init__(self, service: Service, typed: Container[str]) -> None:
        conf = service.conf
        self._service = service
        self._policy = service.policy
        self._typed = typed
        self._only_typed = not conf.allow_additional_image_properties
        self._direct_url = conf.show_image_direct_url
        self._locations = conf.show_multiple_locations

    def __call__(self, context: RequestContext, image: Image) -> dict[str, Any]:
        """The object for one image, whose properties are those that the caller may read."""
        shown: dict[str, Any] = {
            name: value if value is not None or name in self._typed else ""
            for name, value in image.properties.items()
            if name not in _UNSEEN and (not self._only_typed or name in self._typed)
        }
        shown.update(
            name=image.name,
            disk_format=image.disk_format,
            container_format=image.container_format,
            visibility=image.visibility,
            size=image.size,
            virtual_size=image.virtual_size,
            status=image.status,
            checksum=image.checksum,
            protected=image.protected,
            min_ram=image.min_ram,
            min_disk=image.min_disk,
            owner=image.owner,
            os_hidden=image.os_hidden,
            os_hash_algo=image.os_hash_algo,
            os_hash_value=image.os_hash_value,
            id=image.id,
            created_at=time_text(image.created_at),
            updated_at=time_text(image.updated_at),
            tags=image.tags,
            self=f"/v2/images/{image.id}",
            file=f"/v2/images/{image.id}/file",
            schema="/v2/schemas/image",
        )
        if self._direct_url or self._locations:
            self._show_locations(context, image, shown)
        if self._service.stores.several and (locations := located(self._service, image)):
            shown["stores"] = ",".join(entry.store or self._store(entry.url) for entry in locations)
        return shown

    def _store(self, url: str) -> str:
        try:
            return self._service.stores.place(url).store
        except exception.GlanceException:
            return "unknown"

    def _show_locations(self, context: RequestContext, image: Image, shown: dict[str, Any]) -> None:
        target = self._policy.image_target(context, image)
        locations = located(self._service, image) if self._policy.check(context, "get_image_location", target) else []
        if self._locations:
            shown["locations"] = [{"url": entry.url, "metadata": entry.metadata} for entry in locations]
        if self._direct_url and locations:
            shown["direct_url"] = locations[0].url


def member(entry: Member) -> dict[str, Any]:
    """The object for one membership."""
    return {
        "member_id": entry.member_id,
        "image_id": entry.image_id,
        "status": entry.status,
        "created_at": time_text(entry.created_at),
        "updated_at": time_text(entry.updated_at),
        "schema": "/v2/schemas/member",
    }


def time_text(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, without fractions of a second."""
    return None if moment is None else moment.isoformat(timespec="seconds") + "Z"
