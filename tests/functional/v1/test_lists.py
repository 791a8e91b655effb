"""The two lists (spec v1-api.md §5.2)."""

import datetime
import itertools
import uuid

import pytest

from tests.functional.conftest import identity
from tests.functional.v1.conftest import ADMIN, PAGE, PAGE_MAX, listed, set_status

SHELF = uuid.uuid4().hex
OWNER = identity(SHELF)
FIRST = datetime.datetime(2012, 3, 4, 5, 6, 7)


@pytest.fixture(scope="module")
def shelf(trusted):
    """Images of one owner; their ids, oldest first.  The third has the same times as the second."""
    rows = [
        {"name": "alpha", "size": 10, "disk_format": "raw", "container_format": "bare", "min_ram": 1},
        {"name": "a:b", "size": 20, "disk_format": "iso", "container_format": "bare", "min_disk": 5},
        {"name": "beta", "size": 20, "disk_format": "raw", "container_format": "ovf", "protected": "true"},
        {"name": "a%", "size": 30, "disk_format": "iso", "container_format": "ovf", "property_kind": "x"},
        {"name": "in:a,b", "size": 40, "disk_format": "aki", "property_kind": "x", "property_os.ver": "1.0"},
    ]
    ids = []
    for number, row in enumerate(rows):
        created = (FIRST + datetime.timedelta(days=number - (number > 1))).isoformat()
        ids.append(trusted.create(headers=OWNER, created_at=created, property_shelf=SHELF, **row)["id"])
        trusted.sql("UPDATE images SET updated_at = created_at WHERE id = ?", ids[-1])
    set_status(trusted, ids[0], "active")
    return ids


def ids_of(trusted, caller=OWNER, /, path="/images", **query):
    """The ids that a list of the shelf shows, in its order."""
    params = {"property-shelf": SHELF} | {name.replace("_since", "-since"): value for name, value in query.items()}
    answer = trusted.request("GET", path, headers=caller, params=params)
    assert answer.status_code == 200, answer.text
    return [image["id"] for image in answer.json()["images"]]


# --- filters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"name": "alpha"}, [0]), ({"name": "Alpha"}, []), ({"name": "a:b"}, [1]), ({"name": "a%"}, [3]),
        ({"name": "in:a,b"}, [4]), ({"name": "in:alpha"}, []), ({"name": ""}, []), ({"name": "a"}, []),
        ({"status": "active"}, [0]), ({"status": "queued"}, [1, 2, 3, 4]), ({"status": "frob"}, []),
        ({"status": "deleted"}, []), ({"status": "in:active,queued"}, []),
        ({"container_format": "bare"}, [0, 1]), ({"disk_format": "iso"}, [1, 3]), ({"disk_format": "floppy"}, []),
        ({"size_min": "20"}, [1, 2, 3, 4]), ({"size_max": "20"}, [0, 1, 2]), ({"size_min": "41"}, []),
        ({"size_min": "20", "size_max": "30"}, [1, 2, 3]), ({"size_min": "0"}, [0, 1, 2, 3, 4]),
        ({"min_ram": "1"}, [0]), ({"min_ram": "2"}, []), ({"min_disk": "5"}, [1]), ({"min_disk": "x"}, []),
        ({"min_disk": "-1"}, []), ({"min_disk": "9" * 30}, []), ({"min_disk": ""}, []),
        ({"protected": "True"}, [2]), ({"protected": "1"}, [2]), ({"protected": "FALSE"}, [0, 1, 3, 4]),
        ({"protected": "0", "disk_format": "raw"}, [0]),
        ({"is_public": "none"}, [0, 1, 2, 3, 4]), ({"is_public": "False"}, [0, 1, 2, 3, 4]),
        ({"is_public": "1"}, [0, 1, 2, 3, 4]), ({"is_public": "0"}, [0, 1, 2, 3, 4]),
        ({"property-kind": "x"}, [3, 4]), ({"property-kind": "X"}, []), ({"property-Kind": "x"}, []),
        ({"property-kind": "x", "property-os.ver": "1.0"}, [4]), ({"property-none": "1"}, []), ({"property-": ""}, []),
        ({"deleted": "true"}, [0, 1, 2, 3, 4]), ({"owner": "x"}, [0, 1, 2, 3, 4]), ({"checksum": "x"}, [0, 1, 2, 3, 4]),
        ({"tag": "x"}, [0, 1, 2, 3, 4]), ({"visibility": "x"}, [0, 1, 2, 3, 4]), ({"frob": "x"}, [0, 1, 2, 3, 4]),
        ({"changes-since": "2012-03-04"}, [0, 1, 2, 3, 4]),
        ({"changes-since": "2012-03-05T05:06:07"}, [3, 4]),
        ({"changes-since": "2012-03-05T05:06:06.999999Z"}, [1, 2, 3, 4]),
        ({"changes-since": "2012-03-05T07:06:07+02:00"}, [3, 4]),
        ({"changes-since": "2012-03-05T07:06:06+02:00"}, [1, 2, 3, 4]),
        ({"changes-since": "2112-01-01T00:00:00Z"}, []),
    ],
)  # fmt: skip
def test_filter(trusted, shelf, query, found):
    for path in ("/images", "/images/detail", "/"):
        assert sorted(ids_of(trusted, path=path, **query)) == sorted(shelf[number] for number in found), path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size_min", "-1"), ("size_min", "x"), ("size_min", ""), ("size_max", "1.5"), ("size_max", "9" * 30),
        ("min_ram", "-1"), ("min_ram", "x"),
        ("protected", "none"), ("protected", "yes"), ("protected", ""),
        ("is_public", "maybe"), ("is_public", ""), ("is_public", "yes"),
        ("changes-since", "yesterday"), ("changes-since", ""), ("changes-since", "2012-13-01T00:00:00"),
        ("changes-since", "9" * 300), ("changes-since", "0001-01-01T00:00:00+14:00"),
        ("limit", "-1"), ("limit", "x"), ("limit", ""), ("limit", "1.0"), ("limit", "9" * 30),
        ("marker", "x"), ("marker", ""), ("marker", "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91"),
        ("sort_key", "owner"), ("sort_key", ""), ("sort_key", "min_disk"), ("sort_key", "name,id"),
        ("sort_dir", "up"), ("sort_dir", ""), ("sort_dir", "ASC"),
    ],
)  # fmt: skip
def test_bad_parameter_is_400(trusted, name, value):
    for caller, path in itertools.product((OWNER, ADMIN), ("/images", "/images/detail", "/")):
        answer = trusted.request("GET", path, headers=caller, params={name: value})
        assert answer.status_code == 400, (caller, path)


