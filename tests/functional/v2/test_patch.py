"""PATCH of an image: syntax and semantics (spec v2-images.md §6, §6.1, §6.2)."""

import json

import pytest

from tests.functional.v2.conftest import FORMATS, LONG, NEW, OLD, Caller, add, remove, replace

FIXED = (
    "id", "status", "checksum", "size", "virtual_size", "created_at", "updated_at", "direct_url", "self", "file",
    "schema", "os_hash_algo", "os_hash_value", "location", "deleted", "deleted_at", "os_glance_x", "os_glance",
    "stores",
)  # fmt: skip
BASE = {
    "name": "new", "visibility": "private", "protected": True, "os_hidden": True, "container_format": "ovf",
    "disk_format": "qcow2", "tags": ["x", "y"], "min_ram": 1, "min_disk": 2,
}  # fmt: skip


@pytest.fixture
def api(either):
    return either


@pytest.fixture
def image(user):
    return user.create(name="old", there="yes", tags=["a"])


def unchanged(user, image):
    return user.image(image["id"]) == image


# --- content types ---------------------------------------------------------------


@pytest.mark.parametrize("content_type", [NEW, f"{NEW}; charset=utf-8", NEW.upper(), f"{NEW} ;x=y"])
def test_content_types(user, image, content_type):
    answer = user.send_patch(image["id"], content_type, [add("x", "y")])
    assert (answer.status_code, answer.json()["x"]) == (200, "y")


def test_older_content_type(user, image):
    answer = user.send_patch(image["id"], OLD, [{"add": "/x", "value": "y"}])
    assert (answer.status_code, answer.json()["x"]) == (200, "y")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json-patch+json", "text/plain", "", NEW.replace("2.1", "2.2"), f"x/{NEW}"],
)
def test_other_content_types(user, image, content_type):
    answer = user.send_patch(image["id"], content_type, [add("x", "y")])
    assert answer.status_code == 415
    assert answer.headers["Accept-Patch"] == f"{OLD}, {NEW}"
    assert unchanged(user, image)


# --- syntax ----------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [OLD, NEW])
@pytest.mark.parametrize("body", [b"", b"{}", b"1", b'"x"', b"null", b"[1]", b"[[]]", b'["add"]', b"[null]", b"[{}]"])
def test_not_an_array_of_objects(user, image, content_type, body):
    assert user.send_patch(image["id"], content_type, body).status_code == 400


