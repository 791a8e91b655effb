"""Pages one after the other are the whole list, whatever the rows, the order and the filters."""

import contextlib
import operator
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glance.db.sqlalchemy import api, engine, models, selecting
from glance.db.sqlalchemy.paging import SORT_KEYS
from tests.unit.db.conftest import ENGINES, caller, empty, execute, options, rows
from tests.unit.db.test_listing import walking

START = datetime(2020, 1, 1)
QUERIES = 150
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
    query = {"sort_key": [key], "sort_dir": [direction], "filters": filters, "is_public": None}
    assert pages(sqlite_db, context, size, **query) == expected


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
    everything = {
        "name": ["a", "b"], "tags": ["x", "y"], "owner": ["alice", "bob"], "status": ["queued", "saving"],
        "created_at": [["gte", START], ["neq", START]], "visibility": "all", "size_min": 0,
    }  # fmt: skip
    assert cost(limit=2, filters=everything, detail="none") <= 2
    for visibility in ("public", "private", "shared", "community"):
        assert cost(limit=2, filters={"visibility": visibility}, detail="none") <= 2


@pytest.mark.parametrize("who", [{"tenant": "alice"}, {"tenant": "alice", "is_admin": True}])
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_no_statement_reads_a_whole_table(sqlite_db, monkeypatch, who, many):
    """Each finds its rows through an index, and not through one on ``deleted`` alone, which nearly all are not."""
    images = fill([{**BASE, "created": number, "member": True, "visibility": "shared"} for number in range(4)])
    child = {"created_at": START, "deleted": False, "value": "x"}
    execute(models.image_tags.insert(), [{**child, "image_id": image["id"]} for image in images])
    plans: list[str] = []

    def explain(conn, cursor, statement, parameters, *rest):
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plans.extend(row[3] for row in cursor.fetchall())

    sa.event.listen(engine.database().engine, "before_cursor_execute", explain)
    filters: tuple[dict[str, Any], ...] = (
        {}, {"name": "a"}, {"name": ["a", "b"]}, {"owner": "alice"}, {"owner": ["alice", "bob"]}, {"tags": ["x"]},
        {"properties": {"p": "1"}}, {"tags": ["x"], "properties": {"p": "1"}}, {"status": ["queued", "saving"]},
        {"created_at": [["gt", START]]}, {"updated_at": [["gt", START]]}, {"checksum": ["c", "d"]}, {"os_hidden": True},
        {"visibility": "private"}, {"visibility": "shared"}, {"visibility": "community"}, {"visibility": "all"},
    )  # fmt: skip
    with walking(monkeypatch) if many else contextlib.nullcontext():
        for wanted in filters:
            for key in ("created_at", "name"):
                plans.clear()
                tenant = {name: value for name, value in who.items() if name != "tenant"}
                context = caller(who["tenant"], **tenant)
                query = {"member_status": "all", "sort_key": [key], "detail": "none", "limit": 2}
                page = sqlite_db.image_get_all(context, wanted, **query)
                if page:
                    sqlite_db.image_get_all(context, wanted, marker=page[0]["id"], **query)
                slow = [plan for plan in plans if "_deleted (" in plan or plan.startswith("SCAN image")]
                assert not slow, (wanted, key, plans)


def test_statements_are_the_same_for_all_values(sqlite_db, monkeypatch):
    def made():
        return selecting.page.cache_info().misses + selecting.probe.cache_info().misses

    def ask(names, tag, moment):
        filters = {"name": names, "tags": [tag], "created_at": [["gte", moment]]}
        sqlite_db.image_get_all(caller("alice"), filters, sort_key=["updated_at"])

    fill([{**BASE, "name": "1"}])
    ask(["1", "2"], "x", START)
    before = made()
    for length in range(2, 40):
        ask([str(number) for number in range(length)], str(length), START + timedelta(days=length))
    assert made() <= before + 1  # the rest of a list, where it has one


BASE = {
    "name": "a", "size": 1, "status": "active", "disk_format": "raw", "owner": "alice", "visibility": "public",
    "deleted": False, "created": 0, "updated": 0, "member": False, "property": "1",
}  # fmt: skip


# --- against a model of the rules ----------------------------------------------------


@pytest.fixture(params=ENGINES)
def direct(request):
    """The data functions on each engine, without the RPC between."""
    database = api.configure(options(request.getfixturevalue(f"{request.param}_schema")))
    empty()
    yield api
    database.dispose()


