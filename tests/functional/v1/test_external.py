"""Images whose data is elsewhere, or is copied from there (spec v1-api.md §6, security.md §3)."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.v1.conftest import ADMIN, QUOTA, SIZE_CAP, set_status, status_of, wait_for_status, wait_until
from tests.functional.v1.raw import Conversation
from tests.functional.v1.source import content
from tests.services.ports import free_port

LOCATION = "x-image-meta-location"
COPY = "x-glance-api-copy-from"


def post(deployment, caller, kind, uri, **meta):
    """POST an image whose data is at ``uri``; return its id and the answer."""
    image_id = str(uuid.uuid4())
    headers = caller | {kind: uri, "x-image-meta-id": image_id}
    headers |= {f"x-image-meta-{key}": str(value) for key, value in meta.items()}
    return image_id, deployment.request("POST", "/images", headers=headers)


# --- addresses that are refused ---------------------------------------------------------------


@pytest.mark.parametrize("kind", [LOCATION, COPY])
@pytest.mark.parametrize("scheme", ["file", "filesystem", "FILE", "swift+config", "rbd", "s3", "ftp", "frob"])
def test_scheme(tuned, user, tmp_path, kind, scheme):
    decoy = tmp_path / "decoy"
    decoy.write_text("not an image")
    image_id, answer = post(tuned, user, kind, f"{scheme}://{decoy}")
    assert (answer.status_code, "External sources are not supported" in answer.text) == (400, True)
    assert str(decoy) not in answer.text
    assert status_of(tuned, image_id) is None
    queued = tuned.create(headers=user)["id"]
    answer = tuned.request("PUT", f"/images/{queued}", headers=user | {kind: f"{scheme}://{decoy}"})
    assert answer.status_code == 400
    assert tuned.request("DELETE", f"/images/{queued}", headers=user).status_code == 200
    assert decoy.exists()


@pytest.mark.parametrize("kind", [LOCATION, COPY])
def test_unusable_addresses_all_look_the_same(tuned, user, source, kind):
    """Malformed, refused by the guard, closed, or an answer that is no image: one status, one text."""
    addresses = [
        "http://", "http:///x", "http://127.0.0.1:99999/x", "http://[::1/x", "http://a b/x",
        f"http://127.0.0.1:{free_port()}/x",
        f"http://localhost:{source.port}/size/3", f"http://127.0.0.2:{source.port}/size/3",
        f"http://0.0.0.0:{source.port}/size/3", f"http://[::1]:{source.port}/size/3", "http://10.255.255.1/x",
        "http://nowhere.invalid/x", f"{source.url}/status/403", f"{source.url}/status/500",
        f"{source.url}/to/status/403", f"{source.url}/to//localhost:{source.port}/size/3",
    ]  # fmt: skip
    with ThreadPoolExecutor(len(addresses)) as pool:
        answers = list(pool.map(lambda address: post(tuned, user, kind, address), addresses))
    seen = {}
    for address, (image_id, answer) in zip(addresses, answers, strict=True):
        assert (answer.status_code, status_of(tuned, image_id)) == (400, None), address
        seen.setdefault(answer.text, []).append(address)
    assert len(seen) == 1, seen


@pytest.mark.parametrize("kind", [LOCATION, COPY])
def test_nothing_there(tuned, user, source, kind):
    for path in ("/status/404", "/to/status/404"):
        image_id, answer = post(tuned, user, kind, source.url + path)
        assert answer.status_code == 404
        assert status_of(tuned, image_id) is None


def test_without_allowed_hosts_loopback_is_refused(trusted, user, source):
    """Not even an administrator gets there."""
    before = len(source.asked)
    tries = [(user, LOCATION), (user, COPY), (ADMIN, LOCATION)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda one: post(trusted, *one, f"{source.url}/size/3"), tries))
    assert [answer.status_code for _, answer in answers] == [400] * 3
    assert source.asked[before:] == []


@pytest.mark.parametrize("kind", [LOCATION, COPY])
def test_who_may_not_create_makes_the_server_ask_nobody(tuned, user, source, kind):
    """Policy, properties and read-only access come before the first packet."""
    rule = {LOCATION: "set_image_location", COPY: "copy_from"}[kind]
    denied = user | {"X-Roles": f"without_{rule}"}
    address = f"{source.url}/size/3"
    before = len(source.asked)
    for caller, meta in (
        ({}, {}), (denied, {}), (user, {"property-sealed": "x"}), (user, {f"property-p{n}": "x" for n in range(9)}),
        (user, {"is_public": "true"}), (user, {"disk_format": "floppy"}), (user, {"size": SIZE_CAP + 1}),
    ):  # fmt: skip
        image_id, answer = post(tuned, caller, kind, address, **meta)
        assert answer.status_code in (400, 403, 413)
        assert status_of(tuned, image_id) is None
    assert source.asked[before:] == []


# --- location -----------------------------------------------------------------------------------


def test_location(tuned, user, source):
    image_id, answer = post(tuned, user, LOCATION, f"{source.url}/size/300", name="elsewhere")
    image = answer.json()["image"]
    assert (answer.status_code, image["status"], image["size"], image["checksum"]) == (201, "active", 300, None)
    answer = tuned.request("GET", f"/images/{image_id}", headers=user)
    assert answer.content == content(300)
    assert answer.headers["Content-Length"] == "300"
    assert "ETag" not in answer.headers
    assert source.url not in str(answer.headers)
    assert tuned.files(image_id) == []
    ((stored,),) = tuned.sql("SELECT value FROM image_locations WHERE image_id = ?", image_id)
    assert "://" not in stored  # metadata_encryption_key


def test_location_follows_redirects(tuned, user, source):
    image_id, answer = post(tuned, user, LOCATION, f"{source.url}/to/to/size/30")
    assert answer.json()["image"]["size"] == 30
    assert tuned.request("GET", f"/images/{image_id}", headers=user).content == content(30)


def test_location_with_size(tuned, user, source):
    image_id, answer = post(tuned, user, LOCATION, f"{source.url}/size/30", size=30)
    assert answer.json()["image"]["size"] == 30
    image_id, answer = post(tuned, user, LOCATION, f"{source.url}/size/30", size=31)
    assert answer.status_code == 409
    assert status_of(tuned, image_id) == "queued"


def test_location_of_unknown_size(tuned, user, source):
    _, answer = post(tuned, user, LOCATION, f"{source.url}/size/0", size=31)
    assert (answer.status_code, answer.json()["image"]["size"]) == (201, 31)


def test_location_with_checksum(tuned, user, source):
    _, answer = post(tuned, user, LOCATION, f"{source.url}/size/30", checksum="0" * 32)
    assert (answer.status_code, answer.json()["image"]["checksum"]) == (201, "0" * 32)


def test_location_counts_against_the_quota(tuned, user, source):
    for _ in range(QUOTA // SIZE_CAP):
        assert post(tuned, user, LOCATION, f"{source.url}/size/{SIZE_CAP}")[1].status_code == 201
    image_id, answer = post(tuned, user, LOCATION, f"{source.url}/size/1")
    assert answer.status_code == 413
    assert status_of(tuned, image_id) == "queued"


def test_location_into_a_queued_image(tuned, user, source):
    image = tuned.create(headers=user)
    path = f"/images/{image['id']}"
    answer = tuned.request("PUT", path, headers=user | {LOCATION: f"{source.url}/size/30"})
    assert (answer.status_code, answer.json()["image"]["status"]) == (200, "active")
    assert tuned.request("GET", path, headers=user).content == content(30)


@pytest.mark.parametrize("kind", [LOCATION, COPY])
@pytest.mark.parametrize("status", ["active", "saving", "killed", "deactivated"])
def test_source_for_an_image_that_is_not_queued(tuned, user, source, kind, status):
    image = tuned.create(headers=user)
    set_status(tuned, image["id"], status)
    before = len(source.asked)
    answer = tuned.request("PUT", f"/images/{image['id']}", headers=user | {kind: f"{source.url}/size/30"})
    assert answer.status_code == 400
    assert (status_of(tuned, image["id"]), source.asked[before:]) == (status, [])


def test_location_that_went_away(tuned, user, source):
    image_id, _ = post(tuned, user, LOCATION, f"{source.url}/vanishing/30")
    assert tuned.request("GET", f"/images/{image_id}", headers=user).status_code == 404


def test_location_that_is_unreachable(tuned, user, source):
    image_id, _ = post(tuned, user, LOCATION, f"{source.url}/size/30")
    closed = f"http://127.0.0.1:{free_port()}/x"
    tuned.sql("UPDATE image_locations SET value = ? WHERE image_id = ?", closed, image_id)
    answer = tuned.request("GET", f"/images/{image_id}", headers=user)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_location_that_breaks_off(tuned, user, source):
    image_id, _ = post(tuned, user, LOCATION, f"{source.url}/short/30")
    with Conversation(tuned.api_port) as conversation:
        conversation.head("GET", f"/v1/images/{image_id}", user)
        received = b""
        while block := conversation.socket.recv(65536):
            received += block
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 30" in head
    assert body == content(30)[:15]
    assert tuned.request("GET", "/images", headers=user).status_code == 200


# --- copy-from ------------------------------------------------------------------------------------


def test_copy(tuned, user, source):
    image_id, answer = post(tuned, user, COPY, f"{source.url}/size/3000")  # formats are not asked for
    image = answer.json()["image"]
    assert (answer.status_code, image["status"], image["size"]) == (201, "queued", 3000)
    wait_for_status(tuned, image_id, "active")
    answer = tuned.request("GET", f"/images/{image_id}", headers=user)
    assert answer.content == content(3000)
    assert answer.headers["x-image-meta-checksum"] == hashlib.md5(content(3000)).hexdigest()
    assert tuned.files(image_id) == [image_id]


def test_copy_into_a_queued_image(tuned, user, source):
    image_id = tuned.create(headers=user)["id"]
    answer = tuned.request("PUT", f"/images/{image_id}", headers=user | {COPY: f"{source.url}/to/size/30"})
    assert (answer.status_code, answer.json()["image"]["status"]) == (200, "queued")
    wait_for_status(tuned, image_id, "active")
    assert tuned.request("GET", f"/images/{image_id}", headers=user).content == content(30)


@pytest.mark.parametrize("path", ["/vanishing/30", "/short/30"])
def test_copy_that_fails(tuned, user, source, path):
    image_id, answer = post(tuned, user, COPY, source.url + path)
    assert answer.status_code == 201
    wait_for_status(tuned, image_id, "killed")
    wait_until(lambda: not tuned.files(image_id), "the partial data is removed")


def test_copy_over_the_cap(tuned, user, source):
    image_id, answer = post(tuned, user, COPY, f"{source.url}/size/{SIZE_CAP + 1}")
    if answer.status_code == 201:
        wait_for_status(tuned, image_id, "killed")
    else:
        assert (answer.status_code, status_of(tuned, image_id)) == (400, None)
    assert tuned.files(image_id) == []


def test_copy_over_the_quota(tuned, user, source):
    for _ in range(QUOTA // SIZE_CAP):
        tuned.create(bytes(SIZE_CAP), headers=user)
    image_id, answer = post(tuned, user, COPY, f"{source.url}/size/1")
    assert answer.status_code == 201
    wait_for_status(tuned, image_id, "killed")
    assert tuned.files(image_id) == []


def test_deleted_while_queued_for_a_copy(tuned, user, source):
    image_id, _ = post(tuned, user, COPY, f"{source.url}/size/3000")
    assert tuned.request("DELETE", f"/images/{image_id}", headers=user).status_code == 200
    wait_until(lambda: status_of(tuned, image_id) in ("deleted", "pending_delete"), "it stays deleted")


def test_store_of_a_copy(tuned, user, source):
    assert post(tuned, user, COPY, f"{source.url}/size/3", store="http")[1].status_code == 400
    image_id, answer = post(tuned, user, COPY, f"{source.url}/size/3", store="file")
    assert answer.status_code == 201
    wait_for_status(tuned, image_id, "active")
