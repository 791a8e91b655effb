"""POST of images and what an image looks like (spec v2-images.md §4, §5)."""

import uuid

import pytest

from tests.functional.v2.conftest import LONG, Caller

BASE = {
    "id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value",
    "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags", "min_ram",
    "min_disk", "self", "file", "schema",
}  # fmt: skip
UUID = "8af3ec02-8a6a-4d2a-9a38-2a5ab5e0d0c1"


@pytest.fixture
def api(either):
    return either


@pytest.fixture(scope="module")
def closed(deploy):
    """No properties but those of the schema; other formats."""
    settings = {
        "allow_additional_image_properties": False,
        "image_format": {"disk_formats": "raw,odd", "container_formats": "bare"},
    }
    return deploy(api=settings)


# --- answers ---------------------------------------------------------------------


def test_smallest(user):
    answer = user.post({})
    assert answer.status_code == 201
    image = answer.json()
    assert set(image) == BASE
    assert answer.headers["Location"] == f"{user.deployment.endpoint}/v2/images/{image['id']}"
    assert "OpenStack-image-import-methods" not in answer.headers
    assert "OpenStack-image-store-ids" not in answer.headers
    assert str(uuid.UUID(image["id"])) == image["id"]
    expected = dict.fromkeys(
        ("name", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size", "container_format", "disk_format")
    )
    expected |= {
        "status": "queued", "visibility": "shared", "protected": False, "os_hidden": False, "owner": user.project,
        "tags": [], "min_ram": 0, "min_disk": 0,
    }  # fmt: skip
    assert {name: image[name] for name in expected} == expected
    assert user.image(image["id"]) == image


def test_everything(user):
    body = {
        "id": str(uuid.uuid4()), "name": "n" * 255, "visibility": "private", "protected": True, "os_hidden": True,
        "owner": user.project, "container_format": "ovf", "disk_format": "qcow2", "tags": ["b", "a", "é" * 255],
        "min_ram": 2**31 - 1, "min_disk": 0, "x" * 255: "", "long": "v" * 60000, "kernel_id": None, "os_distro": "d",
        "cinder_encryption_key_deletion_policy": "do_not_delete",
    }  # fmt: skip
    answer = user.post(body)
    assert answer.status_code == 201, answer.text
    image = answer.json()
    assert sorted(image.pop("tags")) == sorted(body.pop("tags"))
    assert {name: image[name] for name in body} == body
    shown = user.image(image["id"])
    assert {name: shown[name] for name in body} == body
    assert set(shown) == BASE | set(body)


def test_after_upload(user):
    image = user.active(b"some data")
    assert (image["status"], image["size"]) == ("active", 9)
    assert image["checksum"] == "1e50210a0202497fb79bc38b6ade6c34"
    assert (image["os_hash_algo"], len(image["os_hash_value"])) == ("sha512", 128)


@pytest.mark.parametrize("visibility", ["private", "shared", "community"])
def test_visibilities(user, visibility):
    assert user.create(visibility=visibility)["visibility"] == visibility


def test_duplicate_tags_collapse(user):
    image = user.create(tags=["a", "b", "a"])
    assert sorted(image["tags"]) == ["a", "b"]


@pytest.mark.parametrize("value", [UUID.upper(), None])
def test_id_in_either_case(user, value):
    image_id = (value or str(uuid.uuid4()).upper())[:-12] + uuid.uuid4().hex[-12:].upper()
    assert user.create(id=image_id)["id"] == image_id
    assert user.image(image_id)["id"] == image_id


def test_taken_ids(user, other):
    mine = user.create()
    assert user.post({"id": mine["id"]}).status_code == 409
    assert other.post({"id": mine["id"]}).status_code == 409
    assert user.delete(mine["id"]).status_code == 204
    assert user.post({"id": mine["id"]}).status_code == 409


def test_null_of_v1_is_shown_as_text(user):
    image = user.create(mine="x", os_distro="d", kernel_id=str(uuid.uuid4()))
    user.deployment.sql("UPDATE image_properties SET value = NULL WHERE image_id = ?", image["id"])
    shown = user.image(image["id"])
    assert (shown["mine"], shown["kernel_id"]) == ("", None)


def test_service_properties_are_visible_but_for_hosts(user):
    image = user.create(a="b")
    for name in ("os_glance_failed_import", "os_glance_stage_host", "os_glance_hash_op_host"):
        user.deployment.sql(
            "INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted)"
            " SELECT image_id, ?, 'v', created_at, updated_at, 0 FROM image_properties WHERE image_id = ? LIMIT 1",
            name, image["id"],
        )  # fmt: skip
    for shown in (user.image(image["id"]), user.page().json()["images"][0]):
        assert set(shown) == BASE | {"a", "os_glance_failed_import"}


# --- refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["direct_url", "self", "file", "schema", "stores", "created_at", "updated_at", "checksum", "status",
             "size", "virtual_size", "os_hash_algo", "os_hash_value", "location", "deleted", "deleted_at",
             "os_glance_x", "os_glance"],
)  # fmt: skip
def test_read_only_and_reserved(user, name):
    values = {"status": "queued", "size": 1, "virtual_size": 1}
    answer = user.post({"name": "refused", name: values.get(name, "x")})
    assert answer.status_code == 403
    assert user.ids({"name": "refused"}) == []


