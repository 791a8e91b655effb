"""Images made through one API and used through the other (spec v1-api.md §4, v2-images.md §4)."""

import hashlib
import http.client
import uuid

import pytest

from tests.functional.conftest import Deployment
from tests.functional.v1.source import Source, content
from tests.functional.v2.conftest import FORMATS, OCTETS, Caller, add, remove, replace

DATA = b"data of an image"
AMAZON = ("ami", "ari", "aki")
DISKS = ("vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
CONTAINERS = ("bare", "ovf", "ova", "docker", "compressed")
SAME = ("id", "name", "status", "disk_format", "container_format", "checksum", "owner", "min_disk", "min_ram",
        "virtual_size", "protected")  # fmt: skip
V2_ONLY = {"tags", "visibility", "os_hidden", "os_hash_algo", "os_hash_value", "self", "file", "schema", "locations",
           "direct_url", "size", "created_at", "updated_at"}  # fmt: skip
META, PROPERTY = "x-image-meta-", "x-image-meta-property-"


class User(Caller):
    """Somebody who uses both APIs."""

    def v1(self, method, path="", data=None, **meta):
        """Send a v1 request; ``meta`` become image headers, ``p_x`` the property ``x``, ``None`` an empty header."""
        headers = dict(self.headers)
        for name, value in meta.items():
            header = PROPERTY + name[2:] if name.startswith("p_") else META + name
            headers[header] = ("" if value is None else str(value)).encode()
        if data is not None:
            headers |= OCTETS
        return self.deployment.request(method, f"/images{path}", headers=headers, data=data)

    def made_by_v1(self, data=None, **meta):
        """Make an image through v1; return its id."""
        answer = self.v1("POST", data=data, **meta)
        assert answer.status_code == 201, answer.text
        return answer.json()["image"]["id"]

    def head(self, image_id):
        """What v1's headers say: attributes that are not null, and properties."""
        answer = self.v1("HEAD", f"/{image_id}")
        assert answer.status_code == 200
        texts = {name.lower(): value.encode("latin-1").decode() for name, value in answer.headers.items()}
        properties = {name[len(PROPERTY) :]: value for name, value in texts.items() if name.startswith(PROPERTY)}
        attributes = {
            name[len(META) :]: value
            for name, value in texts.items()
            if name.startswith(META) and not name.startswith(PROPERTY)
        }
        return attributes, properties

    def detail(self):
        """The caller's images in v1's list, by id."""
        answer = self.deployment.request("GET", "/images/detail?limit=1000", headers=self.headers)
        assert answer.status_code == 200
        return {image["id"]: image for image in answer.json()["images"] if image["owner"] == self.project}


def properties_of(image):
    """The additional properties of a v2 image."""
    return {name: value for name, value in image.items() if name not in V2_ONLY and name not in SAME}


def assert_equal(user, image_id, listed=True):
    """Both APIs say the same of an image; return what v2 says."""
    image = user.image(image_id)
    attributes, properties = user.head(image_id)
    expected = {name: image[name] for name in SAME} | {
        "size": image["size"] or 0, "is_public": image["visibility"] == "public", "deleted": False,
    }  # fmt: skip
    moments = {name: attributes.pop(name) for name in ("created_at", "updated_at")}
    assert attributes == {name: str(value) for name, value in expected.items() if value is not None}
    assert {name: value[:19] + "Z" for name, value in moments.items()} == {name: image[name] for name in moments}
    # A null property, which v2 shows as an empty one, has no header.
    known = {name.lower(): value for name, value in properties_of(image).items()}
    assert properties == {name: value for name, value in known.items() if value or name in properties}
    shown = user.detail().get(image_id)
    assert (shown is not None) == (listed and not image["os_hidden"])
    assert (image_id in user.ids({"limit": 1000, "owner": user.project})) == (shown is not None)
    if shown:
        assert {name: shown[name] for name in expected} == expected
        assert {name: value or "" for name, value in shown["properties"].items()} == properties_of(image)
    return image


@pytest.fixture(scope="module")
def both(deploy) -> Deployment:
    return deploy(
        api={
            "show_multiple_locations": True,
            "show_image_direct_url": True,
            "import_filtering_opts": {"allowed_hosts": "127.0.0.1", "fetch_deadline": 5},
        },
        flavor="trusted-auth",
    )


@pytest.fixture(scope="module")
def source():
    with Source() as server:
        yield server


@pytest.fixture(autouse=True)
def many_headers(monkeypatch):
    """Python's own client takes no more than 100 headers."""
    monkeypatch.setattr(http.client, "_MAXHEADERS", 1000)


@pytest.fixture
def user(both):
    return User(both)


@pytest.fixture
def other(both):
    return User(both)


@pytest.fixture
def admin(both):
    return User(both, roles="admin")


# --- registered by one, read by the other ----------------------------------------

FORMAT_PAIRS = (
    [(name, name) for name in AMAZON]
    + [(name, "bare") for name in DISKS]
    + [("raw", name) for name in CONTAINERS if name != "bare"]
)
RECORDS = {
    "nothing": {},
    "name": {"name": "plain"},
    "non-ASCII name": {"name": "ünïcödé 名前 Привет"},
    "name of 255": {"name": "é" * 255},
    "name like an operator": {"name": "in:a,b:c"},
    "name with markup": {"name": "<b>&amp;\"'\\%s%41</b>"},
    "numbers": {"min_disk": 7, "min_ram": 2**31 - 1},
    "protected": {"protected": True},
    "disk format alone": {"disk_format": "qcow2"},
    "container format alone": {"container_format": "ovf"},
    "a property": {"p_arch": "x86_64"},
    "non-ASCII property": {"p_beschreibung": "größer als 名前"},
    "property with dots": {"p_owner_specified.openstack.md5": "abc"},
    "properties named like others": {"p_id": "1", "p_size": "big", "p_status": "x"},
    "128 properties": {f"p_key{number}": f"value {number}" for number in range(128)},
    "property of 4096": {"p_long": "v" * 4096},
    "id": {"id": "6f0b4a36-5e3c-4ab1-9c75-0c30cf10a1de"},
}


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "properties named like others"])
def test_record_of_v1(user, name):
    meta = RECORDS[name]
    if "id" in meta:
        meta = meta | {"id": str(uuid.uuid4())}
    image = assert_equal(user, user.made_by_v1(**meta))
    expected = {key.removeprefix("p_"): value for key, value in meta.items()}
    assert {key: image[key] for key in expected} == expected
    assert image["status"] == "queued"
    assert image["visibility"] == "shared"
    assert properties_of(image).keys() == {key[2:] for key in meta if key.startswith("p_")}


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "properties named like others"])
def test_record_of_v2(user, name):
    meta = {key.removeprefix("p_"): value for key, value in RECORDS[name].items()}
    if "id" in meta:
        meta = meta | {"id": str(uuid.uuid4())}
    image = user.create(**meta)
    assert assert_equal(user, image["id"]) == image
    attributes, properties = user.head(image["id"])
    for key, value in meta.items():
        assert (attributes | properties)[key] == str(value)


