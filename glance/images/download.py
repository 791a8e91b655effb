"""Handing out the data of an image (spec v1-api.md §5.4, v2-images.md §7)."""

import logging
from collections.abc import Callable, Sequence

from glance import metrics
from glance.common import exception
from glance.context import RequestContext, admin_context
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
    if image.size == 0 and not located(service, image):
        return image, Reader(body=(), length=0)
    return image, open_data(service, context, image)


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


def located(service: Service, image: Image, prefer: Sequence[str] = ()) -> list[Location]:
    """Where the data of an image lies, the best place to read it from first.

    That is what the caller prefers, then the heaviest store, then what location_strategy says,
    then the order in which the locations were added.

    :param prefer: names of stores
    """
    active = [location for location in image.locations if location.status == "active"]
    if len(active) < 2:
        return active
    conf = service.conf
    kinds = conf.store_type_location_strategy.store_type_preference if conf.location_strategy == "store_type" else ()

    def rank(location: Location) -> tuple[int, int, int]:
        try:
            place = service.stores.place(location.url, location.store)
        except exception.GlanceException:
            return len(prefer), 0, len(kinds)  # nothing reads it: last of all
        return (
            _index(prefer, place.store),
            -service.stores.weight(place.store),
            _index(kinds, service.stores.kind(place.store)),
        )

    return sorted(active, key=rank)


def open_data(
    service: Service,
    context: RequestContext,
    image: Image,
    offset: int = 0,
    length: int | None = None,
    prefer: Sequence[str] = (),
) -> Reader:
    """Return ``length`` bytes of an image's data from ``offset``.

    Locations are tried in order until one answers.

    :param prefer: names of the stores to read from, if they have it
    :raises ImageNotFound: it has no data
    :raises ImageDataNotFound, StoreUnavailable, StoreRandomGetNotSupported: what the last location answered
    """
    locations = located(service, image, prefer)
    for number, location in enumerate(locations):
        try:
            place = service.stores.place(location.url, location.store, context)
            reader = place.open(offset, length)
        except exception.GlanceException as error:
            LOG.warning("Location %d of image %s cannot be read: %s", number + 1, image.id, error)
            if number == len(locations) - 1:
                raise
        else:
            _note_store(service, image, location, place.store)
            return reader
    raise exception.ImageNotFound(f"Image {image.id} has no data")


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _note_store(service: Service, image: Image, location: Location, store: str) -> None:
    """Save in which store a location lies, for one written before there were several (stores.md §2)."""
    if not service.stores.several or location.store == store or location.id is None:
        return
    known = Location(location.url, {**location.metadata, "store": store}, location.status, location.id)
    try:
        service.catalog.update(admin_context(), image.id, {"change_locations": [known]}, from_status=image.status)
    except exception.GlanceException as error:
        LOG.info("The store of a location of image %s is not noted yet: %s", image.id, error)


def sending(
    service: Service,
    context: RequestContext,
    image: Image,
    reader: Reader,
    destination_ip: str | None,
    expected: int | None = None,
) -> Callable[[int], None]:
    """Say that a response body begins.

    Return what must be called, once, with the bytes sent when it has ended or was broken
    off; that sends the notification (notifications.md §5).

    :param expected: bytes of the body, None: of the whole image
    """
    count = metrics.download(reader.store)

    def ended(sent: int) -> None:
        count(sent)
        payload = notifications.send_payload(context, image, sent, destination_ip)
        if sent == (image.size if expected is None else expected):
            service.notifier.info("image.send", payload)
        else:
            service.notifier.error("image.send", payload)

    return ended
