"""Changing an image by a list of changes, all or none: the v2 API's PATCH (spec v2-images.md §6).

The changes are applied to a draft of the image; what differs is saved as differences, so
that two callers who change different things at the same time both succeed, and what a
caller cannot see stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glance.common import exception
from glance.context import RequestContext
from glance.images import access, acls, lifecycle, locations, notifications, quota
from glance.images.model import Image
from glance.images.service import Service

READ_ONLY = frozenset(
    (
        "id", "status", "checksum", "size", "virtual_size", "created_at", "updated_at", "direct_url", "self", "file",
        "schema", "os_hash_algo", "os_hash_value", "stores",
    )
)  # fmt: skip
RESERVED = frozenset(("location", "deleted", "deleted_at"))
RESERVED_PREFIX = quota.RESERVED_PREFIX
WRITABLE = (
    "name", "visibility", "protected", "os_hidden", "owner", "container_format", "disk_format", "tags", "min_ram",
    "min_disk",
)  # fmt: skip
_FORMATS = ("container_format", "disk_format")
_FORMATS_OPEN = ("queued", "importing")
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    :ivar path: name of an attribute or property; for locations also which one
    :ivar value: checked against the image's schema already; None for ``remove``
    :ivar only_new: ``add`` of an attribute that exists is an error (the older patch syntax)
    """

    op: Literal["add", "remove", "replace"]
    path: tuple[str, ...]
    value: Any = None
    only_new: bool = False


def is_fixed(name: str) -> bool:
    """Whether no caller may set the attribute or property."""
    return name in READ_ONLY or name in RESERVED or name.startswith(RESERVED_PREFIX)


def edit(
    service: Service,
    context: RequestContext,
    image_id: str,
    changes: Sequence[Change],
    if_match: list[str] | None = None,
) -> Image:
    """Apply all changes, or none; return the image as the caller may see it.

    :param if_match: only if the image's etag is one of these, or ``*`` is
    :raises PreconditionFailed: it is not
    :raises ImageNotFound: invisible
    :raises Forbidden: not the caller's, read-only or reserved attribute, policy, property protection
    :raises Conflict: a change of a property that is not there, or of locations in the wrong status
    :raises Invalid: a location cannot be used
    :raises LimitExceeded: number of properties, tags, locations, storage
    """
    access.require_writer(context)
    for tries_left in reversed(range(_TRIES)):
        image = lifecycle.load(service, context, image_id)
        if not changes and if_match is None:
            break
        draft = _Draft(service, context, image)
        if changes:
            draft.require_mutable()
        for change in changes:
            draft.apply(change)
        try:
            image = draft.save(if_match)
            break
        except exception.Conflict:  # the status changed meanwhile: what is allowed may be another matter
            if not tries_left:
                raise
        except exception.PreconditionFailed:  # ours, for locations that must still be those we saw
            if if_match is not None or not tries_left:
                raise
    image.properties = service.protections.visible(context, image.properties)
    return image


def tag(service: Service, context: RequestContext, image_id: str, value: str) -> None:
    """Give an image a tag; one that it has stays.  :raises: as ``edit``"""
    image = _load_for_change(service, context, image_id)
    if value not in image.tags:
        quota.check_tags(service.conf, [*image.tags, value])
        changed = service.catalog.update(context, image_id, {"add_tags": [value]})
        service.notifier.info("image.update", notifications.image_payload(service, changed))


def untag(service: Service, context: RequestContext, image_id: str, value: str) -> None:
    """Take a tag away.  :raises NotFound: the image has no such tag  :raises: as ``edit``"""
    image = _load_for_change(service, context, image_id)
    if value not in image.tags:
        raise exception.NotFound(f"Image {image_id} has no tag {value}.")
    changed = service.catalog.update(context, image_id, {"drop_tags": [value]})
    service.notifier.info("image.update", notifications.image_payload(service, changed))


def set_active(service: Service, context: RequestContext, image_id: str, active: bool) -> None:
    """Give out the data of an image again, or to administrators only from now on.

    :raises Forbidden: it is neither active nor deactivated, or not the caller's
    """
    access.require_writer(context)
    image = lifecycle.load(service, context, image_id)
    verb, source, target = (
        ("reactivate", "deactivated", "active") if active else ("deactivate", "active", "deactivated")
    )
    service.policy.enforce(context, verb, service.policy.image_target(context, image))
    access.require_mutable(context, image, verb)
    if image.status not in (source, target):
        raise exception.Forbidden(f"Not allowed to {verb} an image in status '{image.status}'.")
    if image.status == source:
        changed = service.catalog.update(context, image_id, {"status": target}, from_status=source)
        service.notifier.info("image.update", notifications.image_payload(service, changed))


