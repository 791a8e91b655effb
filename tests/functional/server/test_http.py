"""The protocol on the wire: what is refused, what is kept open, how bodies are framed."""

import re

import pytest


def test_the_environment_of_a_request(client):
    answer = client.get(
        "/a%20b//c?x=%20y", "X-Image-Meta-Disk_format: raw", "X_Roles: admin", "Accept: a", "accept:  b ",
        "Content-Type: text/x",
    )  # fmt: skip
    environ = answer.json["environ"]
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b//c",
        "RAW_PATH_INFO": "/a%20b//c",
        "QUERY_STRING": "x=%20y",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_ACCEPT": "a,b",
        "HTTP_X_IMAGE_META_DISK_FORMAT": "raw",
        "CONTENT_TYPE": "text/x",
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert "HTTP_X_ROLES" not in environ
    assert "CONTENT_LENGTH" not in environ


MALFORMED = [
    (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    (b"GET / HTPT/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nB: c\r\n\r\n", 400),
    (b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET index.html HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1001 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"A: " + b"a" * 16000 + b"\r\n") * 9 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", 417),
]

SMUGGLING = [
    b"Content-Length: 3\r\nContent-Length: 3",
    b"Content-Length: 3\r\nContent-Length: 30",
    b"Content-Length: 3, 3",
    b"Content-Length: +3",
    b"Content-Length: -3",
    b"Content-Length: 0x3",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: gzip, chunked",
]


@pytest.mark.parametrize(("request_bytes", "status"), MALFORMED)
def test_a_malformed_request_is_answered_and_the_connection_closed(shared, client, request_bytes, status):
    answer = client.send(request_bytes).answer()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert client.closed()
    assert "Traceback" not in shared.log


@pytest.mark.parametrize("headers", SMUGGLING)
def test_an_ambiguous_body_length_is_refused(client, headers):
    hidden = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = client.send(b"POST /unread HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n" + hidden).answer()
    assert answer.status in (400, 501)
    assert client.closed()


def test_transfer_encoding_in_http_1_0_is_refused(client):
    answer = client.send(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").answer()
    assert answer.status == 400


def test_an_absolute_target_names_the_host(client):
    environ = client.get("http://elsewhere:81/path?q").json["environ"]
    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("elsewhere:81", "/path", "q")


def test_leading_slashes_and_empty_lines_are_dropped(client):
    assert client.send(b"\r\n\r\n").get("//evil.example/x").json["environ"]["PATH_INFO"] == "/evil.example/x"


def test_the_longest_header_line_and_many_headers_pass(client):
    value = "v" * (16384 - len("X-Long: "))
    assert client.get("/", f"X-Long: {value}").json["environ"]["HTTP_X_LONG"] == value
    many = [f"X-Image-Meta-Property-{n}: {n}" for n in range(900)]
    assert client.get("/", *many).json["environ"]["HTTP_X_IMAGE_META_PROPERTY_899"] == "899"


def test_max_header_line_is_obeyed(serve):
    daemon = serve(max_header_line=100)
    assert daemon.get("/", "A: " + "a" * 97).status == 200
    assert daemon.get("/", "A: " + "a" * 98).status == 431
    assert daemon.get("/" + "a" * 100).status == 414


def test_a_head_in_many_packets(client):
    for byte in b"GET /slowly HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n":
        client.send(bytes([byte]))
    assert client.answer().json["environ"]["PATH_INFO"] == "/slowly"


# --- keep-alive -------------------------------------------------------------------


def test_a_connection_serves_many_requests(client):
    for number in range(5):
        answer = client.get(f"/{number}")
        assert answer.json["environ"]["PATH_INFO"] == f"/{number}"
        assert "connection" not in answer.headers


def test_pipelined_requests_are_answered_in_order(client):
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)))
    for number in range(20):
        assert client.answer().json["environ"]["PATH_INFO"] == f"/{number}"


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("HTTP/1.1", "Connection: close", False),
        ("HTTP/1.1", "Connection: Keep-Alive, TE", True),
        ("HTTP/1.0", "A: b", False),
        ("HTTP/1.0", "Connection: keep-alive", True),
    ],
)
def test_what_the_client_wants(client, version, header, kept):
    answer = client.get("/", header, version=version)
    if kept:
        assert answer.headers.get("connection", "keep-alive") == "keep-alive"
        assert (answer.headers.get("connection") == "keep-alive") == (version == "HTTP/1.0")
        assert client.get("/").status == 200
    else:
        assert answer.headers["connection"] == "close"
        assert client.closed()


def test_http_keepalive_off_closes_every_connection(serve):
    client = serve(http_keepalive=False).connect()
    assert client.get("/").headers["connection"] == "close"
    assert client.closed()


