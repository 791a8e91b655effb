"""add, update, delete, index, details, show and clear."""

import json

import pytest

SHOW = """\
URI: http://127.0.0.1:{port}/v1/images/{id}
Id: {id}
Public? Yes
Protected: No
Name: My Image
Status: active
Size: 4
Disk format: raw
Container format: ovf
Minimum Ram Required (MB): 0
Minimum Disk Required (GB): 0
Created at: 2011-02-22T19:20:53
Updated at: 2011-02-22T19:20:53
Property 'arch': x86
Property 'distro': Ubuntu
"""


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "myimage.iso"
    path.write_bytes(b"data")
    return path


@pytest.fixture
def image_id(glance, peer, image_file):
    glance("add", "name=My Image", "is_public=true", "distro=Ubuntu", "arch=x86", stdin=image_file)
    return next(iter(peer.images))


# --- add -------------------------------------------------------------------


def test_add(glance, peer, image_file):
    done = glance("add", "name=My Image", "is_public=true", stdin=image_file)
    image = next(iter(peer.images))
    assert (done.code, done.out, done.err) == (0, f"Added new image with ID: {image}\n", "")
    assert peer.data[image] == b"data"
    sent = peer.seen[0].headers
    assert sent["x-image-meta-disk_format"] == "raw"
    assert sent["x-image-meta-container_format"] == "ovf"
    assert sent["x-image-meta-is_public"] == "True"


def test_add_verbose(glance, image_file):
    lines = glance("-v", "add", "name=My Image", stdin=image_file).out.splitlines()
    assert lines[0].startswith("Added new image with ID: ")
    assert lines[1] == "Returned the following metadata for the new image:"
    assert " " * 22 + "is_public => False" in lines
    assert lines[2:-1] == sorted(lines[2:-1], key=str.strip)
    assert lines[-1].startswith("Completed in 0.")
    assert lines[-1].endswith(" sec.")


def test_add_dry_run(glance, peer, image_file):
    done = glance("--dry-run", "add", "name=Foo", "distro=Ubuntu", "is_publi=True", stdin=image_file)
    assert done.code == 0
    assert done.out == (
        "Dry run. We would have done the following:\n"
        "Add new image with metadata:\n"
        "               container_format => ovf\n"
        "                    disk_format => raw\n"
        "                      is_public => False\n"
        "                           name => Foo\n"
        "                     properties => {'distro': 'Ubuntu', 'is_publi': 'True'}\n"
    )
    assert peer.seen == []


def test_add_without_a_name(glance, peer):
    done = glance("add", "is_public=true")
    assert (done.code, done.out) == (1, "Please specify a name for the image using name=VALUE\n")
    assert peer.seen == []


def test_add_location(glance, peer):
    done = glance("add", "name=x", "location=http://h/i?a=b")
    assert done.code == 0
    assert peer.seen[0].headers["x-image-meta-location"] == "http://h/i?a=b"
    assert "content-type" not in peer.seen[0].headers


def test_add_location_and_data(glance, peer, image_file):
    done = glance("add", "name=x", "location=http://h/i", stdin=image_file)
    assert done.code == 1
    assert len(done.out.splitlines()) == 3
    assert peer.seen == []


def test_add_copy_from(glance, peer, image_file):
    done = glance("--dry-run", "add", "name=x", "copy_from=http://h/i")
    assert done.out.endswith("with features enabled:\n         x-glance-api-copy-from => http://h/i\n")
    assert glance("add", "name=x", "copy_from=http://h/i", stdin=image_file).code == 0
    assert peer.seen[0].headers["x-glance-api-copy-from"] == "http://h/i"
    assert peer.seen[0].body == b""


def test_add_nothing_listens(run, image_file):
    done = run("add", "name=x", "--host=127.0.0.1", "-p", "1", stdin=image_file)
    assert done.code == 1
    assert done.out == "Failed to connect to the Glance API server 127.0.0.1:1. Is the server running?\n"


@pytest.mark.parametrize("status", [400, 401, 403, 409, 500, 503])
def test_add_fails(glance, peer, image_file, status):
    peer.on("POST", "/v1/images", status, "because")
    done = glance("-v", "add", "name=x", stdin=image_file)
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[0] == "Failed to add image. Got error:"
    assert "Details: because" in lines
    assert lines[-2] == (
        "Note: Your image metadata may still be in the registry, but the image's status will likely be 'killed'."
    )
    assert lines[-1].startswith("Completed in ")


