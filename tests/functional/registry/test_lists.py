"""The two lists: filters, order, pages, who sees what (spec registry.md §3.1, v1-api.md §5.2)."""

import uuid
from datetime import datetime, timedelta

import pytest

from tests.functional.conftest import identity
from tests.functional.registry.conftest import LOCATION, PAGE, PAGE_MAX, Caller

LISTS = ("/images", "/images/detail", "/")
FULL = {"disk_format": "raw", "container_format": "bare", "location": LOCATION}


@pytest.fixture
def four(user):
    """Images of ``user`` that differ in everything; oldest first."""
    return [
        user.create(name="a", status="active", disk_format="raw", container_format="bare", size=10, min_ram=1,
                    properties={"distro": "x", "Arch": "arm"}),
        user.create(name="b:c", status="queued", disk_format="iso", size=20, min_disk=7, protected=True,
                    properties={"distro": "x"}),
        user.create(name="c", status="active", disk_format="qcow2", container_format="ovf", size=30, min_ram=2,
                    properties={"distro": "y", "empty": None}),
        user.create(name="d", status="queued"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, "dcba"),
        ({"name": "a"}, "a"),
        ({"name": "A"}, ""),
        ({"name": "b:c"}, "b"),
        ({"name": "eq:a"}, ""),
        ({"name": "in:a,c"}, ""),
        ({"name": ""}, ""),
        ({"name": "é"}, ""),
        ({"name": "%"}, ""),
        ({"status": "queued"}, "db"),
        ({"status": "active"}, "ca"),
        ({"status": "nonsense"}, ""),
        ({"status": "deleted"}, ""),
        ({"disk_format": "iso"}, "b"),
        ({"container_format": "ovf"}, "c"),
        ({"container_format": "nonsense"}, ""),
        ({"size_min": "20"}, "cb"),
        ({"size_max": "20"}, "ba"),
        ({"size_min": "11", "size_max": "29"}, "b"),
        ({"size_min": str(2**63 - 1)}, ""),
        ({"min_ram": "2"}, "c"),
        ({"min_ram": "0"}, "db"),
        ({"min_ram": str(2**40)}, ""),
        ({"min_disk": "7"}, "b"),
        ({"min_disk": "nonsense"}, ""),
        ({"min_disk": str(2**70)}, ""),
        ({"min_disk": "-1"}, ""),
        ({"protected": "True"}, "b"),
        ({"protected": "1"}, "b"),
        ({"protected": "FALSE"}, "dca"),
        ({"property-distro": "x"}, "ba"),
        ({"property-distro": "x", "property-Arch": "arm"}, "a"),
        ({"property-Distro": "x"}, ""),
        ({"property-none": "x"}, ""),
        ({"property-distro": "x", "size_min": "15"}, "b"),
        ({"is_public": "false"}, "dcba"),
        ({"deleted": "true"}, "dcba"),
        ({"owner": "somebody", "checksum": "c", "tag": "t", "visibility": "public", "nonsense": "1"}, "dcba"),
        ({"name": ["x", "a"]}, "a"),
        ({"limit": ["x", "1000"]}, "dcba"),
    ],
)
def test_filters(user, four, query, names):
    found = [name[0] for name in user.listed(**query)]
    assert "".join(found) == names


