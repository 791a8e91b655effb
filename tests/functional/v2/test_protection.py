"""Property protections (spec policy-quota-protection.md §4): the product's own sample files in both formats."""

import pytest

from tests.functional.conftest import ROOT
from tests.functional.v2.conftest import OLD, Caller, add, remove, replace

NAMES = {"billing": "x_billing_code_1", "internal": "x_internal_note", "immutable": "x_immutable_mark", "free": "free"}


@pytest.fixture(scope="module", params=["roles", "policies", "POLICIES"])
def sample(request, deploy):
    form = request.param.lower()
    path = ROOT / "etc" / f"property-protections-{form}.conf.sample"
    return deploy(api={"property_protection_file": path, "property_protection_rule_format": request.param})


@pytest.fixture(scope="module")
def custom(deploy, tmp_path_factory):
    """Sections for what the samples do not show."""
    path = tmp_path_factory.mktemp("protections") / "protections.conf"
    everyone = "create = @\nread = @\nupdate = @\ndelete = @\n"
    path.write_text(
        "[^sealed]\ncreate = !\nread = !\nupdate = !\ndelete = !\n"
        "[^empty]\ncreate =\nread = @\nupdate =\ndelete =\n"
        "[^quiet]\ncreate = @\nread = auditor\nupdate = @\ndelete = @\n"
        "[^team]\ncreate = Spanish Inquisition , helper\nread = @\nupdate = HELPER\ndelete = helper\n"
        "[inside]\ncreate = !\nread = @\nupdate = @\ndelete = @\n"
        "[^os_glance]\ncreate = !\nread = !\nupdate = !\ndelete = !\n"
        f"[^open]\n{everyone}"
    )
    return deploy(api={"property_protection_file": path, "image_property_quota": 4})


@pytest.fixture
def api(sample):
    return sample


@pytest.fixture
def image(user, admin):
    """An image of ``user`` that has one property of every kind."""
    return admin.create(owner=user.project, **dict.fromkeys(NAMES.values(), "old"))


def stored(caller, image):
    rows = caller.deployment.sql(
        "SELECT name, value FROM image_properties WHERE image_id = ? AND deleted = 0", image["id"]
    )
    return dict(rows)


# --- the samples -----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "status"), [("billing", 403), ("internal", 403), ("immutable", 201), ("free", 201)])
def test_create(user, admin, kind, status):
    assert user.post({NAMES[kind]: "v"}).status_code == status
    assert admin.post({NAMES[kind]: "v"}).status_code == 201


def test_read(user, admin, image):
    assert set(NAMES.values()) <= set(admin.image(image["id"]))
    expected = {**image, NAMES["internal"]: None}
    del expected[NAMES["internal"]]
    assert user.image(image["id"]) == expected
    assert user.page({"owner": user.project}).json()["images"] == [expected]
    assert user.patch(image["id"]).json() == expected
    assert NAMES["internal"] not in user.patch(image["id"], add("name", "n")).json()


@pytest.mark.parametrize(
    ("kind", "of_user", "of_admin"),
    [("billing", 403, 200), ("internal", 409, 200), ("immutable", 403, 403), ("free", 200, 200)],
)
@pytest.mark.parametrize("value", ["new", "old"])
def test_replace(user, admin, image, kind, of_user, of_admin, value):
    name = NAMES[kind]
    assert user.patch(image["id"], replace(name, value)).status_code == of_user
    assert stored(user, image)[name] == (value if of_user == 200 else "old")
    assert admin.patch(image["id"], replace(name, value)).status_code == of_admin


@pytest.mark.parametrize(
    ("kind", "of_user", "of_admin"),
    [("billing", 403, 200), ("internal", 403, 200), ("immutable", 403, 403), ("free", 200, 200)],
)
def test_add_what_is_there(user, admin, image, kind, of_user, of_admin):
    name = NAMES[kind]
    assert user.patch(image["id"], add(name, "new")).status_code == of_user
    assert stored(user, image)[name] == ("new" if of_user == 200 else "old")
    assert admin.patch(image["id"], add(name, "new")).status_code == of_admin


@pytest.mark.parametrize(
    ("kind", "of_user", "of_admin"),
    [("billing", 403, 200), ("internal", 409, 200), ("immutable", 403, 403), ("free", 200, 200)],
)
def test_remove(user, admin, image, kind, of_user, of_admin):
    name = NAMES[kind]
    assert user.patch(image["id"], remove(name)).status_code == of_user
    assert (name in stored(user, image)) == (of_user != 200)
    if of_user != 200:
        assert admin.patch(image["id"], remove(name)).status_code == of_admin


@pytest.mark.parametrize(("kind", "status"), [("billing", 403), ("internal", 403), ("immutable", 200), ("free", 200)])
def test_add_what_is_not_there(user, admin, kind, status):
    image = user.create()
    assert user.patch(image["id"], add(NAMES[kind], "v")).status_code == status
    assert admin.patch(image["id"], add(NAMES[kind] + "2", "v")).status_code == 200


def test_older_syntax_sees_no_hidden_property(user, image):
    change = {"add": f"/{NAMES['internal']}", "value": "v"}
    assert user.send_patch(image["id"], OLD, [change]).status_code == 403


