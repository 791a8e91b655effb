"""What only this registry has: transfers, usage, quotas in bodies (architecture.rst, database.md §9)."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functional.registry.conftest import LOCATION

ACTIVE = {"status": "active", "disk_format": "raw", "container_format": "bare"}
SWAP = {"from_state": "queued"}


def transfers(admin):
    return {row["image_id"]: row for row in admin.ok("GET", "/transfers")["transfers"]}


def begin(caller, node="node", **values):
    """An image that ``node`` moves data into."""
    image_id = caller.create(**values)["id"]
    answer = caller.update(image_id, body=SWAP | {"transfer": node}, status="saving")
    assert answer.status_code == 200, answer.text
    return image_id


# --- transfers ----------------------------------------------------------------------------------


def test_the_life_of_a_transfer(user, admin):
    image_id = begin(user, "api@host:1:2:3")
    row = transfers(admin)[image_id]
    assert set(row) == {"image_id", "status", "node", "age"}
    assert (row["status"], row["node"]) == ("saving", "api@host:1:2:3")
    assert 0 <= row["age"] < 60
    assert user.update(image_id, body={"from_state": "saving"}, status="active").status_code == 200
    assert image_id not in transfers(admin)


@pytest.mark.parametrize("status", ["killed", "queued"])
def test_a_transfer_ends_with_its_status(alone, user, admin, status):
    image_id = begin(user)
    assert user.update(image_id, status=status).status_code == 200
    assert image_id not in transfers(admin)
    assert alone.sql("SELECT * FROM glance_transfers WHERE image_id = ?", image_id) == []


def test_a_transfer_ends_with_its_image(alone, user, admin):
    image_id = begin(user)
    user.ok("DELETE", f"/images/{image_id}")
    assert image_id not in transfers(admin)


def test_an_upload_of_nobody(user, admin):
    """An API server of somebody else says nothing."""
    image_id = user.create()["id"]
    assert user.update(image_id, body=SWAP, status="saving").status_code == 200
    assert transfers(admin)[image_id] == {"image_id": image_id, "status": "saving", "node": None, "age": None}


def test_a_lost_swap_begins_no_transfer(user, admin):
    image_id = begin(user, "first")
    assert user.update(image_id, body=SWAP | {"transfer": "second"}, status="saving").status_code == 409
    assert transfers(admin)[image_id]["node"] == "first"


def test_a_beat(alone, user, other, admin):
    """It renews what one statement names, and passes over the rest."""
    mine, another = begin(user), begin(user)
    done = user.create(**ACTIVE)["id"]
    alone.sql("UPDATE glance_transfers SET beat = '2020-01-01 00:00:00.000000' WHERE image_id IN (?, ?)", mine, another)
    assert transfers(admin)[mine]["age"] > 86400
    images = [mine, done, mine, str(uuid.uuid4()), "x", "", "\x00", "\U0001f600", "x" * 9000]
    answer = user.ask("PUT", "/transfers", {"node": "node", "images": images, "nonsense": 1})
    assert (answer.status_code, answer.content) == (204, b"")
    found = transfers(admin)
    assert found[mine]["age"] < 60
    assert found[another]["age"] > 86400
    assert done not in found


def test_a_beat_for_an_upload_of_nobody(user, admin):
    """The row may have been lost: the beat brings it back."""
    image_id = user.create()["id"]
    assert user.update(image_id, body=SWAP, status="saving").status_code == 200
    assert user.ask("PUT", "/transfers", {"node": "found", "images": [image_id]}).status_code == 204
    assert transfers(admin)[image_id]["node"] == "found"


def test_a_beat_for_many(user, admin):
    ids = [begin(user) for _ in range(5)]
    images = ids + [str(uuid.uuid4()) for _ in range(3000)]
    assert user.ask("PUT", "/transfers", {"node": "node", "images": images}).status_code == 204
    assert set(ids) <= set(transfers(admin))


def test_transfers_are_the_services_business(user):
    assert user.ask("GET", "/transfers").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"5", b'"x"', b"{}", b'{"node": "n"}', b'{"images": []}', b"[" * 50_000,
        b'{"node": "n", "images": null}', b'{"node": "n", "images": {}}', b'{"node": "n", "images": "x"}',
        b'{"node": "n", "images": [5]}', b'{"node": "n", "images": [null]}', b'{"node": "n", "images": [["x"]]}',
        b'{"node": 5, "images": []}', b'{"node": null, "images": []}', b'{"node": [], "images": ["x"]}',
        b'{"node": "\\u0000", "images": []}', b'{"node": "\\ud83d\\ude00", "images": []}',
        b'{"node": "' + b"n" * 256 + b'", "images": []}',
    ],
    ids=lambda body: body[:40].decode(),
)  # fmt: skip
def test_bad_beats(user, body):
    assert user.ask("PUT", "/transfers", body).status_code == 400


@pytest.mark.parametrize("bad", [5, True, [], ["n"], {}, "n" * 256, "\x00", "\U0001f600", 1.5], ids=ascii)
def test_bad_transfers(user, admin, bad):
    image_id = user.create()["id"]
    assert user.update(image_id, body=SWAP | {"transfer": bad}, status="saving").status_code == 400
    assert user.show(image_id)["status"] == "queued"
    assert image_id not in transfers(admin)


# --- usage --------------------------------------------------------------------------------------


def usage(caller, owner):
    return caller.ok("GET", "/usage", params={"owner": owner})["usage"]


def test_usage(user, other, admin):
    """Size times places, of what is stored; an administrator asks for anybody."""
    assert usage(user, user.tenant) == 0
    user.create(**ACTIVE, size=100, location=LOCATION)
    user.create(**ACTIVE, size=30, location_data=[{"url": "a"}, {"url": "b"}])
    user.create(size=1000)
    gone = user.create(**ACTIVE, size=5000, location=LOCATION)["id"]
    user.ok("DELETE", f"/images/{gone}")
    other.create(**ACTIVE, size=7, location=LOCATION)
    assert usage(user, user.tenant) == usage(admin, user.tenant) == 160
    assert usage(other, other.tenant) == 7
    assert usage(admin, "nobody at all") == 0
    assert isinstance(admin.ok("GET", "/usage")["usage"], int)


def test_usage_beyond_64_bits(user, admin):
    for _ in range(3):
        user.create(**ACTIVE, size=2**63 - 1, location=LOCATION)
    answer = user.ask("GET", "/usage", params={"owner": user.tenant})
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"] >= 2**63 - 1


@pytest.mark.parametrize("owner", ["", "%00", "%f0%9f%98%80", "%ff", "x" * 5000])
def test_usage_of_others(user, admin, owner):
    assert user.ask("GET", f"/usage?owner={owner}").status_code in (400, 403)
    assert user.ask("GET", "/usage").status_code == 403
    assert admin.ask("GET", f"/usage?owner={owner}").status_code in (200, 400)


def test_max_usage(user):
    """413 when the owner would store more; nothing is changed then."""
    user.create(**ACTIVE, size=100, location=LOCATION)
    image_id = user.create(size=0)["id"]
    full = {"status": "active", "size": 50, "location_data": [{"url": "x"}], "properties": {"a": "1"}}
    answer = user.update(image_id, body={"max_usage": 149}, **full)
    assert answer.status_code == 413
    found = user.show(image_id)
    assert (found["status"], found["size"], found["location"], found["properties"]) == ("queued", 0, None, {})
    assert user.update(image_id, body={"max_usage": 150}, **full).status_code == 200
    assert usage(user, user.tenant) == 150


def test_max_usage_at_the_same_time(user):
    """Of eight that would each fit, as many win as fit together."""
    ids = [user.create(size=0)["id"] for _ in range(8)]

    def activate(image_id):
        values = {"status": "active", "size": 10, "location_data": [{"url": image_id}]}
        return user.update(image_id, body={"max_usage": 30}, **values).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(activate, ids)) == [200] * 3 + [413] * 5
    assert usage(user, user.tenant) == 30


def test_max_usage_counts_the_owner(user, admin):
    """Whoever sends the request, the bytes are the owner's."""
    user.create(**ACTIVE, size=100, location=LOCATION)
    image_id = user.create(size=0)["id"]
    values = {"status": "active", "size": 50, "location_data": [{"url": "x"}]}
    assert admin.update(image_id, body={"max_usage": 149}, **values).status_code == 413


