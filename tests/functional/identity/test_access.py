"""Who may do what behind a real Keystone (policy-quota-protection.md §1, §3; registry.md §5)."""

import uuid

import pytest
import requests
import webob

from tests.functional.identity.conftest import PASSWORD, PEOPLE, authtoken

JSON_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
RENAME = '[{"op": "replace", "path": "/name", "value": "renamed"}]'
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def ask(site, people):
    return lambda name, *words, **kwargs: people[name].ask(site, *words, **kwargs)


def test_without_a_token(site):
    for path in ("/v1/images", "/v1/images/detail", "/v2/images", "/v2/schemas/image"):
        answer = requests.get(site.endpoint + path, timeout=60)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")
    assert requests.get(site.endpoint + "/versions", timeout=60).status_code == 200
    assert requests.get(site.registry_url + "/images", timeout=60).status_code == 401


def test_with_a_token_that_is_none(site):
    for path in ("/v1/images", "/v2/images"):
        assert requests.get(site.endpoint + path, headers={"X-Auth-Token": "x" * 40}, timeout=60).status_code == 401


def test_identity_headers_are_not_believed(site):
    forged = {"X-Identity-Status": "Confirmed", "X-User-Id": "u", "X-Tenant-Id": "t", "X-Roles": "admin"}
    for url in (site.endpoint + "/v1/images", site.endpoint + "/v2/images", site.registry_url + "/images"):
        assert requests.get(url, headers=forged, timeout=60).status_code == 401


def test_life_in_v1(site, people, ask):
    headers = {"x-image-meta-name": "n", "x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
    created = ask("owner", "POST", "/v1/images", headers=headers | OCTETS, data=b"data")
    assert created.status_code == 201, created.text
    image = created.json()["image"]
    assert (image["status"], image["owner"]) == ("active", people["owner"].project_id)
    path = f"/v1/images/{image['id']}"
    assert ask("owner", "GET", path).content == b"data"
    assert ask("colleague", "HEAD", path).headers["x-image-meta-name"] == "n"
    assert ask("owner", "PUT", path, headers={"x-image-meta-name": "m"}).json()["image"]["name"] == "m"
    assert image["id"] in [entry["id"] for entry in ask("owner", "GET", "/v1/images").json()["images"]]
    assert ask("owner", "PUT", f"{path}/members/{people['stranger'].project_id}").status_code == 204
    assert ask("stranger", "GET", path).content == b"data"
    assert ask("owner", "DELETE", path).status_code == 200
    assert ask("owner", "HEAD", path).status_code == 404
    assert site.files(image["id"]) == []


def test_life_in_v2(site, people, ask):
    image_id = people["owner"].image(site, name="n")
    path = f"/v2/images/{image_id}"
    assert ask("owner", "GET", path).json()["owner"] == people["owner"].project_id
    assert ask("colleague", "GET", path + "/file").content == b"data"
    assert ask("owner", "PATCH", path, data=RENAME, headers=JSON_PATCH).json()["name"] == "renamed"
    assert image_id in [entry["id"] for entry in ask("owner", "GET", "/v2/images").json()["images"]]
    member = {"member": people["stranger"].project_id}
    assert ask("owner", "POST", path + "/members", json=member).status_code == 200
    assert ask("stranger", "PUT", f"{path}/members/{member['member']}", json={"status": "accepted"}).status_code == 200
    assert ask("stranger", "GET", path + "/file").content == b"data"
    assert ask("owner", "DELETE", path).status_code == 204
    assert ask("owner", "GET", path).status_code == 404
    assert site.files(image_id) == []


OPERATIONS = {
    "show v1": ("HEAD", "/v1/images/{0}", {}),
    "show": ("GET", "/v2/images/{0}", {}),
    "download v1": ("GET", "/v1/images/{0}", {}),
    "download": ("GET", "/v2/images/{0}/file", {}),
    "update v1": ("PUT", "/v1/images/{0}", {"headers": {"x-image-meta-name": "other"}}),
    "update": ("PATCH", "/v2/images/{0}", {"data": RENAME, "headers": JSON_PATCH}),
    "tag": ("PUT", "/v2/images/{0}/tags/t", {}),
    "members v1": ("GET", "/v1/images/{0}/members", {}),
    "members": ("GET", "/v2/images/{0}/members", {}),
    "share v1": ("PUT", "/v1/images/{0}/members/m", {}),
    "share": ("POST", "/v2/images/{0}/members", {"json": {"member": "n"}}),
    "deactivate": ("POST", "/v2/images/{0}/actions/deactivate", {}),
    "delete v1": ("DELETE", "/v1/images/{0}", {}),
    "delete": ("DELETE", "/v2/images/{0}", {}),
}  # fmt: skip
READS = {"show v1", "show", "download v1", "download", "members v1", "members"}
OF_SHARED_IMAGES = {"members v1", "members", "share v1", "share"}


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_may_with_an_image_of_its_project(site, people, ask, operation, name):
    """No default rule asks for a role within the project yet."""
    image_id = people["owner"].image(site)
    method, path, kwargs = OPERATIONS[operation]
    answer = ask(name, method, path.format(image_id), **kwargs)
    wanted = (404,) if PEOPLE[name][0] == "beta" else (200, 204)
    assert answer.status_code in wanted, answer.text
    if PEOPLE[name][0] == "beta":
        assert ask("owner", "GET", f"/v2/images/{image_id}").json()["name"] is None


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - OF_SHARED_IMAGES))
def test_who_may_with_a_public_image(site, people, ask, operation, name):
    image_id = people["owner"].image(site)
    change = '[{"op": "replace", "path": "/visibility", "value": "public"}]'
    assert ask("boss", "PATCH", f"/v2/images/{image_id}", data=change, headers=JSON_PATCH).status_code == 200
    method, path, kwargs = OPERATIONS[operation]
    answer = ask(name, method, path.format(image_id), **kwargs)
    wanted = (403,) if PEOPLE[name][0] == "beta" and operation not in READS else (200, 204)
    assert answer.status_code in wanted, answer.text


