"""PUT and GET of an image's data (spec v2-images.md §7)."""

import contextlib
import hashlib
import re
import resource
import shutil
import struct
import uuid

import pytest

from tests.functional.v1.conftest import wait_until
from tests.functional.v1.faulty_registry import FaultyRegistry
from tests.functional.v1.raw import Conversation
from tests.functional.v1.source import Source, content
from tests.functional.v1.test_notifications import Recording
from tests.functional.v2.conftest import FORMATS, OCTETS, SIZE_CAP, Caller, Deployment, add

DATA = bytes(index % 256 for index in range(1000))
MIB = 1024**2
GIB = 1024**3
CHUNKED = {"Transfer-Encoding": "chunked"}
OF_DATA = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")
NOT_QUEUED = ("saving", "uploading", "importing", "active", "deactivated", "killed")


def qcow2(backing=0, size=GIB, length=4096):
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, backing, 9 if backing else 0, 16, size)
    return header.ljust(length, b"\0")


DANGEROUS = {
    "backing file": qcow2(backing=600),
    "backing file of a large image": qcow2(backing=600, length=3 * MIB),
    "names of other files": b'version=1\ncreateType="monolithicFlat"\nRW 1 FLAT "/no/such/decoy" 0\n',
    "truncated": b"KDMV" + bytes(600),
}


def pieces(data, size=700):
    """``data`` without a length announced."""
    return iter([data[start : start + size] for start in range(0, len(data), size)])


