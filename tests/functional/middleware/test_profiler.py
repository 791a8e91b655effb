"""The osprofiler filter (spec policy-quota-protection.md §8)."""

import json
import uuid

import pytest
import requests
from osprofiler import _utils

from tests.functional.middleware.conftest import log_since
from tests.functional.v1.raw import Conversation

KEY, OTHER_KEY, WRONG_KEY = "a secret", "another secret", "guessed"
API = "collector versionnegotiation osprofiler unauthenticated-context rootapp"
REGISTRY = "collector osprofiler unauthenticated-context registryapp"


@pytest.fixture(scope="module")
def deploy_traced(deploy, tmp_path_factory):
    """Start a deployment whose traces go to ``site.traces``, with these options in ``[profiler]`` of both daemons."""

    def start(section="", name="traces", data_api="glance.db.registry.api", **profiler):
        traces = tmp_path_factory.mktemp("traces") / name
        options = {"profiler": {"connection_string": f"lines://{traces}", **profiler}}
        filters = "[filter:collector]\npaste.filter_factory = tests.functional.middleware.collector:factory\n"
        filters += f"[filter:osprofiler]\n{section}\n"
        site = deploy(
            api=options, registry=options, data_api=data_api,
            paste=f"{filters}[pipeline:glance-api]\npipeline = {API}",
            registry_paste=f"{filters}[pipeline:glance-registry]\npipeline = {REGISTRY}",
        )  # fmt: skip
        site.traces = traces
        return site

    return start


@pytest.fixture(scope="module")
def site(deploy_traced):
    return deploy_traced(enabled=True, hmac_keys=f"{KEY},{OTHER_KEY}")


def signed(key=KEY, **info):
    """Headers that ask for a trace, and its base_id."""
    base_id = str(uuid.uuid4())
    packed, hmac = _utils.signed_pack({"base_id": base_id, "parent_id": base_id, **info}, key)
    return {"X-Trace-Info": packed.decode(), "X-Trace-HMAC": hmac}, base_id


def steps(site, base_id=None):
    """What was written of one trace, or of all."""
    if not site.traces.exists():
        return []
    lines = [json.loads(line) for line in site.traces.read_text().splitlines()]
    return [line for line in lines if base_id in (None, line["base_id"])]


def ask(site, path, headers, method="GET", **more):
    answer = requests.request(method, site.endpoint + path, headers=headers, timeout=60, **more)
    assert answer.status_code in (200, 201), answer.text
    return answer


def outline(found):
    return [(step["service"], step["name"]) for step in found]


HOP = [
    ("glance-api", "wsgi-start"), ("glance-registry", "wsgi-start"),
    ("glance-registry", "wsgi-stop"), ("glance-api", "wsgi-stop"),
]  # fmt: skip


# --- on ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
@pytest.mark.parametrize("path", ["/v1/images", "/v2/images"])
def test_both_daemons_leave_one_trace(site, path, key):
    headers, base_id = signed(key)
    ask(site, f"{path}?limit=1", headers)
    found = steps(site, base_id)
    assert outline(found) == HOP
    first, second, *_ = found
    assert first["info"]["request"] == {"path": path, "query": "limit=1", "method": "GET", "scheme": "http"}
    assert (first["parent_id"], second["parent_id"]) == (base_id, first["trace_id"])
    assert second["trace_id"] != first["trace_id"]
    assert {step["project"] for step in found} == {"glance"}


def test_requests_that_write(site):
    headers, base_id = signed()
    image = ask(site, "/v1/images", headers, "POST", json=None).json()["image"]
    assert {service for service, _ in outline(steps(site, base_id))} == {"glance-api", "glance-registry"}
    headers, base_id = signed()
    patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    changes = b'[{"op": "add", "path": "/a", "value": "b"}]'
    ask(site, f"/v2/images/{image['id']}", headers | patch, "PATCH", data=changes)
    assert {service for service, _ in outline(steps(site, base_id))} == {"glance-api", "glance-registry"}


def test_an_error_is_traced(site):
    headers, base_id = signed()
    answer = requests.get(f"{site.endpoint}/v2/images/{uuid.uuid4()}", headers=headers, timeout=60)
    assert answer.status_code == 404
    assert outline(steps(site, base_id)) == HOP


def test_one_request_of_a_connection(site):
    headers, base_id = signed()
    with Conversation(site.api_port) as conversation:
        for sent in ({}, headers, {}):
            assert conversation.ask("GET", "/v2/images", sent).status == 200
    assert outline(steps(site, base_id)) == HOP


def test_registry_alone(site):
    headers, base_id = signed()
    assert site.registry_request("GET", "/images", headers=headers).status_code == 200
    assert outline(steps(site, base_id)) == HOP[1:3]


def test_without_the_option_no_statement_is_traced(site):
    assert not [step for step in steps(site) if step["name"].startswith("db")]


INFO, BASE = signed()
UNTRACED = {
    "no signature": {"X-Trace-Info": INFO["X-Trace-Info"]},
    "no info": {"X-Trace-HMAC": INFO["X-Trace-HMAC"]},
    "wrong key": signed(WRONG_KEY)[0],
    "empty key": signed("")[0] | {"X-Trace-HMAC": "d" * 40},
    "wrong signature": INFO | {"X-Trace-HMAC": "0" * 40},
    "empty signature": INFO | {"X-Trace-HMAC": ""},
    "signature is not ASCII": INFO | {"X-Trace-HMAC": "é"},
    "info is not ASCII": INFO | {"X-Trace-Info": "é"},
    "info is not JSON": {"X-Trace-Info": "eA==", "X-Trace-HMAC": _utils.generate_hmac("eA==", KEY)},
    "info is not base64": {"X-Trace-Info": "*", "X-Trace-HMAC": _utils.generate_hmac("*", KEY)},
    "info is a list": {"X-Trace-Info": "W10=", "X-Trace-HMAC": _utils.generate_hmac("W10=", KEY)},
    "info has more": signed(more="x")[0],
}


