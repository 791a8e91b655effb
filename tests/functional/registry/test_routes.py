"""Every path with every method, what the answers are made of, kept connections (spec registry.md §1)."""

import json
import uuid

import pytest

from tests.functional.conftest import Deployment, identity
from tests.functional.registry.conftest import LOCATION, Caller
from tests.functional.v1.raw import Conversation

STANDARD = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
UNUSUAL = ("OPTIONS", "TRACE", "BREW")
SUMMARY = {"id", "name", "size", "disk_format", "container_format", "checksum"}
IMAGE = {
    "id", "created_at", "updated_at", "deleted_at", "deleted", "name", "status", "size", "virtual_size", "disk_format",
    "container_format", "min_disk", "min_ram", "is_public", "checksum", "owner", "protected", "properties", "location",
    "location_data",
}  # fmt: skip
UNKNOWN = (
    "/images/", "/images/detail/", "/nothing", "/v1/images", "/images/{id}/", "/images/{id}/members/",
    "/images/{id}/members/m/", "/images/{id}/locations", "/shared-images", "/shared-images/", "/shared-images/m/x",
    "/transfers/", "/usage/", "/rpc/", "/images//members",
)  # fmt: skip


@pytest.fixture
def image_id(user):
    return user.create(name="of the route")["id"]


@pytest.mark.parametrize("method", [*STANDARD, *UNUSUAL])
def test_the_root_is_the_index_whatever_the_method(user, method):
    public = user.create(name="n", is_public=False)["id"]
    answer = user.ask(method, "/")
    assert answer.status_code == 200
    if method == "HEAD":
        assert answer.content == b""
    else:
        (found,) = [image for image in answer.json()["images"] if image["id"] == public]
        assert set(found) == SUMMARY


def test_an_empty_path_is_the_root(alone, user):
    with Conversation(alone.registry_port) as conversation:
        answer = conversation.ask("GET", "http://test", user.headers)
    assert (answer.status, list(json.loads(answer.body))) == (200, ["images"])


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", [*STANDARD, *UNUSUAL])
def test_an_unknown_path(user, image_id, method, path):
    answer = user.ask(method, path.format(id=image_id))
    assert answer.status_code == (404 if method in STANDARD else 501)
    assert "Allow" not in answer.headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/images", {"GET", "POST"}),
        ("/images/detail", {"GET"}),
        ("/images/{id}", {"GET", "PUT", "DELETE"}),
        ("/transfers", {"GET", "PUT"}),
        ("/usage", {"GET"}),
        ("/rpc", {"POST"}),
    ],
)
def test_no_405_on_image_routes(user, image_id, path, methods):
    """There a method that is not meant makes the path an unknown one."""
    for method in {*STANDARD, *UNUSUAL} - methods:
        answer = user.ask(method, path.format(id=image_id), {"image": {}})
        assert answer.status_code == (404 if method in STANDARD else 501), method
        assert "Allow" not in answer.headers
    assert user.show(image_id)["name"] == "of the route"


@pytest.mark.parametrize(
    ("path", "methods"), [("/images/{id}/members", {"GET", "PUT"}), ("/images/{id}/members/m", {"PUT", "DELETE"})]
)
def test_405_on_member_routes(user, image_id, path, methods):
    for method in {*STANDARD, *UNUSUAL} - methods:
        answer = user.ask(method, path.format(id=image_id))
        assert (answer.status_code, answer.headers["Allow"]) == (405, "PUT, DELETE"), method


@pytest.mark.parametrize("method", [*STANDARD, *UNUSUAL])
def test_shared_images_takes_every_method(user, method):
    answer = user.ask(method, "/shared-images/somebody")
    assert answer.status_code == 200
    assert method == "HEAD" or answer.json() == {"shared_images": []}