def put(caller, image_id, data=DATA, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.send("PUT", f"/images/{image_id}/file", OCTETS | named, data=data)


def get(caller, image_id, query="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.send("GET", f"/images/{image_id}/file{query}", named)


def set_status(caller, image_id, status):
    """Give a record a status that this API cannot give it (or not yet)."""
    caller.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image_id)


def told(caller, **attributes):
    """Make a queued image that says much of data that it does not have; return its id."""
    image_id = caller.create(**{**FORMATS, **attributes})["id"]
    caller.deployment.sql(
        "UPDATE images SET size = 9, virtual_size = 9, checksum = 'c', os_hash_algo = 'a', os_hash_value = 'v'"
        " WHERE id = ?",
        image_id,
    )
    return image_id


def knows(caller, image_id):
    """The status of an image, and what it says of its data."""
    image = caller.image(image_id)
    return [image[name] for name in ("status", *OF_DATA)]


def wait_for_status(caller, image_id, status):
    wait_until(lambda: caller.image(image_id)["status"] == status, f"{image_id} becomes {status}")


def assert_waits_again(caller, image_id):
    """The image is as if nothing had been uploaded, and takes data."""
    assert knows(caller, image_id) == ["queued", None, None, None, None, None]
    assert caller.deployment.files(image_id) == []
    assert put(caller, image_id, b"data").status_code == 204
    assert get(caller, image_id).content == b"data"


@contextlib.contextmanager
def begun(caller, image_id, data=b"first part", **headers):
    """An upload of which a chunk has come."""
    with Conversation(caller.deployment.api_port) as conversation:
        conversation.head("PUT", f"/v2/images/{image_id}/file", caller.headers | OCTETS | CHUNKED | headers)
        conversation.chunk(data)
        wait_for_status(caller, image_id, "saving")
        yield conversation


@pytest.fixture
def api(usual):
    return usual


@pytest.fixture
def image_id(user):
    """An image that waits for data."""
    return told(user)


@pytest.fixture(scope="module")
def loud(deploy):
    """Notifications are logged, locations may be named, there is no limit."""
    return deploy(
        api={
            "notifier_strategy": "logging",
            "show_multiple_locations": True,
            "import_filtering_opts": {"allowed_hosts": "127.0.0.1", "fetch_deadline": 5},
        }
    )


@pytest.fixture(scope="module")
def strict(deploy):
    """Data must be in the declared format."""
    return deploy(api={"hashing_algorithm": "sha256", "image_format": {"require_image_format_match": True}})


@pytest.fixture(scope="module")
def lenient(deploy):
    """Dangerous data is let in."""
    return deploy(api={"image_format": {"refuse_unsafe_images": False}})


# --- upload: success -------------------------------------------------------------


class TestUpload:
    """Whichever way the metadata goes."""

    @pytest.fixture
    def api(self, either):
        return either

    @pytest.mark.parametrize("data", [DATA, b"", bytes(3 * MIB + 7)], ids=len)
    @pytest.mark.parametrize("way", ["length", "chunked", "announced", "chunked and announced"])
    def test_success(self, user, data, way):
        image_id = user.create(**FORMATS)["id"]
        headers = {"x_openstack_image_size": str(len(data))} if "announced" in way else {}
        answer = put(user, image_id, pieces(data, MIB) if "chunked" in way else data, **headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert knows(user, image_id) == [
            "active", len(data), len(data), hashlib.md5(data).hexdigest(), "sha512", hashlib.sha512(data).hexdigest(),
        ]  # fmt: skip
        answer = get(user, image_id)
        assert (answer.status_code, answer.content == data) == (200, True)
        assert user.deployment.files(image_id) == [image_id]

    def test_deleted_meanwhile(self, user):
        image_id = told(user)
        with begun(user, image_id) as conversation:
            assert user.delete(image_id).status_code == 204
            conversation.end()
            assert conversation.answer().status == 410
        assert user.show(image_id).status_code == 404
        assert user.deployment.files(image_id) == []

    def test_size_differs(self, user):
        image_id = told(user)
        assert put(user, image_id, x_openstack_image_size="999").status_code == 400
        assert_waits_again(user, image_id)

    def test_client_disconnects(self, user):
        image_id = told(user)
        with begun(user, image_id):
            wait_until(lambda: len(user.deployment.files(image_id)) == 1, "the store has partial data")
        wait_for_status(user, image_id, "queued")
        wait_until(lambda: not user.deployment.files(image_id), "the partial data is removed")
        assert_waits_again(user, image_id)


def test_as_the_sdk_sends_it(user, image_id):
    assert put(user, image_id, Accept="", X_OpenStack_Image_Size=str(len(DATA))).status_code == 204
    assert get(user, image_id).content == DATA


def test_another_hash(strict):
    user = Caller(strict)
    image = user.active(DATA)
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha256", hashlib.sha256(DATA).hexdigest())
    assert image["checksum"] == hashlib.md5(DATA).hexdigest()


def test_what_is_not_of_the_data_stays(user):
    before = user.create(**FORMATS, name="n", tags=["t"], min_disk=3, x="y", visibility="private")
    assert put(user, before["id"]).status_code == 204
    after = user.image(before["id"])
    changing = {"status", "updated_at", *OF_DATA}
    assert {name for name in before if before[name] != after[name]} <= changing
    assert before.keys() == after.keys()


# --- upload: refused before anything is read -------------------------------------


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/json", "application/octet-streams"])
def test_content_type(user, content_type):
    """Comes before the image is looked at."""
    queued, active = user.create(**FORMATS)["id"], user.active()["id"]
    headers = {} if content_type is None else {"Content-Type": content_type}
    for image_id in (queued, active, str(uuid.uuid4()), "frob"):
        assert user.send("PUT", f"/images/{image_id}/file", headers, data=DATA).status_code == 415
    assert user.image(queued)["status"] == "queued"


@pytest.mark.parametrize("size", ["", "x", "-1", "1.5", "0x10", "1 0", "9" * 30, "٣"])
def test_size_is_no_number(user, image_id, size):
    answer = put(user, image_id, x_openstack_image_size=size.encode())
    assert answer.status_code == 400
    assert user.image(image_id)["status"] == "queued"
    assert user.deployment.files(image_id) == []


@pytest.mark.parametrize("status", NOT_QUEUED)
def test_status_is_not_queued(user, status):
    image = user.active()
    set_status(user, image["id"], status)
    assert put(user, image["id"]).status_code == 409
    shown = user.image(image["id"])
    assert shown == image | {"status": status, "updated_at": shown["updated_at"]}
    set_status(user, image["id"], "active")
    assert get(user, image["id"]).content == b"data"


@pytest.mark.parametrize("formats", [{}, {"disk_format": "raw"}, {"container_format": "bare"}, {"disk_format": "ami"}])
def test_formats_are_missing(user, formats):
    image = user.create(**formats)
    assert put(user, image["id"]).status_code == 400
    assert user.image(image["id"]) == image
    assert user.deployment.files(image["id"]) == []


def test_who_may(user, other, admin):
    hidden, shown = user.create(**FORMATS)["id"], user.create(**FORMATS, visibility="community")["id"]
    assert (put(other, hidden).status_code, put(other, shown).status_code) == (404, 403)
    assert put(other, str(uuid.uuid4())).status_code == put(other, "frob").status_code == 404
    assert user.image(hidden)["status"] == user.image(shown)["status"] == "queued"
    assert put(admin, hidden).status_code == 204
    assert user.image(hidden)["owner"] == user.project


def test_deleted_image(user, image_id):
    assert user.delete(image_id).status_code == 204
    assert put(user, image_id).status_code == 404


def test_the_store_header_means_nothing_without_stores(user, image_id):
    assert put(user, image_id, X_Image_Meta_Store="nosuch").status_code == 204
    assert get(user, image_id).content == DATA


# --- upload: back to queued ------------------------------------------------------


@pytest.mark.parametrize("announced", [0, 1, len(DATA) - 1, len(DATA) + 1, 2 * len(DATA)])
@pytest.mark.parametrize("chunked", [False, True])
def test_size_differs(user, image_id, announced, chunked):
    """The header counts, not the Content-Length."""
    data = pieces(DATA) if chunked else DATA
    assert put(user, image_id, data, x_openstack_image_size=str(announced)).status_code == 400
    assert_waits_again(user, image_id)


def test_body_is_short(user, image_id):
    with Conversation(user.deployment.api_port) as conversation:
        length = {"Content-Length": "100"}
        conversation.head("PUT", f"/v2/images/{image_id}/file", user.headers | OCTETS | length)
        conversation.send(DATA[:10])
        wait_for_status(user, image_id, "saving")
    wait_for_status(user, image_id, "queued")
    wait_until(lambda: not user.deployment.files(image_id), "the partial data is removed")
    assert_waits_again(user, image_id)


def test_malformed_chunk(user, image_id):
    with begun(user, image_id) as conversation:
        conversation.send(b"frob\r\n")
        assert conversation.answer().status == 400
    wait_for_status(user, image_id, "queued")
    assert_waits_again(user, image_id)


@pytest.mark.parametrize("way", ["length", "chunked", "announced"])
def test_size_cap(tuned, way):
    user = Caller(tuned)
    image_id = told(user)
    data = bytes(SIZE_CAP + 1)
    headers = {"x_openstack_image_size": str(len(data))} if way == "announced" else {}
    assert put(user, image_id, pieces(data) if way == "chunked" else data, **headers).status_code == 413
    assert_waits_again(user, image_id)


@pytest.mark.parametrize("way", ["length", "chunked"])
def test_storage_quota(tuned, way):
    user = Caller(tuned)
    for _ in range(2):
        user.active(bytes(SIZE_CAP - 10))
    image_id = told(user)
    data = bytes(21)
    assert put(user, image_id, pieces(data, 7) if way == "chunked" else data).status_code == 413
    assert_waits_again(user, image_id)


def test_storage_quota_taken_meanwhile(tuned):
    """Two uploads fit when they begin and do not when they end."""
    user = Caller(tuned)
    user.active(bytes(SIZE_CAP))
    image_id = told(user)
    with begun(user, image_id, bytes(10)) as conversation:
        user.active(bytes(SIZE_CAP - 9))
        conversation.end()
        assert conversation.answer().status == 413
    assert_waits_again(user, image_id)


def test_store_has_no_room_for_the_announced_size(user, image_id):
    size = shutil.disk_usage(user.deployment.images).free * 2
    if size > 2**40:
        pytest.skip("the disk has room for the largest image")
    assert put(user, image_id, x_openstack_image_size=str(size)).status_code == 413
    assert_waits_again(user, image_id)


def test_store_runs_full(user, image_id):
    (worker,) = user.deployment.api.children()
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (4 * MIB, before[1]))
    try:
        answer = put(user, image_id, pieces(bytes(5 * MIB), MIB))
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 413
    assert_waits_again(user, image_id)


def test_store_is_not_writable(user, image_id):
    images = user.deployment.images
    images.chmod(0o500)
    try:
        answer = put(user, image_id)
    finally:
        images.chmod(0o755)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert str(images) not in answer.text
    assert_waits_again(user, image_id)


def test_store_is_unreachable(user, image_id):
    images = user.deployment.images
    away = images.with_name("away")
    images.rename(away)
    try:
        answer = put(user, image_id)
    finally:
        away.rename(images)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert str(images) not in answer.text
    assert_waits_again(user, image_id)


def test_store_is_misconfigured(deploy, tmp_path_factory):
    directory = tmp_path_factory.mktemp("stores")
    (directory / "file").write_text("no directory")
    deployment = deploy(
        api={
            "enabled_backends": "good:file,broken:file",
            "glance_store": {"default_backend": "good"},
            "good": {"filesystem_store_datadir": str(directory / "good")},
            "broken": {"filesystem_store_datadir": str(directory / "file" / "images")},
        }
    )
    user = Caller(deployment)
    image_id = told(user)
    answer = put(user, image_id, X_Image_Meta_Store="broken")
    assert answer.status_code == 410
    assert str(directory) not in answer.text
    assert user.image(image_id)["status"] == "queued"
    assert put(user, image_id).status_code == 204
    assert get(user, image_id).content == DATA


def test_the_store_has_an_object_of_that_name(user, image_id):
    foreign = user.deployment.images / image_id
    foreign.write_bytes(b"not ours to replace")
    assert put(user, image_id).status_code == 409
    assert knows(user, image_id) == ["queued", None, None, None, None, None]
    assert user.deployment.files(image_id) == [image_id]
    assert foreign.read_bytes() == b"not ours to replace"


def test_second_upload(user, image_id):
    with begun(user, image_id, DATA) as conversation:
        assert put(user, image_id, b"late").status_code == 409
        assert get(user, image_id).status_code == 204
        assert user.image(image_id)["status"] == "saving"
        conversation.end()
        assert conversation.answer().status == 204
    assert get(user, image_id).content == DATA


@pytest.fixture(scope="module")
def faulty(usual, tmp_path_factory):
    """An API server beside that of ``usual``, and the faulty registry that it uses."""
    with FaultyRegistry(usual.registry_port) as registry:
        deployment = Deployment(
            tmp_path_factory.mktemp("faulty"), api={"registry_port": registry.port}, flavor="trusted-auth"
        )
        deployment.api.start()
        yield deployment, registry
        deployment.stop()


@pytest.mark.parametrize("refused", ["the last step", "everything from then on"])
def test_token_expires(user, faulty, refused):
    """The registry refuses the caller's token when the data has come."""
    deployment, registry = faulty
    image_id = told(user)
    statuses = {"active"} if refused == "the last step" else {"active", "queued"}

    def fault(method, path, body):
        values = [call["kwargs"] for call in body or []]
        return 401 if any(_mentions(value, statuses) for value in values) else None

    registry.fail(fault)
    try:
        answer = put(Caller(deployment, user.project), image_id)
    finally:
        registry.heal()
    assert answer.status_code == 401
    assert deployment.files(image_id) == []
    wait_for_status(user, image_id, "queued")
    assert_waits_again(user, image_id)


def _mentions(value, statuses):
    """Whether a request would give an image one of ``statuses``."""
    if isinstance(value, dict):
        return value.get("status") in statuses or any(_mentions(entry, statuses) for entry in value.values())
    return isinstance(value, list) and any(_mentions(entry, statuses) for entry in value)


# --- upload: content inspection --------------------------------------------------


@pytest.mark.parametrize("disk_format", ["qcow2", "raw", "vmdk"])
@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_data(user, name, disk_format):
    image_id = told(user, disk_format=disk_format)
    answer = put(user, image_id, DANGEROUS[name])
    assert answer.status_code == 415
    assert "decoy" not in answer.text
    assert knows(user, image_id) == ["queued", None, None, None, None, None]
    assert user.deployment.files(image_id) == []
    assert put(user, image_id, b"").status_code == 204


def test_refusals_say_why(user, image_id):
    assert "refused" in put(user, image_id, qcow2(backing=600)).text
    assert "application/octet-stream" in user.send("PUT", f"/images/{image_id}/file", data=b"x").text


def test_dangerous_data_is_refused_before_all_of_it_came(user, image_id):
    with Conversation(user.deployment.api_port) as conversation:
        length = {"Content-Length": str(GIB)}
        conversation.head("PUT", f"/v2/images/{image_id}/file", user.headers | OCTETS | length)
        conversation.send(qcow2(backing=600, length=8 * MIB))
        wait_until(lambda: user.image(image_id)["size"] is None, "the image waits for data again")
    wait_for_status(user, image_id, "queued")
    wait_until(lambda: not user.deployment.files(image_id), "the partial data is removed")
    assert_waits_again(user, image_id)


@pytest.mark.parametrize("name", DANGEROUS)
def test_operator_accepts_dangerous_data(lenient, name):
    user = Caller(lenient)
    image = user.active(DANGEROUS[name], disk_format="qcow2")
    assert (image["status"], image["size"]) == ("active", len(DANGEROUS[name]))
    assert get(user, image["id"]).content == DANGEROUS[name]


def test_only_bare_data_is_inspected(user, strict):
    for caller in (user, Caller(strict)):
        image = caller.active(qcow2(backing=600), disk_format="vdi", container_format="ovf")
        assert (image["status"], image["virtual_size"]) == ("active", None)


@pytest.mark.parametrize(
    ("disk_format", "data", "size"),
    [("qcow2", qcow2(size=5 * GIB), 5 * GIB), ("raw", b"some bytes", 10), ("raw", qcow2(), 4096),
     ("vhd", qcow2(), None), ("qcow2", b"x" * 1024, None)],
)  # fmt: skip
def test_virtual_size(user, disk_format, data, size):
    """What is not in the declared format is let in, and its disk is of unknown size."""
    image = user.active(data, disk_format=disk_format)
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", len(data), size)


@pytest.mark.parametrize(("disk_format", "data"), [("vdi", b"x" * 1024), ("vdi", qcow2()), ("qcow2", b"x" * 1024)])
def test_operator_requires_the_format(strict, disk_format, data):
    user = Caller(strict)
    image_id = told(user, disk_format=disk_format)
    assert put(user, image_id, data).status_code == 415
    assert knows(user, image_id) == ["queued", None, None, None, None, None]
    assert user.deployment.files(image_id) == []
    assert user.patch(image_id, add("disk_format", "raw")).status_code == 200
    assert put(user, image_id, data).status_code == 204


# --- download --------------------------------------------------------------------


class TestDownload:
    @pytest.fixture
    def api(self, either):
        return either

    @pytest.fixture
    def stored(self, user):
        return user.active(DATA)["id"]

    def test_all_of_it(self, user, stored):
        answer = get(user, stored)
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Length"] == str(len(DATA))
        assert answer.headers["Content-MD5"] == hashlib.md5(DATA).hexdigest()
        assert "Content-Range" not in answer.headers
        assert re.fullmatch(r"req-.+", answer.headers["x-openstack-request-id"])

    def test_no_data_yet(self, user):
        answer = get(user, user.create()["id"])
        assert (answer.status_code, answer.content) == (204, b"")

    def test_a_part(self, user, stored):
        answer = get(user, stored, Range="bytes=10-19")
        assert (answer.status_code, answer.content) == (206, DATA[10:20])
        assert answer.headers["Content-Range"] == "bytes 10-19/1000"


@pytest.fixture
def stored_id(user):
    return user.active(DATA)["id"]


def test_no_bytes(user):
    image_id = user.active(b"")["id"]
    answer = get(user, image_id)
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")
    assert answer.headers["Content-MD5"] == hashlib.md5(b"").hexdigest()
    assert get(user, image_id, Range="bytes=0-0").status_code == 416
    assert get(user, image_id, Range="bytes=-1").status_code == 416


def test_without_checksum(user, stored_id):
    user.deployment.sql("UPDATE images SET checksum = NULL WHERE id = ?", stored_id)
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = get(user, stored_id, **headers)
        assert answer.ok
        assert "Content-MD5" not in answer.headers


@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing", "killed"])
def test_status_without_data(user, status):
    image_id = user.create(**FORMATS)["id"]
    set_status(user, image_id, status)
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = get(user, image_id, **headers)
        assert (answer.status_code, answer.content) == (204, b"")


def test_deactivated(user, other, admin, stored_id):
    user.share(stored_id, other)
    assert user.send("POST", f"/images/{stored_id}/actions/deactivate").status_code == 204
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert get(user, stored_id, **headers).status_code == get(other, stored_id, **headers).status_code == 403
        assert get(admin, stored_id, **headers).ok
    assert get(admin, stored_id).content == DATA


def test_invisible(user, other, stored_id):
    for image_id in (stored_id, str(uuid.uuid4()), "frob"):
        assert get(other, image_id).status_code == 404
    assert user.delete(stored_id).status_code == 204
    assert get(user, stored_id).status_code == 404


def test_a_body(user, stored_id):
    assert user.send("GET", f"/images/{stored_id}/file", data=b"x").status_code == 400


def test_denied(tuned):
    user = Caller(tuned)
    image_id = user.active()["id"]
    for headers in ({}, {"Range": "bytes=0-1"}):
        assert get(user.without("download_image"), image_id, **headers).status_code == 403


def test_object_is_gone(user, stored_id):
    (user.deployment.images / stored_id).unlink()
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = get(user, stored_id, **headers)
        assert (answer.status_code, answer.content) == (204, b"")


def test_prefer_without_stores(user, stored_id):
    assert get(user, stored_id, "?prefer=file").status_code == 400


# --- parts -----------------------------------------------------------------------


def test_unchanged(user, other, stored_id):
    image = user.show(stored_id).json()
    etag = image["checksum"]
    shown = get(user, stored_id).headers
    assert (shown["ETag"], shown["Cache-Control"]) == (f'"{etag}"', "private")
    assert shown["Last-Modified"].endswith(" GMT")
    for value in (f'"{etag}"', etag, f'W/"{etag}"', f'"0", "{etag}"', "*"):
        answer = get(user, stored_id, If_None_Match=value)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", f'"{etag}"'), value
    assert get(user, stored_id, If_None_Match=f'"{etag}"', Range="bytes=1-2").status_code == 304
    for value in ('"0"', '""'):
        answer = get(user, stored_id, If_None_Match=value)
        assert (answer.status_code, answer.content) == (200, DATA), value
    # Validators are no way around the rules.
    assert get(other, stored_id, If_None_Match=f'"{etag}"').status_code == 404


def test_a_part_of_the_same_data(user, stored_id):
    etag = user.show(stored_id).json()["checksum"]
    answer = get(user, stored_id, If_Range=f'"{etag}"', Range="bytes=1-2")
    assert (answer.status_code, answer.content) == (206, DATA[1:3])
    for other_data in ('"0"', "Sat, 21 Nov 2015 10:00:00 GMT"):
        answer = get(user, stored_id, If_Range=other_data, Range="bytes=1-2")
        assert (answer.status_code, answer.content) == (200, DATA), other_data


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("0-", 0, 999), ("0-999", 0, 999), ("10-19", 10, 19), ("990-5000", 990, 999), ("999-999", 999, 999),
     ("999-", 999, 999), ("-1", 999, 999), ("-10", 990, 999), ("-1000", 0, 999), ("-5000", 0, 999),
     ("5-18446744073709551615", 5, 999), ("007-008", 7, 8)],
)  # fmt: skip
def test_range(user, stored_id, asked, first, last):
    answer = get(user, stored_id, Range=f"bytes={asked}")
    assert (answer.status_code, answer.content) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["Content-MD5"] == hashlib.md5(DATA).hexdigest()
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "asked",
    ["bytes=1000-", "bytes=1000-1001", "bytes=5-2", "bytes=", "bytes=-", "bytes=-0", "bytes=a-b", "bytes=1-b", "0-5",
     "items=0-5", "frob", "bytes", "bytes=--5", "bytes=1--5", "bytes=0x1-0x2", "bytes=1.0-2", "bytes=99999999999-"],
)  # fmt: skip
def test_range_not_satisfiable(user, stored_id, asked):
    answer = get(user, stored_id, Range=asked)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */1000"
    assert get(user, stored_id).content == DATA


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=0-1, 3-", "bytes=-1,0-0"])
def test_several_ranges(user, stored_id, asked):
    assert get(user, stored_id, Range=asked).status_code == 400


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0/1000", 0, 0), ("0-999/1000", 0, 999), ("10-19/*", 10, 19), ("990-999/*", 990, 999)],
)
def test_content_range(user, stored_id, asked, first, last):
    answer = get(user, stored_id, Content_Range=f"bytes {asked}")
    assert (answer.status_code, answer.content) == (206, DATA[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["Content-MD5"] == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize(
    "asked",
    ["bytes 0-1001/*", "bytes 1000-1001/*", "bytes 1000-1001/1000", "bytes 5-2/1000", "bytes */10", "bytes */1000",
     "bytes 0-9", "bytes=0-9", "frob", "items 0-9/1000", "bytes 0-9/x", "bytes -9/1000", "bytes 0-9/1000, 11-12/1000"],
)  # fmt: skip
def test_content_range_not_satisfiable(user, stored_id, asked):
    assert get(user, stored_id, Content_Range=asked).status_code == 416


