"""Swift with swift_store_multi_tenant: images in their owners' accounts, and who may read them (spec stores.md §5)."""

import json
from typing import NamedTuple

import pytest

from tests.functional.backends.conftest import FAILED, MIB, VERSIONS, Halves, Image, Upload, content, wait_for

swiftclient = pytest.importorskip("swiftclient")

PASSWORD = "tenant-password"
ADMINS = "service:glance,ops:*"
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


class Person(NamedTuple):
    """Somebody with a project, as the front in front of the service says.

    :ivar account: URL of the project's account in Swift
    """

    project: str
    token: str
    account: str
    headers: dict[str, str]

    def acl(self, container: str) -> tuple[str, str]:
        found = swiftclient.head_container(self.account, self.token, container)
        return found.get("x-container-read", ""), found.get("x-container-write", "")

    def containers(self) -> list[str]:
        return [entry["name"] for entry in swiftclient.get_account(self.account, self.token)[1]]


@pytest.fixture(scope="module")
def people(keystone, swift_keystone):
    def person(name, role):
        keystone.user(name, PASSWORD, {f"{name}-project": [role]})
        project, token = keystone.project(f"{name}-project"), keystone.token(name, PASSWORD, f"{name}-project")
        headers = {
            "X-Identity-Status": "Confirmed", "X-User-Id": name, "X-Tenant-Id": project, "X-Roles": "member",
            "X-Auth-Token": token, "X-Service-Catalog": json.dumps(keystone.catalog(name, PASSWORD, f"{name}-project")),
        }  # fmt: skip
        return Person(project, token, f"{swift_keystone.url}/v1/AUTH_{project}", headers)

    return {"owner": person("tenant-owner", "swiftoperator"), "friend": person("tenant-friend", "member")}


@pytest.fixture(scope="module")
def deployment(deploy, people):
    options = {
        "default_store": "swift",
        "stores": "swift",
        "swift_store_multi_tenant": True,
        "swift_store_create_container_on_put": True,
        "swift_store_large_object_size": 8,
        "swift_store_large_object_chunk_size": 4,
        "swift_store_admin_tenants": "service:glance,ops",
    }
    return deploy(api={"glance_store": options}, flavor="trusted-auth")


@pytest.fixture(params=VERSIONS)
def image(request, deployment, people):
    image = Image(deployment, request.param, people["owner"].headers)
    yield image
    image.delete()


def test_in_the_account_of_the_owner(image, people):
    data = content(12 * MIB + 1)
    image.store(data)
    assert f"glance_{image.id}" in people["owner"].containers()
    assert people["owner"].acl(f"glance_{image.id}") == (ADMINS, ADMINS)
    assert image.download().content == data
    assert image.delete().status_code < 300
    assert f"glance_{image.id}" not in people["owner"].containers()


def test_a_client_that_goes_away(image, people):
    upload = Upload(image, Halves(content(24 * MIB), breaks=True)).begin()
    upload.finish()
    wait_for(lambda: image.status() == FAILED[image.version])
    found = people["owner"].containers()
    assert (
        f"glance_{image.id}" not in found
        or not swiftclient.get_container(people["owner"].account, people["owner"].token, f"glance_{image.id}")[1]
    )


def test_members_of_v2(deployment, people):
    owner, friend = people["owner"], people["friend"]
    image = Image(deployment, "v2", owner.headers).store(b"shared")
    container = f"glance_{image.id}"
    assert image.send("POST", f"/images/{image.id}/members", JSON, json={"member": friend.project}).status_code == 200
    assert owner.acl(container) == (f"{friend.project}:*,{ADMINS}", ADMINS)
    theirs = Image(deployment, "v2", friend.headers)
    theirs.id = image.id
    assert theirs.download().content == b"shared"
    assert image.send("DELETE", f"/images/{image.id}/members/{friend.project}").status_code == 204
    assert owner.acl(container) == (ADMINS, ADMINS)
    image.delete()


def test_members_of_v1(deployment, people):
    owner, friend = people["owner"], people["friend"]
    image = Image(deployment, "v1", owner.headers).store(b"shared")
    path, container = f"/images/{image.id}/members/{friend.project}", f"glance_{image.id}"
    assert image.send("PUT", path).status_code == 204
    assert owner.acl(container) == (f"{friend.project}:*,{ADMINS}", ADMINS)
    assert image.send("PUT", path, JSON, json={"member": {"can_share": True}}).status_code == 204
    assert owner.acl(container) == (f"{friend.project}:*,{ADMINS}", f"{friend.project}:*,{ADMINS}")
    memberships = {"memberships": [{"member_id": "somebody"}]}
    assert image.send("PUT", f"/images/{image.id}/members", JSON, json=memberships).status_code == 204
    assert owner.acl(container) == (f"somebody:*,{ADMINS}", ADMINS)
    assert image.send("DELETE", f"/images/{image.id}/members/somebody").status_code == 204
    assert owner.acl(container) == (ADMINS, ADMINS)
    image.delete()


def test_visibility_of_v2(deployment, people):
    owner, friend = people["owner"], people["friend"]
    image = Image(deployment, "v2", owner.headers).store(b"data")
    container = f"glance_{image.id}"
    image.send("POST", f"/images/{image.id}/members", JSON, json={"member": friend.project})
    for visibility, readers in [
        ("community", "*:*"), ("private", ADMINS), ("shared", f"{friend.project}:*,{ADMINS}"),
    ]:  # fmt: skip
        change = json.dumps([{"op": "replace", "path": "/visibility", "value": visibility}])
        assert image.send("PATCH", f"/images/{image.id}", PATCH, data=change).status_code == 200
        assert owner.acl(container) == (readers, ADMINS), visibility
    image.delete()


def test_public_in_v1(deployment, people):
    owner = people["owner"]
    admin = owner.headers | {"X-Roles": "admin"}
    image = Image(deployment, "v1", admin).store(b"data")
    public = {"x-image-meta-is_public": "true", "x-glance-registry-purge-props": "false"}
    assert image.send("PUT", f"/images/{image.id}", public).status_code == 200
    assert owner.acl(f"glance_{image.id}") == ("*:*", ADMINS)
    assert image.send("PUT", f"/images/{image.id}", public | {"x-image-meta-is_public": "false"}).status_code == 200
    assert owner.acl(f"glance_{image.id}") == (ADMINS, ADMINS)
    image.delete()


def test_without_a_token(deployment, people):
    headers = {name: value for name, value in people["owner"].headers.items() if name != "X-Auth-Token"}
    image = Image(deployment, "v2", headers)
    answer = image.upload(b"data")
    assert answer.status_code == 503
    assert image.status() == "queued"
    image.delete()