def _load_for_change(service: Service, context: RequestContext, image_id: str) -> Image:
    access.require_writer(context)
    image = lifecycle.load(service, context, image_id)
    service.policy.enforce(context, "modify_image", service.policy.image_target(context, image))
    access.require_mutable(context, image, "update")
    return image


class _Draft:
    """An image as it will be.

    :ivar image: as it is
    """

    def __init__(self, service: Service, context: RequestContext, image: Image) -> None:
        self._service, self._context, self.image = service, context, image
        self._attributes: dict[str, Any] = {}
        self._properties = dict(service.protections.visible(context, image.properties))
        self._dropped: set[str] = set()
        self._set: dict[str, str | None] = {}
        self._locations: locations.Draft | None = None

    def require_mutable(self) -> None:
        self._enforce("modify_image")
        access.require_mutable(self._context, self.image, "update")

    def apply(self, change: Change) -> None:
        name = change.path[0]
        if name == "locations":
            self._locations = self._locations or locations.Draft(self._service, self._context, self.image)
            self._locations.apply(change.op, change.path[1:], change.value)
        elif is_fixed(name):
            kind = "read-only" if name in READ_ONLY else "reserved"
            raise exception.Forbidden(f"Attribute '{name}' is {kind}.")
        elif name in WRITABLE:
            self._set_attribute(change)
        else:
            self._change_property(change)

    def _set_attribute(self, change: Change) -> None:
        name, value = change.path[0], change.value
        if change.op == "remove":
            raise exception.Forbidden(f"Attribute '{name}' cannot be removed.")
        if change.op == "add" and change.only_new:
            raise exception.Conflict(f"Attribute '{name}' already exists.")
        if name == "owner" and not self._context.is_admin:
            raise exception.Forbidden("Only administrators may give an image another owner.")
        if name in _FORMATS and self.image.status not in _FORMATS_OPEN:
            raise exception.Forbidden(f"Attribute '{name}' can only be changed while the image has no data.")
        if name == "visibility" and value in lifecycle.VISIBILITY_RULES:
            self._enforce(lifecycle.VISIBILITY_RULES[value])
        if name == "tags":
            value = list(dict.fromkeys(value))
        self._attributes[name] = value

    def _change_property(self, change: Change) -> None:
        name = change.path[0]
        exists = name in self._properties
        if change.op == "add" and change.only_new and exists:
            raise exception.Conflict(f"Property {name} already exists.")
        if change.op != "add" and not exists:
            raise exception.Conflict(f"Property {name} does not exist.")
        operation = "delete" if change.op == "remove" else "update" if exists else "create"
        self._service.protections.require(self._context, operation, name)
        if change.op == "remove":
            del self._properties[name]
            self._set.pop(name, None)
            self._dropped.add(name)
            return
        self._properties[name] = self._set[name] = change.value
        self._dropped.discard(name)

    def _check_quotas(self) -> None:
        """Of what there is in the end, and only if it grows: a quota may have been lowered meanwhile."""
        conf, image = self._service.conf, self.image
        tags = self._attributes.get("tags", ())
        if set(tags).difference(image.tags):
            quota.check_tags(conf, tags)
        names = (image.properties.keys() - self._dropped) | self._set.keys()
        if names - image.properties.keys():
            quota.check_properties(conf, names)

    def save(self, if_match: list[str] | None) -> Image:
        """Save what differs, if the image is still in the status it was loaded in."""
        self._check_quotas()
        changes: dict[str, Any] = dict(self._attributes)
        if self._set:
            changes["properties"] = self._set
        if self._dropped & self.image.properties.keys():
            changes["drop_properties"] = sorted(self._dropped & self.image.properties.keys())
        maximum = None
        if self._locations is not None:
            changes |= self._locations.changes({**_formats(self.image), **self._attributes})
            maximum = quota.max_usage(self._service, self.image)
            if_match = if_match or [str(self.image.etag)]
        saved = self._service.catalog.update(
            self._context, self.image.id, changes, from_status=self.image.status, if_match=if_match, max_usage=maximum
        )
        if self._locations is not None:
            saved = self._locations.saved(saved)
        acls.apply(self._service, self._context, saved)
        if saved.status == "active" and self.image.status == "queued":
            notifications.activated(self._service, saved)
        self._service.notifier.info("image.update", notifications.image_payload(self._service, saved))
        return saved

    def _enforce(self, rule: str) -> None:
        self._service.policy.enforce(self._context, rule, self._service.policy.image_target(self._context, self.image))


def _formats(image: Image) -> dict[str, str | None]:
    return {name: getattr(image, name) for name in _FORMATS}
