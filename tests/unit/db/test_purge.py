"""Purging removes what was deleted long ago, and never a live row (database.md §6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glance.db.sqlalchemy import engine, models, purge
from tests.unit.db.conftest import empty, execute, rows

NOW = datetime(2020, 1, 1)
CHILDREN = (models.image_properties, models.image_locations, models.image_members, models.image_tags)


def stored(number: int, deleted: bool = True, days: int | None = 100, **more: Any) -> dict[str, Any]:
    deleted_at = None if days is None else datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days, minutes=5)
    return {"created_at": NOW, "deleted": deleted, "deleted_at": deleted_at, **more}


def insert_image(image_id: str, **more: Any) -> None:
    execute(
        models.images.insert(), {**stored(0), "id": image_id, "status": "deleted", "min_disk": 0, "min_ram": 0, **more}
    )


def insert_children(image_id: str, number: int, location_status: str = "deleted", **more: Any) -> None:
    base = stored(number, **more) | {"image_id": image_id}
    execute(models.image_properties.insert(), {**base, "name": f"p{number}", "value": "v"})
    execute(models.image_locations.insert(), {**base, "value": "file:///x", "status": location_status})
    execute(models.image_members.insert(), {**base, "member": f"m{number}", "can_share": False, "status": "pending"})
    execute(models.image_tags.insert(), {**base, "value": f"t{number}"})


def insert_task(task_id: str, **more: Any) -> None:
    execute(
        models.tasks.insert(), {**stored(0), "id": task_id, "type": "import", "status": "success", "owner": "a", **more}
    )
    execute(models.task_info.insert(), {"task_id": task_id, "message": "m"})


def test_old_rows_go_and_images_stay(db):
    insert_image("i")
    insert_children("i", 1)
    insert_children("i", 2, days=10)
    insert_children("i", 3, deleted=False)  # revived: an old deleted_at says nothing
    insert_children("i", 4, location_status="pending_delete")
    insert_task("old")
    insert_task("young", **stored(0, days=1))
    counts = purge.purge(engine.database(), 30, purge.ALL)
    assert counts == {
        "task_info": 1, "image_properties": 2, "image_locations": 1, "image_members": 2, "image_tags": 2, "tasks": 1,
        "pending_delete": 1,
    }  # fmt: skip
    assert [row["value"] for row in rows(models.image_tags)] == ["t2", "t3"]
    assert [row["status"] for row in rows(models.image_locations)] == ["deleted", "deleted", "pending_delete"]
    assert [row["id"] for row in rows(models.tasks)] == ["young"]
    assert [row["task_id"] for row in rows(models.task_info)] == ["young"]
    assert len(rows(models.images)) == 1
    assert sum(purge.purge(engine.database(), 30, purge.ALL).values()) == 1


def test_at_most_so_many_of_each_table_the_oldest_first(db, monkeypatch):
    monkeypatch.setattr(purge, "_BATCH", 2)
    insert_image("i", deleted=False)
    for number in range(6):
        insert_children("i", number, days=40 + number)
    counts = purge.purge(engine.database(), 30, 3)
    assert {counts[table.name] for table in CHILDREN} == {3}
    assert [row["value"] for row in rows(models.image_tags)] == ["t0", "t1", "t2"]
    assert purge.purge(engine.database(), 0, purge.ALL)["image_tags"] == 3


def test_images_go_with_their_remaining_children(db):
    insert_image("gone")
    insert_children("gone", 1, days=5)
    execute(models.glance_legacy_ids.insert(), {"old_id": 1, "image_id": "gone"})
    insert_image("young", **stored(0, days=5))
    insert_image("live", deleted=False)
    insert_image("pending", status="pending_delete")
    insert_image("data-left")
    insert_children("data-left", 2, location_status="pending_delete")
    insert_image("odd")
    insert_children("odd", 3, deleted=False)
    counts = purge.purge_images(engine.database(), 30, purge.ALL)
    assert (counts["images"], counts["image_tags"], counts["pending_delete"]) == (1, 1, 2)
    assert {row["id"] for row in rows(models.images)} == {"young", "live", "pending", "data-left", "odd"}
    assert {row["value"] for row in rows(models.image_tags)} == {"t2", "t3"}
    assert rows(models.glance_legacy_ids) == []


child = st.tuples(
    st.booleans(), st.sampled_from([None, 0, 10, 40, 400]), st.sampled_from(["active", "deleted", "pending_delete"])
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    images=st.lists(st.tuples(child, st.lists(child, max_size=3)), max_size=4),
    days=st.sampled_from([0, 30]),
    max_rows=st.sampled_from([1, 2, purge.ALL]),
)
def test_live_rows_survive_whatever_their_deleted_at_says(sqlite_db, images, days, max_rows):
    empty()
    number = 0
    for position, ((deleted, age, status), children) in enumerate(images):
        insert_image(f"i{position}", **stored(0, deleted, age), status=status)
        for deleted_child, child_age, location_status in children:
            number += 1
            insert_children(f"i{position}", number, location_status, deleted=deleted_child, days=child_age)

    def alive() -> list[Any]:
        kept = [[row for row in rows(table) if not row["deleted"]] for table in (models.images, *CHILDREN)]
        waiting = models.image_locations.c.status == "pending_delete"
        return [*kept, rows(models.image_locations, waiting)]

    before = alive()
    purge.purge(engine.database(), days, max_rows)
    assert alive() == before
    purge.purge_images(engine.database(), days, max_rows)
    assert alive() == before


@pytest.mark.parametrize("table", CHILDREN)
def test_rows_without_a_time_stay(sqlite_db, table):
    insert_image("i")
    insert_children("i", 1, days=None)
    purge.purge(engine.database(), 0, purge.ALL)
    assert len(rows(table)) == 1
