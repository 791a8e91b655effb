"""The cors filter (spec policy-quota-protection.md §8, daemons-and-config.md §3.3)."""

import signal
import uuid

import pytest
import requests

from tests.functional.conftest import identity
from tests.functional.v1.conftest import wait_until
from tests.functional.v1.raw import Conversation

FIRST, SECOND, SUB, TERSE, OTHER = (
    f"https://{name}.example.com" for name in ("first", "second:8443", "sub", "terse", "other")
)
SIMPLE_HEADERS = {"Content-Type", "Cache-Control", "Content-Language", "Expires", "Last-Modified", "Pragma"}
ALLOWED_HEADERS = SIMPLE_HEADERS | {
    "Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding", "X-Auth-Token",
    "X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id", "X-Tenant-Id", "X-OpenStack-Request-ID",
}  # fmt: skip
EXPOSED_HEADERS = SIMPLE_HEADERS | {
    "X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-OpenStack-Request-ID"
}  # fmt: skip
METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]
PATHS = ["/v1/images", "/v2/images", "/v2/images/frob/file", "/v1/frob", "/", "/versions", "/v9/nothing"]
SIZE_CAP = 100


@pytest.fixture(scope="module")
def site(deploy):
    """Believes identities and knows some origins."""
    return deploy(
        flavor="trusted-auth",
        api={
            "image_size_cap": SIZE_CAP,
            "cors": {"allowed_origin": f"{FIRST}, {SECOND}"},
            "cors.subdomain": {"allowed_origin": SUB, "max_age": 7, "allow_credentials": False},
            "cors.terse": {
                "allowed_origin": TERSE, "allow_methods": "GET", "allow_headers": "X-Mine", "expose_headers": "X-Yours"
            },
            "cors.nobody": {"max_age": 8},
        },
    )  # fmt: skip


def preflight(site, path="/v2/images", origin=FIRST, method="GET", headers=None):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return requests.options(site.endpoint + path, headers=asked, timeout=60)


def listed(answer, name):
    return {part.strip() for part in answer.headers[f"Access-Control-{name}"].split(",")}


def cors_headers(answer):
    return {name: value for name, value in answer.headers.items() if name.lower().startswith("access-control-")}


def allows(answer, origin):
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Origin" in answer.headers["Vary"]
    return True


# --- preflight --------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_preflight_needs_no_identity(site, path):
    answer = preflight(site, path)
    assert answer.status_code == 200
    assert allows(answer, FIRST)
    assert answer.headers["Access-Control-Max-Age"] == "3600"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("method", METHODS)
def test_preflight_methods(site, method):
    answer = preflight(site, method=method)
    assert (answer.status_code, listed(answer, "Allow-Methods")) == (200, {method})


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "FROB", "get"])
def test_preflight_for_another_method(site, method):
    answer = preflight(site, method=method)
    assert (answer.status_code, cors_headers(answer)) == (200, {})


@pytest.mark.parametrize("header", sorted(ALLOWED_HEADERS))
def test_preflight_headers(site, header):
    assert listed(preflight(site, headers=header), "Allow-Headers") == {header}
    assert listed(preflight(site, headers=header.lower()), "Allow-Headers") == {header.lower()}


def test_preflight_for_all_headers_at_once(site):
    answer = preflight(site, method="PUT", headers=", ".join(ALLOWED_HEADERS))
    assert listed(answer, "Allow-Headers") == ALLOWED_HEADERS


@pytest.mark.parametrize("headers", ["X-Frob", "X-Auth-Token, X-Frob"])
def test_preflight_for_another_header(site, headers):
    answer = preflight(site, headers=headers)
    assert (answer.status_code, cors_headers(answer)) == (200, {})


def test_preflight_of_a_stranger(site):
    answer = preflight(site, origin=OTHER)
    assert (answer.status_code, cors_headers(answer)) == (200, {})


def test_preflight_before_keystone_is_asked(deploy):
    url = "http://127.0.0.1:1"
    keystone = {"www_authenticate_uri": url, "auth_url": url, "auth_type": "password", "username": "glance",
                "password": "p", "project_name": "service"}  # fmt: skip
    site = deploy(
        flavor="keystone", registry_runs=False, api={"cors": {"allowed_origin": FIRST}, "keystone_authtoken": keystone}
    )
    answer = preflight(site, headers="X-Auth-Token")
    assert (answer.status_code, listed(answer, "Allow-Headers")) == (200, {"X-Auth-Token"})
    answer = requests.get(f"{site.endpoint}/v2/images", headers={"Origin": FIRST}, timeout=60)
    assert answer.status_code == 401
    assert allows(answer, FIRST)
    answer = requests.get(f"{site.endpoint}/v2/images", headers={"Origin": FIRST, "X-Auth-Token": "t"}, timeout=60)
    assert answer.status_code == 503  # Keystone is away
    assert allows(answer, FIRST)


