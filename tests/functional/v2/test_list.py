"""The list of images: pages, order, visibility, filters (spec v2-images.md §5)."""

import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.functional.v2.conftest import FORMATS, PAGE, PAGE_MAX, RECORDS, Caller


def shown(value):
    """A parameter in the name of its test; the same in every process."""
    return str(sorted(value)) if isinstance(value, set) else str(value)


NAMES = ("zero", "one", "two", "three", "four")


@pytest.fixture(scope="module")
def own(either):
    """Five images of one user, each a second younger than the one before it, and their owner."""
    user = Caller(either)
    images = []
    for number, name in enumerate(NAMES):
        attributes = {"min_ram": number, "min_disk": 10 * number, "even": str(number % 2 == 0), "tags": ["all", name]}
        if number:
            attributes |= FORMATS if number > 2 else {"disk_format": "qcow2", "container_format": "ovf"}
        image = user.create(name=name, protected=number == 1, **attributes)
        if number > 2:
            assert user.upload(image["id"], b"x" * number).status_code == 204
        moment = f"2020-01-01 00:00:0{number}.000000"
        either.sql("UPDATE images SET created_at = ?, updated_at = ? WHERE id = ?", moment, moment, image["id"])
        images.append(user.image(image["id"]))
    return user, images


@pytest.fixture
def api(either):
    return either


def names(user, query=None):
    answer = user.page(query)
    assert answer.status_code == 200, answer.text
    return [image["name"] for image in answer.json()["images"]]


def pick(*numbers):
    return [NAMES[number] for number in numbers]


# --- the document ----------------------------------------------------------------


def test_document(own):
    user, images = own
    body = user.page().json()
    assert body == {"images": images[::-1], "first": "/v2/images", "schema": "/v2/schemas/images"}


def test_nothing_there(user):
    assert user.page().json() == {"images": [], "first": "/v2/images", "schema": "/v2/schemas/images"}


def test_links(own):
    user, images = own
    query = [("limit", "2"), ("name", "in:one,two,three"), ("tag", "all"), ("marker", images[4]["id"])]
    body = user.page(query).json()
    assert [image["name"] for image in body["images"]] == ["three", "two"]
    first, following = urlsplit(body["first"]), urlsplit(body["next"])
    assert first.path == following.path == "/v2/images"
    assert parse_qsl(first.query) == query[:3]
    assert sorted(parse_qsl(following.query)) == sorted([*query[:3], ("marker", images[2]["id"])])


def test_repeated_parameters_stay_in_the_links(own):
    user, _ = own
    query = [("tag", "all"), ("tag", "three"), ("limit", "1")]
    body = user.page(query).json()
    assert parse_qsl(urlsplit(body["first"]).query) == query
    assert parse_qsl(urlsplit(body["next"]).query)[:3] == query


def test_links_are_encoded(user):
    body = user.page({"x y&z": "é=&"}).json()
    assert parse_qsl(urlsplit(body["first"]).query) == [("x y&z", "é=&")]
    assert body["first"].isascii()


@pytest.mark.parametrize("query", [{}, {"sort": "name:asc"}, {"sort_key": "size", "sort_dir": "asc"}])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_walk(own, query, limit):
    user, _ = own
    expected = names(user, query)
    path = "/v2/images"
    seen, pages = [], 0
    params = {**query, "limit": limit}
    while path:
        answer = user.send("GET", path.removeprefix("/v2"), params=params)
        assert answer.status_code == 200, answer.text
        seen += [image["name"] for image in answer.json()["images"]]
        path, params = answer.json().get("next"), None
        pages += 1
        assert pages < 10
    assert seen == expected
    assert len(seen) == len(NAMES)


def test_next_only_after_a_full_page(own):
    user, _ = own
    assert "next" in user.page({"limit": 5}).json()
    assert "next" not in user.page({"limit": 6}).json()
    assert "next" not in user.page({"limit": 0}).json()


