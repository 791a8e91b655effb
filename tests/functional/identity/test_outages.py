"""Keystone or memcached away for a while (policy-quota-protection.md §1)."""

import time
from collections.abc import Iterator

import pytest
import requests

from tests.functional.conftest import Deployment
from tests.functional.identity.conftest import authtoken
from tests.services.keystone import Keystone

BACK_SECONDS = 5
PATHS = ("/v1/images", "/v2/images")


@pytest.fixture(scope="module")
def away(deploy, keystone: Keystone, people) -> Iterator[Deployment]:
    """A site with a memcached token cache, whose Keystone may be stopped."""
    settings = {"keystone_authtoken": authtoken(keystone, http_request_max_retries=0)}
    yield deploy(api=settings, registry=settings, flavor="keystone")


def test_keystone_away(away, keystone, people):
    """Tokens that are known go on; others are told to come back."""
    owner = people["owner"]
    unknown = owner.log_in()
    for path in PATHS:
        assert owner.ask(away, "GET", path).status_code == 200
    image_id = owner.image(away)
    keystone.stop()
    try:
        for path in PATHS:
            assert owner.ask(away, "GET", path).status_code == 200
            answer = requests.get(away.endpoint + path, headers={"X-Auth-Token": unknown}, timeout=60)
            assert (answer.status_code, answer.headers.get("Retry-After", "").isdigit()) == (503, True), answer.text
        assert owner.ask(away, "GET", f"/v2/images/{image_id}/file").content == b"data"
    finally:
        keystone.start()
    end = time.monotonic() + BACK_SECONDS
    while (status := requests.get(away.url + "/images", headers={"X-Auth-Token": unknown}).status_code) != 200:
        assert time.monotonic() < end, status
        time.sleep(0.1)
