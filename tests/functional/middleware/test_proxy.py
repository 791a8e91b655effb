"""What a proxy in front says about a request (spec policy-quota-protection.md §8)."""

import json

import pytest
import requests

from tests.functional.conftest import identity
from tests.functional.v1.conftest import wait_until
from tests.functional.v1.raw import Conversation

ON = {"oslo_middleware": {"enable_proxy_headers_parsing": True}}
PUBLIC_ENDPOINT = "https://public.example.com/images"
MITAKA = "cors versionnegotiation unauthenticated-context rootapp"
HTTPS = {"X-Forwarded-Proto": "https"}
HOST = {"X-Forwarded-Host": "images.example.com"}


@pytest.fixture(scope="module")
def site(deploy):
    return deploy(api={**ON, "notifier_strategy": "logging"})


@pytest.fixture(scope="module")
def public(deploy):
    return deploy(api={**ON, "public_endpoint": PUBLIC_ENDPOINT})


def bases(site, headers, path="/versions"):
    """What the links of the versions document begin with."""
    with Conversation(site.api_port) as conversation:
        answer = conversation.ask("GET", path, headers)
    assert answer.status in (200, 300), answer.text
    links = {entry["links"][0]["href"] for entry in json.loads(answer.body)["versions"]}
    found = {link.removesuffix("/").rpartition("/")[0] for link in links}
    assert links == {f"{base}/{version}/" for base in found for version in ("v1", "v2")}
    return found


def locations(site, headers):
    """The Location headers of a new image of each API."""
    v1 = requests.post(f"{site.endpoint}/v1/images", headers=headers, timeout=60)
    v2 = requests.post(f"{site.endpoint}/v2/images", headers=headers, json={}, timeout=60)
    assert (v1.status_code, v2.status_code) == (201, 201)
    ends = f"/v1/images/{v1.json()['image']['id']}", f"/v2/images/{v2.json()['id']}"
    found = v1.headers["Location"], v2.headers["Location"]
    assert all(location.endswith(end) for location, end in zip(found, ends, strict=True))
    return {location.removesuffix(end) for location, end in zip(found, ends, strict=True)}


# "test" is the Host header of a Conversation.
SAID = [
    ({}, "http://test"),
    (HTTPS, "https://test"),
    (HOST, "http://images.example.com"),
    (HTTPS | HOST, "https://images.example.com"),
    (HTTPS | {"X-Forwarded-Host": "images.example.com:8443"}, "https://images.example.com:8443"),
    (HTTPS | {"X-Forwarded-Host": "[2001:db8::1]:8443"}, "https://[2001:db8::1]:8443"),
    ({"X-Forwarded-Proto": "HTTPS, http", "X-Forwarded-Host": "first.example.com, second"}, "https://first.example.com"),
    (HTTPS | {"X-Forwarded-Port": "8443"}, "https://test:8443"),
    (HTTPS | HOST | {"X-Forwarded-Port": "8443"}, "https://images.example.com:8443"),
    (HTTPS | HOST | {"X-Forwarded-Port": "443"}, "https://images.example.com"),
    (HTTPS | {"X-Forwarded-Host": "images.example.com:1", "X-Forwarded-Port": "2"}, "https://images.example.com:2"),
    ({"X-Forwarded-Prefix": "/image"}, "http://test/image"),
    (HTTPS | HOST | {"X-Forwarded-Prefix": "/a/b/"}, "https://images.example.com/a/b"),
    ({"Forwarded": "for=192.0.2.60;proto=https;host=images.example.com"}, "https://images.example.com"),
    ({"Forwarded": 'For="[2001:db8::1]:4711"; Proto=HTTPS; Host="images.example.com:8443", proto=http;host=inner'},
     "https://images.example.com:8443"),
    ({"Forwarded": "proto=https"} | HOST, "https://test"),  # the newer header counts alone
    ({"Forwarded": "proto=https", "X-Forwarded-Prefix": "/image"}, "https://test/image"),
]  # fmt: skip
NONSENSE = [
    {"X-Forwarded-Proto": "javascript"},
    {"X-Forwarded-Proto": ""},
    {"X-Forwarded-Host": "a b"},
    {"X-Forwarded-Host": "user@evil.example.com"},
    {"X-Forwarded-Host": "evil.example.com/path"},
    {"X-Forwarded-Host": "é.example.com"},
    {"X-Forwarded-Host": '"'},
    {"X-Forwarded-Port": "many"},
    {"X-Forwarded-Port": "-1"},
    {"X-Forwarded-Prefix": "image"},
    {"X-Forwarded-Prefix": "/image?x"},
    {"X-Forwarded-Prefix": "//evil.example.com"},
    {"X-Forwarded-Prefix": "/<script>"},
    {"Forwarded": ';=,"\\'},
    {"Forwarded": "proto"},
    {"Forwarded": 'host="'},
    {"Forwarded": "a" * 16000},
    {"Forwarded": "é=é;proto=é"},
]


