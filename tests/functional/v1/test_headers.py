"""What every answer carries, and the image as headers and as JSON (spec v1-api.md §3, §4.1, §4.2)."""

import email.utils
import hashlib
import json
import re
import uuid

import pytest
import requests

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, listed, set_status
from tests.functional.v1.raw import Conversation

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?"
DATA = b"an image of a few bytes"
KEYS = {
    "id", "name", "status", "disk_format", "container_format", "size", "virtual_size", "checksum", "min_disk",
    "min_ram", "owner", "is_public", "protected", "deleted", "created_at", "updated_at", "deleted_at", "properties",
}  # fmt: skip
SUMMARY = {"id", "name", "size", "disk_format", "container_format", "checksum"}


def meta(answer):
    """The x-image-meta-* headers of an answer, without that prefix."""
    prefix = "x-image-meta-"
    return {name[len(prefix) :]: value for name, value in answer.headers.items() if name.startswith(prefix)}


# --- who asks -----------------------------------------------------------------


def test_identity_must_be_confirmed(trusted, tenant):
    for headers in ({}, {"X-Tenant-Id": tenant}, identity(tenant) | {"X-Identity-Status": "Invalid"}):
        assert trusted.request("GET", "/images", headers=headers).status_code == 401
        assert trusted.request("HEAD", f"/images/{uuid.uuid4()}", headers=headers).status_code == 401


def test_identity_headers_of_2011(trusted, tenant):
    image = trusted.create(headers=identity(tenant))
    path = f"/images/{image['id']}"
    old = {"X-Identity-Status": "Confirmed", "X-User": "u", "X-Tenant": tenant, "X-Role": "Member"}
    assert trusted.request("HEAD", path, headers=old).status_code == 200
    assert trusted.request("HEAD", path, headers=old | {"X-Tenant": "someone"}).status_code == 404
    assert trusted.request("HEAD", path, headers=old | {"X-Tenant": "someone", "X-Role": "Admin"}).status_code == 200
    # The new names win.
    assert trusted.request("HEAD", path, headers=old | {"X-Tenant-Id": "someone"}).status_code == 404


def test_roles_are_compared_without_case(trusted, user):
    image = trusted.create(headers=user)
    for roles, status in (("ADMIN", 200), ("member, Admin ", 200), ("administrator", 404), ("", 404)):
        asker = identity("someone", roles=roles)
        assert trusted.request("HEAD", f"/images/{image['id']}", headers=asker).status_code == status, roles


def test_service_catalog(trusted, user):
    for catalog, status in (("[]", 200), ('[{"type": "image"}]', 200), ("{", 400), ("[" * 10000, 400)):
        answer = trusted.request("GET", "/images", headers=user | {"X-Service-Catalog": catalog})
        assert answer.status_code == status, catalog[:20]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/images"),
        ("PUT", "/images/{id}"),
        ("DELETE", "/images/{id}"),
        ("PUT", "/images/{id}/members"),
        ("PUT", "/images/{id}/members/m"),
        ("DELETE", "/images/{id}/members/m"),
    ],
)
def test_anonymous_access_is_read_only(tuned, admin, method, path):
    image = tuned.create(DATA, headers=admin, is_public="true")
    body = json.dumps({"memberships": []}) if path.endswith("members") else None
    answer = tuned.request(method, path.format(id=image["id"]), data=body)
    assert (answer.status_code, "Read-only access" in answer.text) == (403, True)
    assert tuned.request("GET", f"/images/{image['id']}").content == DATA


def test_anonymous_access_sees_public_images_only(tuned, admin, user):
    public, private = tuned.create(headers=admin, is_public="true"), tuned.create(headers=user)
    assert tuned.request("HEAD", f"/images/{public['id']}").status_code == 200
    assert tuned.request("HEAD", f"/images/{private['id']}").status_code == 404
    found = [image["id"] for image in tuned.request("GET", "/images?limit=1000").json()["images"]]
    assert private["id"] not in found


