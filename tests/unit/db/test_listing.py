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
    assert set(listed(db, admin)) == everything - {"own-community", "bobs-community"}
    assert set(listed(db, caller("bob", is_admin=True))) == everything - {"own-community"}
    assert set(listed(db, caller(None, is_admin=True))) == everything - {"own-community", "bobs-community"}
    assert set(listed(db, admin, is_public=None)) == everything
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
    assert len(found(size_min=-1)) == len(found(size_max=2**70)) == 4  # the size of one is not known
    assert found(size_min=2**63) == found(size_max=-1) == found(size=2**63) == found(min_ram=-1) == []
    for bad in (
        {"size_min": "x"}, {"size_max": None}, {"size_max": True}, {"virtual_size_min": 1}, {"members": "x"},
        {"changes-since": "now"}, {"visibility": "odd"}, {"visibility": ["public"]}, {"tags": "x"}, {"tags": [1]},
        {"created_at": datetime(2020, 1, 1)}, {"created_at": [["around", START]]}, {"created_at": [["gt", "now"]]},
        {"created_at": ["gt"]}, {"tags": [str(number) for number in range(31)]}, {"id": [str(n) for n in range(1001)]},
        {"updated_at": [["neq", START + timedelta(seconds=number)] for number in range(31)]},
    ):  # fmt: skip
        with pytest.raises(exception.Invalid):
            found(**bad)


def test_lists_of_values_tags_and_bounds(db, make, alice, admin):
    kept = make("a", checksum="c" * 32, os_hash_algo="sha512", os_hash_value="d" * 128, tags=["x", "y"], size=5)
    make("b", owner="bob", visibility="public", tags=["X"], min_ram=512, min_disk=3, status="queued")
    make("A", container_format="ovf", tags=["x"], virtual_size=7)
    gone = make("c", tags=["x", "y"])
    db.image_tag_delete(admin, gone, "y")

    def found(**filters):
        return "".join(sorted(listed(db, alice, filters=filters)))

    assert found(name=["a", "b", "nonsense"]) == "ab"
    assert found(name=["a"]) == found(name=["a", "a ", "\U0001f600", "x" * 300]) == "a"
    assert found(name=[]) == found(owner=[]) == found(status=["\x00"]) == ""
    assert found(id=kept) == found(id=[kept, kept.upper()]) == found(id=[kept, "x"]) == "a"
    assert found(owner="bob") == found(owner="bob", visibility="public") == "b"
    assert found(owner="alice") == found(owner=["alice", "carol"]) == "Aac"
    assert found(owner="ALICE") == found(owner="bob", visibility="private") == found(owner="x" * 300) == ""
    assert found(checksum="c" * 32) == found(os_hash_value="d" * 128) == found(os_hash_algo=["sha512"]) == "a"
    assert found(checksum="C" * 32) == found(os_hash_value=["D" * 128, "e"]) == ""
    assert found(status=["queued", "active"]) == "Aabc"
    assert found(status=["queued", "saving"]) == "b"
    assert found(container_format=["ovf", "ova"]) == "A"
    assert found(tags=["x"]) == "Aac"
    assert found(tags=["x", "y"]) == found(tags=["y", "x", "y"]) == "a"
    assert found(tags=[]) == "Aabc"
    assert found(tags=["x", "z"]) == found(tags=["x "]) == found(tags=["\U0001f600"]) == ""
    assert found(size=5) == found(min_ram_max=511, size_min=0) == "a"
    assert found(virtual_size=7) == "A"
    assert found(min_ram_min=1) == found(min_disk_min=3, min_disk_max=3) == "b"
    assert found(min_disk_max=2**31) == found(min_ram_min=-1) == "Aabc"


