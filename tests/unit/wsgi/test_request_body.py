"""Request bodies over a real pair of sockets."""

import contextlib
import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.wsgi.client_stream import ClientGone, ClientStream, MalformedBody
from glance.wsgi.request_body import RequestBody
from glance.wsgi.request_head import MalformedRequest


@pytest.fixture
def pair():
    """(what the client holds, the server's stream)."""
    client, server = socket.socketpair()
    server.settimeout(5)
    yield client, ClientStream(server)
    client.close()
    server.close()


def chunked(*chunks, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def test_read_stops_at_the_end_and_leaves_the_next_request(pair):
    client, stream = pair
    client.sendall(b"abcdefNEXT")
    body = RequestBody(stream, 6, None)
    assert (body.read(4), body.read(4), body.read(4), body.finished) == (b"abcd", b"ef", b"", True)
    stream.receive() if not stream.buffered else None
    rest = bytearray(10)
    assert rest[: stream.recv_into(memoryview(rest))] == b"NEXT"


@pytest.mark.parametrize("size", [None, -1])
def test_read_everything(pair, size):
    client, stream = pair
    client.sendall(b"abcdef")
    assert RequestBody(stream, 6, None).read(size) == b"abcdef"


def test_lines(pair):
    client, stream = pair
    client.sendall(chunked(b"a\nb", b"c\nd") * 3)
    assert list(RequestBody(stream, None, None)) == [b"a\n", b"bc\n", b"d"]
    assert RequestBody(stream, None, None).readlines() == [b"a\n", b"bc\n", b"d"]
    body = RequestBody(stream, None, None)
    assert (body.readline(1), body.readline(5), body.readlines(1)) == (b"a", b"\n", [b"bc\n"])


def test_continue_is_sent_once_and_only_when_reading(pair):
    client, stream = pair
    client.sendall(b"ab")
    asked = []
    body = RequestBody(stream, 2, lambda: asked.append(1))
    assert body.unasked
    assert asked == []
    body.read()
    assert asked == [1]
    assert not body.unasked


@pytest.mark.parametrize("length", [5, None])
def test_a_short_body_is_an_oserror(pair, length):
    client, stream = pair
    client.sendall(b"5\r\nabc")
    client.shutdown(socket.SHUT_WR)
    body = RequestBody(stream, None if length is None else 20, None)
    with pytest.raises(OSError) as caught:
        body.read()
    assert isinstance(caught.value, ClientGone)


def test_a_timeout_is_an_oserror(pair):
    _, stream = pair
    stream.sock.settimeout(0.01)
    with pytest.raises(ClientGone, match="in time"):
        RequestBody(stream, 1, None).readinto(bytearray(1))


def test_readinto_takes_several_small_chunks_at_once(pair):
    client, stream = pair
    client.sendall(chunked(*[b"ab"] * 100))
    buffer = bytearray(1000)
    assert RequestBody(stream, None, None).readinto(buffer) == 200
    assert buffer[:200] == b"ab" * 100


def test_readinto_does_not_wait_for_more_than_there_is(pair):
    client, stream = pair
    client.sendall(b"3\r\nabc\r\n3\r\nd")
    body, buffer = RequestBody(stream, None, None), bytearray(10)
    assert body.readinto(buffer) == 4
    client.sendall(b"ef\r\n0\r\n\r\n")
    assert body.readinto(buffer) == 2
    assert body.readinto(buffer) == 0


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=10),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.booleans(),
)
def test_chunks_are_joined_whatever_the_reads(chunks, sizes, into):
    client, server = socket.socketpair()
    with client, server:
        client.sendall(chunked(*chunks) + b"NEXT")
        body = RequestBody(ClientStream(server), None, None)
        got, turn = b"", 0
        while not body.finished:
            size = sizes[turn % len(sizes)]
            turn += 1
            if into:
                buffer = bytearray(size)
                got += buffer[: body.readinto(buffer)]
            else:
                got += body.read(size)
        assert got == b"".join(chunks)
        assert body._stream.buffered == 4


@given(
    st.one_of(
        st.binary(max_size=60), st.lists(st.sampled_from([b"3", b"\r\n", b"abc", b"0", b";", b"\n"])).map(b"".join)
    )
)
def test_any_bytes_are_read_or_refused(data):
    client, server = socket.socketpair()
    with client, server:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ClientGone, MalformedBody):
            RequestBody(ClientStream(server), None, None).read()


@given(st.lists(st.integers(1, 20), max_size=6), st.sampled_from([b"", b"\r\n", b"\r\n\r\n\r\n"]))
def test_a_head_in_any_pieces(cuts, before):
    """The same head, however the packets are cut."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\nA: b"
    data = before + head + b"\r\n\r\nBODY"

    ends = [min(sum(cuts[:n]), len(data)) for n in range(len(cuts) + 1)] + [len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(ends) if begin < end]

    class Pieces:
        def recv(self, size):
            return pieces.pop(0)

        def gettimeout(self):
            return None

        def settimeout(self, timeout):
            pass

    assert ClientStream(Pieces()).read_head(1000) == head


@pytest.mark.parametrize(("data", "status"), [(b"GET / HTTP/1.1\n\n", "400"), (b"G" * 2000, "431")])
def test_a_head_that_cannot_become_right_is_refused_before_its_end(pair, data, status):
    client, stream = pair
    client.sendall(data)
    with pytest.raises(MalformedRequest) as caught:
        stream.read_head(1000)
    assert caught.value.status.startswith(status)
