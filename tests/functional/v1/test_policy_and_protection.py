"""Policies and property protections (spec v1-api.md §5.1, policy-quota-protection.md §4)."""

import html
import uuid

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import DENIABLE, listed, set_status, status_of

DATA = b"data of the image"
UPLOAD = {
    "x-image-meta-disk_format": "raw",
    "x-image-meta-container_format": "bare",
    "Content-Type": "application/octet-stream",
}


def without(caller, rule):
    """The caller, with the role to which the ``tuned`` deployment denies ``rule``."""
    return caller | {"X-Roles": f"member,without_{rule}"}


def put(deployment, image, caller, /, **properties):
    """PUT properties, replacing all others unless ``purge`` is false; return the answer."""
    headers = {f"x-image-meta-property-{name}": value for name, value in properties.items() if name != "purge"}
    headers["x-glance-registry-purge-props"] = properties.get("purge", "true")
    return deployment.request("PUT", f"/images/{image['id']}", headers=caller | headers)


# --- policies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "method", "path", "headers", "data"),
    [
        ("get_images", "GET", "/images", {}, None),
        ("get_images", "GET", "/images/detail", {}, None),
        ("get_images", "GET", "/", {}, None),
        ("get_image", "HEAD", "{image}", {}, None),
        ("get_image", "GET", "{image}", {}, None),
        ("download_image", "GET", "{image}", {}, None),
        ("add_image", "POST", "/images", {}, None),
        ("add_image", "POST", "/images", UPLOAD, DATA),
        ("upload_image", "POST", "/images", UPLOAD, DATA),
        ("upload_image", "POST", "/images", {"x-glance-api-copy-from": "{source}/size/3"}, None),
        ("copy_from", "POST", "/images", {"x-glance-api-copy-from": "{source}/size/3"}, None),
        ("set_image_location", "POST", "/images", {"x-image-meta-location": "{source}/size/3"}, None),
        ("modify_image", "PUT", "{queued}", {}, None),
        ("modify_image", "PUT", "{queued}", UPLOAD, DATA),
        ("upload_image", "PUT", "{queued}", UPLOAD, DATA),
        ("copy_from", "PUT", "{queued}", {"x-glance-api-copy-from": "{source}/size/3"}, None),
        ("set_image_location", "PUT", "{queued}", {"x-image-meta-location": "{source}/size/3"}, None),
        ("delete_image", "DELETE", "{image}", {}, None),
        ("get_members", "GET", "{image}/members", {}, None),
        ("get_members", "GET", "/shared-images/m", {}, None),
        ("modify_member", "PUT", "{image}/members", {}, '{"memberships": []}'),
        ("modify_member", "PUT", "{image}/members/m2", {}, None),
        ("delete_member", "DELETE", "{image}/members/m", {}, None),
    ],
)  # fmt: skip
def test_denied_and_allowed(tuned, user, source, rule, method, path, headers, data):
    image, queued = tuned.create(DATA, headers=user), tuned.create(headers=user)
    tuned.request("PUT", f"/images/{image['id']}/members/m", headers=user)
    path = path.format(image=f"/images/{image['id']}", queued=f"/images/{queued['id']}")
    headers = {name: value.format(source=source.url) for name, value in headers.items()}
    answer = tuned.request(method, path, headers=without(user, rule) | headers, data=data)
    assert answer.status_code == 403
    assert (status_of(tuned, image["id"]), status_of(tuned, queued["id"])) == ("active", "queued")
    answer = tuned.request(method, path, headers=user | headers, data=data)
    assert answer.status_code in (200, 201, 204)


def test_every_deniable_rule_is_covered():
    marks = test_denied_and_allowed.pytestmark
    (table,) = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    assert {row[0] for row in table} == {*DENIABLE, "download_image"}


def test_policy_does_not_tell_of_invisible_images(tuned, user, other):
    image = tuned.create(DATA, headers=user)
    for rule, method in (("get_image", "HEAD"), ("download_image", "GET"), ("delete_image", "DELETE")):
        answer = tuned.request(method, f"/images/{image['id']}", headers=without(other, rule))
        assert answer.status_code == 404


@pytest.mark.parametrize(("roles", "status"), [("member", 403), ("publisher", 201), ("admin", 201)])
def test_publishing(tuned, tenant, roles, status):
    caller = identity(tenant, roles=roles)
    publish = {"x-image-meta-is_public": "true"}
    assert tuned.request("POST", "/images", headers=caller | publish).status_code == status
    image = tuned.create(headers=caller)
    answer = tuned.request("PUT", f"/images/{image['id']}", headers=caller | publish)
    assert answer.status_code == (200 if status == 201 else 403)


def test_download_policy_sees_properties(tuned, user, tenant):
    """A rule may compare core fields and properties of the image alike."""
    image = tuned.create(DATA, headers=user, property_secrecy="top")
    path = f"/images/{image['id']}"
    assert tuned.request("GET", path, headers=user).status_code == 403
    assert tuned.request("HEAD", path, headers=user).status_code == 200
    assert tuned.request("GET", path, headers=identity(tenant, roles="admin")).content == DATA
    etag = {"If-None-Match": image["checksum"]}
    assert tuned.request("GET", path, headers=user | etag).status_code == 403


