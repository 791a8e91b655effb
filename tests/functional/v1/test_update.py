"""Changing images (spec v1-api.md §5.6, §4.4)."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, listed, set_status, status_of

OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
DATA = b"data of the image"


def put(deployment, image_id, caller=None, /, data=None, headers=None, **meta):
    """PUT to an image; keywords are x-image-meta-* headers (``property_x`` properties)."""
    sent = {f"x-image-meta-{key.replace('property_', 'property-', 1)}": str(value) for key, value in meta.items()}
    return deployment.request("PUT", f"/images/{image_id}", data=data, headers=(caller or {}) | sent | (headers or {}))


def changed(deployment, *args, **kwargs):
    """The image after a PUT that must succeed."""
    answer = put(deployment, *args, **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json()["image"]


# --- attributes -----------------------------------------------------------------------


def test_scalars_that_are_not_sent_stay(trusted, user):
    image = trusted.create(DATA, headers=user, name="before", min_disk=3, min_ram=4, virtual_size=5)
    after = changed(trusted, image["id"], user, name="after", min_ram=7)
    assert after.pop("updated_at") > image.pop("updated_at")
    assert after == image | {"name": "after", "min_ram": 7}
    answer = trusted.request("HEAD", f"/images/{image['id']}", headers=user)
    assert (answer.headers["x-image-meta-name"], answer.headers["x-image-meta-min_disk"]) == ("after", "3")


def test_empty_header_is_null(trusted, user):
    image = trusted.create(headers=user, name="before", virtual_size=5)
    after = changed(trusted, image["id"], user, name="", virtual_size="None")
    assert (after["name"], after["virtual_size"]) == (None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "n" * 256), ("disk_format", "floppy"), ("disk_format", ""), ("container_format", "box"),
        ("size", "x"), ("min_disk", "-1"), ("min_ram", str(2**31)), ("virtual_size", "-1"), ("checksum", "c" * 33),
        ("frob", "1"), ("purge-props", "true"), ("location", ""), ("created_at", "x"), ("id", "1"),
        ("store", "nowhere"), ("container_format", "ami"),
    ],
)  # fmt: skip
def test_bad_header_is_400(trusted, user, key, value):
    image = trusted.create(DATA, headers=user)
    assert put(trusted, image["id"], user, **{key: value}).status_code == 400
    assert listed(trusted, user) == [image]


def test_formats(noauth):
    image = noauth.create()
    after = changed(noauth, image["id"], disk_format="qcow2", container_format="ovf")
    assert (after["disk_format"], after["container_format"]) == ("qcow2", "ovf")
    image = noauth.create()
    after = changed(noauth, image["id"], disk_format="aki")
    assert (after["disk_format"], after["container_format"]) == ("aki", "aki")


@pytest.mark.parametrize("caller", ["user", "admin"])
def test_id_and_status_are_fixed(trusted, user, caller):
    image = trusted.create(DATA, headers=user)
    caller = user if caller == "user" else ADMIN
    assert put(trusted, image["id"], caller, id=str(uuid.uuid4())).status_code == 403
    for status in ("queued", "killed", "deleted", "pending_delete", "nonsense"):
        assert put(trusted, image["id"], caller, status=status).status_code == 403
    assert put(trusted, image["id"], caller, id=image["id"], status="active").status_code == 200
    assert status_of(trusted, image["id"]) == "active"


@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_size_and_checksum_of_stored_data(trusted, user, status):
    image = trusted.create(DATA, headers=user)
    set_status(trusted, image["id"], status)
    assert put(trusted, image["id"], user, size=1).status_code == 403
    assert put(trusted, image["id"], user, checksum="0" * 32).status_code == 403
    same = changed(trusted, image["id"], user, size=image["size"], checksum=image["checksum"])
    assert same["size"] == len(DATA)
    after = changed(trusted, image["id"], ADMIN, size=1, checksum="0" * 32)
    assert (after["size"], after["checksum"], after["status"]) == (1, "0" * 32, status)


def test_size_of_a_queued_image(trusted, user):
    image = trusted.create(headers=user)
    after = changed(trusted, image["id"], user, size=5, checksum="0" * 32)
    assert (after["size"], after["checksum"], after["status"]) == (5, "0" * 32, "queued")


def test_owner(trusted, user, tenant):
    image = trusted.create(headers=user)
    assert changed(trusted, image["id"], user, owner="someone")["owner"] == tenant
    assert changed(trusted, image["id"], user, owner="")["owner"] == tenant
    assert changed(trusted, image["id"], ADMIN, name="x")["owner"] == tenant
    assert changed(trusted, image["id"], ADMIN, owner="someone")["owner"] == "someone"
    assert put(trusted, image["id"], user, name="mine no more").status_code == 404
    assert changed(trusted, image["id"], ADMIN, owner="")["owner"] is None


def test_times_are_the_servers(trusted, user):
    image = trusted.create(headers=user)
    past = "2001-01-01T00:00:00"
    after = changed(trusted, image["id"], user, created_at=past, updated_at=past, deleted_at=past, deleted="true")
    assert after["created_at"] == image["created_at"]
    assert after["updated_at"] > image["updated_at"]
    assert (after["deleted_at"], after["deleted"]) == (None, False)


# --- is_public ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        ("public", "false", "shared"), ("public", None, "public"), ("public", "true", "public"),
        ("private", "false", "private"), ("shared", "false", "shared"), ("community", "false", "community"),
        ("private", None, "private"), ("community", None, "community"),
        ("private", "true", "public"), ("shared", "true", "public"), ("community", "true", "public"),
    ],
)  # fmt: skip
def test_visibility(trusted, before, sent, after):
    image = trusted.create(headers=ADMIN)
    trusted.sql("UPDATE images SET visibility = ? WHERE id = ?", before, image["id"])
    updated = changed(trusted, image["id"], ADMIN, name="x", **({"is_public": sent} if sent else {}))
    assert updated["is_public"] == (after == "public")
    assert trusted.sql("SELECT visibility FROM images WHERE id = ?", image["id"]) == [(after,)]


def test_only_admins_publish(trusted, user):
    image = trusted.create(headers=user)
    assert put(trusted, image["id"], user, is_public="true").status_code == 403
    assert changed(trusted, image["id"], user, is_public="false")["is_public"] is False


# --- properties -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purge", "properties"),
    [
        (None, {"b": "20", "c": "3"}), ("true", {"b": "20", "c": "3"}), ("TRUE", {"b": "20", "c": "3"}),
        ("1", {"b": "20", "c": "3"}), ("false", {"a": "1", "b": "20", "c": "3"}),
        ("False", {"a": "1", "b": "20", "c": "3"}), ("0", {"a": "1", "b": "20", "c": "3"}),
    ],
)  # fmt: skip
def test_properties(trusted, user, purge, properties):
    image = trusted.create(headers=user, property_a=1, property_b=2)
    headers = {} if purge is None else {"x-glance-registry-purge-props": purge}
    after = changed(trusted, image["id"], user, headers=headers, property_b=20, property_C=3)
    assert after["properties"] == properties
    (found,) = listed(trusted, user)
    assert found["properties"] == properties


def test_no_property_headers_clear_them(trusted, user):
    image = trusted.create(headers=user, property_a=1)
    headers = {"x-glance-registry-purge-props": "false"}
    assert changed(trusted, image["id"], user, headers=headers)["properties"] == {"a": "1"}
    assert changed(trusted, image["id"], user)["properties"] == {}
    assert changed(trusted, image["id"], user, property_a="again")["properties"] == {"a": "again"}


def test_a_body_keeps_the_properties(trusted, user):
    image = trusted.create(headers=user | FORMATS, property_a=1)
    after = changed(trusted, image["id"], user, data=DATA, headers=OCTETS, property_b=2)
    assert (after["status"], after["properties"]) == ("active", {"a": "1", "b": "2"})


def test_concurrent_additions_both_survive(trusted, user):
    image = trusted.create(headers=user)
    start = threading.Barrier(4)
    headers = {"x-glance-registry-purge-props": "false"}

    def add(number):
        start.wait()
        return put(trusted, image["id"], user, headers=headers, **{f"property_p{number}": number}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, range(4))) == [200] * 4
    (found,) = listed(trusted, user)
    assert found["properties"] == {f"p{number}": str(number) for number in range(4)}


# --- data -----------------------------------------------------------------------------


def test_data_into_a_queued_image(trusted, user):
    image = trusted.create(headers=user, name="n")
    after = changed(trusted, image["id"], user, data=DATA, headers=OCTETS | FORMATS)
    assert (after["status"], after["size"], after["name"]) == ("active", len(DATA), "n")
    assert trusted.request("GET", f"/images/{image['id']}", headers=user).content == DATA


@pytest.mark.parametrize("status", ["active", "saving", "killed", "deactivated"])
def test_data_into_another_image(trusted, user, status):
    image = trusted.create(headers=user)
    set_status(trusted, image["id"], status)
    answer = put(trusted, image["id"], user, data=DATA, headers=OCTETS | FORMATS)
    assert (answer.status_code, "Cannot upload to an unqueued image" in answer.text) == (409, True)
    assert status_of(trusted, image["id"]) == status
    # Nothing else of the request was done either.
    (found,) = listed(trusted, user, **{"changes-since": "2000-01-01"})
    assert found["disk_format"] is None


def test_zero_length_body_is_no_body(trusted, user):
    image = trusted.create(DATA, headers=user, property_a=1)
    after = changed(trusted, image["id"], user, data=b"", headers=OCTETS | {"Content-Length": "0"}, name="n")
    assert (after["name"], after["status"], after["size"], after["properties"]) == ("n", "active", len(DATA), {})


def test_data_needs_formats_and_type(trusted, user):
    image = trusted.create(headers=user)
    answer = put(trusted, image["id"], user, data=DATA, headers=OCTETS)
    assert (answer.status_code, "Disk format is not specified." in answer.text) == (400, True)
    assert status_of(trusted, image["id"]) == "queued"
    answer = put(trusted, image["id"], user, data=DATA, headers=FORMATS | {"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert (status_of(trusted, image["id"]), trusted.files(image["id"])) == ("killed", [])


# --- who and what may not be changed ----------------------------------------------------


def test_unknown_image(trusted, user):
    for image_id in (uuid.uuid4(), "nonsense", "%C3%A4", "detailed"):
        assert put(trusted, image_id, user, name="x").status_code == 404


def test_deleted_image(trusted, user):
    image = trusted.create(headers=user)
    trusted.request("DELETE", f"/images/{image['id']}", headers=user)
    assert put(trusted, image["id"], user, name="x").status_code == 404
    answer = put(trusted, image["id"], ADMIN, name="x")
    assert (answer.status_code, "Forbidden to update deleted image." in answer.text) == (403, True)


def test_pending_delete_image(tuned, user):
    image = tuned.create(DATA, headers=user)
    tuned.request("DELETE", f"/images/{image['id']}", headers=user)
    assert status_of(tuned, image["id"]) == "pending_delete"
    assert put(tuned, image["id"], user, name="x").status_code == 404
    after = changed(tuned, image["id"], ADMIN, name="x")
    assert (after["name"], after["status"]) == ("x", "pending_delete")


def test_others(trusted, user, other):
    private = trusted.create(headers=user)
    public = trusted.create(headers=ADMIN, is_public="true")
    ownerless = trusted.create(headers=ADMIN, owner="")
    assert put(trusted, private["id"], other, name="x").status_code == 404
    assert put(trusted, public["id"], other, name="x").status_code == 403
    assert put(trusted, ownerless["id"], other, name="x").status_code == 404
    member = identity("a-member")
    trusted.request("PUT", f"/images/{private['id']}/members/a-member", headers=user)
    assert trusted.request("HEAD", f"/images/{private['id']}", headers=member).status_code == 200
    assert put(trusted, private["id"], member, name="x").status_code == 404