def test_noauth_is_an_admin_without_owner(noauth):
    image = noauth.create(is_public="true")
    assert (image["owner"], image["is_public"]) == (None, True)


# --- request ids and errors -----------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(None, f"req-{UUID}"), ("req-abc", "req-abc"), ("abc", "req-abc"), ("x" * 64, "req-" + "x" * 64)],
)
def test_request_id(noauth, sent, expected):
    for path in ("/images", "/images/nonsense", "/nonsense"):
        answer = noauth.request("GET", path, headers={"x-openstack-request-id": sent})
        assert answer.status_code == (200 if path == "/images" else 404)
        assert re.fullmatch(expected, answer.headers["x-openstack-request-id"])


def test_bad_request_id(noauth):
    answer = noauth.request("GET", "/images", headers={"x-openstack-request-id": "x" * 65})
    assert answer.status_code == 431
    answer = noauth.request("GET", "/images", headers={"x-openstack-request-id": "é".encode()})
    assert answer.status_code == 400


@pytest.mark.parametrize("accept", [None, "text/plain", "application/json", "text/*;q=0, image/png"])
def test_plain_error_body(noauth, accept):
    with Conversation(noauth.api_port) as conversation:
        answer = conversation.ask("GET", "/v1/images?limit=%3Cb%3E-1", {"Accept": accept} if accept else {})
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert answer.text.startswith("400 Bad Request\n\n")
        assert "limit" in answer.text
        assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/html;q=0.5, application/json"])
def test_html_error_body(noauth, accept):
    answer = noauth.request("GET", "/images?sort_key=<b>", headers={"Accept": accept})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "Unsupported sort_key" in answer.text
    assert "&lt;b&gt;" in answer.text
    assert "<b>" not in answer.text


def test_head_errors_have_no_body(trusted, user):
    with Conversation(trusted.api_port) as conversation:
        for path, status in ((f"/v1/images/{uuid.uuid4()}", 404), ("/v1/images", 405), ("/v1/x", 404)):
            answer = conversation.ask("HEAD", path, user)
            assert (answer.status, answer.body) == (status, b"")
        assert conversation.ask("GET", "/v1/images", user).status == 200


def test_connection_survives_errors(trusted, user):
    """One connection takes a request of each kind of error, bodies that nobody read included."""
    octets = {"Content-Type": "application/octet-stream"}
    absent = f"/v1/images/{uuid.uuid4()}"
    with Conversation(trusted.api_port) as conversation:
        ask = conversation.ask
        assert ask("GET", "/v1/images").status == 401
        assert ask("GET", "/v1/images?limit=x", user).status == 400
        assert ask("PUT", absent, user, octets, body=DATA).status == 404
        assert ask("POST", "/v1/images", user, octets, {"x-image-meta-frob": "1"}, body=DATA).status == 400
        assert ask("POST", "/v1/images", user, {"x-image-meta-is_public": "true"}).status == 403
        assert ask("PUT", absent + "/members", user, body=b"{").status == 400
        assert ask("PATCH", absent, user, body=DATA).status == 405
        assert ask("FROB", "/v1/x", user).status == 501
        assert ask("GET", "/v3/images", user).status == 300
        assert ask("GET", "/v1/images", user).status == 200


def test_header_lines_are_bounded(noauth):
    for length, status in ((16000, 201), (17000, 431)):
        with Conversation(noauth.api_port) as conversation:
            assert conversation.ask("POST", "/v1/images", {"x-image-meta-property-x": "v" * length}).status == status


# --- content types and lengths ----------------------------------------------------