# --- limit, marker, order --------------------------------------------------------


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "", "1e3", "0x1", "²"])
def test_bad_limit(user, limit):
    assert user.page({"limit": limit}).status_code == 400


def test_limits(own):
    user, _ = own
    assert names(user, {"limit": 0}) == []
    assert names(user, {"limit": 3}) == pick(4, 3, 2)
    assert len(names(user, {"limit": 10**20})) == 5


def test_default_and_greatest_limit(tuned):
    user = Caller(tuned)
    for _ in range(RECORDS):
        user.create()
    assert len(user.ids()) == PAGE
    assert len(user.ids({"limit": 100})) == PAGE_MAX
    assert "next" in user.page({"limit": 100}).json()


def test_bad_markers(user, other):
    gone, hidden = user.create(), other.create()
    user.delete(gone["id"])
    for marker in (
        gone["id"],
        hidden["id"],
        "frob",
        "",
        "x" * 300,
        "\U0001f600",
        "8af3ec02-8a6a-4d2a-9a38-2a5ab5e0d0c1",
    ):
        assert user.page({"marker": marker}).status_code == 400, marker


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (4, 3, 2, 1, 0)),
        ({"sort_dir": "asc"}, (0, 1, 2, 3, 4)),
        ({"sort_key": "name"}, (0, 2, 3, 1, 4)),
        ({"sort_key": "name", "sort_dir": "asc"}, (4, 1, 3, 2, 0)),
        ({"sort_key": "size", "sort_dir": "asc"}, (0, 1, 2, 3, 4)),
        ({"sort_key": "size"}, (4, 3, 2, 1, 0)),
        ({"sort": "name"}, (0, 2, 3, 1, 4)),
        ({"sort": "name:asc"}, (4, 1, 3, 2, 0)),
        ({"sort": "status:asc,name:desc"}, (3, 4, 0, 2, 1)),
        ({"sort": "status, name:asc"}, (1, 2, 0, 4, 3)),
        ({"sort": "disk_format:asc"}, (0, 1, 2, 3, 4)),
        ({"sort": "container_format:asc,created_at:asc"}, (0, 3, 4, 1, 2)),
        ({"sort": "updated_at:asc"}, (0, 1, 2, 3, 4)),
        ([("sort_key", "status"), ("sort_key", "name"), ("sort_dir", "asc"), ("sort_dir", "desc")], (3, 4, 0, 2, 1)),
        ([("sort_key", "status"), ("sort_key", "name"), ("sort_dir", "asc")], (4, 3, 1, 2, 0)),
        ([("sort_key", "disk_format"), ("sort_dir", "asc")], (0, 1, 2, 3, 4)),
        ([("sort_key", "disk_format"), ("sort_dir", "desc")], (4, 3, 2, 1, 0)),
    ],
    ids=shown,
)  # fmt: skip
def test_order(own, query, expected):
    user, _ = own
    assert names(user, query) == pick(*expected)


def test_order_by_id(own):
    user, images = own
    ids = sorted(image["id"] for image in images)
    assert user.ids({"sort": "id:asc"}) == ids
    assert user.ids({"sort_key": "id"}) == ids[::-1]


@pytest.mark.parametrize(
    "query",
    [{"sort_key": "frob"}, {"sort_key": "owner"}, {"sort_key": ""}, {"sort_dir": "up"}, {"sort_dir": "ASC"},
     {"sort": "frob"}, {"sort": "name:up"}, {"sort": ""}, {"sort": "name,"}, {"sort": "name:asc:desc"},
     {"sort": "name", "sort_key": "name"}, {"sort": "name", "sort_dir": "asc"},
     [("sort_key", "name"), ("sort_dir", "asc"), ("sort_dir", "desc")],
     [("sort_key", "name"), ("sort_key", "id"), ("sort_key", "size"), ("sort_dir", "asc"), ("sort_dir", "desc")]],
    ids=shown,
)  # fmt: skip
def test_bad_order(user, query):
    assert user.page(query).status_code == 400


