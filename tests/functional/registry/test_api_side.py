"""What the API server sends to a registry, and what becomes of the answers (spec registry.md §5)."""

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.functional.conftest import Deployment, identity
from tests.functional.registry.stand_in import IMAGE, IMAGE_ID, Answer, StandIn, canned, said

PATH = f"/images/{IMAGE_ID}"
USER = identity("tenant", "user", "member")
TIMEOUT = 1


class Pair:
    """An API server and what it takes for its registry."""

    def __init__(self, directory, **settings):
        self.registry = StandIn()
        self.registry.__enter__()
        common = {"registry_port": self.registry.port, "registry_client_timeout": TIMEOUT}
        self.deployment = Deployment(
            directory, api=common | settings, flavor="trusted-auth", data_api="glance.db.sqlalchemy.api"
        )
        self.deployment.contract = None  # what a registry makes up nobody has described
        self.deployment.manage("db", "sync")
        self.deployment.api.start()

    def ask(self, method, path, headers=USER, **kwargs):
        return self.deployment.request(method, path, headers=headers, allow_redirects=False, **kwargs)

    def sent(self, method="HEAD", path=PATH, headers=USER, **kwargs):
        """The first request that the registry gets because of this one."""
        self.registry.answers()
        answer = self.ask(method, path, headers, **kwargs)
        assert answer.status_code < 300, answer.text
        return self.registry.asked[0]

    def close(self):
        self.deployment.stop()
        self.registry.__exit__()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Starts pairs that end with the module."""
    running = []

    def start(**settings):
        running.append(Pair(tmp_path_factory.mktemp("pair"), **settings))
        return running[-1]

    yield start
    for pair in running:
        pair.close()


@pytest.fixture(scope="module")
def pair(pairs):
    return pairs()


# --- who asks -----------------------------------------------------------------------------------


def test_identity(pair):
    catalog = [{"type": "image", "name": "é", "endpoints": []}]
    headers = {
        **identity("tenänt".encode(), "üser".encode(), "Member, Other"), "X-Auth-Token": "t" * 9000,
        "X-Service-Catalog": json.dumps(catalog), "X-Openstack-Request-ID": "of-mine",
    }  # fmt: skip
    found = pair.sent(headers=headers).headers
    assert found["X-Identity-Status"] == "Confirmed"
    assert found["X-Tenant-Id"].encode("latin-1").decode() == "tenänt"
    assert found["X-User-Id"].encode("latin-1").decode() == "üser"
    assert found["X-Roles"] == "member,other"
    assert json.loads(found["X-Service-Catalog"].encode("latin-1")) == catalog
    assert found["X-Auth-Token"] == "t" * 9000
    assert found["X-Openstack-Request-ID"] == "req-of-mine"


@pytest.mark.parametrize("length", [1, 60, 61, 63, 64])
def test_request_ids(pair, length):
    """An id that is as long as allowed is so for the registry as well."""
    sent = "r" * length
    found = pair.sent(headers=USER | {"X-Openstack-Request-ID": sent}).headers["X-Openstack-Request-ID"]
    assert found == (f"req-{sent}" if length <= 60 else sent)


def test_callers_cannot_be_mistaken(pair):
    """What one request says about its caller never is in the next one's, nor is what it made up."""
    pair.sent(headers=identity("tenant", "root", "admin") | {"X-Auth-Token": "secret", "X-Service-Catalog": "[]"})
    found = pair.sent(headers=USER | {"X-Nonsense": "1", "X-Forwarded-For": "1.2.3.4", "Cookie": "c"}).headers
    for name in ("X-Auth-Token", "X-Service-Catalog", "X-Nonsense", "X-Forwarded-For", "Cookie"):
        assert name not in found
    assert found["X-Roles"] == "member"


def test_without_identity_headers(pairs):
    pair = pairs(send_identity_headers=False)
    found = pair.sent(headers=USER | {"X-Auth-Token": "token"}).headers
    assert found["X-Auth-Token"] == "token"
    assert not [name for name in found if name.lower() in ("x-user-id", "x-tenant-id", "x-roles", "x-identity-status")]


def test_without_tokens(pairs):
    pair = pairs(use_user_token=False)
    found = pair.sent(headers=USER | {"X-Auth-Token": "token"}).headers
    assert "X-Auth-Token" not in found
    assert (found["X-Tenant-Id"], found["X-Identity-Status"]) == ("tenant", "Confirmed")


def test_connections_are_kept(pair):
    pair.sent()
    before = pair.registry.connections
    for _ in range(20):
        pair.sent()
    assert pair.registry.connections == before


