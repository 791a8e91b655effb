"""POST /images: what is registered as what, and what is refused (spec registry.md §2, §3.2)."""

import uuid

import pytest

from tests.functional.registry.conftest import LOCATION

ACTIVE = {"status": "active", "disk_format": "raw", "container_format": "bare"}
NEW = {"status": "queued"}
TOO_BIG = [2**63, 2**64, 10**30, str(2**63), "9" * 5000]
NOT_A_NUMBER = [-1, 1.5, "x", "", "1.5", "-1", "0x10", "٣", True, [], {}, [1]]


def refusal(caller, values, status=400):
    """Assert that these values register nothing; return the text of the answer."""
    answer = caller.ask("POST", "/images", {"image": values})
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text
    assert caller.listed() == []
    return answer.text


def test_defaults(user):
    image = user.create()
    assert uuid.UUID(image["id"])
    assert image == {
        "id": image["id"], "name": None, "status": "queued", "size": None, "virtual_size": None, "disk_format": None,
        "container_format": None, "min_disk": 0, "min_ram": 0, "is_public": False, "checksum": None,
        "owner": user.tenant, "protected": False, "deleted": False, "deleted_at": None, "properties": {},
        "location": None, "location_data": [], "created_at": image["created_at"], "updated_at": image["updated_at"],
    }  # fmt: skip
    assert image["created_at"] == image["updated_at"]
    assert user.show(image["id"]) == image


def test_every_value(user):
    values = {
        "id": str(uuid.uuid4()), "name": "n" * 255, "status": "active", "size": 2**63 - 1, "virtual_size": 2**63 - 1,
        "disk_format": "qcow2", "container_format": "ovf", "min_disk": 2**31 - 1, "min_ram": 2**31 - 1,
        "is_public": True, "checksum": "c" * 32, "protected": True, "properties": {"é": "ü", "empty": "", "none": None},
    }  # fmt: skip
    image = user.create(**values)
    assert image == user.show(values["id"])
    assert {name: image[name] for name in values} == values


def test_hashes_are_kept_and_not_shown(alone, user):
    image = user.create(os_hash_algo="sha512", os_hash_value="f" * 128)
    assert not [name for name in image if name.startswith("os_hash")]
    row = alone.sql("SELECT os_hash_algo, os_hash_value FROM images WHERE id = ?", image["id"])
    assert row == [("sha512", "f" * 128)]
    assert user.update(image["id"], name="n").status_code == 200
    assert alone.sql("SELECT os_hash_value FROM images WHERE id = ?", image["id"]) == [("f" * 128,)]


@pytest.mark.parametrize(("given", "kept"), [("12", 12), (" 12 ", 12), ("0", 0), (12, 12)])
def test_numbers_as_text(user, given, kept):
    names = ("size", "virtual_size", "min_disk", "min_ram")
    image = user.create(**dict.fromkeys(names, given))
    assert [image[name] for name in names] == [kept] * 4


@pytest.mark.parametrize("given", [True, 1, "yes", "false", [0], {"a": 1}])
def test_flags_are_truth(user, given):
    image = user.create(is_public=given, protected=given)
    assert (image["is_public"], image["protected"]) == (True, True)


@pytest.mark.parametrize("given", [False, 0, "", [], {}, None])
def test_flags_are_untruth(user, given):
    image = user.create(is_public=given, protected=given)
    assert (image["is_public"], image["protected"]) == (False, False)


def test_unknown_keys_are_ignored(user):
    strange = {
        "nonsense": {"a": [1, None]}, "deleted": True, "deleted_at": "x", "updated_at": [], "tags": 5, "visibility": 7,
        "os_hidden": True, "__class__": "x", "": None, "locations_": [],
    }  # fmt: skip
    image = user.create(name="n", **strange)
    assert (image["name"], image["deleted"], image["deleted_at"]) == ("n", False, None)
    assert user.listed() == ["n"]


def test_other_keys_of_the_body_are_ignored(user):
    body = {"image": NEW | {"name": "n"}, "images": [], "from_state": 5, "destroy": True, "transfer": [], "x": None}
    user.ok("POST", "/images", body)
    assert user.listed() == ["n"]


