"""Tokens that were checked are kept in memcached (policy-quota-protection.md §1; daemons-and-config.md §3.3)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment
from tests.functional.identity.conftest import Person, authtoken
from tests.services.keystone import Keystone
from tests.services.memcached import Memcached, memcached  # noqa: F401

pytest.importorskip("memcache")

BACK_SECONDS = 60
SECONDS = 300  # Keystone, asked by many at once, is slow
PATHS = ("/v1/images", "/v2/images")
LOOKUPS = 4  # at least: for each path by the API and by the registry
SECRET = "the-cache's-secret"
WITHOUT_LIBRARIES = """
import importlib, os, sys
sys.modules |= {"memcache": None, "bmemcached": None}
sys.exit(importlib.import_module("glance.cmd." + os.environ["DAEMON"]).main())
"""


@pytest.fixture(autouse=True)
def running(memcached: Memcached) -> Iterator[Memcached]:  # noqa: F811
    memcached.start()
    yield memcached
    memcached.stop()  # with all that it stores


@pytest.fixture(scope="module")
def start(deploy, keystone: Keystone, people, memcached: Memcached) -> Callable[..., Deployment]:  # noqa: F811
    """Start both daemons with the cache; they notice soon that it is there again."""

    def start(**more: object) -> Deployment:
        # With no time in the cache the daemons remember nothing themselves, and memcached all until it ends.
        quick = {"memcache_pool_dead_retry": 1, "memcache_pool_socket_timeout": 1, "token_cache_time": 0}
        settings = {"keystone_authtoken": authtoken(keystone, memcached_servers=memcached.address, **quick, **more)}
        return deploy(api=settings, registry=settings, flavor="keystone")

    return start


@pytest.fixture(scope="module")
def cached(start) -> Deployment:
    return start()


@pytest.fixture(scope="module")
def encrypted(start) -> Deployment:
    return start(memcache_security_strategy="ENCRYPT", memcache_secret_key=SECRET)


@pytest.fixture(params=["cached", "encrypted"])
def either(request) -> Deployment:
    return request.getfixturevalue(request.param)


def status(deployment: Deployment, path: str, token: str) -> int:
    return requests.get(deployment.endpoint + path, headers={"X-Auth-Token": token}, timeout=SECONDS).status_code


def hits(server: Memcached) -> int:
    return int(server.stats()["get_hits"])


def statuses(deployment: Deployment, *tokens: str) -> list[int]:
    return [status(deployment, path, token) for token in tokens for path in PATHS]


def wait_until_used(server: Memcached, deployment: Deployment, token: str) -> None:
    """Ask until both daemons, for which the cache was away, find in it all that they look for."""
    end, found = time.monotonic() + BACK_SECONDS, 0
    while found < LOOKUPS:
        assert time.monotonic() < end, (found, server.stats())
        before = hits(server)
        assert statuses(deployment, token) == [200, 200]
        found = hits(server) - before


def test_the_cache_is_used(running, either, people):
    token = people["owner"].log_in()
    wait_until_used(running, either, token)
    stored = len(running.items())
    assert stored > 0
    assert statuses(either, people["stranger"].log_in()) == [200, 200]
    assert len(running.items()) > stored  # the daemons' own tokens may be new there too


def test_a_cached_token_does_without_keystone(running, cached, keystone, people):
    token = people["owner"].log_in()
    wait_until_used(running, cached, token)
    assert statuses(cached, token) == [200, 200]
    keystone.stop()
    try:
        assert statuses(cached, token) == [200, 200]
    finally:
        keystone.start()


def test_the_cache_goes_and_comes(running, either, people):
    known, other = people["owner"].log_in(), people["stranger"].log_in()
    wait_until_used(running, either, known)
    assert statuses(either, other) == [200, 200]
    running.stop()
    assert statuses(either, known, other, people["owner"].log_in()) == [200] * 6
    assert statuses(either, "x" * 40) == [401, 401]
    image_id = people["owner"].image(either)
    assert people["owner"].ask(either, "GET", f"/v2/images/{image_id}/file").content == b"data"
    running.start()
    assert running.items() == {}
    wait_until_used(running, either, known)


def test_the_cache_hangs(running, cached, people):
    """More requests at once than there are connections, each of which waits for an answer."""
    tokens = [people["owner"].log_in(), people["stranger"].log_in()]
    wait_until_used(running, cached, tokens[0])
    with running.hanging(), ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda token: status(cached, PATHS[1], token), tokens * 6))
    assert found == [200] * len(found)
    wait_until_used(running, cached, tokens[0])


def entry(server: Memcached, deployment: Deployment, person: Person) -> tuple[str, str, bytes]:
    """A token of ``person``, with the key and the value that the cache has of it."""
    wait_until_used(server, deployment, person.token)
    statuses(deployment, person.log_in())  # after which the daemons' own tokens are known
    token, before = person.log_in(), server.items()
    assert status(deployment, PATHS[1], token) == 200
    now = server.items()
    (key,) = now.keys() - before.keys()
    return token, key, now[key]


def test_what_is_stored(running, either, cached, people):
    """The token and all that Keystone says of it, for everybody to read unless it is encrypted."""
    token, key, value = entry(running, either, people["owner"])
    assert token not in key
    for word in (token, people["owner"].project_id, '"roles"'):
        assert (word.encode() in value) is (either is cached)
    logs = either.api.log.read_text() + either.registry.log.read_text()
    assert token not in logs
    assert SECRET not in logs


def test_an_entry_that_was_exchanged(running, encrypted, cached, people):
    """With encryption nobody becomes somebody else by writing into the cache."""
    image_id = people["boss"].image(encrypted, owner=people["boss"].project_id, visibility="private")
    _, _, forged = entry(running, cached, people["boss"])
    _, _, of_boss = entry(running, encrypted, people["boss"])
    token, key, value = entry(running, encrypted, people["stranger"])
    path = f"/v2/images/{image_id}"
    for data in (forged, of_boss, value[:-8], b"rubbish", b""):
        running.put(key, data)
        assert status(encrypted, path, token) == 404, data  # neither 200, as the boss, nor 401


def test_an_entry_that_is_rubbish(running, cached, people):
    token, key, value = entry(running, cached, people["owner"])
    for data in (b"rubbish", value[:20], b"\xff", b"[]", b"{}", b'"text"', b"5"):
        running.put(key, data)
        assert status(cached, PATHS[1], token) == 200, data
        assert running.items()[key] == value


@pytest.mark.parametrize(
    ("daemon", "settings", "remedy"),
    [
        ("api", {"memcache_security_strategy": "ENCRYPT"}, "memcache_secret_key must be defined"),
        ("api", {"memcache_security_strategy": "ROT13"}, "memcache_security_strategy"),
        ("api", {}, "pip install 'glance-classic[memcached]'"),
        ("registry", {}, "pip install 'glance-classic[memcached]'"),
        ("api", {"memcache_tls_enabled": True}, "pip install python-binary-memcached"),
    ],
)
def test_a_cache_that_cannot_be_used(tmp_path, keystone, running, daemon, settings, remedy):
    """One line at the start; the last three where the libraries are not installed."""
    settings = {"keystone_authtoken": authtoken(keystone, memcached_servers=running.address, **settings)}
    deployment = Deployment(tmp_path, api=settings, registry=settings, flavor="keystone")
    command = [sys.executable, "-c", WITHOUT_LIBRARIES, "--config-file", str(getattr(deployment, daemon).config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DAEMON": daemon}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert remedy in line
    assert "Traceback" not in done.stderr
