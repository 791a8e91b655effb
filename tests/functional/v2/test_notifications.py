"""Which notifications v2 operations send, and what they say (spec notifications.md §2-§6)."""

import json
import uuid

import pytest

from tests.functional.v1.test_notifications import Recording
from tests.functional.v2.conftest import FORMATS, SIZE_CAP, Caller, add, remove, replace

KEYS = {
    "id", "name", "status", "created_at", "updated_at", "min_disk", "min_ram", "protected", "checksum", "owner",
    "disk_format", "container_format", "size", "virtual_size", "is_public", "properties", "tags", "deleted",
    "deleted_at",
}  # fmt: skip
MEMBER_KEYS = {"image_id", "member_id", "status", "created_at", "updated_at", "deleted", "deleted_at"}


@pytest.fixture
def api(tuned):
    return tuned


@pytest.fixture
def recording(api):
    return Recording(api)


@pytest.fixture
def image(user):
    """Made before the test listens."""
    return user.create(**FORMATS, x="y", tags=["a"])


@pytest.fixture
def listen(api, image):
    """Record what comes after ``image`` was made."""
    return Recording(api)


def payload_fits(payload, image):
    """Whether a payload says what the API says of the image."""
    own = {name for name in KEYS if name in image} - {"tags"}
    return (
        set(payload) == KEYS
        and {name: payload[name] for name in own} == {name: image[name] for name in own}
        and sorted(payload["tags"]) == sorted(image["tags"])
    )


# --- sequences -------------------------------------------------------------------


def test_create(user, recording):
    image = user.create(name="n", x="y", tags=["b", "a"])
    (message,) = recording.expect("image.create")
    assert set(message) == {"message_id", "publisher_id", "event_type", "priority", "payload", "timestamp"}
    assert str(uuid.UUID(message["message_id"])) == message["message_id"]
    assert message["publisher_id"] == "image.localhost"
    assert payload_fits(message["payload"], image)
    assert message["payload"]["properties"] == {"x": "y"}
    assert (message["payload"]["is_public"], message["payload"]["deleted"]) == (False, False)
    assert message["payload"]["deleted_at"] is None


def test_upload(user, image, listen):
    assert user.upload(image["id"]).status_code == 204
    messages = listen.expect("image.prepare", "image.upload", "image.activate")
    assert {message["payload"]["id"] for message in messages} == {image["id"]}
    assert payload_fits(messages[-1]["payload"], user.image(image["id"]))
    assert "file://" not in json.dumps(messages)


@pytest.mark.parametrize(
    "changes",
    [[replace("name", "n")], [add("new", "v"), remove("x"), replace("min_ram", 1)], [replace("tags", [])]],
    ids=str,
)
def test_patch_sends_one(user, image, listen, changes):
    changed = user.patch(image["id"], *changes).json()
    (message,) = listen.expect("image.update")
    assert payload_fits(message["payload"], changed)


def test_nothing_happened(user, other, image, listen):
    assert user.patch(image["id"]).status_code == 200
    assert user.patch(image["id"], add("status", "x")).status_code == 403
    assert user.patch(image["id"], remove("none")).status_code == 409
    assert user.patch(image["id"], replace("name", "n"), headers={"If-Match": '"x"'}).status_code == 412
    assert user.delete(image["id"], **{"If-Match": '"x"'}).status_code == 412
    assert other.delete(image["id"]).status_code == 404
    assert user.post({"status": "x"}).status_code in (400, 403)
    assert user.show(image["id"]).status_code == user.page().status_code == 200
    user.create()
    listen.expect("image.create")


def test_tags(user, image, listen):
    path = f"/images/{image['id']}/tags"
    assert user.send("PUT", f"{path}/b").status_code == 204
    assert user.send("DELETE", f"{path}/a").status_code == 204
    messages = listen.expect("image.update", "image.update")
    assert sorted(messages[0]["payload"]["tags"]) == ["a", "b"]
    assert messages[1]["payload"]["tags"] == ["b"]


@pytest.mark.parametrize("data", [None, b"data"])
def test_delete(user, api, data):
    image = user.active(data) if data else user.create()
    recording = Recording(api)
    assert user.delete(image["id"]).status_code == 204
    (message,) = recording.expect("image.delete")
    assert set(message["payload"]) == KEYS
    assert (message["payload"]["id"], message["payload"]["deleted"]) == (image["id"], True)
    assert message["payload"]["deleted_at"] >= image["created_at"]
    assert message["payload"]["status"] == "deleted"


def test_location(user, image, listen, source):
    location = {"url": f"{source.url}/size/7", "metadata": {}}
    assert user.patch(image["id"], add("locations/-", location)).status_code == 200
    messages = listen.expect("image.activate", "image.update")
    assert payload_fits(messages[0]["payload"], user.image(image["id"]))
    assert "127.0.0.1" not in json.dumps(messages)


def test_actions(user, api):
    image = user.active()
    recording = Recording(api)
    assert user.send("POST", f"/images/{image['id']}/actions/deactivate").status_code == 204
    (message,) = recording.expect("image.update")
    assert message["payload"]["status"] == "deactivated"


def test_download(user, other, api):
    image = user.active(b"some data")
    user.share(image["id"], other)
    recording = Recording(api)
    assert other.send("GET", f"/images/{image['id']}/file").content == b"some data"
    (message,) = recording.expect("image.send")
    assert message["payload"] == {
        "bytes_sent": 9, "image_id": image["id"], "owner_id": user.project, "receiver_tenant_id": other.project,
        "receiver_user_id": other.headers["X-User-Id"], "destination_ip": "127.0.0.1",
    }  # fmt: skip


def test_members(user, other, image, listen):
    user.share(image["id"], other, "accepted")
    assert user.send("DELETE", f"/images/{image['id']}/members/{other.project}").status_code == 204
    messages = listen.expect("image.member.create", "image.member.update", "image.member.delete")
    for message, status, deleted in zip(
        messages, ("pending", "accepted", "accepted"), (False, False, True), strict=True
    ):
        payload = message["payload"]
        assert set(payload) == MEMBER_KEYS
        assert (payload["image_id"], payload["member_id"]) == (image["id"], other.project)
        assert (payload["status"], payload["deleted"], payload["deleted_at"] is not None) == (status, deleted, deleted)


# --- errors ----------------------------------------------------------------------


def test_upload_too_big(user, image, listen):
    assert user.upload(image["id"], bytes(SIZE_CAP + 1)).status_code == 413
    message = listen.expect(*listen.events)[-1]
    assert (message["event_type"], message["priority"]) == ("image.upload", "ERROR")
    assert isinstance(message["payload"], str)
    assert "ERROR image.upload" in listen.events
    assert "image.activate" not in listen.events


# --- suppression -----------------------------------------------------------------


def test_disabled(deploy):
    deployment = deploy(
        api={"notifier_strategy": "logging", "disabled_notifications": "image.update,image.member,image.prepare"}
    )
    user, other = Caller(deployment), Caller(deployment)
    recording = Recording(deployment)
    image = user.active()
    assert user.patch(image["id"], add("x", "y")).status_code == 200
    user.share(image["id"], other)
    assert user.delete(image["id"]).status_code == 204
    recording.expect("image.create", "image.upload", "image.activate", "image.member.create", "image.delete")
