"""The gzip filter (spec policy-quota-protection.md §8)."""

import gzip
import os

import pytest
import webob
from paste.deploy import loadwsgi

from glance.api.middleware.gzip import GzipMiddleware
from glance.common.body import FileBody

BODY = b'{"images": []}'


def answer(response: webob.Response, accept: str | None = "gzip", method: str = "GET") -> webob.Response:
    request = webob.Request.blank("/", method=method)
    if accept is not None:
        request.headers["Accept-Encoding"] = accept
    return request.get_response(GzipMiddleware(response))


def plain(body: bytes = BODY, content_type: str = "application/json", **headers) -> webob.Response:
    response = webob.Response(body=body, content_type=content_type)
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


@pytest.mark.parametrize(
    ("accept", "asks"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        (None, False),
        ("", False),
        ("identity", False),
        ("deflate", False),
        ("gzip;q=0", False),
        ("*, gzip;q=0", False),
        ("gzip;;;", False),
    ],
)
def test_only_who_asks_gets_it(accept, asks):
    response = answer(plain(), accept)
    assert response.headers.get("Content-Encoding") == ("gzip" if asks else None)
    assert (gzip.decompress(response.body) if asks else response.body) == BODY
    assert response.content_length == len(response.body)
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("size", [1, 64 * 1024 - 1, 64 * 1024, 1024 * 1024])
def test_any_size(size):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    response = answer(plain(body))
    assert gzip.decompress(response.body) == body
    assert size < 100 or len(response.body) < size


def test_several_parts():
    response = webob.Response(app_iter=[b"one ", b"", b"two"], content_type="text/plain")
    assert gzip.decompress(answer(response).body) == b"one two"


@pytest.mark.parametrize("status", [200, 201, 300, 400, 404, 500])
def test_status_stays(status):
    response = plain()
    response.status_int = status
    response = answer(response)
    assert (response.status_int, gzip.decompress(response.body)) == (status, BODY)


def test_vary_is_added_to():
    assert answer(plain(Vary="Origin")).headers["Vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(
    "response",
    [
        plain(content_type="application/octet-stream"),
        plain(Content_Encoding="deflate"),
        plain(Content_Range="bytes 0-13/100"),
        plain(ETag='"abc"'),
        plain(b""),
        webob.Response(status=204),
    ],
    ids=["octet-stream", "encoded", "range", "etag", "empty", "204"],
)
def test_left_alone(response):
    body, headers = response.body, dict(response.headers)
    after = answer(response)
    assert (after.body, dict(after.headers)) == (body, headers)


def test_head():
    response = answer(plain(), method="HEAD")
    assert "Content-Encoding" not in response.headers
    assert (response.content_length, response.body) == (len(BODY), b"")


def test_stream_passes_as_the_very_same_object():
    taken = []

    def stream():
        for number in range(3):
            taken.append(number)
            yield b"x"

    source = stream()
    response = answer(webob.Response(app_iter=source, content_type="application/json"))
    assert response.app_iter is source
    assert taken == []
    assert response.body == b"xxx"
    assert "Content-Encoding" not in response.headers


def test_file_stays_a_file_for_sendfile(tmp_path):
    (tmp_path / "f").write_bytes(b"data")
    body = FileBody(os.open(tmp_path / "f", os.O_RDONLY), 0, 4)
    response = answer(webob.Response(app_iter=body, content_type="text/plain"))
    assert response.app_iter is body
    body.close()


def test_factory(tmp_path):
    path = tmp_path / "paste.ini"
    path.write_text("[filter:gzip]\npaste.filter_factory = glance.api.middleware.gzip:GzipMiddleware.factory\n")
    application = loadwsgi.loadfilter(f"config:{path}", name="gzip")(plain())
    request = webob.Request.blank("/", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(request.get_response(application).body) == BODY
