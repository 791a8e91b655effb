"""Locations that callers set themselves (spec v2-images.md §6.3, stores.md §9)."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from glance.common import exception
from glance.context import RequestContext
from glance.images import access, formats, lifecycle, notifications, quota
from glance.images.model import Image, Location
from glance.images.service import Service

LOG = logging.getLogger(__name__)

_HEX = frozenset("0123456789abcdef")
_CHECKSUM_DIGITS = 32
_OPEN = ("active", "queued")


class Draft:
    """The locations of an image as they will be.

    :raises Forbidden: callers may not see or set locations at all (show_multiple_locations)
    """

    def __init__(self, service: Service, context: RequestContext, image: Image) -> None:
        if not service.conf.show_multiple_locations:
            raise exception.Forbidden("It's not allowed to change locations: show_multiple_locations is off.")
        self._service, self._context, self._image = service, context, image
        self._wanted = [location for location in image.locations if location.status == "active"]
        self._removed: list[Location] = []
        self._given: dict[str, Any] = {}
        self._size = image.size

    def apply(self, op: str, path: Sequence[str], value: Any) -> None:
        """Make one change.

        :param path: which location: its number, ``-`` for the end, nothing for all of them
        :raises Forbidden: policy; all or the last location would go
        :raises Conflict: not in this status of the image; validation data that contradict what is known
        :raises Invalid: the location cannot be used
        """
        if op == "remove":
            self._remove(path[0])
        elif op == "add":
            self._enforce("set_image_location")
            self._require_status(*_OPEN)
            index = len(self._wanted) if path[0] == "-" else _index(path[0])
            self._wanted.insert(index, self._checked(value))
        else:
            self._enforce("set_image_location")
            self._require_status(*_OPEN)
            self._replace(value)

    def _remove(self, place: str) -> None:
        self._enforce("delete_image_location")
        self._require_status("active")
        index = len(self._wanted) - 1 if place == "-" else _index(place)
        if index >= len(self._wanted):
            raise exception.Invalid(f"The image has no location {place}.")
        if len(self._wanted) == 1:
            raise exception.Forbidden("The last location of an image cannot be removed.")
        self._removed.append(self._wanted.pop(index))

    def _replace(self, values: list[dict[str, Any]]) -> None:
        if not values:
            raise exception.Forbidden("All locations of an image cannot be removed.")
        if not self._wanted:
            for value in values:
                self._wanted.append(self._checked(value))
            return
        if sorted(value["url"] for value in values) != sorted(location.url for location in self._wanted):
            raise exception.Invalid("Locations that exist can be put in another order, but not replaced by others.")
        self._wanted = [Location(value["url"], _metadata(value)) for value in values]

    def _checked(self, value: dict[str, Any]) -> Location:
        """The location that a caller names, once it has proved usable."""
        location = Location(value["url"], _metadata(value))
        stores = self._service.stores
        stores.check_external(location.url)
        if any((known.url, known.metadata) == (location.url, location.metadata) for known in self._wanted):
            raise exception.Invalid("The image has this location already.")
        quota.check_locations(self._service.conf, [*self._wanted, location])
        try:
            size = stores.place(location.url).size()
        except exception.ImageDataNotFound:
            raise exception.Invalid("There is no data at the location.") from None
        if not size:
            raise exception.Invalid("The size of the data at the location is not known.")
        if self._size is None:
            self._size = size
        self._take_validation_data(value.get("validation_data"))
        return location

    def _take_validation_data(self, data: dict[str, str] | None) -> None:
        """Note the digests that the caller says the data has."""
        if data is None:
            return
        conf, image = self._service.conf, self._image
        algorithm, digest, checksum = data["os_hash_algo"], data["os_hash_value"], data.get("checksum")
        if algorithm != conf.hashing_algorithm:
            raise exception.Conflict(f"os_hash_algo must be {conf.hashing_algorithm}, not {algorithm}.")
        length = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
        if len(digest) != length or not _HEX.issuperset(digest.lower()):
            raise exception.Conflict(f"os_hash_value must be {length} hexadecimal digits.")
        if checksum is not None and (len(checksum) != _CHECKSUM_DIGITS or not _HEX.issuperset(checksum.lower())):
            raise exception.Conflict(f"checksum must be {_CHECKSUM_DIGITS} hexadecimal digits.")
        for name, value in (("os_hash_algo", algorithm), ("os_hash_value", digest), ("checksum", checksum)):
            known = self._given.get(name, getattr(image, name))
            if value is None or value == known:
                continue
            if known is not None or image.status != "queued":
                raise exception.Conflict(f"{name} differs from what is known of the image.")
            self._given[name] = value

    def changes(self, known: dict[str, Any]) -> dict[str, Any]:
        """What the catalog has to change.

        :param known: disk_format and container_format as they will be
        :raises Invalid: a queued image becomes active with the first location, but a format is missing
        """
        stored = [location for location in self._image.locations if location.status == "active"]
        # The order is that of the rows: what comes behind a change is written anew.
        kept = 0
        remaining = [location for location in stored if location not in self._removed]
        while kept < min(len(remaining), len(self._wanted)) and remaining[kept] is self._wanted[kept]:
            kept += 1
        rows = [*self._wanted[:kept], *(Location(entry.url, entry.metadata) for entry in self._wanted[kept:])]
        gone = [Location(entry.url, entry.metadata, "pending_delete", entry.id) for entry in self._removed if entry.id]
        changes: dict[str, Any] = {"locations": [*rows, *gone], **self._given}
        if self._image.size is None:
            changes["size"] = self._size
        if self._image.status == "queued" and self._wanted:
            formats.require_both(known["disk_format"], known["container_format"])
            changes["status"] = "active"
        return changes

    def saved(self, image: Image) -> Image:
        """Remove the data of the locations that are gone, now that nobody is sent there any more.

        :raises InUse, StoreUnavailable, GlanceException: the store keeps it; the location is back
        """
        for location in self._removed:
            try:
                image = delete_data(self._service, self._context, image, location)
            except exception.Forbidden as error:  # it is the service that the store refuses, not the caller
                raise exception.GlanceException(str(error)) from error
        return image

    def _enforce(self, rule: str) -> None:
        target = self._service.policy.image_target(self._context, self._image)
        self._service.policy.enforce(self._context, rule, target)

    def _require_status(self, *statuses: str) -> None:
        if self._image.status not in statuses:
            raise exception.Conflict(
                f"Locations can be changed while an image is {' or '.join(statuses)}, not {self._image.status}."
            )


def remove_from_store(service: Service, context: RequestContext, image_id: str, store: str) -> None:
    """Delete the copy of an image that one store has (spec v2-images.md §11).

    :raises ImageNotFound: no such image
    :raises NotFound: the store has no copy
    :raises Conflict: no such store, or the image is not active
    :raises Forbidden: policy, not the caller's, or it is the only copy
    :raises InUse: the store keeps it
    """
    access.require_writer(context)
    if store not in service.stores.drivers():
        raise exception.Conflict(f"Store {store!r} is not one of {', '.join(service.stores.drivers())}.")
    image = lifecycle.load(service, context, image_id)
    for rule in ("get_image_location", "delete_image_location"):
        service.policy.enforce(context, rule, service.policy.image_target(context, image))
    access.require_mutable(context, image, "delete a location of")
    if image.status != "active":
        raise exception.Conflict(f"Image {image_id} is {image.status}, not active.")
    locations = [location for location in image.locations if location.status == "active"]
    there = [entry for entry in locations if service.stores.place(entry.url, entry.store).store == store]
    if not there:
        raise exception.NotFound(f"Store {store} has no data of image {image_id}.")
    if len(locations) == 1:
        raise exception.Forbidden("The last location of an image cannot be removed.")
    gone = there[0]
    pending = Location(gone.url, gone.metadata, "pending_delete", gone.id)
    service.catalog.update(
        context, image_id, {"change_locations": [pending]}, from_status="active", if_match=[str(image.etag)]
    )
    image = delete_data(service, context, image, gone)
    service.notifier.info("image.update", notifications.image_payload(service, image))


def delete_data(service: Service, context: RequestContext, image: Image, location: Location) -> Image:
    """Remove the data of a location that nobody is sent to any more; return the image as it is then.

    :raises InUse, Forbidden, StoreUnavailable: the store keeps it; the location is back
    """
    status = "deleted"
    try:
        service.stores.place(location.url, location.store, context).delete()
    except (exception.ImageDataNotFound, exception.StoreDeleteNotSupported) as error:
        LOG.info("Nothing to remove from the store for image %s: %s", image.id, error)
    except exception.GlanceException:
        status = "active"
        raise
    finally:
        entry = Location(location.url, location.metadata, status, location.id)
        if location.id is not None:
            image = service.catalog.update(context, image.id, {"change_locations": [entry]})
    return image


def _index(place: str) -> int:
    if not (place.isascii() and place.isdigit()) or len(place) > 9:
        raise exception.Invalid(f"'{place}' is not the number of a location.")
    return int(place)


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    metadata = value["metadata"]
    if not _is_plain(metadata):
        raise exception.Invalid("The metadata of a location may hold strings, lists and objects of them.")
    return metadata


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return isinstance(value, str)
