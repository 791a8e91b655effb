"""Version negotiation (spec v1-api.md §1)."""

import pytest
import requests

from tests.functional.conftest import Deployment, identity
from tests.functional.v1.conftest import PUBLIC_ENDPOINT
from tests.functional.v1.raw import Conversation

ACCEPT = "application/vnd.openstack.images-"


def v1_entries(answer, base):
    """The v1 entries of a versions document, after checking what holds for all of them."""
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    versions = answer.json()["versions"]
    for entry in versions:
        assert set(entry) == {"id", "status", "links"}
        family = entry["id"].split(".")[0]
        assert entry["links"] == [{"rel": "self", "href": f"{base}/{family}/"}]
    assert versions[0]["status"] == "CURRENT"
    assert all(entry["status"] == "SUPPORTED" for entry in versions[1:])
    assert [entry["id"] for entry in versions][-2:] == ["v1.1", "v1.0"]
    return versions[-2:]


@pytest.mark.parametrize("path", ["/", "/v3", "/v1.2", "/v10", "/images", "/foo", "/v", "/v1.0.0/images"])
def test_unknown_version_is_300(noauth, path):
    answer = requests.get(noauth.endpoint + path)
    assert answer.status_code == 300
    v1_entries(answer, noauth.endpoint)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROB"])
def test_any_method_gets_the_versions(noauth, method):
    assert requests.request(method, noauth.endpoint + "/").status_code == 300
    answer = requests.request(method, noauth.endpoint + "/versions")
    assert answer.status_code == 200
    v1_entries(answer, noauth.endpoint)


@pytest.mark.parametrize("path", ["/versions", "/versions/", "/versions/v1/x"])
def test_versions_path_is_200(noauth, path):
    answer = requests.get(noauth.endpoint + path)
    assert answer.status_code == 200
    v1_entries(answer, noauth.endpoint)


@pytest.mark.parametrize(("path", "status"), [("/versions", 200), ("/", 300)])
def test_head_has_no_body(noauth, path, status):
    with Conversation(noauth.api_port) as conversation:
        head = conversation.ask("HEAD", path)
        get = conversation.ask("GET", path)
    assert (head.status, get.status) == (status, status)
    assert head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))


def test_href_is_where_the_request_went(noauth):
    answer = requests.get(noauth.endpoint + "/", headers={"Host": "images.example.org:81"})
    v1_entries(answer, "http://images.example.org:81")


def test_public_endpoint_replaces_the_host(tuned):
    v1_entries(requests.get(tuned.endpoint + "/"), PUBLIC_ENDPOINT)


@pytest.mark.parametrize("version", ["v1", "v1.0", "v1.1"])
@pytest.mark.parametrize("lead", ["/", "//", "///"])
def test_all_v1_paths_are_the_same_api(noauth, version, lead):
    image = noauth.create(name="same")
    with Conversation(noauth.api_port) as conversation:
        answer = conversation.ask("GET", f"{lead}{version}/images/detail?limit=0")
        assert (answer.status, answer.body) == (200, b'{"images": []}')
        answer = conversation.ask("HEAD", f"{lead}{version}/images/{image['id']}")
    assert (answer.status, answer.headers["x-image-meta-name"]) == (200, "same")


@pytest.mark.parametrize("version", ["v1", "v1.0", "v1.1"])
def test_version_in_the_accept_header(noauth, version):
    image = noauth.create()
    answer = requests.get(f"{noauth.endpoint}/images/{image['id']}/members", headers={"Accept": ACCEPT + version})
    assert (answer.status_code, answer.json()) == (200, {"members": []})


def test_version_in_the_accept_header_and_the_path(noauth):
    for version in ("v1", "v1.1"):
        answer = requests.get(f"{noauth.url}/images", headers={"Accept": ACCEPT + version})
        assert answer.status_code == 404


@pytest.mark.parametrize("version", ["v3", "v1.2", "", "1.0", "v1.1x"])
@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_unknown_version_in_the_accept_header(noauth, version, path):
    assert requests.get(noauth.endpoint + path, headers={"Accept": ACCEPT + version}).status_code == 300


def test_v1_switched_off(tmp_path):
    deployment = Deployment(tmp_path, api={"enable_v1_api": False})
    deployment.api.start()  # nothing asks the registry
    try:
        for path in ("/v1/images", "/v1", "/v1.1/images"):
            answer = requests.get(deployment.endpoint + path)
            assert answer.status_code == 300
            assert not [entry for entry in answer.json()["versions"] if entry["id"].startswith("v1")]
        header = {"Accept": ACCEPT + "v1.1"}
        assert requests.get(deployment.endpoint + "/images", headers=header).status_code == 300
    finally:
        deployment.stop()


def test_versions_need_no_identity_and_have_no_request_id(trusted):
    for path in ("/", "/versions"):
        answer = requests.get(trusted.endpoint + path, headers={"x-openstack-request-id": "req-mine"})
        assert answer.status_code in (200, 300)
        assert "x-openstack-request-id" not in answer.headers
    answer = trusted.request("GET", "/images", headers={"x-openstack-request-id": "req-mine"})
    assert answer.status_code == 401
    assert "x-openstack-request-id" not in answer.headers
    answer = trusted.request("GET", "/images", headers=identity("t") | {"x-openstack-request-id": "req-mine"})
    assert answer.headers["x-openstack-request-id"] == "req-mine"
