"""Sharing in v2 (spec v2-images.md §10)."""

import json
import uuid

import pytest

from tests.functional.v2.conftest import EMOJI, LONG, Anonymous, Caller, add, replace

MEMBERS = 2
STATUSES = ("pending", "accepted", "rejected")
UNSHARED = ("private", "public", "community")


@pytest.fixture(scope="module")
def limited(deploy):
    """Few members, and a policy."""
    return deploy(api={"image_member_quota": MEMBERS})


@pytest.fixture
def api(either):
    return either


@pytest.fixture
def image_id(user):
    return user.create()["id"]


@pytest.fixture
def stranger(api):
    return Caller(api)


def members(caller, image_id):
    return caller.send("GET", f"/images/{image_id}/members")


def statuses(caller, image_id):
    """Members and their status, as a caller sees them."""
    answer = members(caller, image_id)
    assert answer.status_code == 200, answer.text
    return {entry["member_id"]: entry["status"] for entry in answer.json()["members"]}


def join(caller, image_id, project):
    return caller.send("POST", f"/images/{image_id}/members", json={"member": project})


def member(caller, image_id, project):
    return caller.send("GET", f"/images/{image_id}/members/{project}")


def decide(caller, image_id, project, status="accepted"):
    return caller.send("PUT", f"/images/{image_id}/members/{project}", json={"status": status})


def leave(caller, image_id, project):
    return caller.send("DELETE", f"/images/{image_id}/members/{project}")


def unshare(admin, image_id, visibility):
    assert admin.patch(image_id, replace("visibility", visibility)).status_code == 200


# --- add -------------------------------------------------------------------------


def test_add(user, other, image_id):
    answer = join(user, image_id, other.project)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    added = answer.json()
    assert added == {
        "member_id": other.project, "image_id": image_id, "status": "pending", "schema": "/v2/schemas/member",
        "created_at": added["created_at"], "updated_at": added["updated_at"],
    }  # fmt: skip
    for moment in (added["created_at"], added["updated_at"]):
        assert len(moment) == len("2000-01-01T00:00:00Z")
        assert moment.endswith("Z")
    assert member(user, image_id, other.project).json() == added
    assert members(user, image_id).json() == {"members": [added], "schema": "/v2/schemas/members"}


def test_no_members(user, image_id):
    assert members(user, image_id).json() == {"members": [], "schema": "/v2/schemas/members"}


@pytest.mark.parametrize("name", ["ünïcödé-名前", "with space", "a.b:c@d", "x" * 255, "0"])
def test_names(user, image_id, name):
    assert join(user, image_id, name).json()["member_id"] == name
    assert member(user, image_id, name).json()["member_id"] == name
    assert statuses(user, image_id) == {name: "pending"}
    assert leave(user, image_id, name).status_code == 204
    assert statuses(user, image_id) == {}


@pytest.mark.parametrize(
    "body",
    [None, "", "{", "[]", "null", '"p"', "{}", '{"member": ""}', '{"member": null}', '{"member": 1}',
     '{"member": ["p"]}', '{"member": {"id": "p"}}', '{"member_id": "p"}', '["p"]', b'{"member": "\xff"}',
     json.dumps({"member": LONG}), json.dumps({"member": EMOJI}), json.dumps({"members": ["p"]})],
    ids=lambda body: str(body)[:24],
)  # fmt: skip
def test_bad_body(user, image_id, body):
    assert user.send("POST", f"/images/{image_id}/members", data=body).status_code == 400
    assert statuses(user, image_id) == {}


def test_twice(user, other, image_id):
    user.share(image_id, other, "accepted")
    assert join(user, image_id, other.project).status_code == 409
    assert statuses(user, image_id) == {other.project: "accepted"}


def test_several(user, image_id):
    for name in ("a", "b", "A"):
        assert join(user, image_id, name).status_code == 200
    assert statuses(user, image_id) == dict.fromkeys(("a", "b", "A"), "pending")


