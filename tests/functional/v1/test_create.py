"""Registering images and giving them data (spec v1-api.md §4.3, §4.4, §5.5, §7)."""

import datetime
import uuid

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, SIZE_CAP, listed, status_of
from tests.functional.v1.raw import Conversation

DISK = ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]
CONTAINER = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
AMAZON = ("ami", "ari", "aki")
OCTETS = {"Content-Type": "application/octet-stream"}
FORMATS = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
MAX_INT = 2147483647


def post(deployment, caller=None, /, data=None, **meta):
    """POST an image; keywords are x-image-meta-* headers, sent as they are."""
    headers = (caller or {}) | {f"x-image-meta-{key}": value for key, value in meta.items()}
    return deployment.request("POST", "/images", data=data, headers=headers)


# --- headers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "1"), ("id", ""), ("id", "x" * 36), ("id", "../../../../decoy"),
        ("name", "n" * 256),
        ("disk_format", "RAW"), ("disk_format", "floppy"), ("disk_format", ""),
        ("container_format", "Bare"), ("container_format", "box"), ("container_format", ""),
        ("size", "-1"), ("size", "1.5"), ("size", "many"), ("size", ""), ("size", "1" * 40), ("size", "0x10"),
        ("size", str(2**40 + 1)),
        ("checksum", "c" * 33),
        ("min_disk", "-1"), ("min_disk", "x"), ("min_disk", str(MAX_INT + 1)), ("min_disk", ""),
        ("min_ram", "-1"), ("min_ram", "1e3"), ("min_ram", str(MAX_INT + 1)),
        ("virtual_size", "-1"), ("virtual_size", "big"),
        ("store", "nowhere"), ("store", "http"), ("store", "FILE"),
        ("location", ""), ("location", "nonsense"),
        ("created_at", "yesterday"), ("created_at", "1899-12-31T00:00:00"), ("created_at", "2012-13-01T00:00:00"),
        ("updated_at", "soon"), ("deleted_at", "never"), ("updated_at", "0001-01-01T00:00:00"),
        ("frob", "1"), ("visibility", "public"), ("purge-props", "true"), ("tags", "a"), ("locations", "[]"),
    ],
)  # fmt: skip
def test_bad_header_is_400(trusted, user, key, value):
    image_id = str(uuid.uuid4())
    answer = post(trusted, user, **({"id": image_id} | {key: value}))
    assert answer.status_code == 400
    assert status_of(trusted, image_id) is None


def test_unknown_header_is_named(trusted, user):
    answer = post(trusted, user, fr_ob="1")
    assert "Bad header" in answer.text
    assert "x-image-meta-fr_ob" in answer.text


@pytest.mark.parametrize("value", [b"\xff\xfe", b"caf\xe9"])
def test_headers_must_be_utf8(trusted, user, value):
    with Conversation(trusted.api_port) as conversation:
        for name in ("x-image-meta-name", "x-image-meta-property-p", "x-image-meta-owner", "x-image-meta-id"):
            assert conversation.ask("POST", "/v1/images", user, {name: value}).status == 400


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("name", "n" * 255, "n" * 255), ("name", "", None),
        ("size", "7", 7), ("size", str(2**40), 2**40),
        ("checksum", "c" * 32, "c" * 32),
        ("min_disk", "0", 0), ("min_disk", str(MAX_INT), MAX_INT), ("min_ram", str(MAX_INT), MAX_INT),
        ("virtual_size", "5", 5), ("virtual_size", "None", None), ("virtual_size", "", None),
        ("protected", "T", True), ("protected", "On", True), ("protected", "yes", True), ("protected", "1", True),
        ("protected", "y", True), ("protected", "TRUE", True), ("protected", "no", False), ("protected", "2", False),
        ("protected", "", False), ("is_public", "false", False), ("is_public", "maybe", False),
        ("deleted", "true", False),
        ("status", "active", "queued"), ("status", "nonsense", "queued"),
        ("created_at", "2012-03-04T05:06:07Z", "2012-03-04T05:06:07"),
        ("created_at", "2012-03-04T05:06:07+02:00", "2012-03-04T03:06:07"),
        ("created_at", "2012-03-04 05:06:07.5", "2012-03-04T05:06:07.500000"),
        ("created_at", "1900-01-01", "1900-01-01T00:00:00"),
    ],
)  # fmt: skip
def test_good_header(trusted, user, key, value, stored):
    answer = post(trusted, user, **{key: value})
    assert answer.status_code == 201, answer.text
    image = answer.json()["image"]
    assert image[key] == stored
    (found,) = listed(trusted, user)
    assert found == image