@pytest.mark.parametrize(("headers", "base"), SAID, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("path", ["/", "/versions"])
def test_versions(site, headers, base, path):
    assert bases(site, headers, path) == {base}


@pytest.mark.parametrize("headers", NONSENSE, ids=lambda value: str(value)[:60])
def test_nonsense_is_left_aside(site, headers):
    assert bases(site, headers) == {"http://test"}


@pytest.mark.parametrize("headers", [headers for headers, _ in SAID], ids=lambda value: str(value)[:60])
def test_off_by_default(noauth, headers):
    assert bases(noauth, headers) == {"http://test"}


@pytest.mark.parametrize("headers", [HTTPS | HOST, {"Forwarded": "proto=https;host=images.example.com"}])
def test_location(site, noauth, headers):
    assert locations(site, headers) == {"https://images.example.com"}
    assert locations(noauth, headers) == {noauth.endpoint}


def test_location_with_a_prefix(site):
    assert locations(site, HTTPS | HOST | {"X-Forwarded-Prefix": "/image"}) == {"https://images.example.com/image"}


def test_redirect(site):
    answer = requests.get(f"{site.endpoint}/v1", headers=HTTPS | HOST, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://images.example.com/v1/")


def test_links_in_bodies_are_paths(site):
    headers = HTTPS | HOST | {"X-Forwarded-Prefix": "/image"}
    for _ in range(2):
        assert requests.post(f"{site.endpoint}/v2/images", headers=headers, json={}, timeout=60).status_code == 201
    page = requests.get(f"{site.endpoint}/v2/images?limit=1", headers=headers, timeout=60).json()
    image = page["images"][0]
    assert page["next"].startswith("/v2/images?limit=1&marker=")
    assert (page["first"], page["schema"]) == ("/v2/images?limit=1", "/v2/schemas/images")
    assert (image["self"], image["schema"]) == (f"/v2/images/{image['id']}", "/v2/schemas/image")
    schema = requests.get(f"{site.endpoint}/v2/schemas/image", headers=headers, timeout=60).json()
    assert {link["href"] for link in schema["links"]} == {"{self}", "{file}", "{schema}"}


def test_a_prefix_does_not_hide_the_api(site):
    headers = {"X-Forwarded-Prefix": "/image", "Accept": "application/json"}
    answer = requests.get(f"{site.endpoint}/v2/images/frob", headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (404, "application/json")


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-For": "192.0.2.60, 192.0.2.61"}, "192.0.2.60"),
        ({"X-Forwarded-For": "192.0.2.60:4711"}, "192.0.2.60"),
        ({"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1"),
        ({"Forwarded": 'for="[2001:db8::2]:4711"'}, "2001:db8::2"),
        ({"Forwarded": "for=_hidden"}, "127.0.0.1"),
        ({"X-Forwarded-For": "unknown"}, "127.0.0.1"),
    ],
)
def test_the_client_in_notifications(site, headers, address):
    image = site.create(b"data")
    mark = site.api.log.stat().st_size
    requests.get(f"{site.url}/images/{image['id']}", headers=headers, timeout=60)

    def said():
        with site.api.log.open("rb") as log:
            log.seek(mark)
            return [line for line in log.read().decode().splitlines() if '"image.send"' in line]

    (line,) = wait_until(said, "image.send")
    assert f'"destination_ip": "{address}"' in line


# --- public_endpoint --------------------------------------------------------------


@pytest.mark.parametrize("headers", [headers for headers, _ in SAID], ids=lambda value: str(value)[:60])
def test_public_endpoint_wins(public, headers):
    assert bases(public, headers) == {PUBLIC_ENDPOINT}


def test_public_endpoint_in_the_location_of_v2(public):
    answer = requests.post(f"{public.endpoint}/v2/images", headers=HTTPS | HOST, json={}, timeout=60)
    assert answer.headers["Location"] == f"{PUBLIC_ENDPOINT}/v2/images/{answer.json()['id']}"


# --- the ssl filter of the earlier years ------------------------------------------


@pytest.mark.parametrize(
    "factory",
    ["paste.filter_factory = oslo_middleware.ssl:SSLMiddleware.factory",
     "paste.filter_factory = oslo_middleware:SSLMiddleware.factory", "use = egg:oslo.middleware#ssl"],
)  # fmt: skip
def test_ssl_filter(deploy, factory):
    site = deploy(
        registry_runs=False,
        paste=f"[filter:ssl]\n{factory}\n[pipeline:glance-api]\npipeline = ssl {MITAKA}",
    )
    assert bases(site, HTTPS | HOST) == {"https://test"}
    assert bases(site, {"X-Forwarded-Proto": "javascript"}) == {"http://test"}
    assert bases(site, {}) == {"http://test"}


@pytest.mark.parametrize("place", ["paste", "file"])
def test_secure_proxy_ssl_header(deploy, place):
    option = {"secure_proxy_ssl_header": "X-Secure"}
    inline = "secure_proxy_ssl_header = X-Secure" if place == "paste" else ""
    site = deploy(
        registry_runs=False,
        api={} if place == "paste" else {"oslo_middleware": option},
        paste=f"[filter:ssl]\nuse = egg:oslo.middleware#ssl\n{inline}\n[pipeline:glance-api]\npipeline = ssl {MITAKA}",
    )
    assert bases(site, {"X-Secure": "https"}) == {"https://test"}
    assert bases(site, HTTPS) == {"http://test"}


def test_secure_proxy_ssl_header_alone_does_nothing(deploy):
    site = deploy(registry_runs=False, api={"oslo_middleware": {"secure_proxy_ssl_header": "X-Secure"}})
    assert bases(site, {"X-Secure": "https"} | HTTPS) == {"http://test"}


def test_http_proxy_to_wsgi_from_an_egg(deploy):
    section = "[filter:proxy]\nuse = egg:oslo.middleware#http_proxy_to_wsgi"
    site = deploy(registry_runs=False, api=ON, paste=f"{section}\n[pipeline:glance-api]\npipeline = proxy {MITAKA}")
    assert bases(site, HTTPS | HOST) == {"https://images.example.com"}


def test_identity_is_unaffected(trusted):
    answer = requests.get(f"{trusted.endpoint}/v2/images", headers=identity("t") | HTTPS | HOST, timeout=60)
    assert answer.status_code == 200
