"""Who sees and may change what (v1-api.md §5.1, registry.md §3.3), and memberships (§3.5, v1-api.md §8)."""

from datetime import UTC, datetime

import pytest

from glance.common import exception
from glance.db.sqlalchemy import models
from tests.unit.db.conftest import caller, execute, rows

GONE = exception.ImageNotFound


def create(db, context, **values):
    return db.image_create(context, {"status": "active", **values})["id"]


@pytest.mark.parametrize(
    ("visibility", "owner", "seen", "refusal"),
    [
        ("public", "alice", True, exception.Forbidden),
        ("community", "alice", True, GONE),
        ("shared", "alice", False, GONE),
        ("private", "alice", False, GONE),
        ("shared", "", True, GONE),
        ("public", "", True, exception.Forbidden),
        ("private", "BOB", False, GONE),
        ("private", "bob ", False, GONE),
        ("private", "böb", False, GONE),
    ],
)
def test_what_a_stranger_sees_and_may_change(db, admin, bob, visibility, owner, seen, refusal):
    image_id = create(db, admin, owner=owner, visibility=visibility)
    if seen:
        assert db.image_get(bob, image_id)["id"] == image_id
    else:
        with pytest.raises(GONE, match=image_id):
            db.image_get(bob, image_id)
    for change in (lambda: db.image_update(bob, image_id, {"name": "x"}), lambda: db.image_destroy(bob, image_id)):
        with pytest.raises(refusal) as caught:
            change()
        assert type(caught.value) is refusal
    assert db.image_update(admin, image_id, {"name": "y"})["name"] == "y"


def test_an_id_is_matched_exactly(db, alice):
    image_id = create(db, alice, id="abcdef00-0000-4000-8000-000000000001", is_public=True)
    for other in (image_id.upper(), f"{image_id} ", "nonsense", "\U0001f600"):
        with pytest.raises(GONE):
            db.image_get(alice, other)


def test_membership_counts_only_while_shared_and_alive(db, alice, bob):
    image_id = create(db, alice)
    member = db.image_member_create(alice, {"image_id": image_id, "member": "bob"})
    assert (member["status"], member["can_share"], member["deleted"]) == ("pending", False, False)
    assert set(member) == {"id", "image_id", "member", "can_share", "status", "created_at", "updated_at", "deleted"}
    assert db.image_get(bob, image_id)
    db.image_member_update(bob, member["id"], {"status": "rejected"})
    assert db.image_get(bob, image_id)
    image = db.image_get(alice, image_id)
    assert db.is_image_visible(bob, image)
    assert not db.is_image_visible(bob, image, status="accepted")
    for shadow in (caller("BOB"), caller("bob "), caller(None)):
        with pytest.raises(GONE):
            db.image_get(shadow, image_id)
    with pytest.raises(GONE):
        db.image_update(bob, image_id, {"name": "mine"})
    db.image_update(alice, image_id, {"visibility": "private"})
    with pytest.raises(GONE):
        db.image_get(bob, image_id)
    db.image_update(alice, image_id, {"visibility": "shared"})
    db.image_member_delete(alice, member["id"])
    with pytest.raises(GONE):
        db.image_get(bob, image_id)


def test_ownership_by_user(db):
    owner = caller("project", owner_is_tenant=False)
    image = db.image_create(owner, {"status": "queued"})
    assert image["owner"] == "u"
    assert db.is_image_mutable(owner, image)
    assert not db.is_image_mutable(caller("project"), image)


def test_a_member_once_and_revived(db, alice):
    image_id = create(db, alice)
    first = db.image_member_create(
        alice, {"image_id": image_id, "member": "bob", "can_share": True, "status": "accepted"}
    )
    with pytest.raises(exception.Duplicate):
        db.image_member_create(alice, {"image_id": image_id, "member": "bob"})
    db.image_member_delete(alice, first["id"])
    with pytest.raises(exception.NotFound):
        db.image_member_delete(alice, first["id"])
    assert db.image_member_find(alice, image_id) == []
    assert [row["deleted"] for row in db.image_member_find(alice, image_id, include_deleted=True)] == [True]
    again = db.image_member_create(alice, {"image_id": image_id, "member": "bob"})
    assert (again["id"], again["can_share"], again["status"]) == (first["id"], True, "pending")
    assert [(row["deleted"], row["deleted_at"]) for row in rows(models.image_members)] == [(False, None)]
    db.image_member_delete(alice, again["id"])
    assert db.image_member_save(alice, image_id, "bob", False)["can_share"] is False


