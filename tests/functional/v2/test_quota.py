"""Quotas (spec policy-quota-protection.md §5)."""

import re

import pytest

from tests.functional.v2.conftest import (
    FORMATS,
    PROPERTIES,
    QUOTA,
    RECORDS,
    SIZE_CAP,
    TAGS,
    Caller,
    add,
    remove,
    replace,
)


@pytest.fixture
def api(tuned):
    return tuned


@pytest.fixture(scope="module")
def unlimited(deploy):
    names = ("image_property_quota", "image_tag_quota", "image_location_quota", "image_member_quota")
    return deploy(api=dict.fromkeys(names, -1))


@pytest.fixture(scope="module")
def nothing(deploy):
    return deploy(api={"image_property_quota": 0, "image_tag_quota": 0})


def properties(count):
    return {f"p{number}": "v" for number in range(count)}


def tags(count):
    return [f"t{number}" for number in range(count)]


def refused(answer, attempted, maximum):
    """The answer of a quota names both numbers."""
    return answer.status_code == 413 and {str(attempted), str(maximum)} <= set(re.findall(r"\d+", answer.text))


# --- properties ------------------------------------------------------------------


def test_properties_at_create(user):
    assert user.post(properties(PROPERTIES)).status_code == 201
    assert refused(user.post({"name": "n", **properties(PROPERTIES + 1)}), PROPERTIES + 1, PROPERTIES)
    assert user.ids({"name": "n"}) == []


def test_properties_at_patch(user):
    image = user.create(**properties(PROPERTIES - 1))
    assert user.patch(image["id"], add("last", "v")).status_code == 200
    assert refused(user.patch(image["id"], add("more", "v")), PROPERTIES + 1, PROPERTIES)
    assert user.patch(image["id"], add("last", "w"), replace("p0", "w")).status_code == 200
    assert user.patch(image["id"], remove("p0"), add("other", "v")).status_code == 200
    assert user.patch(image["id"], add("more", "v"), remove("last")).status_code == 200  # what counts is the end


def test_properties_above_a_lowered_quota(user, api):
    image = user.create(**properties(PROPERTIES))
    api.sql(
        "INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted)"
        " SELECT image_id, 'extra', 'v', created_at, updated_at, 0 FROM image_properties WHERE image_id = ? LIMIT 1",
        image["id"],
    )
    assert len(set(user.image(image["id"])) - set(image)) == 1
    assert user.patch(image["id"], replace("p0", "w"), replace("name", "n")).status_code == 200
    assert user.patch(image["id"], add("p0", "x")).status_code == 200
    assert user.patch(image["id"], add("new", "v")).status_code == 413
    assert user.patch(image["id"], remove("p0")).status_code == 200


def test_service_properties_do_not_count(user, api):
    image = user.create(**properties(PROPERTIES))
    api.sql("UPDATE image_properties SET name = 'os_glance_x' WHERE image_id = ? AND name = 'p0'", image["id"])
    assert user.patch(image["id"], add("new", "v")).status_code == 200
    assert user.patch(image["id"], add("newer", "v")).status_code == 413


# --- tags ------------------------------------------------------------------------


def test_tags_at_create(user):
    assert user.post({"tags": [*tags(TAGS), "t0"]}).status_code == 201
    assert refused(user.post({"name": "n", "tags": tags(TAGS + 1)}), TAGS + 1, TAGS)
    assert user.ids({"name": "n"}) == []


@pytest.mark.parametrize("op", ["add", "replace"])
def test_tags_at_patch(user, op):
    image = user.create(tags=tags(1))
    change = {"op": op, "path": "/tags", "value": tags(TAGS + 1)}
    assert refused(user.patch(image["id"], change), TAGS + 1, TAGS)
    assert user.image(image["id"]) == image
    assert user.patch(image["id"], {**change, "value": tags(TAGS)}).status_code == 200


def test_tags_one_by_one(user):
    image = user.create(tags=tags(TAGS))
    path = f"/images/{image['id']}/tags"
    assert refused(user.send("PUT", f"{path}/more"), TAGS + 1, TAGS)
    assert user.send("PUT", f"{path}/t0").status_code == 204
    assert user.send("DELETE", f"{path}/t0").status_code == 204
    assert user.send("PUT", f"{path}/more").status_code == 204


