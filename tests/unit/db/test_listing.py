"""Lists: what is in them, filters, markers (v1-api.md §5.2, registry.md §3.1)."""

from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from glance.common import exception
from glance.db.sqlalchemy import models, selecting
from tests.unit.db.conftest import caller, execute

START = datetime(2020, 1, 1)


@pytest.fixture
def make(db, admin):
    """Creates images whose names are what the tests compare, each a minute younger than the one before."""
    count = iter(range(1000))

    def make(name=None, owner="alice", **values):
        created_at = START + timedelta(minutes=next(count))
        return db.image_create(
            admin, {"status": "active", "name": name, "owner": owner, "created_at": created_at, **values}
        )["id"]

    return make


def names(images):
    return [image["name"] for image in images]


def listed(db, context, **query):
    return names(db.image_get_all(context, member_status="all", **query))


def test_who_gets_which_images(db, make, alice, bob, admin):
    make("own-private", visibility="private")
    make("own-community", visibility="community")
    make("bobs-public", owner="bob", visibility="public")
    make("own-public", visibility="public")
    make("bobs-shared", owner="bob")
    make("bobs-private", owner="bob", visibility="private")
    make("bobs-community", owner="bob", visibility="community")
    make("nobodys", owner="")
    make("nobodys-public", owner="", visibility="public")
    make("ALICES", owner="ALICE")
    for_alice = make("for-alice", owner="bob")
    db.image_member_save(admin, for_alice, "alice")
    db.image_member_save(admin, make("for-ALICE", owner="bob"), "ALICE")
    resting = make("resting", owner="bob", visibility="private")
    db.image_member_save(admin, resting, "alice")
    mine = {"own-private", "own-community", "own-public"}
    public = {"bobs-public", "own-public", "nobodys-public"}
    everything = mine | public | {
        "bobs-shared", "bobs-private", "bobs-community", "nobodys", "ALICES", "for-alice", "for-ALICE", "resting",
    }  # fmt: skip
    assert listed(db, alice)[0] == "for-alice"  # the youngest
    assert set(listed(db, alice)) == mine | public | {"for-alice"}
    assert len(listed(db, alice)) == len(mine | public) + 1
    assert set(listed(db, alice, is_public=False)) == mine | public | {"for-alice"}
    assert set(names(db.image_get_all(alice))) == mine | public
    assert set(listed(db, caller(None))) == public
    assert set(listed(db, admin)) == everything
    assert set(listed(db, admin, is_public=True)) == public
    assert set(listed(db, admin, is_public=False)) == everything - public
    assert set(listed(db, caller("alice", is_admin=True), admin_as_user=True, is_public=True)) == mine | public | {
        "for-alice"
    }
    assert set(listed(db, caller(None, is_admin=True), admin_as_user=True)) == public
    for filters in ({"name": "for-alice"}, {"container_format": "bare"}):
        assert "bobs-private" not in listed(db, alice, filters=filters)
    assert listed(db, alice, filters={"name": "for-alice"}) == ["for-alice"]
    assert listed(db, alice, filters={"name": "for-ALICE"}) == listed(db, alice, filters={"name": "resting"}) == []
    member = db.image_member_find(admin, for_alice)[0]
    db.image_member_update(admin, member["id"], {"status": "accepted"})
    assert "for-alice" in names(db.image_get_all(alice))
    assert "for-alice" not in names(db.image_get_all(alice, member_status="rejected"))


