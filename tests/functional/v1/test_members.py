"""Sharing images with other tenants (spec v1-api.md §8)."""

import json
import uuid

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, MEMBERS


@pytest.fixture
def image(trusted, user):
    """Path of an image of ``user``."""
    return f"/images/{trusted.create(headers=user)['id']}"


def put(deployment, path, caller, body=None):
    """PUT a body, JSON unless it is bytes; return the status."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    return deployment.request("PUT", path, headers=caller, data=data).status_code


def members(deployment, path, caller):
    answer = deployment.request("GET", path + "/members", headers=caller)
    assert answer.status_code == 200
    assert set(answer.json()) == {"members"}
    for entry in answer.json()["members"]:
        assert set(entry) == {"member_id", "can_share"}
    return {entry["member_id"]: entry["can_share"] for entry in answer.json()["members"]}


# --- one member ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "can_share"),
    [
        (None, False), ({}, False), ({"member": {}}, False), ({"member": {"x": 1}}, False),
        ({"member": {"can_share": True}}, True), ({"member": {"can_share": False}}, False),
        ({"member": {"can_share": "false"}}, True), ({"member": {"can_share": 0}}, False),
        ({"member": {"can_share": None}}, False),
    ],
)  # fmt: skip
def test_add(trusted, user, image, body, can_share):
    answer = trusted.request(
        "PUT", image + "/members/t2", headers=user, data=None if body is None else json.dumps(body)
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert members(trusted, image, user) == {"t2": can_share}


def test_can_share_stays_unless_sent(trusted, user, image):
    assert put(trusted, image + "/members/t2", user, {"member": {"can_share": True}}) == 204
    for body in (None, {}, {"member": {}}):
        assert put(trusted, image + "/members/t2", user, body) == 204
        assert members(trusted, image, user) == {"t2": True}
    assert put(trusted, image + "/members/t2", user, {"member": {"can_share": False}}) == 204
    assert members(trusted, image, user) == {"t2": False}


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[]", b'"x"', b"1", b'{"member": []}', b'{"member": null}', b"[" * 50000]
)
def test_bad_body(trusted, user, image, body):
    assert put(trusted, image + "/members/t2", user, body) == 400
    assert members(trusted, image, user) == {}


def test_remove(trusted, user, image):
    put(trusted, image + "/members/t2", user, {"member": {"can_share": True}})
    answer = trusted.request("DELETE", image + "/members/t2", headers=user)
    assert (answer.status_code, answer.content) == (204, b"")
    assert members(trusted, image, user) == {}
    assert trusted.request("DELETE", image + "/members/t2", headers=user).status_code == 404
    # Added again it is the same membership.
    put(trusted, image + "/members/t2", user)
    assert members(trusted, image, user) == {"t2": True}
    assert len(trusted.sql("SELECT 1 FROM image_members WHERE image_id = ?", image.split("/")[-1])) == 1


def test_names_of_members(trusted, user, image):
    for name, path in (("a b", "a%20b"), ("ä", "%C3%A4"), ("x.json", "x.json"), ("T2", "T2"), ("t2", "t2")):
        assert put(trusted, f"{image}/members/{path}", user) == 204
        assert name in members(trusted, image, user)
    assert put(trusted, f"{image}/members/{'m' * 255}", user) == 204
    assert put(trusted, f"{image}/members/{'m' * 256}", user) == 400
    assert put(trusted, f"{image}/members/%ff", user) == 400


# --- all members ----------------------------------------------------------------------


@pytest.mark.parametrize("bare", [False, True])
def test_replace(trusted, user, image, bare):
    def replace(*entries):
        body = list(entries) if bare else {"memberships": list(entries)}
        return put(trusted, image + "/members", user, body)

    assert replace({"member_id": "a", "can_share": True}, {"member_id": "b"}) == 204
    assert members(trusted, image, user) == {"a": True, "b": False}
    assert replace({"member_id": "a"}, {"member_id": "c", "can_share": "false"}) == 204
    assert members(trusted, image, user) == {"a": True, "c": True}
    assert replace({"member_id": "a", "can_share": False}, {"member_id": "b"}) == 204
    assert members(trusted, image, user) == {"a": False, "b": False}
    assert replace() == 204
    assert members(trusted, image, user) == {}
    assert replace({"member_id": "twice"}, {"member_id": "twice", "can_share": True}) in (204, 400)


@pytest.mark.parametrize(
    "body",
    [
        None, b"", b"{", b"null", b"1", b"{}", {"memberships": {}}, {"memberships": None}, {"memberships": "x"},
        {"memberships": ["a"]}, {"memberships": [{}]}, {"memberships": [{"can_share": True}]},
        {"memberships": [{"member_id": None}]}, {"memberships": [{"member_id": 5}]}, {"memberships": [[]]},
        {"memberships": [{"member_id": "m" * 256}]}, ["a"], [{"member_id": ""}], {"members": []},
    ],
)  # fmt: skip
def test_bad_replacement(trusted, user, image, body):
    put(trusted, image + "/members/before", user)
    answer = put(trusted, image + "/members", user, body)
    assert answer == 400
    assert members(trusted, image, user) == {"before": False}


# --- who sees which ---------------------------------------------------------------------


def test_members_see_their_own_row(trusted, user, image):
    for name in ("m1", "m2"):
        put(trusted, f"{image}/members/{name}", user, {"member": {"can_share": name == "m2"}})
    assert members(trusted, image, user) == members(trusted, image, ADMIN) == {"m1": False, "m2": True}
    assert members(trusted, image, identity("m1")) == {"m1": False}
    assert members(trusted, image, identity("m2")) == {"m2": True}
    assert trusted.request("GET", image + "/members", headers=identity("m3")).status_code == 404


def test_members_of_a_public_image(trusted, other):
    image = f"/images/{trusted.create(headers=ADMIN, is_public='true')['id']}"
    put(trusted, image + "/members/m1", ADMIN)
    put(trusted, image + "/members/m1", ADMIN)
    assert members(trusted, image, ADMIN) == {"m1": False}
    assert members(trusted, image, other) == {}


def test_unknown_and_deleted_images(trusted, user, other, image):
    missing = f"/images/{uuid.uuid4()}"
    put(trusted, image + "/members/m", user)
    trusted.request("DELETE", image, headers=user)
    for path in (missing, image, "/images/nonsense"):
        for caller in (user, ADMIN):
            assert trusted.request("GET", path + "/members", headers=caller).status_code == 404
            assert put(trusted, path + "/members/m", caller) == 404
            assert put(trusted, path + "/members", caller, {"memberships": []}) == 404
            assert trusted.request("DELETE", path + "/members/m", headers=caller).status_code == 404


def test_member_with_can_share(trusted, user, image):
    put(trusted, image + "/members/m1", user, {"member": {"can_share": True}})
    put(trusted, image + "/members/m2", user)
    assert put(trusted, image + "/members/m3", identity("m1")) == 204
    assert put(trusted, image + "/members/m4", identity("m2")) == 404
    assert members(trusted, image, user) == {"m1": True, "m2": False, "m3": False}


def test_shared_images(trusted, user, other):
    member = uuid.uuid4().hex
    path = f"/shared-images/{member}"
    mine, theirs = trusted.create(headers=user)["id"], trusted.create(headers=other)["id"]
    put(trusted, f"/images/{mine}/members/{member}", user, {"member": {"can_share": True}})
    put(trusted, f"/images/{theirs}/members/{member}", other)

    def shared(caller):
        answer = trusted.request("GET", path, headers=caller)
        assert (answer.status_code, set(answer.json())) == (200, {"shared_images"})
        for entry in answer.json()["shared_images"]:
            assert set(entry) == {"image_id", "can_share"}
        return {entry["image_id"]: entry["can_share"] for entry in answer.json()["shared_images"]}

    both = {mine: True, theirs: False}
    assert shared(ADMIN) == both
    assert shared(identity(member)) == both
    assert shared(user) == {mine: True}
    assert shared(identity("stranger")) == {}
    trusted.request("DELETE", f"/images/{mine}", headers=user)
    assert shared(ADMIN) == {theirs: False}


def test_noauth_may_share_everything(noauth):
    image = f"/images/{noauth.create()['id']}"
    assert put(noauth, image + "/members/m", {}) == 204
    assert members(noauth, image, {}) == {"m": False}
    assert noauth.request("DELETE", image + "/members/m").status_code == 204


# --- quota --------------------------------------------------------------------------------


def test_quota(tuned, user):
    image = f"/images/{tuned.create(headers=user)['id']}"
    names = [f"m{number}" for number in range(MEMBERS + 1)]
    for name in names[:-1]:
        assert put(tuned, f"{image}/members/{name}", user) == 204
    # As ever, one more is counted even if it is there already.
    assert put(tuned, f"{image}/members/{names[0]}", user, {"member": {"can_share": True}}) == 413
    assert put(tuned, f"{image}/members/{names[-1]}", user) == 413
    every = [{"member_id": name} for name in names]
    assert put(tuned, image + "/members", user, {"memberships": every}) == 413
    assert put(tuned, image + "/members", user, {"memberships": every[1:]}) == 204
    assert set(members(tuned, image, user)) == set(names[1:])


def test_quota_counts_every_member(tuned, user):
    """A member who may share sees only its own row, and cannot get round the quota by that."""
    image = f"/images/{tuned.create(headers=user)['id']}"
    assert put(tuned, image + "/members/m0", user, {"member": {"can_share": True}}) == 204
    for number in range(1, MEMBERS):
        assert put(tuned, f"{image}/members/m{number}", user) == 204
    assert put(tuned, image + "/members/extra", identity("m0")) == 413
