"""A small site: users in one file, no Keystone (flavor ``tokens``)."""

import hashlib
from pathlib import Path

import pytest
import requests

from tests.functional.conftest import Deployment

ALICE, BOB, BOSS, MONITOR = (name * 8 for name in ("alice", "bobby", "bossy", "monit"))
OCTETS = {"Content-Type": "application/octet-stream"}
FORGED = {"X-Identity-Status": "Confirmed", "X-User-Id": "x", "X-Project-Id": "research", "X-Roles": "admin"}


def text(*more: str) -> str:
    lines = [
        f"{ALICE} alice research member",
        f"{BOB} bob sales member  # a project of its own",
        f"sha256:{hashlib.sha256(BOSS.encode()).hexdigest()} boss - admin",
    ]
    return "\n".join([*lines, *more]) + "\n"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.touch(mode=0o600)
    path.write_text(text())
    return path


@pytest.fixture(scope="module")
def small(deploy, tokens: Path) -> Deployment:
    settings = {"tokens_file": tokens}
    return deploy(api=settings, registry=settings, flavor="tokens")


def ask(site: Deployment, token: str, method: str, path: str, headers=None, **kwargs) -> requests.Response:
    headers = {"X-Auth-Token": token} | (headers or {})
    return requests.request(method, site.endpoint + path, headers=headers, timeout=60, **kwargs)


@pytest.mark.parametrize("data_api", ["glance.db.registry.api", "glance.db.sqlalchemy.api"])
def test_users_of_a_small_site(deploy, tokens, data_api):
    settings = {"tokens_file": tokens}
    site = deploy(api=settings, registry=settings, flavor="tokens", data_api=data_api)
    image = ask(site, ALICE, "POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()
    assert image["owner"] == "research"
    path = f"/v2/images/{image['id']}"
    assert ask(site, ALICE, "PUT", path + "/file", data=b"data", headers=OCTETS).status_code == 204
    for url in (path + "/file", f"/v1/images/{image['id']}"):
        assert ask(site, ALICE, "GET", url).content == b"data"
        assert ask(site, BOB, "GET", url).status_code == 404
        assert ask(site, BOB, "GET", url, headers=FORGED).status_code == 404
        assert ask(site, BOSS, "GET", url).content == b"data"
        assert ask(site, MONITOR, "GET", url).status_code == 401
        assert requests.get(site.endpoint + url, headers=FORGED, timeout=60).status_code == 401
    assert ask(site, BOSS, "DELETE", path).status_code == 204


def test_the_registry_checks_as_well(small):
    url = small.registry_url + "/images"
    assert requests.get(url, headers=FORGED, timeout=60).status_code == 401
    assert requests.get(url, headers={"X-Auth-Token": MONITOR}, timeout=60).status_code == 401
    assert requests.get(url, headers={"X-Auth-Token": ALICE}, timeout=60).status_code == 200


def test_users_come_and_go(small, tokens):
    """Without a restart; what cannot be understood changes nothing."""
    assert ask(small, MONITOR, "GET", "/v2/images").status_code == 401
    tokens.write_text(text(f"{MONITOR} monitor - reader"))
    assert ask(small, MONITOR, "GET", "/v2/images").status_code == 200
    tokens.write_text("rubbish\n")
    assert ask(small, ALICE, "GET", "/v1/images").status_code == 200
    assert "line 1" in small.api.log.read_text()
    tokens.write_text(text())
    assert ask(small, MONITOR, "GET", "/v2/images").status_code == 401
    for token in (ALICE, BOB, BOSS):
        assert token not in small.api.log.read_text() + small.registry.log.read_text()