@pytest.mark.parametrize("status", STATUSES)
def test_again_after_removal(user, other, image_id, status):
    """The row of before is revived."""
    user.share(image_id, other, status)
    assert leave(user, image_id, other.project).status_code == 204
    assert join(user, image_id, other.project).json()["status"] == "pending"
    assert statuses(user, image_id) == {other.project: "pending"}
    rows = user.deployment.sql("SELECT member, deleted FROM image_members WHERE image_id = ?", image_id)
    assert rows == [(other.project, 0)]


def test_quota(limited):
    user = Caller(limited)
    image_id = user.create()["id"]
    for name in ("a", "b"):
        assert join(user, image_id, name).status_code == 200
    answer = join(user, image_id, "c")
    assert answer.status_code == 413
    assert join(user, image_id, "a").status_code == 409
    assert set(statuses(user, image_id)) == {"a", "b"}
    assert decide(Caller(limited, "a"), image_id, "a").status_code == 200
    assert leave(user, image_id, "b").status_code == 204
    assert join(user, image_id, "c").status_code == 200


def test_who_may_add(user, other, stranger, admin, image_id):
    assert join(stranger, image_id, "p").status_code == 404
    user.share(image_id, other, "accepted")
    assert join(other, image_id, "p").status_code == 403
    assert statuses(user, image_id) == {other.project: "accepted"}
    assert join(admin, image_id, "p").status_code == 200
    assert set(statuses(user, image_id)) == {other.project, "p"}


# --- decide ----------------------------------------------------------------------


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_decide(user, other, image_id, before, after):
    user.share(image_id, other, before)
    answer = decide(other, image_id, other.project, after)
    assert answer.status_code == 200
    assert answer.json() == member(user, image_id, other.project).json()
    assert answer.json()["status"] == after


def test_who_may_decide(user, other, stranger, admin, image_id):
    user.share(image_id, other)
    assert decide(user, image_id, other.project).status_code == 403
    assert decide(stranger, image_id, other.project).status_code == 404
    assert statuses(user, image_id) == {other.project: "pending"}
    assert decide(admin, image_id, other.project, "rejected").status_code == 200
    assert statuses(user, image_id) == {other.project: "rejected"}


def test_one_member_does_not_decide_for_another(user, other, stranger, image_id):
    user.share(image_id, other)
    user.share(image_id, stranger)
    assert decide(other, image_id, stranger.project).status_code == 404
    assert statuses(user, image_id) == dict.fromkeys((other.project, stranger.project), "pending")


def test_the_owner_as_member_of_its_own_image(user, image_id):
    assert join(user, image_id, user.project).status_code == 200
    assert decide(user, image_id, user.project).status_code == 200


def test_decide_for_nobody(user, other, admin, image_id):
    user.share(image_id, other)
    for caller in (user, other, admin):
        assert decide(caller, image_id, "nobody").status_code == 404
        assert decide(caller, str(uuid.uuid4()), other.project).status_code == 404


@pytest.mark.parametrize(
    "body",
    [None, "", "{", "[]", "{}", '{"status": ""}', '{"status": null}', '{"status": 1}', '{"status": "frob"}',
     '{"status": "Accepted"}', '{"status": "all"}', '{"status": "deleted"}', '{"member": "p"}', '"accepted"',
     json.dumps({"status": EMOJI}), json.dumps({"status": LONG})],
    ids=lambda body: str(body)[:24],
)  # fmt: skip
def test_bad_status(user, other, admin, image_id, body):
    user.share(image_id, other)
    for caller in (other, admin):
        path = f"/images/{image_id}/members/{other.project}"
        assert caller.send("PUT", path, data=body).status_code == 400
    assert statuses(user, image_id) == {other.project: "pending"}


# --- look ------------------------------------------------------------------------