def test_refused_change_leaves_all(user, image):
    before = stored(user, image)
    changes = [replace("name", "new"), add("y", "z"), remove("free")]
    assert user.patch(image["id"], *changes, replace(NAMES["billing"], "v")).status_code == 403
    assert stored(user, image) == before
    assert user.image(image["id"])["name"] is None


@pytest.mark.parametrize(
    "changes",
    [[replace("name", "n")], [add("x", "y")], [remove("free")], [replace("free", "v")], [replace("tags", ["t"])], []],
    ids=str,
)
def test_what_cannot_be_read_is_kept(user, image, changes):
    assert user.patch(image["id"], *changes).status_code == 200
    assert stored(user, image)[NAMES["internal"]] == "old"


def test_upload_and_tags_keep_it_too(user, image):
    assert user.patch(image["id"], add("disk_format", "raw"), add("container_format", "bare")).status_code == 200
    assert user.upload(image["id"]).status_code == 204
    assert user.send("PUT", f"/images/{image['id']}/tags/t").status_code == 204
    assert stored(user, image) == dict.fromkeys(NAMES.values(), "old")


def test_filters_find_nothing_hidden(user, admin, image):
    mine = {"owner": user.project}
    assert user.ids({NAMES["internal"]: "old", **mine}) == []
    assert user.ids({NAMES["billing"]: "old", **mine}) == [image["id"]]
    assert admin.ids({NAMES["internal"]: "old", **mine}) == [image["id"]]
    assert user.ids({NAMES["internal"]: "old", NAMES["billing"]: "old", **mine}) == []


def test_base_attributes_are_never_protected(user, image):
    assert user.patch(image["id"], replace("name", "n"), replace("min_ram", 1)).status_code == 200


def test_billing_role_of_the_roles_sample(user, image, sample):
    caller = user.with_roles("member", "Billing")
    expected = 200 if sample.api_settings["property_protection_rule_format"] == "roles" else 403
    assert caller.patch(image["id"], replace(NAMES["billing"], "v")).status_code == expected


# --- a file of one's own ---------------------------------------------------------


def test_nobody(custom):
    user, admin = Caller(custom), Caller(custom, roles="admin")
    for caller in (user, admin):
        for name in ("sealed", "sealed_x", "empty", "unmatched", "open inside", "xinsidex", "empty inside"):
            assert caller.post({name: "v"}).status_code == 403, name
        assert caller.post({"opened": "v"}).status_code == 201


def test_first_match_decides(custom):
    user = Caller(custom)
    assert user.post({"quiet inside": "v"}).status_code == 201
    assert user.post({"loud inside": "v"}).status_code == 403


@pytest.mark.parametrize(
    ("roles", "status"),
    [("helper", 201), ("HELPER", 201), ("spanish inquisition", 201), ("member", 403), ("help", 403)],
)
def test_roles_are_compared_without_case(custom, roles, status):
    assert Caller(custom, roles=roles).post({"team": "v"}).status_code == status


def test_service_roles_count(custom):
    user = Caller(custom)
    answer = user.send("POST", "/images", {"X-Service-Roles": "service,helper"}, json={"team": "v"})
    assert answer.status_code == 201


def test_what_is_written_blindly(custom):
    """Created by one who cannot read it: not shown, not there for his changes, but kept."""
    user = Caller(custom)
    answer = user.post({"quiet": "v", "open": "v"})
    image = answer.json()
    assert answer.status_code == 201
    assert "quiet" not in image
    assert "quiet" not in user.image(image["id"])
    assert user.patch(image["id"], replace("quiet", "w")).status_code == 409
    assert user.patch(image["id"], remove("quiet")).status_code == 409
    assert user.patch(image["id"], replace("open", "w")).status_code == 200
    assert user.with_roles("auditor").image(image["id"])["quiet"] == "v"


def test_hidden_ones_count_against_the_quota(custom):
    user = Caller(custom)
    image = user.create(quiet1="v", quiet2="v", open1="v", open2="v")
    assert user.patch(image["id"], add("open3", "v")).status_code == 413
    assert user.patch(image["id"], remove("open1"), add("open3", "v")).status_code == 200


def test_service_properties_are_not_the_operators(custom):
    user = Caller(custom)
    image = user.create(open="v")
    custom.sql("UPDATE image_properties SET name = 'os_glance_x' WHERE image_id = ?", image["id"])
    assert user.image(image["id"])["os_glance_x"] == "v"


# --- files that cannot be used ---------------------------------------------------

EVERYONE = "create = @\nread = @\nupdate = @\ndelete = @\n"


@pytest.mark.parametrize(
    ("form", "content", "word"),
    [
        ("roles", None, "does not exist"),
        ("frob", f"[.*]\n{EVERYONE}", "property_protection_rule_format"),
        ("roles", "[.*]\ncreate = @\nread = @\nupdate = @\n", "delete"),
        ("roles", f"[*]\n{EVERYONE}", "regular expression"),
        ("roles", f"[.*]\n{EVERYONE}".replace("read = @", "read = @,!"), "read"),
        ("policies", f"[.*]\n{EVERYONE}".replace("read = @", "read = a,b"), "exactly one"),
        ("roles", EVERYONE, "INI"),
    ],
)  # fmt: skip
def test_no_start(deploy, tmp_path, form, content, word):
    path = tmp_path / "protections.conf"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RuntimeError, match="did not start") as caught:
        deploy(api={"property_protection_file": path, "property_protection_rule_format": form})
    assert word in str(caught.value)