def test_saving_and_replacing_members(db, alice):
    image_id = create(db, alice)
    assert db.image_member_save(alice, image_id, "bob")["can_share"] is False
    assert db.image_member_save(alice, image_id, "bob", True)["can_share"] is True
    assert db.image_member_save(alice, image_id, "bob")["can_share"] is True

    def members():
        return {row["member"]: row["can_share"] for row in db.image_member_find(alice, image_id)}

    db.image_member_replace(
        alice, image_id, [{"member": "carol", "can_share": True}, {"member": "bob"}, {"member": "Bob"}]
    )
    assert members() == {"bob": True, "carol": True, "Bob": False}
    assert db.image_member_count(alice, image_id) == 3
    db.image_member_replace(alice, image_id, [{"member": "carol"}])
    assert members() == {"carol": True}
    db.image_member_replace(alice, image_id, [])
    assert members() == {}
    db.image_member_save(alice, image_id, "bob")
    assert members() == {"bob": True}
    for bad in (None, "x" * 256, "\U0001f600"):
        with pytest.raises(exception.Invalid):
            db.image_member_replace(alice, image_id, [{"member": bad}])


def test_who_may_share(db, alice, bob, admin):
    image_id = create(db, alice)
    carol = caller("carol")
    with pytest.raises(GONE):
        db.image_member_save(bob, image_id, "carol")
    db.image_member_save(alice, image_id, "bob")
    assert not db.is_image_sharable(bob, db.image_get(bob, image_id))
    with pytest.raises(exception.Forbidden):
        db.image_member_save(bob, image_id, "carol")
    with pytest.raises(exception.Forbidden):
        db.image_member_replace(bob, image_id, [])
    db.image_member_save(alice, image_id, "bob", True)
    assert db.is_image_sharable(bob, db.image_get(bob, image_id))
    member = db.image_member_save(bob, image_id, "carol")
    with pytest.raises(exception.Forbidden):
        db.image_member_update(carol, member["id"], {"can_share": True})
    assert db.image_member_update(carol, member["id"], {"status": "accepted"})["status"] == "accepted"
    with pytest.raises(exception.Invalid):
        db.image_member_update(carol, member["id"], {"status": "odd"})
    for unknown in (10**6, -1, 2**80, "x"):
        with pytest.raises(exception.NotFound):
            db.image_member_update(admin, unknown, {"status": "accepted"})
    public = create(db, alice, is_public=True)
    with pytest.raises(exception.Forbidden):
        db.image_member_save(bob, public, "bob")
    db.image_member_save(alice, public, "bob")
    db.image_destroy(alice, image_id)
    with pytest.raises(GONE):
        db.image_member_save(admin, image_id, "dave")


def test_who_sees_memberships(db, alice, bob, admin):
    first, second = create(db, alice), create(db, bob)
    db.image_member_save(alice, first, "bob")
    db.image_member_save(alice, first, "carol")
    db.image_member_save(bob, second, "carol")

    def found(context, **query):
        return {(row["image_id"], row["member"]) for row in db.image_member_find(context, **query)}

    everything = {(first, "bob"), (first, "carol"), (second, "carol")}
    assert found(admin) == everything
    assert found(alice) == {(first, "bob"), (first, "carol")}
    assert found(bob) == {(first, "bob"), (second, "carol")}
    assert found(caller("carol"), member="carol") == {(first, "carol"), (second, "carol")}
    assert found(alice, member="carol") == {(first, "carol")}
    assert found(bob, image_id=first) == {(first, "bob")}
    assert found(admin, status="accepted") == set()
    assert found(admin, status="all") == everything
    assert found(caller("CAROL")) == found(caller(None)) == found(caller("dave")) == set()
    assert found(admin, member="CAROL") == found(admin, member="\U0001f600") == set()


