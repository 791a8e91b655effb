"""Who may see, use and change an image (spec v1-api.md §5.1)."""

import uuid

import pytest

from tests.functional.conftest import Deployment, identity
from tests.functional.v1.conftest import ADMIN

DATA = b"data of the image"

CALLERS = ("owner", "admin", "member", "sharing member", "stranger", "same user elsewhere")
IMAGES = ("public", "shared", "private", "community", "hidden", "ownerless", "public of nobody")

READERS = {
    "public": CALLERS,
    "shared": ("owner", "admin", "member", "sharing member"),
    "private": ("owner", "admin"),
    "community": CALLERS,
    "hidden": CALLERS,
    "ownerless": CALLERS,
    "public of nobody": CALLERS,
}
PUBLIC = ("public", "hidden", "public of nobody")


@pytest.fixture
def scene(trusted):
    """``scene(kind)`` makes an image; ``scene.callers`` are the identities that ask for it."""

    class Scene:
        callers = {
            "owner": identity(uuid.uuid4().hex),
            "admin": ADMIN,
            "member": identity(uuid.uuid4().hex),
            "sharing member": identity(uuid.uuid4().hex),
            "stranger": identity(uuid.uuid4().hex, user="someone"),
            "same user elsewhere": identity(uuid.uuid4().hex),
        }

        def __call__(self, kind):
            owner = "" if kind in ("ownerless", "public of nobody") else self.callers["owner"]["X-Tenant-Id"]
            image = trusted.create(DATA, headers=ADMIN, owner=owner, is_public=str(kind in PUBLIC))
            for name, body in (("member", None), ("sharing member", '{"member": {"can_share": true}}')):
                path = f"/images/{image['id']}/members/{self.callers[name]['X-Tenant-Id']}"
                assert trusted.request("PUT", path, headers=ADMIN, data=body).status_code == 204
            if kind in ("private", "community"):
                trusted.sql("UPDATE images SET visibility = ? WHERE id = ?", kind, image["id"])
            if kind == "hidden":
                trusted.sql("UPDATE images SET os_hidden = 1 WHERE id = ?", image["id"])
            return f"/images/{image['id']}"

    return Scene()


@pytest.mark.parametrize("kind", IMAGES)
def test_reading(trusted, scene, kind):
    path = scene(kind)
    for name, caller in scene.callers.items():
        status = 200 if name in READERS[kind] else 404
        head = trusted.request("HEAD", path, headers=caller)
        assert head.status_code == status, name
        answer = trusted.request("GET", path, headers=caller)
        assert (answer.status_code, answer.content == DATA) == (status, status == 200), name
        if status == 200:
            assert head.headers["x-image-meta-is_public"] == str(kind in PUBLIC)


@pytest.mark.parametrize("kind", IMAGES)
def test_changing(trusted, scene, kind):
    path = scene(kind)
    for name, caller in scene.callers.items():
        may = name == "admin" or (name == "owner" and kind not in ("ownerless", "public of nobody"))
        status = 200 if may else 403 if kind in PUBLIC else 404
        answer = trusted.request("PUT", path, headers=caller | {"x-image-meta-name": name})
        assert answer.status_code == status, name
        if not may:
            assert trusted.request("DELETE", path, headers=caller).status_code == status, name
    assert trusted.request("DELETE", path, headers=ADMIN).status_code == 200


@pytest.mark.parametrize("kind", IMAGES)
def test_sharing(trusted, scene, kind):
    """Who may not share gets 404, even for an image that everyone sees."""
    path = scene(kind)
    keep = [
        {"member_id": scene.callers[name]["X-Tenant-Id"], "can_share": name == "sharing member"}
        for name in ("member", "sharing member")
    ]
    for name, caller in scene.callers.items():
        may = name == "admin" or (name == "owner" and kind not in ("ownerless", "public of nobody"))
        may = may or (name == "sharing member" and kind != "private")
        for method, subpath, body in (
            ("PUT", "/members/new", None),
            ("DELETE", "/members/new", None),
            ("PUT", "/members", {"memberships": keep}),
        ):
            answer = trusted.request(method, path + subpath, headers=caller, json=body)
            assert answer.status_code == (204 if may else 404), (name, method, subpath)


def test_caller_without_tenant(trusted, user):
    nobody = identity(None)
    assert trusted.create(headers=nobody)["owner"] is None
    public = trusted.create(headers=ADMIN, is_public="true")["id"]
    private = trusted.create(headers=user)["id"]
    for image_id, status in ((public, 401), (private, 404)):
        for method, path in (("PUT", "/members/m"), ("DELETE", "/members/m")):
            assert trusted.request(method, f"/images/{image_id}{path}", headers=nobody).status_code == status
    # What nobody owns is not the nobody's.
    ownerless = trusted.create(headers=ADMIN, owner="")["id"]
    for method in ("PUT", "DELETE"):
        assert trusted.request(method, f"/images/{ownerless}", headers=nobody).status_code == 404
    assert trusted.request("HEAD", f"/images/{ownerless}", headers=nobody).status_code == 200


def test_tenants_that_are_not_ascii(trusted):
    tenant = uuid.uuid4().hex + "é"
    caller = {name: value.encode() for name, value in identity(tenant, user="Zoë", roles="member,größe").items()}
    image = trusted.create(headers=caller)
    assert image["owner"] == tenant
    path = f"/images/{image['id']}"
    assert trusted.request("PUT", path, headers=caller | {"x-image-meta-name": "x"}).status_code == 200
    assert trusted.request("PUT", path, headers=ADMIN | {"x-image-meta-owner": tenant.encode()}).status_code == 200
    assert trusted.request("DELETE", path, headers=caller).status_code == 200


def test_removed_members_see_nothing(trusted, user):
    image = trusted.create(headers=user)
    path, member = f"/images/{image['id']}", identity("removed")
    trusted.request("PUT", path + "/members/removed", headers=user)
    assert trusted.request("HEAD", path, headers=member).status_code == 200
    trusted.request("DELETE", path + "/members/removed", headers=user)
    assert trusted.request("HEAD", path, headers=member).status_code == 404


def test_tenants_are_compared_exactly(trusted):
    tenant = uuid.uuid4().hex + "a"
    image = trusted.create(headers=identity(tenant))
    for other in (tenant.upper(), tenant + " x", tenant[:-1], tenant[:-1] + "%"):
        caller = identity(other)
        assert trusted.request("HEAD", f"/images/{image['id']}", headers=caller).status_code == 404


def test_unknown_ids_and_invisible_ones_look_the_same(trusted, user, other):
    private = trusted.create(headers=user)["id"]
    unknown = str(uuid.uuid4())
    answers = [trusted.request("GET", f"/images/{image_id}", headers=other) for image_id in (private, unknown)]
    texts = [answer.text.replace(private, "ID").replace(unknown, "ID") for answer in answers]
    assert texts[0] == texts[1]


def test_owner_is_user(tmp_path):
    settings = {"owner_is_tenant": False}
    deployment = Deployment(tmp_path, api=settings, registry=settings, flavor="trusted-auth").start()
    try:
        image = deployment.create(headers=identity("t", user="anna"))
        assert image["owner"] == "anna"
        path = f"/images/{image['id']}"
        assert deployment.request("PUT", path, headers=identity("elsewhere", user="anna")).status_code == 200
        assert deployment.request("PUT", path, headers=identity("t", user="berta")).status_code == 404
    finally:
        deployment.stop()
