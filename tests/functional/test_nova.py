"""Nova's own code for images, unmodified, from PyPI and in an environment of its own, against API v2.

The test is the front that authenticates: Nova's requests carry the identity headers that an
authentication filter would set (``trusted-auth``), or the token of a catalog (no authentication).
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import CACHE
from tests.functional.conftest import Deployment, write_config
from tests.functional.v1.source import Source, content
from tests.functional.v2.conftest import Deployment as TypedDeployment

PACKAGES = ("nova==34.0.0", "python-glanceclient==4.13.0")
DATA = bytes(range(256)) * 1000
SIZE = 1234


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with Nova."""
    home = CACHE / f"nova-py{sys.version_info.major}.{sys.version_info.minor}"
    done = home / "installed"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        venv.create(home, with_pip=True, clear=True)
        pip = subprocess.run([home / "bin" / "pip", "install", "-q", *PACKAGES], capture_output=True, text=True)
        if pip.returncode:
            pytest.skip(f"{PACKAGES[0]} cannot be installed: {pip.stderr.strip()[-300:]}")
        done.write_text(" ".join(PACKAGES))
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source() as server:
        yield server


@pytest.fixture(scope="module")
def open_handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with typed properties that shows locations and lets the test's web server be one."""
    api = {
        "show_multiple_locations": True,
        "show_image_direct_url": True,
        "import_filtering_opts": {"allowed_hosts": "127.0.0.1"},
    }
    deployment = TypedDeployment(tmp_path_factory.mktemp("located"), api=api, flavor="trusted-auth")
    yield deployment.start()
    deployment.stop()


PRELUDE = """
import io, json, sys, time, uuid

import nova.conf
from keystoneauth1 import plugin
from nova import context as nova_context, exception
from nova.image import glance

CONF = nova.conf.CONF
CONF([], project="nova", default_config_files=[sys.argv[1]])
ARGUMENTS = json.loads(sys.argv[2])
API = glance.API()


class Front(plugin.BaseAuthPlugin):
    def __init__(self, project, roles):
        super().__init__()
        self.headers = {
            "X-Identity-Status": "Confirmed", "X-User-Id": "u-" + project, "X-Tenant-Id": project, "X-Roles": roles,
        }

    def get_headers(self, session, **kwargs):
        return self.headers


def caller(project=None, roles="member"):
    project = project or uuid.uuid4().hex
    return nova_context.RequestContext(
        user_id="u-" + project, project_id=project, is_admin=False, auth_token="token",
        user_auth_plugin=Front(project, roles), overwrite=False,
    )


def refused(error, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except error as caught:
        assert type(caught) in (error if isinstance(error, tuple) else (error,)), repr(caught)
    else:
        raise AssertionError(f"{error} was not raised")


def same(actual, expected):
    assert actual == expected, (actual, expected)


def wait_active(context, image_id):
    deadline = time.monotonic() + 30
    while (image := API.get(context, image_id, include_locations=True))["status"] != "active":
        assert time.monotonic() < deadline, image
        time.sleep(0.1)
    return image


FORMATS = {"disk_format": "raw", "container_format": "bare"}
"""