def test_properties_named_like_attributes(user):
    """v1 can have them.  v2 says what the image is, not what they say."""
    image_id = user.made_by_v1(name="n", **RECORDS["properties named like others"])
    image = user.image(image_id)
    assert (image["id"], image["size"], image["status"], image["name"]) == (image_id, None, "queued", "n")
    assert user.head(image_id)[1] == {"id": "1", "size": "big", "status": "x"}
    assert user.patch(image_id, add("x", "y")).status_code == 200
    assert user.head(image_id)[1] == {"id": "1", "size": "big", "status": "x", "x": "y"}


@pytest.mark.parametrize(("disk_format", "container_format"), FORMAT_PAIRS)
@pytest.mark.parametrize("by", ["v1", "v2"])
def test_formats(user, by, disk_format, container_format):
    formats = {"disk_format": disk_format, "container_format": container_format}
    image_id = user.made_by_v1(DATA, **formats) if by == "v1" else user.active(DATA, **formats)["id"]
    image = assert_equal(user, image_id)
    assert (image["disk_format"], image["container_format"]) == (disk_format, container_format)
    assert (image["status"], image["size"], image["checksum"]) == ("active", len(DATA), hashlib.md5(DATA).hexdigest())
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha512", hashlib.sha512(DATA).hexdigest())
    assert user.v1("GET", f"/{image_id}").content == DATA
    assert user.send("GET", f"/images/{image_id}/file").content == DATA


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_empty_and_null_values(user, by):
    """v1 knows null properties, which v2 shows as empty; an empty one of v2 is an empty header in v1."""
    if by == "v1":
        image_id = user.made_by_v1(name=None, p_nothing=None, p_blank=None, p_some="x")
        assert user.detail()[image_id]["properties"] == {"nothing": None, "blank": None, "some": "x"}
        assert user.head(image_id)[1] == {"some": "x"}
    else:
        image_id = user.create(name=None, nothing="", blank="", some="x")["id"]
        assert user.head(image_id)[1] == {"nothing": "", "blank": "", "some": "x"}
    image = assert_equal(user, image_id)
    assert properties_of(image) == {"nothing": "", "blank": "", "some": "x"}
    assert image["name"] is None
    assert image["size"] is None
    assert user.head(image_id)[0]["size"] == "0"


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_virtual_size(user, by):
    image_id = user.made_by_v1(DATA, **FORMATS) if by == "v1" else user.active(DATA)["id"]
    assert assert_equal(user, image_id)["virtual_size"] == len(DATA)