def test_deleted_killed_and_hidden_images(db, make, alice, admin):
    make("live")
    make("killed", status="killed")
    make("hidden", os_hidden=True)
    db.image_destroy(admin, make("deleted", locations=[{"url": "file:///x"}], properties={"a": "1"}), status="deleted")
    db.image_destroy(admin, make("pending", os_hidden=True), status="pending_delete")
    assert listed(db, alice) == ["live"]
    assert listed(db, alice, filters={"deleted": True}) == ["live"]
    assert listed(db, admin) == listed(db, admin, filters={"deleted": False}) == ["live"]
    assert listed(db, admin, filters={"status": "killed"}) == []
    assert listed(db, admin, filters={"deleted": True}) == ["pending", "deleted"]
    assert listed(db, admin, filters={"deleted": True, "status": "pending_delete"}) == ["pending"]
    since = {"changes-since": START}
    assert listed(db, alice, filters=since) == ["deleted", "killed", "live"]
    assert listed(db, admin, filters={**since, "deleted": False}) == ["live"]
    assert listed(db, admin, filters={"os_hidden": True}) == ["hidden"]
    (gone,) = db.image_get_all(admin, {"deleted": True, "name": "deleted"})
    assert [entry["status"] for entry in gone["locations"]] == ["deleted"]
    assert [row["deleted"] for row in gone["properties"]] == [True]
    (gone,) = db.image_get_all(admin, {"deleted": True, "name": "deleted"}, detail="live")
    assert (gone["properties"], len(gone["locations"])) == ([], 1)


def test_filters_are_exact_and_combined(db, make, alice):
    make("a", size=5, min_ram=1, min_disk=2, container_format="bare", disk_format="raw", protected=True)
    make("A", size=10, container_format="ovf", status="queued")
    make("a ", size=20, min_ram=1)
    make("ä", size=None)
    make("x:y", size=0)

    def found(**filters):
        return sorted(listed(db, alice, filters=filters))

    assert found(name="a") == ["a"]
    assert found(name="x:y") == ["x:y"]
    assert found(status="queued") == ["A"]
    assert found(status="nonsense") == []
    assert found(container_format="bare", disk_format="raw") == ["a"]
    assert found(container_format="BARE") == []
    assert found(size_min=5, size_max=10) == ["A", "a"]
    assert found(size_max=0) == ["x:y"]
    assert found(min_ram=1) == ["a", "a "]
    assert found(min_ram=1, min_disk=2) == ["a"]
    assert found(min_disk=-1) == found(min_disk="odd") == []
    assert found(protected=True) == ["a"]
    assert len(found(protected=False)) == 4
    assert found(name="a", status="queued") == []
    for text in ("\U0001f600", "\x00", "\ud800", None, 5):
        assert found(name=text) == []
    for bad in ({"size_min": -1}, {"size_max": 2**63}, {"size_min": "x"}, {"owner": "bob"}, {"changes-since": "now"}):
        with pytest.raises(exception.Invalid):
            found(**bad)


def test_property_filters(db, make, alice):
    long = "v" * 300
    make("one", properties={"os": "linux", "arch": "x86"})
    make("two", properties={"os": "linux", "arch": "arm", "long": long})
    make("three", properties={"os": "Linux", "arch": "x86", "long": long + "w"})
    removed = make("four", properties={"os": "linux"})
    db.image_update(alice, removed, {}, purge_props=True)

    def found(**properties):
        return listed(db, alice, filters={"properties": properties})

    assert found(os="linux") == ["two", "one"]
    assert found(os="linux", arch="x86") == ["one"]
    assert found(OS="linux") == found(os="linux ") == found(os="win") == []
    assert found(long=long) == ["two"]
    assert found(os="\U0001f600") == found(**{"\U0001f600": "x"}) == []
    assert found() == ["four", "three", "two", "one"]


def test_many_property_filters_at_once(db, make, alice, monkeypatch):
    properties = {f"p{number}": str(number) for number in range(30)}
    make("all", properties=properties)
    make("nearly", properties={**properties, "p29": "x"})
    assert listed(db, alice, filters={"properties": properties}) == ["all"]
    with pytest.raises(exception.Invalid, match="30"):
        listed(db, alice, filters={"properties": {**properties, "one": "more"}})
    with walking(monkeypatch):
        make("again", properties=properties)
        assert listed(db, alice, filters={"properties": properties}) == ["again", "all"]


@contextmanager
def walking(monkeypatch):
    """As if there were more hits than are fetched at once."""
    monkeypatch.setattr(selecting, "FEW", 1)
    monkeypatch.setattr(selecting, "_SORTED", 1)
    for cached in (selecting.page, selecting.probe):
        cached.cache_clear()
    try:
        yield
    finally:
        monkeypatch.undo()
        for cached in (selecting.page, selecting.probe):
            cached.cache_clear()


