"""ETag and If-Match (spec v2-images.md §6.2a)."""

import re

import pytest

from tests.functional.v2.conftest import OLD, add, remove, replace


@pytest.fixture
def api(either):
    return either


@pytest.fixture
def image(user):
    return user.create(name="n", x="y", tags=["a"])


def etag(caller, image):
    return caller.show(image["id"]).headers["ETag"]


def test_who_carries_one(user):
    created = user.post({"name": "n"})
    tag = created.headers["ETag"]
    assert re.fullmatch(r'"[^"]+"', tag)
    image = created.json()
    assert etag(user, image) == tag
    assert user.patch(image["id"]).headers["ETag"] == tag
    changed = user.patch(image["id"], add("x", "y")).headers["ETag"]
    assert changed != tag
    assert etag(user, image) == changed


def test_the_same_for_everybody(user, other, admin, image):
    user.share(image["id"], other)
    assert etag(user, image) == etag(other, image) == etag(admin, image)


@pytest.mark.parametrize(
    "change",
    [replace("name", "m"), replace("name", None), replace("min_ram", 1), replace("protected", True),
     replace("os_hidden", True), replace("visibility", "private"), add("x", "z"), add("new", ""), remove("x"),
     replace("tags", []), replace("tags", ["b"]), replace("disk_format", "raw")],
    ids=str,
)  # fmt: skip
def test_every_change_changes_it(user, image, change):
    before = etag(user, image)
    after = user.patch(image["id"], change).headers["ETag"]
    assert after != before
    assert etag(user, image) == after


def test_tags_status_and_data_change_it(user, image):
    seen = [etag(user, image)]
    assert user.send("PUT", f"/images/{image['id']}/tags/b").status_code == 204
    seen.append(etag(user, image))
    assert user.patch(image["id"], add("disk_format", "raw"), add("container_format", "bare")).status_code == 200
    seen.append(etag(user, image))
    assert user.upload(image["id"]).status_code == 204
    seen.append(etag(user, image))
    assert user.send("POST", f"/images/{image['id']}/actions/deactivate").status_code == 204
    seen.append(etag(user, image))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("form", ["{0}", '"x", {0}', '{0},"x"', "*", '"x" , {0} ,"y"'])
def test_match(user, image, form):
    header = {"If-Match": form.format(etag(user, image))}
    answer = user.patch(image["id"], replace("name", "m"), headers=header)
    assert (answer.status_code, answer.json()["name"]) == (200, "m")
    header = {"If-Match": form.format(answer.headers["ETag"])}
    assert user.delete(image["id"], **header).status_code == 204


@pytest.mark.parametrize("form", ['"x"', '"x", "y"', "x", "W/{0}", '"*"', '"{1}x"', ""])
def test_no_match(user, image, form):
    tag = etag(user, image)
    header = {"If-Match": form.format(tag, tag.strip('"'))}
    for answer in (
        user.patch(image["id"], replace("name", "m"), headers=header),
        user.send_patch(image["id"], OLD, [{"remove": "/x"}], header),
        user.patch(image["id"], headers=header),
        user.delete(image["id"], **header),
    ):
        assert answer.status_code == 412
    assert user.image(image["id"]) == image


def test_an_etag_of_yesterday(user, image):
    old = {"If-Match": etag(user, image)}
    assert user.patch(image["id"], add("x", "1"), headers=old).status_code == 200
    assert user.patch(image["id"], add("x", "2"), headers=old).status_code == 412
    assert user.delete(image["id"], **old).status_code == 412
    assert user.image(image["id"])["x"] == "1"


def test_other_errors_come_first(user, other, image):
    stale = {"If-Match": '"x"'}
    assert other.patch(image["id"], add("x", "y"), headers=stale).status_code == 404
    assert user.patch(image["id"], add("status", "x"), headers=stale).status_code == 403
    assert user.patch(image["id"], add("min_ram", "x"), headers=stale).status_code == 400


def test_get_does_not_look_at_it(user, image):
    assert user.send("GET", f"/images/{image['id']}", {"If-Match": '"x"'}).status_code == 200
