"""Who may do what to whose images: owners, members, strangers, administrators, anonymous callers, owner nobody
(spec v2-images.md §2, §4, §5; policy-quota-protection.md §1)."""

import pytest

from tests.functional.v2.conftest import FORMATS, NEW, OCTETS, Anonymous, Caller, add

PATCH = {"Content-Type": NEW}
CHANGES = {
    "patch": ("PATCH", "", {"headers": PATCH, "data": '[{"op": "add", "path": "/x", "value": "y"}]'}, 200),
    "upload": ("PUT", "/file", {"headers": OCTETS, "data": b"data"}, 204),
    "tag": ("PUT", "/tags/t", {}, 204),
    "untag": ("DELETE", "/tags/first", {}, 204),
    "deactivate": ("POST", "/actions/deactivate", {}, 403),  # a queued image cannot be, not even by its owner
    "share": ("POST", "/members", {"json": {"member": "m"}}, 200),
    "delete": ("DELETE", "", {}, 204),
}
READS = ("", "/file")


@pytest.fixture
def image(user):
    """A shared image that waits for data."""
    return user.create(**FORMATS, tags=["first"])


def change(caller, image, name):
    method, path, more, _ = CHANGES[name]
    return caller.send(method, f"/images/{image['id']}{path}", **more).status_code


@pytest.mark.parametrize("name", CHANGES)
def test_owner_and_admin(user, admin, name):
    for caller in (user, Caller(user.deployment, user.project), admin):
        image = user.create(**FORMATS, tags=["first"])
        assert change(caller, image, name) == CHANGES[name][3]


@pytest.mark.parametrize("name", CHANGES)
def test_strangers_change_nothing(user, other, admin, image, name):
    before = user.image(image["id"])
    assert change(other, image, name) == 404
    for visibility in ("public", "community"):
        admin.patch(image["id"], add("visibility", visibility))
        assert change(other, image, name) == 403
    admin.patch(image["id"], add("visibility", "shared"))
    assert user.image(image["id"]) | {"updated_at": ""} == before | {"updated_at": ""}


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
@pytest.mark.parametrize("name", CHANGES)
def test_members_change_nothing(user, other, image, name, status):
    user.share(image["id"], other, status)
    assert change(other, image, name) == 403
    assert user.image(image["id"])["tags"] == ["first"]


@pytest.mark.parametrize(
    ("visibility", "stranger", "member"),
    [("public", 200, 200), ("community", 200, 200), ("shared", 404, 200), ("private", 404, 404)],
)
def test_who_sees_what(user, other, admin, visibility, stranger, member):
    image = user.active()
    reader = Caller(user.deployment)
    user.share(image["id"], reader)
    assert admin.patch(image["id"], add("visibility", visibility)).status_code == 200
    try:
        for path in READS:
            path_of_image = f"/images/{image['id']}{path}"
            assert [caller.send("GET", path_of_image).status_code for caller in (user, admin, other, reader)] == [
                200, 200, stranger, member
            ]  # fmt: skip
    finally:
        admin.delete(image["id"])


def test_without_identity(api, image):
    nobody = Anonymous(api)
    assert nobody.page().status_code == 401
    assert nobody.post({}).status_code == 401
    for path in READS:
        assert nobody.send("GET", f"/images/{image['id']}{path}").status_code == 401
    for name in CHANGES:
        assert change(nobody, image, name) == 401
    assert nobody.send("GET", "/schemas/image").status_code == 401


@pytest.fixture
def open_to_all(tuned):
    """A public image of the deployment that lets anonymous callers read, and its owner."""
    owner, admin = Caller(tuned), Caller(tuned, roles="admin")
    image = owner.active(tags=["first"])
    assert admin.patch(image["id"], add("visibility", "public")).status_code == 200
    yield owner, owner.image(image["id"])
    admin.delete(image["id"])


def test_anonymous_reads_what_is_public(tuned, open_to_all):
    nobody = Anonymous(tuned)
    owner, image = open_to_all
    hidden = owner.create()
    community = owner.create(visibility="community")
    assert nobody.image(image["id"]) == image
    assert nobody.send("GET", f"/images/{image['id']}/file").content == b"data"
    assert nobody.image(community["id"])["visibility"] == "community"
    assert nobody.show(hidden["id"]).status_code == 404
    assert nobody.ids({"owner": owner.project}) == [image["id"]]
    assert nobody.send("GET", "/schemas/image").status_code == 200


@pytest.mark.parametrize("name", CHANGES)
def test_anonymous_changes_nothing(tuned, open_to_all, name):
    owner, image = open_to_all
    assert change(Anonymous(tuned), image, name) == 403
    assert owner.image(image["id"]) == image


def test_anonymous_creates_nothing(tuned):
    assert Anonymous(tuned).post({"name": "n"}).status_code == 403


def test_anonymous_and_an_empty_patch(tuned, open_to_all):
    """Nothing would be changed, but the route is one that changes."""
    assert Anonymous(tuned).patch(open_to_all[1]["id"]).status_code == 403


@pytest.mark.parametrize("owner", [None, "somebody"])
@pytest.mark.parametrize("name", CHANGES)
def test_without_project(api, admin, owner, name):
    """Whoever has no project sees what is nobody's, and changes nothing."""
    nobody = Caller(api)
    del nobody.headers["X-Tenant-Id"]
    image = admin.create(owner=owner, **FORMATS, tags=["first"], visibility="public")
    try:
        assert nobody.show(image["id"]).status_code == 200
        assert change(nobody, image, name) == 403
        assert admin.image(image["id"])["tags"] == ["first"]
    finally:
        admin.delete(image["id"])


@pytest.mark.parametrize("visibility", ["shared", "private"])
def test_images_of_nobody(user, admin, visibility):
    image = admin.create(owner=None, visibility=visibility)
    assert user.show(image["id"]).status_code == 200
    assert user.patch(image["id"], add("x", "y")).status_code == 403
    assert user.delete(image["id"]).status_code == 403
    assert admin.delete(image["id"]).status_code == 204


@pytest.mark.parametrize("roles", ["Admin", "ADMIN", "member, admin", "member ,ADMIN ,x"])
def test_admin_by_role(api, image, roles):
    assert Caller(api, roles=roles).show(image["id"]).status_code == 200


def test_roles_are_not_the_names_of_projects(api, image):
    assert Caller(api, "admin", "member").show(image["id"]).status_code == 404
