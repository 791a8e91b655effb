"""Sharing as the v2 API knows it: members accept or reject (spec v2-images.md §10)."""

from glance.common import exception
from glance.context import RequestContext
from glance.images import access, acls, lifecycle, notifications
from glance.images.model import Image, Member
from glance.images.service import Service

STATUSES = ("pending", "accepted", "rejected")


def members(service: Service, context: RequestContext, image_id: str) -> list[Member]:
    """Members of a shared image: all of them for its owner, its own membership for a member.

    :raises ImageNotFound: invisible
    :raises Forbidden: the image is not shared
    """
    image = _shared(service, context, image_id)
    _enforce(service, context, "get_members", image)
    return _known(context, image, service.catalog.members(context, image_id))


def get(service: Service, context: RequestContext, image_id: str, member: str) -> Member:
    """One membership, for the owner and the member.  :raises NotFound: to everybody else"""
    try:
        image = _shared(service, context, image_id)
    except exception.Forbidden:
        raise exception.MemberNotFound(member=member) from None
    _enforce(service, context, "get_member", image)
    return _find(service, context, image, member)


def add(service: Service, context: RequestContext, image_id: str, member: str) -> Member:
    """Share an image with a tenant, which may then accept.

    :raises ImageNotFound: invisible
    :raises Forbidden: not the caller's, not shared
    :raises Duplicate: it is a member
    :raises ImageMemberLimitExceeded:
    """
    access.require_writer(context)
    image = _shared(service, context, image_id)
    _enforce(service, context, "add_member", image)
    access.require_mutable(context, image, "share")
    quota = service.conf.image_member_quota
    added = service.catalog.add_member(context, image_id, member, max_count=quota if quota >= 0 else None)
    acls.apply(service, context, image)
    service.notifier.info("image.member.create", notifications.member_payload(added))
    return added


def set_status(service: Service, context: RequestContext, image_id: str, member: str, status: str) -> Member:
    """Accept or reject an image.

    :raises Forbidden: the caller is neither the member nor an administrator
    :raises NotFound: no such membership
    :raises Invalid: no such status
    """
    access.require_writer(context)
    image = _shared(service, context, image_id)
    found = _find(service, context, image, member)
    _enforce(service, context, "modify_member", image)
    if not context.is_admin and context.owner != member:
        raise exception.Forbidden("Only the member itself may accept or reject an image.")
    if status not in STATUSES:
        raise exception.Invalid(f"Invalid status '{status}': it is one of {', '.join(STATUSES)}.")
    changed = service.catalog.set_member_status(context, image_id, found.member_id, status)
    service.notifier.info("image.member.update", notifications.member_payload(changed))
    return changed


def remove(service: Service, context: RequestContext, image_id: str, member: str) -> None:
    """Stop sharing.

    :raises Forbidden: not the caller's image
    :raises NotFound: no such membership
    """
    access.require_writer(context)
    image = _shared(service, context, image_id)
    found = _find(service, context, image, member)
    _enforce(service, context, "delete_member", image)
    access.require_mutable(context, image, "stop sharing")
    service.catalog.remove_member(context, image_id, member)
    acls.apply(service, context, image)
    service.notifier.info("image.member.delete", notifications.member_payload(found, deleted=True))


def _shared(service: Service, context: RequestContext, image_id: str) -> Image:
    image = lifecycle.load(service, context, image_id)
    if image.visibility != "shared":
        raise exception.Forbidden("Only shared images have members.")
    return image


def _enforce(service: Service, context: RequestContext, rule: str, image: Image) -> None:
    service.policy.enforce(context, rule, service.policy.image_target(context, image))


def _known(context: RequestContext, image: Image, found: list[Member]) -> list[Member]:
    if access.is_mutable(context, image):
        return found
    return [entry for entry in found if entry.member_id == context.owner]


def _find(service: Service, context: RequestContext, image: Image, member: str) -> Member:
    for entry in _known(context, image, service.catalog.members(context, image.id)):
        if entry.member_id == member:
            return entry
    raise exception.MemberNotFound(member=member)