def test_who_sees_whom(user, other, stranger, admin, image_id):
    third = Caller(user.deployment)
    user.share(image_id, other, "accepted")
    user.share(image_id, third, "rejected")
    everybody = {other.project: "accepted", third.project: "rejected"}
    assert statuses(user, image_id) == statuses(admin, image_id) == everybody
    assert statuses(other, image_id) == {other.project: "accepted"}
    assert statuses(third, image_id) == {third.project: "rejected"}
    assert members(stranger, image_id).status_code == 404
    for caller in (user, admin, other):
        assert member(caller, image_id, other.project).json()["status"] == "accepted"
    for caller in (third, stranger):
        assert member(caller, image_id, other.project).status_code == 404
    for caller in (user, admin, other, third, stranger):
        assert member(caller, image_id, "nobody").status_code == 404
        assert member(caller, str(uuid.uuid4()), other.project).status_code == 404


@pytest.mark.parametrize("visibility", UNSHARED)
def test_image_that_is_not_shared(user, other, stranger, admin, image_id, visibility):
    """Its members rest: nobody sees, changes, adds or removes one."""
    user.share(image_id, other, "accepted")
    unshare(admin, image_id, visibility)
    hidden = 404 if visibility == "private" else 403
    for caller, status in ((user, 403), (admin, 403), (other, hidden), (stranger, hidden)):
        assert members(caller, image_id).status_code == status
        assert join(caller, image_id, "p").status_code == status
        assert leave(caller, image_id, other.project).status_code == status
        assert decide(caller, image_id, other.project, "rejected").status_code == status
        assert member(caller, image_id, other.project).status_code == 404
    assert other.show(image_id).status_code == (404 if visibility == "private" else 200)
    unshare(admin, image_id, "shared")
    assert statuses(user, image_id) == {other.project: "accepted"}
    assert other.show(image_id).status_code == 200
    assert other.ids() == [image_id]


@pytest.mark.parametrize("status", STATUSES)
def test_access_does_not_depend_on_the_status(user, other, status):
    image_id = user.active(b"shared data")["id"]
    user.share(image_id, other, status)
    assert other.show(image_id).status_code == 200
    assert other.send("GET", f"/images/{image_id}/file").content == b"shared data"
    assert other.ids() == ([image_id] if status == "accepted" else [])
    assert other.ids({"member_status": status, "visibility": "shared"}) == [image_id]
    assert other.ids({"member_status": "all"}) == [image_id]
    assert other.patch(image_id, add("x", "y")).status_code == 403
    assert other.delete(image_id).status_code == 403


# --- remove ----------------------------------------------------------------------


@pytest.mark.parametrize("by", ["user", "admin"])
def test_remove(request, user, other, by):
    image_id = user.active()["id"]
    user.share(image_id, other, "accepted")
    answer = leave(request.getfixturevalue(by), image_id, other.project)
    assert (answer.status_code, answer.content) == (204, b"")
    assert statuses(user, image_id) == {}
    assert other.show(image_id).status_code == 404
    assert other.send("GET", f"/images/{image_id}/file").status_code == 404
    assert other.ids({"member_status": "all"}) == []
    assert leave(user, image_id, other.project).status_code == 404


def test_who_may_not_remove(user, other, stranger, image_id):
    user.share(image_id, other, "accepted")
    assert leave(other, image_id, other.project).status_code == 403
    assert leave(stranger, image_id, other.project).status_code == 404
    assert statuses(user, image_id) == {other.project: "accepted"}


def test_one_member_does_not_remove_another(user, other, stranger, image_id):
    user.share(image_id, other)
    user.share(image_id, stranger)
    assert leave(other, image_id, stranger.project).status_code == 404
    assert set(statuses(user, image_id)) == {other.project, stranger.project}


def test_remove_nobody(user, admin, image_id):
    for caller in (user, admin):
        assert leave(caller, image_id, "nobody").status_code == 404
        assert leave(caller, str(uuid.uuid4()), "nobody").status_code == 404


