"""What the service does by itself behind a real Keystone (registry.md §5)."""

import os
import signal
import time

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.functional.identity.conftest import SERVICE, authtoken
from tests.functional.identity.test_access import OCTETS

USER, PASSWORD, PROJECT = SERVICE
DATA_APIS = ["glance.db.registry.api", "glance.db.sqlalchemy.api"]


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def endless():
    """Data of an upload that never ends."""
    yield bytes(1024 * 1024)
    time.sleep(60)


def begin(person, site, image_id):
    """Start an upload that hangs; return its process."""
    pid = os.fork()
    if pid == 0:
        try:
            person.ask(site, "PUT", f"/v2/images/{image_id}/file", data=endless(), headers=OCTETS)
        finally:
            os._exit(0)
    return pid


def died_and_settled(site: Deployment, people) -> None:
    owner = people["owner"]
    image_id = owner.image(site, data=None)
    client = begin(owner, site, image_id)
    try:
        wait_for(lambda: owner.ask(site, "GET", f"/v2/images/{image_id}").json()["status"] == "saving")
        for pid in site.api.children():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: owner.ask(site, "GET", f"/v2/images/{image_id}").json()["status"] == "queued", 60)
        wait_for(lambda: site.files(image_id) == [])
    finally:
        os.kill(client, signal.SIGKILL)
        os.waitpid(client, 0)


@pytest.mark.parametrize("data_api", DATA_APIS)
def test_an_upload_that_died_is_settled(deploy, keystone, people, data_api):
    settings = {"keystone_authtoken": authtoken(keystone)}
    died_and_settled(deploy(api=settings, registry=settings, flavor="keystone", data_api=data_api), people)


@pytest.mark.parametrize("version", ["/v3", ""])
def test_the_service_user_of_2013(deploy, keystone, people, version):
    """admin_user and auth_url, for a registry that checks tokens."""
    settings = {"keystone_authtoken": authtoken(keystone)}
    service = {
        "admin_user": USER,
        "admin_password": PASSWORD,
        "admin_tenant_name": PROJECT,
        "auth_url": f"http://127.0.0.1:{keystone.port}{version}",
        "auth_strategy": "keystone",
    }
    died_and_settled(deploy(api=settings | service, registry=settings, flavor="keystone"), people)


def test_data_of_a_deactivated_image(site, people):
    """The registry tells its owner not where it lies; the service removes it all the same."""
    image_id = people["owner"].image(site)
    path = f"/v2/images/{image_id}"
    assert people["owner"].ask(site, "POST", path + "/actions/deactivate").status_code == 204
    assert people["owner"].ask(site, "DELETE", path).status_code == 204
    assert site.files(image_id) == []


def test_nobody_without_a_token_is_the_service(deploy, keystone, people):
    """Anonymous readers stay anonymous."""
    settings = {"keystone_authtoken": authtoken(keystone), "allow_anonymous_access": True}
    registry = settings | {"keystone_authtoken": authtoken(keystone, delay_auth_decision=True)}
    site = deploy(api=settings, registry=registry, flavor="keystone")
    image_id = people["owner"].image(site)
    for path in (f"/v1/images/{image_id}", f"/v2/images/{image_id}"):
        assert requests.get(site.endpoint + path, timeout=60).status_code == 404
        assert requests.delete(site.endpoint + path, timeout=60).status_code in (401, 403, 404)
    assert requests.get(site.endpoint + "/v2/images", timeout=60).json()["images"] == []
