"""Creating, reading, changing, deleting and restoring images."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from glance.common import exception
from glance.db.sqlalchemy import engine, models
from tests.unit.db.conftest import caller, execute, rows

LOCATION = {"url": "file:///one", "metadata": {"weight": 3}}


def test_a_created_image_is_what_is_read(db, alice):
    values = {
        "status": "queued", "name": "näme", "size": 2**40, "virtual_size": None, "disk_format": "raw",
        "container_format": "bare", "min_disk": "5", "min_ram": 2**31 - 1, "protected": True, "checksum": "c" * 32,
        "os_hash_algo": "sha512", "os_hash_value": "f" * 128,
        "properties": {"a": "1", "b": None, "n": 5}, "locations": [LOCATION, {"url": "file:///two"}],
    }  # fmt: skip
    created = db.image_create(alice, values)
    assert created == db.image_get(alice, created["id"])
    assert created["owner"] == "alice"
    assert created["visibility"] == "shared"
    assert (created["min_disk"], created["size"], created["deleted"]) == (5, 2**40, False)
    assert created["created_at"] == created["updated_at"] is not None
    assert {row["name"]: row["value"] for row in created["properties"]} == {"a": "1", "b": None, "n": "5"}
    assert [(entry["url"], entry["metadata"], entry["status"]) for entry in created["locations"]] == [
        ("file:///one", {"weight": 3}, "active"),
        ("file:///two", {}, "active"),
    ]
    assert set(created["properties"][0]) == {
        "id", "image_id", "name", "value", "deleted", "created_at", "updated_at", "deleted_at",
    }  # fmt: skip


def test_less_detail_is_read_on_request(db, alice):
    image_id = db.image_create(
        alice, {"status": "queued", "properties": {"a": "1", "b": "2"}, "locations": [LOCATION]}
    )["id"]
    db.image_property_delete(alice, "b", image_id)
    live = db.image_get(alice, image_id, detail="live")
    assert live["properties"] == [{"name": "a", "value": "1", "deleted": False}]
    assert live["locations"][0]["url"] == "file:///one"
    assert "properties" not in db.image_get(alice, image_id, detail="none")
    assert [row["deleted"] for row in db.image_get(alice, image_id)["properties"]] == [False, True]


def test_an_id_may_be_chosen_once_even_if_it_was_deleted(db, alice, admin):
    image_id = "C0FFEE00-0000-4000-8000-000000000001"
    assert db.image_create(alice, {"id": image_id, "status": "queued"})["id"] == image_id
    db.image_destroy(alice, image_id)
    with pytest.raises(exception.Duplicate, match=image_id):
        db.image_create(admin, {"id": image_id, "status": "queued"})
    assert len(rows(models.images)) == 1


def test_the_owner_is_the_callers_but_for_administrators(db, alice, admin):
    assert db.image_create(alice, {"status": "queued", "owner": "bob"})["owner"] == "alice"
    assert db.image_create(admin, {"status": "queued", "owner": "bob"})["owner"] == "bob"
    assert db.image_create(admin, {"status": "queued", "owner": ""})["owner"] is None
    assert db.image_create(admin, {"status": "queued"})["owner"] == "admin"
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    assert db.image_update(alice, image_id, {"owner": "bob"})["owner"] == "alice"
    assert db.image_update(admin, image_id, {"owner": "bob"})["owner"] == "bob"


def test_is_public_becomes_visibility(db, alice):
    def create(**values):
        return db.image_create(alice, {"status": "queued", **values})

    def updated(visibility, **values):
        return db.image_update(alice, create(visibility=visibility)["id"], values)["visibility"]

    assert create()["visibility"] == create(is_public=False)["visibility"] == "shared"
    assert create(is_public=True)["visibility"] == "public"
    assert create(is_public=True, visibility="private")["visibility"] == "private"
    assert updated("shared", is_public=True) == "public"
    assert updated("public", is_public=False) == "shared"
    assert [updated(kept, is_public=False) for kept in ("private", "shared", "community")] == [
        "private", "shared", "community",
    ]  # fmt: skip
    assert updated("public", name="x") == "public"


def test_protected_names_are_ignored_and_updated_at_moves(db, alice, admin):
    created_at = datetime(2011, 9, 22, 12, 30, 45, 123456)
    image = db.image_create(alice, {"status": "queued", "created_at": created_at, "deleted": True, "unknown": 1})
    assert not image["deleted"]
    assert image["created_at"].replace(microsecond=0) == created_at.replace(microsecond=0)
    old = image["updated_at"]
    execute(models.images.update().values(updated_at=old - timedelta(hours=1)))
    changes = {"id": "other", "created_at": old, "updated_at": old, "deleted": True, "deleted_at": old, "name": "x"}
    changed = db.image_update(alice, image["id"], changes)
    assert changed == db.image_get(alice, image["id"])
    assert (changed["id"], changed["created_at"], changed["deleted"]) == (image["id"], image["created_at"], False)
    assert changed["updated_at"] >= old


def test_a_time_with_a_zone_is_kept_as_utc(db, alice):
    moment = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert db.image_create(alice, {"status": "queued", "created_at": moment})["created_at"] == datetime(2020, 1, 1, 10)


def test_properties_are_merged_purged_and_revived(db, alice):
    image = db.image_create(alice, {"status": "queued", "properties": {"a": "1", "b": "2"}})

    def live(image):
        return {row["name"]: row["value"] for row in image["properties"] if not row["deleted"]}

    assert live(db.image_update(alice, image["id"], {"properties": {"b": "3", "c": "4"}})) == {
        "a": "1",
        "b": "3",
        "c": "4",
    }
    purged = db.image_update(alice, image["id"], {"properties": {"c": "4"}}, purge_props=True)
    assert live(purged) == {"c": "4"}
    assert all(row["deleted_at"] for row in purged["properties"] if row["deleted"])
    revived = db.image_update(alice, image["id"], {"properties": {"a": "new"}})
    assert live(revived) == {"a": "new", "c": "4"}
    row = next(row for row in rows(models.image_properties) if row["name"] == "a")
    assert (row["deleted"], row["deleted_at"]) == (False, None)
    assert live(db.image_update(alice, image["id"], {}, purge_props=True)) == {}
    assert len(rows(models.image_properties)) == 3


def test_names_that_mariadb_cannot_tell_apart(db, alice):
    values = {"status": "queued", "properties": {"os_type": "a", "OS_TYPE": "b"}}
    if engine.database().engine.dialect.name != "mysql":
        assert len(db.image_create(alice, values)["properties"]) == 2
        return
    with pytest.raises(exception.Invalid, match="tell apart"):
        db.image_create(alice, values)
    image = db.image_create(alice, {"status": "queued", "properties": {"os_type": "a"}})
    changed = db.image_update(alice, image["id"], {"properties": {"OS_type ": "b"}})
    assert [(row["name"], row["value"]) for row in changed["properties"]] == [("os_type", "b")]
    with pytest.raises(exception.Invalid, match="tell apart"):  # ß and s are one to its collation alone
        db.image_create(alice, {"status": "queued", "properties": {"ß": "a", "s": "b"}})
    assert len(rows(models.images)) == 1


def test_locations_are_added_changed_and_ended(db, alice):
    image = db.image_create(alice, {"status": "active", "locations": [LOCATION, {"url": "file:///two"}]})
    first, second = image["locations"]
    changed = db.image_update(
        alice, image["id"], {"locations": [{**first, "metadata": {"weight": 4}}, {"url": "file:///three"}]}
    )
    assert [(entry["url"], entry["metadata"]) for entry in changed["locations"]] == [
        ("file:///one", {"weight": 4}),
        ("file:///three", {}),
    ]
    stored = {row["id"]: row for row in rows(models.image_locations)}
    assert (stored[second["id"]]["status"], stored[second["id"]]["deleted"]) == ("deleted", True)
    assert stored[second["id"]]["deleted_at"]
    pending = db.image_update(alice, image["id"], {"locations": [{**first, "status": "pending_delete"}]})
    assert pending["locations"] == []
    with pytest.raises(exception.Invalid, match="no location 999"):
        db.image_update(alice, image["id"], {"locations": [{**first, "id": 999}]})
    alone = db.image_update(alice, image["id"], {"locations": []})
    assert alone["locations"] == []


def test_a_status_is_swapped_only_from_the_one_named(db, alice):
    image_id = db.image_create(alice, {"status": "queued", "properties": {"a": "1"}})["id"]
    assert db.image_update(alice, image_id, {"status": "saving"}, from_state="queued")["status"] == "saving"
    with pytest.raises(exception.Conflict):
        db.image_update(alice, image_id, {"status": "saving", "properties": {"a": "2"}}, from_state="queued")
    assert db.image_get(alice, image_id)["properties"][0]["value"] == "1"


def test_deleting_marks_all_children_at_the_same_moment(db, alice, admin):
    values = {"status": "active", "properties": {"a": "1"}, "locations": [LOCATION, {"url": "file:///two"}]}
    image_id = db.image_create(alice, values)["id"]
    db.image_member_save(alice, image_id, "bob")
    db.image_tag_create(alice, image_id, "lts")
    pending = db.image_get(alice, image_id)["locations"][1]["id"]
    db.image_location_delete(alice, image_id, pending, "pending_delete")
    gone = db.image_destroy(alice, image_id)
    assert (gone["deleted"], gone["status"]) == (True, "active")
    assert [row["value"] for row in gone["properties"] if not row["deleted"]] == ["1"]
    for table in (models.image_properties, models.image_members, models.image_tags):
        assert {(row["deleted"], row["deleted_at"]) for row in rows(table)} == {(True, gone["deleted_at"])}
    assert sorted(row["status"] for row in rows(models.image_locations)) == ["deleted", "pending_delete"]
    with pytest.raises(exception.ImageNotFound):
        db.image_get(alice, image_id)
    with pytest.raises(exception.ImageNotFound):
        db.image_destroy(admin, image_id)
    assert db.image_get(alice, image_id, force_show_deleted=True)["deleted"]
    seen = db.image_get(admin, image_id)
    assert (seen["deleted_at"], seen["locations"]) == (gone["deleted_at"], [])
    assert len(db.image_get(admin, image_id, force_show_deleted=True)["locations"]) == 2


def test_double_members_do_not_hinder_a_deletion(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    row = {"image_id": image_id, "can_share": False, "deleted": False, "status": "pending", "created_at": now}
    members = ["bob", "bob", "BOB", "carol"]
    execute(models.image_members.insert(), [{**row, "member": member} for member in members])
    assert [found["member"] for found in db.image_member_find(alice, image_id)] == ["bob", "BOB", "carol"]
    assert db.image_member_count(alice, image_id) == 3
    db.image_destroy(alice, image_id)
    assert all(row["deleted"] for row in rows(models.image_members))


def test_delayed_deletion_and_restoring(db, alice, bob):
    values = {"status": "active", "properties": {"a": "1", "b": "2"}, "locations": [LOCATION]}
    image_id = db.image_create(alice, values)["id"]
    db.image_member_save(alice, image_id, "bob", True)
    db.image_tag_create(alice, image_id, "lts")
    db.image_property_delete(alice, "b", image_id)
    execute(
        models.image_properties.update()
        .where(models.image_properties.c.name == "b")
        .values(deleted_at=datetime(2020, 1, 1))
    )
    with pytest.raises(exception.Conflict):
        db.image_destroy(alice, image_id, status="pending_delete", from_state="queued")
    gone = db.image_destroy(alice, image_id, status="pending_delete", from_state="active")
    assert (gone["status"], gone["deleted"]) == ("pending_delete", True)
    assert [row["status"] for row in rows(models.image_locations)] == ["pending_delete"]
    with pytest.raises(exception.ImageNotFound):
        db.image_restore(bob, image_id)
    image = db.image_restore(alice, image_id)
    assert (image["status"], image["deleted"], image["deleted_at"]) == ("active", False, None)
    assert [entry["status"] for entry in image["locations"]] == ["active"]
    assert {row["name"]: row["deleted"] for row in image["properties"]} == {"a": False, "b": True}
    assert db.image_tag_get_all(alice, image_id) == ["lts"]
    assert [row["can_share"] for row in db.image_member_find(alice, image_id)] == [True]
    assert {row["deleted_at"] for row in rows(models.image_members)} == {None}
    with pytest.raises(exception.Conflict):
        db.image_restore(alice, image_id)


def test_finishing_a_deletion_is_for_its_owner_too(db, alice, bob, admin):
    image_id = db.image_create(alice, {"status": "active", "locations": [LOCATION]})["id"]
    with pytest.raises(exception.Conflict):
        db.image_finish_delete(alice, image_id)
    db.image_destroy(alice, image_id, status="pending_delete")
    with pytest.raises(exception.ImageNotFound):
        db.image_finish_delete(bob, image_id)
    assert db.image_finish_delete(alice, image_id)["status"] == "deleted"
    assert [row["status"] for row in rows(models.image_locations)] == ["deleted"]
    assert db.image_get(admin, image_id)["deleted"]


def test_an_administrator_may_change_a_deleted_image(db, alice, admin):
    image_id = db.image_create(alice, {"status": "active", "locations": [LOCATION]})["id"]
    db.image_destroy(alice, image_id, status="pending_delete")
    with pytest.raises(exception.ImageNotFound):
        db.image_update(alice, image_id, {"name": "x"})
    changed = db.image_update(admin, image_id, {"name": "x"})
    assert (changed["name"], changed["deleted"], len(changed["locations"])) == ("x", True, 1)


def test_a_deactivated_image_hides_its_locations(db, alice, admin):
    image_id = db.image_create(alice, {"status": "deactivated", "locations": [LOCATION]})["id"]
    assert db.image_get(alice, image_id)["locations"] == []
    assert db.image_get_all(alice)[0]["locations"] == []
    assert db.image_update(alice, image_id, {"name": "x"})["locations"] == []
    assert len(db.image_get(admin, image_id)["locations"]) == 1


def test_anonymous_callers_change_nothing(db, alice):
    image_id = db.image_create(alice, {"status": "queued", "is_public": True})["id"]
    nobody = caller(None, read_only=True)
    for change in (
        lambda: db.image_create(nobody, {"status": "queued"}),
        lambda: db.image_update(nobody, image_id, {}),
        lambda: db.image_destroy(nobody, image_id),
        lambda: db.image_restore(nobody, image_id),
        lambda: db.image_finish_delete(nobody, image_id),
        lambda: db.image_member_save(nobody, image_id, "bob"),
        lambda: db.image_member_replace(nobody, image_id, []),
        lambda: db.image_tag_create(nobody, image_id, "x"),
        lambda: db.image_property_create(nobody, {"image_id": image_id, "name": "x"}),
        lambda: db.image_location_add(nobody, image_id, LOCATION),
        lambda: db.transfers_beat(nobody, "n", [image_id]),
    ):
        with pytest.raises(exception.ReadonlyContext):
            change()
    assert db.image_get(nobody, image_id)["id"] == image_id


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": "nonsense"},
        {"status": None},
        {"status": "queued", "id": "no-uuid"},
        {"status": "queued", "id": 7},
        {"status": "queued", "name": "x" * 256},
        {"status": "queued", "name": "emoji \U0001f600"},
        {"status": "queued", "name": "half \ud800"},
        {"status": "queued", "name": "nul \x00"},
        {"status": "queued", "name": 5},
        {"status": "queued", "size": -1},
        {"status": "queued", "size": 2**63},
        {"status": "queued", "size": "ten"},
        {"status": "queued", "size": True},
        {"status": "queued", "min_ram": 2**31},
        {"status": "queued", "virtual_size": 1.5},
        {"status": "queued", "visibility": "secret"},
        {"status": "queued", "created_at": "yesterday"},
        {"status": "queued", "properties": ["a"]},
        {"status": "queued", "properties": {"x" * 256: "1"}},
        {"status": "queued", "properties": {"a": "\U0001f600"}},
        {"status": "queued", "properties": {"a": {"nested": 1}}},
        {"status": "queued", "properties": {"a": "ä" * 40000}},
        {"status": "queued", "locations": "file:///x"},
        {"status": "queued", "locations": [{}]},
        {"status": "queued", "locations": [{"url": "file:///x", "metadata": "m"}]},
        {"status": "queued", "locations": [{"url": "file:///x", "status": "odd"}]},
    ],
)
def test_bad_values_are_refused_before_any_engine_sees_them(sqlite_db, alice, values):
    with pytest.raises(exception.Invalid):
        sqlite_db.image_create(alice, values)
    assert rows(models.images) == []


def test_integer_ids_of_2011_are_looked_up(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    execute(models.glance_legacy_ids.insert(), {"old_id": 3, "image_id": image_id})
    assert db.image_id_of_legacy(alice, 3) == image_id
    for unknown in (4, -1, 2**70):
        with pytest.raises(exception.ImageNotFound):
            db.image_id_of_legacy(alice, unknown)


def test_which_images_have_data(db, alice, admin):
    def create(status, **values):
        return db.image_create(alice, {"status": status, **values})["id"]

    used = {create("active"), create("saving"), create("deactivated"), create("killed", locations=[LOCATION])}
    pending = create("active", locations=[LOCATION])
    db.image_destroy(alice, pending, status="pending_delete")
    staged = create("queued")
    db.image_update(alice, staged, {}, transfer="node")
    unused = [create("queued"), create("killed"), create("deleted")]
    destroyed = create("active", locations=[LOCATION])
    db.image_destroy(alice, destroyed, status="deleted")
    everything = [*used, pending, staged, *unused, destroyed, "unknown"]
    assert db.image_ids_in_use(admin, everything) == used | {pending, staged}
    with pytest.raises(exception.Forbidden):
        db.image_ids_in_use(alice, everything)
