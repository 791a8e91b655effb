"""Policy files of the real daemons: forms, merging, reading again, options (spec policy-quota-protection.md §2).

What the rules say is tested in tests/unit/images/test_policy.py, each rule denied in v1/test_policy_and_protection.py
and v2/test_policy.py.
"""

import json
import shutil
import subprocess
import sysconfig
import time
import uuid
from pathlib import Path

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment, identity, write_config
from tests.functional.test_start_errors import Program

PATIENCE = 30
"""Seconds until a changed file must be in force."""

PAUSE = 1.1
"""Seconds after which every filter and service looks at the files, when it is asked the next time."""

PROJECT = "p"
MEMBER = identity(PROJECT, roles="member")
READER = identity(PROJECT, roles="reader")
BOSS = identity("bosses", roles="boss")
APIS = ("v1", "v2")
COMPLAINT = "cannot be read again"


class Site(Deployment):
    """A deployment both of whose daemons read the policy files in its directory."""

    def __init__(self, directory, **settings):
        super().__init__(directory, flavor="trusted-auth", **settings)
        self.file, self.folder = directory / "policy.json", directory / "policy.d"

    def status(self, caller, api="v2", method="GET", path="/images", **more):
        url = f"{self.endpoint}/{api}{path}"
        return requests.request(method, url, headers=caller | more.pop("headers", {}), timeout=60, **more).status_code

    def lists(self, caller):
        """What the lists of both APIs answer to the caller."""
        return [self.status(caller, api) for api in APIS]

    def becomes(self, caller, status):
        """Wait until both lists answer so."""
        wait_until(lambda: self.lists(caller) == [status, status], f"both lists answer {status}")

    def write(self, rules):
        """Write policy.json; rules that are no text become JSON."""
        self.file.write_text(rules if isinstance(rules, str) else json.dumps(rules))

    def tells(self, daemon, text):
        """The lines of the daemon's log that have the text."""
        return [line for line in daemon.log.read_text().splitlines() if text in line]


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen: {what}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start sites that end with the module: ``start(files={name: text}, api={...})``."""
    running = []

    def start(files=None, **settings):
        directory = tmp_path_factory.mktemp("policy")
        for name, text in (files or {}).items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        running.append(Site(directory, **settings))
        return running[-1].start()

    yield start
    for site in running:
        site.stop()


# --- reading files again: one site, without any file at first -------------------------------------


@pytest.fixture(scope="module")
def site(start):
    """A site with policy.d, but no policy file."""
    return start({"policy.d/10.json": '{"get_images": "!"}'})


@pytest.fixture
def open_site(site):
    """The site, once everybody may list images again."""
    shutil.rmtree(site.folder, ignore_errors=True)
    site.write({"get_images": "", "generation": f"role:{uuid.uuid4().hex}"})
    site.becomes(MEMBER, 200)
    return site


def test_policy_d_alone_is_not_read(site):
    """The first test of the site: the defaults in code apply."""
    assert site.lists(MEMBER) == [200, 200]
    assert site.status(MEMBER, "v1", "POST", headers={"x-image-meta-is_public": "true"}) == 403
    assert site.status(MEMBER, "v2", "POST", json={"visibility": "public"}) == 403
    assert site.status(identity(PROJECT, roles="admin"), "v2", "POST", json={"visibility": "public"}) == 201


def test_policy_d_is_merged_over_the_file(open_site):
    site = open_site
    site.folder.mkdir()
    (site.folder / "10.json").write_text('{"get_images": "role:reader"}')
    site.becomes(MEMBER, 403)
    assert site.lists(READER) == [200, 200]
    (site.folder / "20.yaml").write_text("get_images: role:member\n")
    site.becomes(MEMBER, 200)
    assert site.lists(READER) == [403, 403]
    (site.folder / "20.yaml").unlink()
    site.becomes(MEMBER, 403)
    (site.folder / "10.json").unlink()
    site.becomes(MEMBER, 200)


@pytest.mark.parametrize(
    "rules",
    [
        {"get_images": "role:reader"},
        "# YAML in a file called .json\nget_images: role:reader\n",
        '"get_images": "role:reader"\n',
        {"get_images": [["role:admin"], ["role:reader", "project_id:%(project_id)s"]]},
        {"get_images": ["role:reader"]},
        {"get_images": "rule:readers", "readers": "role:reader and not role:banned"},
        {"get_images": "role:reader", "no_such_rule": "!", "identity:list_users": "role:x", "x y": "rule:nowhere"},
        {"get_images": "rule:nowhere", "default": "role:reader"},
    ],
    ids=["json", "yaml", "quoted_yaml", "lists", "list", "reference", "unknown_rules", "default"],
)
def test_forms_of_the_file(open_site, rules):
    open_site.write(rules)
    open_site.becomes(MEMBER, 403)
    assert open_site.lists(READER) == [200, 200]


def test_the_shipped_file_on_both_apis(open_site):
    open_site.write({"get_images": "role:reader"})
    open_site.becomes(MEMBER, 403)
    shutil.copy(ROOT / "etc" / "policy.json", open_site.file)
    open_site.becomes(MEMBER, 200)
    assert open_site.status(MEMBER, "v1", "POST", headers={"x-image-meta-is_public": "true"}) == 403
    assert open_site.status(MEMBER, "v1", "POST") == 201
    assert open_site.status(MEMBER, "v2", "POST", json={"visibility": "public"}) == 403
    assert open_site.status(MEMBER, "v2", "POST", json={"visibility": "community"}) == 201


def test_the_registry_reads_it_again_too(open_site):
    """An administrator sees the private images of others."""
    site = open_site
    image_id = site.create(headers=MEMBER)["id"]

    def seen(caller):
        return site.registry_request("GET", f"/images/{image_id}", headers=caller).status_code

    pid = site.registry.pid
    workers = site.registry.children()
    assert seen(BOSS) == 404
    site.write({"context_is_admin": "role:boss"})
    wait_until(lambda: seen(BOSS) == 200, "the registry takes a boss for an administrator")
    wait_until(lambda: site.status(BOSS, path=f"/images/{image_id}") == 200, "so does the API")
    site.write({"context_is_admin": "role:admin"})
    wait_until(lambda: seen(BOSS) == 404, "the registry does no more")
    wait_until(lambda: site.status(BOSS, path=f"/images/{image_id}") == 404, "nor does the API")
    assert (site.registry.pid, site.registry.children()) == (pid, workers)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "neither JSON nor YAML"),
        ('{"get_images": null}', "rule 'get_images' must be a text"),
        ('{"get_images": "rule:a", "a": "rule:get_images"}', "circle"),
        ("- a\n- b\n", "must map"),
        ("\0", "neither JSON nor YAML"),
    ],
    ids=["syntax", "null", "circle", "list", "control_character"],
)
def test_a_file_that_breaks_leaves_the_rules(open_site, text, reason):
    """Each process says so in one line, whoever of its filters looks at the files."""
    site = open_site
    site.write({"get_images": "role:reader", "context_is_admin": "role:boss"})
    site.becomes(MEMBER, 403)
    before = {daemon: len(site.tells(daemon, COMPLAINT)) for daemon in (site.api, site.registry)}

    def told():
        """Ask both daemons, who must answer as before; whether both have said so."""
        assert site.lists(MEMBER) == [403, 403]
        assert site.lists(READER) == [200, 200]
        assert site.registry_request("GET", "/images", headers=BOSS).status_code == 200
        return all(len(site.tells(daemon, COMPLAINT)) > count for daemon, count in before.items())

    site.write(text)
    wait_until(told, "both daemons complain")
    time.sleep(PAUSE)
    assert told()
    site.write({"get_images": "role:member"})
    site.becomes(READER, 403)
    assert site.lists(MEMBER) == [200, 200]
    for daemon, count in before.items():
        (line,) = site.tells(daemon, COMPLAINT)[count:]
        assert "ERROR" in line
        assert reason in line
        assert "Traceback" not in daemon.log.read_text()


def test_a_file_that_goes_leaves_the_rules(open_site):
    site = open_site
    site.write({"get_images": "role:reader"})
    site.becomes(MEMBER, 403)
    site.file.unlink()
    wait_until(lambda: site.lists(MEMBER) == [403, 403] and site.tells(site.api, "is gone"), "the API misses it")
    time.sleep(PAUSE)
    assert site.lists(MEMBER) == [403, 403]
    site.write({"get_images": ""})
    site.becomes(MEMBER, 200)


# --- options --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(start):
    """Everything named by options, by their classic places; two directories; protections that name rules."""
    rest = "read = @\nupdate = @\ndelete = @\n"
    files = {
        "site.rules": "fallback: role:auditor\nget_images: rule:nowhere\ncontext_is_admin: role:boss\n"
        "delete_image: '!'\nmodify_image: '!'\n",
        "first.d/a": '{"modify_image": "", "delete_image": ""}',
        "second.d/a": '{"delete_image": "role:auditor"}',
        "protections.conf": f"[^open]\ncreate = no_such_rule\n{rest}[^closed]\ncreate = context_is_admin\n{rest}",
    }
    api = {
        "admin_role": "Root",
        "policy_file": "site.rules",
        "policy_default_rule": "fallback",
        "policy_dirs": ["first.d", "second.d"],
        "property_protection_file": "protections.conf",
        "property_protection_rule_format": "policies",
    }
    return start(files, api=api, registry={"admin_role": "Root"})


AUDITOR = identity(PROJECT, roles="auditor")


def test_policy_default_rule(named):
    assert named.lists(MEMBER) == [403, 403]
    assert named.lists(AUDITOR) == [200, 200]


def test_policy_default_rule_of_protections(named):
    assert named.status(MEMBER, method="POST", json={"open": "v"}) == 403
    assert named.status(AUDITOR, method="POST", json={"open": "v"}) == 201


def test_several_policy_dirs(named):
    image_id = named.create(headers=MEMBER)["id"]
    assert named.status(MEMBER, "v1", "PUT", f"/images/{image_id}") == 200
    assert named.status(MEMBER, "v1", "DELETE", f"/images/{image_id}") == 403
    assert named.status(AUDITOR, "v1", "DELETE", f"/images/{image_id}") == 200


@pytest.mark.parametrize(("roles", "status"), [("root", 201), ("ROOT", 201), ("boss", 201), ("admin", 403)])
def test_admin_role_is_an_administrator_to_protections(named, roles, status):
    """Whom ``admin_role`` makes an administrator passes context_is_admin, wherever it is named."""
    caller = identity("cloud", roles=roles)
    assert named.status(caller, method="POST", json={"closed": "v"}) == status
    assert named.status(caller, "v1", "POST", headers={"x-image-meta-property-closed": "v"}) == status


@pytest.fixture(scope="module", params=[True, False], ids=["enforce_scope", "no_enforce_scope"])
def modern(request, start):
    """Today's defaults alone."""
    site = start(api={"oslo_policy": {"enforce_new_defaults": True, "enforce_scope": request.param}})
    site.scoped = request.param
    return site