def test_what_v1_declares(user):
    """v1 may register a size and a checksum before there is data."""
    image_id = user.made_by_v1(size=5, checksum="c" * 32, virtual_size=9)
    image = assert_equal(user, image_id)
    assert [image[name] for name in ("status", "size", "checksum", "virtual_size")] == ["queued", 5, "c" * 32, 9]


def test_dates_of_a_replica(user):
    image_id = user.made_by_v1(created_at="2012-03-04T05:06:07.891")
    assert assert_equal(user, image_id)["created_at"] == "2012-03-04T05:06:07Z"


@pytest.mark.parametrize("name", ["Mixed_Case", "with-dash", "with.dot", "under_score", "123", "~!*'()"])
def test_names_of_properties(user, name):
    """As v1 shows them; header names have no case."""
    image_id = user.create(**{name: "value"})["id"]
    assert user.head(image_id)[1] == {name.lower(): "value"}
    assert user.detail()[image_id]["properties"] == {name: "value"}


@pytest.mark.parametrize("name", ["a: b", "with space", "größe", "a\r\nx-image-meta-owner", "a/b", "[x]", "a\tb", ":"])
@pytest.mark.parametrize("value", ["v", "two\r\nx-image-meta-id: frob", "größe"])
def test_names_that_headers_cannot_carry(user, name, value):
    """Nothing of them becomes another header, and the rest arrives."""
    image_id = user.create(name="n", other="o", **{name: value})["id"]
    attributes, properties = user.head(image_id)
    assert (attributes["id"], attributes["owner"], attributes["name"]) == (image_id, user.project, "n")
    assert properties["other"] == "o"
    assert set(attributes) <= {*SAME, "size", "is_public", "deleted", "created_at", "updated_at"}
    assert user.detail()[image_id]["properties"] == {name: value, "other": "o"}


# --- data ------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "data"), [("v1", DATA), ("v1", bytes(2**20 + 1)), ("v2", DATA), ("v2", b"")])
def test_upload_into_the_others_record(user, by, data):
    if by == "v1":
        image_id = user.create(**FORMATS, x="y", tags=["t"])["id"]
        assert user.v1("PUT", f"/{image_id}", data).status_code == 200
    else:
        image_id = user.made_by_v1(**FORMATS, p_x="y")
        assert user.upload(image_id, data).status_code == 204
    image = assert_equal(user, image_id)
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert user.v1("GET", f"/{image_id}").content == data
    assert user.send("GET", f"/images/{image_id}/file").content == data
    assert (image["x"], image["tags"]) == ("y", ["t"] if by == "v1" else [])


def test_v1_takes_an_empty_body_for_none(user):
    image_id = user.create(**FORMATS)["id"]
    assert user.v1("PUT", f"/{image_id}", b"").status_code == 200
    assert assert_equal(user, image_id)["status"] == "queued"


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_an_image_that_has_data_takes_no_more(user, by):
    image_id = user.active(DATA)["id"] if by == "v1" else user.made_by_v1(DATA, **FORMATS)
    answer = user.v1("PUT", f"/{image_id}", b"more") if by == "v1" else user.upload(image_id, b"more")
    assert answer.status_code == 409
    assert user.v1("GET", f"/{image_id}").content == DATA


def test_size_0_by_v1(user):
    """Active at once, with nothing stored."""
    image_id = user.made_by_v1(**FORMATS, size=0)
    image = assert_equal(user, image_id)
    assert (image["status"], image["size"], image["locations"]) == ("active", 0, [])
    assert user.v1("GET", f"/{image_id}").status_code == 200
    answer = user.send("GET", f"/images/{image_id}/file")
    assert (answer.status_code, answer.content) == (204, b"")
    assert user.upload(image_id).status_code == 409


