"""One request id from the client's header to the last log line (spec v1-api.md §3, v2-images.md §2)."""

import re
import uuid
from typing import ClassVar

import pytest
import requests

from tests.functional.conftest import identity
from tests.functional.middleware.conftest import log_since
from tests.functional.v1.conftest import wait_until
from tests.functional.v1.raw import Conversation

MADE = re.compile("req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LINE = re.compile(r'\S+ \S+ \d+ INFO \S+ \[(?P<context>.*?)\] .*"(?P<request>[A-Z]+ \S+ HTTP/1\.1)" (?P<status>\d+)')
NOTIFICATION = re.compile(r"\S+ \S+ \d+ (?P<level>\w+) oslo\.messaging\.notification\.(?P<event>\S+) \[(?P<id>\S+) ")
USER = identity("ids", "somebody")
FORMATS = {"disk_format": "raw", "container_format": "bare"}
SIZE_CAP = 100
DATA_APIS = ("glance.db.registry.api", "glance.db.sqlalchemy.api")


@pytest.fixture(scope="module", params=DATA_APIS, ids=("registry", "sqlalchemy"))
def site(request, deploy):
    """Tells what happens, in its log."""
    return deploy(
        flavor="trusted-auth", data_api=request.param, api={"notifier_strategy": "logging", "image_size_cap": SIZE_CAP}
    )


@pytest.fixture(scope="module")
def images(site):
    """An image with data for each API."""
    octets = {"Content-Type": "application/octet-stream"}
    meta = {f"x-image-meta-{name}": value for name, value in FORMATS.items()}
    v1 = Asked(site, "POST", "/v1/images", USER | octets | meta, data=b"data").answer.json()["image"]["id"]
    v2 = Asked(site, "POST", "/v2/images", json=FORMATS).answer.json()["id"]
    Asked(site, "PUT", f"/v2/images/{v2}/file", USER | octets, data=b"data")
    return {"v1": v1, "v2": v2}


class Asked:
    """One request with an id, its answer, and what the daemons have logged since."""

    everything: ClassVar[set[str]] = set()
    """The ids that were sent so far."""

    def __init__(self, site, method, path, headers=USER, sent=None, **more):
        self.site = site
        self.marks = [(daemon.log, daemon.log.stat().st_size) for daemon in (site.api, site.registry)]
        self.sent = sent or f"req-{uuid.uuid4()}"
        self.everything.add(self.sent)
        self.request = f"{method} {path} HTTP/1.1"
        self.answer = requests.request(
            method, site.endpoint + path, headers=headers | {"X-Openstack-Request-ID": self.sent}, timeout=60, **more
        )
        self.returned = self.answer.headers.get("X-Openstack-Request-ID")

    def lines(self, daemon):
        """(request id and identity, request line) of each access line of the API server (0) or the registry (1)."""
        found = map(LINE.match, log_since(*self.marks[daemon]).splitlines())
        return [(match["context"], match["request"]) for match in found if match]

    def own_line(self):
        """What the API server's access line puts before the message."""
        return wait_until(lambda: [context for context, line in self.lines(0) if line == self.request], "access line")[
            0
        ]

    def events(self):
        """(event, request id) of each notification."""
        found = map(NOTIFICATION.match, log_since(*self.marks[0]).splitlines())
        return [(match["event"], match["id"]) for match in found if match]


# --- end to end -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/images"), ("GET", "/v1/images/detail"), ("HEAD", "/v1/images/{v1}"), ("GET", "/v1/images/{v1}"),
     ("PUT", "/v1/images/{v1}"), ("GET", "/v1/images/{v1}/members"), ("PUT", "/v1/images/{v1}/members/m"),
     ("GET", "/v2/images"), ("GET", "/v2/images/{v2}"), ("GET", "/v2/images/{v2}/file"),
     ("PUT", "/v2/images/{v2}/tags/a"), ("GET", "/v2/images/{v2}/members")],
)  # fmt: skip
def test_one_id(site, images, method, path):
    asked = Asked(site, method, path.format(**images))
    assert asked.answer.status_code in (200, 204), asked.answer.text
    assert asked.returned == asked.sent
    assert asked.own_line().split()[:3] == [asked.sent, "somebody", "ids"]
    if path.startswith("/v1") or site.api_settings["data_api"] == DATA_APIS[0]:
        hops = wait_until(
            lambda: asked.sent in (ids := [context.split()[0] for context, _ in asked.lines(1)]) and ids,
            "the registry's access line",
        )
        # A line about the request before may come late; an id that the registry has made is wrong.
        assert asked.sent in hops and set(hops) <= Asked.everything


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_notifications_are_of_the_same_request(site, version):
    if version == "v1":
        meta = {f"x-image-meta-{name}": value for name, value in FORMATS.items()}
        octets = {"Content-Type": "application/octet-stream"}
        asked = Asked(site, "POST", "/v1/images", USER | meta | octets, data=b"data")
        expected = ["image.create", "image.prepare", "image.upload", "image.activate", "image.update"]
    else:
        asked = Asked(site, "POST", "/v2/images", json=FORMATS)
        expected = ["image.create"]
    assert asked.answer.status_code == 201
    assert wait_until(lambda: len(asked.events()) >= len(expected) and asked.events(), expected) == [
        (event, asked.sent) for event in expected
    ]


