"""Locations through PATCH, and what shows them (spec v2-images.md §4, §6.3)."""

import hashlib
import socket

import pytest

from tests.functional.v1.source import content
from tests.functional.v2.conftest import FORMATS, LOCATIONS, OLD, QUOTA, Caller, add, remove, replace

SHA = hashlib.sha512(content(100)).hexdigest()
MD5 = hashlib.md5(content(100)).hexdigest()


@pytest.fixture
def api(tuned):
    return tuned


@pytest.fixture
def place(source):
    """A location of ``size`` bytes; those of different sizes differ."""

    def make(size=100, **more):
        return {"url": f"{source.url}/size/{size}", "metadata": {}} | more

    return make


@pytest.fixture
def queued(user):
    return user.create(**FORMATS)


@pytest.fixture
def located(user, queued, place):
    """An active image with one http location of 100 bytes."""
    answer = user.patch(queued["id"], add("locations/-", place()))
    assert answer.status_code == 200, answer.text
    return answer.json()


def urls(image):
    return [entry["url"] for entry in image["locations"]]


# --- showing ---------------------------------------------------------------------


def test_shown(user, queued, located, place):
    assert queued["locations"] == []
    assert "direct_url" not in queued
    assert located["locations"] == [place()]
    assert located["direct_url"] == place()["url"]
    assert user.image(located["id"]) == located
    assert user.page({"id": located["id"]}).json()["images"] == [located]


def test_shown_after_upload(user, api):
    image = user.active()
    assert urls(image) == [f"file://{api.images}/{image['id']}"]
    assert image["direct_url"] == image["locations"][0]["url"]


def test_not_shown_to_whom_policy_denies_it(user, located):
    shown = user.without("get_image_location").image(located["id"])
    assert shown["locations"] == []
    assert "direct_url" not in shown


def test_not_shown_by_default(usual):
    assert not {"locations", "direct_url"} & set(Caller(usual).active())


# --- adding ----------------------------------------------------------------------


def test_first_makes_it_active(located):
    assert (located["status"], located["size"]) == ("active", 100)
    assert (located["checksum"], located["os_hash_algo"], located["os_hash_value"]) == (None, None, None)


def test_data_can_be_fetched(user, located):
    answer = user.send("GET", f"/images/{located['id']}/file")
    assert answer.content == content(100)
    assert "Content-MD5" not in answer.headers


@pytest.mark.parametrize("index", ["-", "1", "9", "0"])
def test_add_more(user, located, place, index):
    more = place(200, metadata={"a": "b", "c": ["d", {"e": "f"}]})
    answer = user.patch(located["id"], add(f"locations/{index}", more))
    assert answer.status_code == 200, answer.text
    expected = [more, place()] if index == "0" else [place(), more]
    assert answer.json()["locations"] == expected
    assert answer.json()["size"] == 100
    assert user.image(located["id"])["locations"] == expected


def test_add_in_the_older_syntax(user, queued, place):
    answer = user.send_patch(queued["id"], OLD, [{"add": "/locations/-", "value": place()}])
    assert (answer.status_code, answer.json()["locations"]) == (200, [place()])


@pytest.mark.parametrize("index", ["x", "-1", "1.5", "+1", "--", "1x", "٣"])
def test_bad_index(user, located, place, index):
    assert user.patch(located["id"], add(f"locations/{index}", place(200))).status_code == 400
    assert user.patch(located["id"], remove(f"locations/{index}")).status_code == 400
    assert user.image(located["id"]) == located


@pytest.mark.parametrize("missing", ["disk_format", "container_format"])
def test_formats_are_needed(user, place, missing):
    image = user.create(**{name: value for name, value in FORMATS.items() if name != missing})
    for change in (add("locations/-", place()), replace("locations", [place()])):
        assert user.patch(image["id"], change).status_code == 400
    assert user.image(image["id"]) == image
    answer = user.patch(image["id"], add("locations/-", place()), add(missing, FORMATS[missing]))
    assert (answer.status_code, answer.json()["status"]) == (200, "active")


