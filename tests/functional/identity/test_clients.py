"""Real clients that log in at a real Keystone and find the service in its catalog.

Who may do what: spec policy-quota-protection.md §1-§3.
"""

import json
import re
from pathlib import Path

import pytest

from tests.functional import clients
from tests.functional.clients import DATA, cell
from tests.functional.conftest import Deployment
from tests.functional.identity.conftest import PASSWORD, Person, authtoken
from tests.services.keystone import Keystone

FORMATS = ("--disk-format", "raw", "--container-format", "bare")
STRICT = "strict"  # a region
# What the clients make of a 404; openstackclient's delete has one explanation for all of them.
NOT_FOUND = re.compile(
    r"\bHTTP 404\b|\b404 Not Found|No image found|No image with an? |^Multi Backend support not enabled", re.IGNORECASE
)


@pytest.fixture(scope="module", autouse=True)
def in_the_catalog(keystone: Keystone, site: Deployment) -> None:
    keystone.service("image", "glance", site.endpoint)


@pytest.fixture(scope="module")
def strict(deploy, keystone: Keystone) -> Deployment:
    """A site that asks for roles within the project, in a region of its own."""
    settings = {"keystone_authtoken": authtoken(keystone), "oslo_policy": {"enforce_new_defaults": True}}
    deployment = deploy(api=settings, registry=settings, flavor="keystone")
    keystone.admin.regions.create(STRICT)
    keystone.service("image", "glance-strict", deployment.endpoint, STRICT)
    keystone.service("identity", "keystone-strict", keystone.url, STRICT)
    return deployment


@pytest.fixture(scope="module")
def todays() -> Path:
    return clients.todays()


@pytest.fixture(scope="module")
def last_with_v1() -> Path:
    return clients.last_with_v1()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(DATA)
    return path


class Shell:
    """One client in the hands of one user, who is known by name, password and project."""

    def __init__(self, words: tuple[Path | str, ...], server: Keystone, person: Person, home: Path) -> None:
        self._words = words
        self._environment = {
            "HOME": str(home),
            "OS_AUTH_URL": server.url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": person.name,
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": person.project,
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": server.region,
        }

    def __call__(self, *arguments: object) -> str:
        """The output of a command that succeeds."""
        return clients.run(*self._words, *arguments, **self._environment)

    def in_region(self, name: str) -> "Shell":
        self._environment["OS_REGION_NAME"] = name
        return self

    def refusal(self, *arguments: object) -> str:
        """What the client says of a command that the service refuses; not all exit with an error then."""
        done = clients.attempt(*self._words, *arguments, **self._environment)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def openstack(todays, keystone, people, tmp_path):
    """``openstack image``; ``openstack("owner")("list")``."""
    return lambda name: Shell((todays / "openstack", "image"), keystone, people[name], tmp_path)


@pytest.fixture
def glance(todays, keystone, people, tmp_path):
    return lambda name: Shell((todays / "glance",), keystone, people[name], tmp_path)


@pytest.fixture
def glance_v1(last_with_v1, keystone, people, tmp_path):
    words = (last_with_v1 / "glance", "--os-image-api-version", "1")
    return lambda name: Shell(words, keystone, people[name], tmp_path)


def state(person: Person, deployment: Deployment, image_id: str) -> tuple[object, ...]:
    """All that somebody else could have changed."""
    path = f"/v2/images/{image_id}"
    image, members, data = (person.ask(deployment, "GET", path + end) for end in ("", "/members", "/file"))
    assert (image.status_code, data.content) == (200, DATA)
    return image.json(), members.status_code, members.json() if members.ok else None


# --- the whole life of an image ---------------------------------------------------


def test_life_with_openstackclient(openstack, people, source, tmp_path):
    owner, stranger = openstack("owner"), openstack("stranger")
    alpha, beta = people["owner"].project_id, people["stranger"].project_id

    image = json.loads(owner("create", *FORMATS, "--file", source, "--property", "distro=ubuntu", "osc", "-f", "json"))
    image_id = image["id"]
    assert (image["status"], image["size"], image["owner"]) == ("active", len(DATA), alpha)
    assert image_id in [row["ID"] for row in json.loads(owner("list", "-f", "json"))]

    owner("set", "--property", "a=b", "--tag", "one", "--name", "renamed", image_id)
    image = json.loads(owner("show", image_id, "-f", "json"))
    assert (image["name"], image["tags"], image["properties"]["a"]) == ("renamed", ["one"], "b")

    owner("add", "project", image_id, beta)
    (member,) = json.loads(owner("member", "list", image_id, "-f", "json"))
    assert (member["Member ID"], member["Status"]) == (beta, "pending")
    stranger("set", "--accept", image_id)
    (member,) = json.loads(owner("member", "list", image_id, "-f", "json"))
    assert member["Status"] == "accepted"
    assert image_id in [row["ID"] for row in json.loads(stranger("list", "--shared", "-f", "json"))]
    stranger("save", "--file", tmp_path / "copy.raw", image_id)
    assert (tmp_path / "copy.raw").read_bytes() == DATA
    owner("remove", "project", image_id, beta)
    assert NOT_FOUND.search(stranger.refusal("show", image_id))

    owner("set", "--deactivate", image_id)
    assert json.loads(owner("show", image_id, "-f", "json"))["status"] == "deactivated"
    # This client takes the body of a 403 for data, until it compares checksums.
    assert "Unable to download" in owner.refusal("save", "--file", tmp_path / "none.raw", image_id)
    assert b"403" in (tmp_path / "none.raw").read_bytes()
    owner("set", "--activate", image_id)
    owner("save", "--file", tmp_path / "again.raw", image_id)
    assert (tmp_path / "again.raw").read_bytes() == DATA

    owner("delete", image_id)
    assert NOT_FOUND.search(owner.refusal("show", image_id))