def test_what_success_looks_like(user):
    """Creation is 200, not 201; each answer is JSON and names its charset."""
    created = user.ask("POST", "/images", {"image": {"status": "queued", "name": "é"}})
    image_id = created.json()["image"]["id"]
    answers = [
        created, user.ask("GET", "/images"), user.ask("GET", "/images/detail"), user.ask("GET", f"/images/{image_id}"),
        user.update(image_id, name="ü"), user.ask("GET", f"/images/{image_id}/members"),
        user.ask("GET", f"/shared-images/{user.tenant}"), user.ask("DELETE", f"/images/{image_id}"),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
        assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.parametrize("shown", ["create", "show", "update", "detail", "delete"])
def test_the_keys_of_an_image(user, shown):
    image = user.create(name="n")
    path = f"/images/{image['id']}"
    if shown == "detail":
        (image,) = [found for found in user.ok("GET", "/images/detail")["images"] if found["id"] == image["id"]]
    elif shown != "create":
        body = {"image": {}} if shown == "update" else None
        image = user.ok({"show": "GET", "update": "PUT", "delete": "DELETE"}[shown], path, body)["image"]
    assert set(image) == IMAGE


def test_index_and_detail(user):
    """The index names six keys, the detailed list all."""
    values = {"name": "n", "disk_format": "raw", "container_format": "bare", "size": 3, "checksum": "c" * 32}
    image = user.create(status="active", location=LOCATION, properties={"a": "1"}, **values)
    (found,) = [entry for entry in user.ok("GET", "/images")["images"] if entry["id"] == image["id"]]
    assert found == values | {"id": image["id"]}
    (found,) = [entry for entry in user.ok("GET", "/images/detail")["images"] if entry["id"] == image["id"]]
    assert found == image


def test_show_answers_in_headers_too(user):
    """The manual of 2011 says that metadata comes in headers; a location never does."""
    image = user.create(
        name="näme", status="active", disk_format="raw", container_format="bare", size=3, location=LOCATION,
        properties={"distro": "ubuntu"},
    )  # fmt: skip
    answer = user.ask("GET", f"/images/{image['id']}")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["x-image-meta-id"] == image["id"]
    assert headers["x-image-meta-name"].encode("latin-1").decode() == "näme"
    assert (headers["x-image-meta-size"], headers["x-image-meta-is_public"]) == ("3", "False")
    assert headers["x-image-meta-property-distro"] == "ubuntu"
    assert not any("location" in name or "/images/of" in value for name, value in headers.items())
    assert answer.json()["image"]["location"] == LOCATION


# --- request ids, error bodies ------------------------------------------------------------------


def test_request_ids(user, image_id):
    for method, path in (("GET", f"/images/{image_id}"), ("GET", "/nothing"), ("BREW", "/images")):
        mine = user.ask(method, path, headers={"X-Openstack-Request-ID": "req-of-mine"})
        assert mine.headers["x-openstack-request-id"] == "req-of-mine"
        assert user.ask(method, path, headers={"X-Openstack-Request-ID": "bare"}).headers[
            "x-openstack-request-id"
        ] == "req-bare"  # fmt: skip
        made = user.ask(method, path).headers["x-openstack-request-id"]
        assert uuid.UUID(made.removeprefix("req-")) and made.startswith("req-")


@pytest.mark.parametrize(("sent", "status"), [("r" * 64, 200), ("r" * 65, 431), ("é", 400)])
def test_request_ids_that_are_refused(user, sent, status):
    assert user.ask("GET", "/images", headers={"X-Openstack-Request-ID": sent.encode()}).status_code == status


@pytest.mark.parametrize(
    ("accept", "kind"),
    [({}, "text/html"), ({"Accept": "text/plain"}, "text/plain"), ({"Accept": "application/json"}, "text/plain")],
)
def test_the_form_of_errors(user, accept, kind):
    answer = user.ask("GET", "/images", params={"limit": "<b>"}, headers=accept)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (400, kind)
    assert "limit param must be" in answer.text
    assert "<b>" not in answer.text


def test_an_unexpected_body_is_not_read(user, image_id):
    """A route that takes no body ignores one, well-formed or not."""
    for body in (b"{", b"\xff\xfe", b"[" * 5000, b'{"image": {"name": "changed"}}'):
        for path in ("/images", "/images/detail", f"/images/{image_id}", f"/images/{image_id}/members", "/"):
            assert user.ask("GET", path, body).status_code == 200
    assert user.ask("DELETE", f"/images/{image_id}", b"{").status_code == 200


# --- who asks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"X-Identity-Status": "Invalid"}, {"X-User-Id": "u", "X-Roles": "admin"}])
def test_nobody_is_turned_away(alone, headers):
    """Also from paths that do not exist, and without a word about them."""
    nobody = Caller(alone, None, headers)
    for method, path in (("GET", "/images"), ("POST", "/images"), ("GET", "/nothing"), ("POST", "/rpc"), ("GET", "/")):
        assert nobody.ask(method, path, {"image": {}}).status_code == 401


def test_a_service_catalog_that_is_no_json(user):
    assert user.ask("GET", "/images", headers={"X-Service-Catalog": "{"}).status_code == 400
    assert user.ask("GET", "/images", headers={"X-Service-Catalog": "[" * 9000}).status_code == 400


def test_anonymous_callers_only_read(small, anonymous):
    owner = Caller(small, "t", identity("t"))
    public = Caller(small, "a", identity("a", "root", "admin")).create(name="p", is_public=True, owner="t")["id"]
    private = owner.create(name="mine")["id"]
    assert anonymous.show(public)["name"] == "p"
    assert anonymous.ask("GET", f"/images/{private}").status_code == 404
    found = [image["id"] for image in anonymous.ok("GET", "/images")["images"]]
    assert public in found and private not in found
    writes = [
        ("POST", "/images"), ("PUT", f"/images/{public}"), ("DELETE", f"/images/{public}"), ("PUT", "/transfers"),
        ("PUT", f"/images/{public}/members"), ("PUT", f"/images/{public}/members/m"),
        ("DELETE", f"/images/{public}/members/m"),
    ]  # fmt: skip
    body = {"image": {"status": "queued"}, "memberships": [], "member": {"can_share": True}, "node": "n", "images": []}
    for method, path in writes:
        answer = anonymous.ask(method, path, body)
        assert answer.status_code == 403, (method, path)
        assert "ead-only" in answer.text
    assert anonymous.ask("GET", "/transfers").status_code == 403
    assert anonymous.ask("GET", "/usage", params={"owner": "t"}).status_code == 403
    assert anonymous.show(public)["deleted"] is False


def test_identity_of_2011(alone, user):
    """X-User, X-Tenant and X-Role are read where the newer names are missing."""
    image_id = user.create(name="n")["id"]
    old = {"X-Identity-Status": "Confirmed", "X-User": "u", "X-Tenant": user.tenant, "X-Role": "Member"}
    assert Caller(alone, user.tenant, old).show(image_id)["owner"] == user.tenant
    someone = {"X-Identity-Status": "Confirmed", "X-User": "u", "X-Tenant": "else", "X-Role": "Admin"}
    assert Caller(alone, "else", someone).show(image_id)["name"] == "n"
    someone["X-Role"] = "Administrator"
    assert Caller(alone, "else", someone).ask("GET", f"/images/{image_id}").status_code == 404


# --- connections --------------------------------------------------------------------------------


def test_a_connection_is_kept_through_errors(alone, user):
    """Each answer ends where it says, so that the next one is the next one."""
    with Conversation(alone.registry_port) as conversation:
        for number in range(3):
            body = json.dumps({"image": {"status": "queued", "name": f"kept {number}"}}).encode()
            image = json.loads(conversation.ask("POST", "/images", user.headers, body=body).body)["image"]
            path = f"/images/{image['id']}"
            assert conversation.ask("GET", f"{path}x", user.headers).status == 404
            assert conversation.ask("POST", "/images", user.headers, body=b"{").status == 400
            assert conversation.ask("PUT", f"{path}/members/m", user.headers).status == 204
            assert conversation.ask("HEAD", "/images", user.headers).status == 404
            assert conversation.ask("HEAD", "/", user.headers).body == b""
            assert conversation.ask("POST", path, user.headers, body=b"x" * 5000).status == 404
            assert conversation.ask("BREW", "/nothing", user.headers).status == 501
            assert conversation.ask("GET", path).status == 401
            assert json.loads(conversation.ask("GET", path, user.headers).body)["image"]["name"] == f"kept {number}"


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chunked_body(alone, user, size):
    body = json.dumps({"image": {"status": "queued", "name": "chunked", "properties": {"p": "x" * 9000}}}).encode()
    with Conversation(alone.registry_port) as conversation:
        conversation.head("POST", "/images", user.headers, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(body), size):
            conversation.chunk(body[start : start + size])
        conversation.end()
        assert conversation.answer().status == 200
    assert user.listed() == ["chunked"]


# --- which of the two APIs there is -------------------------------------------------------------


@pytest.mark.parametrize(("enabled", "rest", "rpc"), [("v1", 200, 404), ("v2", 404, 200)])
def test_an_api_can_be_switched_off(tmp_path_factory, enabled, rest, rpc):
    off = "v2" if enabled == "v1" else "v1"
    deployment = Deployment(tmp_path_factory.mktemp("one"), registry={f"enable_{off}_registry": False})
    deployment.manage("db", "sync")
    deployment.registry.start()
    try:
        for path in ("/", "/images", "/images/detail", "/shared-images/m"):
            assert deployment.registry_request("GET", path).status_code == rest
        assert deployment.registry_request("POST", "/rpc", json=[]).status_code == rpc
    finally:
        deployment.stop()
