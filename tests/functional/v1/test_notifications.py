"""Which notifications are sent, in which order, with what (spec notifications.md §2-§5)."""

import contextlib
import json
import re
import time
import uuid

import pytest

from tests.functional.conftest import Deployment, identity
from tests.functional.v1.conftest import ADMIN, QUOTA, SIZE_CAP, wait_for_status, wait_until
from tests.functional.v1.raw import Conversation

LINE = re.compile(r"\S+ \S+ \d+ (?P<level>\w+) oslo\.messaging\.notification\.(?P<logger>\S+) \[.*?\] (?P<text>\{.*)")
UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}
DATA = b"data of the image"


class Recording:
    """What the ``tuned`` deployment sends from now on; only one test runs at a time."""

    def __init__(self, deployment):
        self._log = deployment.api.log
        self._start = self._log.stat().st_size

    @property
    def lines(self):
        """The parts of the log's lines that ``LINE`` names."""
        with self._log.open("rb") as log:
            log.seek(self._start)
            return list(filter(None, map(LINE.fullmatch, log.read().decode().splitlines())))

    @property
    def messages(self):
        messages = []
        for match in self.lines:
            message, _ = json.JSONDecoder().raw_decode(match["text"])
            assert message["event_type"] == match["logger"]
            assert (message["priority"], match["level"]) in (("INFO", "INFO"), ("ERROR", "ERROR"))
            messages.append(message)
        return messages

    @property
    def events(self):
        """``image.create``, or ``ERROR image.upload``."""
        return [
            message["event_type"] if message["priority"] == "INFO" else f"ERROR {message['event_type']}"
            for message in self.messages
        ]

    def expect(self, *events):
        """Wait for exactly these events; return the messages."""
        wait_until(lambda: len(self.events) >= len(events), f"{events}, so far {self.events}")
        time.sleep(0.1)  # for one too many
        assert self.events == list(events)
        return self.messages


@pytest.fixture
def recording(tuned):
    return Recording(tuned)


def upload(deployment, method, path, caller, data=DATA, **meta):
    headers = caller | UPLOAD | {f"x-image-meta-{key}": value for key, value in meta.items()}
    return deployment.request(method, path, headers=headers, data=data)


# --- the message --------------------------------------------------------------------------------


def test_message(tuned, user, recording):
    image = tuned.create(headers=user, name="n", property_a="1", property_b="")
    (message,) = recording.expect("image.create")
    assert set(message) == {"message_id", "publisher_id", "event_type", "priority", "payload", "timestamp"}
    assert str(uuid.UUID(message["message_id"])) == message["message_id"]
    assert message["publisher_id"] == "image.localhost"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", message["timestamp"])
    assert message["payload"] == image


def test_line_is_the_message_alone(tuned, user, recording):
    upload(tuned, "POST", "/images", user, iter([bytes(SIZE_CAP + 1)]))
    recording.expect("image.create", "image.prepare", "ERROR image.upload")
    for line in recording.lines:
        assert json.loads(line["text"])["publisher_id"] == "image.localhost"


def test_every_message_has_its_own_id(tuned, user, recording):
    for _ in range(3):
        tuned.create(headers=user)
    assert len({message["message_id"] for message in recording.expect(*["image.create"] * 3)}) == 3


# --- sequences -----------------------------------------------------------------------------------


def test_post_with_data(tuned, user, recording):
    image = upload(tuned, "POST", "/images", user).json()["image"]
    create, prepare, uploaded, activate, update = recording.expect(
        "image.create", "image.prepare", "image.upload", "image.activate", "image.update"
    )
    assert {message["payload"]["id"] for message in recording.messages} == {image["id"]}
    assert create["payload"] == prepare["payload"]
    assert (prepare["payload"]["status"], prepare["payload"]["checksum"]) == ("queued", None)
    seen = uploaded["payload"]
    assert (seen["status"], seen["size"], seen["checksum"]) == ("saving", len(DATA), image["checksum"])
    assert activate["payload"] == update["payload"] == image
    assert "file://" not in json.dumps(recording.messages)
    assert not {"location", "locations", "location_data", "direct_url", "tags"} & set(image)


def test_post_without_data(tuned, user, recording):
    tuned.create(headers=user)
    recording.expect("image.create")


def test_post_with_location(tuned, user, source, recording):
    headers = user | {"x-image-meta-location": f"{source.url}/size/30"}
    image = tuned.request("POST", "/images", headers=headers).json()["image"]
    *_, update = recording.expect("image.create", "image.activate", "image.update")
    assert update["payload"] == image
    assert source.url not in json.dumps(recording.messages)


def test_post_with_copy_from(tuned, user, source, recording):
    headers = user | {"x-glance-api-copy-from": f"{source.url}/size/30"}
    image = tuned.request("POST", "/images", headers=headers).json()["image"]
    assert recording.events[0] == "image.create"
    wait_for_status(tuned, image["id"], "active")
    recording.expect("image.create", "image.prepare", "image.upload", "image.activate", "image.update")


