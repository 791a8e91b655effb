"""Parsing request heads: what is understood, and that nothing ambiguous is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.wsgi import request_head
from glance.wsgi.request_head import MalformedRequest, parse

MAX_LINE = 16384


def head(*lines, first="GET / HTTP/1.1", host="Host: h"):
    return "\r\n".join([first, *([host] if host else []), *lines]).encode("latin-1")


def test_a_plain_request():
    parsed = parse(head("X-A: b", first="PUT /v1/images/a%2Fb?x=1&y=2?z HTTP/1.1"), MAX_LINE)
    assert (parsed.method, parsed.path, parsed.query) == ("PUT", "/v1/images/a%2Fb", "x=1&y=2?z")
    assert parsed.path_info == "/v1/images/a/b"
    assert parsed.fields == {"HTTP_HOST": "h", "HTTP_X_A": "b"}
    assert (parsed.length, parsed.keep_alive, parsed.expects_continue) == (0, True, False)


def test_path_info_has_one_character_per_byte():
    assert parse(head(first="GET /%C3%BC HTTP/1.1"), MAX_LINE).path_info == "/\xc3\xbc"


def test_repeated_headers_are_joined():
    fields = parse(head("A: 1", "a:2", "Cookie: x", "Cookie: y"), MAX_LINE).fields
    assert (fields["HTTP_A"], fields["HTTP_COOKIE"]) == ("1,2", "x; y")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("x-image-meta-disk_format", "HTTP_X_IMAGE_META_DISK_FORMAT"),
        ("X-Image-Meta-Property-a_b", "HTTP_X_IMAGE_META_PROPERTY_A_B"),
        ("X_Auth_Token", None),
        ("X-Roles_", None),
        ("x_image-meta-a", None),
        ("Content_Length", None),
        ("Transfer_Encoding", None),
    ],
)
def test_underscores_only_in_image_headers(name, key):
    fields = parse(head(f"{name}: v"), MAX_LINE).fields
    assert fields == {"HTTP_HOST": "h"} | ({key: "v"} if key else {})


def test_the_cache_of_names_does_not_hide_a_missing_colon():
    parse(head("X-Seen: 1"), MAX_LINE)
    with pytest.raises(MalformedRequest):
        parse(head("X-Seen"), MAX_LINE)


def test_the_cache_of_names_is_bounded(monkeypatch):
    monkeypatch.setattr(request_head, "_keys", {})
    for number in range(1000):
        parse(head(f"X-{number}: 1"), MAX_LINE)
    parse(head(f"X-{'a' * 5000}: 1"), MAX_LINE)
    assert len(request_head._keys) <= 512
    assert max(map(len, request_head._keys)) <= 64


@pytest.mark.parametrize(
    ("lines", "length"),
    [((), 0), (("Content-Length: 007",), 7), (("content-length:5",), 5), (("Transfer-Encoding: CHUNKED",), None)],
)
def test_lengths(lines, length):
    parsed = parse(head(*lines), MAX_LINE)
    assert parsed.length == length
    assert ("CONTENT_LENGTH" in parsed.fields) == ("ontent-" in "".join(lines))
    assert "HTTP_CONTENT_LENGTH" not in parsed.fields


@pytest.mark.parametrize(
    ("first", "lines", "kept"),
    [
        ("GET / HTTP/1.1", (), True),
        ("GET / HTTP/1.1", ("Connection: Close",), False),
        ("GET / HTTP/1.1", ("Connection: x, close",), False),
        ("GET / HTTP/1.0", (), False),
        ("GET / HTTP/1.0", ("Connection: Keep-Alive",), True),
        ("GET / HTTP/1.0", ("Connection: keep-alive", "Connection: close"), False),
        ("GET / HTTP/1.7", (), True),
    ],
)
def test_keep_alive(first, lines, kept):
    assert parse(head(*lines, first=first), MAX_LINE).keep_alive is kept


def test_continue_is_expected_only_with_a_body_and_http_1_1():
    def expects(*lines, first="PUT / HTTP/1.1"):
        return parse(head("Expect: 100-continue", *lines, first=first), MAX_LINE).expects_continue

    assert expects("Content-Length: 1")
    assert expects("Transfer-Encoding: chunked")
    assert not expects()
    assert not expects("Content-Length: 1", first="PUT / HTTP/1.0")


@pytest.mark.parametrize("limit", [20, 100])
def test_limits_are_exact(limit):
    assert parse(head("A: " + "a" * (limit - 3)), limit)
    with pytest.raises(MalformedRequest) as caught:
        parse(head("A: " + "a" * (limit - 2)), limit)
    assert caught.value.status.startswith("431")
    line = "GET /{} HTTP/1.1"
    assert parse(head(first=line.format("p" * (limit - 14))), limit)
    with pytest.raises(MalformedRequest) as caught:
        parse(head(first=line.format("p" * (limit - 13))), limit)
    assert caught.value.status.startswith("414")


TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
pieces = st.sampled_from(
    [b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\r", b"\n", b"\t", b"\0", b":", b"Host: h",
     b"Content-Length: 1", b"Content-Length", b"Transfer-Encoding: chunked", b"chunked", b"_", b"1", b"a", b",",
     b"x-image-meta-a_b: c", b"\xff", b"http://", b"%00", b"?", b"*", b"OPTIONS"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=30).map(b"".join)))
def test_any_bytes_are_parsed_or_refused(block):
    """No other exception; and what is accepted is unambiguous."""
    try:
        parsed = parse(block, MAX_LINE)
    except MalformedRequest as refused:
        assert refused.status[:3] in {"400", "414", "417", "431", "501", "505"}
        return
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|[\0\x0b]", block)
    lines = block.split(b"\r\n")
    assert lines[0].count(b" ") == 2
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert all(TOKEN.fullmatch(name) for name in names)
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert names.count(b"host") <= 1
    assert parsed.path.startswith("/") or parsed.path == "*"
    assert not parsed.path.startswith("//")
    assert not re.search(r"[\0-\x1f]", "".join(parsed.fields.values()).replace("\t", ""))


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in {"host", "content-length", "transfer-encoding", "expect", "content-type", "cookie"}
)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)


@given(st.lists(st.tuples(names, values), max_size=20), st.sampled_from(["", " ", "\t", "  "]))
def test_every_well_formed_header_arrives(headers, space):
    parsed = parse(head(*(f"{name}:{space}{value}{space}" for name, value in headers)), MAX_LINE)
    expected = {"HTTP_HOST": "h"}
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        expected[key] = f"{expected[key]},{value}" if key in expected else value
    assert parsed.fields == expected