# --- requests ---------------------------------------------------------------------


@pytest.mark.parametrize("origin", [FIRST, SECOND])
@pytest.mark.parametrize("path", ["/v1/images", "/v1/images/detail", "/v2/images", "/v2/schemas/image"])
def test_request(site, path, origin):
    answer = requests.get(site.endpoint + path, headers=identity("t") | {"Origin": origin}, timeout=60)
    assert answer.status_code == 200
    assert allows(answer, origin)
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert listed(answer, "Expose-Headers") == EXPOSED_HEADERS
    assert answer.headers["X-OpenStack-Request-ID"].startswith("req-")


@pytest.mark.parametrize("origin", [OTHER, FIRST + "/", FIRST.upper(), FIRST + ":443", "null", "", "https://é"])
def test_request_of_a_stranger_is_answered(site, origin):
    with Conversation(site.api_port) as conversation:
        answer = conversation.ask("GET", "/v2/images", identity("t"), {"Origin": origin})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_request_without_origin(site):
    answer = requests.get(f"{site.endpoint}/v2/images", headers=identity("t"), timeout=60)
    assert (answer.status_code, cors_headers(answer)) == (200, {})


@pytest.mark.parametrize(("path", "status"), [("/", 300), ("/versions", 200), ("/v9", 300), ("/healthcheck", 200)])
def test_answers_without_identity(site, path, status):
    answer = requests.get(site.endpoint + path, headers={"Origin": FIRST}, timeout=60)
    assert answer.status_code == status
    assert allows(answer, FIRST)


def test_data_goes_through_as_it_is(site):
    caller = identity("data") | {"Origin": FIRST}
    image = site.create(b"x" * SIZE_CAP, headers=caller)
    for path in (f"/v1/images/{image['id']}", f"/v2/images/{image['id']}/file"):
        answer = requests.get(site.endpoint + path, headers=caller, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"x" * SIZE_CAP)
        assert allows(answer, FIRST)
    answer = requests.head(f"{site.endpoint}/v1/images/{image['id']}", headers=caller, timeout=60)
    assert (answer.status_code, answer.headers["x-image-meta-size"]) == (200, str(SIZE_CAP))
    assert allows(answer, FIRST)


def test_errors_can_be_read_too(site):
    caller = identity("errors") | {"Origin": FIRST}
    unknown = uuid.uuid4()
    octets = {"Content-Type": "application/octet-stream"}
    image = requests.post(
        f"{site.endpoint}/v2/images",
        headers=caller,
        json={"disk_format": "raw", "container_format": "bare"},
        timeout=60,
    ).json()
    for status, method, path, headers, body in (
        (401, "GET", "/v1/images", {"Origin": FIRST}, None),
        (401, "GET", "/v2/images", {"Origin": FIRST}, None),
        (404, "GET", f"/v1/images/{unknown}", caller, None),
        (404, "GET", f"/v2/images/{unknown}", caller, None),
        (404, "GET", "/v2/frob", caller, None),
        (405, "PUT", "/v2/images", caller, None),
        (400, "POST", "/v2/images", caller, b"{"),
        (413, "PUT", f"/v2/images/{image['id']}/file", caller | octets, b"x" * (SIZE_CAP + 1)),
        (431, "GET", "/v2/images", caller | {"X-Openstack-Request-ID": "r" * 65}, None),
    ):
        answer = requests.request(method, site.endpoint + path, headers=headers, data=body, timeout=60)
        assert answer.status_code == status, path
        assert allows(answer, FIRST), path


# --- groups -----------------------------------------------------------------------


def test_group_has_its_own_options_and_those_of_all(site):
    answer = preflight(site, origin=SUB, headers="X-Auth-Token", method="PATCH")
    assert allows(answer, SUB)
    assert answer.headers["Access-Control-Max-Age"] == "7"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert (listed(answer, "Allow-Headers"), listed(answer, "Allow-Methods")) == ({"X-Auth-Token"}, {"PATCH"})
    answer = requests.get(f"{site.endpoint}/versions", headers={"Origin": SUB}, timeout=60)
    assert allows(answer, SUB)
    assert listed(answer, "Expose-Headers") == EXPOSED_HEADERS


def test_group_with_less(site):
    assert listed(preflight(site, origin=TERSE, headers="x-mine"), "Allow-Headers") == {"x-mine"}
    assert preflight(site, origin=TERSE).headers["Access-Control-Max-Age"] == "3600"
    for answer in (
        preflight(site, origin=TERSE, headers="X-Auth-Token"),
        preflight(site, origin=TERSE, method="PUT"),
    ):
        assert (answer.status_code, cors_headers(answer)) == (200, {})
    answer = requests.get(f"{site.endpoint}/versions", headers={"Origin": TERSE}, timeout=60)
    assert listed(answer, "Expose-Headers") == {"X-Yours"}