@pytest.fixture
def nova(python: Path, tmp_path: Path) -> Callable[..., None]:
    """Run a script with Nova's code: ``nova(deployment, script, arguments...)``."""

    def run(deployment: Deployment, script: str, catalog: bool = False, **arguments: Any) -> None:
        config, file = tmp_path / "nova.conf", tmp_path / "script.py"
        servers = {} if catalog else {"api_servers": deployment.endpoint}
        write_config(config, {"glance": {"num_retries": 0, **servers}})
        file.write_text(PRELUDE + script + '\nprint("done")\n')
        done = subprocess.run(
            [python, "-W", "ignore", file, config, json.dumps({"endpoint": deployment.endpoint, **arguments})],
            capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stdout + done.stderr

    return run


LIFE = """
data = open(ARGUMENTS["file"], "rb").read()
user = caller()
instance = str(uuid.uuid4())
image = API.create(user, {
    "name": "snapshot", "is_public": False, "status": "creating", "min_ram": "64", "min_disk": 1, **FORMATS,
    "properties": {
        "image_type": "snapshot", "instance_uuid": instance, "kernel_id": "", "user_id": "u", "bdm_v2": True,
        "block_device_mapping": [{"device_name": "/dev/vda", "volume_size": 1}], "base_image_ref": str(uuid.uuid4()),
    },
}, data=open(ARGUMENTS["file"], "rb"))
image_id = image["id"]
same((image["status"], image["size"], image["is_public"]), ("active", len(data), False))
same((image["min_ram"], image["min_disk"], image["owner"]), (64, 1, user.project_id))
same(image["properties"]["block_device_mapping"], [{"device_name": "/dev/vda", "volume_size": 1}])
same(image["properties"]["bdm_v2"], "True")
assert "kernel_id" not in image["properties"]
same(image["checksum"], ARGUMENTS["md5"])
got = API.get(user, image_id)
same(got["updated_at"].utcoffset().total_seconds(), 0)
same({**got, "updated_at": 0}, {**image, "updated_at": 0})
same(API.get(user, ARGUMENTS["endpoint"] + "/v2/images/" + image_id)["id"], image_id)

same(b"".join(API.download(user, image_id)), data)
API.download(user, image_id, dest_path=ARGUMENTS["copy"])
same(open(ARGUMENTS["copy"], "rb").read(), data)
into = io.BytesIO()
API.download(user, image_id, data=into)
same(into.getvalue(), data)

image = API.update(user, image_id, {"name": "renamed", "properties": {"user_id": "v", "image_state": "available"}})
same(image["name"], "renamed")
same((image["properties"]["user_id"], image["properties"]["image_type"]), ("v", "snapshot"))
image = API.update(user, image_id, {"properties": {"user_id": "v", "two": 2}}, purge_props=True)
same(image["properties"], {"user_id": "v", "two": "2"})

same(API.delete(user, image_id), True)
refused(exception.ImageNotFound, API.get, user, image_id)
refused(exception.ImageNotFound, API.delete, user, image_id)
refused(exception.ImageNotFound, API.download, user, image_id)
refused(exception.ImageNotFound, API.update, user, image_id, {"name": "x"})
"""


@pytest.mark.parametrize("place", ["trusted", "open_handed"])
def test_life(request, nova, tmp_path, place):
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    md5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    nova(request.getfixturevalue(place), LIFE, file=str(file), copy=str(tmp_path / "copy"), md5=md5)


LATER = """
user = caller()
image = API.create(user, {"name": "later", "properties": {"image_type": "snapshot", "kernel_id": None}})
image_id = image["id"]
same((image["status"], image["size"], image["disk_format"]), ("queued", 0, None))
same(image["properties"].get("kernel_id"), None)
refused(exception.ImageUnacceptable, API.download, user, image_id)
refused(exception.ImageBadRequest, API.update, user, image_id, {}, data=io.BytesIO(b"too early"))
same(API.get(user, image_id)["status"], "queued")
image = API.update(user, image_id, {
    "status": "active", "name": "later", "id": image_id, "size": 5, **FORMATS,
    "properties": {"image_state": "available", "image_location": "snapshot", "owner_id": user.project_id},
}, data=io.BytesIO(b"bytes"))
same((image["status"], image["size"], image["properties"]["image_type"]), ("active", 5, "snapshot"))
same(b"".join(API.download(user, image_id)), b"bytes")

volumes = API.create(user, {"name": "of volumes", "size": 0, "properties": {
    "block_device_mapping": [{"snapshot_id": str(uuid.uuid4())}], "bdm_v2": True, "root_device_name": "/dev/vda"}})
same((volumes["status"], volumes["size"], volumes["disk_format"]), ("active", 0, "raw"))
for image in (image_id, volumes["id"]):
    API.delete(user, image)
"""


def test_data_after_the_record(nova, open_handed):
    nova(open_handed, LATER)


LIST = """
user, other = caller(), caller()
mine = [
    API.create(user, {"name": f"image {number}", **FORMATS, "properties": {"arch": "x" if number % 2 else "y"}},
               data=io.BytesIO(b"x" * number))["id"]
    for number in range(5)
]
queued = API.create(user, {"name": "image queued", **FORMATS})["id"]


def ids(**query):
    return [image["id"] for image in API.get_all(user, **query)]


same(ids(filters={"status": "active", "owner": user.project_id}, sort_key="name", sort_dir="asc"), mine)
same(ids(filters={"status": "active"}, sort_key="name", sort_dir="desc", page_size=2), mine[::-1])
same(ids(sort_key="size", sort_dir="asc", filters={"status": "active"}, marker=mine[1], limit=2), mine[2:4])
same(ids(filters={"name": "image 3"}), [mine[3]])
same(ids(filters={"status": "queued"}), [queued])
same(sorted(ids(filters={"property-arch": "x"})), sorted([mine[1], mine[3]]))
same(sorted(ids(filters={"is_public": "false", "min_ram": 0})), [])
same(ids(filters={"is_public": "true", "owner": user.project_id}), [])
same(sorted(ids(filters={"size_min": 3, "size_max": 4})), sorted(mine[3:]))
same(sorted(ids(filters={"changes-since": "2001-02-03T04:05:06Z"})), sorted([*mine, queued]))
same(ids(filters={"changes-since": "2101-02-03T04:05:06Z"}), [])
same(sorted(ids(filters={"changes-since": "2001-02-03T04:05:06+01:00"})), sorted([*mine, queued]))
refused(exception.Invalid, API.get_all, user, marker=str(uuid.uuid4()))
refused(exception.Invalid, API.get_all, user, filters={"changes-since": "yesterday"})
same([image["id"] for image in API.get_all(other) if image["owner"] == user.project_id], [])
API.update(user, mine[0], {"is_public": False, "name": "private"})
same(ids(filters={"is_public": "false"}), [mine[0]])
for image in (*mine, queued):
    API.delete(user, image)
"""


def test_list(nova, deploy):
    nova(deploy(flavor="trusted-auth"), LIST)  # nobody else's public images


OTHERS = """
user, other, admin = caller(), caller(), caller(roles="admin")
nobody = nova_context.RequestContext(is_admin=False, auth_token="token", service_catalog=[], overwrite=False)
hidden = API.create(user, {"name": "hidden", "is_public": False, **FORMATS}, data=io.BytesIO(b"data"))["id"]
public = API.create(admin, {"name": "public", "is_public": True, **FORMATS}, data=io.BytesIO(b"data"))["id"]

for call in (API.get, API.download, API.delete):
    refused(exception.ImageNotFound, call, other, hidden)
refused(exception.ImageNotFound, API.update, other, hidden, {"name": "taken"})
same((API.get(other, public)["is_public"], b"".join(API.download(other, public))), (True, b"data"))
refused(exception.ImageNotAuthorized, API.update, other, public, {"name": "taken"})
refused(exception.ImageNotAuthorized, API.delete, other, public)
refused(exception.ImageNotAuthorized, API.get, nobody, public)
refused(exception.Forbidden, API.create, user, {"name": "publicised", "is_public": True, **FORMATS})
refused(exception.ImageNotAuthorized, API.update, user, hidden, {"is_public": True})
refused(exception.Invalid, API.create, user, {"name": "four bytes: " + chr(0x1F600)})
refused(exception.ImageBadRequest, API.update, user, hidden, {"min_ram": 2 ** 31})
refused(exception.ImageNotFound, API.get, user, str(uuid.uuid4()))
same(API.get(admin, hidden)["name"], "hidden")

# A snapshot by somebody who is not the owner of the instance is shared with the owner.
shared = API.create(admin, {"name": "shared", **FORMATS, "properties": {"instance_owner": other.project_id}},
                    data=io.BytesIO(b"shared"))
assert "instance_owner" not in shared["properties"]
same(b"".join(API.download(other, shared["id"])), b"shared")
refused(exception.ImageNotFound, API.get, user, shared["id"])
refused(exception.ImageNotAuthorized, API.delete, other, shared["id"])
API.delete(admin, hidden)
API.delete(admin, public)
API.delete(admin, shared["id"])
"""


def test_images_of_others(nova, trusted):
    nova(trusted, OTHERS)


LOCATED = """
user = caller()
url = ARGUMENTS["url"]

# Nova's snapshot of an rbd disk names its place: POST /locations where v2.17 is announced ...
image = API.create(user, {"name": "located", "properties": {"image_type": "snapshot"}})
API.update(user, image["id"], {"location": url, **FORMATS})
image = wait_active(user, image["id"])
same(image["size"], ARGUMENTS["size"])
assert url in [place["url"] for place in image["locations"]], image
same("locations" in API.get(user, image["id"]), False)
same(b"".join(API.download(user, image["id"])), open(ARGUMENTS["file"], "rb").read())
API.delete(user, image["id"])
image = API.create(user, {"name": "located at once", "location": url, **FORMATS})
image = wait_active(user, image["id"])
API.delete(user, image["id"])

# ... and a change of the image elsewhere, here in any case.
client = glance.GlanceClientWrapper()
image = API.create(user, {"name": "located", **FORMATS})
image_id = image["id"]
client.call(user, 2, "add_location", args=(image_id, url, {}))
image = API.get(user, image_id, include_locations=True)
same((image["status"], image["size"], image["checksum"]), ("active", ARGUMENTS["size"], None))
same(image["locations"], [{"url": url, "metadata": {}}] * 2)  # one is the direct_url
same(b"".join(API.download(user, image_id)), open(ARGUMENTS["file"], "rb").read())
API.delete(user, image_id)

# The store's own schemes are refused both ways: by the change with 400, by POST /locations with 403 or 400.
for place in (ARGUMENTS["decoy"], "filesystem://" + ARGUMENTS["decoy"][7:]):
    image = API.create(user, {"name": "no file", **FORMATS})
    try:
        client.call(user, 2, "add_location", args=(image["id"], place, {}))
    except glance.glanceclient.exc.HTTPBadRequest:
        pass
    else:
        raise AssertionError(place)
    for who in (user, caller(user.project_id, "member,service")):
        refused((exception.Invalid, exception.ImageNotAuthorized), API.update, who, image["id"], {"location": place})
    same(API.get(user, image["id"], include_locations=True)["locations"], [])
    API.delete(user, image["id"])
"""


def test_locations(nova, open_handed, source, tmp_path):
    file, decoy = tmp_path / "served", tmp_path / "decoy"
    file.write_bytes(content(SIZE))
    decoy.write_bytes(b"not for images")
    url = f"{source.url}/size/{SIZE}"
    nova(open_handed, LOCATED, url=url, size=SIZE, file=str(file), decoy=f"file://{decoy}")
    assert decoy.read_bytes() == b"not for images"


CATALOG = """
def catalog(url):
    ends = {"publicURL": url, "internalURL": url, "adminURL": url, "region": "one"}
    return [{"type": "image", "name": "glance", "endpoints": [ends]}]


for url in (ARGUMENTS["endpoint"], ARGUMENTS["endpoint"] + "/", ARGUMENTS["endpoint"] + "/v2"):
    user = nova_context.RequestContext(
        user_id="u", project_id="p", is_admin=False, auth_token="token", service_catalog=catalog(url), overwrite=False,
    )
    same(glance.generate_glance_url(user).rstrip("/"), ARGUMENTS["endpoint"])
    image = API.create(user, {"name": "of the catalog", **FORMATS}, data=io.BytesIO(b"data"))
    same(b"".join(API.download(user, image["id"])), b"data")
    API.delete(user, image["id"])
"""


def test_endpoint_of_the_catalog(nova, noauth):
    """No address is configured: it is discovered from what the catalog has, with and without a version."""
    nova(noauth, CATALOG, catalog=True)