def test_single_locations(db, alice, bob):
    image_id = create(db, alice)
    db.image_location_add(alice, image_id, {"url": "file:///one", "metadata": {"a": 1}})
    (entry,) = db.image_get(alice, image_id)["locations"]
    db.image_location_update(alice, image_id, {**entry, "metadata": {"a": 2}})
    assert db.image_get(alice, image_id)["locations"] == [{**entry, "metadata": {"a": 2}}]
    with pytest.raises(GONE):
        db.image_location_add(bob, image_id, entry)
    with pytest.raises(exception.Invalid):
        db.image_location_update(alice, image_id, {"url": "file:///x"})
    with pytest.raises(exception.NotFound):
        db.image_location_update(alice, image_id, {**entry, "id": 10**6})
    moment = datetime(2020, 1, 1)
    db.image_location_delete(alice, image_id, entry["id"], "pending_delete", moment)
    assert db.image_get(alice, image_id)["locations"] == []
    (row,) = rows(models.image_locations)
    assert (row["status"], row["deleted"]) == ("pending_delete", True)
    db.image_location_delete(alice, image_id, entry["id"], "deleted")
    assert rows(models.image_locations)[0]["status"] == "deleted"
    with pytest.raises(exception.Invalid):
        db.image_location_delete(alice, image_id, entry["id"], "active")


def test_locations_of_upstream_may_have_no_metadata(db, alice):
    image_id = create(db, alice)
    row = {
        "image_id": image_id,
        "value": "file:///x",
        "deleted": False,
        "status": "active",
        "created_at": datetime.now(UTC).replace(tzinfo=None),
    }
    execute(models.image_locations.insert(), [{**row, "meta_data": text} for text in (None, "", "[]", "{bad")])
    assert [entry["metadata"] for entry in db.image_get(alice, image_id)["locations"]] == [{}] * 4


def test_single_properties(db, alice, bob):
    image_id = create(db, alice)
    row = db.image_property_create(alice, {"image_id": image_id, "name": "lock", "value": "me"})
    assert (row["name"], row["value"], row["deleted"]) == ("lock", "me", False)
    with pytest.raises(exception.Duplicate):
        db.image_property_create(alice, {"image_id": image_id, "name": "lock", "value": "you"})
    with pytest.raises(exception.Duplicate):
        db.image_set_property_atomic(alice, image_id, "lock", "you")
    with pytest.raises(exception.NotFound):
        db.image_delete_property_atomic(alice, image_id, "lock", "you")
    with pytest.raises(GONE):
        db.image_delete_property_atomic(bob, image_id, "lock", "me")
    db.image_delete_property_atomic(alice, image_id, "lock", "me")
    assert rows(models.image_properties) == []
    db.image_set_property_atomic(alice, image_id, "lock", "you")
    assert db.image_property_delete(alice, "lock", image_id)["deleted"] is True
    with pytest.raises(exception.NotFound):
        db.image_property_delete(alice, "lock", image_id)
    assert db.image_property_create(alice, {"image_id": image_id, "name": "lock", "value": "x"})["deleted_at"] is None
    assert len(rows(models.image_properties)) == 1


def test_tags(db, alice, bob):
    image_id = create(db, alice)
    assert db.image_tag_create(alice, image_id, "lts") == "lts"
    db.image_tag_create(alice, image_id, "lts")
    db.image_tag_create(alice, image_id, "LTS")
    assert db.image_tag_get_all(alice, image_id) == ["lts", "LTS"]
    db.image_tag_set_all(alice, image_id, ["b", "lts", "b"])
    assert sorted(db.image_tag_get_all(alice, image_id)) == ["b", "lts"]
    db.image_tag_delete(alice, image_id, "lts")
    with pytest.raises(exception.NotFound):
        db.image_tag_delete(alice, image_id, "lts")
    with pytest.raises(exception.Invalid):
        db.image_tag_create(alice, image_id, "\U0001f600")
    with pytest.raises(GONE):
        db.image_tag_get_all(bob, image_id)
    assert db.image_get_all(alice, return_tag=True)[0]["tags"] == ["b"]
    assert "tags" not in db.image_get_all(alice)[0]