CALLERS = (
    {"tenant": "alice"}, {"tenant": "bob"}, {"tenant": "ALICE"}, {"tenant": None},
    {"tenant": "alice", "is_admin": True}, {"tenant": None, "is_admin": True}, {"tenant": "carol", "is_admin": True},
)  # fmt: skip
TEXTS = {
    "name": (None, "", "a", "b", "c"),
    "owner": (None, "alice", "ALICE", "bob", "alice "),
    "status": ("active", "active", "queued", "saving", "killed", "deactivated"),
    "disk_format": (None, "raw", "qcow2"),
    "container_format": (None, "bare"),
    "checksum": (None, "a" * 32, "b" * 32),
    "os_hash_algo": (None, "sha512"),
    "os_hash_value": (None, "c" * 128),
}
NUMBERS = {"size": (None, 0, 1, 7, 2**40), "virtual_size": (None, 0, 9), "min_ram": (0, 1, 512), "min_disk": (0, 1, 20)}
TAGS = ("x", "X", "y", "é")
STRANGE = ("A", "a ", "nonsense", "\U0001f600", "\x00", "z" * 300)
COMPARED = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le, "eq": operator.eq, "neq": operator.ne,
}  # fmt: skip


def populate(choose: random.Random, count: int) -> list[dict[str, Any]]:
    """Store images of all kinds; returns their rows, with what belongs to them."""
    images, members, tags, properties = [], [], [], []
    for number in range(count):
        image_id = f"{choose.randrange(10**8):08d}-0000-4000-8000-{number:012d}"
        second = timedelta(seconds=choose.randrange(4), microseconds=choose.choice((0, 0, 1, 500000, 999999)))
        image = {
            "id": image_id, "created_at": START + second, "updated_at": START + second * choose.randrange(3),
            "visibility": choose.choice(("public", "private", "shared", "shared", "community")),
            "deleted": choose.random() < 0.1, "os_hidden": choose.random() < 0.1, "protected": choose.random() < 0.3,
            **{name: choose.choice(values) for name, values in (TEXTS | NUMBERS).items()},
        }  # fmt: skip
        images.append(image)
        child = {"image_id": image_id, "created_at": START}
        for member in choose.sample(("alice", "ALICE", "bob", "carol"), choose.randrange(3)):
            status = choose.choice(("pending", "accepted", "rejected"))
            gone = choose.random() < 0.2
            members.append({**child, "member": member, "can_share": False, "status": status, "deleted": gone})
        chosen = choose.choices(TAGS, k=choose.randrange(4))  # the same twice, too
        tags += [{**child, "value": tag, "deleted": choose.random() < 0.2} for tag in chosen]
        if choose.random() < 0.5:
            value = choose.choice(("1", "2"))
            properties.append({**child, "name": "p", "value": value, "deleted": choose.random() < 0.1})
    for table, stored in (
        (models.images, images),
        (models.image_members, members),
        (models.image_tags, tags),
        (models.image_properties, properties),
    ):
        execute(table.insert(), stored)
    kept = rows(models.images)
    for image in kept:
        mine = [[row for row in table if row["image_id"] == image["id"]] for table in (members, tags, properties)]
        image["members"], image["tags"], image["properties"] = ([r for r in m if not r["deleted"]] for m in mine)
    return kept


def some_filters(choose: random.Random) -> dict[str, Any]:
    def moment() -> datetime:
        return START + timedelta(seconds=choose.randrange(-1, 6), microseconds=choose.choice((0, 0, 0, 1, 500000)))

    filters: dict[str, Any] = {}
    for name in choose.sample((*TEXTS, *NUMBERS, "created_at", "updated_at", "tags", "properties", "flags", "bounds"),
                              choose.choice((0, 0, 1, 1, 1, 2, 3))):  # fmt: skip
        if name in TEXTS:
            values = [value for value in TEXTS[name] if value is not None] + [choose.choice(STRANGE)]
            filters[name] = choose.choice((choose.choice(values), choose.choices(values, k=choose.randrange(4))))
        elif name in NUMBERS:
            filters[name] = choose.choice((*filter(None, NUMBERS[name]), 0, -1, 2**31, 2**70))
        elif name in ("created_at", "updated_at"):
            pairs = [[choose.choice(list(COMPARED)), moment()] for _ in range(choose.randrange(1, 4))]
            filters[name] = [
                *pairs,
                *choose.choices([["gt", datetime.min], ["lte", datetime.max]], k=choose.randrange(2)),
            ]
        elif name == "tags":
            filters[name] = choose.sample((*TAGS, "\U0001f600"), choose.randrange(3))
        elif name == "properties":
            filters[name] = {"p": choose.choice(("1", "2", "3"))}
        elif name == "flags":
            filters[choose.choice(("os_hidden", "protected"))] = choose.random() < 0.5
        else:
            number = choose.choice(("size", "min_ram", "min_disk"))
            filters[f"{number}_{choose.choice(('min', 'max'))}"] = choose.choice((-(2**70), -1, 0, 1, 7, 2**31, 2**70))
    visibility = choose.choice((None, None, "public", "private", "shared", "community", "all"))
    return filters if visibility is None else {**filters, "visibility": visibility}


def meets(image: dict[str, Any], name: str, wanted: Any) -> bool:
    """A filter other than visibility and os_hidden."""
    if name == "tags":
        return set(wanted) <= {row["value"] for row in image["tags"]}
    if name == "properties":
        return all(any((row["name"], row["value"]) == pair for row in image["properties"]) for pair in wanted.items())
    if name in ("created_at", "updated_at"):
        shown = image[name].replace(microsecond=0)
        return all(COMPARED[compare](shown, moment) for compare, moment in wanted)
    if name not in image:
        number, _, bound = name.rpartition("_")
        value = image[number]
        return value is not None and (value >= wanted if bound == "min" else value <= wanted)
    return image[name] in wanted if isinstance(wanted, list) else image[name] == wanted


