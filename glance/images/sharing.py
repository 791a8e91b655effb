"""Giving other tenants the use of an image (spec v1-api.md §8)."""

from typing import Any

from glance.common import exception
from glance.context import RequestContext
from glance.images import access, acls, quota
from glance.images.model import Image, Member
from glance.images.service import Service


def members(service: Service, context: RequestContext, image_id: str) -> list[Member]:
    """Members of an image that the caller may see.  :raises ImageNotFound: invisible or deleted"""
    image = _live(service, context, image_id)
    service.policy.enforce(context, "get_members", service.policy.image_target(context, image))
    found = service.catalog.members(context, image_id)
    if access.is_mutable(context, image):
        return found
    return [member for member in found if member.member_id == context.owner]


def shared_images(service: Service, context: RequestContext, member: str) -> list[Member]:
    """Images shared with a tenant, as far as the caller may know."""
    service.policy.enforce(context, "get_members", {"project_id": member, "member_id": member})
    return service.catalog.shared_images(context, member)


def set_member(service: Service, context: RequestContext, image_id: str, member: str, can_share: bool | None) -> None:
    """Add a member or change its can_share; ``None`` leaves that as it is.

    :raises NotAuthenticated, ImageNotFound: see ``access.require_sharable``
    :raises ImageMemberLimitExceeded: even for an existing member, as ever
    """
    image, existing = _sharable(service, context, "modify_member", image_id)
    quota.check_members(service.conf, len(existing) + 1)
    service.catalog.set_member(context, image_id, member, can_share)
    acls.apply(service, context, image)


def remove_member(service: Service, context: RequestContext, image_id: str, member: str) -> None:
    """:raises ImageNotFound, MemberNotFound:"""
    image, _ = _sharable(service, context, "delete_member", image_id)
    service.catalog.remove_member(context, image_id, member)
    acls.apply(service, context, image)


def replace_members(service: Service, context: RequestContext, image_id: str, wanted: list[dict[str, Any]]) -> None:
    """Make ``wanted`` (``member_id``, optional ``can_share``) the only members."""
    image, _ = _sharable(service, context, "modify_member", image_id)
    quota.check_members(service.conf, len(wanted))
    service.catalog.replace_members(context, image_id, wanted)
    acls.apply(service, context, image)


def _live(service: Service, context: RequestContext, image_id: str) -> Image:
    image = service.catalog.get(context, image_id)
    if image.deleted:
        raise exception.ImageNotFound(image_id=image_id)
    return image


def _sharable(service: Service, context: RequestContext, rule: str, image_id: str) -> tuple[Image, list[Member]]:
    """An image that the caller may share, by ``rule`` and by what it is to him, and its members."""
    access.require_writer(context)
    image = _live(service, context, image_id)
    service.policy.enforce(context, rule, service.policy.image_target(context, image))
    found = service.catalog.members(context.elevated(), image_id)  # the quota counts those too that a member cannot see
    access.require_sharable(context, image, found)
    return image, found
