"""Handing out the data of an image (spec v1-api.md §5.4)."""

import logging

from glance.common import exception
from glance.context import RequestContext
from glance.images import lifecycle, notifications
from glance.images.model import Image, Location
from glance.images.service import Service
from glance.store.base import Reader

LOG = logging.getLogger(__name__)


def open_image(service: Service, context: RequestContext, image_id: str) -> tuple[Image, Reader]:
    """Return an active image, as the caller may see it, and its data.

    Locations are tried in order until one answers.

    :raises ImageNotFound: not there, not visible, not active, or without data
    :raises Forbidden: deactivated, or policy download_image
    :raises ImageDataNotFound, StoreUnavailable: what the last location answered
    """
    image = lifecycle.load(service, context, image_id)
    service.policy.enforce(context, "download_image", service.policy.image_target(context, image))
    if image.status == "deactivated":
        raise exception.Forbidden(f"Image {image_id} is deactivated")
    if image.status != "active":
        raise exception.ImageNotFound(f"Image {image_id} is not active")
    image.properties = service.protections.visible(context, image.properties)
    locations = [location for location in image.locations if location.status == "active"]
    if not locations:
        if image.size == 0:
            return image, Reader(body=(), length=0)
        raise exception.ImageNotFound(f"Image {image_id} has no data")
    return image, _open_first(service, image_id, locations)


def _open_first(service: Service, image_id: str, locations: list[Location]) -> Reader:
    for number, location in enumerate(locations):
        try:
            return service.stores.open(location.url)
        except exception.GlanceException as error:
            LOG.warning("Location %d of image %s cannot be read: %s", number + 1, image_id, error)
            if number == len(locations) - 1:
                raise
    raise exception.ImageNotFound(image_id=image_id)


def sent(service: Service, context: RequestContext, image: Image, bytes_sent: int, destination_ip: str | None) -> None:
    """Say that a response body has ended, or was broken off (notifications.md §5)."""
    payload = notifications.send_payload(context, image, bytes_sent, destination_ip)
    if bytes_sent == image.size:
        service.notifier.info("image.send", payload)
    else:
        service.notifier.error("image.send", payload)
