"""Deployments, callers and helpers of the v1 tests."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functional.conftest import Deployment, identity
from tests.functional.v1.source import Source

ADMIN = identity("admins", "root", "admin")
"""An administrator, in deployments that believe identity headers."""

PATIENCE = 30
"""Seconds to wait for what happens in the background."""

SIZE_CAP = 4096
QUOTA = 8192
MEMBERS = 2
PROPERTIES = 5
RECORDS = 6
PAGE, PAGE_MAX = 3, 5
PUBLIC_ENDPOINT = "https://images.example.com:8443"

POLICY = """\
context_is_admin: "role:admin"
default: ""
publicize_image: "role:admin or role:publisher"
download_image: "not role:without_download_image and not ('top':%(secrecy)s and not role:admin)"
"""
DENIABLE = (
    "add_image", "copy_from", "delete_image", "delete_member", "get_image", "get_images", "get_members", "modify_image",
    "modify_member", "set_image_location", "upload_image",
)  # fmt: skip
"""Rules that the ``tuned`` deployment denies to a caller with the role ``without_<rule>``."""

PROTECTIONS = """\
[^sealed]
create = !
read = !
update = !
delete = !

[^secret]
create = admin
read = ADMIN , auditor
update = admin
delete = admin

[^fixed]
create = @
read = @
update = admin
delete = admin

[^sec]
create = @
read = @
update = @
delete = @

[.*]
create = @
read = @
update = @
delete = @
"""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Poll ``condition`` until it is true; return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen: {what}")
        time.sleep(0.02)
    return value


def status_of(deployment: Deployment, image_id: str) -> str | None:
    """The status of an image as an administrator sees it; None where there is no record."""
    answer = deployment.request("HEAD", f"/images/{image_id}", headers=ADMIN)
    return answer.headers["x-image-meta-status"] if answer.status_code == 200 else None


def wait_for_status(deployment: Deployment, image_id: str, *statuses: str) -> str:
    """Wait until an image has one of ``statuses``; return which."""
    return wait_until(
        lambda: (status := status_of(deployment, image_id)) in statuses and status, f"{image_id} becomes {statuses}"
    )


def listed(deployment: Deployment, caller: dict[str, str], **query: Any) -> list[dict[str, Any]]:
    """The caller's own images as its detailed list shows them."""
    answer = deployment.request("GET", "/images/detail", headers=caller, params={"limit": 1000} | query)
    assert answer.status_code == 200, answer.text
    return [image for image in answer.json()["images"] if image["owner"] == caller["X-Tenant-Id"]]


def set_status(deployment: Deployment, image_id: str, status: str) -> None:
    """Give a record a status that v1 cannot give it; one in saving is being filled by another host."""
    if status == "saving":
        now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
        deployment.sql(
            f"INSERT INTO glance_transfers (image_id, node, started, beat) VALUES (?, ?, {now}, {now})",
            image_id, "killed@elsewhere:0:1:1",
        )  # fmt: skip
    deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, image_id)


@pytest.fixture
def tenant() -> str:
    """A tenant that nobody else is: its lists hold what the test made."""
    return uuid.uuid4().hex


@pytest.fixture
def user(tenant: str) -> dict[str, str]:
    """Headers of an ordinary user of ``tenant``."""
    return identity(tenant)


@pytest.fixture
def admin() -> dict[str, str]:
    """Headers of an administrator of a tenant of its own."""
    return identity(uuid.uuid4().hex, "root", "admin")


@pytest.fixture
def other() -> dict[str, str]:
    """Headers of an ordinary user of yet another tenant."""
    return identity(uuid.uuid4().hex)


@pytest.fixture(scope="session")
def source() -> Iterator[Source]:
    """A web server whose images may be named as locations."""
    with Source() as server:
        yield server


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with identity headers and everything set that has no effect by default (see the constants)."""
    directory = tmp_path_factory.mktemp("tuned")
    rules = POLICY + "".join(f'{rule}: "not role:without_{rule}"\n' for rule in DENIABLE)
    (directory / "policy.yaml").write_text(rules)
    (directory / "protections.conf").write_text(PROTECTIONS)
    api = {
        "public_endpoint": PUBLIC_ENDPOINT,
        "allow_anonymous_access": True,
        "delayed_delete": True,
        "image_size_cap": SIZE_CAP,
        "user_storage_quota": f"{QUOTA // 1024}KB",
        "image_member_quota": MEMBERS,
        "image_property_quota": PROPERTIES,
        "user_image_count_quota": RECORDS,
        "property_protection_file": directory / "protections.conf",
        "notifier_strategy": "logging",
        "metadata_encryption_key": "a key of 16 byte",
        "limit_param_default": PAGE,
        "api_limit_max": PAGE_MAX,
        "oslo_policy": {"policy_file": directory / "policy.yaml"},
        "import_filtering_opts": {"allowed_hosts": "127.0.0.1", "fetch_deadline": 2},
    }
    deployment = Deployment(directory, api=api, registry={"allow_anonymous_access": True}, flavor="trusted-auth")
    yield deployment.start()
    deployment.stop()