@pytest.mark.parametrize("path", ["/v1/images/{v1}", "/v2/images/{v2}/file"])
def test_the_notification_after_the_last_byte_too(site, images, path):
    asked = Asked(site, "GET", path.format(**images))
    assert asked.answer.content == b"data"
    assert wait_until(asked.events, "image.send") == [("image.send", asked.sent)]


# --- which id ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/images", "/v2/images", "/v2/schemas/image"])
def test_an_id_is_made(site, path):
    found = []
    with Conversation(site.api_port) as conversation:
        for headers in ({}, {"X-Openstack-Request-ID": ""}):
            mark = site.api.log.stat().st_size
            answer = conversation.ask("GET", path, USER, headers)
            (made,) = answer.headers.get_all("X-Openstack-Request-ID")
            assert MADE.fullmatch(made)
            wait_until(lambda mark=mark, made=made: f"[{made} " in log_since(site.api.log, mark), "access line")
            found.append(made)
    assert len(set(found)) == 2


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("bare", "req-bare"), ("req-", "req-"), ("REQ-x", "req-REQ-x"), ("r" * 64, "req-" + "r" * 64),
        ("req-" + "r" * 60, "req-" + "r" * 60), ("a b", "req-a b"), ("%s%(x)s{}", "req-%s%(x)s{}"),
        ("req-<b>'\"", "req-<b>'\""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/images", "/v2/images"])
def test_an_id_is_taken_over(site, path, sent, returned):
    asked = Asked(site, "GET", path, sent=sent)
    assert (asked.answer.status_code, asked.returned) == (200, returned)
    assert asked.own_line().startswith(f"{returned} somebody ")


@pytest.mark.parametrize(("sent", "status"), [(b"r" * 65, 431), (b"req-" + b"r" * 61, 431), ("é".encode(), 400)])
@pytest.mark.parametrize("path", ["/v1/images", "/v2/images", "/v2/frob"])
def test_an_id_is_refused(site, path, sent, status):
    with Conversation(site.api_port) as conversation:
        for caller in (USER, {}):  # before anybody is asked who they are
            answer = conversation.ask("GET", path, caller, {"X-Openstack-Request-ID": sent})
            assert answer.status == status
            assert sent.decode() not in str(answer.headers)
        assert conversation.ask("GET", path, USER).status in (200, 404)


def test_two_ids_are_none(site):
    """The server joins headers of one name; the whole is no longer than one may be."""
    twice = b"GET /v2/images HTTP/1.1\r\nHost: x\r\n" + b"X-Openstack-Request-ID: %s\r\n" % (b"r" * 40) * 2 + b"\r\n"
    with Conversation(site.api_port) as conversation:
        conversation.send(twice)
        assert conversation.answer().status == 431


@pytest.mark.parametrize(("limit", "accepted", "refused"), [(0, 5000, None), (10, 10, 11)])
def test_max_request_id_length(deploy, limit, accepted, refused):
    options = {"max_request_id_length": limit}
    site = deploy(api=options, registry=options)
    for path in ("/v1/images", "/v2/images"):
        asked = Asked(site, "GET", path, {}, sent="r" * accepted)
        assert (asked.answer.status_code, asked.returned) == (200, "req-" + "r" * accepted)
        if refused:
            assert Asked(site, "GET", path, {}, sent="r" * refused).answer.status_code == 431


# --- errors -----------------------------------------------------------------------


def test_errors_carry_it(site, images):
    unknown = uuid.uuid4()
    octets = {"Content-Type": "application/octet-stream"}
    queued = requests.post(f"{site.endpoint}/v2/images", headers=USER, json=FORMATS, timeout=60).json()["id"]
    for status, method, path, headers, body in (
        (404, "GET", f"/v1/images/{unknown}", {}, None),
        (404, "GET", f"/v2/images/{unknown}", {}, None),
        (404, "GET", "/v1/frob", {}, None),
        (404, "GET", "/v2/frob", {}, None),
        (405, "DELETE", "/v2/images", {}, None),
        (405, "DELETE", "/v1/images", {}, None),
        (501, "FROB", "/v1/frob", {}, None),
        (400, "GET", "/v2/images?limit=x", {}, None),
        (400, "GET", "/v1/images?limit=x", {}, None),
        (400, "GET", "/v2/images/%FF", {}, None),
        (400, "POST", "/v2/images", {}, b"{"),
        (403, "POST", "/v2/images", {"Content-Type": "application/json"}, b'{"owner": "somebody else"}'),
        (409, "POST", "/v2/images", {}, b'{"id": "%s"}' % images["v2"].encode()),
        (413, "PUT", f"/v2/images/{queued}/file", octets, b"x" * (SIZE_CAP + 1)),
        (415, "PATCH", f"/v2/images/{queued}", {}, b"[]"),
    ):
        asked = Asked(site, method, path, USER | headers, data=body)
        assert asked.answer.status_code == status, path
        assert asked.returned == asked.sent, path
        assert asked.own_line().startswith(f"{asked.sent} "), path


def test_before_the_context_filter_there_is_none(site):
    """Spec v1-api.md §1: versions answers and 401s carry no id."""
    for path, status in (
        ("/", 300),
        ("/versions", 200),
        ("/v1/images", 401),
        ("/v2/images", 401),
        ("/healthcheck", 200),
    ):
        asked = Asked(site, "GET", path, {})
        assert (asked.answer.status_code, asked.returned) == (status, None)


def test_a_registry_that_is_away(deploy):
    site = deploy(flavor="trusted-auth", registry_runs=False)
    site.registry.log.touch()
    for path in ("/v1/images", "/v2/images"):
        asked = Asked(site, "GET", path)
        assert (asked.answer.status_code, asked.returned) == (503, asked.sent)
        assert re.search(rf"ERROR \S+ \[{asked.sent} .*The registry failed", log_since(*asked.marks[0]))


# --- one connection ---------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [("/versions", 200), ("/v1/images", 401), ("/healthcheck", 200)])
def test_a_request_is_not_logged_as_the_one_before(site, path, status):
    mark = site.api.log.stat().st_size
    mine = f"req-{uuid.uuid4()}"
    with Conversation(site.api_port) as conversation:
        assert conversation.ask("GET", "/v2/images", USER, {"X-Openstack-Request-ID": mine}).status == 200
        assert conversation.ask("GET", path).status == status

    def lines():
        wanted = f'"GET {path} HTTP/1.1" {status}'
        return [line for line in log_since(site.api.log, mark).splitlines() if wanted in line]

    (line,) = wait_until(lines, "access line")
    assert mine not in line and "somebody" not in line
