"""GET and DELETE of an image (spec v2-images.md §5)."""

import uuid

import pytest

from tests.functional.v2.conftest import Caller, Deployment, add, replace


@pytest.fixture
def api(either):
    return either


@pytest.fixture(scope="module")
def delayed(deploy) -> Deployment:
    return deploy(api={"delayed_delete": True})


def test_show(user):
    image = user.create(name="n", x="y")
    answer = user.show(image["id"])
    assert (answer.status_code, answer.json()) == (200, image)
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    assert user.show(str(uuid.uuid4())).status_code == 404


def test_delete(user):
    image = user.active()
    assert user.deployment.files(image["id"])
    answer = user.delete(image["id"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert not user.deployment.files(image["id"])
    assert user.delete(image["id"]).status_code == 404
    assert user.show(image["id"]).status_code == 404


def test_protected(user, admin):
    image = user.create(protected=True)
    assert user.delete(image["id"]).status_code == 403
    assert admin.delete(image["id"]).status_code == 403
    assert user.patch(image["id"], replace("protected", False)).status_code == 200
    assert user.delete(image["id"]).status_code == 204


@pytest.mark.parametrize("visibility", ["public", "community", "private", "shared"])
def test_somebody_elses(user, other, admin, visibility):
    image = admin.create(owner=user.project, visibility=visibility)
    expected = 403 if visibility in ("public", "community") else 404
    assert other.delete(image["id"]).status_code == expected
    assert user.show(image["id"]).status_code == 200
    assert admin.delete(image["id"]).status_code == 204
    assert user.show(image["id"]).status_code == 404


def test_shared_with_the_caller(user, other):
    image = user.create()
    user.share(image["id"], other)
    assert other.delete(image["id"]).status_code == 403
    assert user.delete(image["id"]).status_code == 204
    assert other.show(image["id"]).status_code == 404


@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing", "active", "deactivated", "killed"])
def test_any_status_can_be_deleted(user, status):
    image = user.active()
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image["id"])
    assert user.delete(image["id"]).status_code == 204
    assert user.show(image["id"]).status_code == 404


def test_data_that_is_missing(user):
    image = user.active()
    (user.deployment.images / image["id"]).unlink()
    assert user.delete(image["id"]).status_code == 204
    assert user.deployment.sql("SELECT status FROM images WHERE id = ?", image["id"]) == [("deleted",)]


def test_delayed(delayed):
    user, admin = Caller(delayed), Caller(delayed, roles="admin")
    image = user.active()
    assert user.delete(image["id"]).status_code == 204
    assert delayed.sql("SELECT status FROM images WHERE id = ?", image["id"]) == [("pending_delete",)]
    assert delayed.files(image["id"])
    for caller in (user, admin):
        assert caller.show(image["id"]).status_code == 404
        assert caller.delete(image["id"]).status_code == 404
        assert caller.patch(image["id"], add("x", "y")).status_code == 404
        assert caller.ids() == []


def test_delayed_without_data(delayed):
    user = Caller(delayed)
    image = user.create()
    assert user.delete(image["id"]).status_code == 204
    assert delayed.sql("SELECT status FROM images WHERE id = ?", image["id"]) == [("deleted",)]


def test_children_go_along(user, other):
    image = user.create(x="y", tags=["a"])
    user.share(image["id"], other)
    assert user.delete(image["id"]).status_code == 204
    for table in ("image_properties", "image_tags", "image_members"):
        rows = user.deployment.sql(f"SELECT deleted FROM {table} WHERE image_id = ?", image["id"])
        assert rows == [(1,)], table