# --- id, status, formats ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "x", "1", 1, 0, True, [], {}, "g" * 36, "0" * 31, "../../x", "\x00" * 36])
def test_bad_ids(user, bad):
    assert "Invalid image id format" in refusal(user, NEW | {"id": bad})


def test_an_id_as_it_is_written(user):
    image_id = str(uuid.uuid4()).upper()
    assert user.create(id=image_id)["id"] == image_id


def test_an_id_is_never_taken_twice(user, other):
    image_id = user.create(name="n")["id"]
    for caller in (user, other):
        answer = caller.ask("POST", "/images", {"image": NEW | {"id": image_id}})
        assert answer.status_code == 409
    user.ok("DELETE", f"/images/{image_id}")
    assert other.ask("POST", "/images", {"image": NEW | {"id": image_id}}).status_code == 409


@pytest.mark.parametrize("status", ["queued", "saving", "killed", "active"])
def test_statuses_of_new_images(user, status):
    assert user.create(**ACTIVE | {"status": status})["status"] == status


def test_the_default_status_is_active(user):
    values = {"disk_format": "raw", "container_format": "bare"}
    assert user.ok("POST", "/images", {"image": values})["image"]["status"] == "active"


@pytest.mark.parametrize(
    "bad",
    [
        "pending_delete", "deleted", "deactivated", "uploading", "importing", "", "x", "ACTIVE", " active", None, 1, 0,
        True, [], ["active"], {}, {"active": 1},
    ],
)  # fmt: skip
def test_bad_statuses(user, bad):
    refusal(user, ACTIVE | {"status": bad})


@pytest.mark.parametrize("status", ["queued", "killed"])
def test_formats_may_be_missing(user, status):
    for values in ({}, {"disk_format": None, "container_format": None}, {"disk_format": "raw"}):
        assert user.create(status=status, **values)["container_format"] is None


@pytest.mark.parametrize("status", ["active", "saving"])
@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ({}, "Disk format is not specified"),
        ({"container_format": "bare"}, "Disk format is not specified"),
        ({"disk_format": "raw"}, "Container format is not specified"),
        ({"disk_format": None, "container_format": None}, "Disk format is not specified"),
    ],
)
def test_formats_that_must_not_be_missing(user, status, formats, said):
    assert said in refusal(user, {"status": status} | formats)


@pytest.mark.parametrize("status", ["queued", "active"])
@pytest.mark.parametrize(
    "formats",
    [
        {"disk_format": "nonsense", "container_format": "bare"},
        {"disk_format": "raw", "container_format": "nonsense"},
        {"disk_format": "RAW", "container_format": "bare"},
        {"disk_format": "", "container_format": "bare"},
        {"disk_format": "raw", "container_format": ""},
        {"disk_format": "bare", "container_format": "raw"},
        {"disk_format": "ami", "container_format": "bare"},
        {"disk_format": "raw", "container_format": "aki"},
        {"disk_format": "ami", "container_format": "ari"},
        {"disk_format": 1, "container_format": "bare"},
        {"disk_format": ["raw"], "container_format": "bare"},
        {"disk_format": "raw", "container_format": {"a": 1}},
        {"disk_format": "r" * 21, "container_format": "bare"},
    ],
)
def test_bad_formats(user, status, formats):
    refusal(user, {"status": status} | formats)


@pytest.mark.parametrize("amazon", ["ami", "ari", "aki"])
def test_amazon_formats(user, amazon):
    image = user.create(status="active", disk_format=amazon, container_format=amazon)
    assert (image["disk_format"], image["container_format"]) == (amazon, amazon)


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["size", "virtual_size", "min_disk", "min_ram"])
@pytest.mark.parametrize("bad", NOT_A_NUMBER + TOO_BIG, ids=lambda value: repr(value)[:12])
def test_bad_numbers(user, name, bad):
    assert name in refusal(user, NEW | {name: bad})