# --- update ----------------------------------------------------------------


def test_update(glance, peer, image_id):
    done = glance("update", image_id, "name=new", "distro=Debian", "size=7")
    assert done.code == 0
    assert done.out == f"Found non-modifiable field size. Removing.\nUpdated image {image_id}\n"
    assert peer.images[image_id]["name"] == "new"
    assert peer.images[image_id]["properties"] == {"distro": "Debian"}


def test_update_verbose(glance, peer, image_id):
    done = glance("--verbose", "update", image_id, "distro=Ubuntu", "arch=x86")
    head, _, rest = done.out.partition(f"Updated image metadata for image {image_id}:\n")
    assert head == f"Updated image {image_id}\n"
    assert rest.startswith(SHOW.format(port=peer.port, id=image_id) + "Completed in ")


def test_update_dry_run(glance, peer):
    done = glance("update", "5", "name=x", "is_public=no", "--dry-run")
    assert done.out == (
        "Dry run. We would have done the following:\nUpdate existing image with metadata:\n"
        "                      is_public => False\n"
        "                           name => x\n"
        "                     properties => {}\n"
    )
    assert peer.seen == []


def test_update_errors(glance, peer):
    done = glance("update")
    assert (done.code, done.out) == (
        1,
        "Please specify the ID of the image you wish to update \nas the first argument\n",
    )
    done = glance("update", "5", "name=x")
    assert (done.code, done.out) == (1, "No image with ID 5 was found\n")
    peer.on("PUT", "/v1/images/5", 403)
    done = glance("update", "5", "name=x")
    assert (done.code, done.out) == (1, "You do not have permission to update image 5\n")
    peer.on("PUT", "/v1/images/5", 400, "because")
    done = glance("update", "5", "name=x")
    assert done.code == 1
    assert done.out.startswith("Failed to update image. Got error:\n")
    assert done.out.endswith("Details: because\n")
    done = glance("update", "5", "name")
    assert done.out == "Arguments should be in the form of field=value. You specified name.\n"


# --- delete ----------------------------------------------------------------


def test_delete(glance, peer, image_id):
    done = glance("delete", image_id)
    assert (done.code, done.out) == (1, f"Not deleting image {image_id}\n")
    done = glance("delete", image_id, "--dry-run", "--force")
    assert (done.code, image_id in peer.images) == (0, True)
    done = glance("delete", image_id, "--force")
    assert (done.code, done.out) == (0, f"Deleted image {image_id}\n")
    assert peer.images == {}


def test_delete_errors(glance, peer):
    assert glance("delete").code == 1
    done = glance("delete", "-f", "5")
    assert (done.code, done.out) == (1, "No image with ID 5 was found\n")
    peer.on("DELETE", "/v1/images/5", 403)
    done = glance("delete", "-f", "5")
    assert (done.code, done.out) == (1, "You do not have permission to delete image 5\n")


# --- index, details, show --------------------------------------------------


def add_many(glance, count):
    for n in range(count):
        glance("add", f"name=image {n}", f"number={n}")


def test_index_is_empty(glance):
    for command in ("index", "details"):
        done = glance(command)
        assert (done.code, done.out) == (0, "")


def test_index(glance, peer, image_id):
    peer.images[image_id]["name"] = None
    glance("add", "name=" + "n" * 40)
    other = list(peer.images)[1]
    assert glance("index").out.splitlines() == [
        f"{'ID':<36} {'Name':<30} {'Disk Format':<20} {'Container Format':<20} {'Size':<14}",
        "-" * 36 + " " + "-" * 30 + " " + "-" * 20 + " " + "-" * 20 + " " + "-" * 14,
        f"{image_id} {'None':<30} {'raw':<20} {'ovf':<20} {'4':>14}",
        f"{other} {'n' * 30} {'raw':<20} {'ovf':<20} {'0':>14}",
    ]


def test_a_name_cannot_play_tricks_on_the_terminal(glance, peer, image_id):
    peer.images[image_id]["name"] = "a\x1b[2Jb\nc"
    out = glance("index").out
    assert r"a\x1b[2Jb\nc" in out
    assert len(out.splitlines()) == 3


