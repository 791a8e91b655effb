"""Paths and methods (spec v1-api.md §2)."""

import uuid

import pytest
import requests

from tests.functional.v1.raw import Conversation

KNOWN = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
UNKNOWN = ("OPTIONS", "FROB", "TRACE")


@pytest.mark.parametrize("version", ["/v1", "/v1.0", "/v1.1"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_bare_version_redirects(noauth, version, method):
    answer = requests.request(method, noauth.endpoint + version, allow_redirects=False, headers={"Host": "h:1"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://h:1/v1/"
    assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROB"])
def test_root_is_the_index_for_any_method(noauth, method):
    answer = noauth.request(method, "/", params={"limit": 0})
    assert (answer.status_code, answer.json()) == (200, {"images": []})


@pytest.mark.parametrize("method", KNOWN[1:] + UNKNOWN)
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/images", "GET, POST"),
        ("/images/detail", "GET, HEAD"),
        ("/images/{id}", "GET, HEAD, PUT, DELETE"),
        ("/images/{id}/members", "GET, PUT"),
        ("/images/{id}/members/m", "GET, PUT, DELETE"),
    ],
)
def test_method_not_allowed(noauth, method, path, allowed):
    works = {"/images/{id}/members/m": ["PUT", "DELETE"], "/images/detail": ["GET"]}.get(path, allowed.split(", "))
    if method in works:
        return
    if (path, method) == ("/images/detail", "HEAD"):
        allowed = "GET"
    answer = noauth.request(method, path.format(id=uuid.uuid4()))
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_one_member_cannot_be_read(noauth):
    image = noauth.create()
    answer = noauth.request("GET", f"/images/{image['id']}/members/m")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, PUT, DELETE")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_shared_images_take_any_method(noauth, method):
    answer = noauth.request(method, f"/shared-images/{uuid.uuid4().hex}")
    assert (answer.status_code, answer.json()) == (200, {"shared_images": []})


@pytest.mark.parametrize(
    "path",
    [
        "/images/", "/images/{id}/", "/images/{id}/members/", "/images/{id}/members/m/", "/images/detail/",
        "/image", "/images/{id}/members/m/x", "/images/{id}/file", "/shared-images", "/shared-images/m/x",
        "/cached_images", "/cached_images/{id}", "/queued_images", "/queued_images/{id}",
    ],
)  # fmt: skip
def test_unknown_path(noauth, path):
    path = path.format(id=noauth.create()["id"])
    for method in KNOWN:
        assert noauth.request(method, path).status_code == 404, method
    for method in UNKNOWN:
        assert noauth.request(method, path).status_code == 501, method


@pytest.mark.parametrize("body", [b'{"image": {"name": "x"}}', b"[]", b"{", b"\xff\xfe"])
def test_body_where_none_is_wanted_is_ignored(noauth, body):
    image = noauth.create(b"1234")
    path = f"/v1/images/{image['id']}"
    json = {"Content-Type": "application/json"}
    with Conversation(noauth.api_port) as conversation:
        assert conversation.ask("GET", "/v1/images?limit=0", json, body=body).body == b'{"images": []}'
        assert conversation.ask("GET", path, json, body=body).body == b"1234"
        assert conversation.ask("HEAD", path, json, body=body).status == 200
        assert conversation.ask("GET", path + "/members", json, body=body).status == 200
        assert conversation.ask("DELETE", path + "/members/m", json, body=body).status == 404
        assert conversation.ask("DELETE", path, json, body=body).status == 200
        assert conversation.ask("HEAD", path).headers["x-image-meta-deleted"] == "True"
