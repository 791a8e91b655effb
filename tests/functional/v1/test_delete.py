"""Deleting images (spec v1-api.md §5.7)."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, listed, set_status, status_of

DATA = b"data of the image"


def delete(deployment, image_id, caller):
    return deployment.request("DELETE", f"/images/{image_id}", headers=caller)


def test_delete(trusted, user):
    image = trusted.create(DATA, headers=user, property_a=1)
    trusted.request("PUT", f"/images/{image['id']}/members/m", headers=user)
    answer = delete(trusted, image["id"], user)
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")
    assert trusted.files(image["id"]) == []
    path = f"/images/{image['id']}"
    for method in ("HEAD", "GET", "PUT", "DELETE"):
        assert trusted.request(method, path, headers=user).status_code == 404
    assert trusted.request("GET", path + "/members", headers=user).status_code == 404
    assert listed(trusted, user) == []
    assert trusted.request("GET", "/shared-images/m", headers=user).json() == {"shared_images": []}
    for table in ("image_properties", "image_members", "image_locations"):
        assert trusted.sql(f"SELECT deleted FROM {table} WHERE image_id = ?", image["id"]) == [(1,)], table


def test_admins_still_see_the_record(trusted, user):
    image = trusted.create(DATA, headers=user)
    delete(trusted, image["id"], user)
    path = f"/images/{image['id']}"
    headers = trusted.request("HEAD", path, headers=ADMIN).headers
    assert (headers["x-image-meta-deleted"], headers["x-image-meta-status"]) == ("True", "deleted")
    assert headers["x-image-meta-deleted_at"] >= image["created_at"]
    assert trusted.request("GET", path, headers=ADMIN).status_code == 404
    assert trusted.request("GET", path + "/members", headers=ADMIN).status_code == 404
    assert delete(trusted, image["id"], ADMIN).status_code == 404


@pytest.mark.parametrize("status", ["queued", "saving", "killed", "active"])
def test_any_live_image(trusted, user, status):
    image = trusted.create(headers=user)
    set_status(trusted, image["id"], status)
    assert delete(trusted, image["id"], user).status_code == 200
    assert status_of(trusted, image["id"]) == "deleted"


@pytest.mark.parametrize("caller", ["user", "admin"])
def test_deactivated_image(trusted, user, caller):
    image = trusted.create(DATA, headers=user)
    set_status(trusted, image["id"], "deactivated")
    assert delete(trusted, image["id"], user if caller == "user" else ADMIN).status_code == 200
    assert (status_of(trusted, image["id"]), trusted.files(image["id"])) == ("deleted", [])


def test_protected(trusted, user):
    image = trusted.create(DATA, headers=user, protected="true")
    for caller in (user, ADMIN):
        answer = delete(trusted, image["id"], caller)
        assert (answer.status_code, "protected" in answer.text) == (403, True)
    assert trusted.request("GET", f"/images/{image['id']}", headers=user).content == DATA
    trusted.request("PUT", f"/images/{image['id']}", headers=user | {"x-image-meta-protected": "false"})
    assert delete(trusted, image["id"], user).status_code == 200


def test_unknown_image(trusted, user):
    for image_id in (uuid.uuid4(), "nonsense"):
        assert delete(trusted, image_id, user).status_code == 404


def test_others(trusted, user, other):
    """Who may not delete an image removes neither its record nor its data."""
    private = trusted.create(DATA, headers=user)
    public = trusted.create(DATA, headers=ADMIN, is_public="true")
    ownerless = trusted.create(DATA, headers=ADMIN, owner="")
    trusted.request("PUT", f"/images/{private['id']}/members/m", headers=user, data='{"member": {"can_share": true}}')
    for image, caller, status in (
        (private, other, 404), (public, other, 403), (ownerless, other, 404), (private, identity("m"), 404),
    ):  # fmt: skip
        assert delete(trusted, image["id"], caller).status_code == status
        assert (status_of(trusted, image["id"]), trusted.files(image["id"])) == ("active", [image["id"]])


def test_data_is_gone_already(trusted, user):
    image = trusted.create(DATA, headers=user)
    (trusted.images / image["id"]).unlink()
    assert delete(trusted, image["id"], user).status_code == 200
    assert status_of(trusted, image["id"]) == "deleted"


def test_store_refuses(trusted, user):
    image = trusted.create(DATA, headers=user, property_a=1)
    trusted.images.chmod(0o500)
    try:
        assert delete(trusted, image["id"], user).status_code == 403
    finally:
        trusted.images.chmod(0o755)
    answer = trusted.request("GET", f"/images/{image['id']}", headers=user)
    assert (answer.content, answer.headers["x-image-meta-property-a"]) == (DATA, "1")
    assert delete(trusted, image["id"], user).status_code == 200
    assert trusted.files(image["id"]) == []


def test_location_that_cannot_be_deleted(tuned, trusted, user, source):
    image = trusted.create(DATA, headers=user)
    trusted.sql("UPDATE image_locations SET value = ? WHERE image_id = ?", f"{source.url}/size/3", image["id"])
    assert delete(trusted, image["id"], user).status_code == 200
    assert status_of(trusted, image["id"]) == "deleted"


def test_delayed_delete(tuned, user):
    image = tuned.create(DATA, headers=user)
    assert delete(tuned, image["id"], user).status_code == 200
    assert tuned.files(image["id"]) == [image["id"]]
    assert tuned.sql("SELECT deleted, status FROM images WHERE id = ?", image["id"]) == [(1, "pending_delete")]
    assert tuned.sql("SELECT status FROM image_locations WHERE image_id = ?", image["id"]) == [("pending_delete",)]
    assert tuned.request("HEAD", f"/images/{image['id']}", headers=user).status_code == 404
    headers = tuned.request("HEAD", f"/images/{image['id']}", headers=ADMIN).headers
    assert (headers["x-image-meta-deleted"], headers["x-image-meta-status"]) == ("True", "pending_delete")
    assert delete(tuned, image["id"], user).status_code == 404
    assert delete(tuned, image["id"], ADMIN).status_code == 403


@pytest.mark.parametrize("size", [None, 0])
def test_delayed_delete_without_location(tuned, user, size):
    image = tuned.create(headers=user, **({} if size is None else {"size": size}))
    assert delete(tuned, image["id"], user).status_code == 200
    assert status_of(tuned, image["id"]) == "deleted"


def test_deletes_at_the_same_time(trusted, user):
    """One of them deletes, the others find nothing; it is the same for an upload that ends meanwhile."""
    upload = user | {
        "x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare",
        "Content-Type": "application/octet-stream",
    }  # fmt: skip
    for _ in range(3):
        image = trusted.create(headers=user)
        start = threading.Barrier(5)

        def act(number, image=image, start=start):
            start.wait()
            if number == 0:
                return trusted.request("PUT", f"/images/{image['id']}", headers=upload, data=DATA).status_code
            return delete(trusted, image["id"], user).status_code

        with ThreadPoolExecutor(5) as pool:
            uploaded, *deleted = pool.map(act, range(5))
        assert sorted(deleted) == [200, 404, 404, 404]
        assert uploaded in (200, 404, 409, 412)
        assert (status_of(trusted, image["id"]), trusted.files(image["id"])) == ("deleted", [])