@pytest.mark.parametrize("path", LISTS)
def test_the_lists_agree(user, four, path):
    """Same rows in the same order."""
    mine = {image["id"] for image in four}
    found = user.ok("GET", path, params={"limit": 1000, "sort_key": "name", "sort_dir": "asc"})["images"]
    assert [image["name"] for image in found if image["id"] in mine] == ["a", "b:c", "c", "d"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "-1"), ("limit", "x"), ("limit", "1.5"), ("limit", ""), ("limit", "1e3"), ("limit", "٣"),
        ("limit", "9" * 30), ("limit", "0x1"), ("limit", "+1"),
        ("marker", "x"), ("marker", ""), ("marker", "1"), ("marker", "\x00"),
        ("marker", "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91"),
        ("sort_key", "x"), ("sort_key", ""), ("sort_key", "owner"), ("sort_key", "min_ram"), ("sort_key", "id,name"),
        ("sort_key", "deleted"), ("sort_dir", "x"), ("sort_dir", ""), ("sort_dir", "ASC"),
        ("size_min", "-1"), ("size_min", "x"), ("size_min", ""), ("size_min", str(2**63)), ("size_min", "9" * 5000),
        ("size_max", "-1"), ("size_max", "1.0"), ("size_max", "None"), ("size_max", str(2**64)),
        ("min_ram", "x"), ("min_ram", "-5"), ("min_ram", ""),
        ("protected", "none"), ("protected", ""), ("protected", "yes"), ("protected", "2"),
        ("is_public", "x"), ("is_public", ""), ("is_public", "yes"), ("is_public", "2"),
        ("changes-since", "x"), ("changes-since", ""), ("changes-since", "2012-13-01"), ("changes-since", "9" * 99),
        ("changes-since", "0001-01-01T00:00:00+14:00"), ("changes-since", "2012-01-01T25:00:00Z"),
    ],
)  # fmt: skip
def test_bad_parameters(user, admin, name, value):
    """400 in both lists, for everybody, with the name of the parameter or its value."""
    for caller in (user, admin):
        for path in LISTS:
            answer = caller.ask("GET", path, params={name: value})
            assert answer.status_code == 400, (path, answer.text)
            assert "Traceback" not in answer.text


@pytest.mark.parametrize("parameter", ["name", "status", "disk_format", "property-x", "deleted", "nonsense", "limit"])
@pytest.mark.parametrize("value", ["%00", "%ff", "%ed%a0%80", "%f0%9f%98%80", "%", "%zz", "x" * 8000])
def test_hostile_text(user, admin, parameter, value):
    """What no database keeps finds nothing; what is not UTF-8 is a bad request."""
    for caller in (user, admin):
        answer = caller.ask("GET", f"/images/detail?{parameter}={value}")
        assert answer.status_code in (200, 400)
        if answer.status_code == 200 and parameter not in ("deleted", "nonsense"):
            assert answer.json() == {"images": []}


@pytest.mark.parametrize("key", ["%00", "%ff", "%f0%9f%98%80", "x" * 3000, ""])
def test_hostile_names(user, key):
    assert user.ask("GET", f"/images?property-{key}=1").status_code in (200, 400)
    assert user.ask("GET", f"/images?{key}=1").status_code in (200, 400)


# --- order and pages ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize(
    "key", ["id", "name", "status", "disk_format", "container_format", "size", "created_at", "updated_at"]
)
def test_order_and_pages(user, four, path, key, direction):
    """By one at a time everything comes once, in the order of the whole list; null is the least."""
    mine = {image["id"] for image in four}

    def page(**query):
        found = user.ok("GET", path, params={"sort_key": key, "sort_dir": direction, "limit": 1000} | query)["images"]
        return [image["id"] for image in found]

    whole = page()
    paged, marker = [], {}
    while len(paged) <= len(whole) and (found := page(limit=1, **marker)):
        paged += found
        marker = {"marker": found[-1]}
    assert [image_id for image_id in paged if image_id in mine] == [image_id for image_id in whole if image_id in mine]

    def value(image):
        parts = image[key], image["created_at"], image["id"]
        return tuple((part is not None, part) for part in parts)

    expected = sorted(four, key=value, reverse=direction == "desc")
    assert [image_id for image_id in whole if image_id in mine] == [image["id"] for image in expected]


def test_newest_first_is_the_default(user, four):
    assert user.listed() == user.listed(sort_key="created_at", sort_dir="desc") == ["d", "c", "b:c", "a"]


def test_filter_order_and_page_together(user, four):
    first = user.listed(property_distro="x", sort_key="size", sort_dir="asc", limit=1)
    rest = user.listed(property_distro="x", sort_key="size", sort_dir="asc", marker=four[0]["id"])
    assert (first, rest) == (["a"], ["b:c"])


def test_a_marker_that_the_filter_hides(user, four):
    """It marks a place in the order, whether or not it is on the page itself."""
    assert user.listed(name="a", marker=four[2]["id"]) == ["a"]
    assert user.listed(name="c", marker=four[1]["id"]) == []


