"""Files going out and bodies coming in, with clients of every temper."""

import hashlib
import os
import socket
import struct
import threading

import pytest

from .conftest import wait_until


def reset(client):
    """Break the connection off with a reset."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("target", ["/file", "/file/wrapped"])
def test_a_file_arrives_whole_and_the_connection_goes_on(shared, client, big_file, target):
    for _ in range(2):
        answer = client.get(f"{target}?{big_file},size")
        assert answer.body == big_file.read_bytes()
    size = big_file.stat().st_size
    assert shared.logged(f"finished {target} after {size}")
    assert shared.logged(f'"GET {target}.* 200 {size} ')
    assert client.get("/").status == 200


def test_an_empty_file(client, tmp_path):
    (tmp_path / "empty").touch()
    answer = client.get(f"/file?{tmp_path}/empty,size")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "0", b"")
    assert client.get("/").status == 200


@pytest.mark.parametrize("target", ["/file/truncated", "/file/wrapped/truncated"])
def test_a_truncated_file_breaks_the_connection_off(shared, client, tmp_path, target):
    (tmp_path / "short").write_bytes(b"s" * 100000)
    answer = client.get(f"{target}?{tmp_path}/short,150000")
    assert answer.headers["content-length"] == "150000"
    assert answer.body == b"s" * 100000
    assert client.closed()
    assert shared.logged(f"finished {target} after 100000")


def test_head_of_a_file_sends_nothing_and_says_so(shared, client, big_file):
    answer = client.get(f"/file/head?{big_file},size", method="HEAD")
    assert int(answer.headers["content-length"]) == big_file.stat().st_size
    assert client.get("/").status == 200
    assert shared.logged("finished /file/head after 0")


def test_http_1_0_file(client, big_file):
    assert client.get(f"/file?{big_file},size", version="HTTP/1.0").body == big_file.read_bytes()


@pytest.mark.parametrize("target", ["/file/broken", "/file/wrapped/broken"])
def test_a_client_that_breaks_off_is_told_to_the_application(shared, client, big_file, target):
    client.send(f"GET {target}?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.file.read(1 << 20)
    reset(client)
    sent = int(shared.logged(rf"finished {target} after (\d+)")[1])
    assert (1 << 20) <= sent < big_file.stat().st_size
    assert "Traceback" not in shared.log


def test_a_client_that_takes_nothing_is_given_up(serve, big_file):
    daemon = serve(client_socket_timeout=1)
    client = daemon.connect()
    client.send(f"GET /file/stuck?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    sent = int(daemon.logged(r"finished /file/stuck after (\d+)")[1])
    assert sent < big_file.stat().st_size
    assert daemon.get("/").status == 200


def test_slow_clients_hold_up_nobody(shared, big_file):
    """More stuck downloads than the worker has native threads; others are served meanwhile."""
    stuck = [shared.connect() for _ in range(40)]
    for client in stuck:
        client.send(f"GET /file?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert shared.get(f"/file?{big_file},size").body == big_file.read_bytes()
    assert stuck[0].answer().body == big_file.read_bytes()
    for client in stuck:
        client.close()


# --- uploads ------------------------------------------------------------------------


def digest(data):
    return hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("how", ["readinto", "read"])
@pytest.mark.parametrize("size", [0, 1, 65536, 5_000_000])
def test_an_upload_of_known_length(client, how, size):
    body = os.urandom(size)
    answer = client.get(f"/upload?{how}", method="PUT", body=body)
    assert (answer.json["size"], answer.json["md5"]) == (size, digest(body))
    assert client.get("/").status == 200


@pytest.mark.parametrize("how", ["readinto", "read"])
@pytest.mark.parametrize("chunk", [1, 7, 4096, 300_000])
def test_a_chunked_upload(client, how, chunk):
    body = os.urandom(min(chunk * 2000, 3_000_000) + 1)
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    framed = b"".join(b"%X;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = f"POST /upload?{how} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n".encode()
    answer = client.send(head + framed + b"0\r\nTrailer: x\r\n\r\n").answer()
    assert (answer.json["size"], answer.json["md5"]) == (len(body), digest(body))
    assert client.get("/").status == 200


@pytest.mark.parametrize(
    "body",
    [b"x\r\nabc\r\n", b"-1\r\n", b"3\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3 3\r\nabc\r\n", b"1" * 5000,
     b"0\r\n" + b"T: t\r\n" * 20000, b"\r\n3\r\nabc\r\n", b"0x3\r\nabc\r\n"],
)  # fmt: skip
def test_broken_chunks_are_a_400(client, body):
    client.send(b"POST /upload?readinto HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert client.answer().status == 400
    assert client.closed()


@pytest.mark.parametrize("how", ["readinto", "read"])
@pytest.mark.parametrize(
    "head", ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n\r\nF4240"], ids=["length", "chunked"]
)
@pytest.mark.parametrize("broken", ["reset", "closed"])
def test_a_client_that_disconnects_fails_the_upload(shared, client, how, head, broken):
    before = shared.log.count("upload failed: ClientGone")
    client.send(f"POST /upload?{how} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    client.send(b"d" * 500000)
    if broken == "reset":
        reset(client)
    else:
        client.sock.shutdown(socket.SHUT_WR)
    wait_until(lambda: shared.log.count("upload failed: ClientGone") > before, "the upload fails")
    assert "Traceback" not in shared.log


def test_a_client_that_stops_sending_fails_the_upload(serve):
    daemon = serve(client_socket_timeout=1)
    client = daemon.connect()
    client.send(b"POST /upload?readinto HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert daemon.logged(r"upload failed: ClientGone\(the client sent nothing in time")


def test_a_fast_upload_leaves_room_for_others(shared):
    """While one client sends without a pause, another gets answers."""
    uploader, body = shared.connect(), b"u" * (1 << 20)
    answers, sent = [], []

    def upload():
        uploader.send(b"POST /upload?readinto HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (200 << 20))
        for _ in range(200):
            uploader.send(body)
            sent.append(1)
        answers.append(uploader.answer().json["size"])

    thread = threading.Thread(target=upload)
    thread.start()
    between = 0
    client = shared.connect()
    while thread.is_alive():
        begun = len(sent)
        assert client.get("/").status == 200
        between += begun > 20 and len(sent) < 180
    thread.join()
    assert answers == [200 << 20]
    assert between > 5


def test_readinto_fills_large_buffers(client):
    answer = client.get("/upload?readinto", method="PUT", body=b"b" * (8 << 20))
    assert answer.json["largest"] > 65536