# --- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/images", "/images/detail"])
def test_queries(pair, path):
    """Filters, order and page are sent on; nothing else is."""
    query = {
        "name": "n&m=é", "status": "active", "container_format": "bare", "disk_format": "raw", "min_ram": "1",
        "min_disk": "2", "size_min": "3", "size_max": "4", "protected": "true", "property-Key": "a b", "limit": "5",
        "marker": IMAGE_ID, "sort_key": "name", "sort_dir": "asc", "changes-since": "2020-01-02T03:04:05+01:00",
    }  # fmt: skip
    unknown = {"deleted": "true", "owner": "x", "checksum": "c", "tag": "t", "visibility": "public", "nonsense": "1"}
    asked = pair.sent("GET", path, params=query | unknown)
    found = {name: values[-1] for name, values in parse_qs(urlsplit(asked.path).query, keep_blank_values=True).items()}
    changed = {"protected": "True", "changes-since": "2020-01-02T02:04:05"}
    assert {name: found.get(name) for name in query} == query | changed
    assert not found.keys() & unknown.keys()


@pytest.mark.parametrize(
    ("given", "sent"), [("none", "None"), ("false", "False"), ("1", "True"), (None, "True")]
)  # fmt: skip
def test_is_public_of_administrators(pair, given, sent):
    administrator = identity("tenant", "root", "admin")
    asked = pair.sent("GET", "/images/detail", administrator, params={"is_public": given} if given else {})
    assert parse_qs(urlsplit(asked.path).query)["is_public"] == [sent]


def test_odd_ids_are_quoted(pair):
    """One part of a path stays one part."""
    for odd in ("..%2Fshared-images%2Fm", "a%3Fdeleted=true", "a%20b", "%C3%A9"):
        pair.registry.answers(lambda asked: Answer(404))
        assert pair.ask("HEAD", f"/images/{odd}").status_code == 404
        for asked in pair.registry.asked:
            assert asked.path.startswith("/images/") and asked.path.count("/") == 2 and "?" not in asked.path


def test_purging(pair):
    for header, sent in (({}, "true"), ({"x-glance-registry-purge-props": "false"}, "false")):
        pair.registry.answers()
        headers = USER | {"x-image-meta-property-b": "2"} | header
        assert pair.ask("PUT", PATH, headers).status_code == 200
        (put,) = [asked for asked in pair.registry.asked if asked.method == "PUT"]
        assert put.headers["X-Glance-Registry-Purge-Props"] == sent


# --- what is answered ---------------------------------------------------------------------------

ROUTES = [
    ("GET", "/images", {}, None), ("GET", "/images/detail", {}, None), ("HEAD", PATH, {}, None),
    ("GET", PATH, {}, None), ("POST", "/images", {}, None), ("PUT", PATH, {"x-image-meta-name": "n"}, None),
    ("DELETE", PATH, {}, None),
    ("GET", PATH + "/members", {}, None), ("PUT", PATH + "/members/m", {}, None),
    ("PUT", PATH + "/members", {}, b'{"memberships": []}'), ("DELETE", PATH + "/members/m", {}, None),
    ("GET", "/shared-images/m", {}, None),
]  # fmt: skip
PASSED_ON = {("HEAD", PATH): "GET", ("DELETE", PATH): "PUT"}
"""The decisive request to the registry, where its method is another one."""
MEMBER_WRITES = [route for route in ROUTES if "/members" in route[1] and route[0] != "GET"]


def outcome(pair, route):
    method, path, headers, data = route
    answer = pair.ask(method, path, USER | headers, data=data)
    for word in ("Traceback", "127.0.0.1", str(pair.registry.port), "hidden"):
        assert word not in answer.text
    return answer


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1].replace(IMAGE_ID, 'ID')}")
@pytest.mark.parametrize(
    ("registry_status", "status"),
    [(400, 400), (401, 401), (403, 403), (404, 404), (409, 409), (413, 413), (500, 503), (503, 503)]
    + [(other, 503) for other in (206, 300, 304, 402, 405, 418, 429, 501, 502, 504, 599)],
)
def test_each_status(pair, route, registry_status, status):
    """The last table of registry.md §5, on every route."""
    failure = Answer(registry_status, b"said by the registry" if registry_status != 304 else b"")
    decisive = PASSED_ON.get(route[:2], route[0])
    pair.registry.answers(lambda asked: failure if asked.method == decisive else canned(asked))
    answer = outcome(pair, route)
    if route in MEMBER_WRITES:
        status = 404 if registry_status == 403 else status
    assert answer.status_code == status
    if status == 503:
        assert int(answer.headers["Retry-After"]) > 0
        assert "said by the registry" not in answer.text
    if registry_status == 400 and route[0] != "HEAD":
        assert "said by the registry" in answer.text


def test_retry_after_is_passed_on(pair):
    for status in (413, 503):
        pair.registry.answers(Answer(status, b"later", (("Retry-After", "77"),)))
        answer = pair.ask("GET", "/images")
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "77")