def test_visibilities(db, make, alice, admin):
    for visibility in ("public", "private", "shared", "community"):
        make(f"my {visibility}", visibility=visibility)
        theirs = make(f"bob's {visibility}", visibility=visibility, owner="bob")
        db.image_member_save(admin, theirs, "alice")
    mine = {f"my {visibility}" for visibility in ("public", "private", "shared", "community")}
    usual = mine | {"bob's public", "bob's shared"}

    def found(context, visibility=None, **query):
        filters = {} if visibility is None else {"visibility": visibility}
        return set(names(db.image_get_all(context, filters, **query)))

    assert found(alice, member_status="all") == usual
    assert found(alice, "all", member_status="all") == usual | {"bob's community"}
    assert found(alice, "all") == mine | {"bob's public", "bob's community"}
    assert found(alice, "private") == {"my private"}
    assert found(alice, "shared") == {"my shared"}
    assert found(alice, "shared", member_status="pending") == {"my shared", "bob's shared"}
    assert found(alice, "community") == {"my community", "bob's community"}
    assert found(caller(None), "all") == {"my public", "bob's public", "my community", "bob's community"}
    assert found(caller(None), "private") == found(caller(None), "shared") == set()
    everything = mine | {name.replace("my", "bob's") for name in mine}
    assert found(admin) == everything - {"my community", "bob's community"}
    assert found(admin, "all") == found(admin, "all", is_public=True) == everything
    for visibility in ("public", "private", "shared", "community"):
        assert found(admin, visibility) == {f"my {visibility}", f"bob's {visibility}"}
    assert found(caller("alice", is_admin=True), "private", admin_as_user=True) == {"my private"}


def test_times_are_compared_as_they_are_shown(db, make, alice):
    """Stored with a fraction where the engine keeps one; 0:00:05.7 is shown as 0:00:05."""
    moment = START + timedelta(seconds=5)
    make("x", created_at=moment + timedelta(microseconds=700_000))

    def matches(*comparisons):
        filters = {"created_at": [[operator, moment + timedelta(seconds=after)] for operator, after in comparisons]}
        return bool(listed(db, alice, filters=filters)) and bool(listed(db, alice, filters=filters, sort_key=["name"]))

    for comparison in (
        ("eq", 0),
        ("lte", 0),
        ("gte", 0),
        ("gt", -1),
        ("lt", 1),
        ("neq", 1),
        ("neq", 0.7),
        ("gt", -0.1),
    ):
        assert matches(comparison), comparison
    for comparison in (("eq", 1), ("eq", 0.7), ("gt", 0), ("lt", 0), ("neq", 0), ("gte", 0.1), ("lte", -1)):
        assert not matches(comparison), comparison
    assert matches(("gt", -1), ("lt", 1), ("neq", 1))
    assert not matches(("gte", 0), ("neq", 0))
    assert listed(db, alice, filters={"created_at": [["gte", datetime.min], ["lte", datetime.max]]}) == ["x"]
    assert listed(db, alice, filters={"updated_at": [["gt", datetime.max]]}) == []
    assert listed(db, alice, filters={"updated_at": [["neq", datetime.max], ["neq", datetime.min]]}) == ["x"]


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
        {"filters": {"name": ["n1", "n2"]}},
        {"filters": {"owner": "alice"}},
        {"filters": {"owner": "bob"}, "sort_key": ["updated_at"]},
        {"filters": {"owner": ["alice", "bob"]}},
        {"filters": {"tags": ["t"], "created_at": [["gt", START]]}, "sort_key": ["name"]},
        {"filters": {"visibility": "shared"}},
        {"filters": {"visibility": "all", "os_hidden": False}, "sort_key": ["updated_at"]},
        {"sort_key": ["updated_at"]},
        {},
    ]
    for number in range(12):
        image_id = make(
            f"n{number % 3}", owner="bob" if number % 2 else "alice", status="queued",
            visibility="public" if number % 5 == 0 else "shared",
            properties={"p": str(number % 2), "q": str(number % 3)}, tags=["t"] if number % 4 else [],
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
