"""Uploads, downloads and deletions that go well, and objects that are not what they should be (spec stores.md §1)."""

import hashlib

import pytest

from tests.functional.backends.conftest import MIB, Image, content


class Unsized:
    """Data whose size is not announced."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self):
        yield from (self._data[start : start + MIB] for start in range(0, len(self._data), MIB))


@pytest.mark.parametrize("wrap", [bytes, Unsized], ids=["known", "unknown"])
@pytest.mark.parametrize("size", [3, 12 * MIB + 1])
def test_there_and_back(backend, image, wrap, size):
    data = content(size)
    image.store(wrap(data))
    assert image.status() == "active"
    answer = image.download()
    assert answer.status_code == 200
    assert answer.content == data
    checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert answer.headers["Content-MD5" if image.version == "v2" else "ETag"] == checksum
    assert image.id in backend.names(image.id)
    assert image.delete().status_code < 300
    assert backend.names(image.id) == []


def test_no_bytes_at_all(backend, deployment):
    image = Image(deployment, "v2").store(Unsized(b""))
    assert image.status() == "active"
    assert image.download().content == b""
    image.delete()
    assert backend.names(image.id) == []


@pytest.fixture(scope="module")
def large(deployment):
    data = content(12 * MIB + 1)
    image = Image(deployment, "v2").store(data)
    yield image, data
    image.delete()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        (f"{4 * MIB - 1}-{5 * MIB}", 4 * MIB - 1, 5 * MIB + 1),
        (f"{3 * MIB}-", 3 * MIB, None),
        ("-7", 12 * MIB + 1 - 7, None),
        (f"{12 * MIB}-{99 * MIB}", 12 * MIB, None),
    ],
)
def test_ranges(large, asked, start, end):
    image, data = large
    answer = image.download({"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == data[start:end]
    last = (end or len(data)) - 1
    assert answer.headers["Content-Range"] == f"bytes {start}-{last}/{len(data)}"
    assert answer.headers["Content-Length"] == str(last - start + 1)


def test_a_range_beyond_the_end(large):
    image, data = large
    assert image.download({"Range": f"bytes={len(data)}-"}).status_code == 416


@pytest.mark.parametrize("size", [3, 12 * MIB])
def test_an_object_that_is_gone(backend, image, size):
    image.store(content(size))
    backend.remove(image.id)
    assert backend.names(image.id) == []
    assert image.download().status_code == {"v1": 404, "v2": 204}[image.version]
    assert image.status() == "active"
    assert image.delete().status_code < 300
    assert image.status() in (None, "deleted")


@pytest.mark.parametrize("wrap", [bytes, Unsized], ids=["known", "unknown"])
@pytest.mark.parametrize("size", [3, 12 * MIB])
def test_an_object_that_is_there_already(backend, image, wrap, size):
    backend.put(image.id, b"of somebody else")
    try:
        answer = image.upload(wrap(content(size)))
        assert answer.status_code == 409
        assert image.status() == "queued"
        assert backend.names(image.id) == [image.id]
        assert backend.get(image.id) == b"of somebody else"
        assert image.delete().status_code < 300
        assert backend.names(image.id) == [image.id]
    finally:
        backend.remove(image.id)
