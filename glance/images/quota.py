"""Limits on what an image holds and on what its owner stores (spec policy-quota-protection.md §5).

A negative maximum means unlimited.  ``attempted`` is always the number after the change;
what exceeds a lowered limit already is no error, so check only what grows.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from oslo_config import cfg

from glance.common.config.types import parse_size
from glance.common.exception import (
    ImageLocationLimitExceeded,
    ImageMemberLimitExceeded,
    ImagePropertyLimitExceeded,
    ImageSizeLimitExceeded,
    ImageTagLimitExceeded,
    LimitExceeded,
    StorageQuotaFull,
)
from glance.context import RequestContext
from glance.images.model import Image

if TYPE_CHECKING:
    from glance.images.service import Service

RESERVED_PREFIX = "os_glance"


def check_members(conf: cfg.ConfigOpts, attempted: int) -> None:
    """:param attempted: live members of one image  :raises ImageMemberLimitExceeded:"""
    _check(ImageMemberLimitExceeded, conf.image_member_quota, attempted)


def check_properties(conf: cfg.ConfigOpts, names: Iterable[str]) -> None:
    """:param names: of all properties; the service's own do not count
    :raises ImagePropertyLimitExceeded:"""
    attempted = sum(1 for name in names if not name.startswith(RESERVED_PREFIX))
    _check(ImagePropertyLimitExceeded, conf.image_property_quota, attempted)


def check_tags(conf: cfg.ConfigOpts, tags: Iterable[str]) -> None:
    """:raises ImageTagLimitExceeded:"""
    _check(ImageTagLimitExceeded, conf.image_tag_quota, len(set(tags)))


def check_locations(conf: cfg.ConfigOpts, locations: Collection[object]) -> None:
    """:raises ImageLocationLimitExceeded:"""
    _check(ImageLocationLimitExceeded, conf.image_location_quota, len(locations))


def _check(error: type[LimitExceeded], maximum: int, attempted: int) -> None:
    if 0 <= maximum < attempted:
        raise error(attempted=attempted, maximum=maximum)


def check_size(conf: cfg.ConfigOpts, size: int | None) -> None:
    """:param size: bytes of one image, None while unknown  :raises ImageSizeLimitExceeded:"""
    if size is not None and 0 <= conf.image_size_cap < size:
        raise ImageSizeLimitExceeded(limit=conf.image_size_cap)


def storage_quota(conf: cfg.ConfigOpts) -> int | None:
    """Bytes that each owner may store (user_storage_quota); None: unlimited."""
    return parse_size(conf.user_storage_quota) or None


def remaining(quota: int | None, used: int) -> int | None:
    """Bytes that are left, never negative; None: unlimited."""
    return None if quota is None else max(0, quota - used)


def check_storage(left: int | None, size: int | None) -> None:
    """Before data is taken.

    :param left: what ``remaining`` says
    :param size: bytes to come; unknown ones (None) pass while anything is left
    :raises StorageQuotaFull:
    """
    if left is None:
        return
    if size is None:
        if left == 0:
            raise StorageQuotaFull("The storage quota is used up: 0 bytes remaining.")
    elif size > left:
        raise StorageQuotaFull(image_size=size, remaining=left)


def max_usage(service: "Service", image: Image) -> int | None:
    """Bytes that the owner of ``image`` may use in all, for the transaction that adds data; None: unlimited."""
    return storage_quota(service.conf)


class UploadLimits:
    """How much one upload may bring.

    :param size: bytes announced, None if unknown
    :ivar stream: bytes that may be read, None: any number
    :ivar usage: bytes that the owner may use in all, None: unlimited
    :raises ImageSizeLimitExceeded, StorageQuotaFull: already what was announced is too much
    """

    def __init__(self, service: "Service", context: RequestContext, image: Image, size: int | None) -> None:
        conf = service.conf
        check_size(conf, size)
        self.usage = max_usage(service, image)
        left = None
        if self.usage is not None:
            left = remaining(self.usage, service.catalog.usage(context, image.owner))
            check_storage(left, size)
        cap = conf.image_size_cap if conf.image_size_cap >= 0 else None
        self.stream = min((limit for limit in (cap, left) if limit is not None), default=None)