@pytest.mark.parametrize("value", [[], [{"url": "http://127.0.0.1/x", "metadata": {}}]])
def test_locations(user, value):
    assert user.post({"locations": value}).status_code == 403


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", "1"), ("id", UUID[:-1]), ("id", UUID + "0"), ("id", UUID.replace("8", "g")), ("id", UUID + "\n"),
     ("id", None), ("id", 1), ("id", "{" + UUID + "}"),
     ("name", LONG), ("name", 1), ("name", ["n"]),
     ("visibility", "Public"), ("visibility", "frob"), ("visibility", None), ("visibility", True),
     ("protected", "true"), ("protected", 1), ("protected", None), ("os_hidden", "false"), ("os_hidden", None),
     ("owner", LONG), ("owner", 1),
     ("container_format", "frob"), ("container_format", ""), ("container_format", 1), ("disk_format", "frob"),
     ("disk_format", "RAW"), ("disk_format", {}),
     ("tags", "a"), ("tags", None), ("tags", [1]), ("tags", [LONG]), ("tags", {"a": "b"}), ("tags", [None]),
     ("x", 1), ("x", True), ("x", None), ("x", []), ("x", {}), (LONG, "x"),
     ("kernel_id", "no uuid"), ("kernel_id", 1), ("os_distro", None),
     ("cinder_encryption_key_deletion_policy", "frob"),
     ("status", "frob"), ("size", "1"), ("locations", "x"), ("locations", [1])],
)  # fmt: skip
def test_schema(user, name, value):
    answer = user.post({"name": "refused", name: value})
    assert answer.status_code == 400
    assert user.ids({"name": "refused"}) == []


@pytest.mark.parametrize("body", [{"locations": [{"url": "http://u:pass-word@h/x" + "y" * 300, "metadata": {}}]}])
def test_no_location_in_the_error(user, body):
    assert "pass-word" not in user.post(body).text


@pytest.mark.parametrize(
    ("body", "status"),
    [({"self": "x", "name": 1}, 403), ({"location": "x", "name": 1}, 400), ({"status": "frob", "self": "x"}, 403),
     ({"visibility": "public", "name": 1}, 400), ({"visibility": "public", "owner": "x" * 300}, 400)],
)  # fmt: skip
def test_order_of_checks(user, body, status):
    assert user.post(body).status_code == status


def test_duplicate_id_comes_last(user):
    image = user.create()
    assert user.post({"id": image["id"], "size": 1}).status_code == 403
    assert user.post({"id": image["id"], "owner": "somebody"}).status_code == 403


# --- owners ----------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["somebody", None, ""])
def test_owner_of_somebody_else(user, admin, owner):
    assert user.post({"owner": owner}).status_code == 403
    assert admin.create(owner=owner)["owner"] == (owner or None)


def test_owner_by_default(user, admin):
    assert user.create()["owner"] == user.project
    assert admin.create()["owner"] == admin.project


def test_without_a_project(api):
    """Owner null is nobody's: all see it, and none but administrators change it."""
    nobody = Caller(api)
    del nobody.headers["X-Tenant-Id"]
    answer = nobody.post({})
    assert answer.status_code == 201
    assert answer.json()["owner"] is None
    assert nobody.delete(answer.json()["id"]).status_code == 403


# --- the operator's schema and formats -------------------------------------------


def test_closed_schema(closed):
    user = Caller(closed)
    assert user.post({"x": "y"}).status_code == 400
    image = user.create(os_distro="d")
    assert user.patch(image["id"], {"op": "add", "path": "/x", "value": "y"}).status_code == 400
    closed.sql("UPDATE image_properties SET name = 'old' WHERE image_id = ?", image["id"])
    assert set(user.image(image["id"])) == BASE
    assert user.patch(image["id"], {"op": "add", "path": "/os_version", "value": "y"}).status_code == 200
    assert closed.sql("SELECT count(*) FROM image_properties WHERE image_id = ? AND deleted = 0", image["id"]) == [(2,)]


def test_configured_formats(closed):
    user = Caller(closed)
    assert user.create(disk_format="odd", container_format="bare")["disk_format"] == "odd"
    assert user.post({"disk_format": "qcow2"}).status_code == 400
    assert user.post({"container_format": "ovf"}).status_code == 400
