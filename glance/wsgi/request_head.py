"""Parsing the request line and the headers: strict, and cheap enough for every request.

Whatever two HTTP programs could read differently is refused, since that is how requests
are smuggled past a front end: bare CR or LF, folded lines, white space before the colon,
a repeated or odd Content-Length, Content-Length together with Transfer-Encoding.
"""

import re
from urllib.parse import unquote

MAX_HEADERS = 1000

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/(\d)\.(\d)")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")
_ONCE = frozenset(("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_HOST", "HTTP_CONTENT_TYPE", "HTTP_EXPECT"))

# The v1 API's own headers contain underscores (x-image-meta-disk_format).  Any other name
# with one is dropped: in the environment X_Roles would be the same as X-Roles, which a
# front end may have filtered.
_UNDERSCORES = "X-IMAGE-META-"

_DROPPED = ""
_keys: dict[str, str] = {}
_MAX_KEYS = 512
_MAX_KEY_LENGTH = 64


class MalformedRequest(Exception):
    """The request cannot be understood; ``status`` is the answer's status line."""

    def __init__(self, reason: str, status: str = "400 Bad Request") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class RequestHead:
    """A parsed request line with its headers.

    :ivar line: the request line as received, for the log
    :ivar path: path as sent, still percent-encoded
    :ivar query: what follows the ``?``, or ``""``
    :ivar fields: headers under their WSGI names (``HTTP_…``, ``CONTENT_TYPE``, ``CONTENT_LENGTH``)
    :ivar length: bytes of the body, None when it is chunked
    :ivar keep_alive: whether the client allows another request on the connection
    :ivar expects_continue: the client waits for ``100 Continue`` before it sends the body
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "http11",
        "keep_alive",
        "length",
        "line",
        "method",
        "path",
        "query",
        "version",
    )

    line: str
    method: str
    path: str
    query: str
    version: str
    http11: bool
    fields: dict[str, str]
    length: int | None
    keep_alive: bool
    expects_continue: bool

    @property
    def path_info(self) -> str:
        """The decoded path, as WSGI wants it: one character per byte."""
        return unquote(self.path, encoding="latin-1") if "%" in self.path else self.path


def parse(block: bytes, max_line: int) -> RequestHead:
    """Parse the bytes before the empty line that ends the headers.

    :param block: request line and headers separated by CRLF, without the final CRLF CRLF
    :param max_line: longest line in bytes
    :raises MalformedRequest: with the status to answer
    """
    breaks = block.count(b"\r\n")
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks or _CONTROL.search(block):
        raise MalformedRequest("control character in the request line or a header")
    if breaks > MAX_HEADERS:
        raise MalformedRequest("too many headers", "431 Request Header Fields Too Large")
    lines = block.decode("latin-1").split("\r\n")
    head = RequestHead()
    head.line = lines[0]
    if len(lines[0]) > max_line:
        raise MalformedRequest("request line too long", "414 URI Too Long")
    authority = _parse_request_line(head)
    head.fields = _parse_fields(lines, max_line)
    if authority:
        head.fields["HTTP_HOST"] = authority
    _interpret(head)
    return head


def _parse_request_line(head: RequestHead) -> str | None:
    """Fill in method, target and version; return the authority of an absolute target."""
    try:
        method, target, version = head.line.split(" ")
    except ValueError:
        raise MalformedRequest("the request line is not METHOD TARGET VERSION") from None
    if version == "HTTP/1.1":
        head.http11 = True
    elif version == "HTTP/1.0":
        head.http11 = False
    else:
        match = _VERSION.fullmatch(version)
        if match is None:
            raise MalformedRequest("malformed HTTP version")
        if match[1] != "1":
            raise MalformedRequest("only HTTP/1.1 is spoken here", "505 HTTP Version Not Supported")
        head.http11, version = True, "HTTP/1.1"
    if not _TOKEN.fullmatch(method) or "\t" in target:
        raise MalformedRequest("malformed method or target")
    authority = None
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute:
            authority, target = absolute[1], absolute[2]
            if not target.startswith("/"):
                target = "/" + target
        elif not (target == "*" and method == "OPTIONS"):
            raise MalformedRequest("the target is neither a path nor an http URL")
    elif target.startswith("//"):
        # Else a redirect built from the path would lead to another host.
        target = "/" + target.lstrip("/")
    head.method = method
    head.version = version
    head.path, _, head.query = target.partition("?")
    return authority


def _parse_fields(lines: list[str], max_line: int) -> dict[str, str]:
    fields: dict[str, str] = {}
    for index in range(1, len(lines)):
        line = lines[index]
        if len(line) > max_line:
            raise MalformedRequest("header line too long", "431 Request Header Fields Too Large")
        name, colon, value = line.partition(":")
        key = _keys.get(name)
        if not colon:
            raise MalformedRequest("header line without a colon")
        if key is None:
            key = _key(name)
        value = value.strip(" \t")
        if key in fields and key is not _DROPPED:
            if key in _ONCE:
                raise MalformedRequest(f"repeated header {name}")
            fields[key] += ("; " if key == "HTTP_COOKIE" else ",") + value
        else:
            fields[key] = value
    fields.pop(_DROPPED, None)
    return fields


def _key(name: str) -> str:
    """Return the WSGI name of a header, remembering it."""
    if not _TOKEN.fullmatch(name):
        raise MalformedRequest("malformed header name")
    upper = name.upper()
    dropped = "_" in name and not upper.startswith(_UNDERSCORES)
    key = _DROPPED if dropped else "HTTP_" + upper.replace("-", "_")
    if len(_keys) < _MAX_KEYS and len(name) <= _MAX_KEY_LENGTH:
        _keys[name] = key
    return key


def _interpret(head: RequestHead) -> None:
    """Work out what the headers say about the body and the connection."""
    fields = head.fields
    length = fields.pop("HTTP_CONTENT_LENGTH", None)
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    head.length = 0
    if length is not None:
        if coding is not None:
            raise MalformedRequest("both Content-Length and Transfer-Encoding")
        if not _LENGTH.fullmatch(length):
            raise MalformedRequest("malformed Content-Length")
        head.length = int(length)
        fields["CONTENT_LENGTH"] = length
    elif coding is not None:
        if not head.http11:
            raise MalformedRequest("Transfer-Encoding in HTTP/1.0")
        if coding.lower() != "chunked":
            raise MalformedRequest("the only Transfer-Encoding known is chunked", "501 Not Implemented")
        head.length = None
    content_type = fields.pop("HTTP_CONTENT_TYPE", None)
    if content_type is not None:
        fields["CONTENT_TYPE"] = content_type
    if head.http11 and "HTTP_HOST" not in fields:
        raise MalformedRequest("no Host header")

    connection = fields.get("HTTP_CONNECTION")
    if connection is None:
        head.keep_alive = head.http11
    else:
        options = [option.strip() for option in connection.lower().split(",")]
        head.keep_alive = "close" not in options and (head.http11 or "keep-alive" in options)
    head.expects_continue = False
    expect = fields.get("HTTP_EXPECT")
    if expect is not None and head.http11:
        if expect.lower() != "100-continue":
            raise MalformedRequest("the only expectation known is 100-continue", "417 Expectation Failed")
        head.expects_continue = head.length != 0