def test_parts_make_the_whole(user):
    """Read like a client that goes on where a download was broken off."""
    data = bytes(index % 251 for index in range(3 * MIB + 11))
    image_id = user.active(data)["id"]
    parts = [get(user, image_id, Range=f"bytes={start}-{start + MIB - 1}") for start in range(0, len(data), MIB)]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == data


# --- data on a web server --------------------------------------------------------


class TestWeb:
    @pytest.fixture
    def api(self, loud):
        return loud

    @staticmethod
    def located(user, url):
        image_id = user.create(**FORMATS)["id"]
        answer = user.patch(image_id, add("locations/-", {"url": url, "metadata": {}}))
        assert answer.status_code == 200, answer.text
        return image_id

    def test_download(self, user, source):
        image_id = self.located(user, f"{source.url}/size/5000")
        answer = get(user, image_id)
        assert (answer.status_code, answer.content) == (200, content(5000))
        assert answer.headers["Content-Length"] == "5000"
        assert "Content-MD5" not in answer.headers

    @pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=0-", "bytes=0-4999", "bytes=-1"])
    def test_part(self, user, source, asked):
        assert get(user, self.located(user, f"{source.url}/size/5000"), Range=asked).status_code == 400

    def test_gone(self, user, source):
        answer = get(user, self.located(user, f"{source.url}/vanishing/5000"))
        assert (answer.status_code, answer.content) == (204, b"")

    def test_unavailable(self, user):
        with Source() as server:
            image_id = self.located(user, f"{server.url}/size/5000")
        answer = get(user, image_id)
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert server.url not in answer.text

    def test_first_location_that_works(self, user, source):
        with Source() as server:
            image_id = self.located(user, f"{server.url}/size/5000")
            change = add("locations/-", {"url": f"{source.url}/size/5000", "metadata": {}})
            assert user.patch(image_id, change).status_code == 200
        assert get(user, image_id).content == content(5000)

    def test_breaks_off(self, user, source):
        image_id = self.located(user, f"{source.url}/short/5000")
        recording = Recording(user.deployment)
        with Conversation(user.deployment.api_port) as conversation:
            conversation.head("GET", f"/v2/images/{image_id}/file", user.headers)
            conversation.socket.settimeout(30)
            seen = b""
            while piece := conversation.socket.recv(65536):
                seen += piece
        head, _, body = seen.partition(b"\r\n\r\n")
        assert b"content-length: 5000" in head.lower()
        assert len(body) <= 2500
        (message,) = recording.expect("ERROR image.send")
        assert message["payload"]["bytes_sent"] == len(body)


