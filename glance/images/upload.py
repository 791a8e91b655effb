"""Putting data into a queued image (spec v1-api.md §5.5, security.md §5).

One transfer, whatever the source: an upload, or the background half of a copy-from.
Every change of status is a compare-and-swap, and whoever loses removes what it stored.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from glance import metrics
from glance.common import exception
from glance.context import RequestContext, admin_context
from glance.images import acls, notifications, quota, signatures
from glance.images.catalog import Transfer
from glance.images.inspection import Inspector
from glance.images.model import Image, Location
from glance.images.service import Service
from glance.images.transfers import status_if_dead
from glance.store import transfer
from glance.store.base import Driver, Written

LOG = logging.getLogger(__name__)

_OF_DATA = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")


def store_image(
    service: Service,
    context: RequestContext,
    image: Image,
    source: Any,
    *,
    size: int | None,
    driver: Driver,
    checksum: str | None = None,
    failed_status: str = "killed",
) -> Image:
    """Move the bytes of ``source`` into the store and make the image active.

    :param source: has ``readinto`` (see ``glance.store.transfer``)
    :param size: bytes announced, None if unknown
    :param driver: the store to write to, which is asked on behalf of the caller
    :param checksum: md5 the caller expects, None if it does not say
    :param failed_status: what the image becomes when this fails: ``killed`` or ``queued``
    :raises Conflict: another upload has the image; it is left alone
    :raises Invalid: size, checksum or signature differ from what was announced, or the signature cannot be checked
    :raises UnsafeContent: the data was inspected and refused
    :raises LimitExceeded: size cap, storage quota, full store
    :raises Duplicate: the store has an object of that name; the image waits for data again
    :raises ImageGone: the image was deleted meanwhile
    :raises OSError: the client went away
    """
    driver = driver.acting_for(context)
    with context.lasting(), service.transfers.holding(context, image.id, failed_status) as name:
        service.notifier.info("image.prepare", notifications.image_payload(service, image))
        saving = service.catalog.update(context, image.id, {"status": "saving"}, from_status="queued", transfer=name)
        with _failing_to(service, context, image.id, failed_status):
            limits = quota.UploadLimits(service, context, image, size)
            inspector = Inspector(service.conf, image.disk_format, image.container_format)
            verifier = signatures.verifier(service.conf, context, saving.properties)
            with metrics.upload(driver.backend or driver.NAME) as progress:
                written = transfer.store_data(
                    driver, image.id, source, size, limit=limits.stream, hash_algo=service.conf.hashing_algorithm,
                    on_progress=progress, observers=[watcher.feed for watcher in (inspector, verifier) if watcher],
                )  # fmt: skip
            with _removing(service, context, driver, written, image.id):
                if checksum is not None and checksum.lower() != written.checksum:
                    raise exception.Invalid(
                        f"Supplied checksum ({checksum}) and checksum generated from uploaded image "
                        f"({written.checksum}) did not match. Setting image status to '{failed_status}'."
                    )
                found = inspector.finish()
                if verifier:
                    verifier.finish()
                if saving.virtual_size is None:  # what a v1 client declared remains
                    saving.virtual_size = found
                _notify_upload(service, saving, written)
                active = activate(
                    service, context, image.id, written, max_usage=limits.usage, virtual_size=saving.virtual_size
                )
    acls.apply(service, context, active)
    notifications.activated(service, active)
    return active


def activate(
    service: Service,
    context: RequestContext,
    image_id: str,
    written: Written,
    *,
    max_usage: int | None,
    virtual_size: int | None = None,
) -> Image:
    """Make an image whose data is stored active.

    :param virtual_size: bytes of the disk that the data is, None if unknown
    :raises ImageGone: it was deleted meanwhile
    :raises Conflict: somebody else changed its status
    """
    changes = {
        "status": "active",
        "size": written.size,
        "virtual_size": virtual_size,
        "checksum": written.checksum,
        "os_hash_algo": written.hash_algo,
        "os_hash_value": written.hash_value,
        "locations": [Location(url=written.uri, metadata=written.metadata)],
    }
    try:
        return service.catalog.update(context, image_id, changes, from_status="saving", max_usage=max_usage)
    except (exception.ImageNotFound, exception.Conflict) as error:
        # A request whose answer was lost is sent again: the image may be active through the first one.
        with suppress(exception.NotFound):
            image = service.catalog.get(context, image_id)
            if image.status == "active" and written.uri in (location.url for location in image.locations):
                return image
            if not image.deleted:
                raise exception.Conflict() from error
        raise exception.ImageGone(image_id=image_id) from error


def settle(service: Service, dead: Transfer) -> None:
    """Give an image whose transfer died the status that says so, and remove its partial data.

    The compare-and-swap makes sure that nobody finished it meanwhile.
    """
    try:
        service.catalog.update(admin_context(), dead.image_id, _failed(status_if_dead(dead)), from_status=dead.status)
    except (exception.Conflict, exception.NotFound):
        return
    service.stores.discard(dead.image_id)


def _failed(status: str) -> dict[str, Any]:
    """What changes when an upload ends in ``status``: a queued image knows nothing of the data that it waits for."""
    return {"status": status} | (dict.fromkeys(_OF_DATA) if status == "queued" else {})


@contextmanager
def _failing_to(service: Service, context: RequestContext, image_id: str, status: str) -> Iterator[None]:
    """On an error say so in the image's status and in a notification."""
    try:
        yield
    except exception.ImageGone:
        raise
    except BaseException as error:
        if isinstance(error, exception.Duplicate):
            status = "queued"
        if isinstance(error, exception.GlanceException):
            service.notifier.error("image.upload", str(error))
        LOG.warning("Upload of image %s failed: %s", image_id, type(error).__name__)
        try:
            # As the service: the caller's token may have expired, which may be why this failed.
            service.catalog.update(context.elevated(), image_id, _failed(status), from_status="saving")
        except (exception.NotFound, exception.Conflict):
            LOG.info("Image %s was changed by somebody else while its upload failed", image_id)
        except exception.GlanceException as failure:
            LOG.warning("The status of image %s will be settled later: %s", image_id, failure)
            service.transfers.abandoned()
        raise


@contextmanager
def _removing(
    service: Service, context: RequestContext, driver: Driver, written: Written, image_id: str
) -> Iterator[None]:
    """On an error remove the data that was stored.

    Only when the registry or its database did not answer is it kept: the image may have
    become active after all.  The sweep finds out, and removes the data if it has not.
    """
    try:
        yield
    except exception.ServiceUnavailable:
        raise
    except BaseException:
        try:
            service.stores.place(written.uri, driver.backend, context).delete()
        except exception.GlanceException as error:
            LOG.warning("The data of the failed upload of image %s could not be removed: %s", image_id, error)
        raise


def _notify_upload(service: Service, image: Image, written: Written) -> None:
    image.size, image.checksum = written.size, written.checksum
    service.notifier.info("image.upload", notifications.image_payload(service, image))
