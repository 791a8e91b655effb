"""The image as the rules see it (spec database.md §1, §4.1)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STATUSES = (
    "queued", "saving", "uploading", "importing", "active", "deactivated", "killed", "deleted", "pending_delete",
)  # fmt: skip
VISIBILITIES = ("public", "community", "shared", "private")
MAX_INT = 2**31 - 1
"""Largest min_disk and min_ram: the columns are 32 bits wide."""


@dataclass(slots=True)
class Location:
    """Where the data of an image lies.  ``url`` may hold credentials: never show or log it."""

    url: str
    metadata: dict[str, Any] = field(default_factory=dict)
    status: str = "active"
    id: int | None = None

    @property
    def store(self) -> str | None:
        """Name of the store that it is in, if that is known; ``backend`` is what 2018 called it."""
        return self.metadata.get("store") or self.metadata.get("backend")


@dataclass(slots=True)
class Member:
    """A tenant that may use an image it does not own."""

    member_id: str
    can_share: bool = False
    image_id: str | None = None
    status: str = "pending"
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(slots=True)
class Image:
    """One image record.  Times are naive UTC; sizes are bytes, None while unknown.

    :ivar id: '' until the catalog has given it one
    :ivar etag: digest over all that is stored of it, None where nobody asked (v2-images.md §6.2a)
    """

    id: str = ""
    name: str | None = None
    status: str = "queued"
    visibility: str = "shared"
    owner: str | None = None
    size: int | None = None
    virtual_size: int | None = None
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    checksum: str | None = None
    os_hidden: bool = False
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    deleted: bool = False
    properties: dict[str, str | None] = field(default_factory=dict)
    locations: list[Location] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    etag: str | None = None

    @property
    def is_public(self) -> bool:
        """The one visibility flag that the v1 API knows (v1-api.md §4.4)."""
        return self.visibility == "public"