def test_size_0_by_v2(user):
    image_id = user.active(b"")["id"]
    assert assert_equal(user, image_id)["size"] == 0
    answer = user.v1("GET", f"/{image_id}")
    assert (answer.status_code, answer.content) == (200, b"")


def test_killed(user):
    """v1 kills an image when its upload fails; v2 knows it until it is deleted."""
    image_id = str(uuid.uuid4())
    assert user.v1("POST", data=DATA, id=image_id, **FORMATS, checksum="0" * 32).status_code == 400
    image = assert_equal(user, image_id, listed=False)
    assert image["status"] == "killed"
    assert image["locations"] == []
    assert user.upload(image_id).status_code == 409
    assert user.send("GET", f"/images/{image_id}/file").status_code == 204
    assert user.send("POST", f"/images/{image_id}/actions/deactivate").status_code == 403
    assert user.delete(image_id).status_code == 204
    assert user.v1("HEAD", f"/{image_id}").status_code == 404


def test_v1_kills_what_v2_registered(user):
    image_id = user.create(**FORMATS)["id"]
    assert user.v1("PUT", f"/{image_id}", DATA, size=3).status_code == 400
    assert assert_equal(user, image_id, listed=False)["status"] == "killed"


def test_v2_kills_nothing_of_v1(user):
    image_id = user.made_by_v1(**FORMATS, size=99, checksum="0" * 32)
    answer = user.send("PUT", f"/images/{image_id}/file", OCTETS | {"x-openstack-image-size": "3"}, data=DATA)
    assert answer.status_code == 400
    image = assert_equal(user, image_id)
    assert [image[name] for name in ("status", "size", "checksum")] == ["queued", None, None]
    assert user.v1("PUT", f"/{image_id}", DATA).status_code == 200
    assert assert_equal(user, image_id)["checksum"] == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_external_location(user, source, by):
    url = f"{source.url}/size/5000"
    if by == "v1":
        image_id = user.made_by_v1(**FORMATS, location=url)
    else:
        image_id = user.create(**FORMATS)["id"]
        assert user.patch(image_id, add("locations/-", {"url": url, "metadata": {}})).status_code == 200
    image = assert_equal(user, image_id)
    assert (image["status"], image["size"], image["checksum"]) == ("active", 5000, None)
    assert (image["direct_url"], image["locations"]) == (url, [{"url": url, "metadata": {}}])
    answer = user.v1("GET", f"/{image_id}")
    assert answer.content == user.send("GET", f"/images/{image_id}/file").content == content(5000)
    assert url not in str(answer.headers)
    assert url not in str(user.detail())


# --- changed by one, read by the other -------------------------------------------


def test_changes_by_turns(user):
    image_id = user.made_by_v1(name="one", p_a="1", p_b="2")
    changes = [replace("name", "två"), replace("a", "11"), remove("b"), add("c", "3"), replace("tags", ["t"])]
    assert user.patch(image_id, *changes).status_code == 200
    assert user.head(image_id)[1] == {"a": "11", "c": "3"}
    assert assert_equal(user, image_id)["name"] == "två"
    answer = user.v1("PUT", f"/{image_id}", name="drei", min_ram=5, p_d="4")
    assert answer.status_code == 200
    image = assert_equal(user, image_id)
    assert properties_of(image) == {"d": "4"}
    assert (image["name"], image["min_ram"], image["tags"]) == ("drei", 5, ["t"])
    assert user.patch(image_id, replace("name", None), replace("min_ram", 0)).status_code == 200
    assert assert_equal(user, image_id)["name"] is None


def test_v1_keeps_what_it_does_not_know(user):
    before = user.create(**FORMATS, tags=["a", "b"], os_hidden=True, visibility="private")
    assert user.v1("PUT", f"/{before['id']}", name="n").status_code == 200
    after = assert_equal(user, before["id"])
    assert after == before | {"name": "n", "updated_at": after["updated_at"], "tags": after["tags"]}
    assert sorted(after["tags"]) == ["a", "b"]


@pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
def test_visibility(admin, other, visibility):
    image_id = admin.create(visibility=visibility)["id"]
    try:
        assert admin.head(image_id)[0]["is_public"] == str(visibility == "public")
        seen = 200 if visibility in ("public", "community") else 404
        assert other.v1("HEAD", f"/{image_id}").status_code == other.show(image_id).status_code == seen
        assert admin.v1("PUT", f"/{image_id}", is_public=False).status_code == 200
        assert admin.image(image_id)["visibility"] == ("shared" if visibility == "public" else visibility)
        assert admin.v1("PUT", f"/{image_id}", is_public=True).status_code == 200
        assert admin.image(image_id)["visibility"] == "public"
        assert other.show(image_id).status_code == 200
    finally:
        admin.delete(image_id)


def test_public_by_v1(admin, other):
    image_id = admin.made_by_v1(is_public=True)
    try:
        assert other.image(image_id)["visibility"] == "public"
        assert_equal(admin, image_id)
    finally:
        admin.delete(image_id)


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_protected(user, by):
    image_id = user.made_by_v1(protected=True) if by == "v1" else user.create(protected=True)["id"]
    assert user.v1("DELETE", f"/{image_id}").status_code == user.delete(image_id).status_code == 403
    if by == "v1":
        assert user.patch(image_id, replace("protected", False)).status_code == 200
        assert user.v1("DELETE", f"/{image_id}").status_code == 200
    else:
        assert user.v1("PUT", f"/{image_id}", protected=False).status_code == 200
        assert user.delete(image_id).status_code == 204


def test_deactivated(user, admin):
    image_id = user.made_by_v1(DATA, **FORMATS)
    assert user.send("POST", f"/images/{image_id}/actions/deactivate").status_code == 204
    assert assert_equal(user, image_id)["status"] == "deactivated"
    for caller in (user, admin):
        assert caller.v1("GET", f"/{image_id}").status_code == 403
    assert user.v1("PUT", f"/{image_id}", name="n").status_code == 200
    assert user.v1("PUT", f"/{image_id}", DATA).status_code == 409
    assert assert_equal(user, image_id)["status"] == "deactivated"
    assert user.send("POST", f"/images/{image_id}/actions/reactivate").status_code == 204
    assert user.v1("GET", f"/{image_id}").content == DATA


# --- members ---------------------------------------------------------------------


def can_share(user, image_id):
    """Members as v1 knows them."""
    answer = user.v1("GET", f"/{image_id}/members")
    assert answer.status_code == 200
    return {entry["member_id"]: entry["can_share"] for entry in answer.json()["members"]}


def statuses(user, image_id):
    """Members as v2 knows them."""
    answer = user.send("GET", f"/images/{image_id}/members")
    assert answer.status_code == 200
    return {entry["member_id"]: entry["status"] for entry in answer.json()["members"]}


def share(user, image_id, member, body=None):
    path = f"/images/{image_id}/members/{member.project}"
    return user.deployment.request("PUT", path, headers=user.headers, json=body).status_code


@pytest.mark.parametrize("shared", [True, False])
def test_members_of_v1(user, other, shared):
    image_id = user.made_by_v1(DATA, **FORMATS)
    assert share(user, image_id, other, {"member": {"can_share": shared}}) == 204
    assert statuses(user, image_id) == {other.project: "pending"}
    assert can_share(user, image_id) == {other.project: shared}
    path = f"/images/{image_id}/members/{other.project}"
    assert other.send("PUT", path, json={"status": "accepted"}).status_code == 200
    assert (statuses(user, image_id), can_share(user, image_id)) == (
        {other.project: "accepted"}, {other.project: shared},
    )  # fmt: skip
    assert share(user, image_id, other, {"member": {"can_share": not shared}}) == 204
    assert (statuses(user, image_id), can_share(user, image_id)) == (
        {other.project: "accepted"}, {other.project: not shared},
    )  # fmt: skip
    assert other.ids() == [image_id]
    assert user.v1("DELETE", f"/{image_id}/members/{other.project}").status_code == 204
    assert (statuses(user, image_id), can_share(user, image_id)) == ({}, {})
    assert other.show(image_id).status_code == other.v1("HEAD", f"/{image_id}").status_code == 404


def test_members_of_v2(user, other):
    image_id = user.active(DATA)["id"]
    user.share(image_id, other, "rejected")
    assert can_share(user, image_id) == can_share(other, image_id) == {other.project: False}
    assert other.v1("GET", f"/{image_id}").content == DATA
    shared = other.deployment.request("GET", f"/shared-images/{other.project}", headers=other.headers)
    assert shared.json() == {"shared_images": [{"image_id": image_id, "can_share": False}]}
    assert user.send("DELETE", f"/images/{image_id}/members/{other.project}").status_code == 204
    assert can_share(user, image_id) == {}


