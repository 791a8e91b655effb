"""Uploads that take longer than a token is good for (policy-quota-protection.md §8).

All at the same time: tokens that live much shorter are renewed with every request by the libraries themselves.
"""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.functional.identity.conftest import PASSWORD, SERVICE, Person, authtoken
from tests.functional.identity.test_access import OCTETS
from tests.services.keystone import running_keystone

LIFETIME = 60
BLOCKS = 75
BLOCK = bytes(64 * 1024)
META = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
VERSIONS = ["v1", "v2"]


def slow():
    """Data that goes on for longer than a token lives."""
    for _ in range(BLOCKS):
        yield BLOCK
        time.sleep(1)


@pytest.fixture(scope="module")
def hasty():
    """A Keystone whose tokens live for a short time."""
    pytest.importorskip("keystoneclient")
    with running_keystone(LIFETIME) as server:
        user, password, project = SERVICE
        server.user(user, password, {project: ["service", "admin"]})
        server.user("owner", PASSWORD, {"alpha": ["member"]})
        yield server


@pytest.fixture(scope="module")
def site(deploy, hasty):
    settings = {"keystone_authtoken": authtoken(hasty), "send_identity_headers": False}
    return deploy(api=settings, registry={"keystone_authtoken": authtoken(hasty)}, flavor="keystone")


def limited(hasty, name):
    """A token by which nothing can be entrusted to anybody: of an application credential."""
    from keystoneauth1 import session
    from keystoneauth1.identity import v3
    from keystoneclient.v3 import client

    made = client.Client(session=hasty.session("owner", PASSWORD, "alpha")).application_credentials.create(name)
    by = v3.ApplicationCredential(
        hasty.url, application_credential_id=made.id, application_credential_secret=made.secret
    )
    return by.get_token(session.Session())


def upload(site, owner, version):
    """Upload slowly; return the answer and the image's id."""
    if version == "v1":
        image_id = str(uuid.uuid4())
        headers = OCTETS | META | {"x-image-meta-id": image_id}
        return owner.ask(site, "POST", "/v1/images", data=slow(), headers=headers), image_id
    image_id = owner.image(site, data=None)
    return owner.ask(site, "PUT", f"/v2/images/{image_id}/file", data=slow(), headers=OCTETS), image_id


@pytest.fixture(scope="module")
def outcomes(site, hasty):
    """What became of each upload, by version and whether the token could entrust."""

    def run(version, entrusts):
        owner = Person(hasty, "owner", "alpha")
        if not entrusts:
            owner.token = limited(hasty, version)
        answer, image_id = upload(site, owner, version)
        owner.token = owner.log_in()
        found = owner.ask(site, "GET", f"/v2/images/{image_id}")
        assert found.status_code == 200, (answer.text, found.text)
        image = found.json()
        return SimpleNamespace(status=answer.status_code, text=answer.text, image=image)

    cases = [(version, entrusts) for version in VERSIONS for entrusts in (True, False)]
    with ThreadPoolExecutor(len(cases)) as threads:
        return dict(zip(cases, threads.map(run, *zip(*cases, strict=True)), strict=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_trust_outlives_the_token(site, outcomes, version):
    found = outcomes[version, True]
    assert found.status == {"v1": 201, "v2": 204}[version], found.text
    assert (found.image["status"], found.image["size"]) == ("active", len(BLOCK) * BLOCKS)


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_trust_nothing_is_left(site, outcomes, version):
    found = outcomes[version, False]
    assert found.status == 401, found.text
    assert found.image["status"] == {"v1": "killed", "v2": "queued"}[version]
    assert site.files(found.image["id"]) == []


def test_trusts_are_taken_back(hasty, outcomes):
    from keystoneclient.v3 import client

    owner = hasty.user("owner", PASSWORD, {})
    mine = client.Client(session=hasty.session("owner", PASSWORD, "alpha"))
    assert outcomes
    assert mine.trusts.list(trustor_user=owner) == []