def test_every_answer_names_its_type_and_length(trusted, user):
    create = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
    octets = {"Content-Type": "application/octet-stream"}
    listing, single = "application/json; charset=UTF-8", "application/json"
    with Conversation(trusted.api_port) as conversation:
        answer = conversation.ask("POST", "/v1/images", user, create, octets, body=DATA)
        image_id = json.loads(answer.body)["image"]["id"]
        path = f"/v1/images/{image_id}"
        for status, kind, found in (
            (201, single, answer),
            (200, listing, conversation.ask("GET", "/v1/images", user)),
            (200, listing, conversation.ask("GET", "/v1/images/detail", user)),
            (200, listing, conversation.ask("GET", path + "/members", user)),
            (200, "application/octet-stream", conversation.ask("GET", path, user)),
            (200, single, conversation.ask("PUT", path, user)),
            (404, "text/plain; charset=UTF-8", conversation.ask("GET", path + "/x", user)),
        ):
            assert (found.status, found.headers["Content-Type"]) == (status, kind)
            assert found.headers["Content-Length"] == str(len(found.body))
            assert "Transfer-Encoding" not in found.headers
        for status, found in (
            (200, conversation.ask("HEAD", path, user)),
            (200, conversation.ask("DELETE", path, user)),
        ):
            assert (found.status, found.body) == (status, b"")
            assert found.headers["Content-Type"] == "text/html; charset=UTF-8"
            assert found.headers["Content-Length"] == "0"


# --- the image as JSON --------------------------------------------------------------


def test_json_of_a_bare_record(trusted, user, tenant):
    image = trusted.create(headers=user)
    assert set(image) == KEYS
    assert re.fullmatch(UUID, image["id"])
    for key in ("created_at", "updated_at"):
        assert re.fullmatch(TIME, image.pop(key))
    assert image == {
        "id": image["id"], "name": None, "status": "queued", "disk_format": None, "container_format": None, "size": 0,
        "virtual_size": None, "checksum": None, "min_disk": 0, "min_ram": 0, "owner": tenant, "is_public": False,
        "protected": False, "deleted": False, "deleted_at": None, "properties": {},
    }  # fmt: skip


def test_json_of_a_full_record(trusted, user, tenant):
    created = trusted.create(
        DATA, headers=user, name="full", virtual_size=9, min_disk=1, min_ram=2, protected="yes", property_a="1",
        property_empty="",
    )  # fmt: skip
    assert created | {"created_at": 0, "updated_at": 0, "id": 0} == {
        "id": 0, "name": "full", "status": "active", "disk_format": "raw", "container_format": "bare",
        "size": len(DATA), "virtual_size": 9, "checksum": hashlib.md5(DATA).hexdigest(), "min_disk": 1, "min_ram": 2,
        "owner": tenant, "is_public": False, "protected": True, "deleted": False, "created_at": 0, "updated_at": 0,
        "deleted_at": None, "properties": {"a": "1", "empty": None},
    }  # fmt: skip
    (found,) = listed(trusted, user)
    assert found == created
    summaries = trusted.request("GET", "/images?limit=1000", headers=user).json()["images"]
    (entry,) = [entry for entry in summaries if entry["id"] == created["id"]]
    assert entry == {key: created[key] for key in SUMMARY}
    updated = trusted.request("PUT", f"/images/{created['id']}", headers=user | {"x-image-meta-name": "n"}).json()
    assert set(updated["image"]) == KEYS


def test_whole_seconds_have_no_fraction(noauth):
    image = noauth.create(created_at="2012-03-04T05:06:07")
    assert image["created_at"] == "2012-03-04T05:06:07"
    image = noauth.create(created_at="2012-03-04T05:06:07.008")
    assert image["created_at"] == "2012-03-04T05:06:07.008000"


def test_no_location_leaves_the_server(trusted, user):
    image = trusted.create(DATA, headers=user)
    path = f"/images/{image['id']}"
    for answer in (
        trusted.request("HEAD", path, headers=user),
        trusted.request("GET", path, headers=user),
        trusted.request("GET", "/images/detail", headers=user),
        trusted.request("PUT", path, headers=user),
    ):
        everything = str(answer.headers) + answer.text
        assert "file://" not in everything
        assert str(trusted.images) not in everything
        assert "location" not in everything.lower()


# --- the image as headers -------------------------------------------------------------


