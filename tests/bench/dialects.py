"""The same few operations in the three wire formats: API v1, API v2 and the registry's REST API."""

import json
from typing import ClassVar

from tests.bench.wire import Answer, Connection, request

PROPERTIES = {"architecture": "x86_64", "os_distro": "debian", "hw_disk_bus": "virtio"}
"""Every image carries these."""

PAGE = 25


class Dialect:
    """Requests of one API; the images they create are public, raw and bare, with ``PROPERTIES``."""

    root: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}

    def list(self) -> bytes:
        """A page of ``PAGE`` images with all their metadata."""
        raise NotImplementedError

    def show(self, image_id: str) -> bytes:
        """The metadata of one image."""
        raise NotImplementedError

    def create(self) -> bytes:
        """A record without data."""
        raise NotImplementedError

    def delete(self, image_id: str) -> bytes:
        """Remove one image."""
        return request("DELETE", f"{self.root}/{image_id}", self.headers)

    def created(self, answer: Answer) -> str:
        """The id of the image that ``create`` made."""
        return json.loads(answer.body)["image"]["id"]


class ImagesApi(Dialect):
    """An API that also carries data."""

    def download(self, image_id: str) -> bytes:
        """The data of one image."""
        raise NotImplementedError

    def add(self, connection: Connection, size: int) -> str:
        """Create an image with ``size`` bytes of noise; return its id."""
        raise NotImplementedError


class V1(ImagesApi):
    """Images API v1: metadata in headers, data in the body."""

    root = "/v1/images"
    _image: ClassVar[dict[str, str]] = {
        "x-image-meta-name": "bench",
        "x-image-meta-disk_format": "raw",
        "x-image-meta-container_format": "bare",
        "x-image-meta-is_public": "True",
    } | {f"x-image-meta-property-{name}": value for name, value in PROPERTIES.items()}

    def list(self) -> bytes:
        return request("GET", f"{self.root}/detail?limit={PAGE}", self.headers)

    def show(self, image_id: str) -> bytes:
        return request("HEAD", f"{self.root}/{image_id}", self.headers)

    def create(self) -> bytes:
        return request("POST", self.root, self._image)

    def download(self, image_id: str) -> bytes:
        return request("GET", f"{self.root}/{image_id}", self.headers)

    def add(self, connection: Connection, size: int) -> str:
        return self.created(connection.upload(self.upload(size), size))

    def upload(self, size: int) -> bytes:
        """The head of a request that creates an image with ``size`` bytes of data."""
        headers = {**self._image, "Content-Type": "application/octet-stream"}
        return request("POST", self.root, headers, length=size)


class Registry(Dialect):
    """The registry's REST API, as glance-api uses it."""

    root = "/images"

    def list(self) -> bytes:
        return request("GET", f"{self.root}/detail?limit={PAGE}", self.headers)

    def show(self, image_id: str) -> bytes:
        return request("GET", f"{self.root}/{image_id}", self.headers)

    def create(self) -> bytes:
        image = {
            "name": "bench", "status": "queued", "disk_format": "raw", "container_format": "bare", "is_public": True,
            "properties": PROPERTIES,
        }  # fmt: skip
        return request("POST", self.root, {"Content-Type": "application/json"}, json.dumps({"image": image}).encode())


class V2(ImagesApi):
    """Images API v2: JSON, and the data in a request of its own."""

    root = "/v2/images"
    headers: ClassVar[dict[str, str]] = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "bench",
        "X-Project-Id": "bench",
        "X-Tenant-Id": "bench",
        "X-Roles": "admin,member,reader",
    }
    _image = json.dumps(
        {"name": "bench", "disk_format": "raw", "container_format": "bare", "visibility": "public", **PROPERTIES}
    ).encode()

    def list(self) -> bytes:
        return request("GET", f"{self.root}?limit={PAGE}", self.headers)

    def show(self, image_id: str) -> bytes:
        return request("GET", f"{self.root}/{image_id}", self.headers)

    def create(self) -> bytes:
        return request("POST", self.root, {**self.headers, "Content-Type": "application/json"}, self._image)

    def patch(self, image_id: str) -> bytes:
        """Change an attribute, and set a property."""
        headers = {**self.headers, "Content-Type": "application/openstack-images-v2.1-json-patch"}
        changes = [
            {"op": "replace", "path": "/name", "value": "bench"},
            {"op": "add", "path": "/os_distro", "value": "debian"},
        ]
        return request("PATCH", f"{self.root}/{image_id}", headers, json.dumps(changes).encode())

    def download(self, image_id: str) -> bytes:
        return request("GET", f"{self.root}/{image_id}/file", self.headers)

    def add(self, connection: Connection, size: int) -> str:
        image_id = self.created(connection.ask(self.create()))
        headers = {**self.headers, "Content-Type": "application/octet-stream"}
        connection.upload(request("PUT", f"{self.root}/{image_id}/file", headers, length=size), size)
        return image_id

    def created(self, answer: Answer) -> str:
        return json.loads(answer.body)["id"]


REGISTRY = Registry()
