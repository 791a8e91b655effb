"""Rules: defaults, files, language, targets (spec policy-quota-protection.md §2, §3)."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from glance.common.exception import ConfigurationError, Forbidden, ImageHidden
from glance.context import RequestContext
from glance.images import policy as module
from glance.images.model import Image, Location
from glance.images.policy import Policy
from glance.images.policy_defaults import DEFAULTS, list_rules

SHIPPED = Path(__file__).parents[3] / "etc" / "policy.json"

CALLERS = {
    "A": {"project_id": "cloud", "roles": ["admin"], "is_admin": True},
    "M": {"project_id": "p1", "roles": ["member", "reader"]},
    "R": {"project_id": "p1", "roles": ["reader"]},
    "S": {"project_id": "p2", "roles": ["member", "reader"]},
    "V": {"project_id": "services", "roles": ["service"]},
}
ALL = "AMRSV"

METADEF_READS = (
    "get_metadef_namespace", "get_metadef_object", "get_metadef_objects", "get_metadef_property",
    "get_metadef_properties", "get_metadef_tag", "get_metadef_tags", "get_metadef_resource_type",
    "list_metadef_resource_types", "get_metadef_namespaces",
)  # fmt: skip
METADEF_WRITES = (
    "add_metadef_namespace", "modify_metadef_namespace", "delete_metadef_namespace", "add_metadef_object",
    "modify_metadef_object", "delete_metadef_object", "add_metadef_property", "modify_metadef_property",
    "remove_metadef_property", "add_metadef_tag", "add_metadef_tags", "modify_metadef_tag", "delete_metadef_tag",
    "delete_metadef_tags", "add_metadef_resource_type_association", "remove_metadef_resource_type_association",
)  # fmt: skip

# Who passes for a private image of project p1: with either default, and with today's alone.
TABLE = {
    "context_is_admin": ("A", "A"),
    "default": (ALL, ALL),
    "service_api": ("AV", "AV"),
    "add_image": (ALL, "AM"),
    "delete_image": (ALL, "AM"),
    "get_image": (ALL, "AMR"),
    "get_images": (ALL, "AMR"),
    "modify_image": (ALL, "AM"),
    "publicize_image": ("A", "A"),
    "communitize_image": (ALL, "AM"),
    "restore_image": ("AMR", "AMR"),
    "copy_from": (ALL, ALL),
    "download_image": (ALL, "AM"),
    "download_from_store": ("AM", "AM"),
    "upload_image": (ALL, "AM"),
    "deactivate": (ALL, "AM"),
    "reactivate": (ALL, "AM"),
    "copy_image": ("A", "A"),
    "delete_image_location": (ALL, "A"),
    "get_image_location": (ALL, "AMR"),
    "set_image_location": (ALL, "AM"),
    "add_image_location": ("AMV", "AMV"),
    "fetch_image_location": ("AV", "AV"),
    "add_member": (ALL, "AM"),
    "delete_member": (ALL, "AM"),
    "get_member": (ALL, "AMR"),
    "get_members": (ALL, "AMR"),
    "modify_member": (ALL, "A"),
    "manage_image_cache": ("A", "A"),
    "cache_image": ("A", "A"),
    "cache_list": ("A", "A"),
    "cache_delete": ("A", "A"),
    "cache_clean": ("A", "A"),
    "cache_prune": ("A", "A"),
    "list_cached_nodes": ("A", "A"),
    "get_task": (ALL, ALL),
    "get_tasks": (ALL, ALL),
    "add_task": (ALL, ALL),
    "modify_task": (ALL, ALL),
    "tasks_api_access": ("A", "A"),
    "stores_info_detail": ("AV", "AV"),
    "metadef_default": (ALL, ALL),
    "metadef_admin": ("A", "A"),
    **dict.fromkeys(METADEF_READS, (ALL, "AMR")),
    **dict.fromkeys(METADEF_WRITES, ("A", "A")),
}


def caller(letter: str = "M", **values) -> RequestContext:
    return RequestContext(**{"user_id": "u", "is_admin": False, "overwrite": False, **CALLERS[letter], **values})


def image(**values) -> Image:
    return Image(**{"id": "i1", "owner": "p1", "visibility": "private", **values})


@pytest.fixture
def make(make_conf, tmp_path):
    """Builds a Policy from the text or the rules of a policy file (None: no file) and options."""

    def build(rules=None, file="policy.json", **options) -> Policy:
        if rules is not None:
            (tmp_path / file).write_text(rules if isinstance(rules, str) else json.dumps(rules))
        return Policy(make_conf(**options))

    return build


def who_passes(policy: Policy, rule: str, subject: Image) -> str:
    return "".join(
        letter
        for letter in CALLERS
        if policy.check(caller(letter), rule, policy.image_target(caller(letter), subject))
    )  # fmt: skip


# --- defaults ---


def test_the_table_is_complete():
    assert sorted(TABLE) == sorted(default.name for default in DEFAULTS)


def test_defaults_in_code(make):
    policy = make()
    assert {rule: who_passes(policy, rule, image()) for rule in TABLE} == {rule: row[0] for rule, row in TABLE.items()}


def test_new_defaults_alone(make):
    policy = make(oslo_policy={"enforce_new_defaults": "True"})
    assert {rule: who_passes(policy, rule, image()) for rule in TABLE} == {rule: row[1] for rule, row in TABLE.items()}


def test_shipped_file_closes_tasks_and_metadef_writes(make):
    policy = make(SHIPPED.read_text())
    expected = {rule: row[0] for rule, row in TABLE.items()}
    expected |= dict.fromkeys(("get_task", "get_tasks", "add_task", "modify_task"), "A")
    assert {rule: who_passes(policy, rule, image()) for rule in TABLE} == expected


def test_shipped_file_is_the_classic_column():
    rules = json.loads(SHIPPED.read_text())
    admin = {"context_is_admin", "publicize_image", "manage_image_cache", "tasks_api_access"}
    admin |= {"get_task", "get_tasks", "add_task", "modify_task", *METADEF_WRITES}
    assert {name for name, rule in rules.items() if rule == "role:admin"} == admin
    assert {rule for name, rule in rules.items() if name not in admin} == {""}
    assert {"default", "copy_from", "add_image", *METADEF_READS} <= set(rules)
    assert set(rules) <= set(TABLE)


def test_classic_file_without_metadef_rules_leaves_writes_closed(make):
    policy = make({"default": "", "add_image": ""})
    assert who_passes(policy, "add_metadef_tag", image()) == "A"
    assert who_passes(make({"add_metadef_tag": ""}), "add_metadef_tag", image()) == ALL


@pytest.mark.parametrize(
    ("visibility", "shown", "downloaded"),
    [
        ("private", "AMR", "AM"),
        ("shared", "AMRS", "AMS"),
        ("community", "AMRS", "AMS"),
        ("public", "AMRS", "AMS"),
    ],
)
def test_visible_images_under_new_defaults(make, visibility, shown, downloaded):
    policy = make(oslo_policy={"enforce_new_defaults": "True"})
    assert who_passes(policy, "get_image", image(visibility=visibility)) == shown
    assert who_passes(policy, "download_image", image(visibility=visibility)) == downloaded


def test_member_rules_under_new_defaults(make):
    policy = make(oslo_policy={"enforce_new_defaults": "True"})
    shared = image(visibility="shared")
    assert who_passes(policy, "modify_member", shared) == "AS"
    assert who_passes(policy, "get_members", shared) == "AMRS"


def test_system_scope_is_refused_with_new_defaults_only(make):
    system = caller("A", system_scope="all")
    assert make().check(system, "get_image", {})
    assert not make(oslo_policy={"enforce_new_defaults": "True"}).check(system, "get_image", {})


def test_cache_rules_follow_manage_image_cache(make):
    assert make({"manage_image_cache": "role:reader"}).check(caller("R"), "cache_list", {})


def test_list_rules_suits_the_policy_tools():
    rules = list_rules()
    enforcer = oslo_policy.Enforcer(cfg.ConfigOpts())
    enforcer.register_defaults(rules)  # refuses duplicates
    assert {rule.name for rule in rules} == set(TABLE)
    assert all(rule.description for rule in rules)
    assert {rule.name: rule.check_str for rule in rules}["get_image"] == ""


# --- language ---


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ("", True),
        ([], True),
        ("@", True),
        ("!", False),
        ("role:member", True),
        ("role:MEMBER", True),
        ("role:admin", False),
        ([["role:admin"]], False),
        ([["role:member"]], True),
        ([["role:member", "role:admin"]], False),
        ([["role:admin"], ["role:member"]], True),
        (["role:member"], True),
        ("rule:mine", True),
        ("rule:not_defined", True),
        ("role:admin or role:member", True),
        ("role:admin and role:member", False),
        ("not role:admin", True),
        ("not (role:admin or role:member)", False),
        ("role:admin or @", True),
        ("project_id:%(owner)s", True),
        ("tenant:%(owner)s", True),
        ("owner:%(owner)s", True),
        ("user_id:%(owner)s", False),
        ("user:u", True),
        ("is_admin:True", False),
        ("'private':%(visibility)s", True),
        ("'public':%(visibility)s", False),
        ("'queued':%(status)s and 'False':%(is_public)s", True),
        ("'red':%(colour)s", True),
        ("'red':%(no_such_key)s", False),
        ("project_id:%(member_id)s", False),
        ("nonsense", False),
        ("role:member or or", False),
        ("project_id:%(owner", False),
        ("user id:x", False),
    ],
)
def test_language(make, rule, passes):
    policy = make({"r": rule, "mine": "project_id:%(project_id)s"})
    context = caller("M")
    assert policy.check(context, "r", policy.image_target(context, image(properties={"colour": "red"}))) is passes


def test_undefined_rule_falls_back_to_the_default_rule(make):
    assert make().check(caller(), "no_such_rule", {})
    assert not make({"default": "role:admin"}).check(caller(), "no_such_rule", {})
    strict = make({"strict": "!"}, oslo_policy={"policy_default_rule": "strict"})
    assert not strict.check(caller(), "no_such_rule", {})
    assert not make(oslo_policy={"policy_default_rule": "neither"}).check(caller("A"), "no_such_rule", {})
    assert strict.defines("strict")
    assert not strict.defines("no_such_rule")


def test_enforce_says_what_failed(make):
    policy = make({"delete_image": "!"})
    policy.enforce(caller(), "add_image", {})
    with pytest.raises(Forbidden, match="delete_image"):
        policy.enforce(caller("A"), "delete_image", {})


def test_open_rule_never_looks_at_the_target(make):
    class Untouchable(dict):
        def __getitem__(self, key):
            raise RuntimeError(key)

    assert make({"r": "user_id:%(owner)s or rule:open", "open": ""}).check(caller(), "r", Untouchable())


# --- administrators ---


def test_is_admin(make):
    policy = make({"context_is_admin": "role:boss"}, admin_role="Root")
    assert policy.is_admin(caller(roles=["ROOT"]))
    assert policy.is_admin(caller(roles=["boss"]))
    assert not policy.is_admin(caller(roles=["admin"]))
    assert not policy.is_admin(caller(roles=[]))


def test_admin_context_passes_admin_rules_whatever_its_roles(make):
    policy = make({"publicize_image": "role:admin", "context_is_admin": "role:boss"})
    nobody_authenticates = RequestContext(is_admin=True, roles=[], overwrite=False)
    for rule in ("publicize_image", "manage_image_cache", "add_metadef_tag"):
        assert policy.check(nobody_authenticates, rule, {})
        assert not policy.check(caller(roles=["member"]), rule, {})


# --- images ---


def test_image_failing_get_image_does_not_exist(make):
    policy = make({"get_image": "!", "download_image": "!", "modify_image": ""})
    for rule in ("get_image", "download_image"):
        with pytest.raises(ImageHidden, match=rule):
            policy.enforce(caller(), rule, policy.image_target(caller(), image()))
    policy.enforce(caller(), "modify_image", policy.image_target(caller(), image()))


def test_visible_image_is_forbidden(make):
    policy = make({"download_image": "role:admin"})
    with pytest.raises(Forbidden, match="download_image") as caught:
        policy.enforce(caller(), "download_image", policy.image_target(caller(), image()))
    assert caught.type is Forbidden
    policy.enforce(caller("A"), "download_image", policy.image_target(caller("A"), image()))


def test_properties_cannot_pose_as_attributes(make):
    forged = {"project_id": "p2", "owner": "p2", "member_id": "p2", "visibility": "public", "is_public": "True"}
    target = make().image_target(caller("S"), image(properties={**forged, "colour": "red"}))
    assert target["project_id"] == target["owner"] == "p1"
    assert target["visibility"] == "private"
    assert target["is_public"] is False
    assert target["colour"] == "red"
    assert "member_id" not in target
    assert dict(target)["owner"] == "p1"
    assert len(dict(target)) == len(target)


@pytest.mark.parametrize(
    ("letter", "visibility", "owner", "member"),
    [
        ("S", "shared", "p1", "p2"),
        ("M", "shared", "p1", None),
        ("A", "shared", "p1", None),
        ("S", "private", "p1", None),
        ("S", "public", "p1", None),
        ("S", "shared", None, None),
    ],
)
def test_member_id_is_the_callers_when_only_a_membership_can_have_shown_the_image(
    make, letter, visibility, owner, member
):
    target = make().image_target(caller(letter), image(visibility=visibility, owner=owner))
    assert target.get("member_id") == member
    assert dict(target).get("member_id") == member


def test_locations_are_no_part_of_the_target(make):
    secret = image(locations=[Location("swift://user:secret@host/c/o")])
    target = make().image_target(caller(), secret)
    assert "secret" not in repr(dict(target))
    assert "locations" not in target


def test_caller_without_project_is_not_the_owner_of_an_image_without_owner(make):
    policy = make({"r": "project_id:%(project_id)s or owner:%(owner)s or tenant:%(owner)s"})
    context = caller(project_id=None)
    assert not policy.check(context, "r", policy.image_target(context, image(owner=None)))


# --- files ---


@pytest.mark.parametrize(
    "text",
    [
        '{"r": "!"}',
        '{\n\t"r":\t"!"\n}',
        '# comment\nr: "!"\n',
        '"r": "!"',
    ],
)
def test_json_and_yaml_whatever_the_name(make, text):
    assert not make(text).check(caller("A"), "r", {})
    options = {"oslo_policy": {"policy_file": "rules.yaml"}}
    assert not make(text, file="rules.yaml", **options).check(caller("A"), "r", {})


def test_empty_yaml_leaves_the_defaults(make):
    with pytest.raises(ConfigurationError, match="must map"):
        make("[]")
    assert make("# nothing\n").check(caller(), "get_image", {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "neither JSON nor YAML"),
        ("\ta: b", "neither JSON nor YAML"),
        ("just text", "must map"),
        ('{"r": null}', "rule 'r' must be a text"),
        ("r:\n", "rule 'r' must be a text"),
        ('{"r": 1}', "rule 'r' must be a text, not 1"),
        ('{"r": {"a": "b"}}', "rule 'r' must be a text"),
        ('{"r": [["role:admin", 3]]}', "rule 'r' must be a text"),
        ('{"a": "rule:b", "b": "rule:a"}', "circle: a -> b -> a"),
        ('{"a": "not rule:a"}', "circle: a -> a"),
        ('{"default": "rule:nowhere"}', "circle: default -> default"),
    ],
)
def test_unusable_file_stops_the_start_with_one_line(make, text, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        make(text)
    assert "\n" not in str(caught.value)


def test_directory_in_place_of_the_file(make, tmp_path):
    (tmp_path / "policy.json").mkdir()
    with pytest.raises(ConfigurationError, match="Cannot read policy file"):
        make()


def test_bytes_that_are_no_text(make, tmp_path):
    (tmp_path / "policy.json").write_bytes(b'{"r": "\xff"}')
    with pytest.raises(ConfigurationError, match="neither JSON nor YAML"):
        make()


def test_fallback_name(make):
    assert not make({"r": "!"}, file="glance.policy.json").check(caller("A"), "r", {})
    assert make({"r": "@"}).check(caller(), "r", {})  # policy.json goes before it


def test_absolute_name_and_old_place_of_the_option(make, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "mine.json"
    assert not make({"r": "!"}, file=path, policy_file=str(path)).check(caller("A"), "r", {})


def test_missing_file_of_the_operator_is_told(make, caplog):
    make()
    assert not caplog.messages
    make(oslo_policy={"policy_file": "gone.json"})
    assert "gone.json" in caplog.text


def test_policy_dirs_are_merged_over_the_file_in_order(make, tmp_path):
    folder = tmp_path / "policy.d"
    folder.mkdir()
    (folder / "20.json").write_text('{"a": "!"}')
    (folder / "10.yaml").write_text('a: "@"\nb: "@"')
    (folder / ".hidden").write_text("{")
    (folder / "sub").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x").write_text('{"c": "!"}')
    assert not make().defines("b")  # only where there is a policy file
    policy = make({"a": "@", "b": "!", "c": "@"}, oslo_policy={"policy_dirs": ["policy.d", "more", "none"]})
    assert {rule: policy.check(caller(), rule, {}) for rule in "abc"} == {"a": False, "b": True, "c": False}


@pytest.fixture
def always_look(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)


def test_changed_files_are_read_again(make, tmp_path, always_look):
    policy = make({"r": "@"})
    assert policy.check(caller(), "r", {})
    (tmp_path / "policy.json").write_text('{"r": "role:admin"}')
    assert not policy.check(caller(), "r", {})
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d" / "a").write_text('{"r": "@"}')
    assert policy.check(caller(), "r", {})
    (tmp_path / "policy.d" / "a").unlink()
    assert not policy.check(caller(), "r", {})


def test_file_that_appears_is_read(make, tmp_path, always_look):
    policy = make()
    assert policy.check(caller(), "get_image", {})
    (tmp_path / "policy.json").write_text('{"get_image": "!"}')
    assert not policy.check(caller(), "get_image", {})


def test_broken_file_leaves_the_former_rules_and_is_told_once(make, tmp_path, always_look, caplog):
    policy = make({"r": "!"})
    (tmp_path / "policy.json").write_text("{")
    for _ in range(3):
        assert not policy.check(caller("A"), "r", {})
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    (tmp_path / "policy.json").write_text('{"r": ""}')
    assert policy.check(caller(), "r", {})


def test_file_that_vanishes_leaves_the_former_rules(make, tmp_path, always_look, caplog):
    policy = make({"get_image": "!"})
    (tmp_path / "policy.json").unlink()
    for _ in range(3):
        assert not policy.check(caller("A"), "get_image", {})
    assert caplog.text.count("is gone") == 1


def test_files_are_not_looked_at_on_every_request(make, tmp_path):
    policy = make({"r": "@"})
    (tmp_path / "policy.json").write_text('{"r": "!"}')
    assert policy.check(caller(), "r", {})


# --- remote rules ---


@pytest.fixture
def policy_server():
    """Answers True when the target belongs to p1; yields its port."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(json.loads(body))
            answer = b"True" if bodies[-1]["target"].get("owner") == "p1" else b"False"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_rule_asked_of_another_server(make, policy_server):
    port, bodies = policy_server
    policy = make({"r": f"http://127.0.0.1:{port}/x"}, oslo_policy={"remote_content_type": "application/json"})
    secret = {"locations": [Location("swift://user:secret@host/c/o")], "properties": {"colour": "red"}}
    for owner, passes in (("p1", True), ("p2", False)):
        target = policy.image_target(caller(), image(owner=owner, **secret))
        assert policy.check(caller(auth_token="tok"), "r", target) is passes
    assert bodies[0]["target"]["colour"] == "red"
    assert "secret" not in json.dumps(bodies)
    assert "tok" not in json.dumps(bodies)


@pytest.mark.parametrize(
    "rule", ["http://127.0.0.1:1/x", "not http://127.0.0.1:1/x", "role:admin or http://127.0.0.1:1/x"]
)
def test_server_that_does_not_answer_denies(make, rule, caplog):
    assert not make({"r": rule}).check(caller(), "r", {})
    assert "cannot be evaluated" in caplog.text