NONSENSE = {
    "no JSON": Answer(200, b"<html>"),
    "nothing": Answer(200, b""),
    "no content": Answer(204),
    "no object": Answer(200, b"[]"),
    "null": Answer(200, b"null"),
    "a number": Answer(200, b"5"),
    "another object": Answer(200, b'{"nonsense": 1}'),
    "of the wrong type": Answer(200, b'{"image": 5, "images": 5, "members": 5, "shared_images": 5}'),
    "a list of numbers": Answer(200, b'{"image": [5], "images": [5], "members": [5], "shared_images": [5]}'),
    "not UTF-8": Answer(200, b'{"image": "\xff"}'),
    "too deep": Answer(200, b"[" * 200_000),
    "cut off": Answer(200, b'{"image": ', (), 5000),
    "a closed connection": Answer(0),
    "a circle": Answer(302, b"", (("Location", "/images"),)),
    "a way to nowhere": Answer(302, b"", (("Location", "ftp://somewhere.invalid/x"),)),
    "a way without a name": Answer(301),
    "a way to a closed port": Answer(307, b"", (("Location", "http://127.0.0.1:1/images"),)),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_answers_that_are_none(pair, answer):
    """A registry that talks nonsense is one that is down."""
    pair.registry.answers(answer)
    for route in ROUTES:
        found = outcome(pair, route)
        assert found.status_code == 503, (route, found.text)
        assert int(found.headers["Retry-After"]) > 0


@pytest.mark.parametrize("key", ["created_at", "properties", "location_data", "size", "status", "deleted", "min_disk"])
def test_values_of_the_wrong_type(pair, key):
    """Never an accident: what can be made of it, or 503."""
    for value in (5, "x", [5], {"a": {"b": []}}, [{"nonsense": 1}]):
        pair.registry.answers(said({"image": IMAGE | {key: value}, "images": [IMAGE | {key: value}]}))
        for route in ROUTES[:6]:
            status = outcome(pair, route).status_code
            assert status in (200, 201, 400, 403, 404, 409, 503), (route, value, status)


def test_slow_answers(pair):
    """After registry_client_timeout it is down; the API server goes on."""

    def slow(asked):
        time.sleep(TIMEOUT * 3)
        return canned(asked)

    pair.registry.answers(slow)
    answer = pair.ask("HEAD", PATH)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    pair.registry.answers()
    assert pair.ask("HEAD", PATH).status_code == 200


def test_redirects(pair):
    """A registry may have moved, up to five times."""

    def moved(asked):
        number = int(urlsplit(asked.path).path.rpartition("moved")[2] or 0) if "moved" in asked.path else 0
        if number == 5:
            return said({"image": IMAGE})
        return Answer(307, b"", (("Location", f"/moved{number + 1}"),))

    pair.registry.answers(moved)
    assert pair.ask("HEAD", PATH).headers["x-image-meta-name"] == "canned"
    assert len(pair.registry.asked) == 6
    assert all(asked.headers["X-Tenant-Id"] == "tenant" for asked in pair.registry.asked)


def test_a_closed_connection_is_opened_again(pair):
    """A kept connection that has died in the meantime is nobody's fault."""
    pair.registry.answers(lambda asked: canned(asked)._replace(headers=(("Connection", "close"),)))
    for _ in range(3):
        assert pair.ask("HEAD", PATH).status_code == 200


def test_additions_that_it_does_not_have(pair):
    """A registry of somebody else: the API server does without, and warns once."""
    for _ in range(3):
        pair.sent()
    log = pair.deployment.api.log.read_text()
    assert log.count("The registry does not know /transfers") == 1


def test_the_log(pair):
    """All this is written down as what it is, without a traceback and without a token."""
    log = pair.deployment.api.log.read_text()
    assert log.count("The registry failed") > 100
    assert "Traceback" not in log and "Unexpected error" not in log
    assert "t" * 9000 not in log


def test_a_redirect_elsewhere_takes_no_identity_along(pair):
    with StandIn() as elsewhere:
        elsewhere.answers(lambda asked: said({"image": IMAGE}))
        pair.registry.answers(Answer(302, b"", (("Location", f"http://127.0.0.1:{elsewhere.port}{PATH}"),)))
        assert pair.ask("HEAD", PATH, USER | {"X-Auth-Token": "secret"}).status_code == 200
        (asked,) = elsewhere.asked
        for name in ("X-Auth-Token", "X-Tenant-Id", "X-User-Id", "X-Roles", "X-Identity-Status"):
            assert name not in asked.headers


def test_a_redirect_holds_for_one_request(pair):
    """The next one goes to the registry again, not over the connection to where that one was sent."""
    with StandIn() as elsewhere:
        elsewhere.answers(lambda asked: said({"image": IMAGE}))
        pair.registry.answers(Answer(302, b"", (("Location", f"http://127.0.0.1:{elsewhere.port}{PATH}"),)))
        assert pair.ask("HEAD", PATH).status_code == 200
        pair.registry.answers()
        elsewhere.answers(lambda asked: said({"image": IMAGE}))
        for _ in range(3):
            assert pair.ask("HEAD", PATH, USER | {"X-Auth-Token": "secret"}).status_code == 200
        assert [len(pair.registry.asked), len(elsewhere.asked)] == [3, 0]