# --- notifications ---------------------------------------------------------------


class TestNotifications:
    """Only of those that move data (spec notifications.md §4, §5)."""

    @pytest.fixture
    def api(self, loud):
        return loud

    @staticmethod
    def sent(user, image_id, count):
        return {
            "bytes_sent": count, "image_id": image_id, "owner_id": user.project, "receiver_tenant_id": user.project,
            "receiver_user_id": user.headers["X-User-Id"], "destination_ip": "127.0.0.1",
        }  # fmt: skip

    def test_upload(self, user):
        image_id = user.create(**FORMATS)["id"]
        recording = Recording(user.deployment)
        assert put(user, image_id).status_code == 204
        messages = recording.expect("image.prepare", "image.upload", "image.activate")
        payloads = [message["payload"] for message in messages]
        checksum = hashlib.md5(DATA).hexdigest()
        assert payloads[0]["status"] == "queued"
        assert [payloads[1][name] for name in ("status", "size", "checksum")] == ["saving", len(DATA), checksum]
        assert [payloads[2][name] for name in ("status", "size", "checksum")] == ["active", len(DATA), checksum]
        assert payloads[2]["virtual_size"] == len(DATA)
        assert {payload["id"] for payload in payloads} == {image_id}

    def test_nothing_was_uploaded(self, user, other, stored_id):
        waiting = user.create()["id"]
        recording = Recording(user.deployment)
        assert put(user, stored_id).status_code == 409
        assert put(user, waiting).status_code == 400
        assert put(other, waiting).status_code == 404
        assert user.send("PUT", f"/images/{waiting}/file", data=b"").status_code == 415
        user.create()
        recording.expect("image.create")

    @pytest.mark.parametrize("failure", ["size", "content", "full", "denied"])
    def test_upload_fails(self, user, image_id, failure):
        recording = Recording(user.deployment)
        images = user.deployment.images
        if failure == "size":
            assert put(user, image_id, x_openstack_image_size="3").status_code == 400
        elif failure == "content":
            assert put(user, image_id, qcow2(backing=600)).status_code == 415
        elif failure == "full":
            assert put(user, image_id, x_openstack_image_size=str(2**41)).status_code == 413
        else:
            images.chmod(0o500)
            try:
                assert put(user, image_id).status_code == 503
            finally:
                images.chmod(0o755)
        message = recording.expect("image.prepare", "ERROR image.upload")[1]
        assert isinstance(message["payload"], str)
        assert message["payload"]
        assert str(images) not in message["payload"]

    def test_download(self, user, stored_id):
        recording = Recording(user.deployment)
        get(user, stored_id)
        get(user, stored_id, Range="bytes=10-19")
        messages = recording.expect("image.send", "image.send")
        assert messages[0]["payload"] == self.sent(user, stored_id, len(DATA))
        assert messages[1]["payload"] == self.sent(user, stored_id, 10)

    def test_nothing_was_sent(self, user, other, stored_id):
        waiting = user.create()["id"]
        recording = Recording(user.deployment)
        assert get(user, waiting).status_code == 204
        assert get(user, stored_id, Range="bytes=5000-").status_code == 416
        assert get(other, stored_id).status_code == 404
        user.create()
        recording.expect("image.create")

    def test_download_is_broken_off(self, user):
        size = 64 * MIB
        image_id = user.active(bytes(size))["id"]
        recording = Recording(user.deployment)
        with Conversation(user.deployment.api_port) as conversation:
            conversation.head("GET", f"/v2/images/{image_id}/file", user.headers)
            assert conversation.socket.recv(1000).startswith(b"HTTP/1.1 200")
        (message,) = recording.expect("ERROR image.send")
        payload = message["payload"]
        assert payload == self.sent(user, image_id, payload["bytes_sent"])
        assert payload["bytes_sent"] < size