def test_server_sets_the_other_times(noauth):
    before = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    past = "2001-01-01T00:00:00"
    image = noauth.create(updated_at=past, deleted_at=past)
    assert image["deleted_at"] is None
    for key in ("updated_at", "created_at"):
        assert abs(datetime.datetime.fromisoformat(image[key]) - before) < datetime.timedelta(minutes=5)


@pytest.mark.parametrize("key", ["uri", "copy_from", "deleted"])
def test_ignored_headers(noauth, key):
    image = noauth.create(**{key: "file:///decoy/of/this/test"})
    assert (image["status"], image["deleted"], image["properties"]) == ("queued", False, {})


@pytest.mark.parametrize("value", ["kernel", "machine", "raw", "ramdisk"])
def test_type_of_2011_is_a_property(noauth, value):
    assert noauth.create(type=value)["properties"] == {"type": value}


def test_id(noauth):
    for image_id in (str(uuid.uuid4()).upper(), uuid.uuid4().hex):
        assert noauth.create(id=image_id)["id"] == image_id
        assert status_of(noauth, image_id) == "queued"
        assert post(noauth, id=image_id).status_code == 409
        assert status_of(noauth, image_id) == "queued"


def test_id_of_an_invisible_image_is_taken(trusted, user, other):
    image_id = trusted.create(headers=user)["id"]
    assert post(trusted, other, id=image_id).status_code == 409
    assert trusted.request("DELETE", f"/images/{image_id}", headers=user).status_code == 200
    assert post(trusted, other, id=image_id).status_code == 409


@pytest.mark.parametrize("disk_format", DISK)
def test_disk_formats(noauth, disk_format):
    image = noauth.create(disk_format=disk_format)
    assert image["disk_format"] == disk_format
    assert image["container_format"] == (disk_format if disk_format in AMAZON else None)


@pytest.mark.parametrize("container_format", CONTAINER)
def test_container_formats(noauth, container_format):
    image = noauth.create(container_format=container_format)
    assert image["container_format"] == container_format
    assert image["disk_format"] == (container_format if container_format in AMAZON else None)


@pytest.mark.parametrize(("disk_format", "container_format"), [("ami", "aki"), ("ami", "bare"), ("raw", "ari")])
def test_amazon_formats_go_together(noauth, disk_format, container_format):
    assert post(noauth, disk_format=disk_format, container_format=container_format).status_code == 400
    assert noauth.create(disk_format="aki", container_format="aki")["status"] == "queued"


def test_amazon_format_completes_an_upload(noauth):
    answer = post(noauth, OCTETS, b"kernel", disk_format="aki")
    assert answer.status_code == 201
    assert (answer.json()["image"]["container_format"], answer.json()["image"]["status"]) == ("aki", "active")


def test_owner(trusted, tenant):
    user = identity(tenant)
    assert trusted.create(headers=user, owner="someone")["owner"] == tenant
    assert trusted.create(headers=user, owner="")["owner"] == tenant
    assert trusted.create(headers=ADMIN)["owner"] == "admins"
    assert trusted.create(headers=ADMIN, owner=tenant)["owner"] == tenant
    assert trusted.create(headers=ADMIN, owner="")["owner"] is None
    assert post(trusted, ADMIN, owner="o" * 256).status_code == 400


def test_store(noauth):
    for store in ("file", "filesystem"):
        image = noauth.create(b"x", store=store)
        assert image["status"] == "active"
        assert noauth.files(image["id"]) == [image["id"]]


# --- is_public ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "visibility"), [(None, "shared"), ("false", "shared"), ("True", "public"), ("1", "public")]
)
def test_visibility_of_new_images(trusted, value, visibility):
    image = trusted.create(headers=ADMIN, **({} if value is None else {"is_public": value}))
    assert image["is_public"] == (visibility == "public")
    assert trusted.sql("SELECT visibility FROM images WHERE id = ?", image["id"]) == [(visibility,)]


def test_only_admins_publish(trusted, user):
    image_id = str(uuid.uuid4())
    assert post(trusted, user, id=image_id, is_public="true").status_code == 403
    assert status_of(trusted, image_id) is None


# --- sources --------------------------------------------------------------------------


def test_no_data(noauth):
    image = noauth.create()
    assert (image["status"], image["size"], noauth.files(image["id"])) == ("queued", 0, [])


