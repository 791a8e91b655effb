"""API v2: requests at the same time, across several workers of both daemons (spec v2-images.md §6.2, §6.2a, §7)."""

import contextlib
import hashlib
import json
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.functional.conftest import identity

BLOCK = 256 * 1024
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
DATA = {"Content-Type": "application/octet-stream"}
PATIENCE = 120


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def deployment(request, deploy):
    """A deployment on each database, two workers of each daemon, v2 over RPC."""
    with contextlib.ExitStack() as stack:
        connection = None
        if request.param != "sqlite":
            connection = stack.enter_context(request.getfixturevalue(f"{request.param}_server").database())
        running = deploy(
            api={"workers": 2, "image_property_quota": -1, "user_storage_quota": f"{5 * BLOCK}B"},
            registry={"workers": 2},
            flavor="trusted-auth",
            connection=connection,
        )
        yield running
        running.stop()


class Caller:
    """An ordinary user of a tenant of its own."""

    def __init__(self, deployment):
        self.url = f"{deployment.endpoint}/v2/images"
        self.headers = identity(uuid.uuid4().hex)

    def send(self, method, path="", headers=None, **more):
        return requests.request(method, self.url + path, headers=self.headers | (headers or {}), timeout=60, **more)

    def create(self, **attributes):
        answer = self.send("POST", json={"disk_format": "raw", "container_format": "bare", **attributes})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def patch(self, image_id, *changes, **headers):
        return self.send("PATCH", f"/{image_id}", PATCH | headers, data=json.dumps(changes))

    def show(self, image_id):
        return self.send("GET", f"/{image_id}").json()


@pytest.fixture
def caller(deployment):
    return Caller(deployment)


def at_once(count, act):
    """Run ``act(number)`` in ``count`` threads that start together; return what each returned, in order."""
    start = threading.Barrier(count, timeout=PATIENCE)

    def run(number):
        start.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def add(name, value="v"):
    return {"op": "add", "path": f"/{name}", "value": value}


def test_two_hundred_properties(caller):
    image_id = caller.create(first="f")
    statuses = at_once(200, lambda number: caller.patch(image_id, add(f"p{number}", str(number))).status_code)
    assert Counter(statuses) == {200: 200}
    image = caller.show(image_id)
    assert {name: image[name] for name in image if name[0] == "p" and name[1:].isdigit()} == {
        f"p{number}": str(number) for number in range(200)
    }
    assert image["first"] == "f"


def test_attributes_properties_and_tags(caller):
    image_id = caller.create(tags=["kept"])
    changes = [
        lambda: caller.patch(image_id, {"op": "replace", "path": "/name", "value": "n"}).status_code,
        lambda: caller.patch(image_id, {"op": "replace", "path": "/min_ram", "value": 5}).status_code,
        lambda: caller.patch(image_id, add("colour", "red")).status_code,
        lambda: caller.send("PUT", f"/{image_id}/tags/one").status_code,
        lambda: caller.send("PUT", f"/{image_id}/tags/two").status_code,
    ]
    assert at_once(5, lambda number: changes[number]()) == [200, 200, 200, 204, 204]
    image = caller.show(image_id)
    assert (image["name"], image["min_ram"], image["colour"]) == ("n", 5, "red")
    assert sorted(image["tags"]) == ["kept", "one", "two"]


def test_fifty_uploads_into_one_image(deployment, caller):
    image_id = caller.create()
    statuses = at_once(
        50,
        lambda number: caller.send("PUT", f"/{image_id}/file", DATA, data=bytes([number]) * BLOCK).status_code,
    )
    assert Counter(statuses) == {204: 1, 409: 49}
    answer = caller.send("GET", f"/{image_id}/file")
    assert answer.content == bytes([statuses.index(204)]) * BLOCK
    image = caller.show(image_id)
    assert image["status"] == "active"
    assert image["os_hash_value"] == hashlib.sha512(answer.content).hexdigest()
    assert deployment.files(image_id) == [image_id]


def test_uploads_against_the_storage_quota(deployment, caller):
    image_ids = [caller.create() for _ in range(20)]
    statuses = at_once(
        20, lambda number: caller.send("PUT", f"/{image_ids[number]}/file", DATA, data=bytes(BLOCK)).status_code
    )
    assert Counter(statuses) == {204: 5, 413: 15}
    for image_id, status in zip(image_ids, statuses, strict=True):
        image = caller.show(image_id)
        if status == 204:
            assert (image["status"], deployment.files(image_id)) == ("active", [image_id])
        else:
            assert (image["status"], image["size"], image["checksum"], image["os_hash_value"]) == (
                "queued", None, None, None,
            )  # fmt: skip
            assert deployment.files(image_id) == []


def test_delete_during_an_upload(deployment, caller):
    image_id = caller.create()
    sending, deleted = threading.Event(), threading.Event()

    def blocks():
        yield bytes(BLOCK)
        sending.set()
        assert deleted.wait(PATIENCE)
        yield bytes(BLOCK)

    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(lambda: caller.send("PUT", f"/{image_id}/file", DATA, data=blocks()).status_code)
        assert sending.wait(PATIENCE)
        while caller.show(image_id)["status"] != "saving":
            pass
        assert caller.send("DELETE", f"/{image_id}").status_code == 204
        deleted.set()
        assert upload.result(PATIENCE) == 410
    assert caller.send("GET", f"/{image_id}").status_code == 404
    assert deployment.files(image_id) == []


def test_one_patch_of_many_with_the_same_etag(caller):
    image_id = caller.create()
    tag = caller.send("GET", f"/{image_id}").headers["ETag"]
    statuses = at_once(
        20, lambda number: caller.patch(image_id, add("p", str(number)), **{"If-Match": tag}).status_code
    )
    assert Counter(statuses) == {200: 1, 412: 19}
    assert caller.show(image_id)["p"] == str(statuses.index(200))


def test_etags_within_one_second(caller):
    image_id = caller.create()
    tags = [caller.patch(image_id, add("p", str(number))).headers["ETag"] for number in range(10)]
    assert len(set(tags)) == 10
    assert caller.send("GET", f"/{image_id}").headers["ETag"] == tags[-1]


def test_deletes(deployment, caller):
    image_id = caller.create()
    assert caller.send("PUT", f"/{image_id}/file", DATA, data=bytes(BLOCK)).status_code == 204
    statuses = at_once(20, lambda _: caller.send("DELETE", f"/{image_id}").status_code)
    assert Counter(statuses) == {204: 1, 404: 19}
    assert deployment.files(image_id) == []


def test_creates_with_one_id(caller):
    body = {"id": str(uuid.uuid4())}
    statuses = at_once(20, lambda _: caller.send("POST", json=body).status_code)
    assert Counter(statuses) == {201: 1, 409: 19}


def test_members(caller):
    image_id = caller.create()
    members = [f"m{number}" for number in range(20)]
    statuses = at_once(
        40,
        lambda number: caller.send("POST", f"/{image_id}/members", json={"member": members[number % 20]}).status_code,
    )
    assert Counter(statuses) == {200: 20, 409: 20}
    found = caller.send("GET", f"/{image_id}/members").json()["members"]
    assert sorted(entry["member_id"] for entry in found) == sorted(members)


def test_nothing_unexpected_was_logged(deployment):
    for daemon in (deployment.api, deployment.registry):
        assert "Traceback" not in daemon.log.read_text()
