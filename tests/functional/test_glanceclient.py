"""python-glanceclient 2.17.0, the last with a good v1, unmodified and in an environment of its own."""

import hashlib
import re

import pytest

from tests.functional import clients
from tests.functional.clients import DATA, cell


@pytest.fixture(scope="module")
def client():
    return clients.last_with_v1() / "glance"


@pytest.fixture
def glance(client, noauth):
    """Run the client against the server; gives its standard output."""
    options = ("--os-image-api-version", "1", "--os-image-url", noauth.endpoint, "--os-auth-token", "x")
    return lambda *arguments: clients.run(client, *options, *arguments)


def test_the_life_of_an_image(glance, tmp_path):
    source, copy = tmp_path / "disk.raw", tmp_path / "copy.raw"
    source.write_bytes(DATA)
    formats = ("--disk-format", "raw", "--container-format", "bare")
    rest = ("--is-public", "True", "--min-ram", "64", "--property", "distro=Ubuntu", "--progress")
    created = glance("image-create", "--name", "client-image", *formats, "--file", source, *rest)
    image_id = cell(created, "id")
    assert cell(created, "status") == "active"
    assert cell(created, "size") == str(len(DATA))
    assert cell(created, "checksum") == hashlib.md5(DATA, usedforsecurity=False).hexdigest()

    assert image_id in glance("image-list")
    assert image_id in glance("image-list", "--name", "client-image", "--property-filter", "distro=Ubuntu")
    shown = glance("image-show", image_id)
    assert cell(shown, "name") == "client-image"
    assert cell(shown, "Property 'distro'") == "Ubuntu"
    assert cell(shown, "min_ram") == "64"

    glance("image-download", image_id, "--file", copy)
    assert copy.read_bytes() == DATA

    updated = glance("image-update", image_id, "--name", "renamed", "--property", "release=24.04")
    assert cell(updated, "name") == "renamed"
    assert cell(glance("image-show", image_id), "Property 'distro'") == "Ubuntu"
    purged = glance("image-update", image_id, "--purge-props", "--property", "only=this")
    assert "distro" not in purged
    assert cell(purged, "Property 'only'") == "this"

    glance("member-create", image_id, "tenant2", "--can-share")
    members = glance("member-list", "--image-id", image_id)
    assert re.search(r"tenant2 +\| True", members)
    assert image_id in glance("member-list", "--tenant-id", "tenant2")
    glance("member-delete", image_id, "tenant2")
    assert "tenant2" not in glance("member-list", "--image-id", image_id)

    glance("image-delete", image_id)
    assert image_id not in glance("image-list")


def test_a_record_that_gets_its_data_later(glance, noauth, tmp_path):
    source = tmp_path / "disk.raw"
    source.write_bytes(DATA)
    image_id = noauth.create(name="later")["id"]
    formats = ("--disk-format", "qcow2", "--container-format", "bare")
    assert cell(glance("image-update", image_id, *formats, "--file", source), "status") == "active"
    glance("image-delete", image_id)