@pytest.mark.parametrize("name", ["min_disk", "min_ram"])
@pytest.mark.parametrize("bad", [2**31, str(2**31)])
def test_numbers_of_32_bits(user, name, bad):
    refusal(user, NEW | {name: bad})


@pytest.mark.parametrize("name", ["size", "virtual_size"])
def test_sizes_may_be_null(user, name):
    assert user.create(**{name: None})[name] is None


@pytest.mark.parametrize(
    ("name", "length"),
    [("name", 255), ("checksum", 32), ("owner", 255), ("os_hash_algo", 64), ("os_hash_value", 128)],
)
def test_texts(admin, user, name, length):
    caller = admin if name == "owner" else user
    assert caller.ask("POST", "/images", {"image": NEW | {name: "x" * length}}).status_code == 200
    assert caller.ask("POST", "/images", {"image": NEW | {name: None}}).status_code == 200
    for bad in ("x" * (length + 1), "x" * 100_000, 1, 0, 1.5, True, False, [], ["x"], {}, {"a": "b"}):
        answer = caller.ask("POST", "/images", {"image": NEW | {name: bad}})
        assert answer.status_code == 400, (bad, answer.text)


@pytest.mark.parametrize("character", ["\U0001f600", "\x00", "\ud800"], ids=ascii)
@pytest.mark.parametrize(
    "values",
    [
        {"name": "%"}, {"checksum": "%"}, {"properties": {"p": "%"}}, {"properties": {"%": "v"}}, {"location": "x:%"},
        {"location_data": [{"url": "x:%"}]}, {"os_hash_value": "%"},
    ],
    ids=str,
)  # fmt: skip
def test_characters_that_are_not_stored(user, values, character):
    """Beyond the basic plane (MySQL's utf8 of old), NUL, half a surrogate pair."""

    def fill(value):
        if isinstance(value, dict):
            return {fill(name): fill(entry) for name, entry in value.items()}
        return [fill(entry) for entry in value] if isinstance(value, list) else value.replace("%", character)

    refusal(user, NEW | {name: fill(value) for name, value in values.items()})


@pytest.mark.parametrize("character", ["\U0001f600", "\x00", "\ud800"], ids=ascii)
def test_characters_of_an_owner(admin, character):
    refusal(admin, NEW | {"owner": character})


def test_created_at(user):
    """Accepted for replication, in whatever zone."""
    assert user.create(created_at="2011-01-02T03:04:05")["created_at"] == "2011-01-02T03:04:05"
    assert user.create(created_at="2011-01-02T03:04:05.678901+02:00")["created_at"] == "2011-01-02T01:04:05.678901"
    assert user.create(created_at=None)["created_at"] > "2020"


@pytest.mark.parametrize(
    "bad", ["", "x", "2011-13-01T00:00:00", "9" * 100, "0001-01-01T00:00:00+14:00", 5, True, [], {}, [2011]]
)
def test_bad_created_at(user, bad):
    refusal(user, NEW | {"created_at": bad})


def test_owners(user, other, admin):
    """An administrator names the owner; for everybody else it is the caller."""
    for given in ("x", "", None, other.tenant):
        assert user.create(owner=given)["owner"] == user.tenant
    assert admin.create(owner=other.tenant)["owner"] == other.tenant
    assert admin.create(owner="")["owner"] is None
    assert admin.create(owner=None)["owner"] is None
    assert admin.create()["owner"] == admin.tenant


