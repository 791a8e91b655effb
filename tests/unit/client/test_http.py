"""The transport: what goes over the wire, what comes back, what happens when it breaks."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from tests.unit.client.peer import OK, Pipe, answer, plain, read_request, scripted

# --- requests --------------------------------------------------------------


def test_request_line_headers_and_query(http, peer):
    peer.on("GET", "/x", 200, "fine")
    response = http.request("GET", "/x", headers={"x-auth-token": "t", "x-number": 5}, params={"a": "b c", "n": None})
    assert (response.status, response.read()) == (200, b"fine")
    (seen,) = peer.seen
    assert seen.query == {"a": "b c"}
    assert seen.headers["x-auth-token"] == "t"
    assert seen.headers["x-number"] == "5"
    assert seen.headers["host"] == f"127.0.0.1:{peer.port}"
    assert "content-length" not in seen.headers


def test_doc_root_and_query_in_path(peer):
    peer.on("GET", "/v1/images", 200)
    plain(peer.port, doc_root="/v1/").request("GET", "/images?a=1", params={"b": "2"}).close()
    assert peer.seen[0].query == {"a": "1", "b": "2"}


def test_headers_are_utf8_both_ways(http, peer):
    peer.on("GET", "/x", 200, x_image_meta_name="Größe ☃")
    response = http.request("GET", "/x", headers={"x-image-meta-name": "Ünïcode ☃"})
    assert peer.seen[0].headers["x-image-meta-name"] == "Ünïcode ☃"
    assert response.headers["x-image-meta-name"] == "Größe ☃"


@pytest.mark.parametrize(
    "name, value",
    [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a", "1\n2"),
        ("x a", "1"),
        ("x-a\r\nx-b", "1"),
        ("x:a", "1"),
        ("", "1"),
        ("x-a", "\0"),
    ],
)
def test_a_header_that_would_forge_another_is_refused(http, peer, name, value):
    with pytest.raises(exception.Invalid):
        http.request("GET", "/x", headers={name: value})
    assert peer.seen == []


@pytest.mark.parametrize("path", ["/x y", "/x\r\nx: y", "/é", "/x\0"])
def test_a_path_that_is_not_quoted_is_refused(http, peer, path):
    with pytest.raises(exception.Invalid):
        http.request("GET", path)
    assert peer.seen == []


@pytest.mark.parametrize(
    "method, length", [("POST", "0"), ("PUT", "0"), ("GET", None), ("DELETE", None), ("HEAD", None)]
)
def test_no_body(http, peer, method, length):
    peer.on(method, "/x", 200)
    http.request(method, "/x").close()
    assert peer.seen[0].headers.get("content-length") == length
    assert "transfer-encoding" not in peer.seen[0].headers


DATA = os.urandom(200_000)


@pytest.mark.parametrize("data", [b"", b"abc", DATA, bytearray(DATA), memoryview(DATA)])
def test_bytes_are_counted(http, peer, data):
    peer.on("PUT", "/x", 200)
    http.request("PUT", "/x", body=data, headers={"Content-Length": "7", "Transfer-Encoding": "chunked"}).close()
    assert peer.seen[0].body == bytes(data)
    assert peer.seen[0].headers["content-length"] == str(len(data))
    assert "transfer-encoding" not in peer.seen[0].headers


def test_a_file_is_counted_from_its_position(http, peer, tmp_path):
    peer.on("POST", "/x", 200)
    (tmp_path / "f").write_bytes(DATA)
    with (tmp_path / "f").open("rb") as source:
        source.seek(100)
        http.request("POST", "/x", body=source).close()
    assert peer.seen[0].body == DATA[100:]
    assert peer.seen[0].headers["content-length"] == str(len(DATA) - 100)


@pytest.mark.parametrize("make", [lambda: Pipe(DATA), lambda: iter([DATA[:3], b"", DATA[3:]])])
def test_a_stream_is_chunked(http, peer, make):
    peer.on("POST", "/x", 200)
    http.request("POST", "/x", body=make()).close()
    assert peer.seen[0].body == DATA
    assert peer.seen[0].headers["transfer-encoding"] == "chunked"
    assert "content-length" not in peer.seen[0].headers


def test_chunks_hold_65536_bytes():
    source = Pipe(DATA)
    sizes = []

    def serve(sock):
        with sock.makefile("rb") as reader:
            while reader.readline() != b"\r\n":
                pass
            while size := int(reader.readline(), 16):
                sizes.append(len(reader.read(size)))
                reader.readline()
        answer(sock, OK)

    with scripted(serve) as port:
        plain(port).request("POST", "/", body=source).read()
    assert sizes == [65536, 65536, 65536, 200_000 - 3 * 65536]
    assert set(source.asked) == {65536}


def test_a_file_that_shrinks_is_an_error(tmp_path):
    class Shrinking(io.BytesIO):
        def read(self, amount=-1):
            return b""

    def serve(sock):
        read_request(sock)
        assert sock.recv(10) == b""

    with scripted(serve) as port, pytest.raises(exception.ClientConnectionError, match="5 bytes before"):
        plain(port).request("POST", "/", body=Shrinking(b"12345"))


def test_an_upload_that_is_refused_early_gets_its_answer():
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        # and closes with most of the data unread, which resets the connection

    with scripted(serve) as port, pytest.raises(exception.LimitExceeded, match="big"):
        plain(port).request("POST", "/", body=Pipe(DATA * 20))


# --- answers ---------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 200_000])
def test_a_counted_body(http, peer, size):
    peer.on("GET", "/x", 200, DATA[:size])
    assert b"".join(http.request("GET", "/x").iterate()) == DATA[:size]
    assert http.request("GET", "/x").read() == DATA[:size]
    assert peer.seen[0].connection == peer.seen[1].connection


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 200))
def test_a_chunked_body(blocks, block_size):
    def serve(sock):
        for _ in range(2):
            read_request(sock)
            answer(sock, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            answer(sock, *(b"%x;ext=1\r\n%b\r\n" % (len(block), block) for block in blocks))
            answer(sock, b"0\r\nTrailer: x\r\n\r\n")

    with scripted(serve) as port:
        client = plain(port)
        read = list(client.request("GET", "/").iterate(block_size))
        assert b"".join(read) == b"".join(blocks)
        assert all(len(block) <= block_size for block in read)
        assert client.request("GET", "/").read() == b"".join(blocks)


def test_a_body_until_the_end_of_the_connection():
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.0 200 OK\r\nx-a: 1\r\nX-A: 2\r\n\r\n", DATA)

    with scripted(serve) as port:
        response = plain(port).request("GET", "/")
        assert response.headers == {"x-a": "1, 2"}
        assert response.read() == DATA


def test_no_body_after_head_204_and_informational_answers():
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        read_request(sock)
        answer(sock, b"HTTP/1.1 204 No Content\r\n\r\n")
        read_request(sock)
        answer(sock, OK)

    with scripted(serve) as port:
        client = plain(port)
        assert client.request("HEAD", "/").read() == b""
        assert client.request("PUT", "/").read() == b""
        assert client.request("GET", "/").read() == b"ok"


def test_more_headers_than_an_image_can_have():
    lines = b"".join(b"x-image-meta-property-p%d: v%d\r\n" % (n, n) for n in range(500))

    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", lines, b"\r\n")

    with scripted(serve) as port:
        headers = plain(port).request("GET", "/").headers
    assert headers["x-image-meta-property-p499"] == "v499"


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000,
        b"",
    ],
)
def test_nonsense_is_a_connection_error(raw):
    def serve(sock):
        read_request(sock)
        answer(sock, raw)

    with scripted(serve) as port, pytest.raises(exception.ClientConnectionError, match=f"127.0.0.1:{port}"):
        plain(port).request("GET", "/")


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Length: 10\r\n\r\n12345",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n123",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n1234567\r\n0\r\n\r\n",
    ],
)
def test_a_body_cut_short_is_noticed(raw):
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 200 OK\r\n", raw)

    with scripted(serve) as port:
        response = plain(port).request("GET", "/")
        with pytest.raises(exception.ClientConnectionError):
            response.read()


def test_json_that_is_none(http, peer):
    peer.on("GET", "/x", 200, "<html>")
    with pytest.raises(exception.ServerError):
        http.request("GET", "/x").json()


# --- statuses --------------------------------------------------------------


@pytest.mark.parametrize(
    "status, kind",
    [
        (300, exception.MultipleChoices),
        (400, exception.Invalid),
        (400, exception.BadRequest),
        (401, exception.NotAuthenticated),
        (403, exception.NotAuthorized),
        (403, exception.Forbidden),
        (404, exception.NotFound),
        (409, exception.Duplicate),
        (413, exception.LimitExceeded),
        (500, exception.ServerError),
        (503, exception.ServiceUnavailable),
        (418, exception.UnexpectedStatus),
        (206, exception.UnexpectedStatus),
    ],
)
def test_status_to_exception(http, peer, status, kind):
    peer.on("GET", "/x", status, f"{status} Some Words\n\nthe {{reason}} why\n\n   ", Retry_After="7")
    with pytest.raises(kind) as caught:
        http.request("GET", "/x")
    assert "the {reason} why" in str(caught.value)
    assert caught.value.details == "the {reason} why"
    assert isinstance(caught.value, exception.GlanceException)
    if status in (413, 503):
        assert caught.value.retry_after == 7
    peer.on("GET", "/y", 200)
    http.request("GET", "/y")
    assert peer.seen[0].connection == peer.seen[1].connection


def test_unexpected_status_names_it_and_bad_retry_after_is_none(http, peer):
    peer.on("GET", "/x", 418)
    with pytest.raises(exception.UnexpectedStatus, match="418"):
        http.request("GET", "/x")
    peer.on("GET", "/x", 503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    with pytest.raises(exception.ServiceUnavailable) as caught:
        http.request("GET", "/x")
    assert caught.value.retry_after is None


def test_raw_returns_any_status(http, peer):
    peer.on("GET", "/x", 302, "body", Location="/y")
    response = http.request("GET", "/x", raw=True)
    assert (response.status, response.headers["location"], response.read()) == (302, "/y", b"body")


def test_a_huge_error_body_is_not_read_whole():
    def serve(sock):
        read_request(sock)
        sock.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 999999999\r\n\r\n")
        try:
            for _ in range(100):
                sock.sendall(b"x" * 65536)
            raise AssertionError("the client read on")
        except OSError:
            pass

    with scripted(serve) as port, pytest.raises(exception.Invalid):
        plain(port).request("GET", "/")


# --- redirects -------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 305, 307])
def test_a_redirect_repeats_the_request(http, peer, status, tmp_path):
    peer.on("PUT", "/x", status, "moved", Location="/y?q=1")
    peer.on("PUT", "/y", 200, "here")
    (tmp_path / "f").write_bytes(DATA)
    with (tmp_path / "f").open("rb") as source:
        source.seek(5)
        response = http.request("PUT", "/x", body=source, headers={"x-auth-token": "t"})
    assert response.read() == b"here"
    assert peer.seen[1].body == DATA[5:]
    assert peer.seen[1].query == {"q": "1"}
    assert peer.seen[1].headers["x-auth-token"] == "t"


def test_303_becomes_get(http, peer):
    peer.on("POST", "/x", 303, Location="/y")
    peer.on("GET", "/y", 200, "here")
    assert http.request("POST", "/x", body=iter([b"data"])).read() == b"here"


def test_a_consumed_stream_is_not_sent_again(http, peer):
    peer.on("POST", "/x", 307, Location="/y")
    with pytest.raises(exception.InvalidRedirect):
        http.request("POST", "/x", body=Pipe(b"data"))
    assert len(peer.seen) == 1


def test_five_redirects_and_not_six(http, peer):
    for n in range(6):
        peer.on("GET", f"/{n}", 302, Location=f"/{n + 1}")
    peer.on("GET", "/6", 200, "end")
    assert http.request("GET", "/1").read() == b"end"
    with pytest.raises(exception.MaxRedirectsExceeded):
        http.request("GET", "/0")


@pytest.mark.parametrize("location", [None, "ftp://127.0.0.1/", "http://[", "file:///etc/hostname", "http://h:99999/"])
def test_a_redirect_to_nowhere(http, peer, location):
    peer.on("GET", "/x", 302, **({"Location": location} if location else {}))
    with pytest.raises(exception.InvalidRedirect):
        http.request("GET", "/x")


@pytest.mark.parametrize("name", ["X-Auth-Token", "X-Storage-Token", "Authorization", "X-Service-Catalog", "X-Roles"])
def test_a_token_is_not_sent_to_another_server(http, peer, name):
    seen = []

    def serve(sock):
        seen.append(read_request(sock))
        answer(sock, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with scripted(serve) as port:
        peer.on("GET", "/x", 302, Location=f"http://127.0.0.1:{port}/y")
        http.request("GET", "/x", headers={name: "secret", "x-other": "kept"})
    assert b"x-other: kept" in seen[0]
    assert b"secret" not in seen[0]


def test_another_server_that_sends_back_gets_no_token_back(http, peer):
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/y\r\nContent-Length: 0\r\n\r\n" % peer.port)

    peer.on("GET", "/y", 200)
    with scripted(serve) as port:
        peer.on("GET", "/x", 302, Location=f"http://127.0.0.1:{port}/")
        http.request("GET", "/x", headers={"x-auth-token": "secret"})
    assert "x-auth-token" not in peer.seen[1].headers