def test_headers_are_the_json_without_nulls(trusted, user):
    image = trusted.create(DATA, headers=user, name="h", protected="1", property_Foo="bar", property_none="")
    path = f"/images/{image['id']}"
    properties = image.pop("properties")
    expected = {key: str(value) for key, value in image.items() if value is not None}
    expected |= {f"property-{key}": value for key, value in properties.items() if value is not None}
    assert expected["protected"] == "True"
    assert expected["deleted"] == "False"
    for method in ("HEAD", "GET"):
        answer = trusted.request(method, path, headers=user)
        assert meta(answer) == expected
        assert answer.headers["ETag"] == image["checksum"]
        assert "Location" not in answer.headers


def test_headers_of_a_record_without_data(trusted, user):
    image = trusted.create(headers=user)
    answer = trusted.request("HEAD", f"/images/{image['id']}", headers=user)
    assert set(meta(answer)) == {
        "id", "status", "size", "min_disk", "min_ram", "owner", "is_public", "protected", "deleted", "created_at",
        "updated_at",
    }  # fmt: skip
    assert "ETag" not in answer.headers


def test_location_of_a_created_image(noauth):
    for version in ("v1", "v1.0", "v1.1"):
        answer = requests.post(f"{noauth.endpoint}/{version}/images", headers={"Host": "images.example.org"})
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"http://images.example.org/v1/images/{answer.json()['image']['id']}"
    answer = noauth.request("PUT", f"/images/{answer.json()['image']['id']}")
    assert "Location" not in answer.headers


@pytest.mark.parametrize("value", ["Grüße", "日本語", "a,b;c=d", "<&>\"'", "  inner  blanks  ".strip()])
def test_text_comes_back_as_it_was(noauth, value):
    octets = {"Content-Type": "application/octet-stream"}
    with Conversation(noauth.api_port) as conversation:
        answer = conversation.ask(
            "POST", "/v1/images", octets, {"x-image-meta-name": value, "x-image-meta-property-p": value}
        )
        image = json.loads(answer.body)["image"]
        assert (image["name"], image["properties"]) == (value, {"p": value})
        answer = conversation.ask("HEAD", f"/v1/images/{image['id']}")
    for name in ("x-image-meta-name", "x-image-meta-property-p"):
        assert answer.headers.get(name).encode("latin-1").decode() == value


def test_names_of_properties(noauth):
    with Conversation(noauth.api_port) as conversation:
        answer = conversation.ask(
            "POST", "/v1/images", {"X-IMAGE-META-Min-Disk": "3"}, {"X-Image-Meta-Property-Foo-Bar": "1"},
            {"x-image-meta-property-os.Version_x": "2", "x-image-meta-PROPERTY_Baz": "3", "x-image-meta-Name": ""},
        )  # fmt: skip
    image = json.loads(answer.body)["image"]
    assert image["properties"] == {"foo_bar": "1", "os.version_x": "2", "baz": "3"}
    assert (image["min_disk"], image["name"]) == (3, None)


