"""Registering, changing and deleting images (spec v1-api.md §5.5-5.7, v2-images.md §5)."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from glance.common import exception
from glance.context import RequestContext
from glance.images import access, acls, formats, notifications, quota
from glance.images.model import Image, Location
from glance.images.service import Service

LOG = logging.getLogger(__name__)

SOURCE_RULES = {
    None: (),
    "data": ("upload_image",),
    "copy": ("upload_image", "copy_from"),
    "location": ("set_image_location",),
}
"""Where the data is to come from → the policies asked beside add_image or modify_image."""

VISIBILITY_RULES = {"public": "publicize_image", "community": "communitize_image"}
"""Visibility that an image is to have → the policy asked for it."""

_FIXED_WHILE_STORED = ("size", "checksum")
_STORED = ("active", "deactivated")
_LOOKS = 5
"""How often a deletion looks at an image that others are changing or deleting."""
_PAUSE = 0.1
"""Seconds before the second look at an image whose data is being removed; twice as long before each further one."""


def check_create(service: Service, context: RequestContext, image: Image, source: str | None = None) -> None:
    """Refuse a record that the caller may not create, before anything is done for it.

    :param image: attributes as the caller gave them
    :param source: key of ``SOURCE_RULES``
    :raises Forbidden: policy, property protection, or an owner that is not the caller
    :raises ImagePropertyLimitExceeded, ImageTagLimitExceeded:
    """
    access.require_writer(context)
    target = service.policy.image_target(context, image)
    for rule in ("add_image", *_visibility_rules(image.visibility), *SOURCE_RULES[source]):
        service.policy.enforce_new(context, rule, target)
    if not context.is_admin and image.owner != context.owner:
        raise exception.Forbidden("You are not permitted to create images owned by somebody else.")
    service.protections.check_create(context, image.properties)
    quota.check_properties(service.conf, image.properties)
    quota.check_tags(service.conf, image.tags)


def register(service: Service, context: RequestContext, image: Image, source: str | None = None) -> Image:
    """Create the record of an image that ``check_create`` let pass, without data.

    :param source: None: an image of no bytes is complete, and becomes active
    :raises ImageCountQuotaExceeded:
    :raises Duplicate: the id is taken
    """
    maximum = service.conf.user_image_count_quota or None
    created = service.catalog.create(context, image, max_count=maximum)
    service.notifier.info("image.create", notifications.image_payload(service, created))
    if source is None and created.size == 0:
        return service.catalog.update(context, created.id, {"status": "active"}, from_status="queued")
    return created


def get(service: Service, context: RequestContext, image_id: str) -> Image:
    """Return an image as the caller may see it: without the properties it may not read."""
    image = load(service, context, image_id)
    image.properties = service.protections.visible(context, image.properties)
    return image


def load(service: Service, context: RequestContext, image_id: str) -> Image:
    """Return the whole image.  :raises ImageNotFound, Forbidden:"""
    image = service.catalog.get(context, image_id)
    service.policy.enforce(context, "get_image", service.policy.image_target(context, image))
    return image


def load_for_upload(service: Service, context: RequestContext, image_id: str) -> Image:
    """Return an image that is ready for the caller's data (v2).

    :raises ImageNotFound: invisible
    :raises Forbidden: policy upload_image, or not the caller's
    :raises Conflict: it has data, or is getting some
    :raises Invalid: a format is missing
    """
    access.require_writer(context)
    image = load(service, context, image_id)
    service.policy.enforce(context, "upload_image", service.policy.image_target(context, image))
    access.require_mutable(context, image, "update")
    if image.status != "queued":
        raise exception.Conflict(f"Image {image_id} is {image.status}: only a queued image takes data.")
    formats.require_both(image.disk_format, image.container_format)
    return image


def page(service: Service, context: RequestContext, query: dict[str, Any]) -> list[Image]:
    """Return one page of images, without the properties the caller may not read; none is found by such a one."""
    service.policy.enforce(context, "get_images", {"project_id": context.project_id, "owner": context.owner})
    if not all(service.protections.may(context, "read", name) for name in query["filters"].get("properties", ())):
        return []
    images = service.catalog.page(context, query)
    for image in images:
        image.properties = service.protections.visible(context, image.properties)
    return images


def check_update(
    service: Service,
    context: RequestContext,
    image: Image,
    changes: dict[str, Any],
    source: str | None = None,
) -> None:
    """Refuse what may not be changed, before anything is.

    :param changes: attributes that the caller sent
    :raises Forbidden: deleted image, policy, immutable attribute
    :raises ImageNotFound: not the caller's to change
    :raises Conflict: data for an image that is not queued
    """
    access.require_writer(context)
    target = service.policy.image_target(context, image)
    for rule in ("modify_image", *_visibility_rules(changes.get("visibility")), *SOURCE_RULES[source]):
        service.policy.enforce(context, rule, target)
    if image.deleted and image.status != "pending_delete":
        raise exception.Forbidden("Forbidden to update deleted image.")
    access.require_mutable(context, image, "update")
    for name in ("id", "status"):
        if name in changes and changes[name] != getattr(image, name):
            raise exception.Forbidden(f"Forbidden to modify '{name}' of image {image.id}.")
    if image.status in _STORED and not context.is_admin:
        for name in _FIXED_WHILE_STORED:
            if name in changes and changes[name] != getattr(image, name):
                raise exception.Forbidden(f"Forbidden to modify '{name}' of {image.status} image {image.id}.")
    if source == "data" and image.status != "queued":
        raise exception.Conflict("Cannot upload to an unqueued image")
    if source is not None and image.status != "queued":
        raise exception.Invalid("Attempted to update Location field for an image not in queued status.")


def update(
    service: Service,
    context: RequestContext,
    image: Image,
    changes: dict[str, Any],
    properties: dict[str, str | None],
    *,
    purge: bool,
) -> Image:
    """Change attributes and properties of an image that ``check_update`` let pass; return the whole image.

    :param properties: those the caller sent
    :param purge: whether they replace the whole set; properties that the caller cannot
        read are kept either way
    :raises Forbidden: property protection
    :raises ImagePropertyLimitExceeded:
    :raises Conflict: the status changed meanwhile
    """
    changes = {name: value for name, value in changes.items() if name not in ("id", "status")}
    if not context.is_admin:
        changes.pop("owner", None)
    new = service.protections.merge_update(context, image.properties, properties, purge=purge)
    if new.keys() - image.properties.keys():
        quota.check_properties(service.conf, new)
    changed = new != image.properties
    if changed:  # what is not purged is not sent: concurrent additions both survive
        changes["properties"] = new if purge else properties
    saved = service.catalog.update(
        context, image.id, changes, from_status=image.status,
        purge_properties=purge and changed,  # without properties to keep it would remove them all
    )  # fmt: skip
    acls.apply(service, context, saved)
    return saved


def announce_update(service: Service, image: Image) -> None:
    """Say that an image was changed: the last step of a request that changes it, after data that came along."""
    service.notifier.info("image.update", notifications.image_payload(service, image))


def delete(service: Service, context: RequestContext, image_id: str, if_match: list[str] | None = None) -> None:
    """Delete an image: record first, then data, so that a crash leaves work for the scrubber and no more.

    With ``delayed_delete`` the data stays until the scrubber takes it.

    :param if_match: v2: only if the image's etag is one of these, or ``*`` is
    :raises PreconditionFailed: it is not
    :raises Forbidden: protected, pending_delete, policy, or public and not the caller's
    :raises ImageNotFound: not there, deleted, not visible or not the caller's
    :raises InUse: the store will not let the data go; the image is as before
    """
    access.require_writer(context)
    image, locations, gone = _delete_record(service, context, image_id, if_match)
    if locations and not service.conf.delayed_delete:
        try:
            for location in locations:
                _delete_data(service, context, image_id, location)
        except (exception.InUse, exception.Forbidden):
            service.catalog.restore(context.elevated(), image_id, image.status)  # users have no undelete
            raise
        except exception.StoreUnavailable as error:
            LOG.warning("Data of deleted image %s is left to the scrubber: %s", image_id, error)
        else:
            service.catalog.finish_delete(context, image_id)
            gone.status = "deleted"
    service.notifier.info("image.delete", notifications.image_payload(service, gone))


def restore(service: Service, context: RequestContext, image_id: str) -> None:
    """Take back a deletion that the scrubber has not finished (spec v2-images.md §14).

    :raises ImageNotFound: not there, not visible, or not in pending_delete
    :raises Forbidden: policy, or not the caller's
    :raises Conflict: its time is over, or its data is gone
    """
    access.require_writer(context)
    image = service.catalog.get_deleted(context, image_id)
    if image.status != "pending_delete" or image.deleted_at is None:
        raise exception.ImageNotFound(image_id=image_id)
    service.policy.enforce(context, "restore_image", service.policy.image_target(context, image))
    access.require_mutable(context, image, "restore")
    age = datetime.now(UTC).replace(tzinfo=None) - image.deleted_at
    if age.total_seconds() >= service.conf.scrub_time:
        raise exception.Conflict(f"Image {image_id} was deleted too long ago to be restored.")
    for location in image.locations:
        if location.status == "pending_delete":
            try:
                service.stores.place(location.url, location.store, context).size()
            except exception.ImageDataNotFound as error:
                raise exception.Conflict(f"The data of image {image_id} is gone.") from error
    service.catalog.restore(context, image_id, "active")


def _visibility_rules(visibility: str | None) -> tuple[str, ...]:
    return (VISIBILITY_RULES[visibility],) if visibility in VISIBILITY_RULES else ()


def _delete_record(
    service: Service, context: RequestContext, image_id: str, if_match: list[str] | None, looks: int = _LOOKS
) -> tuple[Image, list[Location], Image]:
    """Delete the record; return the image as it was, its live locations, and the image as it is.

    :param looks: how often to look, as long as its status changes meanwhile: an upload or a deletion began or ended
    """
    image = service.catalog.get(context, image_id)
    service.policy.enforce(context, "delete_image", service.policy.image_target(context, image))
    if image.protected:
        raise exception.ProtectedImageDelete(image_id=image.id)
    if image.status == "pending_delete":
        if looks > 1 and not service.conf.delayed_delete:
            # Most likely another request is removing the data at this moment: then it will be found deleted.
            time.sleep(_PAUSE * 2 ** (_LOOKS - looks))
            return _delete_record(service, context, image_id, if_match, looks - 1)
        raise exception.Forbidden(f"Forbidden to delete a {image.status} image.")
    if image.deleted:
        raise exception.ImageNotFound(image_id=image.id)
    access.require_mutable(context, image, "delete")
    known = image
    if image.status == "deactivated" and not image.locations:  # the registry keeps them from ordinary users
        known = service.catalog.get(context.elevated(), image_id)
    locations = [location for location in known.locations if location.status == "active"]
    # Where the registry takes no word for who is an admin, the data is left to the scrubber.
    has_data = bool(locations) or image.status == "deactivated"
    status = "pending_delete" if has_data else "deleted"
    try:
        gone = service.catalog.destroy(context, image_id, status=status, from_status=image.status, if_match=if_match)
    except exception.Conflict:
        if looks <= 1:
            raise
        return _delete_record(service, context, image_id, if_match, looks - 1)
    return image, locations, gone


def _delete_data(service: Service, context: RequestContext, image_id: str, location: Location) -> None:
    try:
        service.stores.place(location.url, location.store, context).delete()
    except (exception.ImageDataNotFound, exception.StoreDeleteNotSupported) as error:
        LOG.info("Nothing to remove from the store for image %s: %s", image_id, error)
    except (exception.BadStoreUri, exception.UnknownScheme):
        LOG.warning("No store of this service can remove the data of image %s", image_id)