@pytest.mark.parametrize("content_type", [OLD, NEW])
def test_nothing_to_do(user, other, admin, image, content_type):
    answer = user.send_patch(image["id"], content_type, [])
    assert (answer.status_code, answer.json()) == (200, image)
    assert other.send_patch(image["id"], content_type, []).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/x", "value": "y"}, {"op": "move", "from": "/there", "path": "/x"},
        {"op": "copy", "from": "/there", "path": "/x"}, {"op": "test", "path": "/there", "value": "yes"},
        {"op": "Add", "path": "/x", "value": "y"}, {"op": None, "path": "/x", "value": "y"},
        {"op": ["add"], "path": "/x", "value": "y"}, {"op": {}, "path": "/x", "value": "y"},
        {"op": "add", "value": "y"}, {"op": "add", "path": None, "value": "y"}, {"op": "add", "path": 1, "value": "y"},
        {"op": "add", "path": ["x"], "value": "y"}, {"op": "add", "path": "x", "value": "y"},
        {"op": "add", "path": "", "value": "y"}, {"op": "add", "path": "/", "value": "y"},
        {"op": "add", "path": "//x", "value": "y"}, {"op": "add", "path": "/x//y", "value": "y"},
        {"op": "add", "path": "/x/", "value": "y"}, {"op": "add", "path": "/ ", "value": "y"},
        {"op": "add", "path": "/~", "value": "y"}, {"op": "add", "path": "/x~2", "value": "y"},
        {"op": "add", "path": "/~~0", "value": "y"},
        {"op": "add", "path": "/x"}, {"op": "replace", "path": "/there"},
        {"op": "add", "path": "/a/b", "value": "y"}, {"op": "remove", "path": "/there/x"},
        {"op": "replace", "path": "/there/x", "value": "y"},
        {"op": "add", "path": "/tags/-", "value": "y"}, {"op": "add", "path": "/tags/0", "value": "y"},
        {"op": "remove", "path": "/tags/0"}, {"op": "replace", "path": "/tags/0", "value": "y"},
        {"op": "add", "path": "/locations", "value": []}, {"op": "remove", "path": "/locations"},
        {"op": "replace", "path": "/locations/0", "value": {"url": "x", "metadata": {}}},
        {"op": "add", "path": "/locations/0/1", "value": {"url": "x", "metadata": {}}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_syntax_errors(user, image, change):
    assert user.patch(image["id"], add("first", "x"), change).status_code == 400
    assert unchanged(user, image)


@pytest.mark.parametrize(
    "change",
    [{"value": "y"}, {"add": "/x", "remove": "/there", "value": "y"}, {"add": "/x"}, {"replace": "/there"},
     {"add": "x", "value": "y"}, {"add": 1, "value": "y"}, {"add": "/a/b", "value": "y"}, {"move": "/x", "value": "y"},
     {"op": "add", "path": "/x", "value": "y"}, {"add": "/tags/-", "value": "y"}, {"remove": "/there/"},
     {"add": "/", "value": "y"}, {"add": "/locations", "value": []}, {"remove": None}],
    ids=json.dumps,
)  # fmt: skip
def test_syntax_errors_of_the_older_type(user, image, change):
    assert user.send_patch(image["id"], OLD, [{"add": "/first", "value": "x"}, change]).status_code == 400
    assert unchanged(user, image)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a~1b", "a/b"), ("/a~0b", "a~b"), ("/a~01", "a~1"), ("/ x ", "x"), ("/é", "é"), ("/a b", "a b")],
)
def test_pointers(user, image, path, name):
    answer = user.patch(image["id"], {"op": "add", "path": path, "value": "v"})
    assert (answer.status_code, answer.json()[name]) == (200, "v")
    answer = user.patch(image["id"], {"op": "remove", "path": path})
    assert answer.status_code == 200
    assert name not in answer.json()


# --- base attributes -------------------------------------------------------------


@pytest.mark.parametrize("name", BASE)
@pytest.mark.parametrize("op", ["add", "replace"])
def test_set_attribute(user, image, op, name):
    answer = user.patch(image["id"], {"op": op, "path": f"/{name}", "value": BASE[name]})
    assert answer.status_code == 200
    for shown in (answer.json(), user.image(image["id"])):
        value = shown.pop(name)
        assert (sorted(value) if name == "tags" else value) == BASE[name]
        assert shown == {key: value for key, value in image.items() if key != name} | {
            "updated_at": shown["updated_at"]
        }


@pytest.mark.parametrize("name", [*BASE, "owner"])
def test_remove_attribute(user, admin, image, name):
    for caller in (user, admin):
        assert caller.patch(image["id"], remove(name)).status_code == 403
    assert unchanged(user, image)


@pytest.mark.parametrize("name", BASE)
def test_add_attribute_of_the_older_type(user, image, name):
    assert user.send_patch(image["id"], OLD, [{"add": f"/{name}", "value": BASE[name]}]).status_code == 409
    assert unchanged(user, image)
    assert user.send_patch(image["id"], OLD, [{"replace": f"/{name}", "value": BASE[name]}]).status_code == 200


@pytest.mark.parametrize("name", FIXED)
def test_fixed_attributes(user, admin, image, name):
    for caller in (user, admin):
        for change in (add(name, "x"), replace(name, "x"), replace(name, image.get(name)), remove(name)):
            assert caller.patch(image["id"], add("first", "x"), change).status_code == 403, change
        assert caller.send_patch(image["id"], OLD, [{"add": f"/{name}", "value": "x"}]).status_code == 403
    assert unchanged(user, image)