# --- others ----------------------------------------------------------------------


@pytest.mark.parametrize("image_id", ["frob", "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91", "x" * 300])
def test_no_such_image(user, image_id):
    answers = [members(user, image_id), member(user, image_id, "p"), join(user, image_id, "p"),
               decide(user, image_id, "p"), leave(user, image_id, "p")]  # fmt: skip
    assert [answer.status_code for answer in answers] == [404] * 5


def test_deleted_image(user, other, admin, image_id):
    user.share(image_id, other, "accepted")
    assert user.delete(image_id).status_code == 204
    for caller in (user, other, admin):
        answers = [members(caller, image_id), member(caller, image_id, other.project), join(caller, image_id, "p"),
                   decide(caller, image_id, other.project), leave(caller, image_id, other.project)]  # fmt: skip
        assert [answer.status_code for answer in answers] == [404] * 5


def test_bodies_where_none_belongs(user, other, image_id):
    user.share(image_id, other)
    path = f"/images/{image_id}/members"
    for method, target in (("GET", path), ("GET", f"{path}/{other.project}"), ("DELETE", f"{path}/{other.project}")):
        assert user.send(method, target, data=b"{}").status_code == 400
    assert statuses(user, image_id) == {other.project: "pending"}


def test_anonymous(tuned):
    user, nobody = Caller(tuned), Anonymous(tuned)
    image_id = user.create(visibility="community")["id"]
    assert members(nobody, image_id).status_code == 403
    assert join(nobody, image_id, "p").status_code == 403
    assert decide(nobody, image_id, "p").status_code == 403
    assert leave(nobody, image_id, "p").status_code == 403
    assert member(nobody, image_id, "p").status_code == 404


@pytest.mark.parametrize("status", ["queued", "saving", "active", "deactivated", "killed"])
def test_any_status_of_the_image(user, other, image_id, status):
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image_id)
    user.share(image_id, other, "accepted")
    assert leave(user, image_id, other.project).status_code == 204


def test_protected_image(user, other):
    image_id = user.create(protected=True)["id"]
    user.share(image_id, other, "accepted")
    assert leave(user, image_id, other.project).status_code == 204


def test_sharing_does_not_change_the_image(user, other, image_id):
    before = user.image(image_id)
    user.share(image_id, other, "accepted")
    assert leave(user, image_id, other.project).status_code == 204
    assert user.image(image_id) == before


@pytest.mark.parametrize(
    ("rule", "act"),
    [("get_members", members), ("get_member", lambda caller, image_id: member(caller, image_id, "p")),
     ("add_member", lambda caller, image_id: join(caller, image_id, "q")),
     ("modify_member", lambda caller, image_id: decide(caller, image_id, "p")),
     ("delete_member", lambda caller, image_id: leave(caller, image_id, "p"))],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_policy(strict, rule, act):
    """Denied: 403, and nothing happens; the rule in the way of an image that is invisible: 404."""
    admin = Caller(strict, roles="admin")
    image_id = admin.create()["id"]
    assert join(admin, image_id, "p").status_code == 200
    denied = admin.with_roles("admin", f"without_{rule}")
    assert act(denied, image_id).status_code == 403
    assert statuses(admin, image_id) == {"p": "pending"}
    assert act(Caller(strict, roles=f"without_{rule}"), image_id).status_code == 404
    assert act(admin, image_id).status_code in (200, 204)


@pytest.fixture(scope="module")
def strict(deploy, tmp_path_factory):
    """The rules of members can be denied by a role."""
    rules = ("get_members", "get_member", "add_member", "modify_member", "delete_member")
    path = tmp_path_factory.mktemp("policy") / "policy.json"
    path.write_text(json.dumps({rule: f"not role:without_{rule}" for rule in rules}))
    return deploy(api={"oslo_policy": {"policy_file": path}})