def test_life_with_glanceclient(glance, people, source, tmp_path):
    owner, stranger = glance("owner"), glance("stranger")
    beta = people["stranger"].project_id

    created = owner("image-create", "--name", "gc", *FORMATS, "--file", source, "--property", "distro=ubuntu")
    image_id = cell(created, "id")
    assert (cell(created, "status"), cell(created, "owner")) == ("active", people["owner"].project_id)
    assert image_id in owner("image-list")
    owner("image-update", image_id, "--name", "renamed", "--property", "a=b")
    owner("image-tag-update", image_id, "one")
    shown = owner("image-show", image_id)
    assert (cell(shown, "name"), cell(shown, "a"), cell(shown, "tags")) == ("renamed", "b", '["one"]')
    owner("image-download", "--file", tmp_path / "copy.raw", image_id)
    assert (tmp_path / "copy.raw").read_bytes() == DATA

    owner("member-create", image_id, beta)
    assert re.search(rf"{beta} +\| pending", owner("member-list", "--image-id", image_id))
    assert "accepted" in stranger("member-update", image_id, beta, "accepted")
    assert image_id in stranger("image-list", "--visibility", "shared")
    stranger("image-download", "--file", tmp_path / "shared.raw", image_id)
    assert (tmp_path / "shared.raw").read_bytes() == DATA
    owner("member-delete", image_id, beta)
    assert NOT_FOUND.search(stranger.refusal("image-show", image_id))

    owner("image-deactivate", image_id)
    assert cell(owner("image-show", image_id), "status") == "deactivated"
    assert "403" in owner.refusal("image-download", "--file", tmp_path / "none.raw", image_id)
    owner("image-reactivate", image_id)
    assert cell(owner("image-show", image_id), "status") == "active"
    owner("image-delete", image_id)
    assert NOT_FOUND.search(owner.refusal("image-show", image_id))


def test_life_with_the_last_client_of_v1(glance_v1, people, source, tmp_path):
    owner, stranger = glance_v1("owner"), glance_v1("stranger")
    alpha, beta = people["owner"].project_id, people["stranger"].project_id

    created = owner("image-create", "--name", "v1", *FORMATS, "--file", source, "--property", "distro=ubuntu")
    image_id = cell(created, "id")
    assert (cell(created, "status"), cell(created, "owner"), cell(created, "is_public")) == ("active", alpha, "False")
    assert image_id in owner("image-list")
    assert cell(owner("image-show", image_id), "Property 'distro'") == "ubuntu"
    assert cell(owner("image-update", image_id, "--name", "renamed"), "name") == "renamed"
    owner("image-download", image_id, "--file", tmp_path / "copy.raw")
    assert (tmp_path / "copy.raw").read_bytes() == DATA

    assert NOT_FOUND.search(stranger.refusal("image-show", image_id))
    owner("member-create", image_id, beta)
    assert beta in owner("member-list", "--image-id", image_id)
    assert cell(stranger("image-show", image_id), "name") == "renamed"
    stranger("image-download", image_id, "--file", tmp_path / "shared.raw")
    assert (tmp_path / "shared.raw").read_bytes() == DATA
    owner("member-delete", image_id, beta)
    assert beta not in owner("member-list", "--image-id", image_id)
    assert NOT_FOUND.search(stranger.refusal("image-show", image_id))

    owner("image-delete", image_id)
    assert image_id not in owner("image-list")
    assert NOT_FOUND.search(owner.refusal("image-show", image_id))


# --- other projects ----------------------------------------------------------------

