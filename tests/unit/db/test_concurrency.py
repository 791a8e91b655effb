"""Many at once: what must be exact is exact, and nobody sees an error of the engine."""

import multiprocessing
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from glance.common import exception
from glance.db.sqlalchemy import api, models
from tests.unit.db.conftest import caller, execute, options, rows

MANY = 8


def together(work: Any, times: int = MANY) -> Counter:
    """Run ``work(number)`` in so many threads at the same moment; count what came of it."""
    barrier = threading.Barrier(times)

    def run(number: int) -> str:
        barrier.wait(30)
        try:
            work(number)
        except exception.GlanceException as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(run, range(times)))


def test_one_of_many_swaps_the_status(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    outcome = together(
        lambda n: db.image_update(alice, image_id, {"status": "saving", "name": str(n)}, from_state="queued")
    )
    assert outcome == {"done": 1, "Conflict": MANY - 1}


def test_deleting_against_activating(db, alice):
    """Whoever comes first, an image that was deleted is never active."""
    for _ in range(3):
        image_id = db.image_create(alice, {"status": "saving"})["id"]
        together(
            lambda n, image_id=image_id: (
                db.image_destroy(alice, image_id, status="deleted", from_state="saving")
                if n % 2
                else db.image_update(alice, image_id, {"status": "active"}, from_state="saving")
            ),
            4,
        )
        (row,) = rows(models.images, models.images.c.id == image_id)
        assert (row["status"], row["deleted"]) in {("deleted", True), ("active", False)}


def test_the_image_count_is_exact(db, alice, admin):
    db.image_create(alice, {"status": "queued"})
    execute(models.glance_owners.delete())  # the first ones race for the owner's row as well
    outcome = together(lambda n: db.image_create(alice, {"status": "queued"}, max_count=4))
    assert outcome == {"done": 3, "ImageCountQuotaExceeded": MANY - 3}
    assert db.user_get_image_count(alice, "alice") == 4
    assert db.image_create(caller("bob"), {"status": "queued"}, max_count=1)
    with pytest.raises(exception.ImageCountQuotaExceeded, match="4"):
        db.image_create(alice, {"status": "queued"}, max_count=4)


def test_the_storage_quota_is_exact(db, alice):
    images = [db.image_create(alice, {"status": "saving"})["id"] for _ in range(MANY)]
    location = {"locations": [{"url": "file:///x"}]}
    outcome = together(
        lambda n: db.image_update(
            alice, images[n], {"status": "active", "size": 10, **location}, from_state="saving", max_usage=35
        )
    )
    assert outcome == {"done": 3, "StorageQuotaFull": MANY - 3}
    assert db.user_get_storage_usage(alice, "alice") == 30
    refused = [row["id"] for row in rows(models.images) if row["status"] == "saving"]
    assert len(refused) == MANY - 3
    assert {row["image_id"] for row in rows(models.image_locations)}.isdisjoint(refused)


def test_a_member_once(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    outcome = together(lambda n: db.image_member_create(alice, {"image_id": image_id, "member": "bob"}))
    assert outcome == {"done": 1, "Duplicate": MANY - 1}
    assert together(lambda n: db.image_member_save(alice, image_id, "carol", bool(n % 2))) == {"done": MANY}
    assert [row["member"] for row in rows(models.image_members)] == ["bob", "carol"]


def test_an_id_once(db, alice):
    image_id = "c0ffee00-0000-4000-8000-000000000001"
    outcome = together(lambda n: db.image_create(alice, {"id": image_id, "status": "queued"}))
    assert outcome == {"done": 1, "Duplicate": MANY - 1}


def test_a_lock_on_a_property_is_held_by_one(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    outcome = together(lambda n: db.image_set_property_atomic(alice, image_id, "lock", str(n)))
    assert outcome == {"done": 1, "Duplicate": MANY - 1}


def test_properties_merged_at_once_are_all_there(db, alice):
    image_id = db.image_create(alice, {"status": "queued"})["id"]
    assert together(lambda n: db.image_update(alice, image_id, {"properties": {f"p{n}": "x", "same": str(n)}})) == {
        "done": MANY
    }
    names = [row["name"] for row in db.image_get(alice, image_id)["properties"]]
    assert sorted(names) == sorted([*(f"p{n}" for n in range(MANY)), "same"])


def _write_many(url: str, number: int) -> None:
    api.configure(options(url))
    alice = caller("alice")
    for turn in range(15):
        image_id = api.image_create(alice, {"status": "queued", "name": f"{number}-{turn}"})["id"]
        api.image_update(alice, image_id, {"status": "active", "properties": {"a": "1"}})
    os._exit(0)


def test_processes_that_write_to_one_sqlite_file(sqlite_db, sqlite_schema, alice):
    """None of them sees "database is locked"."""
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_many, args=(sqlite_schema, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(20):
        sqlite_db.image_get_all(alice, limit=5)
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert sqlite_db.user_get_image_count(alice, "alice") == 45
