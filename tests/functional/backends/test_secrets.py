"""Keys of the stores stay out of everything but the location column (spec security.md §1, stores.md §9)."""

import base64
import uuid
from contextlib import closing
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.functional.backends.conftest import MIB, VERSIONS, Image, content

PROJECT, USER, SWIFT_KEY = "secret-images", "glance-secrets", "sw/ft:k@y+of %images"
ENCRYPTION_KEY = "0123/567+9abcd=f"


@pytest.fixture(scope="module")
def options(keystone, swift_keystone, ceph):
    """Stores whose keys are known, and look different when they are quoted."""
    pytest.importorskip("swiftclient")
    pytest.importorskip("boto3")
    keystone.user(USER, SWIFT_KEY, {PROJECT: ["swiftoperator"]})
    gateway = ceph.gateway()
    swift = {
        "swift_store_auth_address": keystone.url,
        "swift_store_user": f"{PROJECT}:{USER}",
        "swift_store_key": SWIFT_KEY,
        "swift_store_create_container_on_put": True,
        "swift_store_large_object_size": 8,
        "swift_store_large_object_chunk_size": 4,
    }
    s3 = {
        "s3_store_host": gateway.url,
        "s3_store_access_key": gateway.access_key,
        "s3_store_secret_key": gateway.secret_key,
        "s3_store_bucket": f"images-{uuid.uuid4()}",
        "s3_store_create_bucket_on_put": True,
        "s3_store_bucket_url_format": "path",
        "s3_store_large_object_size": 8,
        "s3_store_large_object_chunk_size": 5,
    }
    return {"swift": swift, "s3": s3}


@pytest.fixture(scope="module", params=[ENCRYPTION_KEY, None], ids=["encrypted", "plain"])
def deployment(request, options, deploy):
    settings: dict[str, Any] = {
        "debug": True,
        "verbose": True,
        "notification_driver": "log",
        "enabled_backends": "swift:swift,s3:s3,broken-swift:swift,broken-s3:s3",
        "glance_store": {"default_backend": "swift"},
        **options,
        "broken-swift": options["swift"] | {"swift_store_user": f"{PROJECT}:nobody"},
        "broken-s3": options["s3"] | {"s3_store_access_key": "NOBODY"},
    }
    if request.param:
        settings["metadata_encryption_key"] = request.param
    running = deploy(api=settings, registry={"debug": True, "verbose": True})
    running.encrypted = bool(request.param)
    running.secrets = [SWIFT_KEY, options["s3"]["s3_store_secret_key"], ENCRYPTION_KEY]
    return running


@pytest.fixture(scope="module")
def answers(deployment):
    """Everything that the service said, while it did all it can do, well and badly."""
    said = []

    def note(answer):
        said.append(f"{answer.status_code} {answer.headers} ".encode() + (answer.content[:65536]))
        return answer

    kept = []
    for version in VERSIONS:
        for store in ("swift", "s3"):
            for size in (3, 12 * MIB):
                image = Image(deployment, version)
                note(image.upload(content(size), store))
                assert image.status() == "active"
                note(image.send("GET", f"/images/{image.id}"))
                note(image.send("HEAD", f"/images/{image.id}"))
                note(image.download({"Range": "bytes=1-2"}))
                note(image.upload(b"again", store)) if version == "v1" else None
                kept.append(image)
            note(Image(deployment, version).upload(iter([b"x" * MIB] * 9), f"broken-{store}"))
            note(Image(deployment, version).upload(b"data", f"broken-{store}"))
        note(kept[0].send("GET", "/images"))
        note(kept[0].send("GET", "/images/detail"))
    note(Image(deployment, "v2").send("GET", "/info/stores/detail"))
    for image in kept[::2]:
        note(image.delete())
    for store in ("swift", "s3", "broken-swift", "broken-s3"):
        command = ("--config-file", str(deployment.api.config), "--debug", "store", "check", "--older", "0")
        done = deployment.manage(*command, "--store", store, check=False)
        said += [done.stdout.encode(), done.stderr.encode()]
    return said


def forms(secret: str) -> list[bytes]:
    """How a secret may look."""
    plain = secret.encode()
    coded = {
        plain, quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode(),
        repr(secret)[1:-1].encode(), base64.b64encode(plain), base64.urlsafe_b64encode(plain),
        quote(quote(secret, safe=""), safe="").encode(),
    }  # fmt: skip
    # Within something longer that is encoded, a secret starts at any of three positions.
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + plain)
        coded.add(inner[4 if shift else 0 : len(inner) // 4 * 4 - 4])
    return [form for form in coded if len(form) > 8]


def found(secrets: list[str], text: bytes) -> list[bytes]:
    lower = text.lower()
    return [form for secret in secrets for form in forms(secret) if form.lower() in lower]


def test_answers(deployment, answers):
    assert len(answers) > 20
    for answer in answers:
        assert found(deployment.secrets, answer) == []
        assert b"Traceback" not in answer


def test_logs_and_notifications(deployment, answers):
    for daemon in (deployment.api, deployment.registry):
        log = daemon.log.read_bytes()
        assert b"DEBUG" in log
        assert found(deployment.secrets, log) == []
        assert b"Traceback" not in log
    log = deployment.api.log.read_bytes()
    assert b"image.activate" in log


def test_database(deployment, answers):
    """Only the column of locations may hold them, and not if it is encrypted."""
    with closing(_connect(deployment)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        locations = database.execute("SELECT value FROM image_locations").fetchall()
        assert len(locations) == 8
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                kept = {name: value for name, value in zip(columns, row, strict=True)}
                if table == "image_locations" and not deployment.encrypted:
                    assert found([ENCRYPTION_KEY], str(kept.pop("value")).encode()) == []
                assert found(deployment.secrets, repr(kept).encode()) == [], table
    plain = [value for (value,) in locations if "://" in value]
    assert len(plain) == (0 if deployment.encrypted else 8)
    if deployment.encrypted:
        whole = b"".join(path.read_bytes() for path in deployment.directory.glob("glance.sqlite*"))
        assert found(deployment.secrets, whole) == []
    else:  # the search finds what is there
        assert found([SWIFT_KEY], "".join(plain).encode())


def _connect(deployment):
    import sqlite3

    return sqlite3.connect(deployment.directory / "glance.sqlite", timeout=30)