# --- data --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 70000, 3 * 1024 * 1024 + 17])
def test_data_comes_back(noauth, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    image = noauth.create(data)
    assert (image["size"], image["checksum"]) == (size, hashlib.md5(data).hexdigest())
    answer = noauth.request("GET", f"/images/{image['id']}")
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_chunked_upload(noauth):
    image = noauth.create(iter([b"one ", b"two ", b"three"]))
    assert (image["status"], image["size"]) == ("active", 13)
    assert noauth.request("GET", f"/images/{image['id']}").content == b"one two three"


def test_second_hash_is_kept_and_not_shown(trusted, user):
    image = trusted.create(DATA, headers=user)
    kept = trusted.sql("SELECT os_hash_algo, os_hash_value FROM images WHERE id = ?", image["id"])
    assert kept == [("sha512", hashlib.sha512(DATA).hexdigest())]
    answer = trusted.request("HEAD", f"/images/{image['id']}", headers=user)
    assert not [name for name in answer.headers if "hash" in name.lower()]


def test_range_is_ignored(noauth):
    image = noauth.create(DATA)
    answer = noauth.request("GET", f"/images/{image['id']}", headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Content-Range" not in answer.headers


def test_empty_image(noauth):
    image = noauth.create(size=0)
    answer = noauth.request("GET", f"/images/{image['id']}")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")


def test_validators(trusted, user):
    private = trusted.create(DATA, headers=user)
    public = trusted.create(DATA, headers=ADMIN, is_public="true")
    for image, cache_control in ((private, "private"), (public, "public, no-cache")):
        answer = trusted.request("GET", f"/images/{image['id']}", headers=user)
        assert answer.headers["ETag"] == image["checksum"]
        assert answer.headers["Cache-Control"] == cache_control
        modified = email.utils.parsedate_to_datetime(answer.headers["Last-Modified"])
        assert modified.strftime("%Y-%m-%dT%H:%M:%S") == image["updated_at"][:19]
        assert answer.headers["Last-Modified"].endswith(" GMT")


def test_unchanged_data_is_304(trusted, user, other):
    image = trusted.create(DATA, headers=user)
    path = f"/v1/images/{image['id']}"
    etag = image["checksum"]
    with Conversation(trusted.api_port) as conversation:
        for value in (etag, f'"{etag}"', f'W/"{etag}"', f'"0", "{etag}"', "*"):
            answer = conversation.ask("GET", path, user, {"If-None-Match": value})
            assert (answer.status, answer.body) == (304, b""), value
            assert answer.headers["ETag"] == etag
            assert answer.headers["Cache-Control"] == "private"
        for value in ("0" * 32, '"0"', ""):
            answer = conversation.ask("GET", path, user, {"If-None-Match": value})
            assert (answer.status, answer.body) == (200, DATA), value
        # Validators are no way around the rules.
        assert conversation.ask("GET", path, other, {"If-None-Match": etag}).status == 404


def test_data_that_is_not_active(trusted, user):
    for status, shown in (("queued", 404), ("killed", 404), ("saving", 404), ("deactivated", 403)):
        image = trusted.create(DATA, headers=user)
        set_status(trusted, image["id"], status)
        for asker in (user, ADMIN):
            answer = trusted.request("GET", f"/images/{image['id']}", headers=asker)
            assert answer.status_code == shown, status
            if shown == 404:
                assert f"Image {image['id']} is not active" in answer.text
            answer = trusted.request("HEAD", f"/images/{image['id']}", headers=asker)
            assert (answer.status_code, answer.headers["x-image-meta-status"]) == (200, status)


def test_active_record_without_location(trusted, user):
    for size in (5, None):
        image = trusted.create(headers=user)
        trusted.sql("UPDATE images SET status = 'active', size = ? WHERE id = ?", size, image["id"])
        assert trusted.request("GET", f"/images/{image['id']}", headers=user).status_code == 404


def test_data_gone_from_the_store(trusted, user):
    image = trusted.create(DATA, headers=user)
    (trusted.images / image["id"]).unlink()
    assert trusted.request("GET", f"/images/{image['id']}", headers=user).status_code == 404


def test_data_that_cannot_be_read(trusted, user):
    image = trusted.create(DATA, headers=user)
    path = trusted.images / image["id"]
    path.chmod(0)
    answer = trusted.request("GET", f"/images/{image['id']}", headers=user)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    path.chmod(0o600)
    assert trusted.request("GET", f"/images/{image['id']}", headers=user).content == DATA


def test_location_that_no_store_reads(trusted, user):
    image = trusted.create(DATA, headers=user)
    secret = "frob://user:s3cret@host/x"
    trusted.sql("UPDATE image_locations SET value = ? WHERE image_id = ?", secret, image["id"])
    answer = trusted.request("GET", f"/images/{image['id']}", headers=user)
    assert answer.status_code == 400
    assert "s3cret" not in answer.text
    assert "s3cret" not in trusted.api.log.read_text()
