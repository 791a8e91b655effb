"""``glance.client.Client``, method by method."""

import io
import json
import subprocess
import sys

import pytest

import glance.client
from glance.client import Client, V1Client, get_client
from glance.common import exception

META = {"name": "x", "disk_format": "raw", "container_format": "ovf"}


def test_names():
    assert Client is V1Client


@pytest.mark.parametrize("word", ["eventlet", "sqlalchemy", "webob", "oslo", "paste", "requests", "urllib3"])
def test_the_client_needs_nothing_of_the_server(word):
    program = f"""
import sys
for blocked in ("eventlet", "sqlalchemy", "webob", "routes", "paste", "oslo_config", "oslo_log", "requests", "urllib3"):
    sys.modules[blocked] = None
import glance.client, glance.common.exception
print([name for name in sys.modules if name.startswith({word!r}) and sys.modules[name]])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_defaults():
    client = Client("glance.example.com")
    assert (client.origin.host, client.origin.port, client.origin.use_ssl) == ("glance.example.com", 9292, False)
    assert str(Client("::1", 1).origin) == "http://[::1]:1"


def test_add_and_read(client, peer):
    added = client.add_image(
        {**META, "is_public": True, "owner": None, "properties": {"distro": "Ubuntu 10.10"}}, b"data"
    )
    sent = peer.seen[0]
    assert (sent.method, sent.path, sent.body) == ("POST", "/v1/images", b"data")
    assert sent.headers["content-type"] == "application/octet-stream"
    assert sent.headers["x-image-meta-size"] == "4"
    assert sent.headers["x-image-meta-is_public"] == "True"
    assert "x-image-meta-owner" not in sent.headers
    assert added["status"] == "active"
    meta, blocks = client.get_image(added["id"])
    assert b"".join(blocks) == b"data"
    assert meta == client.get_image_meta(added["id"])
    assert meta["size"] == 4
    assert meta["is_public"] is True
    assert meta["properties"] == {"distro": "Ubuntu 10.10"}


def test_add_without_data_is_queued(client, peer):
    assert client.add_image(META)["status"] == "queued"
    assert "content-type" not in peer.seen[0].headers
    assert "x-image-meta-size" not in peer.seen[0].headers


@pytest.mark.parametrize("kind", ["text", "binary file", "text file", "stream"])
def test_kinds_of_data(client, peer, tmp_path, kind):
    (tmp_path / "f").write_text("some déta")
    data = {
        "text": lambda: "some déta",
        "binary file": lambda: (tmp_path / "f").open("rb"),
        "text file": (tmp_path / "f").open,
        "stream": lambda: iter(["some déta".encode()]),
    }[kind]()
    client.add_image(META, data)
    seen = peer.seen[0]
    assert seen.body.decode() == "some déta"
    assert seen.headers.get("x-image-meta-size") == (None if kind == "stream" else "10")
    assert ("content-length" in seen.headers) != ("transfer-encoding" in seen.headers)
    if kind.endswith("file"):
        data.close()


def test_a_given_size_is_passed_on(client, peer):
    client.add_image({**META, "size": 99}, io.BytesIO(b"abc"))
    assert peer.seen[0].headers["x-image-meta-size"] == "99"


def test_features_and_type(client, peer):
    client.add_image({**META, "type": "kernel"}, features={"X-Glance-API-Copy-From": "http://h/i"})
    assert peer.seen[0].headers["x-glance-api-copy-from"] == "http://h/i"
    assert peer.seen[0].headers["x-image-meta-type"] == "kernel"


def test_lists(client, peer):
    ids = [client.add_image({**META, "name": f"image {n}", "properties": {"n": n}})["id"] for n in range(3)]
    for get, path in ((client.get_images, "/v1/images"), (client.get_images_detailed, "/v1/images/detail")):
        images = get()
        assert [image["id"] for image in images] == ids
        assert images[0]["uri"] == f"http://127.0.0.1:{peer.port}/v1/images/{ids[0]}"
        filters = {"name": "image 1", "status": None, "properties": {"n": "1"}, "property-x": None}
        assert [image["id"] for image in get(filters, limit=2, sort_key="name", sort_dir="asc")] == ids[1:2]
        assert peer.seen[-1].path == path
        assert peer.seen[-1].query == {
            "name": "image 1",
            "property-n": "1",
            "limit": "2",
            "sort_key": "name",
            "sort_dir": "asc",
        }
        assert [image["id"] for image in get(marker=images[0]["uri"])] == ids[1:]
        assert get({"name": "none"}) == []


@pytest.mark.parametrize(
    "given, path",
    [
        (1, "/v1/images/1"),
        ("http://glance.example.com/images/1", "/v1/images/1"),
        ("http://glance.example.com:9292/v1/images/a-b/?x=1", "/v1/images/a-b"),
        ("a b?c#d", "/v1/images/a%20b%3Fc%23d"),
    ],
)
def test_ids(client, peer, given, path):
    peer.on("DELETE", path, 200)
    assert client.delete_image(given) is True


@pytest.mark.parametrize("given", ["", "  ", "http://glance.example.com/"])
def test_an_empty_id_reaches_no_list(client, peer, given):
    with pytest.raises(exception.Invalid):
        client.delete_image(given)
    assert peer.seen == []


def test_update(client, peer):
    image_id = client.add_image({**META, "properties": {"a": "1"}})["id"]
    updated = client.update_image(image_id, {"name": "new", "properties": {"b": "2"}})
    assert (updated["name"], updated["properties"]) == ("new", {"b": "2"})
    client.update_image(image_id, {"disk_format": "raw"}, b"data")
    assert peer.seen[-1].method == "PUT"
    assert peer.seen[-1].body == b"data"


def test_delete(client):
    image_id = client.add_image(META)["id"]
    assert client.delete_image(image_id) is True
    with pytest.raises(exception.NotFound):
        client.delete_image(image_id)


def test_members(client, peer):
    image_id = client.add_image(META)["id"]
    assert client.add_member(image_id, "t1") is True
    assert (peer.seen[-1].body, peer.seen[-1].headers["content-length"]) == (b"", "0")
    assert client.add_member(image_id, "t2", True) is True
    assert json.loads(peer.seen[-1].body) == {"member": {"can_share": True}}
    assert client.get_image_members(image_id) == [
        {"member_id": "t1", "can_share": False},
        {"member_id": "t2", "can_share": True},
    ]
    client.add_member(image_id, "t2")
    assert client.get_member_images("t2") == [{"image_id": image_id, "can_share": True}]
    assert client.replace_members(image_id, {"member_id": "t2"}, {"member_id": "a/b", "can_share": False}) is True
    assert json.loads(peer.seen[-1].body) == {
        "memberships": [{"member_id": "t2"}, {"member_id": "a/b", "can_share": False}]
    }
    assert client.get_image_members(image_id)[0] == {"member_id": "t2", "can_share": True}
    assert client.delete_member(image_id, "a/b") is True
    assert peer.seen[-1].path.endswith("/members/a%2Fb")


def test_deleting_a_membership_that_is_not_there_is_no_error_but_a_missing_image_is(client, peer):
    image_id = client.add_image(META)["id"]
    assert client.delete_member(image_id, "nobody") is True
    with pytest.raises(exception.NotFound):
        client.delete_member("gone", "nobody")
    client.add_member(image_id, "t1")
    peer.on("DELETE", f"/v1/images/{image_id}/members/t1", 404, "not yours to share")
    with pytest.raises(exception.NotFound):
        client.delete_member(image_id, "t1")


def test_cache(client, peer):
    entry = {"image_id": "i", "hits": 1, "last_accessed": 1.5, "last_modified": 1.5, "size": 3}
    peer.on("GET", "/v1/cached_images", 200, json.dumps({"cached_images": [entry]}))
    peer.on("GET", "/v1/queued_images", 200, '{"queued_images": ["i"]}')
    peer.on("DELETE", "/v1/cached_images", 200, '{"num_deleted": 3}')
    peer.on("DELETE", "/v1/queued_images", 200, '{"num_deleted": 0}')
    for method, path in (
        ("DELETE", "/v1/cached_images/i"),
        ("DELETE", "/v1/queued_images/i"),
        ("PUT", "/v1/queued_images/i"),
    ):
        peer.on(method, path, 200, "null")
    assert client.get_cached_images() == [entry]
    assert client.get_queued_images() == ["i"]
    assert client.delete_all_cached_images() == 3
    assert client.delete_all_queued_images() == 0
    assert client.delete_cached_image("i") is True
    assert client.queue_image_for_caching("i") is True
    assert client.delete_queued_image("i") is True


def test_a_download_cut_short_is_an_error(client, peer):
    peer.script["GET", "/v1/images/i"] = lambda seen: (200, {"Content-Length": "10", "Connection": "close"}, b"12345")
    _, blocks = client.get_image("i")
    with pytest.raises(exception.ClientConnectionError):
        list(blocks)


def test_token(client, peer):
    client.get_images()
    client.set_auth_token("t")
    client.get_images()
    client.set_auth_token(None)
    client.get_images()
    assert [seen.headers.get("x-auth-token") for seen in peer.seen] == [None, "t", None]


@pytest.mark.parametrize(
    "url, origin, path",
    [
        ("http://h/", "http://h:80", "/v1"),
        ("https://h", "https://h:443", "/v1"),
        ("http://h:9292/v1", "http://h:9292", "/v1"),
        ("http://h:9292/v1.1/", "http://h:9292", "/v1.1"),
        ("http://h:9292/v2", "http://h:9292", "/v1"),
        ("http://h/image/", "http://h:80", "/image/v1"),
        ("http://[::1]:5/image/v2.3", "http://[::1]:5", "/image/v1"),
    ],
)
def test_configure_from_url(client, url, origin, path):
    client.configure_from_url(url)
    assert str(client.origin) == origin
    assert client._http.doc_root == path


@pytest.mark.parametrize("url", ["", "h:9292", "ftp://h/", "http://h:99999/", "http://[", "http:///v1"])
def test_a_url_that_is_none(client, url):
    with pytest.raises(exception.ClientConfigurationError):
        client.configure_from_url(url)


def test_get_client(peer, monkeypatch):
    get_client("127.0.0.1", peer.port).get_images()
    monkeypatch.setenv("OS_TOKEN", "from environment")
    get_client("127.0.0.1", peer.port).get_images()
    get_client("127.0.0.1", peer.port, auth_token="given").get_images()
    assert [seen.headers.get("x-auth-token") for seen in peer.seen] == [None, "from environment", "given"]
    assert type(get_client("h", is_silent_upload=True)) is Client
    assert glance.client.get_client is get_client
