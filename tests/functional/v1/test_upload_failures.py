"""What remains of an upload that fails: its answer, its record, its data (spec v1-api.md §5.5)."""

import contextlib
import hashlib
import resource
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.functional.v1.conftest import QUOTA, SIZE_CAP, status_of, wait_for_status, wait_until
from tests.functional.v1.faulty_registry import FaultyRegistry
from tests.functional.v1.raw import Conversation

HEADERS = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}
CHUNKED = {"Transfer-Encoding": "chunked"}
DATA = b"some bytes of an image"
MIB = 1024 * 1024


class Upload:
    """One way to upload: POST with everything, or PUT to a record that waits for its data."""

    def __init__(self, method):
        self.method = method
        self.id = str(uuid.uuid4())

    def prepare(self, deployment, caller):
        """Return path and headers of the request that carries the data."""
        headers = caller | HEADERS
        if self.method == "POST":
            return "/images", headers | {"x-image-meta-id": self.id}
        deployment.create(headers=caller, id=self.id)
        return f"/images/{self.id}", headers

    def run(self, deployment, caller, data, **meta):
        """Upload; return the answer."""
        path, headers = self.prepare(deployment, caller)
        headers |= {f"x-image-meta-{key}": str(value) for key, value in meta.items()}
        return deployment.request(self.method, path, data=data, headers=headers)

    @contextlib.contextmanager
    def begun(self, deployment, caller, **meta):
        """A chunked upload of which the first bytes are in the store."""
        path, headers = self.prepare(deployment, caller)
        headers |= {f"x-image-meta-{key}": str(value) for key, value in meta.items()}
        with Conversation(deployment.api_port) as conversation:
            conversation.head(self.method, "/v1" + path, headers, CHUNKED)
            conversation.chunk(DATA)
            wait_for_status(deployment, self.id, "saving")
            yield conversation

    def assert_gone(self, deployment, status):
        """The record has ``status``, nothing is in the store, and an active image would be no lie."""
        assert status_of(deployment, self.id) == status
        assert deployment.files(self.id) == []


@pytest.fixture(params=["POST", "PUT"])
def upload(request):
    return Upload(request.param)


def chunks(data, size=1000):
    """``data`` as an iterator: requests sends it without a length."""
    return iter([data[start : start + size] for start in range(0, len(data), size)])


# --- what was announced is not what came ---------------------------------------------------


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 0])
@pytest.mark.parametrize("chunked", [False, True])
def test_size_differs(trusted, user, upload, size, chunked):
    answer = upload.run(trusted, user, chunks(DATA) if chunked else DATA, size=size)
    assert answer.status_code == 400
    upload.assert_gone(trusted, "killed")


def test_checksum_differs(trusted, user, upload):
    answer = upload.run(trusted, user, DATA, checksum="0" * 32)
    assert answer.status_code == 400
    assert hashlib.md5(DATA).hexdigest() in answer.text
    upload.assert_gone(trusted, "killed")


def test_killed_is_final(trusted, user, upload):
    upload.run(trusted, user, DATA, checksum="0" * 32)
    path = f"/images/{upload.id}"
    assert trusted.request("GET", path, headers=user).status_code == 404
    assert trusted.request("PUT", path, data=DATA, headers=user | HEADERS).status_code == 409
    assert trusted.request("DELETE", path, headers=user).status_code == 200


def test_body_is_short(trusted, user, upload):
    path, headers = upload.prepare(trusted, user)
    with Conversation(trusted.api_port) as conversation:
        conversation.head(upload.method, "/v1" + path, headers, {"Content-Length": "100"})
        conversation.send(DATA)
        wait_for_status(trusted, upload.id, "saving")
    wait_for_status(trusted, upload.id, "killed")
    wait_until(lambda: not trusted.files(upload.id), "the partial data is removed")