def test_put_of_metadata(tuned, user, recording):
    image = tuned.create(headers=user)
    answer = tuned.request("PUT", f"/images/{image['id']}", headers=user | {"x-image-meta-name": "new"})
    _, update = recording.expect("image.create", "image.update")
    assert update["payload"] == answer.json()["image"]


def test_put_with_data(tuned, user, recording):
    image = tuned.create(headers=user)
    answer = upload(tuned, "PUT", f"/images/{image['id']}", user)
    update = recording.expect(
        "image.create", "image.prepare", "image.upload", "image.activate", "image.update", "image.update"
    )[-1]  # fmt: skip
    assert update["payload"] == answer.json()["image"]


def test_put_with_location(tuned, user, source, recording):
    image = tuned.create(headers=user)
    location = {"x-image-meta-location": f"{source.url}/size/30"}
    tuned.request("PUT", f"/images/{image['id']}", headers=user | location)
    recording.expect("image.create", "image.activate", "image.update", "image.update")


def test_delete(tuned, user, recording):
    image = tuned.create(headers=user, property_a="1")
    tuned.request("DELETE", f"/images/{image['id']}", headers=user)
    _, delete = recording.expect("image.create", "image.delete")
    gone = delete["payload"]
    assert (gone["id"], gone["status"], gone["deleted"]) == (image["id"], "deleted", True)
    assert gone["deleted_at"] is not None
    assert set(gone) == set(image)


def test_delayed_delete(tuned, user, recording):
    image = tuned.create(DATA, headers=user)
    tuned.request("DELETE", f"/images/{image['id']}", headers=user)
    delete = recording.expect(
        "image.create", "image.prepare", "image.upload", "image.activate", "image.update", "image.delete"
    )[-1]  # fmt: skip
    assert (delete["payload"]["status"], delete["payload"]["deleted"]) == ("pending_delete", True)


def test_members_and_reads_send_nothing(tuned, user, recording):
    image = tuned.create(headers=user)
    path = f"/images/{image['id']}"
    tuned.request("PUT", path + "/members/m", headers=user)
    tuned.request("PUT", path + "/members", headers=user, data="[]")
    tuned.request("DELETE", path + "/members/m", headers=user)
    for method, what in (("GET", "/images"), ("GET", "/images/detail"), ("HEAD", path), ("GET", path + "/members")):
        tuned.request(method, what, headers=user)
    recording.expect("image.create")


def test_what_is_refused_sends_nothing(tuned, user, other, recording):
    image = tuned.create(headers=user)
    path = f"/images/{image['id']}"
    tuned.request("POST", "/images", headers=user | {"x-image-meta-id": image["id"]})
    tuned.request("POST", "/images", headers=user | {"x-image-meta-frob": "1"})
    tuned.request("PUT", path, headers=other)
    tuned.request("PUT", path, headers=user | {"x-image-meta-status": "active"})
    tuned.request("DELETE", path, headers=other)
    tuned.request("GET", path, headers=user)
    recording.expect("image.create")


# --- uploads that fail -------------------------------------------------------------------------------


def test_error_of_the_size_cap(tuned, user, recording):
    upload(tuned, "POST", "/images", user, iter([bytes(SIZE_CAP + 1)]))
    *_, error = recording.expect("image.create", "image.prepare", "ERROR image.upload")
    assert isinstance(error["payload"], str)
    assert str(SIZE_CAP) in error["payload"]


