"""Payloads about images (spec notifications.md §5, §6)."""

import json
from datetime import datetime
from types import SimpleNamespace

from glance.context import RequestContext
from glance.images.model import Image, Location
from glance.images.notifications import image_payload, send_payload

V1 = SimpleNamespace(api="v1")


def test_image_payload():
    image = Image(
        id="i1", name="n", status="active", visibility="public", owner="p1", size=3, virtual_size=9,
        disk_format="raw", container_format="bare", min_disk=1, min_ram=2, protected=True, checksum="c",
        created_at=datetime(2012, 1, 2, 3, 4, 5, 600), updated_at=datetime(2012, 1, 2, 3, 4, 5),
        properties={"a": "b"}, tags=["t"], locations=[Location("swift://user:secret@host/c/o")],
    )  # fmt: skip
    assert image_payload(V1, image) == {
        "id": "i1",
        "name": "n",
        "status": "active",
        "created_at": "2012-01-02T03:04:05.000600",
        "updated_at": "2012-01-02T03:04:05",
        "min_disk": 1,
        "min_ram": 2,
        "protected": True,
        "checksum": "c",
        "owner": "p1",
        "disk_format": "raw",
        "container_format": "bare",
        "size": 3,
        "virtual_size": 9,
        "is_public": True,
        "properties": {"a": "b"},
        "deleted": False,
        "deleted_at": None,
    }


def test_image_payload_of_a_deleted_image():
    payload = image_payload(V1, Image(id="i1", status="deleted", deleted=True, deleted_at=datetime(2012, 1, 2)))
    assert (payload["deleted"], payload["deleted_at"], payload["size"]) == (True, "2012-01-02T00:00:00", 0)
    json.dumps(payload)


def test_image_payload_is_a_copy():
    image = Image(properties={"a": "b"})
    payload = image_payload(V1, image)
    image.properties["a"] = "c"
    assert payload["properties"] == {"a": "b"}


def test_send_payload():
    context = RequestContext(project_id="p2", user_id="u2", overwrite=False)
    assert send_payload(context, Image(id="i1", owner="p1"), 7, "127.0.0.1") == {
        "bytes_sent": 7,
        "image_id": "i1",
        "owner_id": "p1",
        "receiver_tenant_id": "p2",
        "receiver_user_id": "u2",
        "destination_ip": "127.0.0.1",
    }
