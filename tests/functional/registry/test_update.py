"""PUT and DELETE of an image (spec registry.md §3.3, §3.4)."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.registry.conftest import LOCATION

ACTIVE = {"status": "active", "disk_format": "raw", "container_format": "bare"}


@pytest.fixture
def image(user):
    return user.create(name="before", properties={"a": "1", "b": "2"}, **ACTIVE, location=LOCATION)


@pytest.fixture
def public(admin, user):
    """A public image of ``user``."""
    return admin.create(name="before", is_public=True, owner=user.tenant, **ACTIVE)


def changed(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["image"]


def test_every_value(user):
    image = user.create(name="before")
    values = {
        "name": "after", "status": "saving", "size": 7, "virtual_size": 8, "disk_format": "iso", "min_disk": 1,
        "container_format": "ovf", "min_ram": 2, "is_public": True, "checksum": "c" * 32, "protected": True,
        "properties": {"p": "v"},
    }  # fmt: skip
    found = changed(user.update(image["id"], **values))
    assert {name: found[name] for name in values} == values
    assert found == user.show(image["id"])
    assert found["updated_at"] > image["updated_at"]
    assert found["created_at"] == image["created_at"]


def test_what_is_not_sent_stays(user, image):
    found = changed(user.update(image["id"], min_ram=5))
    assert found == image | {"min_ram": 5, "updated_at": found["updated_at"]}
    assert changed(user.update(image["id"]))["updated_at"] > found["updated_at"]


def test_protected_keys_are_dropped(user, image):
    strange = {
        "id": str(uuid.uuid4()), "created_at": "2001-01-01T00:00:00", "updated_at": "2001-01-01T00:00:00",
        "deleted_at": "2001-01-01T00:00:00", "deleted": True, "nonsense": [1], "visibility": "private", "tags": ["t"],
    }  # fmt: skip
    found = changed(user.update(image["id"], **strange))
    assert found == image | {"updated_at": found["updated_at"]}
    assert found["updated_at"] > image["updated_at"]


@pytest.mark.parametrize("bad", ["x", 5, [], {}, None])
def test_protected_keys_are_not_even_read(user, image, bad):
    for name in ("id", "created_at", "updated_at", "deleted_at", "deleted"):
        assert changed(user.update(image["id"], **{name: bad}))["id"] == image["id"]


def test_owners(user, admin, image):
    assert changed(user.update(image["id"], owner=admin.tenant))["owner"] == user.tenant
    assert changed(user.update(image["id"], owner=[1]))["owner"] == user.tenant
    assert changed(admin.update(image["id"], owner=admin.tenant))["owner"] == admin.tenant
    assert changed(admin.update(image["id"], owner=""))["owner"] is None
    assert admin.update(image["id"], owner=5).status_code == 400


# --- properties ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ({}, {"a": "1", "b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": "true"}, {"b": "new", "c": "3"}),
        ({"x-glance-registry-purge-props": "true"}, {"b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": "True"}, {"a": "1", "b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": "1"}, {"a": "1", "b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": "yes"}, {"a": "1", "b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": "false"}, {"a": "1", "b": "new", "c": "3"}),
        ({"X-Glance-Registry-Purge-Props": ""}, {"a": "1", "b": "new", "c": "3"}),
    ],
)
def test_purging(user, image, header, kept):
    found = changed(user.update(image["id"], header, properties={"b": "new", "c": "3"}))
    assert found["properties"] == user.show(image["id"])["properties"] == kept


@pytest.mark.parametrize("empty", [{}, []])
def test_purging_everything(user, image, empty):
    assert changed(user.update(image["id"], properties=empty))["properties"] == {"a": "1", "b": "2"}
    purge = {"X-Glance-Registry-Purge-Props": "true"}
    assert changed(user.update(image["id"], purge, properties=empty))["properties"] == {}


def test_a_purged_property_that_comes_back(user, image):
    purge = {"X-Glance-Registry-Purge-Props": "true"}
    changed(user.update(image["id"], purge, properties={}))
    assert changed(user.update(image["id"], properties={"a": "again"}))["properties"] == {"a": "again"}


# --- compare and swap ---------------------------------------------------------------------------


def test_from_state(user, image):
    assert changed(user.update(image["id"], body={"from_state": "active"}, name="after"))["name"] == "after"
    assert changed(user.update(image["id"], body={"from_state": None}, name="later"))["name"] == "later"
    answer = user.update(
        image["id"], body={"from_state": "queued"}, headers={"Accept": "text/plain"}, name="x", status="saving",
        properties={"a": "x"}, location="elsewhere",
    )  # fmt: skip
    assert answer.status_code == 409
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "Image operation conflicts" in answer.text
    found = user.show(image["id"])
    assert (found["name"], found["status"], found["location"]) == ("later", "active", LOCATION)
    assert found["properties"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("bad", ["", "x", "ACTIVE", 0, 1, True, False, [], ["active"], {}, {"a": 1}])
def test_bad_from_states(user, image, bad):
    assert user.update(image["id"], body={"from_state": bad}, name="after").status_code == 400
    assert user.show(image["id"])["name"] == "before"


def test_one_of_many_wins(user):
    image_id = user.create()["id"]

    def swap(number):
        return user.update(image_id, body={"from_state": "queued"}, status="saving", name=str(number)).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(swap, range(8)))
    assert sorted(statuses) == [200] + [409] * 7
    assert user.show(image_id)["name"] == str(statuses.index(200))


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"status": ""}, {"status": "x"}, {"status": None}, {"status": 5}, {"status": []}, {"status": {}},
        {"name": 5}, {"name": "n" * 256}, {"name": []}, {"name": "\U0001f600"}, {"name": "\x00"},
        {"size": -1}, {"size": 2**63}, {"size": 2**64}, {"size": "x"}, {"size": 1.5}, {"size": True}, {"size": {}},
        {"virtual_size": 10**30}, {"min_disk": 2**31}, {"min_disk": None}, {"min_ram": -1}, {"min_ram": "9" * 5000},
        {"disk_format": "x"}, {"disk_format": 5}, {"disk_format": []}, {"container_format": "x"},
        {"container_format": {}}, {"disk_format": ""}, {"checksum": "c" * 33}, {"checksum": 5},
        {"properties": None}, {"properties": "x"}, {"properties": [["a", "b"]]}, {"properties": {"": "x"}},
        {"properties": {"a": {}}}, {"properties": [{"name": [], "value": "x"}]}, {"properties": {"p" * 256: "x"}},
        {"location": 5}, {"location": [1]}, {"locations": 5}, {"location_data": "x"}, {"location_data": [5]},
        {"location_data": [{"url": "x", "status": "y"}]}, {"location_data": [{"url": "x", "id": 2**31}]},
        {"location_data": [{"url": "x", "id": 2**70}]}, {"location_data": [{"url": "x", "id": -1}]},
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_bad_values(user, image, values):
    answer = user.update(image["id"], **values)
    assert answer.status_code == 400, answer.text
    assert "Traceback" not in answer.text
    assert user.show(image["id"]) == image


def test_formats_are_not_asked_for(user):
    """copy-from, and uploads of 2011, become active without."""
    image_id = user.create()["id"]
    for status in ("saving", "active"):
        assert changed(user.update(image_id, status=status))["disk_format"] is None


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_images_that_are_not_the_callers(user, other, image, public, method):
    """What cannot be seen does not exist; what can only be seen says so, when it is public."""

    def ask(caller, image_id):
        return caller.ask(
            method, f"/images/{image_id}", {"image": {"name": "stolen"}}, headers={"Accept": "text/plain"}
        )

    missing = [ask(user, str(uuid.uuid4())), ask(user, "x"), ask(user, "%00"), ask(user, "x" * 3000)]
    for answer in (*missing, ask(other, image["id"])):
        assert answer.status_code == 404
    assert missing[0].headers["Content-Type"].startswith("text/plain")
    assert ask(other, public["id"]).status_code == 403
    assert user.ask("PUT", f"/images/{image['id']}/members/{other.tenant}").status_code == 204
    assert ask(other, image["id"]).status_code == 404
    for found in (image, public):
        assert user.show(found["id"])["name"] == "before"


def test_an_unseen_image_looks_like_none(user, other, image):
    def text(image_id):
        answer = other.update(image_id, name="x", headers={"Accept": "text/plain"})
        return answer.text.replace(image_id, "ID")

    assert text(image["id"]) == text(str(uuid.uuid4()))
    assert "mage" in text(image["id"]) and "found" in text(image["id"])


def test_administrators_change_everything(admin, image, public):
    for found in (image, public):
        assert changed(admin.update(found["id"], name="after"))["owner"] == found["owner"]
        assert admin.ok("DELETE", f"/images/{found['id']}")["image"]["deleted"] is True


# --- locations ----------------------------------------------------------------------------------


def test_location_replaces_all(alone, user, image):
    found = changed(user.update(image["id"], location="second"))
    assert [entry["url"] for entry in found["location_data"]] == ["second"]
    rows = alone.sql("SELECT value, status, deleted FROM image_locations WHERE image_id = ? ORDER BY id", image["id"])
    assert rows == [(LOCATION, "deleted", 1), ("second", "active", 0)]


def test_location_data(user, image):
    """Entries with an id are changed, those without are added, those not named go."""
    (first,) = image["location_data"]
    added = changed(user.update(image["id"], location_data=[first, {"url": "second", "metadata": {"a": 1}}]))
    assert added["location_data"][0]["id"] == first["id"]
    second = added["location_data"][1]
    assert (second["url"], second["metadata"], second["status"]) == ("second", {"a": 1}, "active")
    found = changed(user.update(image["id"], location_data=[second | {"url": "moved", "metadata": {}}]))
    assert found["location_data"] == [{"id": second["id"], "url": "moved", "metadata": {}, "status": "active"}]
    assert found["location"] == "moved"
    assert changed(user.update(image["id"], location_data=[]))["location"] is None


def test_a_location_of_another_image(user, image):
    """Its id does not make it change hands."""
    theirs = user.create(**ACTIVE, location="theirs")
    entry = theirs["location_data"][0]
    answer = user.update(image["id"], location_data=[entry | {"url": "mine"}])
    assert answer.status_code in (200, 400, 404)
    assert user.show(theirs["id"])["location_data"] == [entry]


# --- the end ------------------------------------------------------------------------------------


def test_delete(alone, user, admin, image):
    user.ask("PUT", f"/images/{image['id']}/members/m")
    alone.sql(
        "INSERT INTO image_tags (image_id, value, created_at, deleted) VALUES (?, 't', '2020-01-01', 0)", image["id"]
    )
    gone = user.ok("DELETE", f"/images/{image['id']}")["image"]
    assert (gone["deleted"], gone["status"], gone["name"]) == (True, "active", "before")
    assert gone["deleted_at"] and gone["properties"] == image["properties"]
    for table in ("image_properties", "image_locations", "image_members", "image_tags"):
        rows = set(alone.sql(f"SELECT deleted FROM {table} WHERE image_id = ?", image["id"]))
        assert rows == {(1,)}, table
    path = f"/images/{image['id']}"
    for method in ("GET", "PUT", "DELETE"):
        assert user.ask(method, path, {"image": {}}).status_code == 404
    assert user.ask("GET", path + "/members").status_code == 404
    assert admin.ask("DELETE", path).status_code == 404
    shown = admin.show(image["id"])
    assert (shown["deleted"], shown["status"]) == (True, "active")


def test_delete_leaves_what_waits_for_the_scrubber(alone, user, image):
    """Its locations stay pending_delete."""
    entry = image["location_data"][0] | {"status": "pending_delete"}
    assert user.update(image["id"], location_data=[entry]).status_code == 200
    user.ok("DELETE", f"/images/{image['id']}")
    assert alone.sql("SELECT status FROM image_locations WHERE image_id = ?", image["id"]) == [("pending_delete",)]


def test_the_registry_does_not_heed_protection(user):
    """That is the API server's matter."""
    image_id = user.create(protected=True)["id"]
    assert user.ask("DELETE", f"/images/{image_id}").status_code == 200


