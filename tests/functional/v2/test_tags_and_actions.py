"""Tags one by one, deactivate and reactivate (spec v2-images.md §10)."""

import uuid
from urllib.parse import quote

import pytest

from tests.functional.v2.conftest import EMOJI, FORMATS, LONG, TAGS, Caller, add

OTHER_STATUSES = ("queued", "saving", "uploading", "importing", "killed")
ACTIONS = ("deactivate", "reactivate")


@pytest.fixture
def api(either):
    return either


@pytest.fixture
def image_id(user):
    return user.create(**FORMATS, tags=["first"])["id"]


@pytest.fixture
def active_id(user):
    return user.active(b"data")["id"]


def tag(caller, image_id, value, method="PUT", **more):
    return caller.send(method, f"/images/{image_id}/tags/{quote(value, safe='')}", **more)


def tags(caller, image_id):
    return sorted(caller.image(image_id)["tags"])


def act(caller, image_id, action, **more):
    return caller.send("POST", f"/images/{image_id}/actions/{action}", **more)


def download(caller, image_id):
    return caller.send("GET", f"/images/{image_id}/file").status_code


# --- tags ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["t", "ünïcödé", "名前", "with space", "a+b", "a%20b", "a.b:c@d,e;f", "?q=1#x", '"quoted"', "<b>", "x" * 255],
)
def test_add_and_remove(user, image_id, value):
    answer = tag(user, image_id, value)
    assert (answer.status_code, answer.content) == (204, b"")
    assert tags(user, image_id) == sorted(["first", value])
    assert user.ids({"tag": value, "owner": user.project}) == [image_id]
    answer = tag(user, image_id, value, "DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert tags(user, image_id) == ["first"]


def test_twice(user, image_id):
    before = user.image(image_id)
    assert tag(user, image_id, "first").status_code == 204
    assert user.image(image_id) == before
    rows = user.deployment.sql("SELECT value FROM image_tags WHERE image_id = ? AND deleted = 0", image_id)
    assert rows == [("first",)]


def test_case_matters(user, image_id):
    assert tag(user, image_id, "First").status_code == 204
    assert tags(user, image_id) == ["First", "first"]
    assert tag(user, image_id, "FIRST", "DELETE").status_code == 404
    assert tag(user, image_id, "first", "DELETE").status_code == 204
    assert tags(user, image_id) == ["First"]


def test_removed_one_comes_back(user, image_id):
    for _ in range(2):
        assert tag(user, image_id, "first", "DELETE").status_code == 204
        assert tags(user, image_id) == []
        assert tag(user, image_id, "first", "DELETE").status_code == 404
        assert tag(user, image_id, "first").status_code == 204
        assert tags(user, image_id) == ["first"]


@pytest.mark.parametrize("value", [LONG, EMOJI, f"a{EMOJI}"])
def test_bad_tag(user, image_id, value):
    assert tag(user, image_id, value).status_code == 400
    assert tags(user, image_id) == ["first"]


def test_bytes_that_are_no_text(user, image_id):
    assert user.send("PUT", f"/images/{image_id}/tags/%ff").status_code == 400
    assert tags(user, image_id) == ["first"]


@pytest.mark.parametrize("value", ["none", LONG, EMOJI, "First"])
def test_remove_an_absent_one(user, image_id, value):
    assert tag(user, image_id, value, "DELETE").status_code in (
        (404,) if value.isascii() and value != LONG else (400, 404)
    )
    assert tags(user, image_id) == ["first"]


def test_quota(tuned):
    user = Caller(tuned)
    image_id = user.create(tags=[f"t{number}" for number in range(TAGS)])["id"]
    assert tag(user, image_id, "more").status_code == 413
    assert tag(user, image_id, "t0").status_code == 204
    assert tag(user, image_id, "t0", "DELETE").status_code == 204
    assert tag(user, image_id, "more").status_code == 204
    assert tags(user, image_id) == ["more", "t1", "t2"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_whose_tags(user, other, admin, image_id, method):
    value = "second" if method == "PUT" else "first"
    assert tag(other, image_id, value, method).status_code == 404
    user.share(image_id, other, "accepted")
    assert tag(other, image_id, value, method).status_code == 403
    assert tags(user, image_id) == ["first"]
    assert tag(admin, image_id, value, method).status_code == 204
    assert tags(user, image_id) == (["first", "second"] if method == "PUT" else [])


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_tags_of_what_is_not_there(user, image_id, method):
    for missing in (str(uuid.uuid4()), "frob"):
        assert tag(user, missing, "first", method).status_code == 404
    assert user.delete(image_id).status_code == 204
    assert tag(user, image_id, "first", method).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_body_with_a_tag(user, image_id, method):
    assert tag(user, image_id, "first", method, data=b"{}").status_code == 400
    assert tag(user, image_id, "first", method, data=iter([b"{}"])).status_code == (400 if method == "PUT" else 204)


@pytest.mark.parametrize("status", [*OTHER_STATUSES, "active", "deactivated"])
def test_tags_in_any_status(user, image_id, status):
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image_id)
    assert tag(user, image_id, "t").status_code == tag(user, image_id, "first", "DELETE").status_code == 204
    assert (user.image(image_id)["status"], tags(user, image_id)) == (status, ["t"])


def test_tags_of_a_protected_image(user):
    image_id = user.create(protected=True)["id"]
    assert tag(user, image_id, "t").status_code == tag(user, image_id, "t", "DELETE").status_code == 204


# --- deactivate, reactivate ------------------------------------------------------


def test_there_and_back(user, admin, active_id):
    before = user.image(active_id)
    for _ in range(2):  # a second time changes nothing
        answer = act(user, active_id, "deactivate")
        assert (answer.status_code, answer.content) == (204, b"")
        after = user.image(active_id)
        assert after == before | {"status": "deactivated", "updated_at": after["updated_at"]}
        assert (download(user, active_id), download(admin, active_id)) == (403, 200)
    assert user.ids() == user.ids({"status": "deactivated"}) == [active_id]
    for _ in range(2):
        answer = act(user, active_id, "reactivate")
        assert (answer.status_code, answer.content) == (204, b"")
        after = user.image(active_id)
        assert after == before | {"updated_at": after["updated_at"]}
        assert download(user, active_id) == 200


def test_nothing_changes_the_second_time(user, active_id):
    assert act(user, active_id, "reactivate").status_code == 204
    before = user.show(active_id)
    assert act(user, active_id, "reactivate").status_code == 204
    assert user.show(active_id).headers["ETag"] == before.headers["ETag"]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_other_statuses(user, admin, image_id, status, action):
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image_id)
    for caller in (user, admin):
        assert act(caller, image_id, action).status_code == 403
    assert user.image(image_id)["status"] == status