# --- filters ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "one"}, (1,)), ({"name": "eq:one"}, (1,)), ({"name": "in:one,three"}, (3, 1)),
        ({"name": 'in:"one",three'}, (3, 1)), ({"name": "One"}, ()), ({"name": "in:frob"}, ()), ({"name": ""}, ()),
        ({"name": " one"}, ()), ({"name": "o%"}, ()),
        ({"status": "active"}, (4, 3)), ({"status": "queued"}, (2, 1, 0)),
        ({"status": "in:active,queued"}, (4, 3, 2, 1, 0)),
        ({"status": "frob"}, ()), ({"status": "killed"}, ()),
        ({"container_format": "bare"}, (4, 3)), ({"container_format": "in:bare,ovf"}, (4, 3, 2, 1)),
        ({"disk_format": "raw"}, (4, 3)), ({"disk_format": "in:qcow2,vhd"}, (2, 1)),
        ({"size": "3"}, (3,)), ({"size_min": "4"}, (4,)), ({"size_max": "3"}, (3,)),
        ({"size_min": "1", "size_max": "3"}, (3,)),
        ({"size_min": 10**30}, ()), ({"size_max": -1}, ()),
        ({"min_ram": "2"}, (2,)), ({"min_ram_min": "3"}, (4, 3)), ({"min_ram_max": "1"}, (1, 0)),
        ({"min_disk_min": "30"}, (4, 3)), ({"min_disk_max": "10"}, (1, 0)), ({"min_disk": "40"}, (4,)),
        ({"tag": "all"}, (4, 3, 2, 1, 0)), ({"tag": "two"}, (2,)), ([("tag", "all"), ("tag", "two")], (2,)),
        ([("tag", "one"), ("tag", "two")], ()), ({"tag": " two "}, (2,)), ({"tag": "frob"}, ()),
        ({"even": "True"}, (4, 2, 0)), ({"even": "False", "name": "one"}, (1,)), ({"frob": "x"}, ()),
        ({"even": "true"}, ()),
        ({"protected": "true"}, (1,)), ({"protected": "True"}, (1,)), ({"protected": "false"}, (4, 3, 2, 0)),
        ({"os_hidden": "false"}, (4, 3, 2, 1, 0)), ({"os_hidden": "TRUE"}, ()),
        ({"checksum": "frob"}, ()), ({"os_hash_value": "frob"}, ()), ({"os_hash_algo": "sha512"}, (4, 3)),
        ({"created_at": "2020-01-01T00:00:02Z"}, (2,)), ({"created_at": "eq:2020-01-01T00:00:02Z"}, (2,)),
        ({"created_at": "gt:2020-01-01T00:00:02Z"}, (4, 3)), ({"created_at": "gte:2020-01-01T00:00:02Z"}, (4, 3, 2)),
        ({"created_at": "lt:2020-01-01T00:00:02Z"}, (1, 0)), ({"created_at": "lte:2020-01-01T00:00:02Z"}, (2, 1, 0)),
        ({"created_at": "neq:2020-01-01T00:00:02Z"}, (4, 3, 1, 0)),
        ({"created_at": "gt:2020-01-01T01:00:02+01:00"}, (4, 3)),
        ({"created_at": "gte:2020-01-01"}, (4, 3, 2, 1, 0)), ({"updated_at": "lt:2020-01-01T00:00:01"}, (0,)),
        ([("created_at", "gt:2020-01-01T00:00:00Z"), ("created_at", "lt:2020-01-01T00:00:03Z")], (2, 1)),
        ({"visibility": "shared"}, (4, 3, 2, 1, 0)), ({"visibility": "private"}, ()),
        ({"name": "in:one,two,three", "status": "active", "tag": "all"}, (3,)),
    ],
    ids=shown,
)  # fmt: skip
def test_filter(own, query, expected):
    user, _ = own
    pairs = list(query.items()) if isinstance(query, dict) else query
    assert names(user, [*pairs, ("owner", user.project)]) == pick(*expected)