def test_markers_that_mark_nothing(user, other, admin, four):
    """Invisible, deleted, of another tenant: as if they did not exist."""
    gone = user.create(name="gone")["id"]
    user.ok("DELETE", f"/images/{gone}")
    for caller, marker in ((user, gone), (other, four[0]["id"]), (admin, gone)):
        answer = caller.ask("GET", "/images/detail", params={"marker": marker})
        assert answer.status_code == 400, answer.text
        assert "nvalid marker" in answer.text


def test_limits(small):
    tenant = uuid.uuid4().hex
    caller = Caller(small, tenant, identity(tenant))
    for number in range(PAGE_MAX + 2):
        caller.create(name=str(number))

    def count(**query):
        return len(caller.ok("GET", "/images", params=query)["images"])

    assert count() == PAGE
    assert count(limit=0) == 0
    assert count(limit=1) == 1
    assert count(limit=PAGE_MAX) == count(limit=PAGE_MAX + 1) == count(limit=2**63 - 1) == PAGE_MAX
    assert count(limit=" 2 ") == 2


# --- who sees what ------------------------------------------------------------------------------


@pytest.fixture
def sights(user, other, admin):
    """Images of every kind of ``user``, one of ``other``, one of ``admin``, shared and not."""
    user.create(name="private")
    admin.create(name="public", is_public=True, owner=user.tenant)
    shared = user.create(name="shared")["id"]
    for member in (other.tenant, admin.tenant):
        assert user.ask("PUT", f"/images/{shared}/members/{member}").status_code == 204
    other.create(name="others")
    admin.create(name="own")
    admin.create(name="nobodys", owner="", properties={"test": user.tenant})
    return user.tenant, other.tenant, admin.tenant


def visible(caller, tenants, **query):
    return {name for tenant in tenants for name in caller.listed(tenant, **query)}


def test_ordinary_callers(user, other, sights):
    assert visible(user, sights) == {"private", "public", "shared"}
    assert visible(other, sights) == {"public", "shared", "others"}
    for value in ("none", "true", "false", "0"):  # an administrator's question
        assert visible(other, sights, is_public=value) == {"public", "shared", "others"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, {"public", "shared", "own"}),
        ({"is_public": "true"}, {"public", "shared", "own"}),
        ({"is_public": "1"}, {"public", "shared", "own"}),
        ({"is_public": "none"}, {"private", "public", "shared", "others", "own"}),
        ({"is_public": "None"}, {"private", "public", "shared", "others", "own"}),
        ({"is_public": "False"}, {"private", "shared", "others", "own"}),
        ({"is_public": "0"}, {"private", "shared", "others", "own"}),
    ],
)
def test_administrators(admin, sights, query, names):
    assert visible(admin, sights, **query) == names


def test_images_of_nobody(user, other, admin, sights):
    """Readable for everybody who knows the id; listed to administrators only."""
    query = {"property-test": user.tenant}
    (image,) = admin.ok("GET", "/images/detail", params=query | {"is_public": "none"})["images"]
    assert (image["name"], image["owner"]) == ("nobodys", None)
    assert user.show(image["id"])["name"] == other.show(image["id"])["name"] == "nobodys"
    assert user.ok("GET", "/images/detail", params=query)["images"] == []
    assert user.update(image["id"], name="mine").status_code == 404
    assert user.ask("DELETE", f"/images/{image['id']}").status_code == 404


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
def test_the_state_of_a_membership_does_not_matter(alone, user, other, sights, status):
    alone.sql("UPDATE image_members SET status = ? WHERE member = ?", status, other.tenant)
    assert "shared" in visible(other, sights)


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_visibilities_that_v1_does_not_know(alone, user, other, admin, sights, visibility):
    """A membership counts while the image is shared; a community image is found by those who know its id."""
    alone.sql(
        "UPDATE images SET visibility = ? WHERE owner = ? AND name = 'shared'", visibility, user.tenant
    )  # fmt: skip
    (image,) = [found for found in user.ok("GET", "/images/detail")["images"] if found["name"] == "shared"]
    assert image["is_public"] is False
    assert "shared" not in visible(other, sights)
    found = other.ask("GET", f"/images/{image['id']}")
    assert found.status_code == (200 if visibility == "community" else 404)
    assert "shared" in visible(admin, sights, is_public="false")