@pytest.mark.parametrize("bad", ["5", "x", "", 1.5, True, False, [], {}, [5]])
def test_bad_quotas(user, bad):
    image_id = user.create(name="n")["id"]
    assert user.update(image_id, body={"max_usage": bad}, name="after").status_code == 400
    assert user.ask("POST", "/images", {"image": {"status": "queued"}, "max_count": bad}).status_code == 400
    assert user.listed() == ["n"]


@pytest.mark.parametrize("quota", [2**31, 2**63, 2**64, 10**30])
def test_quotas_beyond_what_a_column_holds(user, quota):
    image_id = user.create()["id"]
    answer = user.update(image_id, body={"max_usage": quota}, size=5, location="x")
    assert answer.status_code == 200, answer.text
    answer = user.ask("POST", "/images", {"image": {"status": "queued"}, "max_count": quota})
    assert answer.status_code == 200, answer.text


def test_null_is_no_quota(user):
    image_id = user.create()["id"]
    assert user.update(image_id, body={"max_usage": None, "transfer": None}, size=5, location="x").status_code == 200
    user.ok("POST", "/images", {"image": {"status": "queued"}, "max_count": None})


def create(caller, max_count):
    return caller.ask("POST", "/images", {"image": {"status": "queued"}, "max_count": max_count}).status_code


