"""Property protections (spec policy-quota-protection.md §4, v1-api.md §5.1)."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glance.common.exception import ConfigurationError, Forbidden
from glance.context import RequestContext
from glance.images.policy import Policy
from glance.images.protection import OPERATIONS, Protections, read_sections

ETC = Path(__file__).parents[3] / "etc"


def caller(*roles: str, service: tuple[str, ...] = (), admin: bool = False) -> RequestContext:
    return RequestContext(roles=list(roles), service_roles=list(service), is_admin=admin, overwrite=False)


def section(name: str, create="@", read="@", update="@", delete="@") -> str:
    return f"[{name}]\ncreate = {create}\nread = {read}\nupdate = {update}\ndelete = {delete}\n"


@pytest.fixture
def make(make_conf, tmp_path):
    """Builds Protections from the text of a file (None: not configured)."""

    def build(text: str | None, rule_format: str = "roles", **options) -> Protections:
        if text is not None:
            (tmp_path / "protections.conf").write_text(text)
            options["property_protection_file"] = "protections.conf"
        conf = make_conf(property_protection_rule_format=rule_format, **options)
        return Protections(conf, Policy(conf))

    return build


def may(protections: Protections, context: RequestContext, name: str) -> str:
    """The initials of what the caller may do."""
    return "".join(operation[0] for operation in OPERATIONS if protections.may(context, operation, name))


# --- off ---


def test_off_without_a_file(make):
    protections = make(None)
    stored = {"a": "1"}
    assert not protections.enabled
    assert may(protections, caller(), "a") == "crud"
    assert protections.visible(caller(), stored) is stored
    assert protections.hidden(caller(), stored) == {}
    protections.check_create(caller(), stored)
    assert protections.merge_update(caller(), stored, {"b": "2"}, purge=True) == {"b": "2"}
    assert protections.merge_update(caller(), stored, {"b": "2"}, purge=False) == {"a": "1", "b": "2"}


# --- shipped samples: property, role, what the role may ---

SAMPLES = {
    "roles": [
        ("x_billing_code_1", "admin", "crud"),
        ("x_billing_code_1", "billing", "crud"),
        ("x_billing_code_1", "member", "r"),
        ("x_internal_a", "admin", "crud"),
        ("x_internal_a", "billing", ""),
        ("x_internal_a", "member", ""),
        ("x_immutable_a", "admin", "cr"),
        ("x_immutable_a", "member", "cr"),
        ("os_distro", "admin", "crud"),
        ("os_distro", "member", "crud"),
        ("my_x_internal_a", "member", "crud"),
        ("os_glance_importing", "member", "crud"),
    ],
    "policies": [
        ("x_billing_code_1", "admin", "crud"),
        ("x_billing_code_1", "member", "r"),
        ("x_internal_a", "admin", "crud"),
        ("x_internal_a", "member", ""),
        ("x_immutable_a", "admin", "cr"),
        ("x_immutable_a", "member", "cr"),
        ("os_distro", "admin", "crud"),
        ("os_distro", "member", "crud"),
        ("os_glance_importing", "member", "crud"),
    ],
}


@pytest.mark.parametrize(
    ("rule_format", "name", "role", "expected"),
    [(rule_format, *row) for rule_format, rows in SAMPLES.items() for row in rows],
)
def test_shipped_samples(make, rule_format, name, role, expected):
    protections = make((ETC / f"property-protections-{rule_format}.conf.sample").read_text(), rule_format)
    assert may(protections, caller(role), name) == expected


# --- values ---


@pytest.mark.parametrize(
    ("value", "context", "allowed"),
    [
        ("admin,member", caller("member"), True),
        ("admin, member", caller("member"), True),
        ("admin,\n  member", caller("member"), True),
        ("Admin", caller("aDMIN"), True),
        ("admin", caller("member"), False),
        ("admin", caller(), False),
        ("glance", caller("member", service=("Glance",)), True),
        ("@", caller(), True),
        ("@,admin", caller(), True),
        ("!", caller("admin", admin=True), False),
        ("!,admin", caller("admin"), False),
        ("", caller("admin"), False),
        (",", caller("admin"), False),
    ],
)
def test_roles(make, value, context, allowed):
    assert make(section("x", update=value)).may(context, "update", "x") is allowed


@pytest.mark.parametrize(
    ("value", "context", "allowed"),
    [
        ("context_is_admin", caller("admin", admin=True), True),
        ("context_is_admin", caller("member"), False),
        ("billing", caller("billing"), True),
        ("billing", caller("member"), False),
        ("Billing", caller("billing"), True),  # not defined: the default rule, everyone
        ("@", caller(), True),
        ("!", caller("admin", admin=True), False),
        ("", caller("admin", admin=True), False),
    ],
)
def test_policies(make, tmp_path, value, context, allowed):
    (tmp_path / "policy.json").write_text('{"billing": "role:billing"}')
    assert make(section("x", update=value), "policies").may(context, "update", "x") is allowed


def test_undefined_policy_and_empty_value_are_told(make, caplog):
    make(section("x", update="mistyped", delete=""), "Policies")
    assert "'mistyped'" in caplog.text
    assert "[x]: delete is empty" in caplog.text


# --- which section ---


def test_first_section_that_matches_decides(make):
    text = section("^a_b", read="one") + section("^a", read="two") + section("b$", read="three")
    protections = make(text)
    readers = {
        name: [role for role in ("one", "two", "three") if protections.may(caller(role), "read", name)]
        for name in ("a_b", "a_c", "c_b", "other")
    }  # fmt: skip
    assert readers == {"a_b": ["one"], "a_c": ["two"], "c_b": ["three"], "other": []}


def test_expression_is_searched_not_anchored(make):
    protections = make(section("secret", read="admin") + section(".*"))
    assert not protections.may(caller("member"), "read", "my_secret_property")
    assert protections.may(caller("member"), "read", "my_property")


@pytest.mark.parametrize("name", ["DEFAULT", "[a-c]d", "^(a|b)[^]]$", "a: b = c", "%(x)s"])
def test_section_names_are_expressions_whatever_they_look_like(make, name):
    text = section(name, read="admin") + section(".*")
    assert [item.pattern.pattern for item in make(text)._sections][1:] == [name, ".*"]


def test_brackets_in_a_section_name(make):
    protections = make(section("^[a-c]d$", read="admin") + section(".*"))
    assert may(protections, caller(), "bd") == "cud"
    assert may(protections, caller(), "dd") == "crud"


def test_properties_of_the_service_itself_are_open(make, caplog):
    protections = make(section("os_glance.*", *"!!!!") + section(".*", *"!!!!"))
    assert may(protections, caller(), "os_glance_import_task") == "crud"
    assert may(protections, caller(), "x_os_glance") == ""
    assert "[os_glance.*] is ignored" in caplog.text


# --- what stops the start ---

BROKEN = {
    "no update": ("[x]\ncreate=@\nread=@\ndelete=@\n", r"\[x\] lacks 'update'"),
    "empty section": ("[x]\n", r"\[x\] lacks 'create'"),
    "both": (section("x", read="@,!"), r"\[x\]: read = '@,!' says both"),
    "expression": (section("(x"), r"\[\(x\] is not a regular expression"),
    "repeat": (section("x{2,1}"), r"is not a regular expression"),
    "huge repeat": (section("x{99999999999999}"), r"is not a regular expression"),
    "no section": ("create = @\n", "not a usable INI file"),
    "no value": ("[x]\ncreate\n", "not a usable INI file"),
    "twice": (section("x") + section("x"), "not a usable INI file"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("rule_format", ["roles", "policies"])
def test_broken_file_stops_the_start_with_one_line(make, case, rule_format):
    text, complaint = BROKEN[case]
    if rule_format == "policies":
        complaint = complaint.replace("says both", "must name exactly one")
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        make(text, rule_format)
    assert "protections.conf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_policies_take_exactly_one_name(make):
    text = section("x", delete="one,two")
    with pytest.raises(ConfigurationError, match=r"protections.conf: section \[x\]: delete = 'one,two' must name"):
        make(text, "policies")
    assert make(text).may(caller("two"), "delete", "x")


def test_missing_file_stops_the_start(make):
    with pytest.raises(ConfigurationError, match=r"'none.conf' does not exist"):
        make(None, property_protection_file="none.conf")


def test_unreadable_file_stops_the_start(make, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="Cannot read"):
        make(None, property_protection_file="folder")
    (tmp_path / "latin").write_bytes(b"[\xe9]\n")
    with pytest.raises(ConfigurationError, match="not a usable INI file"):
        make(None, property_protection_file="latin")


def test_unknown_format_stops_the_start(make):
    with pytest.raises((ConfigurationError, ValueError), match="property_protection_rule_format"):
        make(section("x"), "groups")


# --- what a caller sees and saves ---

FILE = (
    section("^hidden", read="admin")
    + section("^fixed", update="admin", delete="admin")
    + section("^kept", delete="admin")
    + section("^closed", create="admin")
    + section(".*")
)
STORED = {"hidden": "h", "fixed": "f", "kept": "k", "free": "1"}


def test_visible_and_hidden(make):
    protections = make(FILE)
    assert protections.visible(caller("member"), STORED) == {"fixed": "f", "kept": "k", "free": "1"}
    assert protections.hidden(caller("member"), STORED) == {"hidden": "h"}
    assert protections.visible(caller("admin"), STORED) == STORED
    assert protections.hidden(caller("admin"), STORED) == {}


def test_create(make):
    protections = make(FILE)
    protections.check_create(caller("member"), ["free", "kept"])
    protections.check_create(caller("admin"), ["closed"])
    with pytest.raises(Forbidden, match="Property 'closed' is protected"):
        protections.check_create(caller("member"), ["free", "closed"])


@pytest.mark.parametrize(
    ("role", "sent", "purge", "outcome"),
    [
        # update
        ("member", {"free": "2"}, False, {**STORED, "free": "2"}),
        ("member", {"fixed": "f"}, False, STORED),
        ("member", {"fixed": "other"}, False, "fixed"),
        ("admin", {"fixed": "other"}, False, {**STORED, "fixed": "other"}),
        ("member", {"hidden": "other"}, False, "hidden"),
        ("member", {"hidden": "h"}, False, "hidden"),
        ("admin", {"hidden": "other"}, False, {**STORED, "hidden": "other"}),
        # create
        ("member", {"new": "n"}, False, {**STORED, "new": "n"}),
        ("member", {"closed": "n"}, False, "closed"),
        ("admin", {"closed": None}, False, {**STORED, "closed": None}),
        # purge
        ("member", {"fixed": "f", "kept": "k"}, True, {"hidden": "h", "fixed": "f", "kept": "k"}),
        ("member", {"fixed": "f", "free": "1"}, True, "kept"),
        ("member", {"kept": "k"}, True, "fixed"),
        ("member", {}, True, "fixed"),
        ("member", {}, False, STORED),
        ("admin", {}, True, {}),
        ("admin", {"free": "2"}, True, {"free": "2"}),
    ],
)
def test_v1_update(make, role, sent, purge, outcome):
    protections = make(FILE)
    if isinstance(outcome, dict):
        assert protections.merge_update(caller(role), STORED, sent, purge=purge) == outcome
        return
    with pytest.raises(Forbidden, match=f"Property '{outcome}' is protected"):
        protections.merge_update(caller(role), STORED, sent, purge=purge)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    stored=st.dictionaries(st.sampled_from(["hidden", "hidden_2", "free", "more"]), st.text(max_size=3)),
    sent=st.dictionaries(st.sampled_from(["free", "more", "new"]), st.text(max_size=3)),
    purge=st.booleans(),
)
def test_a_save_keeps_what_the_caller_cannot_read(make, stored, sent, purge):
    saved = make(FILE).merge_update(caller("member"), stored, sent, purge=purge)
    assert {name: value for name, value in stored.items() if name.startswith("hidden")}.items() <= saved.items()
    assert sent.items() <= saved.items()


# --- parsing anything ---

WORD = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
ROLES = st.one_of(st.just("@"), st.just("!"), st.just(""), st.lists(WORD, min_size=1, max_size=3).map(",".join))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    model=st.dictionaries(
        st.from_regex(r"\^[a-z_]{1,6}(\.\*|\$)?", fullmatch=True).filter(lambda name: "os_glance" not in name),
        st.fixed_dictionaries(dict.fromkeys(OPERATIONS, ROLES)),
        max_size=4,
    ),
    padding=st.sampled_from(["", " ", "\t"]),
    role=WORD,
)
def test_written_files_are_read_as_they_were_meant(tmp_path, model, padding, role):
    path = tmp_path / "p.conf"
    lines = []
    for name, values in model.items():
        lines.append(f"[{name}]")
        lines += [f"{operation.upper()}{padding}={padding}{value}" for operation, value in values.items()]
    path.write_text("# comment\n" + "\n".join(lines) + "\n")
    sections = read_sections(str(path), by_policies=False)[1:]
    assert [item.pattern.pattern for item in sections] == list(model)
    for item, values in zip(sections, model.values(), strict=True):
        for operation, value in values.items():
            assert item.allowed[operation] == frozenset(word.lower() for word in value.split(",") if word)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.text(alphabet="[]()*+?{}\\^$.|=:,@!ab\n\t ;#%create", max_size=80),
        st.binary(max_size=40),
        st.from_regex(r"(\[[^\n]{0,12}\]\n(create|read|update|delete) ?[=:] ?[@!a-c, ]{0,6}\n){1,5}", fullmatch=True),
    ),
    by_policies=st.booleans(),
)
def test_any_file_is_read_or_refused_in_one_line(tmp_path, text, by_policies):
    path = tmp_path / "p.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        sections = read_sections(str(path), by_policies)
    except ConfigurationError as error:
        assert str(path) in str(error)
        assert not re.search(r"[\r\n]", str(error))
    else:
        assert all(set(item.allowed) == set(OPERATIONS) for item in sections)
