"""Connections: kept, given up, found dead, shared by threads; and what is sent again."""

import os
import socket
import struct
import subprocess
import sys
import threading

import pytest

from glance.client.http import HTTPClient
from glance.common import exception
from tests.unit.client.peer import OK, Pipe, answer, plain, read_request, scripted

DATA = os.urandom(200_000)


def test_refused_and_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(exception.ClientConnectionError, match=rf"http://127.0.0.1:{port}: no answer in time"):
            HTTPClient("127.0.0.1", port, timeout=0.1).request("GET", "/")
    with pytest.raises(exception.ClientConnectionError, match="Connection refused") as caught:
        HTTPClient("127.0.0.1", port).request("GET", "/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_no_timeout_when_it_is_zero(peer):
    peer.on("GET", "/x", 200, "fine")
    assert HTTPClient("127.0.0.1", peer.port, timeout=0).request("GET", "/x").read() == b"fine"


def test_a_connection_is_kept_only_when_the_body_was_read(http, peer):
    peer.on("GET", "/x", 200, DATA)
    http.request("GET", "/x").read()
    http.request("GET", "/x").close()  # gives up its connection
    http.request("GET", "/x").read()
    first, second, third = (seen.connection for seen in peer.seen)
    assert first == second != third


def test_a_connection_that_the_server_will_close_is_not_kept():
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        assert sock.recv(10) == b""

    with scripted(serve, serve) as port:
        client = plain(port)
        for _ in range(2):
            assert client.request("GET", "/").read() == b"ok"


def test_a_connection_with_two_notions_of_the_length_is_not_kept():
    def serve(sock):
        read_request(sock)
        answer(sock, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        assert sock.recv(10) == b""

    with scripted(serve, serve) as port:
        client = plain(port)
        for _ in range(2):
            assert client.request("GET", "/").read() == b"ok"


def test_a_connection_closed_while_idle_is_not_used_even_for_a_post():
    closed = threading.Event()

    def first(sock):
        read_request(sock)
        answer(sock, OK)
        sock.close()
        closed.set()

    def second(sock):
        assert read_request(sock).startswith(b"POST /again")
        answer(sock, OK)

    with scripted(first, second) as port:
        client = plain(port)
        client.request("GET", "/").read()
        assert closed.wait(5)
        assert client.request("POST", "/again", body=b"x").read() == b"ok"


def dies_unanswered(sock):
    """Serves one request, takes a second one and dies without an answer."""
    read_request(sock)
    answer(sock, OK)
    read_request(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def serves(sock):
    read_request(sock)
    answer(sock, OK)


@pytest.mark.parametrize("method, options", [("GET", {}), ("PUT", {"body": b"x"}), ("POST", {"idempotent": True})])
def test_a_request_never_answered_on_a_kept_connection_is_repeated_once(method, options):
    with scripted(dies_unanswered, serves) as port:
        client = plain(port)
        client.request("GET", "/").read()
        assert client.request(method, "/", **options).read() == b"ok"


@pytest.mark.parametrize("method, options", [("POST", {"body": b"x"}), ("PUT", {"idempotent": False})])
def test_a_request_that_may_have_had_an_effect_is_not_repeated(method, options):
    with scripted(dies_unanswered) as port:
        client = plain(port)
        client.request("GET", "/").read()
        with pytest.raises(exception.ClientConnectionError, match=r"reset by peer|without an answer"):
            client.request(method, "/", **options)


def test_not_repeated_on_a_new_connection():
    def dies(sock):
        read_request(sock)

    with scripted(dies) as port, pytest.raises(exception.ClientConnectionError):
        plain(port).request("GET", "/")


def test_a_stream_takes_a_new_connection(http, peer):
    peer.on("GET", "/x", 200)
    peer.on("PUT", "/x", 200)
    http.request("GET", "/x").read()
    http.request("PUT", "/x", body=Pipe(b"abc")).read()
    assert peer.seen[0].connection != peer.seen[1].connection


def test_a_child_process_does_not_share_connections(http, peer):
    peer.on("GET", "/x", 200, "ok")
    http.request("GET", "/x").read()
    child = os.fork()
    if not child:
        try:
            os._exit(http.request("GET", "/x").read() != b"ok")
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    http.request("GET", "/x").read()
    first, second, third = (seen.connection for seen in peer.seen)
    assert first == third != second


def test_close(http, peer):
    peer.on("GET", "/x", 200)
    http.request("GET", "/x").read()
    http.close()
    http.request("GET", "/x").read()
    assert peer.seen[0].connection != peer.seen[1].connection


def test_many_threads(http, peer):
    peer.on("GET", "/x", 200, DATA)
    read = []

    def work():
        read.extend(http.request("GET", "/x").read() for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [DATA] * 80
    assert len({seen.connection for seen in peer.seen}) <= 8


def test_under_eventlet_requests_run_side_by_side(peer):
    """The same transport in a patched process: two slow answers take the time of one, and kept connections work."""
    barrier = threading.Barrier(2, timeout=20)

    def slow(seen):
        barrier.wait()  # only passes when both requests are there at once
        return 200, {}, b"ok"

    peer.script["GET", "/slow"] = slow
    program = f"""
import eventlet; eventlet.monkey_patch()
from glance.client.http import HTTPClient
http = HTTPClient("127.0.0.1", {peer.port}, timeout=20)
for _ in range(2):
    pool = eventlet.GreenPool()
    assert list(pool.imap(lambda n: http.request("GET", "/slow").read(), range(2))) == [b"ok", b"ok"]
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len({seen.connection for seen in peer.seen}) == 2