def test_who_may_share_by_v1_may_not_by_v2(user, other):
    image_id = user.made_by_v1()
    assert share(user, image_id, other, {"member": {"can_share": True}}) == 204
    third = User(user.deployment)
    assert share(other, image_id, third) == 204
    assert other.send("POST", f"/images/{image_id}/members", json={"member": "p"}).status_code == 403
    assert statuses(user, image_id) == {other.project: "pending", third.project: "pending"}


def test_replacing_all_members_keeps_their_status(user, other):
    image_id = user.create()["id"]
    user.share(image_id, other, "accepted")
    body = {"memberships": [{"member_id": other.project, "can_share": True}, {"member_id": "new"}]}
    answer = user.deployment.request("PUT", f"/images/{image_id}/members", headers=user.headers, json=body)
    assert answer.status_code == 204
    assert statuses(user, image_id) == {other.project: "accepted", "new": "pending"}
    assert can_share(user, image_id) == {other.project: True, "new": False}


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_members_rest_while_not_shared(user, other, visibility):
    image_id = user.made_by_v1()
    assert share(user, image_id, other) == 204
    assert user.patch(image_id, replace("visibility", visibility)).status_code == 200
    seen = 404 if visibility == "private" else 200
    assert other.v1("HEAD", f"/{image_id}").status_code == other.show(image_id).status_code == seen
    assert image_id not in other.detail()
    assert user.patch(image_id, replace("visibility", "shared")).status_code == 200
    assert other.v1("HEAD", f"/{image_id}").status_code == other.show(image_id).status_code == 200


# --- deleted by the other --------------------------------------------------------


@pytest.mark.parametrize("data", [None, DATA, b"external"])
@pytest.mark.parametrize("by", ["v1", "v2"])
def test_delete(user, admin, other, source, by, data):
    if data == b"external":
        image_id = user.made_by_v1(**FORMATS, location=f"{source.url}/size/10")
    elif by == "v1":
        image_id = user.active(data)["id"] if data else user.create()["id"]
    else:
        image_id = user.made_by_v1(data, **(FORMATS if data else {}))
    user.share(image_id, other)
    status = user.v1("DELETE", f"/{image_id}").status_code if by == "v1" else user.delete(image_id).status_code
    assert status == (200 if by == "v1" else 204)
    assert user.deployment.files(image_id) == []
    for caller in (user, other):
        assert caller.v1("HEAD", f"/{image_id}").status_code == caller.show(image_id).status_code == 404
    assert admin.show(image_id).status_code == 404
    attributes, _ = admin.head(image_id)
    assert (attributes["deleted"], attributes["status"]) == ("True", "deleted")
    assert user.post({"id": image_id}).status_code == 409
    assert user.v1("POST", id=image_id).status_code == 409


def test_foreign_images_cannot_be_deleted(user, other):
    made = [user.made_by_v1(DATA, **FORMATS), user.active(DATA)["id"]]
    for image_id in made:
        assert other.v1("DELETE", f"/{image_id}").status_code == other.delete(image_id).status_code == 404
        user.share(image_id, other)
        assert (other.v1("DELETE", f"/{image_id}").status_code, other.delete(image_id).status_code) == (404, 403)
        assert user.v1("GET", f"/{image_id}").content == DATA


# --- lists -----------------------------------------------------------------------


def test_both_lists_page_alike(user):
    for number in range(5):
        user.made_by_v1(name=f"n{number}")
        user.create(name=f"m{number}")
    for key in ("name", "created_at", "id"):
        for direction in ("asc", "desc"):
            query = {"sort_key": key, "sort_dir": direction, "limit": 1000}
            shown = user.deployment.request("GET", "/images/detail", headers=user.headers, params=query).json()
            by_v1 = [image["id"] for image in shown["images"] if image["owner"] == user.project]
            assert by_v1 == user.ids(query | {"owner": user.project})


def test_hidden_images(user):
    image_id = user.create(os_hidden=True)["id"]
    assert user.detail() == {}
    assert user.ids() == []
    assert user.ids({"os_hidden": "true"}) == [image_id]
    assert user.v1("HEAD", f"/{image_id}").status_code == 200
