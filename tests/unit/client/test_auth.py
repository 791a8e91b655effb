"""Logging in at Keystone v1, v2.0 and v3, and what follows from it."""

import io
import json
import threading

import pytest

from glance.client import Client, auth, get_client
from glance.client.http import HTTPClient
from glance.common import exception
from tests.unit.client.peer import Peer

CREDS = {"strategy": "keystone", "username": "u", "password": "p", "tenant": "t"}


class Keystone(Peer):
    """Hands out the tokens t1, t2, … in all three dialects; ``valid`` are those that ``guard`` lets pass."""

    def __init__(self, image_url: str) -> None:
        super().__init__()
        self.image_url = image_url
        self.url = f"http://127.0.0.1:{self.port}"
        self.logins = 0
        self.valid: set[str] = set()
        self.regions = ["one"]

    def speak(self, *versions: str) -> None:
        routes = {
            "v1": {("GET", "/tokens"): self._v1_login, ("GET", "/v1.0/tokens"): self._v1_login},
            "v2.0": {("POST", "/v2.0/tokens"): self._v2_login},
            "v3": {("POST", "/v3/auth/tokens"): self._v3_login},
        }
        offered = [{"id": {"v2.0": "v2.0", "v3": "v3.14", "v1": "v1.0"}[version]} for version in versions]
        for version in versions:
            self.script.update(routes[version])
        self.on("GET", "/", 300, json.dumps({"versions": {"values": offered}}))
        if "v1" not in versions:
            self.on("GET", "/tokens", 404)
        if "v2.0" not in versions:
            self.on("POST", "/v2.0/tokens", 404)

    def _token(self) -> str:
        self.logins += 1
        token = f"t{self.logins}"
        self.valid.add(token)
        return token

    def _v1_login(self, seen):
        if (seen.headers["x-auth-user"], seen.headers["x-auth-key"]) != ("u", "p"):
            return 401, {}, b""
        return 204, {"X-Auth-Token": self._token(), "X-Server-Management-Url": self.image_url}, b""

    def _v2_login(self, seen):
        given = json.loads(seen.body)["auth"]
        if given != {"tenantName": "t", "passwordCredentials": {"username": "u", "password": "p"}}:
            return 401, {}, b""
        endpoints = [{"region": region, "publicURL": self.image_url} for region in self.regions]
        catalog = [
            {"type": "compute", "endpoints": [{"region": "one", "publicURL": "http://nova/"}]},
            {"type": "image", "endpoints": endpoints},
        ]
        return 200, {}, json.dumps({"access": {"token": {"id": self._token()}, "serviceCatalog": catalog}}).encode()

    def _v3_login(self, seen):
        given = json.loads(seen.body)["auth"]
        if given["identity"]["password"]["user"]["password"] != "p":
            return 401, {}, b""
        endpoints = [
            {"interface": interface, "region": region, "region_id": region, "url": url}
            for region in self.regions
            for interface, url in (("admin", "http://admin/"), ("public", self.image_url))
        ]
        catalog = [{"type": "image", "endpoints": endpoints}]
        return 201, {"X-Subject-Token": self._token()}, json.dumps({"token": {"catalog": catalog}}).encode()

    def guard(self, peer: Peer) -> None:
        """Have the v1 routes of ``peer`` ask for a valid token."""
        answer = peer._v1

        def guarded(seen):
            if seen.headers.get("x-auth-token") not in self.valid:
                return 401, {}, b"who are you"
            return answer(seen)

        peer._v1 = guarded


@pytest.fixture
def keystone(peer):
    server = Keystone(f"http://127.0.0.1:{peer.port}")
    server.guard(peer)
    yield server
    server.close()


def make_client(keystone, path="", **creds):
    return Client("192.0.2.1", creds={**CREDS, "auth_url": keystone.url + path, **creds}, timeout=10)


@pytest.mark.parametrize(
    "path, spoken",
    [
        ("/v1.0", ["v1"]),
        ("", ["v1", "v2.0", "v3"]),
        ("/v2.0", ["v2.0"]),
        ("/v2.0/", ["v2.0"]),
        ("", ["v2.0"]),
        ("", ["v2.0", "v3"]),
        ("/v3", ["v3"]),
        ("/v3/", ["v3"]),
        ("", ["v3"]),
        ("/", ["v3"]),
    ],
)
def test_login_gives_the_token_and_the_server(keystone, peer, path, spoken):
    keystone.speak(*spoken)
    client = make_client(keystone, path)
    assert client.get_images() == []
    assert client.get_images() == []
    assert [seen.headers["x-auth-token"] for seen in peer.seen] == ["t1", "t1"]
    assert client.origin.port == peer.port
    assert keystone.logins == 1


