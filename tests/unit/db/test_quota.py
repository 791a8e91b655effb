"""What counts against the quotas (database.md §4.1), and who is moving data (§9)."""

from datetime import datetime, timedelta

import pytest

from glance.common import exception
from glance.db.sqlalchemy import models
from tests.unit.db.conftest import execute, rows

ONE, TWO = {"url": "file:///one"}, {"url": "file:///two"}


def test_usage_is_size_times_locations_of_what_is_not_gone(db, alice, admin):
    def create(size, locations, status="active", owner="alice"):
        values = {"status": status, "size": size, "locations": locations, "owner": owner}
        return db.image_create(admin, values)["id"]

    first = create(10, [ONE])
    create(100, [ONE, TWO])
    create(1000, [])
    create(None, [ONE])
    for status in ("killed", "deleted", "pending_delete"):
        create(10**6, [ONE], status)
    create(5, [ONE], owner="ALICE")
    create(7, [ONE], owner="")
    removed = create(50, [ONE, {"url": "file:///gone", "status": "deleted"}])
    assert db.user_get_storage_usage(alice, "alice") == 10 + 200 + 50
    assert db.user_get_storage_usage(alice, "alice", first) == 250
    db.image_destroy(admin, removed, status="pending_delete")
    assert db.user_get_storage_usage(alice, "alice") == 210
    assert db.user_get_storage_usage(alice, "ALICE") == 5
    assert db.user_get_storage_usage(alice, "") == db.user_get_storage_usage(alice, None) == 7
    assert db.user_get_storage_usage(alice, "nobody") == db.user_get_storage_usage(alice, "\U0001f600") == 0
    assert db.user_get_image_count(alice, "alice") == 4
    assert db.user_get_image_count(alice, "ALICE") == 1


def test_usage_beyond_64_bits(db, alice):
    for _ in range(3):
        db.image_create(alice, {"status": "active", "size": 2**63 - 1, "locations": [ONE]})
    assert db.user_get_storage_usage(alice, "alice") == 3 * (2**63 - 1)


def test_the_quota_of_an_image_that_grows(db, alice):
    image_id = db.image_create(alice, {"status": "active", "size": 10, "locations": [ONE]})["id"]
    (entry,) = db.image_get(alice, image_id)["locations"]
    assert db.image_update(alice, image_id, {"locations": [entry, TWO]}, max_usage=20)
    with pytest.raises(exception.StorageQuotaFull) as caught:
        db.image_update(alice, image_id, {"size": 11}, max_usage=20)
    assert str(caught.value) == str(exception.StorageQuotaFull(image_size=22, remaining=20))
    assert db.image_get(alice, image_id)["size"] == 10
    assert db.image_update(alice, image_id, {"size": 0}, max_usage=0)["size"] == 0


def transfers(db, admin):
    return {row["image_id"]: row for row in db.transfers_get_all(admin)}


def test_a_transfer_begins_and_ends_with_the_status(db, alice, admin):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    assert transfers(db, admin) == {}
    db.image_update(alice, image_id, {"status": "saving"}, from_state="queued", transfer="killed@host:1:2:3")
    found = transfers(db, admin)[image_id]
    assert set(found) == {"image_id", "status", "node", "age"}
    assert (found["status"], found["node"]) == ("saving", "killed@host:1:2:3")
    assert 0 <= found["age"] < 30
    db.image_update(alice, image_id, {"name": "still moving"})
    assert image_id in transfers(db, admin)
    with pytest.raises(exception.Conflict):
        db.image_update(alice, image_id, {"status": "saving"}, from_state="queued", transfer="late")
    assert transfers(db, admin)[image_id]["node"] == "killed@host:1:2:3"
    db.image_update(alice, image_id, {"status": "active"})
    assert rows(models.glance_transfers) == []
    for bad in ("x" * 256, 5):
        with pytest.raises(exception.Invalid):
            db.image_update(alice, image_id, {"status": "saving"}, transfer=bad)


def test_beats_keep_a_transfer_alive(db, alice, admin):
    def create(status, **more):
        image_id = db.image_create(alice, {"status": "queued"})["id"]
        db.image_update(alice, image_id, {"status": status}, **more)
        return image_id

    alive = create("saving", transfer="a")
    silent = create("importing")
    resting = create("uploading")
    staging = create("uploading", transfer="b")
    finished = create("active")
    assert {(i, s, n) for i, s, n in db.transfers_stale(admin)} == {(silent, "importing", "")}
    execute(models.glance_transfers.update().values(beat=datetime(2020, 1, 1)))
    assert set(db.transfers_stale(admin)) == {
        (alive, "saving", "a"), (silent, "importing", ""), (staging, "uploading", "b"),
    }  # fmt: skip
    db.transfers_beat(alice, "a", [alive, silent, finished, "unknown", "\U0001f600"])
    assert set(db.transfers_stale(admin)) == {(staging, "uploading", "b")}
    assert {row["image_id"] for row in rows(models.glance_transfers)} == {alive, silent, staging}
    assert resting not in transfers(db, admin)
    db.image_destroy(alice, alive)
    db.transfers_beat(alice, "a", [alive])
    assert {row["image_id"] for row in rows(models.glance_transfers)} == {silent, staging}
    db.transfers_beat(alice, "a", [])


def test_ages_are_the_databases(db, alice, admin):
    """A beat of a minute and a half ago, by the clock that wrote it, is that old."""
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    db.image_update(alice, image_id, {"status": "saving"}, transfer="a")
    (row,) = rows(models.glance_transfers)
    execute(models.glance_transfers.update().values(beat=row["beat"] - timedelta(seconds=90)))
    assert 89 < transfers(db, admin)[image_id]["age"] < 120
    assert db.transfers_stale(admin, max_age=3600) == []
    assert len(db.transfers_stale(admin)) == 1


def test_many_beats_in_few_statements(sqlite_db, alice, admin):
    ids = [sqlite_db.image_create(alice, {"status": "saving"})["id"] for _ in range(5)]
    sqlite_db.transfers_beat(alice, "a", ids * 300)
    assert len(sqlite_db.transfers_get_all(admin)) == 5


def test_transfers_are_for_the_service_alone(sqlite_db, alice):
    for ask in (sqlite_db.transfers_get_all, sqlite_db.transfers_stale):
        with pytest.raises(exception.Forbidden):
            ask(alice)
