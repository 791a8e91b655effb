"""The catalog over the registry's REST API, for the v1 API (spec registry.md §1-3, §5).

Any service that speaks that API can be the registry.  What is an addition of our own
registry (a transfer or a quota in a body, ``/transfers``, ``/usage``) is ignored or
answered 404 by another one; the catalog then does without, and says so once.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import quote

from oslo_config import cfg

from glance.common import exception
from glance.common.crypt import LocationCipher
from glance.context import RequestContext
from glance.db.registry import connection
from glance.db.registry.connection import meaning
from glance.images.catalog import Transfer
from glance.images.model import Image, Location, Member

LOG = logging.getLogger(__name__)

_SCALARS = (
    "id", "name", "status", "owner", "size", "virtual_size", "disk_format", "container_format", "min_disk", "min_ram",
    "protected", "checksum", "os_hash_algo", "os_hash_value", "created_at",
)  # fmt: skip
_TIMES = ("created_at", "updated_at", "deleted_at")


class RestCatalog:
    """Implements ``glance.images.catalog.Catalog``; the methods are documented there."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._request = connection.Registry(conf).request
        self._cipher = LocationCipher(conf.metadata_encryption_key)
        self._missing: set[str] = set()

    def after_fork(self) -> None:
        """Nothing: the pool of connections knows its process."""

    # --- images ------------------------------------------------------------------

    def get(self, context: RequestContext, image_id: str) -> Image:
        with meaning(image_id):
            answer = self._request(context, "GET", f"/images/{quote(image_id, safe='')}")
            return self._image(answer["image"])

    def get_deleted(self, context: RequestContext, image_id: str) -> Image:
        image = self.get(context, image_id)
        if not image.deleted:
            raise exception.ImageNotFound(image_id=image_id)
        return image

    def page(self, context: RequestContext, query: dict[str, Any]) -> list[Image]:
        filters = dict(query["filters"])
        params = {f"property-{name}": value for name, value in filters.pop("properties", {}).items()}
        params |= {name: _parameter(value) for name, value in filters.items()}
        params |= {name: query[name] for name in ("marker", "limit", "sort_key", "sort_dir")}
        with meaning():
            answer = self._request(context, "GET", "/images/detail", params=params)
            return [self._image(row) for row in answer["images"]]

    def create(self, context: RequestContext, image: Image, max_count: int | None = None) -> Image:
        row = self._row({name: value for name, value in asdict(image).items() if value not in (None, "")})
        body: dict[str, Any] = {"image": row | {"owner": image.owner or ""}}
        if max_count is not None:
            body["max_count"] = max_count
        with meaning():
            answer = self._request(context, "POST", "/images", body=body)
            return self._image(answer["image"])

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
        body: dict[str, Any] = {"image": self._row(changes), "from_state": from_status}
        if transfer is not None:
            body["transfer"] = transfer
        if max_usage is not None:
            body["max_usage"] = max_usage
        return self._put(context, image_id, body, purge_properties)

    def destroy(
        self,
        context: RequestContext,
        image_id: str,
        *,
        status: str,
        from_status: str | None = None,
        if_match: list[str] | None = None,
    ) -> Image:
        body = {"image": {"status": status}, "from_state": from_status, "destroy": True}
        image = self._put(context, image_id, body, purge=False)
        if not image.deleted:  # a registry that does not know "destroy"
            with meaning(image_id):
                answer = self._request(context, "DELETE", f"/images/{quote(image_id, safe='')}")
                return self._image(answer["image"])
        return image

    def finish_delete(self, context: RequestContext, image_id: str) -> None:
        try:
            self._put(context, image_id, {"image": {"status": "deleted"}, "from_state": "pending_delete"}, purge=False)
        except (exception.NotFound, exception.Conflict):
            LOG.info("Deleted image %s stays in pending_delete until the scrubber sees it", image_id)

    def restore(self, context: RequestContext, image_id: str, status: str) -> None:
        self._put(context, image_id, {"image": {"status": status}, "from_state": "pending_delete"}, purge=False)

    def usage(self, context: RequestContext, owner: str | None) -> int:
        usage = self._addition(
            context, "GET", "/usage", params={"owner": owner or ""}, read=lambda got: int(got["usage"])
        )
        return usage or 0

    # --- members -----------------------------------------------------------------

    def members(self, context: RequestContext, image_id: str) -> list[Member]:
        with meaning(image_id):
            answer = self._request(context, "GET", f"/images/{quote(image_id, safe='')}/members")
            return [Member(row["member_id"], bool(row["can_share"]), image_id) for row in answer["members"]]

    def shared_images(self, context: RequestContext, member: str) -> list[Member]:
        with meaning():
            answer = self._request(context, "GET", f"/shared-images/{quote(member, safe='')}")
            return [Member(member, bool(row["can_share"]), row["image_id"]) for row in answer["shared_images"]]

    def add_member(self, context: RequestContext, image_id: str, member: str, max_count: int | None = None) -> Member:
        raise NotImplementedError("the REST API cannot tell a new member from an old one")

    def set_member_status(self, context: RequestContext, image_id: str, member: str, status: str) -> Member:
        raise NotImplementedError("the REST API knows no states of a membership")

    def set_member(self, context: RequestContext, image_id: str, member: str, can_share: bool | None) -> None:
        body = None if can_share is None else {"member": {"can_share": can_share}}
        with _membership(image_id):
            self._request(context, "PUT", self._member_path(image_id, member), body=body)

    def remove_member(self, context: RequestContext, image_id: str, member: str) -> None:
        with _membership(image_id):
            self._request(context, "DELETE", self._member_path(image_id, member))

    def replace_members(self, context: RequestContext, image_id: str, members: list[dict[str, Any]]) -> None:
        with _membership(image_id):
            path = f"/images/{quote(image_id, safe='')}/members"
            self._request(context, "PUT", path, body={"memberships": members})

    @staticmethod
    def _member_path(image_id: str, member: str) -> str:
        return f"/images/{quote(image_id, safe='')}/members/{quote(member, safe='')}"

    # --- transfers ---------------------------------------------------------------

    def beat(self, context: RequestContext, name: str, image_ids: list[str]) -> None:
        self._addition(context, "PUT", "/transfers", body={"node": name, "images": image_ids})

    def transfers(self, context: RequestContext) -> list[Transfer]:
        found = self._addition(
            context, "GET", "/transfers", read=lambda got: [Transfer(**row) for row in got["transfers"]]
        )
        return found or []

    # --- wire --------------------------------------------------------------------

    def _put(self, context: RequestContext, image_id: str, body: dict[str, Any], purge: bool) -> Image:
        headers = {"X-Glance-Registry-Purge-Props": "true" if purge else "false"}
        try:
            with meaning(image_id):
                path = f"/images/{quote(image_id, safe='')}"
                answer = self._request(context, "PUT", path, body=body, headers=headers)
                return self._image(answer["image"])
        except exception.Duplicate as error:
            raise exception.Conflict(str(error)) from error

    def _addition(
        self, context: RequestContext, method: str, path: str, read: Callable[[Any], Any] | None = None, **kwargs: Any
    ) -> Any:
        """Call what only our own registry has; return what ``read`` makes of it, None from one that has it not."""
        if path in self._missing:
            return None
        try:
            with meaning():
                answer = self._request(context, method, path, **kwargs)
                return read(answer) if read else None
        except exception.NotFound:
            LOG.warning("The registry does not know %s: dead uploads are not found, quotas not counted", path)
            self._missing.add(path)
            return None

    def _row(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The registry's JSON for attributes of ``Image``."""
        row = {name: value for name, value in changes.items() if name in _SCALARS}
        if isinstance(row.get("created_at"), datetime):
            row["created_at"] = row["created_at"].isoformat()
        if "visibility" in changes:
            row["is_public"] = changes["visibility"] == "public"
        if "properties" in changes:
            row["properties"] = changes["properties"]
        if changes.get("locations"):
            row["location_data"] = [self._location_row(location) for location in changes["locations"]]
        return row

    def _location_row(self, location: Location | dict[str, Any]) -> dict[str, Any]:
        row = asdict(location) if isinstance(location, Location) else dict(location)
        row["url"] = self._cipher.encrypt(row["url"])
        if row["id"] is None:
            del row["id"]
        return row

    def _image(self, row: dict[str, Any]) -> Image:
        scalars: dict[str, Any] = {name: row.get(name) for name in _SCALARS if name != "created_at"}
        image = Image(**scalars)
        image.min_disk, image.min_ram = row.get("min_disk") or 0, row.get("min_ram") or 0
        image.protected, image.deleted = bool(row.get("protected")), bool(row.get("deleted"))
        image.visibility = "public" if row.get("is_public") else "shared"
        for name in _TIMES:
            if row.get(name):
                setattr(image, name, datetime.fromisoformat(row[name]).replace(tzinfo=None))
        image.properties = dict(row.get("properties") or {})
        image.locations = [
            Location(self._url(image.id, entry["url"]), entry.get("metadata") or {},
                     entry.get("status", "active"), entry.get("id"))
            for entry in row.get("location_data") or []
        ]  # fmt: skip
        return image

    def _url(self, image_id: str | None, stored: str) -> str:
        try:
            return self._cipher.decrypt(stored)
        except ValueError:
            LOG.error("A location of image %s cannot be decrypted: is metadata_encryption_key the right one?", image_id)
            return stored


def _parameter(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@contextmanager
def _membership(image_id: str) -> Iterator[None]:
    """As ``meaning``, but a refused membership change looks like a missing image."""
    try:
        with meaning(image_id):
            yield
    except exception.Forbidden as error:
        raise exception.ImageNotFound(image_id=image_id) from error