def test_v1_headers(keystone):
    keystone.speak("v1")
    make_client(keystone).get_images()
    assert keystone.seen[0].headers["x-auth-tenant"] == "t"
    make_client(keystone, tenant=None).get_images()
    assert "x-auth-tenant" not in keystone.seen[-1].headers


@pytest.mark.parametrize("name", ["X-Image-Management-Url", "X-Server-Management-Url", "X-Glance"])
def test_v1_endpoint(keystone, peer, name):
    keystone.valid.add("t")
    headers = {"X-Glance": "http://192.0.2.1/", name: keystone.image_url}
    keystone.script["GET", "/v1.0/tokens"] = lambda seen: (200, {"X-Auth-Token": "t", **headers}, b"")
    make_client(keystone, "/v1.0").get_images()
    assert len(peer.seen) == 1


@pytest.mark.parametrize(
    "given, user, project",
    [
        ({}, {"id": "default"}, {"id": "default"}),
        ({"user_domain_id": "ud", "project_domain_id": "pd"}, {"id": "ud"}, {"id": "pd"}),
        ({"user_domain_name": "U", "project_domain_name": "P"}, {"name": "U"}, {"name": "P"}),
    ],
)
def test_v3_document(keystone, given, user, project):
    keystone.speak("v3")
    make_client(keystone, "/v3", **given).get_images()
    assert json.loads(keystone.seen[0].body) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "u", "password": "p", "domain": user}},
            },
            "scope": {"project": {"name": "t", "domain": project}},
        }
    }


@pytest.mark.parametrize("path", ["/v2.0", "/v3"])
def test_regions(keystone, path):
    keystone.speak("v2.0", "v3")
    keystone.regions = ["one", "two"]
    with pytest.raises(exception.RegionAmbiguity):
        make_client(keystone, path).get_images()
    assert make_client(keystone, path, region="two").get_images() == []
    with pytest.raises(exception.NoServiceEndpoint):
        make_client(keystone, path, region="three").get_images()


def test_the_catalogue_does_not_matter_when_it_is_not_asked_for(keystone, peer):
    keystone.speak("v2.0")
    keystone.regions = []
    creds = {**CREDS, "auth_url": f"{keystone.url}/v2.0"}
    Client("127.0.0.1", peer.port, creds=creds, configure_via_auth=False).get_images()
    assert peer.seen[0].headers["x-auth-token"] == "t1"


def test_a_refused_token_is_renewed_once(keystone, peer):
    keystone.speak("v2.0")
    client = make_client(keystone, "/v2.0")
    client.get_images()
    keystone.valid.clear()
    client.get_images()
    assert [seen.headers["x-auth-token"] for seen in peer.seen] == ["t1", "t1", "t2"]
    keystone._token = lambda: "worthless"
    keystone.valid.clear()
    with pytest.raises(exception.NotAuthenticated, match="who are you"):
        client.get_images()
    assert len(peer.seen) == 5


def test_an_upload_is_repeated_from_its_start_or_not_at_all(keystone, peer):
    keystone.speak("v2.0")
    client = make_client(keystone, "/v2.0")
    client.get_images()
    keystone.valid.clear()
    source = io.BytesIO(b"xxdata")
    source.seek(2)
    client.add_image({"name": "x"}, source)
    assert peer.seen[-1].body == b"data"
    keystone.valid.clear()
    with pytest.raises(exception.NotAuthenticated):
        client.add_image({"name": "x"}, iter([b"data"]))


def test_one_login_serves_all_threads(keystone, peer):
    keystone.speak("v2.0")
    strategy = auth.strategy({**CREDS, "auth_url": f"{keystone.url}/v2.0"}, want_endpoint=False)
    http = HTTPClient("127.0.0.1", peer.port)
    barrier = threading.Barrier(4)

    def send(headers):
        if headers["x-auth-token"] == "t1":
            barrier.wait(10)  # all four hold the old token before any of them is refused
        return http.request("GET", "/v1/images", headers=headers)

    strategy.login()
    keystone.valid.clear()
    threads = [threading.Thread(target=lambda: strategy.call(send).read()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keystone.logins == 2


def test_a_given_token_means_no_login(keystone, peer):
    keystone.valid.add("mine")
    creds = {**CREDS, "auth_url": keystone.url}
    client = Client("127.0.0.1", peer.port, auth_tok="mine", creds=creds)
    client.get_images()
    keystone.valid.clear()
    with pytest.raises(exception.NotAuthenticated):
        client.get_images()
    assert keystone.seen == []


@pytest.mark.parametrize("path", ["/v1.0", "/v2.0", "/v3", ""])
def test_wrong_password(keystone, peer, path):
    keystone.speak("v1", "v2.0", "v3")
    with pytest.raises(exception.NotAuthenticated, match="password"):
        make_client(keystone, path, password="wrong").get_images()
    assert peer.seen == []


@pytest.mark.parametrize(
    "status, kind", [(400, "AuthBadRequest"), (404, "AuthUrlNotFound"), (500, "AuthorizationFailure")]
)
def test_keystone_in_trouble(keystone, status, kind):
    keystone.on("POST", "/v2.0/tokens", status)
    with pytest.raises(getattr(exception, kind), match=f"{keystone.url}/v2.0"):
        make_client(keystone, "/v2.0").get_images()


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"access": null}', '{"access": {"token": {"id": "t"}, "serviceCatalog": [1]}}']
)
def test_a_malformed_answer(keystone, body):
    keystone.on("POST", "/v2.0/tokens", 200, body)
    with pytest.raises(exception.AuthorizationFailure):
        make_client(keystone, "/v2.0").get_images()