def test_query_that_is_not_utf8(trusted):
    for query in ("name=%ff", "%ff=1", "property-%ff=%fe", "marker=%00", "name=%00"):
        answer = trusted.request("GET", "/images?" + query, headers=OWNER)
        assert answer.status_code in (200, 400), query


# --- order and pages ------------------------------------------------------------------------


def test_newest_first_by_default(trusted, shelf):
    same = sorted(shelf[1:3], reverse=True)
    assert ids_of(trusted) == [shelf[4], shelf[3], *same, shelf[0]]
    assert ids_of(trusted, sort_dir="asc") == [shelf[0], *reversed(same), shelf[3], shelf[4]]


@pytest.mark.parametrize("sort_dir", ["asc", "desc"])
@pytest.mark.parametrize(
    "sort_key", ["id", "name", "status", "disk_format", "container_format", "size", "created_at", "updated_at"]
)
def test_order_and_pages(trusted, shelf, sort_key, sort_dir):
    images = listed(trusted, OWNER, **{"property-shelf": SHELF})
    assert len(images) == 5
    full = ids_of(trusted, sort_key=sort_key, sort_dir=sort_dir)
    # Where a null goes is the database's affair, as long as the pages agree.
    with_value = {image["id"]: image for image in images if image[sort_key] is not None}
    expected = sorted(
        with_value.values(),
        key=lambda image: (image[sort_key], image["created_at"], image["id"]),
        reverse=sort_dir == "desc",
    )
    assert [image_id for image_id in full if image_id in with_value] == [image["id"] for image in expected]
    for limit in (1, 2, 5):
        pages, query = [], {}
        while page := ids_of(trusted, sort_key=sort_key, sort_dir=sort_dir, limit=limit, **query):
            assert len(page) <= limit
            pages += page
            query = {"marker": page[-1]}
        assert pages == full


def test_limit(trusted, shelf):
    assert ids_of(trusted, limit=0) == []
    assert len(ids_of(trusted, limit=2)) == 2
    assert len(ids_of(trusted, limit=100000)) == 5


def test_default_limit(trusted, user):
    for _ in range(26):
        trusted.create(headers=user, name=user["X-Tenant-Id"])
    query = {"name": user["X-Tenant-Id"]}
    assert len(listed(trusted, user, limit=None, **query)) == 25
    assert len(listed(trusted, user, **query)) == 26


def test_configured_limits(tuned, user):
    for _ in range(PAGE_MAX + 1):
        tuned.create(headers=user, name=user["X-Tenant-Id"])
    query = {"name": user["X-Tenant-Id"]}
    assert len(listed(tuned, user, limit=None, **query)) == PAGE
    assert len(listed(tuned, user, limit=PAGE + 1, **query)) == PAGE + 1
    assert len(listed(tuned, user, limit=1000, **query)) == PAGE_MAX


def test_marker_must_be_visible(trusted, shelf, user, other):
    mine = trusted.create(headers=user)["id"]
    for caller, status in ((user, 200), (ADMIN, 200), (other, 400)):
        answer = trusted.request("GET", "/images", headers=caller, params={"marker": mine})
        assert answer.status_code == status
    trusted.request("DELETE", f"/images/{mine}", headers=user)
    for caller in (user, ADMIN):
        assert trusted.request("GET", "/images", headers=caller, params={"marker": mine}).status_code == 400


