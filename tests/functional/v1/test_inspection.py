"""Uploads whose data is looked into (spec v1-api.md §5.5 "content refused", v2-images.md §7)."""

import struct
import uuid

import pytest
import requests

from tests.functional.v1.conftest import status_of, wait_for_status, wait_until
from tests.functional.v1.raw import Conversation

GIB = 1024**3
MIB = 1024**2


def qcow2(backing=0, size=GIB, length=4096):
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, backing, 9 if backing else 0, 16, size)
    return header.ljust(length, b"\0")


DANGEROUS = {
    "backing file": qcow2(backing=600),
    "backing file of a large image": qcow2(backing=600, length=3 * MIB),
    "names of other files": b'version=1\ncreateType="monolithicFlat"\nRW 1 FLAT "/no/such/passwd" 0\n',
    "truncated": b"KDMV" + bytes(600),
}


@pytest.fixture(scope="module")
def lenient(deploy):
    return deploy(api={"image_format": {"refuse_unsafe_images": False}}, flavor="trusted-auth")


@pytest.fixture(scope="module")
def strict(deploy):
    return deploy(api={"image_format": {"require_image_format_match": True}}, flavor="trusted-auth")


def upload(deployment, caller, data, method="POST", disk_format="qcow2", container_format="bare", image_id=None):
    """Return the answer."""
    headers = caller | {
        "x-image-meta-disk_format": disk_format,
        "x-image-meta-container_format": container_format,
        "Content-Type": "application/octet-stream",
    }
    if method == "POST":
        headers |= {"x-image-meta-id": image_id} if image_id else {}
        return deployment.request("POST", "/images", data=data, headers=headers)
    deployment.create(headers=caller, id=image_id)
    return deployment.request("PUT", f"/images/{image_id}", data=data, headers=headers)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("disk_format", ["qcow2", "raw", "vmdk"])
@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_data_is_refused(trusted, user, name, method, disk_format):
    image_id = str(uuid.uuid4())
    answer = upload(trusted, user, DANGEROUS[name], method, disk_format, image_id=image_id)
    assert answer.status_code == 400
    assert "refused" in answer.text
    assert "passwd" not in answer.text
    assert status_of(trusted, image_id) == "killed"
    assert trusted.files(image_id) == []


def test_refused_before_all_of_it_came(trusted, user):
    """The answer does not wait for the rest of the data."""
    image_id = str(uuid.uuid4())
    headers = user | {"x-image-meta-id": image_id, "x-image-meta-disk_format": "qcow2",
                      "x-image-meta-container_format": "bare", "Content-Type": "application/octet-stream"}  # fmt: skip
    with Conversation(trusted.api_port) as conversation:
        conversation.head("POST", "/v1/images", headers, {"Content-Length": str(GIB)})
        conversation.send(qcow2(backing=600, length=8 * MIB))
        wait_for_status(trusted, image_id, "killed")
    wait_until(lambda: not trusted.files(image_id), "the partial data is removed")


@pytest.mark.parametrize("name", DANGEROUS)
def test_operator_accepts_dangerous_data(lenient, user, name):
    answer = upload(lenient, user, DANGEROUS[name])
    assert answer.status_code == 201
    image = answer.json()["image"]
    assert (image["status"], image["size"]) == ("active", len(DANGEROUS[name]))
    assert lenient.files(image["id"]) == [image["id"]]


def test_only_bare_data_is_inspected(trusted, user):
    answer = upload(trusted, user, qcow2(backing=600), container_format="ovf")
    assert answer.status_code == 201
    assert answer.json()["image"]["virtual_size"] is None


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_virtual_size(trusted, user, method):
    image_id = str(uuid.uuid4())
    image = upload(trusted, user, qcow2(size=5 * GIB), method, image_id=image_id).json()["image"]
    assert (image["size"], image["virtual_size"]) == (4096, 5 * GIB)
    shown = trusted.request("HEAD", f"/images/{image_id}", headers=user).headers
    assert shown["x-image-meta-virtual_size"] == str(5 * GIB)


def test_virtual_size_of_raw_data(trusted, user):
    assert upload(trusted, user, b"some bytes", disk_format="raw").json()["image"]["virtual_size"] == 10


def test_virtual_size_beyond_the_database(trusted, user):
    answer = upload(trusted, user, qcow2(size=2**64 - 1))
    assert answer.status_code == 201
    assert answer.json()["image"]["virtual_size"] is None


def test_declared_virtual_size_stays(trusted, user):
    image = trusted.create(qcow2(), headers=user, disk_format="qcow2", virtual_size=7)
    assert image["virtual_size"] == 7


def test_other_format_is_accepted(trusted, user):
    for data in (b"x" * 1024, qcow2()):
        image = upload(trusted, user, data, disk_format="vdi").json()["image"]
        assert (image["status"], image["virtual_size"]) == ("active", None)


@pytest.mark.parametrize("data", [b"x" * 1024, qcow2()])
def test_operator_requires_the_format(strict, user, data):
    image_id = str(uuid.uuid4())
    answer = upload(strict, user, data, disk_format="vdi", image_id=image_id)
    assert answer.status_code == 400
    assert "declared as vdi" in answer.text
    assert status_of(strict, image_id) == "killed"
    assert strict.files(image_id) == []
    assert upload(strict, user, data, disk_format="raw").status_code == 201
    assert upload(strict, user, qcow2()).status_code == 201
    assert upload(strict, user, b"").status_code == 201


# --- back to queued ---------------------------------------------------------------------------


def known_of_data(deployment, image_id):
    """Status, and what the record says of its data."""
    columns = "status, size, virtual_size, checksum, os_hash_algo, os_hash_value"
    return deployment.sql(f"SELECT {columns} FROM images WHERE id = ?", image_id)[0]


def announced(deployment, caller):
    """A record that waits for data and says much of it; return its id."""
    image = deployment.create(
        headers=caller, size=4096, virtual_size=7, checksum="c" * 32, disk_format="qcow2", container_format="bare"
    )
    deployment.sql("UPDATE images SET os_hash_algo = 'sha512', os_hash_value = 'h' WHERE id = ?", image["id"])
    assert known_of_data(deployment, image["id"]) == ("queued", 4096, 7, "c" * 32, "sha512", "h")
    return image["id"]


def test_duplicate_waits_for_data_again(trusted, user):
    """Through the registry's REST API."""
    image_id = announced(trusted, user)
    (trusted.images / image_id).write_bytes(b"of somebody else")
    headers = user | {"Content-Type": "application/octet-stream"}
    answer = trusted.request("PUT", f"/images/{image_id}", data=qcow2(), headers=headers)
    assert answer.status_code == 409
    assert known_of_data(trusted, image_id) == ("queued", None, None, None, None, None)


def test_refused_in_v2_waits_for_data_again(trusted, user):
    """Through the v2 API's own way to the metadata."""
    image_id = announced(trusted, user)
    path = f"{trusted.endpoint}/v2/images/{image_id}/file"
    headers = user | {"Content-Type": "application/octet-stream"}
    answer = requests.put(path, data=qcow2(backing=600), headers=headers, timeout=60)
    assert answer.status_code in (400, 415)
    assert known_of_data(trusted, image_id) == ("queued", None, None, None, None, None)
    assert trusted.files(image_id) == []
    assert requests.put(path, data=qcow2(), headers=headers, timeout=60).status_code == 204
    assert known_of_data(trusted, image_id)[:3] == ("active", 4096, GIB)