def may_list(image: dict[str, Any], context: Any, filters: dict[str, Any], query: dict[str, Any]) -> bool:
    """The rules of v2-images.md §5 and, for is_public, of v1-api.md §5.2."""
    visibility, kind = filters.get("visibility"), image["visibility"]
    own = context.owner is not None and image["owner"] == context.owner
    with_me = kind == "shared" and any(
        row["member"] == context.owner and query["member_status"] in ("all", row["status"]) for row in image["members"]
    )
    if context.is_admin and not query.get("admin_as_user"):
        if visibility is None and "is_public" in query:
            return query["is_public"] is None or (kind == "public") == query["is_public"]
        return visibility in ("all", kind) or (visibility is None and (kind != "community" or own))
    usual = kind == "public" or own or with_me
    if visibility in (None, "all"):
        return usual or (visibility == "all" and kind == "community")
    return kind == visibility and (usual or kind == "community")


def sorted_by_model(images: list[dict[str, Any]], keys: list[str], directions: list[str]) -> list[dict[str, Any]]:
    """NULL before all numbers and times, and like empty text, but in the first key before it.

    Ties by created_at and id, in the single direction or descending.
    """

    def value(key: str) -> Any:
        def of(row: dict[str, Any]) -> Any:
            least = key == keys[0] or key not in TEXTS
            return (1, row[key]) if row[key] is not None else (0,) if least else (1, "")

        return of

    rest = directions[0] if len(directions) == 1 else "desc"
    order = list(zip(keys, directions * len(keys) if len(directions) == 1 else directions, strict=True))
    found = images
    for key, direction in reversed([*order, ("created_at", rest), ("id", rest)]):
        found = sorted(found, key=value(key), reverse=direction == "desc")
    return found


def visible_by_id(image: dict[str, Any], context: Any) -> bool:
    shared = image["visibility"] == "shared" and any(row["member"] == context.owner for row in image["members"])
    known = image["visibility"] in ("public", "community") or image["owner"] in (None, context.owner) or shared
    return not image["deleted"] and (context.is_admin or known)


@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
@pytest.mark.parametrize("seed", range(2))
def test_pages_are_those_of_the_model(direct, monkeypatch, seed, many):
    """Users and administrators, every filter and order, pages and markers; with ``many`` by walks."""
    choose = random.Random(f"{seed} {many}")
    images = populate(choose, 70)
    with walking(monkeypatch) if many else contextlib.nullcontext():
        hits = [_compare(direct, choose, images) for _ in range(QUERIES)]
    assert sum(map(bool, hits)) > QUERIES // 5


def _compare(db: Any, choose: random.Random, images: list[dict[str, Any]]) -> int:
    """Ask one random question page by page; returns how many images the answer has."""
    who = dict(choose.choice(CALLERS))
    context = caller(who.pop("tenant"), **who)
    filters = some_filters(choose)
    keys = choose.sample(SORT_KEYS, choose.choice((1, 1, 1, 2, 3)))
    directions = choose.choice((["asc"], ["desc"], [choose.choice(("asc", "desc")) for _ in keys]))
    query: dict[str, Any] = {"member_status": choose.choice(("all", "accepted", "pending"))}
    if choose.random() < 0.3:
        query["admin_as_user"] = choose.random() < 0.5
    if choose.random() < 0.3 and (context.is_admin and not query.get("admin_as_user")):
        query["is_public"] = choose.choice((None, True, False))
    asked_for = [
        image for image in images
        if not image["deleted"] and image["status"] != "killed"
        and image["os_hidden"] == filters.get("os_hidden", False) and may_list(image, context, filters, query)
        and all(meets(image, name, value) for name, value in filters.items() if name not in ("visibility", "os_hidden"))
    ]  # fmt: skip
    query |= {"filters": filters, "sort_key": keys, "sort_dir": directions}
    whole = sorted_by_model(asked_for, keys, directions)
    told = repr((who, context.owner, query))
    found: list[str] = []
    limit = choose.choice((1, 3, 10))
    while True:
        page = db.image_get_all(context, limit=limit, marker=found[-1] if found else None, detail="none", **query)
        found += [image["id"] for image in page]
        if len(page) < limit or len(found) > len(images):
            break
    assert found == [image["id"] for image in whole], told
    markers = [image for image in images if visible_by_id(image, context)]
    if markers:
        marker = choose.choice(markers)
        others = [image for image in asked_for if image is not marker]
        together = sorted_by_model([*others, marker], keys, directions)
        after = [image["id"] for image in together[together.index(marker) + 1 :]]
        page = db.image_get_all(context, marker=marker["id"], detail="none", **query)
        assert [image["id"] for image in page] == after, f"{told} after {marker['id']}"
    return len(whole)