def test_lists_of_others(site, people, ask):
    image_id = people["owner"].image(site, data=None, name=str(uuid.uuid4()))
    for name in PEOPLE:
        seen = PEOPLE[name][0] == "alpha"
        for path in ("/v1/images/detail?limit=1000", "/v2/images?limit=1000"):
            ids = [entry["id"] for entry in ask(name, "GET", path).json()["images"]]
            assert (image_id in ids) is seen, (name, path)


def test_what_a_client_says_of_itself_never_counts(site, people):
    """Not with the first request of a token, and not with those that follow at once."""
    owner, stranger = people["owner"], people["stranger"]
    image_id = owner.image(site)
    lies = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "somebody",
        "X-Project-Id": owner.project_id,
        "X-Tenant-Id": owner.project_id,
        "X-Tenant": owner.project_id,
        "X-Roles": "admin",
        "X-Role": "admin",
        "X-Service-Roles": "admin,service",
        "X-Service-Identity-Status": "Confirmed",
        "OpenStack-System-Scope": "all",
    }
    for _ in range(3):
        assert stranger.ask(site, "GET", f"/v2/images/{image_id}", lies).status_code == 404
        assert owner.ask(site, "GET", f"/v2/images/{image_id}", lies).json()["owner"] == owner.project_id
    assert stranger.ask(site, "DELETE", f"/v2/images/{image_id}", lies).status_code == 404


def test_no_header_of_the_client_reaches_the_application(keystone, people):
    """Of those that say who asks: what is not set by the check is removed, whether or not it is remembered."""
    from glance.api.middleware.keystone import TokenCheck

    seen = []

    def application(environ, start_response):
        seen.append({name: value for name, value in environ.items() if value == "lie"})
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    settings = {name: str(value) for name, value in authtoken(keystone).items()}
    check = TokenCheck(application, {**settings, "delay_auth_decision": "True"})
    names = [f"X{prefix}-{name}" for prefix in ("", "-Service") for name in (
        "Identity-Status", "User-Id", "User-Name", "User-Domain-Id", "User-Domain-Name", "Domain-Id", "Domain-Name",
        "Project-Id", "Project-Name", "Project-Domain-Id", "Project-Domain-Name", "Roles",
    )]  # fmt: skip
    names += ["X-Role", "X-User", "X-Tenant", "X-Tenant-Id", "X-Tenant-Name", "X-Service-Catalog", "X-Is-Admin-Project"]
    headers = dict.fromkeys([*names, "OpenStack-System-Scope"], "lie")
    for _ in range(3):
        request = webob.Request.blank("/", headers={**headers, "X-Auth-Token": people["owner"].token})
        assert request.get_response(check).status_int == 200
    assert seen == [{}] * 3


def test_a_token_that_is_good_for_some_requests_only(deploy, keystone, people):
    """Of an application credential with access rules: what one request may is no word about the next."""
    from keystoneauth1 import session
    from keystoneauth1.identity import v3
    from keystoneclient.v3 import client

    settings = {"keystone_authtoken": authtoken(keystone, service_type="restricted")}
    # The registry has other paths: rules for the API say nothing of them.
    site = deploy(api=settings, registry={"paste_deploy": {"flavor": "trusted-auth"}}, flavor="keystone")
    keystone.service("restricted", "restricted", site.endpoint)  # rules are for a type that the catalog has
    mine = client.Client(session=keystone.session("owner", PASSWORD, "alpha"))
    rules = [{"path": "/v2/images", "method": "GET", "service": "restricted"}]
    made = mine.application_credentials.create("reads lists", access_rules=rules)
    by = v3.ApplicationCredential(
        keystone.url, application_credential_id=made.id, application_credential_secret=made.secret
    )
    token = {"X-Auth-Token": by.get_token(session.Session())}
    for _ in range(3):
        assert requests.get(f"{site.endpoint}/v2/images", headers=token, timeout=60).status_code == 200
        answer = requests.post(f"{site.endpoint}/v2/images", headers=token, json={}, timeout=60)
        assert answer.status_code == 401