def test_locations_are_off(user, image):
    location = {"url": "http://127.0.0.1/x", "metadata": {}}
    for change in (add("locations/-", location), replace("locations", [location]), replace("locations", []),
                   remove("locations/0")):  # fmt: skip
        assert user.patch(image["id"], change).status_code == 403


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", LONG), ("name", 1), ("visibility", "frob"), ("visibility", None), ("protected", "true"), ("protected", 0),
     ("os_hidden", None), ("owner", 1), ("owner", LONG), ("container_format", "frob"), ("disk_format", 1),
     ("tags", "a"),
     ("tags", [1]), ("tags", [LONG]), ("tags", None), ("min_ram", -1), ("min_ram", "1"), ("min_disk", 2**31),
     ("min_disk", None), ("min_ram", True), ("min_ram", 1.5),
     ("there", 1), ("there", None), ("there", True), ("there", {}), ("there", []), ("x", 1), ("x", None), (LONG, "x"),
     ("kernel_id", "x"), ("kernel_id", 1), ("cinder_encryption_key_deletion_policy", "x")],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_values(user, admin, image, name, value):
    for caller in (user, admin):
        assert caller.patch(image["id"], add("first", "x"), add(name, value)).status_code == 400
        if name in image:
            assert caller.patch(image["id"], add("first", "x"), replace(name, value)).status_code == 400
    assert unchanged(user, image)


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", None), ("container_format", None), ("disk_format", None), ("name", ""), ("tags", []), ("there", ""),
     ("kernel_id", None), ("name", "n" * 255), ("min_ram", 2**31 - 1), ("x" * 255, "y"), ("x", "v" * 60000)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_limits_of_values(user, image, name, value):
    answer = user.patch(image["id"], add(name, value))
    assert (answer.status_code, answer.json()[name]) == (200, value)


def test_tags_are_replaced_as_a_whole(user, image):
    for change in (add("tags", ["b", "c", "b"]), replace("tags", ["c", "b"])):
        answer = user.patch(image["id"], change)
        assert sorted(answer.json()["tags"]) == ["b", "c"]
    assert user.patch(image["id"], replace("tags", [])).json()["tags"] == []
    assert user.patch(image["id"], replace("tags", ["a"])).json()["tags"] == ["a"]


@pytest.mark.parametrize("name", ["container_format", "disk_format"])
@pytest.mark.parametrize("status", ["active", "saving", "deactivated", "killed", "uploading"])
def test_formats_once_there_is_data(user, admin, status, name):
    image = user.create(**FORMATS)
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image["id"])
    for caller in (user, admin):
        for change in (add(name, BASE[name]), replace(name, image[name]), remove(name)):
            assert caller.patch(image["id"], change).status_code == 403
    assert user.patch(image["id"], replace("name", "n")).status_code == 200


@pytest.mark.parametrize("name", ["container_format", "disk_format"])
def test_formats_while_importing(user, name):
    image = user.create(**FORMATS)
    user.deployment.sql("UPDATE images SET status = 'importing' WHERE id = ?", image["id"])
    assert user.patch(image["id"], replace(name, BASE[name])).json()[name] == BASE[name]


# --- owner and visibility --------------------------------------------------------


@pytest.mark.parametrize("op", ["add", "replace"])
def test_owner(user, other, admin, image, op):
    for owner in (other.project, user.project, None):
        change = {"op": op, "path": "/owner", "value": owner}
        assert user.patch(image["id"], change).status_code == 403
    assert unchanged(user, image)
    answer = admin.patch(image["id"], {"op": op, "path": "/owner", "value": other.project})
    assert (answer.status_code, answer.json()["owner"]) == (200, other.project)
    assert user.show(image["id"]).status_code == 404
    assert other.patch(image["id"], replace("name", "mine")).status_code == 200


@pytest.mark.parametrize("op", ["add", "replace"])
def test_publish(user, other, admin, image, op):
    change = {"op": op, "path": "/visibility", "value": "public"}
    assert user.patch(image["id"], change).status_code == 403
    assert unchanged(user, image)
    assert other.show(image["id"]).status_code == 404
    assert admin.patch(image["id"], change).json()["visibility"] == "public"
    assert other.show(image["id"]).status_code == 200
    assert user.patch(image["id"], replace("visibility", "private")).status_code == 200
    assert other.show(image["id"]).status_code == 404


def test_community(user, other, image):
    assert user.patch(image["id"], replace("visibility", "community")).status_code == 200
    assert other.show(image["id"]).status_code == 200
    assert other.patch(image["id"], add("x", "y")).status_code == 403


# --- properties ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "value"),
    [(add("new", "v"), 200, "v"), (add("there", "v"), 200, "v"), (replace("there", "v"), 200, "v"),
     (replace("new", "v"), 409, None), (remove("new"), 409, None), (remove("there"), 200, None)],
    ids=json.dumps,
)  # fmt: skip
def test_property(user, image, change, status, value):
    answer = user.patch(image["id"], change)
    assert answer.status_code == status
    if status == 200:
        shown = user.image(image["id"])
        assert shown == answer.json()
        assert shown.get(change["path"][1:]) == value
    else:
        assert unchanged(user, image)


