"""Who may change an image (spec v1-api.md §5.1).

Whether an image is visible is decided by the catalog, where the rows are.
"""

from glance.common import exception
from glance.context import RequestContext
from glance.images.model import Image, Member


def require_writer(context: RequestContext) -> None:
    """:raises ReadonlyContext: the caller is anonymous"""
    if context.read_only:
        raise exception.ReadonlyContext()


def is_mutable(context: RequestContext, image: Image) -> bool:
    """Admins, and the owner of an image that has one; never members."""
    return context.is_admin or (image.owner is not None and image.owner == context.owner)


def require_mutable(context: RequestContext, image: Image, verb: str) -> None:
    """Refuse a change that the caller may not make.

    :param verb: ``update`` or ``delete``, for the message
    :raises Forbidden: the image is public
    :raises NotYours: it is not: for v1, that it exists is not the caller's business
    """
    if is_mutable(context, image):
        return
    if image.is_public:
        raise exception.Forbidden(f"Forbidden to {verb} image: {image.id}")
    raise exception.NotYours(image_id=image.id)


def require_sharable(context: RequestContext, image: Image, members: list[Member]) -> None:
    """Refuse a membership change (v1-api.md §8).

    :param members: the memberships of the image, at least the caller's own
    :raises NotAuthenticated: the caller is nobody
    :raises ImageNotFound: neither admin, nor owner, nor a member with can_share
    """
    if context.is_admin:
        return
    if context.owner is None:
        raise exception.NotAuthenticated("Only authenticated users may change who an image is shared with.")
    if image.owner == context.owner:
        return
    if not any(member.member_id == context.owner and member.can_share for member in members):
        raise exception.ImageNotFound(image_id=image.id)