def test_hidden_images(alone, user):
    image_id = user.create(name="hidden")["id"]
    alone.sql("UPDATE images SET os_hidden = 1 WHERE id = ?", image_id)
    assert user.listed() == []
    assert user.show(image_id)["name"] == "hidden"


# --- deleted, killed, changed -------------------------------------------------------------------


@pytest.fixture
def ends(user):
    """Images at the end of their lives; returns the id of each."""
    ids = {name: user.create(name=name)["id"] for name in ("live", "killed", "deleted", "pending")}
    assert user.update(ids["killed"], status="killed").status_code == 200
    assert user.update(ids["deleted"], body={"destroy": True}, status="deleted").status_code == 200
    assert user.update(ids["pending"], body={"destroy": True}, status="pending_delete").status_code == 200
    return ids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, {"live"}),
        ({"deleted": "false"}, {"live"}),
        ({"deleted": "nonsense"}, {"live"}),
        ({"deleted": ""}, {"live"}),
        ({"deleted": "true"}, {"deleted", "pending"}),
        ({"deleted": "YES"}, {"deleted", "pending"}),
        ({"deleted": "on"}, {"deleted", "pending"}),
        ({"deleted": "t"}, {"deleted", "pending"}),
        ({"deleted": "1"}, {"deleted", "pending"}),
        ({"deleted": "true", "status": "pending_delete"}, {"pending"}),
        ({"deleted": "true", "status": "killed"}, set()),
        ({"status": "killed"}, set()),
    ],
)
def test_deleted_is_an_administrators_filter(user, admin, ends, query, names):
    assert visible(admin, [user.tenant], is_public="none", **query) == names
    assert visible(user, [user.tenant], **query) == ({"live"} if "status" not in query else set())


def test_changes_since(user, other, admin, ends):
    """Everything that changed comes, also what is gone, and to ordinary callers as well."""
    everything = set(ends)
    assert visible(user, [user.tenant], **{"changes-since": "2001-01-01T00:00:00"}) == everything
    assert visible(admin, [user.tenant], is_public="none", **{"changes-since": "2001-01-01"}) == everything
    assert visible(other, [user.tenant], **{"changes-since": "2001-01-01T00:00:00"}) == set()
    assert visible(user, [user.tenant], **{"changes-since": "2999-01-01T00:00:00Z"}) == set()
    assert user.listed(**{"changes-since": "2001-01-01", "status": "killed"}) == ["killed"]


def test_changes_since_is_strict_and_knows_zones(user, four):
    middle = sorted(image["updated_at"] for image in four)[1]
    later = {image["name"] for image in four if image["updated_at"] > middle}
    moment = datetime.fromisoformat(middle)
    texts = [middle, middle + "Z", middle + "+00:00", (moment + timedelta(hours=2)).isoformat() + "+02:00"]
    for text in texts:
        assert set(user.listed(**{"changes-since": text})) == later, text


def test_locations_in_lists(alone, user, admin):
    """Deleted places are left out, but for lists that show what is deleted."""
    image_id = user.create(name="n", status="active", **FULL)["id"]
    assert user.update(image_id, location="file:///second").status_code == 200
    (image,) = [found for found in user.ok("GET", "/images/detail")["images"] if found["id"] == image_id]
    assert [(entry["url"], entry["status"]) for entry in image["location_data"]] == [("file:///second", "active")]
    assert user.update(image_id, body={"destroy": True}, status="pending_delete").status_code == 200
    query = {"deleted": "true", "is_public": "none", "limit": 1000}
    (image,) = [found for found in admin.ok("GET", "/images/detail", params=query)["images"] if found["id"] == image_id]
    assert {entry["url"]: entry["status"] for entry in image["location_data"]} == {
        LOCATION: "deleted", "file:///second": "pending_delete",
    }  # fmt: skip
    assert image["location"] is None


def test_deactivated_images(user, admin):
    """Where their data is only administrators see."""
    image_id = user.create(name="n", status="active", **FULL)["id"]
    assert user.update(image_id, status="deactivated").status_code == 200
    assert user.show(image_id)["location_data"] == []
    assert user.show(image_id)["location"] is None
    (image,) = [found for found in user.ok("GET", "/images/detail")["images"] if found["id"] == image_id]
    assert (image["location"], image["location_data"]) == (None, [])
    assert admin.show(image_id)["location"] == LOCATION