def test_new_defaults_on_v1(modern):
    image_id = modern.create(headers=MEMBER)["id"]
    path = f"/images/{image_id}"
    nobody = identity(PROJECT, roles="x")
    assert modern.status(MEMBER, "v1", "POST") == 201
    assert modern.status(MEMBER, "v1") == 403  # the member is no reader
    assert modern.status(READER, "v1", path="/images/detail") == 200
    assert modern.status(READER, "v1", "HEAD", path) == 200
    for caller in (READER, nobody):
        assert modern.status(caller, "v1", "POST") == 403
        assert modern.status(caller, "v1", "DELETE", path) in (403, 404)
    both = identity(PROJECT, roles="member,reader")
    assert modern.status(both, "v1", "PUT", path, headers={"x-image-meta-name": "n"}) == 200
    assert modern.status(both, "v1", "DELETE", path) == 200


def test_tokens_for_the_whole_system(modern):
    """They are refused, unless enforce_scope is off; a project's administrator is not."""
    admin = identity("cloud", roles="admin,member,reader")
    system = identity(None, roles="admin,member,reader") | {"OpenStack-System-Scope": "all"}
    assert modern.lists(admin) == [200, 200]
    assert modern.lists(system) == ([403, 403] if modern.scoped else [200, 200])


def test_tokens_for_the_whole_system_and_classic_defaults(open_site):
    system = identity(None, roles="admin") | {"OpenStack-System-Scope": "all"}
    assert open_site.lists(system) == [200, 200]


