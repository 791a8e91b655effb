"""Deployments, callers and helpers of the v2 tests."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.functional import conftest
from tests.functional.conftest import ROOT, identity
from tests.functional.v1.source import Source

OLD = "application/openstack-images-v2.0-json-patch"
NEW = "application/openstack-images-v2.1-json-patch"
OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}
DATA_APIS = ("glance.db.registry.api", "glance.db.sqlalchemy.api")
TOO_BIG = 2**31
EMOJI = "\U0001f600"
LONG = "x" * 256

PROPERTIES = 4
TAGS = 3
LOCATIONS = 3
RECORDS = 4
SIZE_CAP = 4096
QUOTA = 8192
PAGE, PAGE_MAX = 2, 3

DENIABLE = (
    "add_image", "communitize_image", "delete_image", "delete_image_location", "download_image", "get_image",
    "get_image_location", "get_images", "modify_image", "set_image_location", "upload_image",
)  # fmt: skip
"""Rules that the ``tuned`` deployment denies to a caller with the role ``without_<rule>``."""


class Deployment(conftest.Deployment):
    """One with the typed properties that the product brings."""

    def start(self) -> "Deployment":
        shutil.copy(ROOT / "etc" / "schema-image.json", self.directory)
        super().start()
        return self


class Caller:
    """Somebody who uses the v2 API of a deployment."""

    def __init__(self, deployment: Deployment, project: str | None = None, roles: str = "member") -> None:
        self.deployment = deployment
        self.project = project or uuid.uuid4().hex
        self.headers = identity(self.project, f"user-of-{self.project}", roles)

    def with_roles(self, *roles: str) -> "Caller":
        """The same user with other roles."""
        return Caller(self.deployment, self.project, ",".join(roles))

    def without(self, rule: str) -> "Caller":
        """The same user, whom the ``tuned`` deployment's policy denies ``rule``."""
        return self.with_roles("member", f"without_{rule}")

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        """Send a request; ``path`` goes after ``/v2``.  The answer is one that /openapi.json promises."""
        url = f"{self.deployment.endpoint}/v2{path}"
        answer = requests.request(
            method, url, headers={**self.headers, **(headers or {})}, timeout=60, allow_redirects=False, **more
        )
        self.deployment.contract.check(answer)
        return answer

    def post(self, body: Any) -> requests.Response:
        return self.send("POST", "/images", json=body)

    def create(self, **attributes: Any) -> dict[str, Any]:
        answer = self.post(attributes)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def active(self, data: bytes = b"data", **attributes: Any) -> dict[str, Any]:
        """Create an image with data."""
        image = self.create(**{**FORMATS, **attributes})
        answer = self.upload(image["id"], data)
        assert answer.status_code == 204, answer.text
        return self.image(image["id"])

    def upload(self, image_id: str, data: bytes = b"data") -> requests.Response:
        return self.send("PUT", f"/images/{image_id}/file", OCTETS, data=data)

    def show(self, image_id: str) -> requests.Response:
        return self.send("GET", f"/images/{image_id}")

    def image(self, image_id: str) -> dict[str, Any]:
        answer = self.show(image_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, image_id: str, **headers: str) -> requests.Response:
        return self.send("DELETE", f"/images/{image_id}", headers)

    def page(self, query: Any = None) -> requests.Response:
        return self.send("GET", "/images", params=query or {})

    def ids(self, query: Any = None) -> list[str]:
        """What a list holds, in its order."""
        answer = self.page(query)
        assert answer.status_code == 200, answer.text
        return [image["id"] for image in answer.json()["images"]]

    def patch(self, image_id: str, *changes: Any, headers: dict[str, str] | None = None) -> requests.Response:
        """PATCH in the newer syntax."""
        return self.send_patch(image_id, NEW, list(changes), headers)

    def send_patch(
        self, image_id: str, content_type: str, body: Any, headers: dict[str, str] | None = None
    ) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.send("PATCH", f"/images/{image_id}", {"Content-Type": content_type, **(headers or {})}, data=data)

    def share(self, image_id: str, with_whom: "Caller", status: str | None = None) -> None:
        answer = self.send("POST", f"/images/{image_id}/members", json={"member": with_whom.project})
        assert answer.status_code == 200, answer.text
        if status:
            path = f"/images/{image_id}/members/{with_whom.project}"
            assert with_whom.send("PUT", path, json={"status": status}).status_code == 200


