"""The schemas (spec v2-images.md §12)."""

import json

import jsonschema
import pytest

from tests.functional.conftest import ROOT

READ_ONLY = {
    "status", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size", "created_at", "updated_at",
    "direct_url", "self", "file", "stores", "schema",
}  # fmt: skip
PAGE_LINKS = [
    {"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}
]  # fmt: skip


@pytest.fixture
def schema(user):
    def get(name):
        answer = user.send("GET", f"/schemas/{name}")
        assert answer.status_code == 200, answer.text
        jsonschema.Draft4Validator.check_schema(answer.json())
        return answer.json()

    return get


def test_image(schema):
    document = schema("image")
    assert document["name"] == "image"
    assert document["additionalProperties"] == {"type": "string"}
    assert document["links"] == [
        {"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ]  # fmt: skip
    assert "required" not in document
    properties = document["properties"]
    assert {name for name, entry in properties.items() if entry.get("readOnly")} == READ_ONLY
    custom = {name for name, entry in properties.items() if entry.get("is_base") is False}
    assert custom == set(json.loads((ROOT / "etc" / "schema-image.json").read_text()))
    assert properties["visibility"]["enum"] == ["public", "community", "shared", "private"]
    assert {"queued", "saving", "uploading", "importing", "active", "killed", "deleted", "pending_delete",
            "deactivated"} == set(properties["status"]["enum"])  # fmt: skip
    assert None in properties["disk_format"]["enum"]
    assert None in properties["container_format"]["enum"]
    assert properties["name"]["maxLength"] == 255


def test_images(schema):
    document = schema("images")
    assert document["name"] == "images"
    assert set(document["properties"]) == {"images", "first", "next", "schema"}
    assert document["properties"]["images"]["items"] == schema("image")
    assert document["links"] == PAGE_LINKS


def test_member(schema):
    document = schema("member")
    assert document["name"] == "member"
    assert set(document["properties"]) == {"member_id", "image_id", "created_at", "updated_at", "status", "schema"}
    assert set(document["properties"]["status"]["enum"]) == {"pending", "accepted", "rejected"}
    assert document["properties"]["schema"]["readOnly"] is True
    assert "pattern" in document["properties"]["image_id"]
    assert "additionalProperties" not in document


def test_members(schema):
    document = schema("members")
    assert document["name"] == "members"
    assert set(document["properties"]) == {"members", "schema"}
    assert document["properties"]["members"]["items"] == schema("member")
    assert document["links"] == PAGE_LINKS[2:]


@pytest.mark.parametrize("name", ["frob", "Image", "image/x", "metadefs/frob"])
def test_unknown(user, name):
    assert user.send("GET", f"/schemas/{name}").status_code == 404


def test_answers_fit_the_schemas(user, other, schema):
    image = user.active(tags=["a"], x="y", kernel_id=None)
    user.create()
    jsonschema.validate(image, schema("image"))
    page = user.page({"limit": 1}).json()
    assert "next" in page
    jsonschema.validate(page, schema("images"))
    user.share(image["id"], other)
    jsonschema.validate(user.send("GET", f"/images/{image['id']}/members").json(), schema("members"))
