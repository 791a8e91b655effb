"""Pages one after the other are the whole list, whatever the rows, the order and the filters."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glance.db.sqlalchemy import engine, models
from tests.unit.db.conftest import caller, empty, execute

START = datetime(2020, 1, 1)
KEYS = ("id", "name", "status", "disk_format", "container_format", "size", "created_at", "updated_at")
SHARED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

row = st.fixed_dictionaries(
    {
        "name": st.sampled_from([None, "", "a", "A", "b", "ä"]),
        "size": st.sampled_from([None, 0, 1, 2**40]),
        "status": st.sampled_from(["active", "queued", "killed"]),
        "disk_format": st.sampled_from([None, "raw"]),
        "owner": st.sampled_from([None, "alice", "Alice", "bob"]),
        "visibility": st.sampled_from(["public", "private", "shared", "community"]),
        "deleted": st.sampled_from([False, False, False, True]),
        "created": st.integers(0, 2),
        "updated": st.integers(0, 2),
        "member": st.booleans(),
        "property": st.sampled_from([None, "1", "2"]),
    }
)


def fill(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Store rows as they are; returns them as the database has them, with the model's helpers."""
    empty()
    images, members, properties = [], [], []
    for number, given_values in enumerate(rows):
        values = dict(given_values)
        image = {
            "id": f"{number:08d}-0000-4000-8000-000000000000", "min_disk": 0, "min_ram": 0, "container_format": "bare",
            "created_at": START + timedelta(seconds=values.pop("created")),
            "updated_at": START + timedelta(seconds=values.pop("updated")),
        }  # fmt: skip
        child = {"image_id": image["id"], "created_at": START, "deleted": values["deleted"]}
        if values.pop("member"):
            members.append({**child, "member": "alice", "can_share": False, "status": "pending"})
        value = values.pop("property")
        if value is not None:
            properties.append({**child, "name": "p", "value": value})
        images.append(
            {**image, **values, "_member": bool(members and members[-1]["image_id"] == image["id"]), "_p": value}
        )
    for table, stored in (
        (models.images, images),
        (models.image_members, members),
        (models.image_properties, properties),
    ):
        if stored:
            execute(table.insert(), [{k: v for k, v in entry.items() if not k.startswith("_")} for entry in stored])
    return images


def pages(db, context, size: int, **query) -> list[str]:
    found: list[str] = []
    while True:
        page = db.image_get_all(
            context, limit=size, marker=found[-1] if found else None, member_status="all", detail="none", **query
        )
        found += [image["id"] for image in page]
        if len(page) < size:
            return found
        assert len(found) <= 100


def in_order(rows: list[dict[str, Any]], key: str, direction: str) -> list[str]:
    def value(image: dict[str, Any]) -> Any:
        return (
            (image[key] is not None, image[key] or (0 if key == "size" else "")) if key != "created_at" else image[key]
        )

    ordered = sorted(
        rows, key=lambda image: (value(image), image["created_at"], image["id"]), reverse=direction == "desc"
    )
    return [image["id"] for image in ordered]


@SHARED
@given(
    stored=st.lists(row, max_size=14),
    size=st.integers(1, 5),
    key=st.sampled_from(KEYS),
    direction=st.sampled_from(["asc", "desc"]),
    filters=st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["", "a", "ä"]),
            "status": st.sampled_from(["active", "queued"]),
            "size_min": st.integers(0, 1),
            "properties": st.sampled_from([{"p": "1"}, {"p": "2"}]),
            "changes-since": st.integers(0, 2).map(lambda seconds: START + timedelta(seconds=seconds)),
        },
    ),
    user=st.booleans(),
)
def test_pages_are_the_sorted_list(sqlite_db, stored, size, key, direction, filters, user):
    images = fill(stored)
    since = filters.get("changes-since")

    def asked_for(image):
        live = not image["deleted"] and image["status"] != "killed"
        visible = (
            not user
            or image["owner"] == "alice"
            or image["visibility"] == "public"
            or (image["visibility"] == "shared" and image["_member"] and not image["deleted"])
        )
        return (
            visible
            and (live if since is None else image["updated_at"] > since)
            and all(image[name] == filters[name] for name in ("name", "status") if name in filters)
            and ("size_min" not in filters or (image["size"] is not None and image["size"] >= filters["size_min"]))
            and ("properties" not in filters or image["_p"] == filters["properties"]["p"])
        )

    context = caller("alice", is_admin=not user)
    expected = in_order([image for image in images if asked_for(image)], key, direction)
    assert pages(sqlite_db, context, size, sort_key=[key], sort_dir=[direction], filters=filters) == expected


@settings(SHARED, max_examples=60)
@given(
    stored=st.lists(row, max_size=10),
    keys=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(["asc", "desc"])), min_size=1, max_size=3),
)
def test_orders_of_several_keys_lose_and_repeat_nothing(sqlite_db, stored, keys):
    fill(stored)
    query = {"sort_key": [key for key, _ in keys], "sort_dir": [direction for _, direction in keys]}
    for context in (caller("alice"), caller("alice", is_admin=True)):
        whole = [image["id"] for image in sqlite_db.image_get_all(context, member_status="all", **query)]
        assert pages(sqlite_db, context, 2, **query) == whole
        assert max(Counter(whole).values(), default=1) == 1


@pytest.mark.parametrize("key", KEYS)
def test_pages_on_every_engine(db, key):
    """Each engine sorts text its own way; its pages must follow it."""
    names = [None, "", "a", "A", "ä", "b", "B ", "b", None, "_", "Z", "z"]
    fill(
        [
            {
                "name": name, "size": [None, 0, 7][number % 3], "status": ["active", "queued"][number % 2],
                "disk_format": [None, "raw", "iso"][number % 3], "owner": ["alice", "bob", None][number % 3],
                "visibility": ["public", "shared", "private"][number % 3 - number // 6], "deleted": False,
                "created": number // 4, "updated": number % 2, "member": number % 3 == 1, "property": None,
            }
            for number, name in enumerate(names)
        ]
    )  # fmt: skip
    for context in (caller("alice"), caller("alice", is_admin=True)):
        for direction in ("asc", "desc"):
            query = {"sort_key": [key], "sort_dir": [direction]}
            whole = [image["id"] for image in db.image_get_all(context, member_status="all", **query)]
            assert len(whole) == len(set(whole)) > 4
            for size in (1, 2, 5):
                assert pages(db, context, size, **query) == whole


def test_the_number_of_statements_is_constant(sqlite_db):
    fill([{**BASE, "created": number} for number in range(30)])
    statements: list[str] = []

    def note(conn, cursor, statement, *rest):
        statements.append(statement)

    sa.event.listen(engine.database().engine, "before_cursor_execute", note)

    def cost(**query):
        statements.clear()
        sqlite_db.image_get_all(caller("alice"), member_status="all", **query)
        return len(statements)

    assert cost(limit=2) == cost(limit=25) == 3  # probe, page, children
    assert cost(limit=2, detail="none") == 2
    properties = {"properties": {"p": "1", "q": "2", "r": "3"}}
    assert cost(limit=2, filters={"name": "a", **properties}, detail="none") <= 2


BASE = {
    "name": "a", "size": 1, "status": "active", "disk_format": "raw", "owner": "alice", "visibility": "public",
    "deleted": False, "created": 0, "updated": 0, "member": False, "property": "1",
}  # fmt: skip