@pytest.mark.parametrize("status", ["saving", "deactivated", "killed", "uploading", "importing"])
def test_status(user, queued, place, status):
    user.deployment.sql("UPDATE images SET status = ? WHERE id = ?", status, queued["id"])
    for change in (add("locations/-", place()), replace("locations", [place()]), remove("locations/0")):
        assert user.patch(queued["id"], change).status_code == 409


def test_remove_while_queued(user, queued):
    assert user.patch(queued["id"], remove("locations/0")).status_code == 409


@pytest.mark.parametrize(
    "value",
    [None, "http://127.0.0.1/x", {}, [], {"url": "{url}"}, {"metadata": {}}, {"url": "{url}", "metadata": None},
     {"url": "{url}", "metadata": []}, {"url": 1, "metadata": {}}, {"url": "", "metadata": {}},
     {"url": "http://127.0.0.1/" + "x" * 255, "metadata": {}}, {"url": "{url}", "metadata": {"a": 1}},
     {"url": "{url}", "metadata": {"a": None}}, {"url": "{url}", "metadata": {"a": [True]}},
     {"url": "{url}", "metadata": {}, "status": "active"}, {"url": "{url}", "metadata": {}, "frob": "x"}],
    ids=str,
)  # fmt: skip
def test_bad_value(user, queued, place, value):
    if isinstance(value, dict) and value.get("url") == "{url}":
        value = {**value, "url": place()["url"]}
    assert user.patch(queued["id"], add("locations/-", value)).status_code == 400
    assert user.patch(queued["id"], replace("locations", [value])).status_code == 400
    assert user.image(queued["id"]) == queued


@pytest.mark.parametrize(
    "url",
    ["file:///{directory}/decoy", "FILE:///{directory}/decoy", "filesystem:///{directory}/decoy",
     "swift+config://ref/c/o",
     "frob://127.0.0.1/x", "ftp://127.0.0.1/x", "rbd://fsid/pool/image/snap", "x", "/{directory}/decoy",
     "http://", "http://127.0.0.1:99999/x", "http:///x", "file:/{directory}/decoy", " file:///{directory}/decoy",
     "http://127.0.0.1:{closed}/x", "{source}/status/404", "{source}/status/500", "{source}/status/302",
     "{source}/size/0",
     "http://10.255.255.1/x"],
)  # fmt: skip
def test_bad_url(user, queued, source, tmp_path, url):
    (tmp_path / "decoy").write_text("decoy")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = url.format(directory=str(tmp_path).lstrip("/"), source=source.url, closed=closed.getsockname()[1])
        for change in (
            add("locations/-", {"url": url, "metadata": {}}),
            replace("locations", [{"url": url, "metadata": {}}]),
        ):
            answer = user.patch(queued["id"], change)
            assert answer.status_code == 400, answer.text
            assert "decoy" not in answer.text
    assert user.image(queued["id"]) == queued


def test_password_is_not_told(user, queued):
    location = {"url": "http://user:pass-word@127.0.0.1:1/x", "metadata": {}}
    for change in (add("locations/-", location), replace("locations", [location])):
        answer = user.patch(queued["id"], change)
        assert answer.status_code == 400
        assert "pass-word" not in answer.text
    assert "pass-word" not in user.deployment.api.log.read_text()


def test_the_same_again(user, located, place):
    assert user.patch(located["id"], add("locations/-", place())).status_code == 400
    twice = [add("locations/-", place(200)), add("locations/-", place(200))]
    assert user.patch(located["id"], *twice).status_code == 400
    assert user.image(located["id"]) == located
    assert user.patch(located["id"], add("locations/-", place(metadata={"a": "b"}))).status_code == 200


def test_number_of_locations(user, located, place):
    for number in range(1, LOCATIONS):
        assert user.patch(located["id"], add("locations/-", place(100 + number))).status_code == 200
    assert user.patch(located["id"], add("locations/-", place(500))).status_code == 413
    assert len(user.image(located["id"])["locations"]) == LOCATIONS