def test_tags_above_a_lowered_quota(user, api):
    image = user.create(tags=tags(TAGS))
    for extra in ("e1", "e2"):
        api.sql(
            "INSERT INTO image_tags (image_id, value, created_at, updated_at, deleted)"
            " SELECT image_id, ?, created_at, updated_at, 0 FROM image_tags WHERE image_id = ? LIMIT 1",
            extra, image["id"],
        )  # fmt: skip
    assert len(user.image(image["id"])["tags"]) == TAGS + 2
    path = f"/images/{image['id']}/tags"
    assert user.send("PUT", f"{path}/e1").status_code == 204
    assert user.send("PUT", f"{path}/new").status_code == 413
    assert user.patch(image["id"], replace("tags", [*tags(TAGS), "new"])).status_code == 413
    assert user.patch(image["id"], replace("tags", [*tags(TAGS), "e1"])).status_code == 200
    assert user.send("DELETE", f"{path}/t0").status_code == 204
    assert user.send("DELETE", f"{path}/t1").status_code == 204
    assert user.send("PUT", f"{path}/new").status_code == 204


def test_tags_that_are_not_the_last(user):
    image = user.create()
    answer = user.patch(image["id"], add("tags", tags(TAGS + 1)), replace("tags", tags(TAGS)))
    assert answer.status_code == 200


# --- images and bytes ------------------------------------------------------------


def test_number_of_images(user, other):
    ids = [user.create()["id"] for _ in range(RECORDS)]
    assert user.post({}).status_code == 413
    assert other.post({}).status_code == 201
    assert user.delete(ids[0]).status_code == 204
    assert user.post({}).status_code == 201
    assert user.post({}).status_code == 413


def test_number_of_images_is_the_owners(user, admin):
    for _ in range(RECORDS):
        user.create()
    assert admin.post({"owner": user.project}).status_code == 413
    assert admin.post({}).status_code == 201


def test_size_cap(user):
    image = user.create(**FORMATS)
    assert user.upload(image["id"], bytes(SIZE_CAP + 1)).status_code == 413
    assert user.upload(image["id"], iter([bytes(SIZE_CAP), b"x"])).status_code == 413
    assert user.image(image["id"]) | {"updated_at": ""} == image | {"updated_at": ""}
    assert user.upload(image["id"], bytes(SIZE_CAP)).status_code == 204


def test_storage(user, other):
    for _ in range(QUOTA // SIZE_CAP):
        user.active(bytes(SIZE_CAP))
    image = user.create(**FORMATS)
    for data in (b"x", iter([b"x"])):
        assert user.upload(image["id"], data).status_code == 413
    assert user.image(image["id"])["status"] == "queued"
    other.active(bytes(SIZE_CAP))


# --- other limits ----------------------------------------------------------------


def test_unlimited(unlimited):
    user = Caller(unlimited)
    image = user.create(**properties(200), tags=tags(200))
    assert user.patch(image["id"], add("new", "v"), replace("tags", tags(250))).status_code == 200


def test_default(usual):
    user = Caller(usual)
    assert user.post(properties(129)).status_code == 413
    assert user.post({"tags": tags(129)}).status_code == 413
    assert user.post({**properties(128), "tags": tags(128)}).status_code == 201


def test_nothing_at_all(nothing):
    user = Caller(nothing)
    assert user.post({"x": "y"}).status_code == 413
    assert user.post({"tags": ["t"]}).status_code == 413
    image = user.create()
    assert user.patch(image["id"], add("x", "y")).status_code == 413
    assert user.patch(image["id"], add("tags", ["t"])).status_code == 413
    assert user.patch(image["id"], add("tags", [])).status_code == 200


def test_refusal_is_text_for_who_asks_so(user):
    answer = user.send("POST", "/images", {"Accept": "text/plain"}, json=properties(PROPERTIES + 1))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert refused(answer, PROPERTIES + 1, PROPERTIES)
