"""Telling a store who may use an image, where its objects have access lists of their own (spec stores.md §5)."""

import logging

from glance.common import exception
from glance.context import RequestContext
from glance.images.model import Image
from glance.images.service import Service

LOG = logging.getLogger(__name__)

_OPEN = ("public", "community")


def apply(service: Service, context: RequestContext, image: Image) -> None:
    """Give the data of an image the access lists that follow from its visibility and its members.

    The record, which is saved already, decides who gets data from this service.  So a store
    that refuses, as it refuses whoever owns neither image nor account, does not undo the change.
    """
    if image.deleted:
        return
    members = None
    for location in image.locations:
        try:
            place = service.stores.place(location.url, location.store, context)
            if location.status != "active" or not place.has_acls:
                continue
            if members is None:
                shared = image.visibility == "shared"
                members = service.catalog.members(context.elevated(), image.id) if shared else []
            place.set_acls(
                image.visibility in _OPEN,
                read=[member.member_id for member in members],
                write=[member.member_id for member in members if member.can_share],
            )
        except exception.GlanceException as error:
            LOG.warning("The access lists of image %s could not be set: %s", image.id, error)