def test_max_count(user, other):
    assert [create(user, 2) for _ in range(3)] == [200, 200, 413]
    assert create(other, 2) == 200
    assert create(user, 0) == 413
    assert create(user, 3) == 200
    gone = user.ok("GET", "/images/detail")["images"]
    mine = next(image["id"] for image in gone if image["owner"] == user.tenant)
    user.ok("DELETE", f"/images/{mine}")
    assert [create(user, 3) for _ in range(2)] == [200, 413]


def test_max_count_at_the_same_time(user):
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: create(user, 3), range(8))) == [200] * 3 + [413] * 5
    assert len(user.listed()) == 3


# --- bodies of every route ----------------------------------------------------------------------

WRITES = [("POST", "/images"), ("PUT", "/images/{id}"), ("PUT", "/transfers"), ("PUT", "/images/{id}/members")]


@pytest.fixture
def image_id(user):
    return user.create(name="before")["id"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"}", b"{]", b"x", b"null", b"true", b"5", b"1e999", b'"x"', b"[]", b"[{}]", b"{}", b"\xff\xfe{}",
        b"{'image': {}}", b'{"image": {}', b'{"image": {}} x', b'{"image": null}', b'{"image": []}', b'{"image": 5}',
        b'{"image": "x"}', b'{"Image": {}}', b'{"image": [{}]}', b"\x00", b'{"image": {"name": "\xff"}}',
        b"[" * 200_000, b'{"a":' * 100_000, b'{"image": ' * 5000 + b"{}" + b"}" * 5000,
        b'{"image": {"status": "queued", "size": NaN}}', b'{"image": {"status": "queued", "size": Infinity}}',
        b'{"image": {"status": "queued", "size": ' + b"9" * 10_000 + b"}}",
        b'{"image": {"status": "queued", "size": 1e400}}',
        b'{"image": {"status": "queued", "properties": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}}",
    ],
    ids=lambda body: repr(body[:36]),
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_malformed_bodies(user, image_id, method, path, body):
    answer = user.ask(method, path.format(id=image_id), body)
    assert answer.status_code == 400, answer.text
    assert "Traceback" not in answer.text
    assert user.listed() == ["before"]


def test_deep_json_where_nobody_looks(user):
    """Unknown keys may hold what they like, as deep as the parser goes."""
    deep = b"[" * 900 + b"]" * 900
    user.ok("POST", "/images", b'{"image": {"status": "queued", "name": "deep", "nonsense": ' + deep + b"}}")
    assert user.listed() == ["deep"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_oversized_bodies(user, image_id, method, path, chunked):
    """More than 1 MiB is too much, announced or not."""
    body = json.dumps({"image": {"name": "big", "nonsense": "x" * (1 << 20)}}).encode()
    given = iter([body[: 1 << 19], body[1 << 19 :]]) if chunked else body
    answer = user._deployment.registry_request(method, path.format(id=image_id), headers=user.headers, data=given)
    assert answer.status_code == 413
    assert user.listed() == ["before"]


def test_the_largest_body(user):
    frame = {"image": {"status": "queued", "name": "large", "nonsense": ""}}
    frame["image"]["nonsense"] = "x" * ((1 << 20) - len(json.dumps(frame)))
    body = json.dumps(frame).encode()
    assert len(body) == 1 << 20
    user.ok("POST", "/images", body)
    assert user.listed() == ["large"]


def test_the_content_type_does_not_matter(user):
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        answer = user.ask("POST", "/images", b'{"image": {"status": "queued"}}', headers={"Content-Type": kind})
        assert answer.status_code == 200, kind


def test_byte_order_marks_and_other_encodings(user):
    text = '{"image": {"status": "queued", "name": "é"}}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"):
        assert user.ask("POST", "/images", text.encode(encoding)).status_code in (200, 400), encoding
    assert set(user.listed()) == {"é"}


@pytest.mark.parametrize("image_id", ["x", "1", "detail%00", "%00", "%ff", "%f0%9f%98%80", "x" * 5000])
def test_ids_that_are_none(user, admin, image_id):
    for caller in (user, admin):
        assert caller.ask("GET", f"/images/{image_id}").status_code in (400, 404)
        assert caller.ask("PUT", f"/images/{image_id}", {"image": {}}).status_code in (400, 404)
        assert caller.ask("DELETE", f"/images/{image_id}").status_code in (400, 404)
        assert caller.ask("GET", f"/images/{image_id}/members").status_code in (400, 404)
        assert caller.ask("PUT", f"/images/{image_id}/members/m").status_code in (400, 404)
