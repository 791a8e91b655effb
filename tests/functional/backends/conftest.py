"""Real back ends behind real daemons: Swift, S3 (of Swift) and a Ceph cluster that may be stopped."""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.services.ceph import Ceph, running_ceph
from tests.services.swift import Swift

MIB = 1024 * 1024
OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}
SETTLE_SECONDS = 60
VERSIONS = ("v1", "v2")
FAILED = {"v1": "killed", "v2": "queued"}
"""What an upload that failed leaves its image in."""


def content(size: int) -> bytes:
    """Bytes of which no two MiB are alike."""
    block = os.urandom(MIB - 8)
    return b"".join(number.to_bytes(8, "big") + block for number in range(size // MIB + 1))[:size]


def wait_for(condition: Callable[[], Any], seconds: float = SETTLE_SECONDS) -> None:
    """Wait until ``condition()`` holds; fails if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


class Backend:
    """A kind of store, seen without the service.

    :ivar name: of the kind
    :ivar server: has ``stop`` and ``start``
    :ivar options: of the store
    """

    name: str
    server: Any
    options: dict[str, Any]

    def names(self, image_id: str = "") -> list[str]:
        """What is there, of one image or of all: objects, segments, uploads in progress."""
        return sorted(name for name in self._names() if name.startswith(image_id))

    def _names(self) -> list[str]:
        raise NotImplementedError

    def put(self, name: str, data: bytes) -> None:
        """Make an object as somebody else would."""
        raise NotImplementedError

    def get(self, name: str) -> bytes:
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove an object that the service stored, with its segments."""
        raise NotImplementedError


class SwiftBackend(Backend):
    name = "swift"

    def __init__(self, server: Swift) -> None:
        self.server = server
        self._container = f"images-{uuid.uuid4()}"
        self.options = {
            "swift_store_auth_address": server.auth_v1_url,
            "swift_store_user": server.user,
            "swift_store_key": server.key,
            "swift_store_auth_version": "1",
            "swift_store_container": self._container,
            "swift_store_create_container_on_put": True,
            "swift_store_large_object_size": 8,
            "swift_store_large_object_chunk_size": 4,
        }

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        import swiftclient

        client = swiftclient.Connection(self.server.auth_v1_url, self.server.user, self.server.key, retries=0)
        with contextlib.closing(client):
            client.put_container(self._container)
            yield client

    def _names(self) -> list[str]:
        with self._client() as client:
            return [entry["name"] for entry in client.get_container(self._container, full_listing=True)[1]]

    def put(self, name: str, data: bytes) -> None:
        with self._client() as client:
            client.put_object(self._container, name, data)

    def get(self, name: str) -> bytes:
        with self._client() as client:
            return client.get_object(self._container, name)[1]

    def remove(self, name: str) -> None:
        for found in self.names(name):
            with self._client() as client:
                client.delete_object(self._container, found)


class S3Backend(Backend):
    name = "s3"

    def __init__(self, server: Swift) -> None:
        import boto3
        from botocore.config import Config

        self.server = server
        self._bucket = f"images-{uuid.uuid4()}"
        self.options = {
            "s3_store_host": server.s3_url,
            "s3_store_access_key": server.s3_access_key,
            "s3_store_secret_key": server.s3_secret_key,
            "s3_store_bucket": self._bucket,
            "s3_store_bucket_url_format": "path",
            "s3_store_large_object_size": 8,
            "s3_store_large_object_chunk_size": 5,
        }
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        self._client = boto3.client(
            "s3", endpoint_url=server.s3_url, aws_access_key_id=server.s3_access_key,
            aws_secret_access_key=server.s3_secret_key, region_name="us-east-1", config=config,
        )  # fmt: skip
        self._client.create_bucket(Bucket=self._bucket)

    def _names(self) -> list[str]:
        objects = self._client.list_objects_v2(Bucket=self._bucket).get("Contents", ())
        uploads = self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", ())
        return [entry["Key"] for entry in objects] + [f"{entry['Key']}?{entry['UploadId']}" for entry in uploads]

    def put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=name, Body=data)

    def get(self, name: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=name)


class RbdBackend(Backend):
    name = "rbd"

    def __init__(self, server: Ceph) -> None:
        self.server = server
        self.options = {
            "rbd_store_ceph_conf": server.conf,
            "rbd_store_user": server.user,
            "rbd_store_pool": server.pool,
            "rbd_store_chunk_size": 4,
            "rados_connect_timeout": 2,
        }

    @contextlib.contextmanager
    def _pool(self) -> Iterator[Any]:
        import rados

        with (
            rados.Rados(conffile=self.server.conf, name="client.admin") as cluster,
            cluster.open_ioctx(self.server.pool) as pool,
        ):
            yield pool

    def _names(self) -> list[str]:
        import rbd

        with self._pool() as pool:
            return [*rbd.RBD().list(pool), *(entry["name"] for entry in rbd.RBD().trash_list(pool))]

    def put(self, name: str, data: bytes) -> None:
        import rbd

        with self._pool() as pool:
            rbd.RBD().create(pool, name, len(data), old_format=False, features=rbd.RBD_FEATURE_LAYERING)
            with rbd.Image(pool, name) as image:
                image.write(data, 0)

    def get(self, name: str) -> bytes:
        import rbd

        with self._pool() as pool, rbd.Image(pool, name, read_only=True) as image:
            return image.read(0, image.size())

    def remove(self, name: str) -> None:
        import rbd

        with self._pool() as pool:
            with rbd.Image(pool, name) as image:
                for snapshot in list(image.list_snaps()):
                    if image.is_protected_snap(snapshot["name"]):
                        image.unprotect_snap(snapshot["name"])
                    image.remove_snap(snapshot["name"])
            rbd.RBD().remove(pool, name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Ceph]:
    """A Ceph cluster that may be stopped without disturbing others."""
    with running_ceph() as running:
        yield running


@pytest.fixture(scope="session")
def swift_backend(swift: Swift) -> Backend:
    pytest.importorskip("swiftclient")
    return SwiftBackend(swift)


@pytest.fixture(scope="session")
def s3_backend(swift: Swift) -> Backend:
    pytest.importorskip("boto3")
    return S3Backend(swift)


@pytest.fixture(scope="session")
def rbd_backend(cluster: Ceph) -> Backend:
    return RbdBackend(cluster)


@pytest.fixture(scope="module", params=["swift", "s3", "rbd"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.getfixturevalue(f"{request.param}_backend")


@pytest.fixture(scope="module")
def deployment(backend: Backend, deploy: Any) -> Deployment:
    """A daemon without authentication that stores everything in the back end."""
    settings = {"glance_store": {"default_store": backend.name, "stores": backend.name, **backend.options}}
    return deploy(api=settings, health=("stores",))


@pytest.fixture(params=VERSIONS)
def image(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator["Image"]:
    """An image that is not there yet."""
    image = Image(deployment, request.param)
    yield image
    image.delete()


class Image:
    """One image through one version of the API.

    :ivar failed: what an upload that failed leaves it in
    """

    def __init__(self, deployment: Deployment, version: str, headers: dict[str, str] | None = None) -> None:
        self.deployment, self.version = deployment, version
        self.id = str(uuid.uuid4())
        self.failed = FAILED[version]
        self._headers = headers or {}

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        url = f"{self.deployment.endpoint}/{self.version}{path}"
        return requests.request(method, url, headers=self._headers | (headers or {}), timeout=120, **more)

    def upload(self, data: Any, store: str | None = None) -> requests.Response:
        """Create the image with data: bytes, or an iterable, which is sent chunked if it has no length."""
        chosen = {"X-Image-Meta-Store": store} if store else {}
        if self.version == "v2":
            created = self.send("POST", "/images", json={"id": self.id, **FORMATS})
            assert created.status_code == 201, created.text
            return self.send("PUT", f"/images/{self.id}/file", OCTETS | chosen, data=data)
        meta = {f"x-image-meta-{name}": value for name, value in {"id": self.id, **FORMATS}.items()}
        return self.send("POST", "/images", OCTETS | meta | chosen, data=data)

    def store(self, data: bytes, store: str | None = None) -> "Image":
        answer = self.upload(data, store)
        assert answer.status_code == {"v1": 201, "v2": 204}[self.version], answer.text
        return self

    def status(self) -> str | None:
        """Status, None while it is not there."""
        if self.version == "v2":
            return self.send("GET", f"/images/{self.id}").json().get("status") if self._is_there() else None
        return self.send("HEAD", f"/images/{self.id}").headers.get("x-image-meta-status")

    def _is_there(self) -> bool:
        return self.send("GET", f"/images/{self.id}").status_code == 200

    def download(self, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        path = f"/images/{self.id}" + ("/file" if self.version == "v2" else "")
        return self.send("GET", path, headers, **more)

    def delete(self) -> requests.Response:
        return self.send("DELETE", f"/images/{self.id}")


class Halves:
    """Data that is sent in two halves: the second when it is told to.

    :ivar half_sent: is set when the first is on its way
    :ivar breaks: the client goes away in the middle
    """

    def __init__(self, data: bytes, *, breaks: bool = False) -> None:
        self.data, self.breaks = data, breaks
        self.half_sent, self.go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        half = len(self.data) // 2
        yield from (self.data[start : min(start + MIB, half)] for start in range(0, half, MIB))
        self.half_sent.set()
        self.go_on.wait(120)
        if self.breaks:
            raise requests.ConnectionError("the client goes away")
        yield from (self.data[start : start + MIB] for start in range(half, len(self.data), MIB))


class SizedHalves(Halves):
    """The same with a size that is announced."""

    def __len__(self) -> int:
        return len(self.data)


class Upload(threading.Thread):
    """An upload that stays in the middle until it is told to go on.

    :ivar answer: None: the connection broke
    """

    def __init__(self, image: Image, data: Halves) -> None:
        super().__init__(daemon=True)
        self.image, self.data = image, data
        self.answer: requests.Response | None = None

    def run(self) -> None:
        with contextlib.suppress(requests.RequestException):
            self.answer = self.image.upload(self.data)

    def begin(self) -> "Upload":
        """Start, and return when the service has the first half."""
        self.start()
        assert self.data.half_sent.wait(60)
        wait_for(lambda: self.image.status() == "saving")
        return self

    def finish(self) -> requests.Response | None:
        self.data.go_on.set()
        self.join(120)
        assert not self.is_alive()
        return self.answer


def sweep(deployment: Deployment) -> str:
    """What ``glance-manage store check --delete --older 0`` says."""
    command = ("--config-file", str(deployment.api.config), "store", "check", "--delete", "--older", "0")
    return deployment.manage(*command, check=False).stdout