# --- properties ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ([], {}),
        ({"a": "1", "B": "", "c": None}, {"a": "1", "B": "", "c": None}),
        ([{"name": "a", "value": "1"}, {"key": "b", "value": None}], {"a": "1", "b": None}),
        ({"n": 5, "f": 1.5, "t": True, "big": 2**70}, {"n": "5", "f": "1.5", "t": "True", "big": str(2**70)}),
        ({"p" * 255: "v" * 65535}, {"p" * 255: "v" * 65535}),
        ({f"p{number}": "v" for number in range(300)}, {f"p{number}": "v" for number in range(300)}),
        ({"status": "x", "image": "y", "a.b/c d": "z"}, {"status": "x", "image": "y", "a.b/c d": "z"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_properties(user, given, kept):
    image = user.create(properties=given)
    assert image["properties"] == user.show(image["id"])["properties"] == kept


@pytest.mark.parametrize(
    "bad",
    [
        None, "x", 5, True, "", ["x"], [5], [None], [[]], [{}], [{"name": "a"}], [{"value": "a"}],
        [{"name": None, "value": "a"}], [{"name": "", "value": "a"}], [{"name": 5, "value": "a"}],
        [{"name": ["a"], "value": "a"}], [{"name": {}, "value": "a"}], [{"key": [], "value": "a"}],
        [{"name": "a", "value": []}], [{"name": "a", "value": {}}],
        {"": "x"}, {"a": []}, {"a": {}}, {"a": {"b": "c"}}, {"a": ["b"]}, {"p" * 256: "x"}, {"a": "v" * 65536},
        {"a": "é" * 40000},
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_bad_properties(user, bad):
    refusal(user, NEW | {"properties": bad})


# --- locations ----------------------------------------------------------------------------------


def places(image):
    return [(entry["url"], entry["metadata"], entry["status"]) for entry in image["location_data"]]


def test_location(user):
    image = user.create(**ACTIVE, location=LOCATION)
    assert image["location"] == LOCATION
    assert places(image) == places(user.show(image["id"])) == [(LOCATION, {}, "active")]
    assert isinstance(image["location_data"][0]["id"], int)


def test_locations_of_every_form(user):
    """Their union by url, in order; the first active one is the location."""
    data = [
        {"url": "a", "metadata": {"store": "s", "deep": {"x": [1, None]}}, "status": "active"},
        {"url": "b", "nonsense": 1},
        {"url": "a", "metadata": {"later": 1}},
        {"url": "c", "metadata": None, "status": None},
    ]
    image = user.create(**ACTIVE, location_data=data, locations=["b", "d"], location="e")
    assert places(image) == [
        ("a", {"store": "s", "deep": {"x": [1, None]}}, "active"), ("b", {}, "active"), ("c", {}, "active"),
        ("d", {}, "active"), ("e", {}, "active"),
    ]  # fmt: skip
    assert image["location"] == "a"


@pytest.mark.parametrize("values", [{"location": None}, {"location": ""}, {"location_data": []}, {"locations": None}])
def test_no_location(user, values):
    image = user.create(**values)
    assert (image["location"], image["location_data"]) == (None, [])


@pytest.mark.parametrize(
    "values",
    [
        {"location": 5}, {"location": ["x"]}, {"location": {"url": "x"}}, {"location": True},
        {"locations": "x"}, {"locations": {"url": "x"}}, {"locations": 5}, {"locations": [5]}, {"locations": [None]},
        {"locations": [""]}, {"locations": [["x"]]}, {"locations": [{"url": "x"}]},
        {"location_data": "x"}, {"location_data": {"url": "x"}}, {"location_data": 5}, {"location_data": ["x"]},
        {"location_data": [None]}, {"location_data": [{}]}, {"location_data": [{"url": ""}]},
        {"location_data": [{"url": None}]}, {"location_data": [{"url": 5}]}, {"location_data": [{"url": ["x"]}]},
        {"location_data": [{"url": "x", "metadata": "y"}]}, {"location_data": [{"url": "x", "metadata": [1]}]},
        {"location_data": [{"url": "x", "metadata": 5}]}, {"location_data": [{"url": "x", "status": "y"}]},
        {"location_data": [{"url": "x", "status": 5}]}, {"location_data": [{"url": "x", "status": ["active"]}]},
        {"location_data": [{"url": "x", "status": {}, "metadata": {"a": "v" * 70_000}}]},
        {"location": "x" * 70_000},
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_bad_locations(user, values):
    refusal(user, ACTIVE | values)


def test_a_refused_location_is_not_repeated(user):
    """It may hold a password."""
    for entry in ({"url": "swift://u:hidden@h/c", "status": "y"}, {"url": "swift://u:hidden@h/\x00"}):
        assert "hidden" not in refusal(user, ACTIVE | {"location_data": [entry]})
