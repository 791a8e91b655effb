"""A deployment behind a real Keystone: two projects, each with a reader and a member, and an admin."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.services.keystone import Keystone, keystone  # noqa: F401

PASSWORD = "pw"
SERVICE = ("glance", "glance-pw", "service")
PEOPLE = {
    "owner": ("alpha", ["member"]),
    "colleague": ("alpha", ["member"]),
    "reader": ("alpha", ["reader"]),
    "stranger": ("beta", ["member"]),
    "boss": ("alpha", ["admin", "member"]),
}


class Person:
    """A user of Keystone."""

    def __init__(self, server: Keystone, name: str, project: str) -> None:
        self.name, self.project = name, project
        self.project_id = server.project(project)
        self._server = server
        self.token = self.log_in()

    def log_in(self) -> str:
        """A new token."""
        return self._server.token(self.name, PASSWORD, self.project)

    def ask(self, deployment: Deployment, method: str, path: str, headers: Any = None, **kwargs: Any) -> Any:
        """The answer to a request with this user's token."""
        headers = {"X-Auth-Token": self.token} | (headers or {})
        return requests.request(method, deployment.endpoint + path, headers=headers, timeout=60, **kwargs)

    def image(self, deployment: Deployment, data: bytes | None = b"data", **attributes: Any) -> str:
        """A new image's id."""
        body = {"disk_format": "raw", "container_format": "bare", **attributes}
        answer = self.ask(deployment, "POST", "/v2/images", json=body)
        assert answer.status_code == 201, answer.text
        image_id = answer.json()["id"]
        if data is not None:
            kind = {"Content-Type": "application/octet-stream"}
            path = f"/v2/images/{image_id}/file"
            assert self.ask(deployment, "PUT", path, data=data, headers=kind).status_code == 204
        return image_id


def authtoken(server: Keystone, **more: Any) -> dict[str, Any]:
    """``[keystone_authtoken]`` as it is written today."""
    user, password, project = SERVICE
    return {
        "www_authenticate_uri": server.url,
        "auth_url": server.url,
        "auth_type": "password",
        "username": user,
        "password": password,
        "project_name": project,
        "user_domain_id": "default",
        "project_domain_id": "default",
        **more,
    }


@pytest.fixture(scope="session")
def people(keystone: Keystone) -> dict[str, Person]:  # noqa: F811
    """Everybody, by name."""
    user, password, project = SERVICE
    keystone.user(user, password, {project: ["service", "admin"]})
    for name, (of, roles) in PEOPLE.items():
        keystone.user(name, PASSWORD, {of: roles})
    return {name: Person(keystone, name, of) for name, (of, _) in PEOPLE.items()}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory, keystone: Keystone, people: Any) -> Iterator[Deployment]:  # noqa: F811
    """Both daemons with the keystone flavor."""
    settings = {"keystone_authtoken": authtoken(keystone)}
    deployment = Deployment(
        tmp_path_factory.mktemp("keystone"),
        api=settings | {"send_identity_headers": False},
        registry=settings,
        flavor="keystone",
    ).start()
    yield deployment
    deployment.stop()