def test_one_of_many_deletes(user, image):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: user.ask("DELETE", f"/images/{image['id']}").status_code, range(6)))
    assert sorted(answers) == [200] + [404] * 5


# --- additions: destroy, and the way back -------------------------------------------------------


@pytest.mark.parametrize("status", ["deleted", "pending_delete"])
def test_destroy(alone, user, image, status):
    """Status and deletion in one step."""
    gone = changed(user.update(image["id"], body={"destroy": True, "from_state": "active"}, status=status))
    assert (gone["deleted"], gone["status"]) == (True, status)
    assert alone.sql("SELECT status FROM image_locations WHERE image_id = ?", image["id"]) == [(status,)]
    assert user.ask("GET", f"/images/{image['id']}").status_code == 404


def test_destroy_compares(user, image):
    answer = user.update(image["id"], body={"destroy": True, "from_state": "queued"}, status="deleted")
    assert answer.status_code == 409
    assert user.show(image["id"]) == image


@pytest.mark.parametrize("status", ["active", "queued", "killed", "saving", "deactivated"])
def test_destroy_needs_a_status_of_the_dead(user, image, status):
    assert user.update(image["id"], body={"destroy": True}, status=status).status_code == 400
    assert user.show(image["id"])["deleted"] is False


def test_destroy_of_others(user, other, image, public):
    assert other.update(image["id"], body={"destroy": True}, status="deleted").status_code == 404
    assert other.update(public["id"], body={"destroy": True}, status="deleted").status_code == 403
    assert user.show(image["id"])["deleted"] is user.show(public["id"])["deleted"] is False


