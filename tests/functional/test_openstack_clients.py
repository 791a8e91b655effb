"""Today's clients, unmodified, from PyPI and in an environment of their own, against API v2."""

import json

import pytest

from tests.functional import clients
from tests.functional.clients import DATA, cell

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def programs():
    return clients.todays()


@pytest.fixture
def run(programs, tmp_path):
    """Run a program of the environment; gives its standard output."""
    return lambda program, *arguments: clients.run(programs / program, *arguments, HOME=str(tmp_path))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def openstack(run, noauth):
    return lambda *arguments: run(
        "openstack", "--os-auth-type", "none", "--os-endpoint", noauth.endpoint, "image", *arguments
    )


@pytest.fixture
def glance(run, noauth):
    return lambda *arguments: run("glance", "--os-image-url", noauth.endpoint, "--os-auth-token", "x", *arguments)


def test_openstackclient(openstack, source, tmp_path):
    formats = ("--disk-format", "raw", "--container-format", "bare")
    created = openstack(
        "create", *formats, "--file", source, "--progress", "--property", "distro=ubuntu", "--tag", "one", "osc-image",
        "-f", "json",
    )  # fmt: skip
    image = json.loads(created[created.index("{") :])
    image_id = image["id"]
    assert (image["status"], image["size"], image["tags"]) == ("active", len(DATA), ["one"])

    listed = json.loads(openstack("list", "--long", "--sort", "name:asc", "-f", "json"))
    assert image_id in [row["ID"] for row in listed]
    found = json.loads(openstack("list", "--property", "distro=ubuntu", "--tag", "one", "-f", "json"))
    assert image_id in [row["ID"] for row in found]
    assert json.loads(openstack("list", "--property", "distro=none", "-f", "json")) == []
    assert json.loads(openstack("list", "--name", "osc-image", "-f", "json"))[0]["ID"] == image_id

    openstack("set", "--property", "a=b", "--tag", "two", "--name", "osc-renamed", "--min-ram", "5", image_id)
    image = json.loads(openstack("show", image_id, "-f", "json"))
    assert (image["name"], image["min_ram"], image["properties"]["a"]) == ("osc-renamed", 5, "b")
    assert sorted(image["tags"]) == ["one", "two"]
    openstack("unset", "--property", "a", "--tag", "two", image_id)
    image = json.loads(openstack("show", image_id, "-f", "json"))
    assert image["tags"] == ["one"]
    assert "a" not in image["properties"]

    openstack("save", "--file", tmp_path / "copy.raw", image_id)
    assert (tmp_path / "copy.raw").read_bytes() == DATA
    for options, attribute, value in [
        ("--deactivate", "status", "deactivated"),
        ("--activate", "status", "active"),
        ("--public", "visibility", "public"),
        ("--community", "visibility", "community"),
        ("--shared", "visibility", "shared"),
        ("--protected", "protected", True),
        ("--unprotected", "protected", False),
        ("--hidden", "os_hidden", True),
    ]:
        openstack("set", options, image_id)
        shown = json.loads(openstack("show", image_id, "-f", "json"))
        assert {**shown, **shown["properties"]}[attribute] == value
    openstack("delete", image_id)
    assert json.loads(openstack("list", "--name", "osc-renamed", "--hidden", "-f", "json")) == []


def test_glanceclient(glance, source, tmp_path):
    formats = ("--disk-format", "raw", "--container-format", "bare")
    created = glance("image-create", "--name", "gc", *formats, "--file", source, "--progress", "--property", "x=y")
    image_id = cell(created, "id")
    assert (cell(created, "status"), cell(created, "size"), cell(created, "x")) == ("active", str(len(DATA)), "y")
    assert image_id in glance("image-list", "--sort", "created_at:desc", "--limit", "50")
    glance("image-update", "--name", "gc-renamed", "--property", "k=v", "--remove-property", "x", image_id)
    shown = glance("image-show", image_id)
    assert (cell(shown, "name"), cell(shown, "k")) == ("gc-renamed", "v")
    assert "| x " not in shown
    glance("image-tag-update", image_id, "blue")
    assert "blue" in cell(glance("image-show", image_id), "tags")
    glance("image-tag-delete", image_id, "blue")
    glance("image-download", "--file", tmp_path / "copy.raw", "--progress", image_id)
    assert (tmp_path / "copy.raw").read_bytes() == DATA
    glance("image-deactivate", image_id)
    assert cell(glance("image-show", image_id), "status") == "deactivated"
    glance("image-reactivate", image_id)

    glance("member-create", image_id, PROJECT)
    assert PROJECT in glance("member-list", "--image-id", image_id)
    assert "accepted" in glance("member-update", image_id, PROJECT, "accepted")
    assert "accepted" in glance("member-get", image_id, PROJECT)
    glance("member-delete", image_id, PROJECT)

    assert "container_format" in glance("explain", "image")
    assert "import-methods" in glance("import-info")
    glance("image-delete", image_id)

    created = glance("image-create", "--name", "two steps", *formats)
    image_id = cell(created, "id")
    assert cell(created, "status") == "queued"
    glance("image-upload", "--file", source, image_id)
    assert cell(glance("image-show", image_id), "status") == "active"
    glance("image-delete", image_id)


SDK_SCRIPT = """
import io, sys
import openstack

endpoint, data = sys.argv[1], bytes(range(256)) * 1000
connection = openstack.connection.Connection(
    auth_type="none", endpoint=endpoint, image_endpoint_override=endpoint,
)
images = connection.image
image = images.create_image(
    "sdk-image", data=io.BytesIO(data), disk_format="raw", container_format="bare", validate_checksum=False,
    allow_duplicates=True, os_distro="debian",
)
image = images.get_image(image.id)
assert (image.status, image.size) == ("active", len(data)), image
assert images.find_image("sdk-image").id == image.id
assert [i.id for i in images.images(name="sdk-image", sort_key="name", sort_dir="asc", limit=1)] == [image.id]
assert [i.id for i in images.images(os_distro="debian", status="active", protected=False)] == [image.id]
image = images.update_image(image, name="sdk-renamed", min_ram=7, os_version="12")
assert (image.name, image.min_ram) == ("sdk-renamed", 7)
assert images.get_image(image.id).os_version == "12"
images.add_tag(image, "blue")
assert images.get_image(image.id).tags == ["blue"]
assert [i.id for i in images.images(tag="blue", name="sdk-renamed")] == [image.id]
images.remove_tag(image, "blue")
member = images.add_member(image, member_id="m1")
assert member.status == "pending"
assert images.update_member("m1", image, status="accepted").status == "accepted"
assert [m.member_id for m in images.members(image)] == ["m1"]
images.remove_member("m1", image)
assert images.download_image(image).content == data
images.deactivate_image(image)
assert images.get_image(image.id).status == "deactivated"
images.reactivate_image(image)
images.delete_image(image)
assert images.find_image("sdk-renamed") is None
print("done")
"""


def test_openstacksdk(run, noauth, tmp_path):
    script = tmp_path / "life.py"
    script.write_text(SDK_SCRIPT)
    assert run("python", script, noauth.endpoint).strip() == "done"