def test_pages(glance, peer):
    add_many(glance, 5)
    peer.seen.clear()
    done = glance("index", "--limit=2")
    assert len(done.out.splitlines()) == 7
    ids = list(peer.images)
    assert [seen.query.get("marker") for seen in peer.seen] == [None, ids[1], ids[3], ids[4]]
    assert {seen.query["limit"] for seen in peer.seen} == {"2"}
    assert len(glance("index", "--marker", ids[2]).out.splitlines()) == 4


def test_options_and_filters_reach_the_server(glance, peer):
    glance("index", "name=x", "status=active", "size_min=1", "changes-since=2011-01-01", "Distro=y",
           "--sort_key=name", "--sort_dir", "asc")  # fmt: skip
    assert peer.seen[0].query == {
        "name": "x", "status": "active", "size_min": "1", "changes-since": "2011-01-01", "property-distro": "y",
        "limit": "10", "sort_key": "name", "sort_dir": "asc",
    }  # fmt: skip


def test_details(glance, peer, image_id):
    rule = "=" * 80 + "\n"
    block = SHOW.format(port=peer.port, id=image_id)
    assert glance("details").out == rule + block + rule
    add_many(glance, 3)
    assert glance("details", "--limit=2").out.count(rule) == 5


def test_show(glance, peer, image_id):
    done = glance("show", image_id)
    assert (done.code, done.out) == (0, SHOW.format(port=peer.port, id=image_id))
    peer.images[image_id] |= {"owner": "tenant", "location": "file:///x", "is_public": False, "protected": True}
    lines = glance("show", image_id).out.splitlines()
    assert lines[2:4] == ["Public? No", "Protected: Yes"]
    assert lines[lines.index("Size: 4") + 1] == "Location: file:///x"
    assert lines[lines.index("Minimum Disk Required (GB): 0") + 1] == "Owner: tenant"


def test_show_errors(glance, peer):
    done = glance("show")
    assert (done.code, len(done.out.splitlines())) == (1, 3)
    done = glance("show", "5")
    assert (done.code, done.out) == (1, "No image with ID 5 was found\n")


@pytest.mark.parametrize(
    "command, path, action",
    [("index", "/v1/images", "show index"), ("details", "/v1/images/detail", "show details")],
)
def test_list_errors(glance, peer, command, path, action):
    for status in (401, 403):
        peer.on("GET", path, status, "no")
        done = glance(command)
        assert (done.code, done.out) == (
            1,
            "Not authorized to make this request. Check your credentials (OS_AUTH_USER, OS_AUTH_KEY, ...).\n",
        )
    peer.on("GET", path, 500, "because")
    done = glance(command)
    assert done.code == 1
    assert done.out.startswith(f"Failed to {action}. Got error:\n")
    assert "because" in done.out


def test_json(glance, peer, image_id):
    add_many(glance, 3)
    ids = list(peer.images)
    for command in ("index", "details"):
        assert [image["id"] for image in json.loads(glance(command, "--json", "--limit=2").out)] == ids
    assert json.loads(glance("show", image_id, "--json").out)["properties"] == {"distro": "Ubuntu", "arch": "x86"}
    assert json.loads(glance("index", "name=none", "--json").out) == []


# --- clear -----------------------------------------------------------------


def test_clear(glance, peer):
    add_many(glance, 30)
    done = glance("clear")
    assert (done.code, done.out) == (1, "Not deleting any images\n")
    assert glance("clear", "--dry-run", "-f").code == 0
    assert len(peer.images) == 30
    ids = list(peer.images)
    done = glance("clear", "-f", "-v")
    assert peer.images == {}
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[:-1] == [f'Deleting image {image_id} "image {n}" ... done' for n, image_id in enumerate(ids)]
    done = glance("clear", "-f")
    assert (done.code, done.out) == (0, "")


def test_clear_fails(glance, peer, image_id):
    peer.on("DELETE", f"/v1/images/{image_id}", 403, "protected")
    done = glance("clear", "-f")
    assert done.code == 1
    assert done.out.startswith(f"Failed to delete image {image_id}\n")
    assert "protected" in done.out


def test_clear_ends_when_a_server_keeps_listing(glance, peer, image_id):
    peer.on("DELETE", f"/v1/images/{image_id}", 200)
    done = glance("clear", "-f")
    assert done.code == 1
    assert "still listed" in done.out