# --- files that are broken from the beginning -----------------------------------------------------


@pytest.fixture(params=["api", "registry"])
def daemon(request, tmp_path):
    program = Program(request.param, tmp_path)
    program.configure(paste_deploy={"flavor": "trusted-auth"}, send_identity_headers=True)
    return program


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "neither JSON nor YAML"),
        ("just text", "must map"),
        ('{"add_image": null}', "rule 'add_image' must be a text"),
        ('{"a": "rule:b", "b": "rule:a"}', "circle: a -> b -> a"),
    ],
    ids=["syntax", "text", "null", "circle"],
)
def test_no_start_with_a_broken_file(daemon, text, complaint):
    (daemon.directory / "policy.json").write_text(text)
    daemon.fails(1, complaint)


def test_no_start_with_a_broken_file_in_policy_d(daemon):
    (daemon.directory / "policy.json").write_text("{}")
    (daemon.directory / "policy.d").mkdir()
    broken = daemon.directory / "policy.d" / "mine.yaml"
    broken.write_text("a: [")
    daemon.fails(1, broken)


def test_no_start_with_a_file_that_may_not_be_read(daemon):
    path = daemon.directory / "policy.json"
    path.mkdir()
    daemon.fails(1, "Cannot read policy file", path)


# --- the tools of oslo.policy ---------------------------------------------------------------------


