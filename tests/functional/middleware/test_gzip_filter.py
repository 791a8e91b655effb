"""The gzip filter where operators put it: before the root application (spec policy-quota-protection.md §8)."""

import gzip
import json
import uuid

import pytest

from tests.functional.v1.raw import Conversation

PIPELINE = "cors versionnegotiation unauthenticated-context gzip rootapp"
GZIP = {"Accept-Encoding": "gzip"}
DATA = b"the same again and again " * 8192


@pytest.fixture(scope="module")
def site(deploy):
    return deploy(
        api={"cors": {"allowed_origin": "https://dashboard.example.com"}},
        paste=f"[pipeline:glance-api]\npipeline = {PIPELINE}",
    )


@pytest.fixture(scope="module")
def image(site):
    site.create(name="listed", is_public=True, property_long="x" * 255)
    return site.create(DATA, name="gzip", property_long="x" * 255)


@pytest.fixture
def client(site):
    with Conversation(site.api_port) as conversation:
        yield conversation


def vary(answer):
    return {part.strip() for value in answer.headers.get_all("Vary", []) for part in value.split(",")}


def text(answer):
    """The body of an answer that may be compressed."""
    return (gzip.decompress(answer.body) if answer.headers["Content-Encoding"] else answer.body).decode()


LISTS = ["/v1/images", "/v1/images/detail", "/v1/images/{id}/members", "/v2/images", "/v2/images/{id}/members",
         "/v2/schemas/images"]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_lists_on_request(client, image, path):
    path = path.format(id=image["id"])
    plain = client.ask("GET", path)
    small = client.ask("GET", path, GZIP)
    assert (plain.status, small.status) == (200, 200)
    assert (plain.headers["Content-Encoding"], small.headers["Content-Encoding"]) == (None, "gzip")
    assert json.loads(gzip.decompress(small.body)) == json.loads(plain.body)
    for answer in (plain, small):
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
        assert vary(answer) == {"Accept-Encoding"}
    if "detail" in path or "schemas" in path:
        assert len(small.body) < len(plain.body)


@pytest.mark.parametrize("accept", ["identity", "deflate", "gzip;q=0", "br", "", "*;q=0"])
@pytest.mark.parametrize("path", ["/v1/images/detail", "/v2/images"])
def test_lists_not_on_request(client, image, path, accept):
    answer = client.ask("GET", path, {"Accept-Encoding": accept})
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
    json.loads(answer.body)


@pytest.mark.parametrize("path", ["/v1/images/{id}", "/v2/images/{id}/file"])
def test_image_data_is_what_was_uploaded(client, image, path):
    path = path.format(id=image["id"])
    answer = client.ask("GET", path, GZIP)
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.body == DATA
    assert client.ask("GET", path).body == DATA  # the connection has nothing left over


@pytest.mark.parametrize("path", ["/v1/images/{id}", "/v2/images/{id}"])
def test_what_has_an_etag_keeps_its_bytes(client, image, path):
    path = path.format(id=image["id"])
    answer = client.ask("GET", path, GZIP)
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
    assert answer.headers["ETag"] == client.ask("GET", path).headers["ETag"]


def test_unchanged(client, image):
    path = f"/v1/images/{image['id']}"
    unchanged = client.ask("GET", path, GZIP, {"If-None-Match": client.ask("HEAD", path).headers["ETag"]})
    assert (unchanged.status, unchanged.body, unchanged.headers["Content-Encoding"]) == (304, b"", None)
    assert client.ask("GET", "/v1/images", GZIP).status == 200


def test_ranges_of_image_data(client, image):
    answer = client.ask("GET", f"/v2/images/{image['id']}/file", GZIP, {"Range": "bytes=5-9"})
    assert (answer.status, answer.body, answer.headers["Content-Encoding"]) == (206, DATA[5:10], None)


def test_head(client, image):
    answer = client.ask("HEAD", f"/v1/images/{image['id']}", GZIP)
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
    assert answer.headers["x-image-meta-property-long"] == "x" * 255
    assert client.ask("GET", "/v1/images", GZIP).status == 200


def test_answers_without_a_body(client, image):
    created = json.loads(text(client.ask("POST", "/v2/images", GZIP, body=b'{"name": "gone"}')))["id"]
    for answer, status in (
        (client.ask("PUT", f"/v2/images/{created}/tags/a", GZIP), 204),
        (client.ask("DELETE", f"/v2/images/{created}", GZIP), 204),
    ):
        assert (answer.status, answer.body, answer.headers["Content-Encoding"]) == (status, b"", None)
    assert client.ask("GET", "/v1/images", GZIP).status == 200


def test_uploads_are_untouched(client, image):
    octets = {"Content-Type": "application/octet-stream"}
    created = client.ask(
        "POST", "/v1/images", GZIP | octets,
        {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}, body=DATA,
    )  # fmt: skip
    assert created.status == 201
    assert json.loads(text(created))["image"]["checksum"] == image["checksum"]


@pytest.mark.parametrize("path", ["/v1/images/{unknown}", "/v2/images/{unknown}", "/v2/images/{unknown}/file", "/v1/x"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_errors(client, path, method):
    answer = client.ask(method, path.format(unknown=uuid.uuid4()), GZIP)
    assert answer.status == (405 if method == "HEAD" and path.startswith("/v2") else 404)
    if method == "GET":
        assert text(answer).startswith("404 Not Found")
    assert client.ask("GET", "/v1/images", GZIP).status == 200


def test_next_to_another_vary(client, image):
    answer = client.ask("GET", "/v2/images", GZIP, {"Origin": "https://dashboard.example.com"})
    assert vary(answer) == {"Accept-Encoding", "Origin"}
    assert answer.headers["Access-Control-Allow-Origin"] == "https://dashboard.example.com"
    json.loads(gzip.decompress(answer.body))


def test_long_lists(client, site):
    for number in range(30):
        body = {"name": f"long-{number}"} | {f"p{index}": "y" * 250 for index in range(20)}
        assert client.ask("POST", "/v2/images", body=json.dumps(body).encode()).status == 201
    plain, small = client.ask("GET", "/v2/images?limit=30"), client.ask("GET", "/v2/images?limit=30", GZIP)
    assert len(plain.body) > 64 * 1024 > len(small.body)
    assert gzip.decompress(small.body) == plain.body


def test_not_in_the_shipped_pipelines(noauth):
    with Conversation(noauth.api_port) as conversation:
        answer = conversation.ask("GET", "/v2/images", GZIP)
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (None, None)
