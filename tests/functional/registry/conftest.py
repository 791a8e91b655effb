"""Registries without an API server, and those who speak to them."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.functional.conftest import Deployment, identity

LOCATION = "file:///images/of/the/test"
"""A place that nobody looks at: the registry keeps locations as text."""
PAGE, PAGE_MAX = 3, 5


class Caller:
    """Somebody who speaks to the registry itself.

    :ivar tenant: what its images belong to; None for nobody in particular
    """

    def __init__(self, deployment: Deployment, tenant: str | None = None, headers: dict[str, str] | None = None):
        self.tenant = tenant
        self.headers = headers or {}
        self._deployment = deployment

    def ask(self, method: str, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        """Send a request, with ``body`` as JSON unless it is bytes."""
        headers = self.headers | kwargs.pop("headers", {})
        given = {"data": body} if isinstance(body, bytes) else {"json": body}
        return self._deployment.registry_request(method, path, headers=headers, **given, **kwargs)

    def ok(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        """Send a request that succeeds; return what its body says."""
        answer = self.ask(method, path, body, **kwargs)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def create(self, **values: Any) -> dict[str, Any]:
        """Register an image, queued unless ``status`` is given."""
        return self.ok("POST", "/images", {"image": {"status": "queued"} | values})["image"]

    def show(self, image_id: str) -> dict[str, Any]:
        return self.ok("GET", f"/images/{image_id}")["image"]

    def update(self, image_id: str, headers: dict[str, str] | None = None, body: Any = None, **values: Any) -> Any:
        """PUT ``values``, with further keys of the body as ``body``; return the answer."""
        return self.ask("PUT", f"/images/{image_id}", {"image": values} | (body or {}), headers=headers or {})

    def listed(self, owner: str | None = None, /, path: str = "/images/detail", **params: Any) -> list[str]:
        """Names of the images of ``owner`` (default: the caller's own) in a list, in its order."""
        query = {"limit": 1000} | {key.replace("property_", "property-"): value for key, value in params.items()}
        images = self.ok("GET", path, params=query)["images"]
        return [image["name"] for image in images if image["owner"] == (owner or self.tenant)]


def status_of(answer: requests.Response) -> int:
    """The status of an answer that may be anything but an accident."""
    assert "Traceback" not in answer.text
    return answer.status_code


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A registry that believes identity headers, without an API server that would settle what the tests leave."""
    yield from _registry(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Another, with short pages, that lets anonymous callers read."""
    limits = {"limit_param_default": PAGE, "api_limit_max": PAGE_MAX, "allow_anonymous_access": True}
    yield from _registry(tmp_path_factory.mktemp("small"), **limits)


def _registry(directory: Path, **settings: Any) -> Iterator[Deployment]:
    deployment = Deployment(directory, registry=settings, flavor="trusted-auth")
    deployment.manage("db", "sync")
    deployment.registry.start()
    yield deployment
    deployment.stop()
    log = deployment.registry.log.read_text()
    assert "Traceback" not in log and "Unexpected error" not in log, log


@pytest.fixture
def user(alone: Deployment) -> Caller:
    """An ordinary user of a tenant that nobody else is of."""
    tenant = uuid.uuid4().hex
    return Caller(alone, tenant, identity(tenant))


@pytest.fixture
def other(alone: Deployment) -> Caller:
    """An ordinary user of another tenant."""
    tenant = uuid.uuid4().hex
    return Caller(alone, tenant, identity(tenant))


@pytest.fixture
def admin(alone: Deployment) -> Caller:
    """An administrator of a tenant of its own."""
    tenant = uuid.uuid4().hex
    return Caller(alone, tenant, identity(tenant, "root", "admin"))


@pytest.fixture
def anonymous(small: Deployment) -> Caller:
    """Nobody, where reading is allowed to everybody."""
    return Caller(small)
