"""A malformed request is answered with a 4xx, whoever sends it, by both servers (spec security.md §2, §5 E)."""

import json
import string
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN
from tests.functional.v1.raw import Conversation

BOUNDED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
USER = identity("fuzz")
OCTETS = {"Content-Type": "application/octet-stream"}

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROB"])
KEYS = [
    "id", "name", "disk_format", "container_format", "size", "checksum", "min_disk", "min_ram", "virtual_size",
    "is_public", "protected", "deleted", "owner", "store", "status", "created_at", "updated_at", "deleted_at", "type",
    "location", "property-x", "property-", "property", "", "frob",
]  # fmt: skip
OTHERS = [
    "x-glance-registry-purge-props", "Content-Type", "Accept", "x-openstack-request-id", "If-None-Match", "Range",
    "X-Roles", "X-Tenant-Id", "X-User-Id", "X-Service-Catalog", "X-Service-Roles", "Accept-Language", "Accept-Encoding",
    "X-Auth-Token", "Expect", "If-Modified-Since", "X-Forwarded-For", "Origin",
]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from([f"x-image-meta-{key}" for key in KEYS] + OTHERS),
    st.text(string.ascii_letters + "-_.!#", min_size=1, max_size=20).map(lambda name: "x-image-meta-" + name),
)
NASTY = st.sampled_from(
    ["-1", "0", "1" * 30, "1e9", "0x10", "NaN", "None", "none", "null", "true", "%00", "../..", "é", "\U0001f600", "[",
     '"', "'; --", "2012-13-45", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "x" * 300, "file:///etc/x",
     "http://", "image/*;q=x", "text/html;q=0.", "W/", "bytes=--1", "١٢"]
)  # fmt: skip
VALUES = st.one_of(
    NASTY.map(str.encode),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
).map(lambda value: bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F))
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4)
PARAMETERS = st.sampled_from(
    ["name", "status", "container_format", "disk_format", "size_min", "size_max", "min_ram", "min_disk", "protected",
     "is_public", "changes-since", "property-x", "property-", "limit", "marker", "sort_key", "sort_dir", "deleted",
     "owner", "", "frob"]
)  # fmt: skip
QUERIES = st.lists(st.tuples(PARAMETERS, st.one_of(VALUES, st.binary(max_size=20))), max_size=4).map(
    lambda pairs: "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs)
)
SEGMENTS = st.one_of(
    st.sampled_from(["images", "detail", "members", "shared-images", "", "..", ".", "%2F", "%00", "%ff", "x" * 300]),
    st.binary(max_size=12).map(quote_from_bytes),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ROW_KEYS = st.sampled_from(
    ["id", "name", "status", "disk_format", "container_format", "size", "checksum", "min_disk", "min_ram", "owner",
     "virtual_size", "is_public", "protected", "properties", "location", "location_data", "locations", "created_at",
     "os_hash_algo", "os_hash_value", "deleted", "frob"]
)  # fmt: skip
ROWS = st.dictionaries(ROW_KEYS, JSON | st.sampled_from(["active", "queued", "raw", "bare", "1", 1]), max_size=5)


@pytest.fixture(autouse=True, scope="module")
def no_traceback(trusted):
    """Whatever is sent, neither server is surprised by it."""
    before = [daemon.log.read_text().count("Traceback") for daemon in (trusted.api, trusted.registry)]
    yield
    after = [daemon.log.read_text().count("Traceback") for daemon in (trusted.api, trusted.registry)]
    assert after == before


def check(port, method, path, *headers, body=b""):
    """Send a request and see that the answer is no server error."""
    with Conversation(port) as conversation:
        answer = conversation.ask(method, path, *headers, body=body)
    assert answer.status < 500 or answer.status in (501, 505), answer.text
    assert b"Traceback" not in answer.body
    assert b"/glance/" not in answer.body
    return answer.status


# --- hypothesis --------------------------------------------------------------------------------


@BOUNDED
@given(st.sampled_from(["POST", "PUT"]), HEADERS, st.sampled_from([b"", b"data"]), st.booleans())
def test_any_header(trusted, method, headers, body, admin):
    path = "/v1/images" if method == "POST" else "/v1/images/7d6d3f4e-0000-4000-8000-000000000000"
    caller = {name: value for name, value in (ADMIN if admin else USER).items() if name not in headers}
    check(trusted.api_port, method, path, caller, headers, body=body)


@BOUNDED
@given(HEADERS)
def test_any_header_on_an_existing_image(trusted, headers):
    image = trusted.create(headers=ADMIN)
    caller = {name: value for name, value in ADMIN.items() if name not in headers}
    path = f"/v1/images/{image['id']}"
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        check(trusted.api_port, method, path, caller, headers)


@BOUNDED
@given(st.sampled_from(["/images", "/images/detail", "/"]), QUERIES, st.booleans())
def test_any_query(trusted, path, query, admin):
    caller = ADMIN if admin else USER
    status = check(trusted.api_port, "GET", f"/v1{path}?{query}", caller)
    assert check(trusted.registry_port, "GET", f"{path}?{query}", caller) == status


@BOUNDED
@given(METHODS, st.lists(SEGMENTS, max_size=4), st.booleans())
def test_any_path(trusted, method, segments, versioned):
    path = "/".join(["", *(["v1"] if versioned else []), *segments])
    check(trusted.api_port, method, path, ADMIN)
    check(trusted.registry_port, method, path, ADMIN)


@BOUNDED
@given(st.one_of(JSON.map(lambda body: json.dumps(body).encode()), st.binary(max_size=40)), st.booleans())
def test_any_membership(trusted, body, several):
    image = trusted.create(headers=USER)
    for port, prefix in ((trusted.api_port, "/v1"), (trusted.registry_port, "")):
        path = f"{prefix}/images/{image['id']}/members" + ("" if several else "/m")
        check(port, "PUT", path, USER, body=body)


@BOUNDED
@given(
    st.one_of(st.dictionaries(st.sampled_from(["member", "memberships"]), JSON, max_size=2),
              st.lists(st.dictionaries(st.sampled_from(["member_id", "can_share"]), JSON, max_size=2), max_size=3)),
    st.booleans(),
)  # fmt: skip
def test_any_likely_membership(trusted, body, several):
    test_any_membership.hypothesis.inner_test(trusted, json.dumps(body).encode(), several)


@BOUNDED
@given(ROWS, st.booleans(), st.sampled_from([None, "queued", "x", 1, []]))
def test_any_row_for_the_registry(trusted, row, admin, from_state):
    caller = ADMIN if admin else USER
    body = json.dumps({"image": row, "from_state": from_state}).encode()
    check(trusted.registry_port, "POST", "/images", caller, body=body)
    image = trusted.create(headers=caller)
    check(trusted.registry_port, "PUT", f"/images/{image['id']}", caller, body=body)


@BOUNDED
@given(st.one_of(JSON.map(lambda body: json.dumps(body).encode()), st.binary(max_size=40)))
def test_any_body_for_the_registry(trusted, body):
    image = trusted.create(headers=USER)
    for method, path in (("POST", "/images"), ("PUT", f"/images/{image['id']}"), ("PUT", "/transfers")):
        check(trusted.registry_port, method, path, ADMIN, body=body)


# --- what others' servers fell over ------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Image-Meta-Name : y\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Image-Meta-Name: a\0b\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Image-Meta-Name: a\nX-Roles: admin\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\n\r\n",
        b"GET  /v1/images HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\xffT /v1/images HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/images\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_malformed_http(trusted, request_bytes):
    for port in (trusted.api_port, trusted.registry_port):
        with Conversation(port) as conversation:
            conversation.send(request_bytes)
            answer = conversation.answer()
            assert 400 <= answer.status < 500
            assert conversation.closed()


@pytest.mark.parametrize("depth", [1000, 100_000, 400_000])
def test_deeply_nested_json(trusted, depth):
    image = trusted.create(headers=USER)
    for opening in (b"[", b'{"a":'):
        for port, path in (
            (trusted.api_port, f"/v1/images/{image['id']}/members"),
            (trusted.api_port, f"/v1/images/{image['id']}/members/m"),
            (trusted.registry_port, "/images"),
        ):
            method = "POST" if path == "/images" else "PUT"
            status = check(port, method, path, ADMIN, body=opening * depth)
            assert status in (400, 413)


def test_too_large_json(trusted):
    image = trusted.create(headers=USER)
    with Conversation(trusted.api_port) as conversation:
        conversation.head("PUT", f"/v1/images/{image['id']}/members", USER, {"Content-Length": str(2**40)})
        assert conversation.answer().status == 413
    with Conversation(trusted.api_port) as conversation:
        conversation.head("PUT", f"/v1/images/{image['id']}/members", USER, {"Transfer-Encoding": "chunked"})
        for _ in range(17):
            conversation.chunk(b" " * 65536)
        conversation.end()
        assert conversation.answer().status == 413


def test_numbers_beyond_64_bits(trusted):
    for number in (2**63, 2**64, 10**30, -(2**63) - 1):
        for key in ("size", "min_disk", "min_ram", "virtual_size"):
            header = {f"x-image-meta-{key}": str(number)}
            assert check(trusted.api_port, "POST", "/v1/images", USER, header) == 400
            body = json.dumps({"image": {key: number, "status": "queued"}}).encode()
            assert check(trusted.registry_port, "POST", "/images", USER, body=body) == 400
        for query in (f"size_min={number}", f"limit={number}", f"min_ram={number}"):
            assert check(trusted.api_port, "GET", f"/v1/images?{query}", USER) == 400


def test_line_breaks_cannot_be_smuggled(trusted, user):
    """A stored value with a line break becomes neither a header nor a line of the log."""
    image = trusted.create(headers=user)
    trusted.sql("UPDATE images SET name = ? WHERE id = ?", "a\r\nX-Forged: yes\nb", image["id"])
    answer = trusted.request("HEAD", f"/images/{image['id']}", headers=user)
    assert answer.status_code == 200
    assert "X-Forged" not in answer.headers
    trusted.request("GET", "/images/%0d%0aFORGED%20LINE", headers=user)
    assert "\nFORGED" not in trusted.api.log.read_text()


def test_errors_hold_no_secret(trusted, user):
    location = "x-image-meta-location"
    for address in ("http://anna:s3cret@127.0.0.1:1/x", "swift+config://anna:s3cret@x", "frob://anna:s3cret@x"):
        answer = trusted.request("POST", "/images", headers=user | {location: address})
        assert answer.status_code == 400
        assert "s3cret" not in answer.text
    token = "t0ken-" + "x" * 20
    trusted.request("GET", "/images", headers=user | {"X-Auth-Token": token})
    for log in (trusted.api.log, trusted.registry.log):
        assert "s3cret" not in log.read_text()
        assert token not in log.read_text()