def test_number_of_locations_at_once(user, queued, place):
    answer = user.patch(queued["id"], replace("locations", [place(100 + n) for n in range(LOCATIONS + 1)]))
    assert answer.status_code == 413
    assert user.image(queued["id"]) == queued


def test_storage_quota(user, place):
    image = user.create(**FORMATS)
    assert user.patch(image["id"], add("locations/-", place(QUOTA + 1))).status_code == 413
    assert user.image(image["id"]) == image
    assert user.patch(image["id"], add("locations/-", place(QUOTA))).status_code == 200
    assert user.patch(image["id"], add("locations/-", place(QUOTA - 1))).status_code == 413
    assert len(user.image(image["id"])["locations"]) == 1


# --- validation data -------------------------------------------------------------


def test_validation_data(user, queued, place):
    data = {"os_hash_algo": "sha512", "os_hash_value": SHA, "checksum": MD5}
    image = user.patch(queued["id"], add("locations/-", place(validation_data=data))).json()
    assert (image["os_hash_algo"], image["os_hash_value"], image["checksum"]) == ("sha512", SHA, MD5)
    assert image["locations"] == [place()]


def test_validation_data_of_the_next(user, queued, place):
    data = {"os_hash_algo": "sha512", "os_hash_value": SHA}
    assert user.patch(queued["id"], replace("locations", [place(validation_data=data)])).status_code == 200
    assert user.patch(queued["id"], add("locations/-", place(200, validation_data=data))).status_code == 200
    other = {**data, "os_hash_value": "0" * 128}
    assert user.patch(queued["id"], add("locations/-", place(300, validation_data=other))).status_code == 409
    late = {**data, "checksum": MD5}
    assert user.patch(queued["id"], add("locations/-", place(300, validation_data=late))).status_code == 409


def test_validation_data_is_too_late(user, located, place):
    data = {"os_hash_algo": "sha512", "os_hash_value": SHA}
    assert user.patch(located["id"], add("locations/-", place(200, validation_data=data))).status_code == 409
    assert user.image(located["id"]) == located


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({}, 400), (None, 400), ("x", 400), ({"os_hash_algo": "sha512"}, 400), ({"os_hash_value": SHA}, 400),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA, "frob": "x"}, 400),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA, "checksum": "x"}, 400),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA, "checksum": MD5 + "0"}, 400),
        ({"os_hash_algo": "sha512", "os_hash_value": 1}, 400),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA + "00"}, 400),
        ({"os_hash_algo": "sha256", "os_hash_value": SHA[:64]}, 409),
        ({"os_hash_algo": "x", "os_hash_value": SHA}, 409),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA[1:]}, 409),
        ({"os_hash_algo": "sha512", "os_hash_value": ""}, 409),
        ({"os_hash_algo": "sha512", "os_hash_value": "g" * 128}, 409),
        ({"os_hash_algo": "sha512", "os_hash_value": SHA, "checksum": "g" * 32}, 409),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_bad_validation_data(user, queued, place, data, status):
    location = place(validation_data=data)
    assert user.patch(queued["id"], add("locations/-", location)).status_code == status
    assert user.patch(queued["id"], replace("locations", [location])).status_code == status
    assert user.image(queued["id"]) == queued


# --- replacing -------------------------------------------------------------------


def test_replace_none(user, queued, place):
    answer = user.patch(queued["id"], replace("locations", [place(), place(200)]))
    assert answer.status_code == 200
    assert answer.json()["locations"] == [place(), place(200)]
    assert (answer.json()["status"], answer.json()["size"]) == ("active", 100)


def test_replace_by_nothing(user, queued, located):
    assert user.patch(located["id"], replace("locations", [])).status_code == 403
    assert user.image(located["id"]) == located


@pytest.mark.parametrize("value", [None, "x", {}, [1]])
def test_replace_by_what_is_no_list(user, located, value):
    assert user.patch(located["id"], replace("locations", value)).status_code == 400