@pytest.mark.parametrize(
    ("change", "status", "value"),
    [({"add": "/new", "value": "v"}, 200, "v"), ({"add": "/there", "value": "v"}, 409, "yes"),
     ({"replace": "/there", "value": "v"}, 200, "v"), ({"replace": "/new", "value": "v"}, 409, None),
     ({"remove": "/new"}, 409, None), ({"remove": "/there"}, 200, None)],
    ids=json.dumps,
)  # fmt: skip
def test_property_of_the_older_type(user, image, change, status, value):
    assert user.send_patch(image["id"], OLD, [change]).status_code == status
    path = next(text for verb, text in change.items() if verb != "value")
    assert user.image(image["id"]).get(path[1:]) == value


@pytest.mark.parametrize(
    "name",
    ["image_id", "extra_properties", "properties", "member", "delete", "members", "metadata", "get_data", "__class__",
     "is_public", "etag", "changes-since", "marker", "_locations", "project_id", "tag", "Status", "limit"],
)  # fmt: skip
def test_internal_names_are_ordinary(user, image, name):
    answer = user.patch(image["id"], add(name, "v"))
    assert (answer.status_code, answer.json()[name]) == (200, "v")
    assert {key: value for key, value in answer.json().items() if key not in (name, "updated_at")} == {
        key: value for key, value in image.items() if key != "updated_at"
    }
    answer = user.patch(image["id"], replace(name, "w"), remove(name))
    assert (answer.status_code, name in answer.json()) == (200, False)


def test_removed_property_comes_back(user, image):
    assert user.patch(image["id"], remove("there")).status_code == 200
    assert user.patch(image["id"], add("there", "again")).status_code == 200
    assert user.image(image["id"])["there"] == "again"


# --- several changes -------------------------------------------------------------


def test_changes_follow_each_other(user, image):
    answer = user.patch(
        image["id"], add("x", "1"), replace("x", "2"), remove("there"), add("there", "3"), add("y", "4"), remove("y"),
        replace("name", "first"), replace("name", "second"),
    )  # fmt: skip
    assert answer.status_code == 200
    shown = user.image(image["id"])
    assert (shown["x"], shown["there"], shown["name"], "y" in shown) == ("2", "3", "second", False)


@pytest.mark.parametrize("wrong", [replace("none", "x"), add("status", "x"), add("min_ram", "x"), {"op": "x"}], ids=str)
def test_all_or_none(user, image, wrong):
    changes = [replace("name", "new"), add("x", "y"), remove("there"), replace("tags", ["b"])]
    assert user.patch(image["id"], *changes, wrong).status_code in (400, 403, 409)
    assert user.patch(image["id"], wrong, *changes).status_code in (400, 403, 409)
    assert unchanged(user, image)


def test_updated_at(user, image):
    user.deployment.sql("UPDATE images SET updated_at = '2020-01-01 00:00:00.000000' WHERE id = ?", image["id"])
    assert user.patch(image["id"]).json()["updated_at"] == "2020-01-01T00:00:00Z"
    assert user.patch(image["id"], add("x", "y")).json()["updated_at"] > "2026-01-01"


# --- whose ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visibility", "status"), [("public", 403), ("community", 403), ("private", 404), ("shared", 404)]
)
def test_not_the_owner(user, other, admin, visibility, status):
    image = admin.create(owner=user.project, visibility=visibility)
    try:
        assert other.patch(image["id"], add("x", "y")).status_code == status
        assert other.patch(image["id"]).status_code == (200 if status == 403 else 404)
        assert admin.patch(image["id"], add("x", "y")).status_code == 200
    finally:
        admin.delete(image["id"])


def test_member(user, other, image):
    user.share(image["id"], other, "accepted")
    assert other.patch(image["id"], add("x", "y")).status_code == 403
    assert other.patch(image["id"]).status_code == 200
    assert unchanged(user, image)


def test_same_project_another_user(api, user, image):
    assert Caller(api, user.project).patch(image["id"], add("x", "y")).status_code == 200
