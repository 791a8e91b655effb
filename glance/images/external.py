"""Images whose data is named by an address instead of being sent (spec v1-api.md §6)."""

import logging

from glance.common import exception
from glance.context import RequestContext
from glance.images import acls, notifications, quota, upload
from glance.images.model import Image, Location
from glance.images.service import Service
from glance.store.base import Driver

LOG = logging.getLogger(__name__)


def source_size(service: Service, uri: str) -> int:
    """Size in bytes of the data at an address that a caller named.

    :raises Invalid: scheme not allowed, malformed, refused by the guard, or not reachable
    :raises ImageDataNotFound: the server there says that there is no such thing
    """
    service.stores.check_external(uri)
    return service.stores.place(uri).size()


def register_location(
    service: Service,
    context: RequestContext,
    image: Image,
    uri: str,
    *,
    found: int | None,
    size: int | None,
    checksum: str | None,
) -> Image:
    """Make a queued image active with its data where it already lies.

    :param found: size that the store reports (``source_size``), 0 if it does not know
    :param size: size that the caller says, None if nothing
    :param checksum: taken as the caller says: nobody reads the data
    :raises Conflict: the sizes differ, or the image is no longer queued
    """
    if size and found and size != found:
        raise exception.Conflict(f"The size of the data at the location is {found} bytes, not {size}.")
    size = size or found
    quota.check_locations(service.conf, [uri])
    active = service.catalog.update(
        context,
        image.id,
        {"status": "active", "size": size, "checksum": checksum, "locations": [Location(url=uri)]},
        from_status="queued",
        max_usage=quota.max_usage(service, image),
    )
    acls.apply(service, context, active)
    notifications.activated(service, active)
    return active


def start_copy(service: Service, context: RequestContext, image: Image, uri: str, driver: Driver) -> None:
    """Copy the data at an address into the store, in the background."""
    service.background.submit(_copy, service, context, image, uri, driver)


def _copy(service: Service, context: RequestContext, image: Image, uri: str, driver: Driver) -> None:
    try:
        reader = service.stores.place(uri).open()
    except exception.GlanceException as error:
        LOG.warning("The copy source of image %s cannot be read: %s", image.id, error)
        service.notifier.error("image.upload", str(error))
        try:
            service.catalog.update(context, image.id, {"status": "killed"}, from_status="queued")
        except exception.GlanceException as failure:
            LOG.warning("Image %s could not be marked killed: %s", image.id, failure)
        return
    try:
        size = reader.length or image.size or None
        upload.store_image(service, context, image, reader.body, size=size, driver=driver)
    except exception.GlanceException as error:
        LOG.warning("Copying the data of image %s failed: %s", image.id, error)
    except OSError:
        LOG.warning("The copy source of image %s broke off", image.id)
    except Exception:
        LOG.exception("Unexpected error while copying the data of image %s", image.id)
    finally:
        close = getattr(reader.body, "close", None)
        if close:
            close()