class Anonymous(Caller):
    """Somebody without an identity."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self.headers = {}


def add(name: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


def replace(name: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": f"/{name}", "value": value}


def remove(name: str) -> dict[str, Any]:
    return {"op": "remove", "path": f"/{name}"}


# --- deployments -----------------------------------------------------------------


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Deployment]]:
    """Start deployments that end with the module: ``deploy(api={...}, data_api=...)``; they believe identities."""
    running: list[Deployment] = []

    def start(**settings: Any) -> Deployment:
        settings = {"flavor": "trusted-auth", **settings}
        running.append(Deployment(tmp_path_factory.mktemp("glance"), **settings))
        return running[-1].start()

    yield start
    for deployment in running:
        deployment.stop()


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything by default, data over the registry."""
    deployment = Deployment(tmp_path_factory.mktemp("usual"), flavor="trusted-auth", data_api=DATA_APIS[0])
    yield deployment.start()
    deployment.stop()


@pytest.fixture(scope="session", params=DATA_APIS, ids=("registry", "sqlalchemy"))
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything by default, once with the data over the registry and once straight from the database."""
    if request.param == DATA_APIS[0]:
        yield request.getfixturevalue("usual")
        return
    deployment = Deployment(tmp_path_factory.mktemp("either"), flavor="trusted-auth", data_api=request.param)
    yield deployment.start()
    deployment.stop()


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with everything set that has no effect by default (see the constants)."""
    directory = tmp_path_factory.mktemp("tuned")
    rules = {rule: f"not role:without_{rule}" for rule in DENIABLE}
    rules |= {"context_is_admin": "role:admin", "publicize_image": "role:admin or role:publisher"}
    (directory / "policy.json").write_text(json.dumps(rules))
    api = {
        "allow_anonymous_access": True,
        "show_multiple_locations": True,
        "show_image_direct_url": True,
        "image_property_quota": PROPERTIES,
        "image_tag_quota": TAGS,
        "image_location_quota": LOCATIONS,
        "user_image_count_quota": RECORDS,
        "user_storage_quota": f"{QUOTA}B",
        "image_size_cap": SIZE_CAP,
        "limit_param_default": PAGE,
        "api_limit_max": PAGE_MAX,
        "notifier_strategy": "logging",
        "metadata_encryption_key": "a key of 16 byte",
        "oslo_policy": {"policy_file": directory / "policy.json"},
        "import_filtering_opts": {"allowed_hosts": "127.0.0.1", "fetch_deadline": 5},
    }
    deployment = Deployment(directory, api=api, registry={"allow_anonymous_access": True}, flavor="trusted-auth")
    yield deployment.start()
    deployment.stop()


@pytest.fixture(scope="session")
def source() -> Iterator[Source]:
    """A web server whose images may be named as locations."""
    with Source() as server:
        yield server


# --- callers; a module says with its own ``api`` which deployment they use --------


@pytest.fixture
def api(usual: Deployment) -> Deployment:
    return usual


@pytest.fixture
def user(api: Deployment) -> Caller:
    """An ordinary user of a project that nobody else is in."""
    return Caller(api)


@pytest.fixture
def other(api: Deployment) -> Caller:
    """An ordinary user of yet another project."""
    return Caller(api)


@pytest.fixture
def admin(api: Deployment) -> Caller:
    """An administrator, of a project of its own."""
    return Caller(api, roles="admin")


@pytest.fixture
def anonymous(api: Deployment) -> Caller:
    return Anonymous(api)
