"""Where image metadata lives, as the rules see it.

The rules read and write through this protocol.  ``glance.db.registry.rest`` implements
it over the registry's REST API (v1), ``glance.db.catalog`` over a data-access module
(v2).  Visibility is decided there, where the rows are: an image that the caller may not
see is ``ImageNotFound``.

Any method may raise ``ServiceUnavailable`` (a dependency is down), ``NotAuthenticated``
(the registry refuses the caller's token) and ``Invalid``/``Forbidden`` (it refuses the
values).
"""

from dataclasses import dataclass
from typing import Any, Protocol

from glance.context import RequestContext
from glance.images.model import Image, Member


@dataclass(frozen=True, slots=True)
class Transfer:
    """An image into which data is being moved, or was.

    :ivar node: who moves it (see ``glance.images.transfers``), None if nobody says so
    :ivar age: seconds since it last said so, by the database's clock
    """

    image_id: str
    status: str
    node: str | None
    age: float | None


class Catalog(Protocol):
    """Metadata of images, their members, and who is moving data."""

    def after_fork(self) -> None:
        """Forget connections that belong to the parent process."""
        ...

    def get(self, context: RequestContext, image_id: str) -> Image:
        """Return the image; deleted ones for admins only.  :raises ImageNotFound:"""
        ...

    def get_deleted(self, context: RequestContext, image_id: str) -> Image:
        """Return an image of the caller's that was deleted, with the locations that went.  :raises ImageNotFound:"""
        ...

    def page(self, context: RequestContext, query: dict[str, Any]) -> list[Image]:
        """Return one page.

        :param query: already validated, from ``glance.images.listing`` (v1) or
            ``glance.images.searching`` (v2)
        :raises Invalid: the marker is unknown or invisible
        """
        ...

    def create(self, context: RequestContext, image: Image, max_count: int | None = None) -> Image:
        """Insert the record with its properties and locations.

        :param max_count: refuse with ImageCountQuotaExceeded when the owner has as many
        :raises Duplicate: the id is taken, even by a deleted image
        """
        ...

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
        """Change attributes.

        :param changes: names of ``Image``; ``properties`` those to set, ``locations`` and
            ``tags`` whole.  For v2 also ``drop_properties`` (names), ``change_locations``
            (those not named stay), ``add_tags`` and ``drop_tags``
        :param from_status: compare-and-swap: nothing changes unless the row has it
        :param purge_properties: properties not named are removed
        :param transfer: who begins to move data into the image (``Transfers.name``);
            recorded in the same transaction (database.md §9)
        :param max_usage: bytes the owner may use in all, checked in the same transaction
        :param if_match: v2: nothing changes unless the image's etag is one of these, or ``*`` is
        :raises Conflict: the status differs
        :raises PreconditionFailed: the etag differs
        :raises ImageNotFound: gone or invisible
        :raises Forbidden: public and not the caller's
        :raises StorageQuotaFull: ``max_usage`` would be exceeded
        """
        ...

    def destroy(
        self,
        context: RequestContext,
        image_id: str,
        *,
        status: str,
        from_status: str | None = None,
        if_match: list[str] | None = None,
    ) -> Image:
        """Soft-delete the row and its children, in one step.

        :param status: ``deleted``, or ``pending_delete`` while the data still exists
        :raises Conflict, PreconditionFailed, ImageNotFound, Forbidden: as ``update``
        """
        ...

    def finish_delete(self, context: RequestContext, image_id: str) -> None:
        """The data of an image in pending_delete is gone: make it ``deleted``."""
        ...

    def restore(self, context: RequestContext, image_id: str, status: str) -> None:
        """Bring an image in pending_delete back, with its children, in ``status``."""
        ...

    def usage(self, context: RequestContext, owner: str | None) -> int:
        """Bytes that count against ``owner``'s storage quota (database.md §4.1)."""
        ...

    def members(self, context: RequestContext, image_id: str) -> list[Member]:
        """Members that the caller may see.  :raises ImageNotFound:"""
        ...

    def shared_images(self, context: RequestContext, member: str) -> list[Member]:
        """Memberships of a tenant that the caller may see."""
        ...

    def add_member(self, context: RequestContext, image_id: str, member: str, max_count: int | None = None) -> Member:
        """v2: add a member whose status is pending.

        :raises Duplicate: it is one already
        :raises ImageMemberLimitExceeded: the image has ``max_count``
        """
        ...

    def set_member_status(self, context: RequestContext, image_id: str, member: str, status: str) -> Member:
        """v2: pending, accepted or rejected.  :raises MemberNotFound:"""
        ...

    def set_member(self, context: RequestContext, image_id: str, member: str, can_share: bool | None) -> None:
        """Add or change a membership; ``None`` keeps can_share.  :raises ImageNotFound:"""
        ...

    def remove_member(self, context: RequestContext, image_id: str, member: str) -> None:
        """:raises ImageNotFound: no such image or membership"""
        ...

    def replace_members(self, context: RequestContext, image_id: str, members: list[dict[str, Any]]) -> None:
        """Make ``members`` (``member_id``, optional ``can_share``) the only ones."""
        ...

    def beat(self, context: RequestContext, name: str, image_ids: list[str]) -> None:
        """Say that who is called ``name`` is still moving data into these images."""
        ...

    def transfers(self, context: RequestContext) -> list[Transfer]:
        """Every image that waits for data: in saving or importing, or named by a transfer row."""
        ...
