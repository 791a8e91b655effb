"""Taking back a deletion (spec v2-images.md §14)."""

import uuid

import pytest
import requests

from tests.functional.conftest import identity

DATA = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module", params=["glance.db.registry.api", "glance.db.sqlalchemy.api"])
def deployment(request, deploy):
    running = deploy(api={"delayed_delete": True, "scrub_time": 3600}, flavor="trusted-auth", data_api=request.param)
    yield running
    running.stop()


@pytest.fixture
def owner():
    return identity(uuid.uuid4().hex)


@pytest.fixture
def send(deployment, owner):
    def send(method, path, headers=owner, **more):
        return requests.request(method, f"{deployment.endpoint}/v2/images{path}", headers=headers, timeout=60, **more)

    return send


@pytest.fixture
def deleted(send, owner):
    """The id of a deleted image with data, a property, a tag and a member."""
    body = {"disk_format": "raw", "container_format": "bare", "colour": "red", "tags": ["t"]}
    image_id = send("POST", "", json=body).json()["id"]
    assert send("PUT", f"/{image_id}/file", headers=owner | DATA, data=b"data").status_code == 204
    assert send("POST", f"/{image_id}/members", json={"member": "m"}).status_code == 200
    assert send("DELETE", f"/{image_id}").status_code == 204
    assert send("GET", f"/{image_id}").status_code == 404
    return image_id


def test_everything_comes_back(send, deleted):
    assert send("POST", f"/{deleted}/actions/restore").status_code == 204
    image = send("GET", f"/{deleted}").json()
    assert (image["status"], image["colour"], image["tags"]) == ("active", "red", ["t"])
    assert [entry["member_id"] for entry in send("GET", f"/{deleted}/members").json()["members"]] == ["m"]
    assert send("GET", f"/{deleted}/file").content == b"data"
    assert send("POST", f"/{deleted}/actions/restore").status_code == 404


def test_others_do_not_know_it(send, deleted):
    assert send("POST", f"/{deleted}/actions/restore", headers=identity("stranger")).status_code == 404
    assert send("POST", f"/{deleted}/actions/restore", headers=identity("root", roles="admin")).status_code == 204


def test_its_time_is_over(deployment, send, deleted):
    deployment.sql("UPDATE images SET deleted_at = '2012-01-01 00:00:00.000000' WHERE id = ?", deleted)
    assert send("POST", f"/{deleted}/actions/restore").status_code == 409


def test_its_data_is_gone(deployment, send, deleted):
    (deployment.images / deleted).unlink()
    assert send("POST", f"/{deleted}/actions/restore").status_code == 409
    assert send("GET", f"/{deleted}").status_code == 404


def test_images_that_are_not_deleted(send):
    image_id = send("POST", "", json={}).json()["id"]
    assert send("POST", f"/{image_id}/actions/restore").status_code == 404
    assert send("DELETE", f"/{image_id}").status_code == 204
    assert send("POST", f"/{image_id}/actions/restore").status_code == 404
    assert send("POST", f"/{uuid.uuid4()}/actions/restore").status_code == 404