def tool(name, *words):
    """Run one of the environment's programs; return what it prints."""
    program = Path(sysconfig.get_path("scripts")) / name
    if not program.exists():
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([program, "--namespace", "glance", *words], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


@pytest.fixture
def policy_conf(tmp_path):
    """A configuration whose policy file says one thing as the code does, and one differently."""
    write_config(tmp_path / "glance-api.conf", {"debug": True})
    (tmp_path / "policy.json").write_text('{"publicize_image": "rule:context_is_admin", "add_image": "", "x": "!"}')
    return tmp_path / "glance-api.conf"


def test_sample_generator():
    """Every rule, commented out, beside what it says with today's defaults alone."""
    lines = tool("oslopolicy-sample-generator").splitlines()
    assert '#"add_image": ""' in lines
    assert any("With enforce_new_defaults: rule:context_is_admin or" in line for line in lines)
    assert not [line for line in lines if line and not line.startswith("#")]


def test_policy_generator(policy_conf):
    """The rules in force: the file's, and the defaults of all others."""
    lines = tool("oslopolicy-policy-generator", "--config-file", policy_conf).splitlines()
    assert {'"publicize_image": "rule:context_is_admin"', '"x": "!"', '"get_image": ""'} <= set(lines)
    assert len([line for line in lines if line.startswith('"publicize_image"')]) == 1


def test_list_redundant(policy_conf):
    """Rules that the file could do without."""
    assert tool("oslopolicy-list-redundant", "--config-file", policy_conf).strip() == '"add_image": ""'


def test_tools_without_a_configuration():
    assert '"add_image": ""' in tool("oslopolicy-policy-generator")
    assert tool("oslopolicy-list-redundant") == ""