def test_another_order_and_metadata(user, queued, place):
    user.patch(queued["id"], replace("locations", [place(), place(200)]))
    wanted = [place(200, metadata={"a": "b"}), place(metadata={"c": "d"})]
    answer = user.patch(queued["id"], replace("locations", wanted))
    assert (answer.status_code, answer.json()["locations"]) == (200, wanted)
    assert user.image(queued["id"])["locations"] == wanted


def test_other_urls(user, queued, place):
    both = [place(), place(200)]
    image = user.patch(queued["id"], replace("locations", both)).json()
    for wanted in ([place()], [place(), place(300)], [*both, place(300)], [place(), place()]):
        assert user.patch(image["id"], replace("locations", wanted)).status_code == 400
    assert user.image(image["id"]) == image


# --- removing --------------------------------------------------------------------


@pytest.mark.parametrize(("index", "left"), [("0", [200]), ("1", [100]), ("-", [100])])
def test_remove(user, queued, place, index, left):
    user.patch(queued["id"], replace("locations", [place(), place(200)]))
    answer = user.patch(queued["id"], remove(f"locations/{index}"))
    assert answer.status_code == 200
    assert answer.json()["locations"] == [place(size) for size in left]
    assert user.image(queued["id"])["locations"] == [place(size) for size in left]
    assert answer.json()["size"] == 100


def test_remove_the_last(user, located):
    for index in ("0", "-"):
        assert user.patch(located["id"], remove(f"locations/{index}")).status_code == 403
    assert user.image(located["id"]) == located


def test_remove_what_is_not_there(user, located, place):
    for index in ("1", "7"):
        assert user.patch(located["id"], remove(f"locations/{index}")).status_code == 400
    assert user.patch(located["id"], add("locations/-", place(200)), remove("locations/2")).status_code == 400
    assert user.image(located["id"]) == located


def test_remove_takes_the_data(user, place):
    image = user.active()
    assert user.deployment.files(image["id"])
    assert user.patch(image["id"], add("locations/-", place(4)), remove("locations/0")).status_code == 200
    assert urls(user.image(image["id"])) == [place(4)["url"]]
    assert not user.deployment.files(image["id"])
    assert user.send("GET", f"/images/{image['id']}/file").content == content(4)


def test_data_that_cannot_be_removed(user, place, api):
    image = user.active()
    assert user.patch(image["id"], add("locations/-", place(4))).status_code == 200
    api.images.chmod(0o500)
    try:
        answer = user.patch(image["id"], remove("locations/0"))
    finally:
        api.images.chmod(0o755)
    assert answer.status_code == 500
    assert urls(user.image(image["id"])) == [image["locations"][0]["url"], place(4)["url"]]
    assert user.send("GET", f"/images/{image['id']}/file").content == b"data"


# --- who -------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["set_image_location", "delete_image_location"])
def test_policies(user, queued, place, rule):
    image = user.patch(queued["id"], replace("locations", [place(), place(200)])).json()
    caller = user.without(rule)
    changes = {
        "set_image_location": [add("locations/-", place(300)), replace("locations", [place(200), place()])],
        "delete_image_location": [remove("locations/0")],
    }
    for change in changes[rule]:
        assert caller.patch(image["id"], change).status_code == 403
        assert user.image(image["id"]) == image
    for name in changes.keys() - {rule}:
        assert caller.patch(image["id"], *changes[name][:1]).status_code == 200


def test_strangers_and_members(user, other, located, place):
    for change in (add("locations/-", place(200)), remove("locations/0"), replace("locations", [place()])):
        assert other.patch(located["id"], change).status_code == 404
    user.share(located["id"], other, "accepted")
    for change in (add("locations/-", place(200)), remove("locations/0"), replace("locations", [place()])):
        assert other.patch(located["id"], change).status_code == 403
    assert user.image(located["id"]) == located


def test_urls_are_encrypted(api, located, place):
    ((stored,),) = api.sql("SELECT value FROM image_locations WHERE image_id = ?", located["id"])
    assert "127.0.0.1" not in stored