def test_client_disconnects(trusted, user, upload):
    with upload.begun(trusted, user):
        assert len(trusted.files(upload.id)) == 1
    wait_for_status(trusted, upload.id, "killed")
    wait_until(lambda: not trusted.files(upload.id), "the partial data is removed")


def test_malformed_chunk(trusted, user, upload):
    with upload.begun(trusted, user) as conversation:
        conversation.send(b"frob\r\n")
        assert conversation.answer().status == 400
        assert conversation.closed()
    wait_for_status(trusted, upload.id, "killed")
    assert trusted.files(upload.id) == []


# --- limits ------------------------------------------------------------------------------------


def test_undeclared_size_over_the_cap(tuned, user, upload):
    answer = upload.run(tuned, user, chunks(bytes(SIZE_CAP + 1)))
    assert answer.status_code == 413
    upload.assert_gone(tuned, "killed")


@pytest.mark.parametrize("declared", [False, True])
def test_storage_quota(tuned, user, upload, declared):
    for _ in range(2):
        tuned.create(bytes(QUOTA // 2 - 10), headers=user)
    data = bytes(21)
    answer = upload.run(tuned, user, data if declared else chunks(data))
    assert answer.status_code == 413
    upload.assert_gone(tuned, "killed")
    assert tuned.create(bytes(20), headers=user)["status"] == "active"


def test_storage_quota_is_used_up(tuned, user, upload):
    for _ in range(2):
        tuned.create(bytes(QUOTA // 2), headers=user)
    answer = upload.run(tuned, user, chunks(b"x"))
    assert answer.status_code == 413
    upload.assert_gone(tuned, "killed")


def test_storage_quota_taken_meanwhile(tuned, user, upload):
    """Two uploads fit when they begin and do not when they end."""
    tuned.create(bytes(QUOTA // 2), headers=user)
    with upload.begun(tuned, user) as conversation:
        tuned.create(bytes(QUOTA // 2 - 5), headers=user)
        conversation.end()
        assert conversation.answer().status == 413
    upload.assert_gone(tuned, "killed")


# --- the store ---------------------------------------------------------------------------------


def test_store_has_no_room_for_the_declared_size(trusted, user, upload):
    size = shutil.disk_usage(trusted.images).free * 2
    if size > 2**40:
        pytest.skip("the disk has room for the largest image")
    answer = upload.run(trusted, user, chunks(DATA), size=size)
    assert answer.status_code == 413
    upload.assert_gone(trusted, "killed")


def test_store_runs_full(trusted, user, upload):
    (worker,) = trusted.api.children()
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (4 * MIB, before[1]))
    try:
        answer = upload.run(trusted, user, chunks(bytes(5 * MIB), MIB))
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 413
    upload.assert_gone(trusted, "killed")


def test_no_permission_on_the_store(trusted, user, upload):
    trusted.images.chmod(0o500)
    try:
        answer = upload.run(trusted, user, DATA)
    finally:
        trusted.images.chmod(0o755)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert str(trusted.images) not in answer.text
    upload.assert_gone(trusted, "killed")


def test_store_is_unreachable(trusted, user, upload):
    away = trusted.images.with_name("away")
    trusted.images.rename(away)
    try:
        answer = upload.run(trusted, user, DATA)
    finally:
        away.rename(trusted.images)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    upload.assert_gone(trusted, "killed")


def test_object_is_there_already(trusted, user, upload):
    foreign = trusted.images / upload.id
    foreign.write_bytes(b"not ours to replace")
    answer = upload.run(trusted, user, DATA)
    assert answer.status_code == 409
    assert status_of(trusted, upload.id) == "queued"
    assert trusted.files(upload.id) == [upload.id]
    assert foreign.read_bytes() == b"not ours to replace"


# --- others -----------------------------------------------------------------------------------------


def test_deleted_meanwhile(trusted, user, upload):
    with upload.begun(trusted, user) as conversation:
        assert trusted.request("DELETE", f"/images/{upload.id}", headers=user).status_code == 200
        conversation.end()
        assert conversation.answer().status == 412
    upload.assert_gone(trusted, "deleted")


def test_second_upload_into_the_same_record(trusted, user, upload):
    with upload.begun(trusted, user) as conversation:
        late = trusted.request("PUT", f"/images/{upload.id}", data=b"late", headers=user | HEADERS)
        assert late.status_code == 409
        assert status_of(trusted, upload.id) == "saving"
        conversation.end()
        assert conversation.answer().status == (201 if upload.method == "POST" else 200)
    assert trusted.request("GET", f"/images/{upload.id}", headers=user).content == DATA


def test_uploads_at_the_same_time(trusted, user):
    """One wins, the others get 409, and the data is the winner's."""
    for _ in range(3):
        image_id = trusted.create(headers=user)["id"]
        start = threading.Barrier(4)

        def put(number, image_id=image_id, start=start):
            data = bytes([number]) * 200_000
            start.wait()
            return trusted.request("PUT", f"/images/{image_id}", data=data, headers=user | HEADERS).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(put, range(4)))
        assert sorted(statuses) == [200, 409, 409, 409]
        winner = statuses.index(200)
        answer = trusted.request("GET", f"/images/{image_id}", headers=user)
        assert answer.content == bytes([winner]) * 200_000
        assert answer.headers["x-image-meta-checksum"] == hashlib.md5(answer.content).hexdigest()
        assert trusted.files(image_id) == [image_id]


# --- the registry -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty(trusted, tmp_path_factory):
    """An API server beside that of ``trusted``, and the faulty registry that it uses."""
    with FaultyRegistry(trusted.registry_port) as registry:
        deployment = Deployment(
            tmp_path_factory.mktemp("faulty"), api={"registry_port": registry.port}, flavor="trusted-auth"
        )
        deployment.api.start()
        yield deployment, registry
        deployment.stop()


@pytest.mark.parametrize(
    ("registry_status", "status"), [(400, 400), (401, 401), (403, 403), (404, 409), (409, 409), (413, 413)]
)
def test_registry_refuses_the_last_step(trusted, faulty, user, upload, registry_status, status):
    deployment, registry = faulty

    def fault(method, path, body):
        return registry_status if body and body["image"].get("status") == "active" else None

    registry.fail(fault)
    try:
        answer = upload.run(deployment, user, DATA)
    finally:
        registry.heal()
    assert answer.status_code == status
    assert (status_of(trusted, upload.id), deployment.files(upload.id)) == ("killed", [])


@pytest.mark.parametrize("registry_status", [500, 503])
def test_registry_fails_in_the_last_step(trusted, faulty, user, upload, registry_status):
    """Nobody knows whether the image became active: the data stays until the sweep has found out."""
    deployment, registry = faulty

    def fault(method, path, body):
        return registry_status if method == "PUT" and body["image"].get("status") in ("active", "killed") else None

    registry.fail(fault)
    try:
        answer = upload.run(deployment, user, DATA)
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert deployment.files(upload.id) == [upload.id]
    finally:
        registry.heal()
    wait_for_status(trusted, upload.id, "killed")
    wait_until(lambda: not deployment.files(upload.id), "the data is removed")


def test_lost_answer_of_the_last_step(trusted, faulty, user, upload):
    """The registry did make the image active, but its answer was lost: the image stays, with its data."""
    deployment, registry = faulty

    def fault(method, path, body):
        if body and body["image"].get("status") == "active":
            done = {"image": body["image"], "from_state": body["from_state"]}
            requests.put(trusted.registry_url + path, json=done, headers=user, timeout=20).raise_for_status()
            registry.heal()
            return 503
        return None

    registry.fail(fault)
    try:
        answer = upload.run(deployment, user, DATA)
    finally:
        registry.heal()
    assert answer.status_code in (200, 201, 503)
    wait_for_status(trusted, upload.id, "active")
    assert deployment.request("GET", f"/images/{upload.id}", headers=user).content == DATA
