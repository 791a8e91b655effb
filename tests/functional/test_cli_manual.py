"""Every command line of chapter 9 and every example of chapter 10 of the 2011 manual, against real daemons.

The manual's numeric ids are replaced by the ids that the server gives, its addresses by
the server's; nothing else is changed, but for Python 3's print and a binary file.
"""

import os
import pty
import re
import select
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from glance.client import Client
from glance.common import exception

ROOT = Path(__file__).parents[2]
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TRANSCRIPT = ROOT / "doc" / "source" / "user" / "transcript.txt"
DATA = b"An image, or what goes for one.\n" * 2000


class WebServer:
    """Somewhere on the web: serves one image under any path."""

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(DATA)))
                self.end_headers()

            def do_GET(self):
                self.do_HEAD()
                self.wfile.write(DATA)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Shell:
    """Runs command lines as they would be typed; ``glance`` is this checkout's, on the server's port."""

    def __init__(self, directory, port):
        self._directory = directory
        self._script = f'glance() {{ "{sys.executable}" "{ROOT}/bin/glance" --port={port} "$@"; }}\n'
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GLANCE_"))
        }

    def __call__(self, line, answer=None, code=0):
        """Standard output of ``line``.

        :param answer: what a person types at the question; None: there is no terminal
        """
        if answer is None:
            done = subprocess.run(
                ["sh", "-c", self._script + line], cwd=self._directory, env=self._environment,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (code, ""), done.stdout
            return done.stdout
        master, slave = pty.openpty()
        try:
            child = subprocess.Popen(
                ["sh", "-c", self._script + line], cwd=self._directory, env=self._environment,
                stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            text = b""
            while select.select([child.stdout], [], [], 120)[0] and (block := os.read(child.stdout.fileno(), 65536)):
                text += block
                if text.endswith(b"] "):
                    os.write(master, answer.encode() + b"\n")
                    text += answer.encode() + b"\n"
            child.stdout.close()
            assert child.wait(120) == code
        finally:
            os.close(master)
            os.close(slave)
        return text.decode()


@pytest.fixture(scope="module")
def web():
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def glance(deploy):
    """A deployment whose images are this module's alone."""
    return deploy(api={"import_filtering_opts": {"allowed_hosts": "127.0.0.1"}, "stores": "file,http",
                       "glance_store": {"stores": "file,http"}})  # fmt: skip


@pytest.fixture
def shell(glance, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "myimage.iso").write_bytes(DATA)
    typed = Shell(tmp_path, glance.api_port)
    yield typed
    typed("glance clear --force --host=127.0.0.1")


@pytest.fixture
def client(glance, shell):
    return Client("127.0.0.1", glance.api_port)


ADDRESS = "--host=127.0.0.1"


def identifier(output):
    return re.match(rf"Added new image with ID: ({UUID})\n", output)[1]


def add(shell, line="glance add name=Fedora is_public=true < images/myimage.iso"):
    return identifier(shell(f"{line} {ADDRESS}"))


# --- chapter 9 -------------------------------------------------------------


def test_help(shell):
    out = shell(f"{ROOT}/bin/glance")  # the function above gives an option, and that makes a difference
    assert out.startswith("Usage: glance <command> [options] [args]\n")
    for word in ("help <command>", "add", "update", "delete", "index", "details", "show", "clear", "--version",
                 "-h, --help", "-v, --verbose", "-H ADDRESS, --host=ADDRESS", "-p PORT, --port=PORT", "--limit=LIMIT",
                 "--marker=MARKER", "--sort_key=KEY", "--sort_dir=", "-f, --force", "--dry-run"):  # fmt: skip
        assert word in out
    out = shell("glance help update")
    assert out.startswith("glance update [options] <ID> <field1=value1 field2=value2 ...>\n\n")
    for word in ("name", "is_public", "disk_format", "container_format"):
        assert f"\n{word}  " in out


def test_add(shell, client):
    image_id = identifier(shell(f'glance add name="My Image" is_public=true < images/myimage.iso {ADDRESS}'))
    meta, blocks = client.get_image(image_id)
    assert b"".join(blocks) == DATA
    assert (meta["name"], meta["is_public"], meta["status"]) == ("My Image", True, "active")
    assert (meta["disk_format"], meta["container_format"]) == ("raw", "ovf")


def listing(output):
    """The ``key => value`` lines of an output."""
    return dict(re.findall(r"^ *(\w+) => (.*)$", output, re.MULTILINE))


def test_add_verbose(shell):
    out = shell(f'glance --verbose add name="My Image" is_public=true < images/myimage.iso {ADDRESS}')
    assert out.splitlines()[1] == "Returned the following metadata for the new image:"
    stored = listing(out)
    assert stored["id"] == identifier(out)
    expected = {"container_format": "ovf", "deleted": "False", "deleted_at": "None", "disk_format": "raw",
                "is_public": "True", "name": "My Image", "properties": "{}", "size": str(len(DATA)),
                "status": "active"}  # fmt: skip
    assert expected.items() <= stored.items()
    assert {"created_at", "updated_at"} <= stored.keys()
    assert re.search(r"^Completed in \d+\.\d{4} sec\.$", out, re.MULTILINE)


def test_add_dry_run(shell, client):
    out = shell(f'glance --dry-run add name="Foo" distro="Ubuntu" is_publi=True < images/myimage.iso {ADDRESS}')
    assert out.startswith("Dry run. We would have done the following:\nAdd new image with metadata:\n")
    properties = "{'distro': 'Ubuntu', 'is_publi': 'True'}"
    assert listing(out) == {
        "container_format": "ovf", "disk_format": "raw", "is_public": "False", "name": "Foo", "properties": properties,
    }  # fmt: skip
    assert client.get_images() == []


def test_add_location(shell, client, web):
    out = shell(
        'glance --verbose add name="Some web image" disk_format=vhd container_format=ovf '
        f'location="http://127.0.0.1:{web.port}/images/myimage.vhd"'
    )
    stored = listing(out)
    assert (stored["status"], stored["disk_format"], stored["size"]) == ("active", "vhd", str(len(DATA)))
    assert b"".join(client.get_image(stored["id"])[1]) == DATA


def test_update(shell, client):
    image_id = add(shell, "glance add name=x < images/myimage.iso")
    assert client.get_image_meta(image_id)["is_public"] is False
    assert shell(f"glance update {image_id} is_public=true {ADDRESS}") == f"Updated image {image_id}\n"
    assert client.get_image_meta(image_id)["is_public"] is True
    out = shell(f"glance --verbose update {image_id} is_public=true {ADDRESS}")
    lines = out.splitlines()
    assert lines[:2] == [f"Updated image {image_id}", f"Updated image metadata for image {image_id}:"]
    assert re.match(rf"URI: http://127\.0\.0\.1:\d+/v1/images/{image_id}$", lines[2])
    assert {f"Id: {image_id}", "Public? Yes", "Name: x", f"Size: {len(DATA)}", "Disk format: raw",
            "Container format: ovf"} <= set(lines)  # fmt: skip


def test_delete(shell, client):
    image_id = add(shell)
    out = shell(f"glance --verbose delete {image_id} {ADDRESS}", answer="y")
    assert out.startswith(f"Delete image {image_id}? [y/N] y\nDeleted image {image_id}\nCompleted in ")
    assert client.get_images() == []
    assert client.get_image_meta(image_id)["deleted"] is True  # administrators still see the record


MANUAL_IMAGES = (
    'name="Ubuntu 10.10" disk_format=vhd container_format=ovf distro_version=10.10 distro=Ubuntu',
    'name="Ubuntu 10.04" disk_format=ami container_format=ami distro_version=10.04 distro=Ubuntu',
    'name="Fedora 9" disk_format=vdi container_format=bare distro_version=9 distro=Fedora',
    'name="Vanilla Linux 2.6.22" disk_format=qcow2 container_format=bare',
)


@pytest.fixture
def four_images(shell):
    """The images of the manual's lists."""
    return [add(shell, f"glance add is_public=true {fields} < images/myimage.iso") for fields in MANUAL_IMAGES]


def test_index(shell, four_images):
    lines = shell(f"glance index {ADDRESS}").splitlines()
    assert lines[0].split() == ["ID", "Name", "Disk", "Format", "Container", "Format", "Size"]
    assert set(lines[1]) == {"-", " "}
    assert [line[:36] for line in lines[2:]] == four_images[::-1]
    assert lines[-1].split()[1:] == ["Ubuntu", "10.10", "vhd", "ovf", str(len(DATA))]

    def names(line):
        return {row[37:67].strip() for row in shell(f"glance index {line} {ADDRESS}").splitlines()[2:]}

    assert names('name="Fedora 9"') == {"Fedora 9"}
    assert names("disk_format=ami") == names("container_format=ami") == {"Ubuntu 10.04"}
    assert len(names("status=active")) == 4
    assert names("status=queued") == names(f"size_min={len(DATA) + 1}") == set()
    assert len(names(f"size_max={len(DATA)} size_min=1")) == 4
    assert names("distro=Ubuntu") == {"Ubuntu 10.10", "Ubuntu 10.04"}
    assert len(names(f"--limit=1 --marker={four_images[1]}")) == 1
    rows = shell(f"glance index --sort_key=name --sort_dir=asc --limit=3 --force {ADDRESS}").splitlines()[2:]
    assert [row[37:67].strip() for row in rows] == ["Fedora 9", "Ubuntu 10.04", "Ubuntu 10.10", "Vanilla Linux 2.6.22"]


def test_details(shell, four_images):
    blocks = shell(f"glance details {ADDRESS}").split("=" * 80 + "\n")
    assert (blocks[0], blocks[-1]) == ("", "")
    block = blocks[4].splitlines()
    assert block[0].endswith(f"/v1/images/{four_images[0]}")
    assert {f"Id: {four_images[0]}", "Public? Yes", "Name: Ubuntu 10.10", "Status: active", f"Size: {len(DATA)}",
            "Disk format: vhd", "Container format: ovf", "Property 'distro_version': 10.10",
            "Property 'distro': Ubuntu"} <= set(block)  # fmt: skip


def test_show(shell, four_images):
    out = shell(f"glance show {four_images[2]} {ADDRESS}")
    assert f"Id: {four_images[2]}\nPublic? Yes\n" in out
    assert "Name: Fedora 9\nStatus: active\n" in out
    assert "Property 'distro': Fedora\nProperty 'distro_version': 9\n" in out


def test_clear(shell, client):
    first = add(shell, 'glance add name="Some web image" is_public=true < images/myimage.iso')
    second = add(shell, 'glance add name="Some other web image" is_public=true < images/myimage.iso')
    out = shell(f"glance --verbose clear {ADDRESS}", answer="y")
    lines = out.splitlines()
    assert lines[0] == "Delete all images? [y/N] y"
    assert set(lines[1:3]) == {
        f'Deleting image {first} "Some web image" ... done', f'Deleting image {second} "Some other web image" ... done'
    }  # fmt: skip
    assert lines[3].startswith("Completed in ")
    assert client.get_images() == []


def test_members(shell):
    image_id = add(shell)
    other = add(shell)
    assert shell(f"glance member-add {image_id} tenant1 {ADDRESS}") == ""
    assert shell(f"glance member-add {image_id} tenant2 --can-share {ADDRESS}") == ""
    assert shell(f"glance member-add {other} tenant1 --can-share {ADDRESS}") == ""
    note = "\n(*: Can share image)\n"
    assert shell(f"glance image-members {image_id} {ADDRESS}") == "tenant1\ntenant2 *\n" + note
    shared = shell(f"glance member-images tenant1 {ADDRESS}")
    assert shared.endswith(note)
    assert set(shared.removesuffix(note).splitlines()) == {image_id, f"{other} *"}
    assert shell(f"glance member-delete {image_id} tenant1") == ""
    assert shell(f"glance member-delete {image_id} tenant2") == ""
    assert shell(f"glance member-delete {image_id} tenant2") == ""
    assert shell(f"glance image-members {image_id}") == ""
    shell(f"glance member-add {image_id} tenant3")
    assert shell(f"glance members-replace {image_id} tenant1 --can-share {ADDRESS}") == ""
    assert shell(f"glance image-members {image_id}") == "tenant1 *\n" + note


# --- chapter 10 ------------------------------------------------------------


@pytest.fixture
def c(glance, four_images):
    return Client("127.0.0.1", glance.api_port)


def test_lists_of_images(c, four_images):
    assert [image["id"] for image in c.get_images()] == four_images[::-1]
    detailed = c.get_images_detailed()
    assert detailed[0]["name"] == "Vanilla Linux 2.6.22"
    assert detailed[3]["properties"] == {"distro": "Ubuntu", "distro_version": "10.10"}


def test_filters(c, shell):
    filters = {"status": "saving", "size_max": (5 * 1024 * 1024 * 1024)}
    assert c.get_images_detailed(filters=filters) == []
    filters["status"] = "active"
    assert len(c.get_images_detailed(filters=filters)) == 4
    for name, value in (("name", "Fedora 9"), ("container_format", "ovf"), ("disk_format", "qcow2"), ("size_min", 1)):
        assert len(c.get_images({name: value})) == (4 if name == "size_min" else 1)


def test_sorting(c):
    names = [image["name"] for image in c.get_images(sort_key="name", sort_dir="asc")]
    assert names == sorted(names)
    for key in ("id", "name", "status", "container_format", "disk_format", "created_at", "updated_at"):
        assert len(c.get_images(sort_key=key)) == 4


def test_one_image(c, four_images):
    uri = c.get_images()[0]["uri"]
    assert c.get_image_meta(uri)["name"] == "Vanilla Linux 2.6.22"
    assert c.get_image_meta(f"http://glance.example.com/images/{four_images[0]}")["name"] == "Ubuntu 10.10"


def test_retrieving(c, tmp_path):
    meta, image_file = c.get_image(c.get_images()[0]["uri"])
    with open(tmp_path / "some_local_file", "wb") as f:
        for chunk in image_file:
            f.write(chunk)
    assert (tmp_path / "some_local_file").read_bytes() == DATA
    assert meta["size"] == len(DATA)


def test_adding(c, tmp_path):
    path = tmp_path / "image.tar.gz"
    path.write_bytes(DATA)
    meta = {"name": "Ubuntu 10.10 5G", "type": "machine", "is_public": True, "disk_format": "raw",
            "container_format": "ovf", "properties": {"distro": "Ubuntu 10.10"}}  # fmt: skip
    with open(path, "rb") as data:
        new_meta = c.add_image(meta, data)
    assert new_meta["status"] == "active"
    assert new_meta["properties"] == {"distro": "Ubuntu 10.10", "type": "machine"}
    with pytest.raises(exception.Duplicate):
        c.add_image({**meta, "id": new_meta["id"]})
    with pytest.raises(exception.BadRequest):
        c.add_image({**meta, "store": "no such store"}, b"data")
    with pytest.raises(exception.BadRequest):
        c.add_image({**meta, "size": 5}, b"data")
    assert c.add_image({**meta, "store": "file", "is_public": "on"}, b"data")["is_public"] is True
    queued = c.add_image({"name": "later"})
    assert (queued["status"], queued["is_public"]) == ("queued", False)


def test_membership_calls(c, four_images):
    image_id, other = four_images[0], four_images[1]
    c.add_member(image_id, "tenant1")
    c.add_member(image_id, "tenant2", True)
    c.add_member(image_id, "tenant2")
    assert sorted(c.get_image_members(image_id), key=str) == [
        {"member_id": "tenant1", "can_share": False},
        {"member_id": "tenant2", "can_share": True},
    ]
    assert c.get_member_images("tenant1") == [{"image_id": image_id, "can_share": False}]
    c.delete_member(image_id, "tenant1")
    c.delete_member(image_id, "tenant1")
    with pytest.raises(exception.NotFound):
        c.delete_member("00000000-0000-4000-8000-000000000000", "tenant1")
    c.add_member(other, "tenant3", True)
    c.replace_members(other, {"member_id": "tenant1", "can_share": False}, {"member_id": "tenant2", "can_share": True})
    assert {(member["member_id"], member["can_share"]) for member in c.get_image_members(other)} == {
        ("tenant1", False), ("tenant2", True)
    }  # fmt: skip
    c.replace_members(other, {"member_id": "tenant2"})
    assert c.get_image_members(other) == [{"member_id": "tenant2", "can_share": True}]


# --- the transcript of the documentation -----------------------------------


class Transcript:
    """What a session looks like, with everything that changes from run to run put to one value."""

    def __init__(self, shell, ports):
        self._shell = shell
        self._ports = ports
        self._ids = {}
        self.text = ""

    def __call__(self, line, *, ids=(), **options):
        """Run ``line``, whose ``{}`` are the ids that earlier calls returned; return the id in the output."""
        typed = line.format(*ids)
        output = self._shell(typed.replace(":8000/", f":{self._ports[8000]}/"), **options)
        found = re.search(UUID, output)
        self.text += self._normal(f"$ {typed}\n{output}\n")
        return found and found[0]

    def _normal(self, text):
        for standard, real in self._ports.items():
            text = text.replace(f":{real}/", f":{standard}/")
        text = re.sub(UUID, self._standard_id, text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", "2011-02-22T19:20:53.298556", text)
        return re.sub(r"Completed in [\d.]+ sec", "Completed in 0.1234 sec", text)

    def _standard_id(self, match):
        if match[0].startswith("00000000"):
            return match[0]
        number = self._ids.setdefault(match[0], len(self._ids) + 1)
        return f"{number:08x}-5b1e-4b1a-9a3b-0d5f3e1c2b44"


def test_transcript(glance, shell, web):
    do = Transcript(shell, {9292: glance.api_port, 8000: web.port})
    first = do('glance add name="My Image" is_public=true < images/myimage.iso')
    do('glance --verbose add name="Fedora 9" is_public=true disk_format=vdi distro=Fedora < images/myimage.iso')
    do('glance --dry-run add name="Foo" distro="Ubuntu" is_publi=True < images/myimage.iso')
    do(
        'glance add name="Some web image" is_public=true disk_format=vhd container_format=ovf '
        'location="http://127.0.0.1:8000/images/myimage.vhd"'
    )
    do("glance --verbose update {} is_public=true distro=Ubuntu", ids=[first])
    do("glance index")
    do("glance index distro=Ubuntu")
    do('glance details name="My Image"')
    do("glance show {}", ids=[first])
    do("glance help show")
    do("glance member-add {} tenant1", ids=[first])
    do("glance member-add {} tenant2 --can-share", ids=[first])
    do("glance image-members {}", ids=[first])
    do("glance member-images tenant2")
    do("glance members-replace {} tenant1 --can-share", ids=[first])
    do("glance member-delete {} tenant1", ids=[first])
    do("glance delete {}", ids=[first], answer="y")
    do("glance delete --force 00000000-0000-4000-8000-000000000000", code=1)
    do("glance --verbose clear", answer="y")
    do("glance index")
    if os.environ.get("WRITE_TRANSCRIPT"):
        TRANSCRIPT.write_text(do.text)
    assert do.text == TRANSCRIPT.read_text(), "run this test with WRITE_TRANSCRIPT=1 if the new output is right"