def test_a_small_unread_body_does_not_cost_the_connection(client):
    for size in (1, 1000, 65536):
        assert client.get("/unread", method="POST", body=b"b" * size).status == 403
    assert client.get("/").status == 200


@pytest.mark.parametrize("size", [65537, 8 << 20])
def test_a_large_unread_body_closes_the_connection_but_the_answer_arrives(client, size):
    answer = client.get("/unread", method="POST", body=b"b" * size)
    assert (answer.status, answer.body, answer.headers["connection"]) == (403, b"no\n", "close")
    assert client.closed()


def test_an_unread_chunked_body_closes_the_connection(client):
    client.send(b"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert client.answer().headers["connection"] == "close"
    assert client.closed()


def test_idle_connections_end_after_client_socket_timeout(serve):
    client = serve(client_socket_timeout=1).connect()
    assert client.get("/").status == 200
    assert client.closed()


def test_timeout_zero_means_none(serve):
    client = serve(client_socket_timeout=0).connect()
    assert client.get("/").status == 200


# --- responses ----------------------------------------------------------------------


def test_a_body_of_unknown_length_is_chunked(client):
    answer = client.get("/blocks?1,70000,0,5")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"x" * 70006
    assert client.get("/").status == 200


def test_http_1_0_gets_it_until_the_end_of_the_connection(client):
    answer = client.get("/blocks?1,70000,5", "Connection: keep-alive", version="HTTP/1.0")
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert answer.body == b"x" * 70006


def test_a_list_gets_its_content_length(client):
    answer = client.get("/unread")
    assert answer.headers["content-length"] == "3"


@pytest.mark.parametrize(("target", "status"), [("/", 200), ("/blocks?100", 200), ("/announced?50,50", 200)])
def test_head_sends_no_body(client, target, status):
    assert client.get(target, method="HEAD").status == status
    assert client.get("/").status == 200


def test_204_has_neither_body_nor_length(client):
    answer = client.get("/nothing")
    assert answer.status == 204
    assert not {"content-length", "transfer-encoding"} & answer.headers.keys()
    assert client.get("/").status == 200


@pytest.mark.parametrize(("announced", "actual"), [(100, 40), (100, 100), (100, 160), (200000, 300000)])
def test_never_more_and_visibly_less_than_announced(shared, client, announced, actual):
    client.send(b"GET /announced?%d,%d HTTP/1.1\r\nHost: x\r\n\r\n" % (announced, actual))
    answer = client.answer()
    assert len(answer.body) == min(announced, actual)
    if announced != actual:
        assert client.closed()
        assert shared.logged(f"Breaking off .*announced {announced}")
    else:
        assert client.get("/").status == 200


def test_a_failing_application_is_a_500_without_details(shared, client):
    answer = client.get("/error")
    assert answer.status == 500
    assert b"on purpose" not in answer.body
    assert b"Traceback" not in answer.body
    assert shared.logged("ERROR glance.wsgi.connection The application failed on GET /error")


@pytest.mark.parametrize("line_break", ["%0D%0A", "%0A", "%0D", "%00"])
def test_a_control_character_in_a_response_header_is_a_500(client, line_break):
    answer = client.get("/inject", f"X-Value: a{line_break}Set-Cookie: b")
    assert answer.status == 500
    assert "set-cookie" not in answer.headers


def test_a_date_is_sent(client):
    date = client.get("/").headers["date"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)


# --- 100-continue -------------------------------------------------------------------


def test_continue_is_sent_when_the_body_is_read(client):
    client.send(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n")
    assert client.answer().status == 100
    answer = client.send(b"abc").answer()
    assert answer.json["size"] == 3
    assert client.get("/").status == 200


def test_a_refusal_comes_instead_of_continue(client):
    client.send(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    answer = client.answer()
    assert answer.status == 403
    assert answer.headers["connection"] == "close"
    assert client.closed()


# --- access log ---------------------------------------------------------------------


def test_the_access_log(shared, client):
    client.get("/logged?a=b", "X-Auth-Token: topsecret", "Authorization: topsecret")
    line = shared.logged(r'INFO eventlet.wsgi.server (.*"GET /logged\?a=b HTTP/1.1".*)')[1]
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] "GET /logged\?a=b HTTP/1\.1" 200 \d+ \d+\.\d{6}', line
    )
    assert "topsecret" not in shared.log


def test_bytes_beyond_ascii_are_escaped_in_the_log(shared, client):
    client.send(b"GET /\x85\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    assert shared.logged(r'"GET /\\x85\\xc3\\xbc HTTP/1.1" 200')