def test_admin_by_role(tuned, user):
    image = tuned.create(headers=user)
    assert tuned.request("HEAD", f"/images/{image['id']}", headers=identity("x", roles="Admin")).status_code == 200


# --- property protections ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "roles", "status"),
    [
        ("free", "member", 201), ("secret", "member", 403), ("secret_code", "member", 403), ("secret", "ADMIN", 201),
        ("secure", "member", 201), ("fixed", "member", 201), ("sealed", "member", 403), ("sealed", "admin", 403),
        ("unsealed", "member", 201), ("SECRET", "member", 403),
    ],
)  # fmt: skip
def test_create(tuned, tenant, name, roles, status):
    image_id = str(uuid.uuid4())
    headers = identity(tenant, roles=roles) | {"x-image-meta-id": image_id, f"x-image-meta-property-{name}": "x"}
    answer = tuned.request("POST", "/images", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert f"Property '{name.lower()}' is protected" in html.unescape(answer.text)
        assert status_of(tuned, image_id) is None


@pytest.fixture
def protected(tuned, tenant):
    """An image of ``tenant`` with a property of each kind, made by an administrator."""
    return tuned.create(DATA, headers=identity(tenant, roles="admin"), property_secret="s", property_fixed="f",
                        property_free="x")  # fmt: skip


def properties(deployment, image, caller):
    """What the caller is shown of the image's properties, the same everywhere."""
    prefix = "x-image-meta-property-"
    shown = []
    for method in ("HEAD", "GET"):
        headers = deployment.request(method, f"/images/{image['id']}", headers=caller).headers
        shown.append({name[len(prefix) :]: headers[name] for name in headers if name.startswith(prefix)})
    shown += [found["properties"] for found in listed(deployment, caller) if found["id"] == image["id"]]
    assert shown[0] == shown[1] == shown[-1]
    return shown[0]


def test_read(tuned, tenant, user, protected):
    everything = {"secret": "s", "fixed": "f", "free": "x"}
    assert properties(tuned, protected, identity(tenant, roles="admin")) == everything
    assert properties(tuned, protected, identity(tenant, roles="auditor")) == everything
    assert properties(tuned, protected, identity(tenant) | {"X-Service-Roles": "auditor"}) == everything
    assert properties(tuned, protected, user) == {"fixed": "f", "free": "x"}


def test_answers_of_changes_hide_them_too(tuned, user, protected):
    answer = put(tuned, protected, user, fixed="f", purge="false")
    assert answer.json()["image"]["properties"] == {"fixed": "f", "free": "x"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"free": "y"}, 200), ({"fixed": "f"}, 200), ({"fixed": "g"}, 403), ({"secret": "s"}, 403),
        ({"secret": "t"}, 403), ({"sealed": "x"}, 403), ({"new": "x"}, 200), ({"secret_new": "x"}, 403),
    ],
)  # fmt: skip
def test_update(tuned, tenant, user, protected, sent, status):
    admin = identity(tenant, roles="admin")
    answer = put(tuned, protected, user, purge="false", **sent)
    assert answer.status_code == status
    before = {"secret": "s", "fixed": "f", "free": "x"}
    assert properties(tuned, protected, admin) == (before | sent if status == 200 else before)


def test_purge(tuned, tenant, user, protected):
    admin = identity(tenant, roles="admin")
    assert put(tuned, protected, user, free="x").status_code == 403  # fixed would go
    assert put(tuned, protected, user, fixed="f").status_code == 200
    # What the caller cannot read stays, and is not mentioned.
    assert properties(tuned, protected, admin) == {"secret": "s", "fixed": "f"}
    assert put(tuned, protected, admin).status_code == 200
    assert properties(tuned, protected, admin) == {}


def test_attributes_are_no_properties(tuned, user):
    image = tuned.create(headers=user, name="secret", min_ram=1)
    assert image["name"] == "secret"


def test_lists_do_not_match_what_the_caller_cannot_read(tuned, tenant, user, protected):
    for caller, found in ((identity(tenant, roles="admin"), [protected["id"]]), (user, [])):
        answer = tuned.request("GET", "/images", headers=caller, params={"property-secret": "s"})
        assert [image["id"] for image in answer.json()["images"]] == found


def test_upload_keeps_what_the_caller_cannot_read(tuned, tenant, user):
    admin = identity(tenant, roles="admin")
    image = tuned.create(headers=admin, property_secret="s")
    set_status(tuned, image["id"], "queued")
    answer = tuned.request("PUT", f"/images/{image['id']}", headers=user | UPLOAD, data=DATA)
    assert (answer.status_code, answer.json()["image"]["properties"]) == (200, {})
    assert properties(tuned, image, admin) == {"secret": "s"}


def test_noauth_is_under_no_policy_but_the_shipped_one(noauth):
    """The examples of 2011 publish their images without any identity."""
    image = noauth.create(DATA, is_public="true")
    path = f"/images/{image['id']}"
    assert noauth.request("PUT", path, headers={"x-image-meta-is_public": "true"}).status_code == 200
    assert noauth.request("GET", path).content == DATA
    assert noauth.request("DELETE", path).status_code == 200