def test_size_zero_is_active_at_once(noauth):
    image = noauth.create(size=0)
    assert (image["status"], image["size"], image["checksum"]) == ("active", 0, None)
    assert noauth.files(image["id"]) == []


def test_size_without_data(noauth):
    image = noauth.create(size=17)
    assert (image["status"], image["size"]) == ("queued", 17)


def test_data(noauth):
    image = noauth.create(b"data", size=4, checksum="8d777f385d3dfec8815d20f7496026dc")
    assert (image["status"], image["size"], image["checksum"]) == ("active", 4, "8d777f385d3dfec8815d20f7496026dc")
    assert noauth.files(image["id"]) == [image["id"]]
    assert (noauth.images / image["id"]).read_bytes() == b"data"


def test_checksum_of_either_case(noauth):
    assert noauth.create(b"data", checksum="8D777F385D3DFEC8815D20F7496026DC")["status"] == "active"


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({}, "Disk format is not specified."),
        ({"disk_format": "raw"}, "Container format is not specified."),
        ({"container_format": "bare"}, "Disk format is not specified."),
    ],
)
def test_data_needs_formats(noauth, meta, message):
    image_id = str(uuid.uuid4())
    answer = post(noauth, OCTETS, b"data", id=image_id, **meta)
    assert (answer.status_code, message in answer.text) == (400, True)
    assert (status_of(noauth, image_id), noauth.files(image_id)) == ("queued", [])
    later = noauth.request("PUT", f"/images/{image_id}", data=b"data", headers=OCTETS | FORMATS)
    assert (later.status_code, later.json()["image"]["status"]) == (200, "active")


@pytest.mark.parametrize("kind", [None, "application/json", "application/octet-stream; charset=UTF-8", "text/plain"])
@pytest.mark.parametrize("chunked", [False, True])
def test_data_needs_its_content_type(noauth, kind, chunked):
    image_id = str(uuid.uuid4())
    headers = FORMATS | {"x-image-meta-id": image_id} | ({"Content-Type": kind} if kind else {})
    answer = noauth.request("POST", "/images", data=iter([b"data"]) if chunked else b"data", headers=headers)
    assert answer.status_code == 400
    assert (status_of(noauth, image_id), noauth.files(image_id)) == ("killed", [])


def test_wrong_content_type_without_data_is_nothing(noauth):
    answer = noauth.request("POST", "/images", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["image"]["status"]) == (201, "queued")


def test_empty_chunked_body(noauth):
    image = noauth.create(iter([]))
    assert (image["status"], image["size"], image["checksum"]) == ("active", 0, "d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize("sources", ["location data", "copy data", "location copy", "location copy data"])
def test_two_sources(tuned, user, source, sources):
    image_id = str(uuid.uuid4())
    headers = user | FORMATS | OCTETS | {"x-image-meta-id": image_id}
    if "location" in sources:
        headers |= {"x-image-meta-location": f"{source.url}/size/4"}
    if "copy" in sources:
        headers |= {"x-glance-api-copy-from": f"{source.url}/size/4"}
    answer = tuned.request("POST", "/images", data=b"data" if "data" in sources else None, headers=headers)
    assert answer.status_code == 400
    assert (status_of(tuned, image_id), tuned.files(image_id)) == ("queued", [])


@pytest.mark.parametrize("meta", [{}, {"size": str(SIZE_CAP + 1)}])
def test_declared_size_over_the_cap_leaves_no_record(tuned, user, meta):
    image_id = str(uuid.uuid4())
    data = None if meta else bytes(SIZE_CAP + 1)
    answer = post(tuned, user | OCTETS, data, id=image_id, disk_format="raw", container_format="bare", **meta)
    assert answer.status_code == 400
    assert (status_of(tuned, image_id), tuned.files(image_id)) == (None, [])
    assert tuned.create(bytes(SIZE_CAP), headers=user)["size"] == SIZE_CAP


def test_expect_continue(noauth):
    """A client that waits to hear whether its data is wanted hears it before it sends a byte."""
    headers = OCTETS | FORMATS | {"Expect": "100-continue", "Content-Length": "4"}
    with Conversation(noauth.api_port) as conversation:
        conversation.head("POST", "/v1/images", headers, {"x-image-meta-frob": "1"})
        assert conversation.answer().status == 400
    with Conversation(noauth.api_port) as conversation:
        conversation.head("POST", "/v1/images", headers)
        assert conversation.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        conversation.send(b"data")
        assert conversation.answer().status == 201