# --- who sees what --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd(trusted):
    """A caller, and one image of each kind of relation to it: ``{kind: id}``."""
    label = uuid.uuid4().hex
    me, owner = identity(uuid.uuid4().hex), identity(uuid.uuid4().hex)
    kinds = {}

    def add(kind, caller=ADMIN, visibility=None, data=None, **meta):
        kinds[kind] = image_id = trusted.create(data, headers=caller, property_crowd=label, **meta)["id"]
        if visibility:
            trusted.sql("UPDATE images SET visibility = ? WHERE id = ?", visibility, image_id)
        return image_id

    add("public", owner=owner["X-Tenant-Id"], is_public="true")
    add("own", me)
    add("own private", me, "private")
    add("own community", me, "community")
    add("own hidden", me)
    add("community", owner, "community")
    add("private", owner, "private")
    add("unshared", owner)
    add("ownerless", owner="")
    add("admin's", ADMIN)
    add("hidden", owner=owner["X-Tenant-Id"], is_public="true")
    for status in ("pending", "accepted", "rejected"):
        image_id = add(f"shared {status}", owner)
        trusted.request("PUT", f"/images/{image_id}/members/{me['X-Tenant-Id']}", headers=owner)
        trusted.sql("UPDATE image_members SET status = ? WHERE image_id = ?", status, image_id)
    resting = add("member of private", owner)
    trusted.request("PUT", f"/images/{resting}/members/{me['X-Tenant-Id']}", headers=owner)
    trusted.sql("UPDATE images SET visibility = 'private' WHERE id = ?", resting)
    for kind in ("hidden", "own hidden"):
        trusted.sql("UPDATE images SET os_hidden = 1 WHERE id = ?", kinds[kind])
    for kind in ("own", "public"):
        killed = add(f"{kind} killed", me if kind == "own" else ADMIN, is_public=str(kind == "public"))
        set_status(trusted, killed, "killed")
        deleted = add(f"{kind} deleted", me if kind == "own" else ADMIN, is_public=str(kind == "public"))
        trusted.request("DELETE", f"/images/{deleted}", headers=ADMIN)
    set_status(trusted, add("own pending_delete", me), "pending_delete")
    trusted.sql("UPDATE images SET deleted = 1 WHERE id = ?", kinds["own pending_delete"])
    deleted = add("private deleted", owner)
    trusted.request("DELETE", f"/images/{deleted}", headers=owner)

    def seen(caller, **query):
        params = {"property-crowd": label, "limit": 100} | query
        answer = trusted.request("GET", "/images", headers=caller, params=params)
        assert answer.status_code == 200, answer.text
        ids = {image["id"] for image in answer.json()["images"]}
        return {kind for kind, image_id in kinds.items() if image_id in ids}

    return me, seen


SHARED = {"shared pending", "shared accepted", "shared rejected"}
MINE = {"own", "own private", "own community"}
SINCE = {"changes-since": "2001-01-01T00:00:00"}


@pytest.mark.parametrize("is_public", [None, "true", "false", "none"])
def test_what_users_see(crowd, is_public):
    me, seen = crowd
    query = {"is_public": is_public} if is_public else {}
    assert seen(me, **query) == {"public"} | MINE | SHARED
    assert seen(identity(uuid.uuid4().hex), **query) == {"public"}


@pytest.mark.parametrize("is_public", [None, "True", "1"])
def test_admins_see_what_users_see(crowd, is_public):
    me, seen = crowd
    query = {"is_public": is_public} if is_public else {}
    assert seen(ADMIN, **query) == {"public", "admin's"}
    assert seen(identity(me["X-Tenant-Id"], roles="admin"), **query) == {"public"} | MINE | SHARED


def test_admins_ask_for_more(crowd):
    _, seen = crowd
    others = {"community", "private", "unshared", "ownerless", "admin's", "member of private"}
    assert seen(ADMIN, is_public="false") == MINE | SHARED | others
    assert seen(ADMIN, is_public="None") == {"public"} | MINE | SHARED | others
    assert seen(ADMIN, is_public="none", status="killed") == set()


def test_changes_since_includes_what_is_gone(crowd):
    me, seen = crowd
    gone = {"own killed", "own deleted", "own pending_delete", "public killed", "public deleted"}
    assert seen(me, **SINCE) == {"public"} | MINE | SHARED | gone
    assert seen(identity(uuid.uuid4().hex), **SINCE) == {"public", "public killed", "public deleted"}
    assert "private deleted" in seen(ADMIN, is_public="none", **SINCE)


def test_noauth_lists_everything_on_request(noauth):
    label = uuid.uuid4().hex
    private = noauth.create(property_label=label)["id"]
    public = noauth.create(property_label=label, is_public="true")["id"]
    for query, found in (({}, {public}), ({"is_public": "none"}, {private, public}), ({"is_public": "0"}, {private})):
        answer = noauth.request("GET", "/images", params={"property-label": label} | query)
        assert {image["id"] for image in answer.json()["images"]} == found


def test_lists_have_no_links(trusted, shelf):
    answer = trusted.request("GET", "/images?limit=1", headers=OWNER)
    assert set(answer.json()) == {"images"}
    assert "uri" not in answer.json()["images"][0]
