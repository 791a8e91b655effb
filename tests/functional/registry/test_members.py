"""Memberships and shared-images (spec registry.md §3.5, v1-api.md §8)."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.conftest import identity
from tests.functional.registry.conftest import Caller


@pytest.fixture
def path(user):
    """Where the members of an image of ``user`` are."""
    return f"/images/{user.create(name='shared')['id']}/members"


def members(caller, path):
    return {entry["member_id"]: entry["can_share"] for entry in caller.ok("GET", path)["members"]}


def share(caller, path, member, body=None):
    answer = caller.ask("PUT", f"{path}/{member}", body)
    assert answer.status_code in (204, 400, 401, 403, 404), answer.text
    assert answer.status_code != 204 or answer.content == b""
    return answer.status_code


def test_the_life_of_a_membership(user, path):
    assert user.ok("GET", path) == {"members": []}
    assert share(user, path, "m") == 204
    assert user.ok("GET", path) == {"members": [{"member_id": "m", "can_share": False}]}
    assert share(user, path, "m", {"member": {"can_share": True}}) == 204
    assert share(user, path, "m") == 204
    assert members(user, path) == {"m": True}
    assert share(user, path, "m", {"member": {"can_share": False, "nonsense": 1}, "nonsense": 1}) == 204
    assert members(user, path) == {"m": False}
    gone = user.ask("DELETE", f"{path}/m")
    assert (gone.status_code, gone.content) == (204, b"")
    assert members(user, path) == {}
    assert user.ask("DELETE", f"{path}/m").status_code == 404


def test_a_revived_membership(alone, user, path):
    """There is one row, and it keeps its can_share unless it is told otherwise."""
    assert share(user, path, "m", {"member": {"can_share": True}}) == 204
    assert user.ask("DELETE", f"{path}/m").status_code == 204
    assert share(user, path, "m") == 204
    assert members(user, path) == {"m": True}
    assert len(alone.sql("SELECT id FROM image_members WHERE image_id = ?", path.split("/")[2])) == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [(True, True), (1, True), ("false", True), ([0], True), (False, False), (0, False), ("", False), (None, False)],
)
def test_can_share_is_truth(user, path, value, kept):
    assert share(user, path, "m", {"member": {"can_share": value}}) == 204
    assert members(user, path) == {"m": kept}


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"\xff", b"null", b"[]", b'"x"', b"5", b"{}", b'{"member": null}', b'{"member": []}', b'{"member": 5}',
        b'{"member": {}}', b'{"member": {"nonsense": true}}', b'{"can_share": true}', b"[" * 50_000,
        b'{"member": {"can_share": ' + b"[" * 5000,
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)  # fmt: skip
def test_bad_bodies_of_one(user, path, body):
    answer = user.ask("PUT", f"{path}/m", body)
    if body == b"null":  # as good as none
        assert answer.status_code in (204, 400)
        return
    assert answer.status_code == 400
    assert members(user, path) == {}


@pytest.mark.parametrize("name", ["é", "a b", "a%2Fb", "%25", "x" * 255, "m.n", "{}", "'; --"])
def test_names_of_members(user, path, name):
    status = share(user, path, name)
    assert status == (404 if name == "a%2Fb" else 204)
    if status == 204:
        assert list(members(user, path)) == ["%" if name == "%25" else name]
        assert user.ask("DELETE", f"{path}/{name}").status_code == 204


@pytest.mark.parametrize("name", ["x" * 256, "%00", "%f0%9f%98%80", "%ff", "%ed%a0%80"])
def test_bad_names_of_members(user, path, name):
    assert share(user, path, name) == 400
    assert user.ask("DELETE", f"{path}/{name}").status_code in (400, 404)
    assert user.ask("GET", f"/shared-images/{name}").status_code in (200, 400)
    assert members(user, path) == {}


# --- all at once --------------------------------------------------------------------------------


def replace(caller, path, *memberships):
    return caller.ask("PUT", path, {"memberships": list(memberships)}).status_code


def test_replace(user, path):
    assert share(user, path, "old", {"member": {"can_share": True}}) == 204
    assert share(user, path, "kept", {"member": {"can_share": True}}) == 204
    wanted = [{"member_id": "kept"}, {"member_id": "new"}, {"member_id": "sharing", "can_share": True, "nonsense": 5}]
    assert replace(user, path, *wanted) == 204
    assert members(user, path) == {"kept": True, "new": False, "sharing": True}
    assert replace(user, path, {"member_id": "kept", "can_share": False}, {"member_id": "old"}) == 204
    assert members(user, path) == {"kept": False, "old": True}
    assert replace(user, path, {"member_id": "twice"}, {"member_id": "twice", "can_share": True}) == 204
    assert members(user, path) == {"twice": True}
    assert replace(user, path) == 204
    assert members(user, path) == {}


def test_many(user, path):
    names = [f"m{number}" for number in range(500)]
    assert replace(user, path, *({"member_id": name} for name in names)) == 204
    assert list(members(user, path)) == names


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"null", b"5", b'"x"', b"{}", b'{"memberships": null}', b'{"memberships": {}}',
        b'{"memberships": "x"}', b'{"memberships": [5]}', b'{"memberships": [null]}', b'{"memberships": ["m"]}',
        b'{"memberships": [{}]}', b'{"memberships": [[]]}', b'{"memberships": [{"member_id": null}]}',
        b'{"memberships": [{"member_id": ""}]}', b'{"memberships": [{"member_id": 5}]}',
        b'{"memberships": [{"member_id": []}]}', b'{"memberships": [{"member_id": "a"}, {"can_share": true}]}',
        b'{"memberships": [{"member_id": "' + b"x" * 256 + b'"}]}', b'{"memberships": [{"member_id": "\\u0000"}]}',
        b'{"memberships": [{"member_id": "\\ud83d\\ude00"}]}', b'{"memberships": [{"member_id": "\\ud800"}]}',
        b"[" * 50_000,
    ],
    ids=lambda body: body[:50].decode("latin-1"),
)  # fmt: skip
def test_bad_bodies_of_all(user, path, body):
    assert share(user, path, "before") == 204
    answer = user.ask("PUT", path, body)
    assert answer.status_code == 400, answer.text
    assert members(user, path) == {"before": False}


def test_at_the_same_time(alone, user, path):
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: share(user, path, f"m{number % 2}"), range(16))) == {204}
    assert members(user, path) == {"m0": False, "m1": False}
    assert len(alone.sql("SELECT id FROM image_members WHERE image_id = ?", path.split("/")[2])) == 2


# --- who may ------------------------------------------------------------------------------------


def every_change(caller, path):
    """The status of each change, and of each with a bad body."""
    return {
        share(caller, path, "x"), share(caller, path, "x", {"nonsense": 1}), replace(caller, path),
        caller.ask("PUT", path, b"{").status_code, caller.ask("DELETE", f"{path}/x").status_code,
        caller.ask("DELETE", f"{path}/absent").status_code,
    }  # fmt: skip


def test_strangers(user, other, path):
    """The image first, the body last: who may not see it learns nothing."""
    assert other.ask("GET", path).status_code == 404
    assert every_change(other, path) == {404}
    missing = f"/images/{uuid.uuid4()}/members"
    assert user.ask("GET", missing).status_code == 404
    assert every_change(user, missing) == {404}


def test_members_that_may_not_share(user, other, path):
    assert share(user, path, other.tenant) == 204
    assert share(user, path, "third") == 204
    assert every_change(other, path) == {403}
    assert members(other, path) == {other.tenant: False}
    assert members(user, path) == {other.tenant: False, "third": False}


def test_members_that_may_share(user, other, path):
    assert share(user, path, other.tenant, {"member": {"can_share": True}}) == 204
    assert share(other, path, "third") == 204
    assert members(user, path) == {other.tenant: True, "third": False}
    assert other.ask("DELETE", f"{path}/third").status_code == 204
    assert replace(other, path, {"member_id": other.tenant}, {"member_id": "fourth"}) == 204
    assert members(user, path) == {other.tenant: True, "fourth": False}


def test_public_images(user, other, admin):
    path = f"/images/{admin.create(is_public=True, owner=user.tenant)['id']}/members"
    assert every_change(other, path) == {403}
    assert share(user, path, "m") == 204
    assert members(other, path) == {}


def test_administrators(user, admin, path):
    assert share(admin, path, "m") == 204
    assert members(admin, path) == members(user, path) == {"m": False}
    assert replace(admin, path, {"member_id": "n"}) == 204
    assert admin.ask("DELETE", f"{path}/n").status_code == 204


def test_callers_without_a_tenant(alone, user, path):
    """They own nothing: before anything else they are asked who they are."""
    nobody = Caller(alone, None, identity(None))
    assert every_change(nobody, path) == {401}
    assert every_change(nobody, f"/images/{uuid.uuid4()}/members") == {401}
    assert nobody.ask("PUT", f"{path}/m").headers["WWW-Authenticate"] == "Keystone"
    administrator = Caller(alone, None, identity(None, roles="admin"))
    assert share(administrator, path, "m") == 204


def test_deleted_images(user, admin, path):
    assert share(user, path, "m") == 204
    user.ok("DELETE", path.removesuffix("/members"))
    assert user.ask("GET", path).status_code == 404
    assert every_change(user, path) == {404}
    assert user.ok("GET", "/shared-images/m", params={})["shared_images"] == []


# --- shared-images ------------------------------------------------------------------------------


def shared(caller, member):
    return {
        entry["image_id"]: entry["can_share"] for entry in caller.ok("GET", f"/shared-images/{member}")["shared_images"]
    }


def test_shared_images(user, other, admin):
    """One sees what one owns or what is shared with oneself; an administrator sees all."""
    first, second, third = (caller.create()["id"] for caller in (user, user, other))
    member = uuid.uuid4().hex
    assert shared(admin, member) == {}
    assert share(user, f"/images/{first}/members", member) == 204
    assert share(user, f"/images/{second}/members", member, {"member": {"can_share": True}}) == 204
    assert share(other, f"/images/{third}/members", member) == 204
    assert shared(user, member) == {first: False, second: True}
    assert shared(other, member) == {third: False}
    assert shared(admin, member) == {first: False, second: True, third: False}
    assert user.ask("DELETE", f"/images/{first}/members/{member}").status_code == 204
    assert shared(admin, member) == {second: True, third: False}


def test_what_is_shared_with_me(user, other):
    image_id = user.create()["id"]
    assert share(user, f"/images/{image_id}/members", other.tenant) == 204
    assert shared(other, other.tenant) == {image_id: False}
