"""The versions document and the way to a version (spec v2-images.md §1)."""

import pytest
import requests

from tests.functional.v2.conftest import Anonymous, Caller


@pytest.fixture(scope="module")
def v2_only(deploy):
    return deploy(flavor="", api={"enable_v1_api": False, "public_endpoint": "https://images.example.com/x/"})


@pytest.fixture(scope="module")
def v1_only(deploy):
    return deploy(flavor="", api={"enable_v2_api": False})


def get(deployment, path, **headers):
    return requests.get(deployment.endpoint + path, headers=headers, timeout=30, allow_redirects=False)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 300), ("/versions", 200), ("/versions/", 200), ("/versions/v2/x", 200), ("/v3/images", 300),
     ("/v2.99/images", 300), ("/images", 300)],
)  # fmt: skip
def test_document(usual, path, status):
    answer = get(usual, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "x-openstack-request-id" not in answer.headers
    versions = answer.json()["versions"]
    families = [entry["id"].split(".")[0] for entry in versions]
    assert families == sorted(families, reverse=True)
    numbers = [int(entry["id"].split(".")[1]) for entry in versions if entry["id"].startswith("v2")]
    assert numbers == sorted(numbers, reverse=True)
    assert {0, 1, 2, 3, 4, 5, 7, 9} <= set(numbers)
    assert [entry["status"] for entry in versions] == ["CURRENT"] + ["SUPPORTED"] * (len(versions) - 1)
    for entry, family in zip(versions, families, strict=True):
        assert entry["links"] == [{"rel": "self", "href": f"{usual.endpoint}/{family}/"}]


def test_what_the_build_lacks_is_not_advertised(usual, user):
    """Clients test for the presence of an id before they use what it gates."""
    ids = {entry["id"] for entry in get(usual, "/").json()["versions"]}
    gated = {
        "v2.6": ("POST", "/images/x/import"), "v2.8": ("GET", "/info/stores"), "v2.12": ("GET", "/images/x/tasks"),
        "v2.14": ("GET", "/cache"), "v2.17": ("POST", "/images/x/locations"),
    }  # fmt: skip
    for version, (method, path) in gated.items():
        known = user.send("FROB", path).status_code == 405
        assert known or version not in ids, (version, method, path)


def test_v2_without_and_with_slash(user, usual):
    answer = get(usual, "/v2", **user.headers)
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith("/v2/")
    assert get(usual, "/v2/", **user.headers).status_code == 404
    assert get(usual, "/v2/").status_code == 401


def test_every_advertised_version_serves(user, usual):
    for entry in get(usual, "/").json()["versions"]:
        if entry["id"].startswith("v2"):
            answer = get(usual, f"/{entry['id']}/images", **user.headers)
            assert answer.status_code == 200
            assert answer.json()["schema"] == "/v2/schemas/images"
            assert answer.json()["first"] == "/v2/images"


@pytest.mark.parametrize("version", ["v2", "v2.0", "v2.2", "v2.5"])
def test_version_in_the_accept_header(user, usual, version):
    accept = f"application/vnd.openstack.images-{version}"
    answer = get(usual, "/images", Accept=accept, **user.headers)
    assert (answer.status_code, answer.json()["schema"]) == (200, "/v2/schemas/images")
    assert get(usual, "/images", Accept=accept).status_code == 401


def test_unknown_version_in_the_accept_header(user, usual):
    accept = "application/vnd.openstack.images-v7"
    assert get(usual, "/images", Accept=accept, **user.headers).status_code == 300


def test_without_v1(v2_only):
    answer = get(v2_only, "/versions")
    ids = [entry["id"] for entry in answer.json()["versions"]]
    assert all(name.startswith("v2.") for name in ids)
    assert get(v2_only, "/v1/images").status_code == 300
    assert get(v2_only, "/v2/images").status_code == 200


def test_without_v2(v1_only):
    versions = get(v1_only, "/versions").json()["versions"]
    assert [(entry["id"], entry["status"]) for entry in versions] == [("v1.1", "CURRENT"), ("v1.0", "SUPPORTED")]
    assert get(v1_only, "/v2/images").status_code == 300
    assert get(v1_only, "/v2.3/images").status_code == 300


def test_public_endpoint(v2_only):
    for entry in get(v2_only, "/").json()["versions"]:
        assert entry["links"][0]["href"] == "https://images.example.com/x/v2/"
    answer = Anonymous(v2_only).post({})
    assert answer.headers["Location"] == f"https://images.example.com/x/v2/images/{answer.json()['id']}"
    assert answer.json()["self"] == f"/v2/images/{answer.json()['id']}"


def test_host_of_the_request(usual):
    caller = Caller(usual)
    answer = caller.send("POST", "/images", {"Host": "cloud.example.com:81"}, json={})
    assert answer.headers["Location"] == f"http://cloud.example.com:81/v2/images/{answer.json()['id']}"
    document = get(usual, "/versions", Host="cloud.example.com:81").json()
    assert document["versions"][0]["links"][0]["href"] == "http://cloud.example.com:81/v2/"