def test_filter_by_id_and_digest(own):
    user, images = own
    assert names(user, {"id": images[2]["id"]}) == ["two"]
    assert names(user, {"id": f"in:{images[2]['id']},{images[4]['id']}"}) == ["four", "two"]
    assert names(user, {"checksum": images[3]["checksum"], "owner": user.project}) == ["three"]
    assert names(user, {"os_hash_value": images[4]["os_hash_value"], "owner": user.project}) == ["four"]
    assert names(user, {"owner": user.project}) == pick(4, 3, 2, 1, 0)
    assert names(user, {"owner": "frob"}) == []


def test_names_with_special_characters(user):
    for name in ("a:b", "a,b", 'a"b', "a\\b", "é"):
        user.create(name=name)
    assert user.page({"name": "a:b"}).status_code == 400
    assert names(user, {"name": 'in:"a:b"'}) == ["a:b"]
    assert names(user, {"name": "eq:a:b"}) == ["a:b"]
    assert names(user, {"name": 'in:"a,b",é', "sort": "name:asc"}) == ["a,b", "é"]
    assert names(user, {"name": r'in:"a\"b"'}) == ['a"b']
    assert names(user, {"name": 'a"b'}) == ['a"b']
    assert names(user, {"name": "a\\b"}) == ["a\\b"]
    assert names(user, {"name": "é"}) == ["é"]


@pytest.mark.parametrize(
    "query",
    [
        {"visibility": "frob"}, {"visibility": ""}, {"visibility": "Public"}, {"member_status": "frob"},
        {"name": "like:x"}, {"name": "in:\"a"}, {"name": 'in:"a"b'}, {"name": 'in:a"b"'}, {"status": "gt:x"},
        {"disk_format": "frob:x"}, {"container_format": "frob:x"}, {"id": "frob:x"},
        {"size_min": "x"}, {"size_max": ""}, {"size": "1.5"}, {"min_ram_min": "x"}, {"min_disk_max": "1k"},
        {"min_ram": "x"}, {"min_disk": "x"}, {"virtual_size": "x"},
        {"frob_min": "1"}, {"frob_max": "1"}, {"name_min": "1"},
        {"created_at": "x"}, {"created_at": ""}, {"created_at": "gt:x"}, {"created_at": "frob:2020-01-01T00:00:00Z"},
        {"updated_at": "2020-13-01T00:00:00Z"}, {"updated_at": "gt:"},
        {"os_hidden": "x"}, {"os_hidden": ""}, {"os_hidden": "1"}, {"protected": "x"}, {"protected": "1"},
        {"changes-since": "2020-01-01T00:00:00Z"},
        {"properties": "x"}, {"locations": "x"}, {"members": "x"}, {"tags": "x"},
    ],
    ids=shown,
)  # fmt: skip
def test_bad_filter(user, query):
    assert user.page(query).status_code == 400


def test_properties_that_went_do_not_match(user):
    image = user.create(x="y", tags=["t"])
    assert user.patch(image["id"], {"op": "remove", "path": "/x"}).status_code == 200
    assert user.send("DELETE", f"/images/{image['id']}/tags/t").status_code == 204
    assert user.ids({"x": "y"}) == user.ids({"tag": "t"}) == []


# --- visibility ------------------------------------------------------------------


@pytest.fixture
def everybodys(user, other, admin):
    """Images of ``other`` of every kind, and their ids by kind; ``tag`` marks them."""
    tag = other.project
    ids = {}
    for visibility in ("public", "community", "private", "shared"):
        ids[visibility] = admin.create(owner=other.project, visibility=visibility, tags=[tag])["id"]
    for status in ("accepted", "rejected", None):
        ids[status or "pending"] = other.create(tags=[tag])["id"]
        other.share(ids[status or "pending"], user, status)
    ids["own"] = user.create(tags=[tag])["id"]
    ids["own private"] = user.create(tags=[tag], visibility="private")["id"]
    ids["own community"] = user.create(tags=[tag], visibility="community")["id"]
    ids["hidden"] = user.create(tags=[tag], os_hidden=True)["id"]
    for status in ("killed", "deleted", "deactivated"):
        ids[status] = user.create(tags=[tag])["id"]
        deleted = int(status == "deleted")
        user.deployment.sql("UPDATE images SET status = ?, deleted = ? WHERE id = ?", status, deleted, ids[status])
    yield ids
    admin.delete(ids["public"])  # every list would hold it


