"""The catalog over a data-access module: where the v2 API finds image metadata.

``data_api`` names the module: ``glance.db.sqlalchemy.api`` goes straight to the
database, ``glance.db.registry.api`` asks the registry.  Location URLs are encrypted
here, so that neither sees one in the clear (registry.md §5).
"""

import importlib
import logging
from dataclasses import asdict
from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.common.crypt import LocationCipher
from glance.context import RequestContext
from glance.images.catalog import Transfer
from glance.images.model import Image, Location, Member

LOG = logging.getLogger(__name__)

_COLUMNS = (
    "id", "name", "status", "visibility", "owner", "size", "virtual_size", "disk_format", "container_format",
    "min_disk", "min_ram", "protected", "checksum", "os_hidden", "os_hash_algo", "os_hash_value",
    "created_at", "updated_at", "deleted_at", "deleted",
)  # fmt: skip
_NOT_FOR_THE_TABLES = ("id", "created_at", "updated_at", "deleted_at", "deleted", "etag")
_DETAIL = "live"


class DataCatalog:
    """Implements ``glance.images.catalog.Catalog``; the methods are documented there.

    Deleted images are nobody's, not even an administrator's (v2-images.md §2).
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._data: Any = importlib.import_module(conf.data_api)
        self._data.configure(conf)
        self._cipher = LocationCipher(conf.metadata_encryption_key)

    def after_fork(self) -> None:
        self._data.dispose_after_fork()

    # --- images ------------------------------------------------------------------

    def get(self, context: RequestContext, image_id: str) -> Image:
        row = self._data.image_get(context, image_id, detail=_DETAIL, return_tag=True)
        if row["deleted"]:
            raise exception.ImageNotFound(image_id=image_id)
        return self._image(row)

    def get_deleted(self, context: RequestContext, image_id: str) -> Image:
        row = self._data.image_get(context, image_id, force_show_deleted=True, return_tag=True)
        if not row["deleted"]:
            raise exception.ImageNotFound(image_id=image_id)
        return self._image(row)

    def page(self, context: RequestContext, query: dict[str, Any]) -> list[Image]:
        rows = self._data.image_get_all(context, detail=_DETAIL, return_tag=True, **query)
        return [self._image(row) for row in rows]

    def create(self, context: RequestContext, image: Image, max_count: int | None = None) -> Image:
        values = {name: value for name, value in asdict(image).items() if name not in _NOT_FOR_THE_TABLES}
        if image.id:
            values["id"] = image.id
        values["locations"] = self._location_rows(image.locations)
        return self._image(self._data.image_create(context, values, max_count=max_count, return_tag=True))

    def update(
        self,
        context: RequestContext,
        image_id: str,
        changes: dict[str, Any],
        *,
        from_status: str | None = None,
        purge_properties: bool = False,
        transfer: str | None = None,
        max_usage: int | None = None,
        if_match: list[str] | None = None,
    ) -> Image:
        values = dict(changes)
        for name in ("locations", "change_locations"):
            if name in values:
                values[name] = self._location_rows(values[name])
        row = self._data.image_update(
            context, image_id, values, purge_props=purge_properties, from_state=from_status, transfer=transfer,
            max_usage=max_usage, if_match=if_match, return_tag=True,
        )  # fmt: skip
        return self._image(row)

    def destroy(
        self,
        context: RequestContext,
        image_id: str,
        *,
        status: str,
        from_status: str | None = None,
        if_match: list[str] | None = None,
    ) -> Image:
        row = self._data.image_destroy(context, image_id, status=status, from_state=from_status, if_match=if_match)
        return self._image(row)

    def finish_delete(self, context: RequestContext, image_id: str) -> None:
        try:
            self._data.image_finish_delete(context, image_id)
        except (exception.NotFound, exception.Conflict):
            LOG.info("Deleted image %s stays in pending_delete until the scrubber sees it", image_id)

    def restore(self, context: RequestContext, image_id: str, status: str) -> None:
        self._data.image_restore(context, image_id, status)

    def usage(self, context: RequestContext, owner: str | None) -> int:
        return self._data.user_get_storage_usage(context, owner)

    # --- members -----------------------------------------------------------------

    def members(self, context: RequestContext, image_id: str) -> list[Member]:
        return [_member(row) for row in self._data.image_member_find(context, image_id=image_id)]

    def shared_images(self, context: RequestContext, member: str) -> list[Member]:
        return [_member(row) for row in self._data.image_member_find(context, member=member)]

    def add_member(self, context: RequestContext, image_id: str, member: str, max_count: int | None = None) -> Member:
        values = {"image_id": image_id, "member": member}
        return _member(self._data.image_member_create(context, values, max_count=max_count))

    def set_member_status(self, context: RequestContext, image_id: str, member: str, status: str) -> Member:
        row = self._membership(context, image_id, member)
        return _member(self._data.image_member_update(context, row["id"], {"status": status}))

    def set_member(self, context: RequestContext, image_id: str, member: str, can_share: bool | None) -> None:
        self._data.image_member_save(context, image_id, member, can_share)

    def remove_member(self, context: RequestContext, image_id: str, member: str) -> None:
        self._data.image_member_delete(context, self._membership(context, image_id, member)["id"])

    def replace_members(self, context: RequestContext, image_id: str, members: list[dict[str, Any]]) -> None:
        rows = [{"member": entry["member_id"], "can_share": entry.get("can_share")} for entry in members]
        self._data.image_member_replace(context, image_id, rows)

    def _membership(self, context: RequestContext, image_id: str, member: str) -> dict[str, Any]:
        rows = self._data.image_member_find(context, image_id=image_id, member=member)
        if not rows:
            raise exception.MemberNotFound(member=member)
        return rows[0]

    # --- transfers ---------------------------------------------------------------

    def beat(self, context: RequestContext, name: str, image_ids: list[str]) -> None:
        self._data.transfers_beat(context, name, image_ids)

    def transfers(self, context: RequestContext) -> list[Transfer]:
        return [Transfer(**row) for row in self._data.transfers_get_all(context)]

    # --- rows --------------------------------------------------------------------

    def _location_rows(self, locations: list[Location]) -> list[dict[str, Any]]:
        rows = [location if isinstance(location, dict) else asdict(location) for location in locations]
        return [{**row, "url": self._cipher.encrypt(row["url"])} for row in rows]

    def _image(self, row: dict[str, Any]) -> Image:
        image = Image(*(row[name] for name in _COLUMNS))
        image.properties = {entry["name"]: entry["value"] for entry in row["properties"] if not entry["deleted"]}
        image.tags = row.get("tags") or []
        image.etag = row.get("etag")
        image.locations = [
            Location(self._url(image.id, entry["url"]), entry["metadata"], entry["status"], entry["id"])
            for entry in row["locations"]
        ]
        return image

    def _url(self, image_id: str, stored: str) -> str:
        try:
            return self._cipher.decrypt(stored)
        except ValueError:
            LOG.error("A location of image %s cannot be decrypted: is metadata_encryption_key the right one?", image_id)
            return stored


def _member(row: dict[str, Any]) -> Member:
    return Member(
        row["member"], bool(row["can_share"]), row["image_id"], row["status"], row["created_at"], row["updated_at"]
    )