@pytest.mark.parametrize("given", [False, None, 0, ""])
def test_no_destroy(user, image, given):
    assert changed(user.update(image["id"], body={"destroy": given}, name="after"))["deleted"] is False


@pytest.fixture
def pending(user, image):
    """An image whose data waits for the scrubber."""
    changed(user.update(image["id"], body={"destroy": True}, status="pending_delete"))
    return image


def test_finishing(alone, user, pending):
    """Its owner, too, may say that the data is gone."""
    ended = changed(user.update(pending["id"], body={"from_state": "pending_delete"}, status="deleted"))
    assert (ended["status"], ended["deleted"]) == ("deleted", True)
    assert alone.sql("SELECT status FROM image_locations WHERE image_id = ?", pending["id"]) == [("deleted",)]
    again = user.update(pending["id"], body={"from_state": "pending_delete"}, status="deleted")
    assert again.status_code == 409


@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_the_way_back(user, pending, status):
    back = changed(user.update(pending["id"], body={"from_state": "pending_delete"}, status=status))
    assert (back["status"], back["deleted"], back["deleted_at"]) == (status, False, None)
    assert back["properties"] == pending["properties"]
    assert user.show(pending["id"])["status"] == status
    if status == "active":
        assert back["location"] == LOCATION


@pytest.mark.parametrize("status", ["deleted", "active", "deactivated"])
def test_the_end_of_others(user, other, admin, pending, status):
    answer = other.update(pending["id"], body={"from_state": "pending_delete"}, status=status)
    assert answer.status_code == 404
    assert admin.show(pending["id"])["status"] == "pending_delete"


@pytest.mark.parametrize("status", ["deleted", "active"])
def test_the_end_of_a_live_image(user, image, status):
    assert user.update(image["id"], body={"from_state": "pending_delete"}, status=status).status_code == 409
    assert user.show(image["id"]) == image