OWN = {"own", "own private", "own community", "deactivated"}
FOREIGN = {"public", "community", "private", "shared", "accepted", "rejected", "pending"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, OWN | {"public", "accepted"}),
        ({"member_status": "pending"}, OWN | {"public", "pending"}),
        ({"member_status": "rejected"}, OWN | {"public", "rejected"}),
        ({"member_status": "all"}, OWN | {"public", "accepted", "rejected", "pending"}),
        ({"visibility": "public"}, {"public"}),
        ({"visibility": "private"}, {"own private"}),
        ({"visibility": "shared"}, {"own", "deactivated", "accepted"}),
        ({"visibility": "shared", "member_status": "all"},
         {"own", "deactivated", "accepted", "rejected", "pending"}),
        ({"visibility": "community"}, {"community", "own community"}),
        ({"visibility": "all"}, OWN | {"public", "accepted", "community"}),
        ({"visibility": "all", "member_status": "all"},
         OWN | {"public", "accepted", "rejected", "pending", "community"}),
        ({"os_hidden": "true"}, {"hidden"}),
        ({"status": "killed"}, set()), ({"status": "deleted"}, set()), ({"status": "deactivated"}, {"deactivated"}),
    ],
    ids=shown,
)  # fmt: skip
def test_user_sees(user, other, everybodys, query, expected):
    listed = user.ids({"tag": other.project, "limit": 100, **query})
    assert {name for name, image_id in everybodys.items() if image_id in listed} == expected
    assert len(listed) == len(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (OWN | FOREIGN) - {"community", "own community"}),  # neither is the administrator's own
        ({"visibility": "all"}, OWN | FOREIGN),
        ({"visibility": "community"}, {"community", "own community"}),
        ({"visibility": "public"}, {"public"}),
        ({"visibility": "private"}, {"private", "own private"}),
        ({"visibility": "shared"}, {"own", "deactivated", "shared", "accepted", "rejected", "pending"}),
        ({"os_hidden": "true"}, {"hidden"}),
        ({"visibility": "all", "os_hidden": "true"}, {"hidden"}),
    ],
    ids=shown,
)  # fmt: skip
def test_admin_sees(admin, other, everybodys, query, expected):
    listed = admin.ids({"tag": other.project, "limit": 100, **query})
    assert {name for name, image_id in everybodys.items() if image_id in listed} == expected


def test_admins_own_community_images(admin):
    image = admin.create(visibility="community")
    assert image["id"] in admin.ids()


def test_owner_filter_tells_nothing(user, other, everybodys):
    listed = user.ids({"owner": other.project})
    assert set(listed) == {everybodys["public"], everybodys["accepted"]}


def test_a_stranger_cannot_find_by_filter(other, user):
    image = user.create(name="secret", x="secret")
    for query in (
        {"id": image["id"]},
        {"name": "secret"},
        {"x": "secret"},
        {"visibility": "all"},
        {"owner": user.project},
    ):
        assert image["id"] not in other.ids(query)


def test_many_pages_with_equal_times(api):
    """What has the same time is neither repeated nor left out."""
    user = Caller(api)
    ids = {user.create(name="n")["id"] for _ in range(7)}
    moment = time.strftime("%Y-%m-%d %H:%M:%S.000000")
    api.sql("UPDATE images SET created_at = ? WHERE owner = ?", moment, user.project)
    for order in ({}, {"sort": "created_at:asc"}, {"sort": "name"}, {"sort": "size:asc"}):
        seen, marker = [], {}
        while page := user.ids({"limit": 2, **order, **marker}):
            seen += page
            marker = {"marker": page[-1]}
        assert sorted(seen) == sorted(ids)