@pytest.mark.parametrize("headers", UNTRACED.values(), ids=UNTRACED)
@pytest.mark.parametrize("path", ["/v1/images", "/v2/images"])
def test_served_untraced(site, path, headers):
    before = len(steps(site))
    with Conversation(site.api_port) as conversation:
        assert conversation.ask("GET", path, headers).status == 200
    with Conversation(site.registry_port) as conversation:
        assert conversation.ask("GET", "/images", headers).status == 200
    assert len(steps(site)) == before


@pytest.mark.parametrize("base_id", [None, 1, [], {"a": 1}, "x" * 3000, "é"], ids=lambda value: str(value)[:10])
def test_whatever_is_signed_is_served(site, base_id):
    headers, _ = signed(base_id=base_id)
    assert ask(site, "/v2/images", headers).status_code == 200


# --- statements, failures ---------------------------------------------------------


def test_statements(deploy_traced):
    site = deploy_traced(enabled=True, hmac_keys=KEY, trace_sqlalchemy=True, data_api="glance.db.sqlalchemy.api")
    for path, service in (("/v1/images", "glance-registry"), ("/v2/images", "glance-api")):
        headers, base_id = signed()
        ask(site, path, headers)
        found = steps(site, base_id)
        statements = [step for step in found if step["name"] == "db-start"]
        assert {step["service"] for step in statements} == {service}
        assert any("FROM images" in step["info"]["db"]["statement"] for step in statements)
        inside = [step for step in found if step["service"] == service]
        assert outline(inside)[0][1] == "wsgi-start" and outline(inside)[-1][1] == "wsgi-stop"
        assert len([step for step in inside if step["name"] == "db-stop"]) == len(statements)
        assert {step["parent_id"] for step in statements} == {inside[0]["trace_id"]}
    before = len(steps(site))
    assert requests.get(f"{site.endpoint}/v2/images", timeout=60).status_code == 200
    assert len(steps(site)) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "broken"}, "A trace could not be sent: OSError: the collector is away"),
        ({"connection_string": "frob://user:hidden@127.0.0.1/x"}, "osprofiler is disabled"),
        ({"connection_string": "messaging://"}, "osprofiler is disabled"),
    ],
)
def test_a_collector_that_fails_does_not_fail_the_request(deploy_traced, options, said):
    site = deploy_traced(enabled=True, hmac_keys=KEY, **options)
    for _ in range(2):
        assert ask(site, "/v2/images", signed()[0]).status_code == 200
    for daemon in (site.api, site.registry):
        assert said in daemon.log.read_text()
        assert "hidden" not in daemon.log.read_text()
        assert KEY not in daemon.log.read_text()


# --- off, and where the options may stand -----------------------------------------


def paste(enabled="yes", hmac_keys=KEY):
    return f"enabled = {enabled}\nhmac_keys = {hmac_keys}"


@pytest.mark.parametrize(
    ("section", "profiler"),
    [
        ("", {}),
        ("", {"hmac_keys": KEY}),
        ("", {"enabled": False, "hmac_keys": KEY}),
        (paste(), {"enabled": False}),
        (paste("no"), {}),
        (f"hmac_keys = {KEY}", {}),
    ],
)
def test_off(deploy_traced, section, profiler):
    site = deploy_traced(section, **profiler)
    for key in (KEY, "SECRET_KEY"):
        ask(site, "/v2/images", signed(key)[0])
        ask(site, "/v1/images", signed(key)[0])
    assert steps(site) == []


@pytest.mark.parametrize(
    ("section", "profiler", "key"),
    [
        (paste(), {}, KEY),
        (paste("yes  #DEPRECATED", f"{KEY}  #DEPRECATED"), {}, KEY),
        (paste(hmac_keys=WRONG_KEY), {"hmac_keys": KEY}, KEY),
        (paste("no"), {"enabled": True}, KEY),
        ("", {"enabled": True}, "SECRET_KEY"),
        ("", {"profiler_enabled": True, "hmac_keys": KEY}, KEY),
    ],
)
def test_the_deprecated_spelling(deploy_traced, section, profiler, key):
    site = deploy_traced(section, **profiler)
    headers, base_id = signed(key)
    ask(site, "/v2/images", headers)
    assert outline(steps(site, base_id)) == HOP
    ask(site, "/v2/images", signed(WRONG_KEY)[0])
    assert len(steps(site)) == len(HOP)
    assert ("deprecated" in site.api.log.read_text()) == bool(section or "profiler_enabled" in profiler)


def test_a_paste_file_of_2016_opens_nothing(deploy_traced):
    """It has the switch on and a key that everybody knows; Mitaka looked at the other file alone."""
    site = deploy_traced(paste("yes  #DEPRECATED", "SECRET_KEY  #DEPRECATED"))
    mark = site.api.log.stat().st_size
    ask(site, "/v2/images", signed("SECRET_KEY")[0])
    assert steps(site) == []
    assert "profiler stays off" in site.api.log.read_text()
    assert "rror" not in log_since(site.api.log, mark)
