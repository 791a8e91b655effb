"""What /healthcheck says of the dependencies of a daemon (spec policy-quota-protection.md §8)."""

import os
import shutil
import signal
import time

import pytest
import requests

ALL = ("database", "registry", "stores", "cache")
UNAVAILABLE = 503


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def site(deploy, cache):
    """The API asks everything; the registry its database, and what it has not."""
    return deploy(api={"image_cache_dir": str(cache), "healthcheck": {"detailed": True}}, health=ALL)


@pytest.fixture(scope="module")
def direct(deploy):
    """An API server that speaks to the database itself."""
    return deploy(data_api="glance.db.sqlalchemy.api", health=("database",))


def ask(url, **headers):
    return requests.get(f"{url}/healthcheck", headers=headers, timeout=60)


def reasons(url):
    """The status, and what each plug-in says."""
    answer = ask(url, Accept="application/json")
    return answer.status_code, [(entry["reason"], entry["details"]) for entry in answer.json()["reasons"]]


def settled(url, status):
    """Wait until /healthcheck answers with a status: probes of the state before may still be on their way."""
    deadline = time.monotonic() + 30
    while (answer := ask(url)).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def test_all_is_well(site):
    assert reasons(site.endpoint) == (
        200,
        [
            ("OK", "database: not used by this server"),
            ("OK", "registry: OK"),
            ("OK", "file: OK"),
            ("OK", "cache directory: OK"),
        ],
    )


def test_the_registry_has_a_database_only(site):
    answer = ask(site.registry_url)
    assert (answer.status_code, answer.text.split()) == (200, ["OK"] * 4)
    assert requests.head(f"{site.registry_url}/healthcheck", timeout=60).status_code == 204


def test_stores(site):
    moved = site.images.with_name("away")
    site.images.rename(moved)
    try:
        status, found = reasons(site.endpoint)
    finally:
        moved.rename(site.images)
    assert status == UNAVAILABLE
    assert found[2][0] == "UNAVAILABLE: file"
    assert found[2][1].startswith("file: ")
    assert str(site.images) not in found[2][1]
    assert ask(site.endpoint).status_code == 200


def test_cache_directory(site, cache):
    cache.chmod(0o500)
    try:
        status, found = reasons(site.endpoint)
    finally:
        cache.chmod(0o700)
    assert (status, found[3][0]) == (UNAVAILABLE, "UNAVAILABLE: cache directory")
    assert ask(site.endpoint).status_code == 200


def test_registry_that_is_away(site):
    site.registry.stop()
    try:
        status, found = reasons(site.endpoint)
        assert (status, found[1][0]) == (UNAVAILABLE, "UNAVAILABLE: registry")
        answer = requests.head(f"{site.endpoint}/healthcheck", timeout=60)
        assert (answer.status_code, answer.content) == (UNAVAILABLE, b"")
    finally:
        site.registry.start()
    settled(site.endpoint, 200)


def test_registry_that_says_it_is_not_well(site):
    """Without its database; the API, which asks only the registry, knows as well."""
    database = site.directory / "glance.sqlite"
    moved = database.with_name("away")
    site.registry.stop()
    shutil.move(database, moved)
    database.mkdir()  # so that SQLite makes no new one
    try:
        site.registry.start()
        assert ask(site.registry_url).status_code == UNAVAILABLE
        status, found = reasons(site.endpoint)
        assert (status, found[1][0]) == (UNAVAILABLE, "UNAVAILABLE: registry")
    finally:
        os.rmdir(database)
        shutil.move(moved, database)
    settled(site.registry_url, 200)
    settled(site.endpoint, 200)


def test_a_registry_that_hangs_is_asked_once(site):
    """Answers come within the deadline, and no connection is added by asking again."""
    os.kill(site.registry.pid, signal.SIGSTOP)
    for worker in site.registry.children():
        os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(2):
            status, found = reasons(site.endpoint)
            assert (status, found[1][0]) == (UNAVAILABLE, "UNAVAILABLE: registry")
            assert "no answer" in found[1][1]
    finally:
        for worker in site.registry.children():
            os.kill(worker, signal.SIGCONT)
        os.kill(site.registry.pid, signal.SIGCONT)
    settled(site.endpoint, 200)


def test_database_of_the_api_itself(direct):
    assert ask(direct.endpoint).text == "OK"
    database = direct.directory / "glance.sqlite"
    moved = database.with_name("away")
    direct.api.stop()
    direct.registry.stop()
    shutil.move(database, moved)
    database.mkdir()
    try:
        direct.api.start()
        answer = ask(direct.endpoint)
        assert (answer.status_code, answer.text) == (UNAVAILABLE, "UNAVAILABLE: database")
    finally:
        os.rmdir(database)
        shutil.move(moved, database)
    settled(direct.endpoint, 200)


def test_other_requests_go_on(site):
    """Disabled by a check or not: who asks for an image gets it."""
    assert requests.get(f"{site.endpoint}/v2/images", timeout=60).status_code == 200


def test_unknown_plugin(deploy):
    with pytest.raises(RuntimeError, match=r"\[healthcheck\] backends: 'datbase' is none of cache, database"):
        deploy(health=("datbase",))
