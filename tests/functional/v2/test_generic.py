"""What holds for every route (spec v2-images.md §2, §3)."""

import json
import re
import uuid

import pytest

from tests.functional.v1.raw import Conversation
from tests.functional.v2.conftest import EMOJI, NEW, TOO_BIG, Caller, add, replace

ROUTES = {
    "/images": "GET, POST",
    "/images/{id}": "GET, PATCH, DELETE",
    "/images/{id}/file": "GET, PUT",
    "/images/{id}/actions/deactivate": "POST",
    "/images/{id}/actions/reactivate": "POST",
    "/images/{id}/tags/a": "PUT, DELETE",
    "/images/{id}/members": "GET, POST",
    "/images/{id}/members/m": "GET, PUT, DELETE",
    "/info/import": "GET",
    "/info/usage": "GET",
    "/schemas/image": "GET",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "FROB")


@pytest.fixture(scope="module")
def image(usual):
    return Caller(usual, "generic").create(name="generic", x="y")


@pytest.fixture
def user(usual):
    return Caller(usual, "generic")


def as_raw(caller):
    return Conversation(caller.deployment.api_port)


# --- routes ----------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_wrong_method(user, image, route):
    allowed = set(ROUTES[route].split(", "))
    for method in METHODS:
        if method not in allowed:
            answer = user.send(method, route.format(id=image["id"]))
            assert answer.status_code == 405, method
            assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allowed, method


@pytest.mark.parametrize(
    "path",
    ["/images/", "/image", "/images/{id}/", "/images/{id}/frob", "/images/{id}/file/", "/images/{id}/tags",
     "/images/{id}/tags/", "/images/{id}/tags/a/b", "/images/{id}/actions", "/images/{id}/actions/frob",
     "/schemas", "/schemas/", "/info", "/frob", "/"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_unknown_path(user, image, path, method):
    assert user.send(method, path.format(id=image["id"])).status_code == 404


def test_undecodable_path(user):
    with as_raw(user) as conversation:
        for path in ("/v2/images/%ff", "/v2/%ff", "/v2/images/%c3%28/file"):
            assert conversation.ask("GET", path, user.headers).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/images/{id}"), ("DELETE", "/images/{id}"), ("GET", "/images/{id}/file"),
     ("POST", "/images/{id}/actions/deactivate"), ("POST", "/images/{id}/actions/reactivate"),
     ("PUT", "/images/{id}/tags/a"), ("DELETE", "/images/{id}/tags/a"), ("GET", "/images/{id}/members"),
     ("GET", "/images/{id}/members/m"), ("DELETE", "/images/{id}/members/m"), ("GET", "/info/import"),
     ("GET", "/schemas/image")],
)  # fmt: skip
def test_body_where_none_belongs(user, image, method, path):
    path = path.format(id=image["id"])
    assert user.send(method, path, data=b"{}").status_code == 400
    if method in ("POST", "PUT", "PATCH"):
        assert user.send(method, path, data=iter([b"{}"])).status_code == 400
    assert user.image(image["id"])["tags"] == []


# --- bodies ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nothing", b'"text"', b"1", b"null", b"true", b"[]", b'[{"name": "n"}]', b"\xff", b'{"name": "\xff"}',
     b"{'name': 'n'}", b'{"name": "n"} x', b'{"min_ram": NaN}', b'{"min_ram": Infinity}', b"[" * 100000],
    ids=lambda body: repr(body[:16]),
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path", "content_type"), [("POST", "/images", "application/json"), ("PATCH", "/images/{id}", NEW)]
)
def test_bad_json(user, image, body, method, path, content_type):
    if method == "PATCH" and body == b"[]":
        return  # no changes at all: fine
    answer = user.send(method, path.format(id=image["id"]), {"Content-Type": content_type}, data=body)
    assert answer.status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "x/y; charset=latin-1", ""])
def test_content_type_of_json_is_not_looked_at(user, content_type):
    answer = user.send("POST", "/images", {"Content-Type": content_type}, data='{"name": "é"}'.encode())
    assert (answer.status_code, answer.json()["name"]) == (201, "é")


def test_answers_are_json_in_utf8(user):
    name = "Grüße, 世界"
    answer = user.post({"name": name, "clé": name})
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    assert answer.json()["clé"] == name
    for text in (answer.content, user.show(answer.json()["id"]).content):
        assert name.encode() in text


# --- errors ----------------------------------------------------------------------


def test_error_bodies(user):
    path = f"/images/{uuid.uuid4()}"
    with as_raw(user) as conversation:
        plain = conversation.ask("GET", f"/v2{path}", user.headers)
    assert plain.status == 404
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert plain.text.startswith("404 Not Found\n\n")
    html = user.send("GET", path, {"Accept": "*/*"})
    assert html.headers["Content-Type"].startswith("text/html")
    assert "<h1>404 Not Found</h1>" in html.text
    for accept in ("application/json", "application/json, text/plain;q=0.5"):
        answer = user.send("GET", path, {"Accept": accept})
        assert answer.headers["Content-Type"].startswith("application/json")
        assert set(answer.json()) == {"code", "title", "message"}
        assert answer.json()["title"] == "Not Found"


