"""Policy rules of the image routes: each of them denied (spec policy-quota-protection.md §2, §3)."""

import json
import uuid

import pytest

from tests.functional.conftest import ROOT
from tests.functional.v2.conftest import DENIABLE, FORMATS, NEW, OCTETS, Caller, add, remove, replace

PATCH = {"Content-Type": NEW}


@pytest.fixture
def api(tuned):
    return tuned


@pytest.fixture(scope="module")
def modern(deploy):
    """Today's defaults alone: roles reader and member."""
    return deploy(api={"oslo_policy": {"enforce_new_defaults": True}})


@pytest.fixture(scope="module")
def detailed(deploy, tmp_path_factory):
    """Rules that look at the image, and one that cannot be evaluated."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(
        "download_image: \"not role:guest or 'open':%(secrecy)s\"\n"
        "get_image: \"not 'secret':%(name)s or role:admin or role:auditor\"\n"
        "delete_image: \"project_id:%(owner)s and not 'queued':%(status)s\"\n"
        "modify_image: \"tenant:%(project_id)s and 'shared':%(visibility)s\"\n"
        'deactivate: "!"\nreactivate: "role:admin"\n'
        'communitize_image: "role:publisher"\n'
        'context_is_admin: "role:boss"\n'
    )
    policy = {"oslo_policy": {"policy_file": path}}
    return deploy(api=policy, registry=policy)


# --- every rule denied -----------------------------------------------------------

REQUESTS = [
    ("add_image", "POST", "/images", {"json": {}}),
    ("communitize_image", "POST", "/images", {"json": {"visibility": "community"}}),
    ("communitize_image", "PATCH", "/images/{queued}",
     {"headers": PATCH, "data": json.dumps([add("visibility", "community")])}),
    ("get_images", "GET", "/images", {}),
    ("modify_image", "PATCH", "/images/{queued}", {"headers": PATCH, "data": json.dumps([add("x", "y")])}),
    ("modify_image", "PATCH", "/images/{queued}",
     {"headers": PATCH, "data": json.dumps([replace("visibility", "private")])}),
    ("modify_image", "PUT", "/images/{queued}/tags/t", {}),
    ("modify_image", "DELETE", "/images/{queued}/tags/first", {}),
    ("upload_image", "PUT", "/images/{queued}/file", {"headers": OCTETS, "data": b"data"}),
    ("download_image", "GET", "/images/{active}/file", {}),
    ("delete_image", "DELETE", "/images/{active}", {}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "method", "path", "more"), REQUESTS, ids=lambda value: str(value)[:40])
def test_denied_and_allowed(user, rule, method, path, more):
    ids = {"queued": user.create(**FORMATS, tags=["first"])["id"], "active": user.active()["id"]}
    path = path.format(**ids)
    before = [user.image(image_id) for image_id in ids.values()]
    answer = user.without(rule).send(method, path, **more)
    assert answer.status_code == 403, answer.text
    assert [user.image(image_id) for image_id in ids.values()] == before
    answer = user.send(method, path, **more)
    assert answer.status_code in (200, 201, 204), answer.text


def test_every_deniable_rule_is_covered():
    elsewhere = {"get_image", "get_image_location", "set_image_location", "delete_image_location"}
    assert {rule for rule, *_ in REQUESTS} | elsewhere == set(DENIABLE)  # the latter three: test_locations.py


@pytest.mark.parametrize(("rule", "method", "path", "more"), REQUESTS, ids=lambda value: str(value)[:40])
def test_denied_where_even_seeing_is(user, rule, method, path, more):
    """Who may not even see an image learns nothing of it."""
    if "{" not in path:
        return
    ids = {"queued": user.create(**FORMATS, tags=["first"])["id"], "active": user.active()["id"]}
    before = [user.image(image_id) for image_id in ids.values()]
    caller = user.with_roles("member", "without_get_image", f"without_{rule}")
    assert caller.send(method, path.format(**ids), **more).status_code == 404
    assert [user.image(image_id) for image_id in ids.values()] == before


def test_get_image(user):
    image = user.active()
    caller = user.without("get_image")
    assert caller.show(image["id"]).status_code == 404
    assert caller.send("GET", f"/images/{image['id']}/file").status_code == 404
    assert caller.patch(image["id"]).status_code == 404
    assert caller.ids({"owner": user.project}) == []
    assert user.ids({"owner": user.project}) == [image["id"]]


@pytest.mark.parametrize("rule", ["download_image", "delete_image", "modify_image", "upload_image"])
def test_a_denied_rule_does_not_tell_of_invisible_images(user, other, rule):
    image = user.create(**FORMATS)
    caller = other.without(rule)
    assert caller.patch(image["id"], add("x", "y")).status_code == 404
    assert caller.upload(image["id"]).status_code == 404
    assert caller.send("GET", f"/images/{image['id']}/file").status_code == 404
    assert caller.delete(image["id"]).status_code == 404


# --- publishing ------------------------------------------------------------------


@pytest.mark.parametrize(("roles", "allowed"), [("member", False), ("publisher", True), ("admin", True)])
def test_publishing(user, admin, roles, allowed):
    caller = user.with_roles(*roles.split(","))
    answer = caller.post({"visibility": "public"})
    assert answer.status_code == (201 if allowed else 403)
    image = user.create()
    for op in ("add", "replace"):
        change = {"op": op, "path": "/visibility", "value": "public"}
        assert caller.patch(image["id"], change).status_code == (200 if allowed else 403)
    for made in [image] + ([answer.json()] if allowed else []):
        assert admin.delete(made["id"]).status_code == 204


def test_visibility_needs_modify_image_as_well(user, api):
    caller = user.with_roles("publisher", "without_modify_image")
    image = user.create()
    assert caller.patch(image["id"], replace("visibility", "public")).status_code == 403
    assert user.image(image["id"])["visibility"] == "shared"


# --- rules that look at the image ------------------------------------------------


def test_properties_in_rules(detailed):
    user = Caller(detailed)
    guest = user.with_roles("guest")
    closed, open_ = user.active(), user.active(secrecy="open")
    assert guest.send("GET", f"/images/{closed['id']}/file").status_code == 403
    assert guest.send("GET", f"/images/{open_['id']}/file").status_code == 200
    assert user.send("GET", f"/images/{closed['id']}/file").status_code == 200
    assert guest.show(closed["id"]).status_code == 200


def test_list_leaves_out_what_get_image_hides(detailed):
    user = Caller(detailed)
    shown, hidden = user.create(name="open"), user.create(name="secret")
    assert user.ids() == [shown["id"]]
    assert user.show(hidden["id"]).status_code == 404
    auditor = user.with_roles("auditor")
    assert auditor.ids() == [hidden["id"], shown["id"]]
    page = user.page({"limit": 1}).json()
    assert page["images"] == []
    assert "next" in page


def test_attributes_in_rules(detailed):
    user = Caller(detailed)
    queued, active = user.create(), user.active()
    assert user.delete(queued["id"]).status_code == 403
    assert user.delete(active["id"]).status_code == 204
    assert user.patch(queued["id"], replace("visibility", "private")).status_code == 200
    assert user.patch(queued["id"], replace("name", "n")).status_code == 403


def test_policy_lets_nobody_change_what_is_not_his(detailed):
    """The hard checks hold whatever the rules say (§1)."""
    user, other = Caller(detailed), Caller(detailed)
    image = user.active()
    user.share(image["id"], other)
    assert other.delete(image["id"]).status_code == 403
    assert other.patch(image["id"], add("x", "y")).status_code == 403


def test_actions(detailed):
    user = Caller(detailed)
    image = user.active()
    assert user.send("POST", f"/images/{image['id']}/actions/deactivate").status_code == 403
    assert user.send("POST", f"/images/{image['id']}/actions/reactivate").status_code == 403
    assert user.with_roles("admin").send("POST", f"/images/{image['id']}/actions/reactivate").status_code == 204


@pytest.mark.parametrize("roles", ["boss", "admin", "BOSS"])
def test_admin_by_rule_or_role(detailed, roles):
    image = Caller(detailed).create()
    assert Caller(detailed, roles=roles).show(image["id"]).status_code == 200


def test_rule_for_community(detailed):
    user = Caller(detailed)
    assert user.post({"visibility": "community"}).status_code == 403
    assert user.with_roles("publisher").post({"visibility": "community"}).status_code == 201


# --- today's defaults ------------------------------------------------------------


def test_new_defaults_of_a_member(modern):
    user = Caller(modern, roles="member,reader")
    image = user.active()
    assert user.patch(image["id"], add("x", "y")).status_code == 200
    assert user.send("GET", f"/images/{image['id']}/file").status_code == 200
    assert user.ids() == [image["id"]]
    assert user.post({"visibility": "public"}).status_code == 403
    assert user.delete(image["id"]).status_code == 204


def test_new_defaults_of_a_reader(modern):
    user = Caller(modern, roles="member,reader")
    reader = user.with_roles("reader")
    image = user.active()
    before = user.image(image["id"])
    assert reader.image(image["id"]) == before
    assert reader.ids() == [image["id"]]
    answer = reader.patch(image["id"])
    assert (answer.status_code, answer.json()) == (200, before)
    assert reader.post({}).status_code == 403
    assert reader.patch(image["id"], add("x", "y")).status_code == 403
    assert reader.send("PUT", f"/images/{image['id']}/tags/t").status_code == 403
    assert reader.send("GET", f"/images/{image['id']}/file").status_code == 403
    assert reader.delete(image["id"]).status_code == 403
    assert user.image(image["id"]) == before


def test_new_defaults_without_a_role(modern):
    image = Caller(modern, "p", "member,reader").create()
    nobody = Caller(modern, "p", "x")
    assert nobody.show(image["id"]).status_code == 404
    assert nobody.page().status_code == 403
    assert nobody.show(str(uuid.uuid4())).status_code == 404


def test_who_may_neither_create_nor_see(modern):
    """There is no image that could be hidden from them."""
    assert Caller(modern, roles="x").post({}).status_code == 403


def test_classic_defaults_need_no_role(usual):
    user = Caller(usual, roles="x")
    image = user.active()
    assert user.patch(image["id"], add("x", "y"), remove("x")).status_code == 200
    assert user.delete(image["id"]).status_code == 204


def test_the_shipped_policy_file(deploy):
    user = Caller(deploy(api={"oslo_policy": {"policy_file": ROOT / "etc" / "policy.json"}}))
    image = user.active()
    assert user.patch(image["id"], add("visibility", "community")).status_code == 200
    assert user.patch(image["id"], add("visibility", "public")).status_code == 403
    assert user.ids() == [image["id"]]
    assert user.delete(image["id"]).status_code == 204
