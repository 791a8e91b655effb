"""Handing out the data of an image (spec v1-api.md §5.4, v2-images.md §7)."""

import logging

from glance.common import exception
from glance.context import RequestContext
from glance.images import lifecycle, notifications
from glance.images.model import Image, Location
from glance.images.service import Service
from glance.store.base import Reader

LOG = logging.getLogger(__name__)


def open_image(service: Service, context: RequestContext, image_id: str) -> tuple[Image, Reader]:
    """Return an active image, as the caller may see it, and its data (v1).

    :raises ImageNotFound: not there, not visible, not active, or without data
    :raises Forbidden: deactivated, or policy download_image
    :raises ImageDataNotFound, StoreUnavailable: what the last location answered
    """
    image = authorize(service, context, image_id)
    if image.status == "deactivated":
        raise exception.Forbidden(f"Image {image_id} is deactivated")
    if image.status != "active":
        raise exception.ImageNotFound(f"Image {image_id} is not active")
    if image.size == 0 and not located(image):
        return image, Reader(body=(), length=0)
    return image, open_data(service, image)


def authorize(service: Service, context: RequestContext, image_id: str) -> Image:
    """Return an image whose data the caller may have, without the properties it may not read.

    :raises ImageNotFound: not there or not visible
    :raises Forbidden: policy download_image, or deactivated and the caller no administrator
    """
    image = lifecycle.load(service, context, image_id)
    service.policy.enforce(context, "download_image", service.policy.image_target(context, image))
    if image.status == "deactivated" and not context.is_admin:
        raise exception.Forbidden(f"Image {image_id} is deactivated")
    image.properties = service.protections.visible(context, image.properties)
    return image


def located(image: Image) -> list[Location]:
    """Where the data of an image lies."""
    return [location for location in image.locations if location.status == "active"]


def open_data(service: Service, image: Image, offset: int = 0, length: int | None = None) -> Reader:
    """Return ``length`` bytes of an image's data from ``offset``.

    Locations are tried in order until one answers.

    :raises ImageNotFound: it has no data
    :raises ImageDataNotFound, StoreUnavailable, StoreRandomGetNotSupported: what the last location answered
    """
    locations = located(image)
    for number, location in enumerate(locations):
        try:
            return service.stores.open(location.url, offset, length)
        except exception.GlanceException as error:
            LOG.warning("Location %d of image %s cannot be read: %s", number + 1, image.id, error)
            if number == len(locations) - 1:
                raise
    raise exception.ImageNotFound(f"Image {image.id} has no data")


def sent(
    service: Service,
    context: RequestContext,
    image: Image,
    bytes_sent: int,
    destination_ip: str | None,
    expected: int | None = None,
) -> None:
    """Say that a response body has ended, or was broken off (notifications.md §5).

    :param expected: bytes of the body, None: of the whole image
    """
    payload = notifications.send_payload(context, image, bytes_sent, destination_ip)
    if bytes_sent == (image.size if expected is None else expected):
        service.notifier.info("image.send", payload)
    else:
        service.notifier.error("image.send", payload)