def test_markup_in_errors_is_escaped(user):
    answer = user.post({"min_ram": "<script>alert(1)</script>"})
    assert answer.status_code == 400
    assert "<script>" not in answer.text


# --- request id ------------------------------------------------------------------


def test_request_id(user, image):
    path = f"/images/{image['id']}"
    made = user.send("GET", path).headers["x-openstack-request-id"]
    assert re.fullmatch("req-[0-9a-f-]{36}", made)
    for sent, returned in (("req-" + "a" * 36, "req-" + "a" * 36), ("b" * 36, "req-" + "b" * 36)):
        answer = user.send("GET", path, {"X-Openstack-Request-ID": sent})
        assert answer.headers["x-openstack-request-id"] == returned
    assert user.send("GET", "/images/frob").headers["x-openstack-request-id"].startswith("req-")
    assert user.send("GET", path, {"X-Openstack-Request-ID": "r" * 65}).status_code == 431


# --- values ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{"name": EMOJI}, {"x": EMOJI}, {EMOJI: "x"}, {"tags": [EMOJI]}, {"name": "\ud800"}, {"x": "\udfff"}],
    ids=repr,
)  # fmt: skip
def test_no_four_byte_characters(user, image, body):
    raw = json.dumps(body)
    assert user.send("POST", "/images", data=raw).status_code == 400
    ((name, value),) = body.items()
    assert user.patch(image["id"], add(name, value)).status_code == 400


def test_no_four_byte_characters_elsewhere(user, image):
    admin = Caller(user.deployment, roles="admin")
    assert admin.post({"owner": EMOJI}).status_code == 400
    assert admin.patch(image["id"], replace("owner", EMOJI)).status_code == 400
    assert user.send("PUT", f"/images/{image['id']}/tags/{EMOJI}").status_code == 400


@pytest.mark.parametrize("name", ["name", "owner", "tag", "x", "status", "disk_format", "id", EMOJI, "checksum"])
def test_four_byte_characters_match_nothing(user, name):
    answer = user.page({name: EMOJI})
    assert (answer.status_code, answer.json()["images"]) == (200, [])


@pytest.mark.parametrize("value", [TOO_BIG, 10**30, -1, 1.5, "1", True, None, [1]])
@pytest.mark.parametrize("name", ["min_ram", "min_disk"])
def test_numbers(user, image, name, value):
    assert user.post({name: value}).status_code == 400
    assert user.patch(image["id"], replace(name, value)).status_code == 400


def test_nul_characters(user, image):
    for body in ({"name": "a\0b"}, {"x": "a\0b"}, {"a\0b": "x"}, {"tags": ["a\0b"]}):
        assert user.post(body).status_code in (201, 400)
        ((name, value),) = body.items()
        assert user.patch(image["id"], add(name, value)).status_code in (200, 400)
    assert user.page({"name": "a\0b", "x": "\0"}).status_code in (200, 400)


def test_times_and_links(user):
    created = user.create()
    for image in (created, user.image(created["id"])):
        for name in ("created_at", "updated_at"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", image[name])
        assert image["self"] == f"/v2/images/{image['id']}"
        assert image["file"] == f"/v2/images/{image['id']}/file"
        assert image["schema"] == "/v2/schemas/image"


# --- not found, not allowed ------------------------------------------------------


@pytest.mark.parametrize(
    "image_id", ["1", "frob", "x" * 300, "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91", "%00", "é", "a%2Fb", "..", "*"]
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_unknown_ids(user, method, image_id):
    body = {"data": b"[]", "headers": {"Content-Type": NEW}} if method == "PATCH" else {}
    if image_id == "..":
        with as_raw(user) as conversation:
            headers = {**user.headers, **body.get("headers", {})}
            assert conversation.ask(method, "/v2/images/..", headers, body=body.get("data", b"")).status == 404
        return
    assert user.send(method, f"/images/{image_id}", **body).status_code == 404


def test_deleted_is_gone_for_everybody(user, admin):
    image = user.active(name="gone")
    assert user.delete(image["id"]).status_code == 204
    for caller in (user, admin):
        assert caller.show(image["id"]).status_code == 404
        assert caller.delete(image["id"]).status_code == 404
        assert caller.patch(image["id"], replace("name", "n")).status_code == 404
        assert caller.patch(image["id"]).status_code == 404
        assert caller.upload(image["id"]).status_code == 404
        assert caller.send("GET", f"/images/{image['id']}/file").status_code == 404
        assert caller.send("PUT", f"/images/{image['id']}/tags/a").status_code == 404
        assert caller.send("GET", f"/images/{image['id']}/members").status_code == 404
        assert image["id"] not in caller.ids({"name": "gone"})
