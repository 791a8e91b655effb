"""Limits (spec policy-quota-protection.md §5)."""

from types import SimpleNamespace

import pytest

from glance.common import exception
from glance.context import RequestContext
from glance.images import quota
from glance.images.model import Image

COUNTS = {
    "image_member_quota": (exception.ImageMemberLimitExceeded, quota.check_members),
    "image_property_quota": (
        exception.ImagePropertyLimitExceeded,
        lambda conf, count: quota.check_properties(conf, [f"p{number}" for number in range(count)]),
    ),
    "image_tag_quota": (
        exception.ImageTagLimitExceeded,
        lambda conf, count: quota.check_tags(conf, [f"t{number}" for number in range(count)]),
    ),
    "image_location_quota": (
        exception.ImageLocationLimitExceeded,
        lambda conf, count: quota.check_locations(conf, list(range(count))),
    ),
}


@pytest.mark.parametrize(
    ("maximum", "attempted", "passes"),
    [(3, 3, True), (3, 4, False), (0, 0, True), (0, 1, False), (-1, 1000, True), (-5, 0, True)],
)
@pytest.mark.parametrize("option", COUNTS)
def test_counts(make_conf, option, maximum, attempted, passes):
    error, check = COUNTS[option]
    conf = make_conf(**{option: maximum})
    if passes:
        check(conf, attempted)
        return
    with pytest.raises(error, match=f"Attempted: {attempted}, Maximum: {maximum}") as caught:
        check(conf, attempted)
    assert isinstance(caught.value, exception.LimitExceeded)


@pytest.mark.parametrize(
    ("option", "default"), [*((name, 128) for name in list(COUNTS)[:3]), ("image_location_quota", 10)]
)
def test_defaults(make_conf, option, default):
    error, check = COUNTS[option]
    check(make_conf(), default)
    with pytest.raises(error):
        check(make_conf(), default + 1)


def test_properties_of_the_service_itself_do_not_count(make_conf):
    quota.check_properties(make_conf(image_property_quota=1), ["os_glance_a", "mine", "os_glance_b"])


def test_the_same_tag_counts_once(make_conf):
    quota.check_tags(make_conf(image_tag_quota=1), ["a", "a"])


@pytest.mark.parametrize(("size", "passes"), [(None, True), (0, True), (100, True), (101, False)])
def test_size_cap(make_conf, size, passes):
    conf = make_conf(image_size_cap=100)
    if passes:
        quota.check_size(conf, size)
    else:
        with pytest.raises(exception.ImageSizeLimitExceeded, match="100 bytes"):
            quota.check_size(conf, size)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", None), ("0TB", None), ("1", 1), ("10B", 10), ("1KB", 2**10), ("2MB", 2 * 2**20), ("3GB", 3 * 2**30),
        ("1TB", 2**40),
    ],
)  # fmt: skip
def test_storage_quota(make_conf, text, expected):
    assert quota.storage_quota(make_conf(user_storage_quota=text)) == expected


@pytest.mark.parametrize(
    ("maximum", "used", "left"), [(None, 10, None), (10, 0, 10), (10, 10, 0), (10, 15, 0)]
)  # fmt: skip
def test_remaining(maximum, used, left):
    assert quota.remaining(maximum, used) == left


@pytest.mark.parametrize(
    ("left", "size", "complaint"),
    [
        (None, 10**15, None),
        (None, None, None),
        (10, 10, None),
        (10, 11, "11 will exceed the limit. 10 bytes remaining"),
        (1, None, None),
        (0, None, "0 bytes remaining"),
        (0, 0, None),
        (0, 1, "0 bytes remaining"),
    ],
)
def test_storage(left, size, complaint):
    if complaint is None:
        quota.check_storage(left, size)
    else:
        with pytest.raises(exception.StorageQuotaFull, match=complaint):
            quota.check_storage(left, size)


def upload(conf, used: int, size: int | None) -> quota.UploadLimits:
    catalog = SimpleNamespace(usage=lambda context, owner: used if owner == "p1" else 0)
    service = SimpleNamespace(conf=conf, catalog=catalog)
    return quota.UploadLimits(service, RequestContext(overwrite=False), Image(id="i", owner="p1"), size)


@pytest.mark.parametrize(
    ("storage", "used", "stream", "usage"), [("0", 5, 100, None), ("60", 20, 40, 60), ("1KB", 20, 100, 1024)]
)
def test_upload_limits(make_conf, storage, used, stream, usage):
    limits = upload(make_conf(image_size_cap=100, user_storage_quota=storage), used, None)
    assert (limits.stream, limits.usage) == (stream, usage)


@pytest.mark.parametrize(
    ("used", "size", "error"),
    [
        (0, 101, exception.ImageSizeLimitExceeded),
        (20, 41, exception.StorageQuotaFull),
        (60, None, exception.StorageQuotaFull),
        (70, 1, exception.StorageQuotaFull),
    ],
)
def test_announced_size_that_is_too_much(make_conf, used, size, error):
    with pytest.raises(error):
        upload(make_conf(image_size_cap=100, user_storage_quota="60"), used, size)
