"""A registry or database that is down: 503 with Retry-After, and no harm done (spec v1-api.md §3, security.md §5)."""

import os
import signal
import uuid

import pytest
import requests
import sqlalchemy

from tests.functional.v1.conftest import ADMIN, status_of, wait_for_status, wait_until
from tests.functional.v1.raw import Conversation

DATA = b"data of the image"
UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}


class Database:
    """A PostgreSQL database that can be taken away and given back."""

    def __init__(self, server, url):
        self.url = url
        self._server = server
        self._name = sqlalchemy.make_url(url).database

    def take_away(self):
        self._server.run(
            f'ALTER DATABASE "{self._name}" WITH ALLOW_CONNECTIONS false',
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'",
        )

    def give_back(self):
        self._server.run(f'ALTER DATABASE "{self._name}" WITH ALLOW_CONNECTIONS true')


@pytest.fixture(scope="module")
def database(postgresql_server):
    with postgresql_server.database() as url:
        yield Database(postgresql_server, url)


@pytest.fixture(scope="module")
def deployment(database, deploy):
    return deploy(connection=database.url, flavor="trusted-auth", api={"registry_client_timeout": 3})


@pytest.fixture
def image(deployment, user):
    """Path of an active image of ``user``."""
    return f"/images/{deployment.create(DATA, headers=user, name='before')['id']}"


def requests_on(image):
    """(method, path, headers, body) of every operation, on an image and on the collection."""
    return [
        ("GET", "/images", {}, None), ("GET", "/images/detail", {}, None), ("GET", "/", {}, None),
        ("POST", "/images", {}, None), ("POST", "/images", UPLOAD, DATA),
        ("HEAD", image, {}, None), ("GET", image, {}, None), ("PUT", image, {"x-image-meta-name": "x"}, None),
        ("DELETE", image, {}, None), ("GET", image + "/members", {}, None), ("PUT", image + "/members/m", {}, None),
        ("PUT", image + "/members", {}, b'{"memberships": []}'), ("DELETE", image + "/members/m", {}, None),
        ("GET", "/shared-images/m", {}, None),
    ]  # fmt: skip


def assert_unavailable(deployment, user, image):
    """Every operation is answered with a 503 that says when to come back, and nothing else."""
    for method, path, headers, body in requests_on(image):
        answer = deployment.request(method, path, headers=user | headers, data=body)
        assert answer.status_code == 503, (method, path)
        assert int(answer.headers["Retry-After"]) > 0
        for word in ("Traceback", "postgresql", "psycopg", str(deployment.registry_port), "glance."):
            assert word not in answer.text
    assert requests.get(deployment.endpoint + "/versions").status_code == 200


def assert_well(deployment, user, image):
    """Everything works again, and nothing was changed meanwhile."""
    answer = deployment.request("GET", image, headers=user)
    assert (answer.status_code, answer.content, answer.headers["x-image-meta-name"]) == (200, DATA, "before")
    mine = [
        found["id"]
        for found in deployment.request("GET", "/images/detail", headers=user).json()["images"]
        if found["owner"] == user["X-Tenant-Id"]
    ]
    assert [f"/images/{image_id}" for image_id in mine] == [image]
    assert deployment.request("DELETE", image, headers=user).status_code == 200
    assert "Traceback" not in deployment.api.log.read_text()


def test_registry_stopped(deployment, user, image):
    deployment.registry.stop()
    try:
        assert_unavailable(deployment, user, image)
    finally:
        deployment.registry.start()
    assert_well(deployment, user, image)


def test_registry_stopped_during_an_upload(deployment, user):
    image_id = str(uuid.uuid4())
    with Conversation(deployment.api_port) as conversation:
        headers = user | UPLOAD | {"x-image-meta-id": image_id, "Transfer-Encoding": "chunked"}
        conversation.head("POST", "/v1/images", headers)
        conversation.chunk(DATA)
        wait_for_status(deployment, image_id, "saving")
        deployment.registry.stop()
        try:
            conversation.end()
            answer = conversation.answer()
        finally:
            deployment.registry.start()
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    wait_for_status(deployment, image_id, "killed")
    wait_until(lambda: not deployment.files(image_id), "the data is removed")


def test_registry_paused(deployment, user, image):
    """A registry that hangs is one that is down, after registry_client_timeout."""
    processes = [deployment.registry.pid, *deployment.registry.children()]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        answer = deployment.request("HEAD", image, headers=user)
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    assert_well(deployment, user, image)


def test_database_gone(deployment, database, user, image):
    database.take_away()
    try:
        assert_unavailable(deployment, user, image)
        for path in ("/images", "/images/detail", image, image + "/members", "/shared-images/m"):
            answer = requests.get(deployment.registry_url + path, headers=ADMIN)
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), path
    finally:
        database.give_back()
    assert_well(deployment, user, image)


def test_database_gone_during_an_upload(deployment, database, user):
    image_id = str(uuid.uuid4())
    with Conversation(deployment.api_port) as conversation:
        headers = user | UPLOAD | {"x-image-meta-id": image_id, "Transfer-Encoding": "chunked"}
        conversation.head("POST", "/v1/images", headers)
        conversation.chunk(DATA)
        wait_for_status(deployment, image_id, "saving")
        database.take_away()
        try:
            conversation.end()
            answer = conversation.answer()
        finally:
            database.give_back()
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    wait_for_status(deployment, image_id, "killed")
    wait_until(lambda: not deployment.files(image_id), "the data is removed")


def test_connections_broken_off(deployment, database, user, image):
    """A database that was restarted between two requests is noticed by nobody."""
    database.take_away()
    database.give_back()
    for _ in range(3):
        assert deployment.request("HEAD", image, headers=user).status_code == 200
    assert status_of(deployment, image.split("/")[-1]) == "active"
    assert_well(deployment, user, image)