def test_keystone_not_there(keystone, peer):
    keystone.close()
    with pytest.raises(exception.ClientConnectionError, match=str(keystone.port)):
        make_client(keystone, "/v2.0").get_images()


def test_305_is_followed_ten_times(keystone):
    keystone.speak("v2.0")
    for n in range(11):
        keystone.on("POST", f"/{n}/v2.0/tokens", 305, Location=f"{keystone.url}/{n + 1}/v2.0/tokens")
    keystone.script["POST", "/11/v2.0/tokens"] = keystone.script["POST", "/v2.0/tokens"]
    make_client(keystone, "/1/v2.0").get_images()
    with pytest.raises(exception.MaxRedirectsExceeded):
        make_client(keystone, "/0/v2.0").get_images()
    keystone.on("POST", "/v2.0/tokens", 305)
    with pytest.raises(exception.InvalidRedirect):
        make_client(keystone, "/v2.0").get_images()


@pytest.mark.parametrize("name", ["username", "password", "auth_url"])
def test_missing_credentials(keystone, name):
    with pytest.raises(exception.MissingCredentialError, match=name):
        make_client(keystone, **{name: None})


@pytest.mark.parametrize("path", ["/v2.0", "/v3"])
def test_missing_tenant(keystone, path):
    with pytest.raises(exception.MissingCredentialError, match="tenant"):
        make_client(keystone, path, tenant=None).get_images()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/v2.0", "http://[/v2.0", "http://127.0.0.1:99999/v2.0"])
def test_an_auth_url_that_is_none(url):
    with pytest.raises(exception.AuthBadRequest):
        Client("127.0.0.1", creds={**CREDS, "auth_url": url}).get_images()


def test_unknown_strategy():
    with pytest.raises(exception.BadAuthStrategy):
        Client("127.0.0.1", creds={"strategy": "kerberos"})


# --- where credentials come from -------------------------------------------


def test_environment(monkeypatch):
    assert auth.credentials() == {"strategy": "noauth"}
    monkeypatch.setenv("OS_USERNAME", "second")
    monkeypatch.setenv("OS_PROJECT_NAME", "third")
    monkeypatch.setenv("OS_REGION_NAME", "r")
    monkeypatch.setenv("OS_USER_DOMAIN_NAME", "d")
    monkeypatch.setenv("OS_PASSWORD", "")
    assert auth.credentials(region="given") == {
        "strategy": "noauth",
        "username": "second",
        "tenant": "third",
        "region": "given",
        "user_domain_name": "d",
    }
    monkeypatch.setenv("OS_TENANT_NAME", "second")
    monkeypatch.setenv("OS_AUTH_TENANT", "first")
    monkeypatch.setenv("OS_AUTH_USER", "first")
    assert auth.credentials()["tenant"] == auth.credentials()["username"] == "first"


def test_an_auth_url_forces_keystone(monkeypatch):
    monkeypatch.setenv("OS_AUTH_STRATEGY", "noauth")
    assert auth.credentials(auth_url="http://k/")["strategy"] == "keystone"
    monkeypatch.setenv("OS_AUTH_URL", "http://k/")
    assert auth.credentials()["strategy"] == "keystone"


def test_strategies_that_cannot_work():
    with pytest.raises(exception.ClientConfigurationError, match="OS_AUTH_URL"):
        auth.credentials(strategy="keystone")
    with pytest.raises(exception.ClientConfigurationError, match="kerberos"):
        auth.credentials(strategy="kerberos")


def test_get_client_logs_in(keystone, monkeypatch):
    keystone.speak("v3")
    monkeypatch.setenv("OS_AUTH_URL", f"{keystone.url}/v3")
    monkeypatch.setenv("OS_AUTH_KEY", "p")
    assert get_client("192.0.2.1", username="u", tenant="t").get_images() == []