def test_group_without_an_origin_changes_nothing(site):
    assert preflight(site, origin=FIRST).headers["Access-Control-Max-Age"] == "3600"


def test_a_group_alone_switches_it_on(deploy):
    site = deploy(registry_runs=False, api={"cors": {"max_age": 9}, "cors.only": {"allowed_origin": SUB}})
    assert preflight(site, origin=SUB).headers["Access-Control-Max-Age"] == "9"
    assert cors_headers(preflight(site, origin=FIRST)) == {}


# --- everybody, nobody ------------------------------------------------------------


def test_any_origin(deploy):
    cors = {
        "allowed_origin": "*",
        "allow_credentials": False,
        "max_age": 10,
        "expose_headers": "",
        "allow_methods": "PUT",
    }
    site = deploy(registry_runs=False, api={"cors": cors})
    answer = preflight(site, origin=OTHER, method="PUT")
    assert allows(answer, "*")
    assert answer.headers["Access-Control-Max-Age"] == "10"
    assert cors_headers(preflight(site, origin=OTHER, method="GET")) == {}
    answer = requests.get(f"{site.endpoint}/versions", headers={"Origin": OTHER}, timeout=60)
    assert cors_headers(answer) == {"Access-Control-Allow-Origin": "*"}


def test_off_by_default(trusted):
    answer = requests.get(f"{trusted.endpoint}/v2/images", headers=identity("t") | {"Origin": FIRST}, timeout=60)
    assert (answer.status_code, cors_headers(answer)) == (200, {})
    assert cors_headers(preflight(trusted)) == {}
    assert preflight(trusted).status_code == 401


# --- where the options may stand --------------------------------------------------


@pytest.mark.parametrize(
    "factory",
    ["paste.filter_factory = oslo_middleware:CORS.factory", "use = egg:oslo.middleware#cors"],
    ids=["factory", "egg"],
)
def test_options_in_the_paste_section(deploy, factory):
    section = f"{factory}\noslo_config_project = glance\noslo_config_program = glance-api"
    own = f"allowed_origin = {FIRST},{SECOND}\nmax_age = 11\nallow_methods = GET\nallow_credentials = false"
    pipeline = "[pipeline:glance-api]\npipeline = mycors versionnegotiation unauthenticated-context rootapp"
    site = deploy(registry_runs=False, paste=f"[filter:mycors]\n{section}\n{own}\n{pipeline}")
    for origin in (FIRST, SECOND):
        answer = preflight(site, origin=origin, headers="X-Auth-Token")
        assert allows(answer, origin)
        assert answer.headers["Access-Control-Max-Age"] == "11"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert listed(answer, "Allow-Headers") == {"X-Auth-Token"}
    assert cors_headers(preflight(site, method="PUT")) == {}
    assert cors_headers(preflight(site, origin=OTHER)) == {}


def test_the_options_of_the_daemons_file_without_any_in_the_paste_section(deploy):
    section = "use = egg:oslo.middleware#cors\noslo_config_project = glance\noslo_config_program = glance-api"
    pipeline = "[pipeline:glance-api]\npipeline = mycors versionnegotiation unauthenticated-context rootapp"
    site = deploy(
        registry_runs=False, api={"cors": {"allowed_origin": FIRST}}, paste=f"[filter:mycors]\n{section}\n{pipeline}"
    )
    assert allows(preflight(site), FIRST)


def test_a_reload_reads_the_groups_again(deploy):
    site = deploy(registry_runs=False, api={"cors": {"allowed_origin": FIRST}, "cors.sub": {"allowed_origin": SUB}})
    assert allows(preflight(site, origin=SUB), SUB)
    text = site.api.config.read_text()
    site.api.config.write_text(text.replace("cors.sub", "cors.new").replace(SUB, OTHER))
    site.api.process.send_signal(signal.SIGHUP)
    wait_until(lambda: cors_headers(preflight(site, origin=OTHER)), "the new origin is known")
    wait_until(lambda: not cors_headers(preflight(site, origin=SUB)), "the old one is not")
    assert allows(preflight(site), FIRST)


@pytest.mark.parametrize(
    ("settings", "paste", "named"),
    [
        ({"cors": {"allowed_origin": FIRST, "max_age": "often"}}, "", "max_age"),
        ({"cors.sub": {"allowed_origin": FIRST, "allow_credentials": "perhaps"}}, "", "[cors.sub] allow_credentials"),
        ({}, f"[filter:cors]\nallowed_origin = {FIRST}\nmax_age = often", "often"),
    ],
)
def test_a_bad_value_stops_the_start(deploy, settings, paste, named):
    with pytest.raises(RuntimeError) as error:
        deploy(registry_runs=False, api=settings, paste=paste)
    assert "ERROR: " in str(error.value) and named in str(error.value)
    assert "Traceback" not in str(error.value)