def test_what_was_common_may_become_rare(db, make, alice, monkeypatch):
    for number in range(3):
        make(str(number), properties={"p": "1"})
    query = {"filters": {"properties": {"p": "1"}, "name": "1"}}
    with walking(monkeypatch):
        assert listed(db, alice, filters={"properties": {"p": "1"}}) == ["2", "1", "0"]
        execute(models.image_properties.delete())
        assert listed(db, alice, **query) == listed(db, alice, filters={"properties": {"p": "1"}}) == []


def test_many_hits_are_found_by_walking(db, make, alice, admin, monkeypatch):
    """With more hits than are fetched at once, the same images in the same order."""
    queries = [
        {"filters": {"name": "n1"}},
        {"filters": {"properties": {"p": "1"}}},
        {"filters": {"properties": {"p": "1", "q": "2"}}},
        {"filters": {"status": "queued", "changes-since": START}},
        {"sort_key": ["updated_at"]},
        {},
    ]
    for number in range(12):
        image_id = make(
            f"n{number % 3}", owner="bob" if number % 2 else "alice", status="queued",
            visibility="public" if number % 5 == 0 else "shared",
            properties={"p": str(number % 2), "q": str(number % 3)},
        )  # fmt: skip
        if number % 4 == 1:
            db.image_member_save(admin, image_id, "alice")

    def all_answers():
        return [
            [image["id"] for image in db.image_get_all(context, member_status="all", limit=limit, **query)]
            for query in queries
            for context in (alice, admin, caller("bob"))
            for limit in (2, 100)
        ]

    few = all_answers()
    assert any(few)
    with walking(monkeypatch):
        assert all_answers() == few


def test_changes_since_is_strict(db, make, alice):
    image_id = make("x")
    moment = db.image_get(alice, image_id)["updated_at"]
    assert listed(db, alice, filters={"changes-since": moment}) == []
    assert listed(db, alice, filters={"changes-since": moment - timedelta(seconds=1)}) == ["x"]


def test_markers(db, make, alice, bob, admin):
    first, second, third = make("1"), make("2"), make("3")
    foreign = make("foreign", owner="bob")
    assert listed(db, alice, marker=second) == ["1"]
    assert listed(db, alice, marker=first) == []
    assert listed(db, alice, marker=second, sort_dir=["asc"]) == ["3"]
    db.image_destroy(alice, third)
    for bad in (foreign, third, third.upper(), "unknown", "\U0001f600"):
        with pytest.raises(exception.Invalid, match="Invalid marker"):
            listed(db, alice, marker=bad)
    with pytest.raises(exception.Invalid, match="Invalid marker"):
        listed(db, admin, marker=third)
    since = {"changes-since": START}
    assert listed(db, alice, filters=since, marker=third) == ["2", "1"]
    assert listed(db, admin, marker=foreign) == ["2", "1"]


def test_limits_and_sorting(db, make, alice):
    for name, size in (("b", 1), (None, None), ("a", 3), (None, 2)):
        make(name, size=size)
    assert listed(db, alice, limit=0) == []
    assert listed(db, alice, limit=1) == [None]
    assert listed(db, alice, sort_key=["name"], sort_dir=["asc"]) == [None, None, "a", "b"]
    assert listed(db, alice, sort_key=["name"]) == ["b", "a", None, None]
    sizes = [image["size"] for image in db.image_get_all(alice, sort_key=["size"], sort_dir=["asc"])]
    assert sizes == [None, 1, 2, 3]
    for bad in (
        {"limit": -1}, {"limit": "1"}, {"limit": True}, {"sort_key": ["owner"]}, {"sort_dir": ["up"]},
        {"sort_key": ["name", "size"], "sort_dir": ["asc", "desc", "asc"]},
    ):  # fmt: skip
        with pytest.raises(exception.Invalid):
            listed(db, alice, **bad)


def test_an_index_asks_for_no_children(sqlite_db, alice):
    sqlite_db.image_create(alice, {"status": "queued", "properties": {"a": "1"}})
    execute(models.image_properties.delete())
    assert "properties" not in sqlite_db.image_get_all(alice, detail="none")[0]
