"""How Keystone was configured over the years, against one of today (daemons-and-config.md §3.3, §5)."""

from pathlib import Path
from typing import Any

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.functional.identity.conftest import SERVICE, authtoken

USER, PASSWORD, PROJECT = SERVICE


def of_2013(server) -> dict[str, Any]:
    return {
        "auth_host": "127.0.0.1",
        "auth_port": server.port,
        "auth_protocol": "http",
        "admin_tenant_name": PROJECT,
        "admin_user": USER,
        "admin_password": PASSWORD,
    }


def of_2014(server) -> dict[str, Any]:
    return {
        "identity_uri": f"http://127.0.0.1:{server.port}",
        "admin_tenant_name": PROJECT,
        "admin_user": USER,
        "admin_password": PASSWORD,
        "admin_token": "old",
        "signing_dir": "/nowhere",
        "hash_algorithms": "md5",
    }


def of_2016(server) -> dict[str, Any]:
    return {
        "auth_uri": f"http://127.0.0.1:{server.port}",
        "auth_url": f"http://127.0.0.1:{server.port}",
        "auth_plugin": "password",
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": PROJECT,
        "username": USER,
        "password": PASSWORD,
    }


def lives(deployment: Deployment, people: Any) -> None:
    image_id = people["owner"].image(deployment)
    for path in (f"/v1/images/{image_id}", f"/v2/images/{image_id}/file"):
        assert people["colleague"].ask(deployment, "GET", path).content == b"data"
        assert people["stranger"].ask(deployment, "GET", path).status_code == 404
        assert requests.get(deployment.endpoint + path, timeout=60).status_code == 401


@pytest.mark.parametrize("stanza", [of_2013, of_2014, of_2016, authtoken])
def test_in_the_configuration(deploy, keystone, people, stanza):
    settings = {"keystone_authtoken": stanza(keystone)}
    lives(deploy(api=settings, registry=settings, flavor="keystone"), people)


def rewrite(paste: Path, lines: list[str]) -> None:
    """Put the settings of the authtoken filter into the paste file."""
    head, _, rest = paste.read_text().partition("[filter:authtoken]\n")
    old = rest.partition("\n\n")[2]
    paste.write_text(f"{head}[filter:authtoken]\n" + "\n".join(lines) + "\n\n" + old)


@pytest.mark.parametrize("factory", ["keystone.middleware.auth_token", "keystoneclient.middleware.auth_token"])
def test_in_the_paste_file(tmp_path, keystone, people, factory):
    """As in 2011, with the filter's name of that time."""
    deployment = Deployment(tmp_path, flavor="keystone")
    lines = [
        f"paste.filter_factory = {factory}:filter_factory",
        "service_protocol = http",
        "service_host = 127.0.0.1",
        f"service_port = {keystone.port}",
        "auth_host = 127.0.0.1",
        f"auth_port = {keystone.port}",
        "auth_protocol = http",
        f"auth_uri = http://127.0.0.1:{keystone.port}/",
        f"admin_tenant_name = {PROJECT}",
        f"admin_user = {USER}",
        f"admin_password = {PASSWORD}",
        "delay_auth_decision = true",
    ]
    for daemon in (deployment.api, deployment.registry):
        rewrite(daemon.config.parent / f"{daemon.config.stem}-paste.ini", lines)
    try:
        lives(deployment.start(), people)
    finally:
        deployment.stop()
    for daemon in (deployment.api, deployment.registry):
        assert PASSWORD not in daemon.log.read_text()


def test_a_wrong_password(deploy, keystone, people):
    """The service cannot check tokens: nobody gets in, and nobody is told that his token is wrong."""
    settings = {"keystone_authtoken": authtoken(keystone, password="wrong-pw")}
    deployment = deploy(api=settings, registry=settings, flavor="keystone")
    answer = people["owner"].ask(deployment, "GET", "/v2/images")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "wrong-pw" not in deployment.api.log.read_text()