# {0} is the image's id, {1} the project of who asks, {2} a file of data
LIST = {"openstack": "list", "glance": "image-list", "glance_v1": "image-list"}
SHOW = {"openstack": "show {0}", "glance": "image-show {0}", "glance_v1": "image-show {0}"}
MEMBERS = {
    "openstack": "member list {0}",
    "glance": "member-list --image-id {0}",
    "glance_v1": "member-list --image-id {0}",
}
DOWNLOAD = {
    "openstack": "save --file {2}.copy {0}",
    "glance": "image-download --file {2}.copy {0}",
    "glance_v1": "image-download --file {2}.copy {0}",
}
RENAME = {
    "openstack": "set --name other {0}",
    "glance": "image-update --name other {0}",
    "glance_v1": "image-update {0} --name other",
}
DELETE = {"openstack": "delete {0}", "glance": "image-delete {0}", "glance_v1": "image-delete {0}"}
SHARE = {"openstack": "add project {0} {1}", "glance": "member-create {0} {1}", "glance_v1": "member-create {0} {1}"}
MORE_CHANGES = {
    "openstack": ["set --tag t {0}", "set --deactivate {0}"],
    "glance": ["image-tag-update {0} t", "image-upload --file {2} {0}", "image-deactivate {0}"],
    "glance_v1": ["image-update {0} --purge-props --property k=v"],
}
ACCEPT = {
    "openstack": ["set --accept {0}"],
    "glance": ["member-update {0} {1} accepted"],
    "glance_v1": ["member-delete {0} {1}"],  # v1 has no acceptance
}
FORBIDDEN = re.compile(r"\b403\b|not permitted to delete")
# openstackclient reports that it succeeded, whatever the service answered.
SAYS_NOTHING = ("set", "--deactivate")


@pytest.fixture(params=LIST)
def client(request) -> str:
    return request.param


@pytest.fixture
def shell(request, client):
    """The client in the hands of a user, by name."""
    return request.getfixturevalue(client)


@pytest.fixture
def words(source):
    """The words of a command."""
    return lambda line, image_id, person: line.format(image_id, person.project_id, source).split()


def changes(client: str) -> list[str]:
    return [RENAME[client], *MORE_CHANGES[client], DELETE[client]]


def test_a_private_image_of_another_project(client, shell, words, site, people, tmp_path):
    """It does not exist."""
    owner, stranger = people["owner"], people["stranger"]
    image_id = owner.image(site, DATA, name="secret-name", distro="ubuntu", visibility="private")
    before = state(owner, site, image_id)
    run = shell("stranger")
    assert image_id not in run(LIST[client])
    reads = SHOW[client], DOWNLOAD[client], MEMBERS[client]
    for line in [*reads, *changes(client), SHARE[client], *ACCEPT[client]]:
        said = run.refusal(*words(line, image_id, stranger))
        assert NOT_FOUND.search(said), f"{line}: {said}"
        assert "secret-name" not in said
        assert state(owner, site, image_id) == before, line
    for copy in tmp_path.glob("*.copy"):
        assert DATA not in copy.read_bytes()


def test_a_public_image_of_another_project(client, shell, words, site, people, source):
    """It may be read, and not changed."""
    owner, stranger = people["owner"], people["stranger"]
    image_id = people["boss"].image(site, DATA, name="for-all", distro="ubuntu", visibility="public")
    before = state(owner, site, image_id)
    run = shell("stranger")
    assert image_id in run(LIST[client])
    assert "for-all" in run(*words(SHOW[client], image_id, stranger))
    run(*words(DOWNLOAD[client], image_id, stranger))
    assert source.with_suffix(".raw.copy").read_bytes() == DATA
    for line in [*changes(client), SHARE[client]]:
        command = words(line, image_id, stranger)
        if tuple(command[:-1]) == SAYS_NOTHING:
            run(*command)
        else:
            said = run.refusal(*command)
            # v1 hides that a public image of others could not be shared either.
            wanted = NOT_FOUND if (client, line) == ("glance_v1", SHARE[client]) else FORBIDDEN
            assert wanted.search(said), f"{line}: {said}"
        assert state(owner, site, image_id) == before, line


# --- readers -----------------------------------------------------------------------


def test_a_reader_where_no_rule_asks_for_a_role(client, shell, words, site, people):
    """The defaults of before 2021 are still in force, for which everybody of a project may do everything."""
    image_id = people["owner"].image(site, DATA)
    shell("reader")(*words(RENAME[client], image_id, people["reader"]))
    assert people["owner"].ask(site, "GET", f"/v2/images/{image_id}").json()["name"] == "other"


def test_a_reader_where_rules_ask_for_roles(client, shell, words, strict, people, tmp_path):
    """``enforce_new_defaults``: look, but neither take nor touch."""
    owner, reader = people["owner"], people["reader"]
    image_id = owner.image(strict, DATA, name="ours", distro="ubuntu")
    before = state(owner, strict, image_id)
    run = shell("reader").in_region(STRICT)
    assert image_id in run(LIST[client])
    assert "ours" in run(*words(SHOW[client], image_id, reader))
    if client != "glance_v1":  # see below
        run(*words(MEMBERS[client], image_id, reader))
    for line in [DOWNLOAD[client], RENAME[client], SHARE[client], DELETE[client]]:
        said = run.refusal(*words(line, image_id, reader))
        # see test_life_with_openstackclient for the other words
        assert FORBIDDEN.search(said) or (client, "Unable to download" in said) == ("openstack", True), (
            f"{line}: {said}"
        )
        assert state(owner, strict, image_id) == before, line
    for copy in tmp_path.glob("*.copy"):
        assert DATA not in copy.read_bytes()


def test_a_reader_lists_members_in_v1(strict, people):
    image_id = people["owner"].image(strict, DATA)
    assert people["reader"].ask(strict, "GET", f"/v1/images/{image_id}/members").status_code == 200