@pytest.mark.parametrize("action", ACTIONS)
def test_whose_image(user, other, admin, active_id, action):
    if action == "reactivate":
        assert act(user, active_id, "deactivate").status_code == 204
    before = user.image(active_id)["status"]
    assert act(other, active_id, action).status_code == 404
    user.share(active_id, other, "accepted")
    assert act(other, active_id, action).status_code == 403
    assert user.patch(active_id, add("visibility", "community")).status_code == 200
    assert act(Caller(user.deployment), active_id, action).status_code == 403
    assert user.image(active_id)["status"] == before
    assert act(admin, active_id, action).status_code == 204
    assert user.image(active_id)["status"] == ("deactivated" if action == "deactivate" else "active")


@pytest.mark.parametrize("action", ACTIONS)
def test_images_that_are_not_there(user, active_id, action):
    for missing in (str(uuid.uuid4()), "frob"):
        assert act(user, missing, action).status_code == 404
    assert user.delete(active_id).status_code == 204
    assert act(user, active_id, action).status_code == 404


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("body", [b"{}", b"x", b"[]"])
def test_a_body_with_an_action(user, active_id, action, body):
    assert act(user, active_id, action, data=body).status_code == 400
    assert act(user, active_id, action, data=iter([body])).status_code == 400
    assert user.image(active_id)["status"] == "active"


def test_unknown_action(user, active_id):
    assert act(user, active_id, "activate").status_code == 404


def test_who_reads_a_deactivated_image(user, other, admin, active_id):
    user.share(active_id, other, "accepted")
    assert act(user, active_id, "deactivate").status_code == 204
    assert other.image(active_id)["status"] == "deactivated"
    assert other.ids() == [active_id]
    assert [download(caller, active_id) for caller in (user, other, admin)] == [403, 403, 200]


def test_what_an_owner_may_still_do(user, active_id):
    assert act(user, active_id, "deactivate").status_code == 204
    assert user.patch(active_id, add("x", "y"), add("name", "n")).status_code == 200
    assert user.upload(active_id).status_code == 409
    assert user.image(active_id)["status"] == "deactivated"
    assert user.delete(active_id).status_code == 204
    assert user.deployment.files(active_id) == []


def test_locations_of_a_deactivated_image(tuned, source):
    """The data does not get out by another way either: no location can be added or taken."""
    user = Caller(tuned)
    image_id = user.active()["id"]
    assert act(user, image_id, "deactivate").status_code == 204
    location = {"url": f"{source.url}/size/7", "metadata": {}}
    assert user.patch(image_id, add("locations/-", location)).status_code == 409
    assert user.patch(image_id, {"op": "remove", "path": "/locations/0"}).status_code == 409
    assert act(user, image_id, "reactivate").status_code == 204
    assert download(user, image_id) == 200