def test_error_of_the_quota(tuned, user, recording):
    for _ in range(2):
        upload(tuned, "POST", "/images", user, bytes(QUOTA // 2))
    before = len(recording.events)
    upload(tuned, "POST", "/images", user)
    assert [*recording.events[before:]] == ["image.create", "image.prepare", "ERROR image.upload"]
    assert isinstance(recording.messages[-1]["payload"], str)


@pytest.mark.parametrize("trouble", ["duplicate", "denied", "unreachable"])
def test_error_of_the_store(tuned, user, recording, trouble):
    image_id = str(uuid.uuid4())
    away = tuned.images.with_name("away")
    with contextlib.ExitStack() as repair:
        if trouble == "duplicate":
            (tuned.images / image_id).write_bytes(b"")
        elif trouble == "denied":
            tuned.images.chmod(0o500)
            repair.callback(tuned.images.chmod, 0o755)
        else:
            tuned.images.rename(away)
            repair.callback(away.rename, tuned.images)
        answer = upload(tuned, "POST", "/images", user, id=image_id)
    assert answer.status_code in (409, 503)
    *_, error = recording.expect("image.create", "image.prepare", "ERROR image.upload")
    assert isinstance(error["payload"], str)
    assert str(tuned.images) not in error["payload"]


def test_copy_source_that_cannot_be_read(tuned, user, source, recording):
    headers = user | {"x-glance-api-copy-from": f"{source.url}/vanishing/30"}
    image = tuned.request("POST", "/images", headers=headers).json()["image"]
    wait_for_status(tuned, image["id"], "killed")
    *_, error = recording.expect("image.create", "ERROR image.upload")
    assert source.url not in error["payload"]


def test_client_that_disconnects(tuned, user, recording):
    image_id = str(uuid.uuid4())
    with Conversation(tuned.api_port) as conversation:
        headers = user | UPLOAD | {"x-image-meta-id": image_id, "Transfer-Encoding": "chunked"}
        conversation.head("POST", "/v1/images", headers)
        conversation.chunk(DATA)
        wait_for_status(tuned, image_id, "saving")
    wait_for_status(tuned, image_id, "killed")
    recording.expect("image.create", "image.prepare")


# --- downloads ---------------------------------------------------------------------------------------


def send(tuned, recording):
    """The last message, once a download has been reported."""
    wait_until(lambda: recording.events[-1:] in (["image.send"], ["ERROR image.send"]), "image.send")
    return recording.messages[-1]


def test_send(tuned, user, tenant, admin):
    image = tuned.create(DATA, headers=admin, is_public="true")
    for caller, receiver in ((user, (tenant, "user")), ({}, (None, None)), (identity(None, "u"), (None, "u"))):
        recording = Recording(tuned)
        assert tuned.request("GET", f"/images/{image['id']}", headers=caller).content == DATA
        message = send(tuned, recording)
        assert recording.events == ["image.send"]
        assert message["payload"] == {
            "bytes_sent": len(DATA), "image_id": image["id"], "owner_id": admin["X-Tenant-Id"],
            "receiver_tenant_id": receiver[0], "receiver_user_id": receiver[1], "destination_ip": "127.0.0.1",
        }  # fmt: skip


def test_send_of_an_empty_image(tuned, user, recording):
    image = tuned.create(headers=user, size=0)
    tuned.request("GET", f"/images/{image['id']}", headers=user)
    assert send(tuned, recording)["payload"]["bytes_sent"] == 0
    assert recording.events[-1] == "image.send"


def test_send_that_the_client_breaks_off(tuned, user):
    size = 64 * 1024 * 1024
    image = tuned.create(DATA, headers=user)
    with (tuned.images / image["id"]).open("wb") as file:
        file.truncate(size)
    tuned.sql("UPDATE images SET size = ? WHERE id = ?", size, image["id"])
    recording = Recording(tuned)
    with Conversation(tuned.api_port) as conversation:
        conversation.head("GET", f"/v1/images/{image['id']}", user)
        assert conversation.socket.recv(100).startswith(b"HTTP/1.1 200 ")
    message = send(tuned, recording)
    assert message["priority"] == "ERROR"
    assert 0 <= message["payload"]["bytes_sent"] < size


def test_send_that_the_source_breaks_off(tuned, user, source, recording):
    headers = user | {"x-image-meta-location": f"{source.url}/short/30"}
    image = tuned.request("POST", "/images", headers=headers).json()["image"]
    with contextlib.suppress(Exception):
        tuned.request("GET", f"/images/{image['id']}", headers=user)
    message = send(tuned, recording)
    assert (message["priority"], message["payload"]["bytes_sent"]) == ("ERROR", 15)


def test_unchanged_data_is_not_sent(tuned, user):
    image = tuned.create(DATA, headers=user)
    recording = Recording(tuned)
    etag = {"If-None-Match": image["checksum"]}
    assert tuned.request("GET", f"/images/{image['id']}", headers=user | etag).status_code == 304
    recording.expect()


# --- strategies and suppression ------------------------------------------------------------------------


def test_nothing_is_sent_by_default(trusted, user):
    trusted.create(DATA, headers=user)
    assert "oslo.messaging.notification" not in trusted.api.log.read_text()


def test_disabled_notifications(tuned, tmp_path):
    """A second API server beside that of ``tuned``: by its driver setting it logs, but not everything."""
    settings = {
        "registry_port": tuned.registry_port,
        "disabled_notifications": "image.prepare, image.activate, task, image.member",
        "default_publisher_id": "image.host1",
        "oslo_messaging_notifications": {"driver": "log"},
    }
    deployment = Deployment(tmp_path, api=settings, flavor="trusted-auth")
    deployment.api.start()
    try:
        recording = Recording(deployment)
        image = deployment.create(DATA, headers=ADMIN)
        message, *_ = recording.expect("image.create", "image.upload", "image.update")
        assert (message["publisher_id"], message["payload"]["id"]) == ("image.host1", image["id"])
    finally:
        deployment.stop()


def test_whole_group_disabled(tuned, tmp_path):
    settings = {
        "registry_port": tuned.registry_port, "notifier_strategy": "LOGGING", "disabled_notifications": "image",
    }  # fmt: skip
    deployment = Deployment(tmp_path, api=settings, flavor="trusted-auth")
    deployment.api.start()
    try:
        recording = Recording(deployment)
        image = deployment.create(DATA, headers=ADMIN)
        deployment.request("GET", f"/images/{image['id']}", headers=ADMIN)
        deployment.request("DELETE", f"/images/{image['id']}", headers=ADMIN)
        recording.expect()
    finally:
        deployment.stop()
