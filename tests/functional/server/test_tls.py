"""TLS: certificates of both sides, clients that misbehave in the handshake."""

import hashlib
import socket
import ssl
import threading

import pytest

from .conftest import wait_until


def trusting(pki, *client):
    context = ssl.create_default_context(cafile=pki.ca)
    if client:
        context.load_cert_chain(*client)
    return context


@pytest.fixture(scope="module")
def shared_tls(tmp_path_factory, pki):
    from .conftest import Daemon

    daemon = Daemon(tmp_path_factory.mktemp("tls"), {"cert_file": pki.server, "key_file": pki.server_key})
    wait_until(lambda: "after_fork" in daemon.log, "the start")
    yield daemon
    daemon.cleanup()


def test_a_verifying_client(shared_tls, pki):
    client = shared_tls.connect(trusting(pki))
    for _ in range(3):
        environ = client.get("/x").json["environ"]
        assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert client.sock.version() in ("TLSv1.2", "TLSv1.3")


def test_old_protocols_are_refused(shared_tls, pki):
    context = trusting(pki)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shared_tls.connect(context)


def test_transfers(shared_tls, pki, big_file):
    client = shared_tls.connect(trusting(pki))
    for target in ("/file", "/file/wrapped"):
        assert client.get(f"{target}?{big_file},size").body == big_file.read_bytes()
    body = big_file.read_bytes()[: 5 << 20]
    for how in ("read", "readinto"):
        answer = client.get(f"/upload?{how}", method="PUT", body=body)
        assert answer.json["md5"] == hashlib.md5(body).hexdigest()
    assert client.get("/").status == 200


def test_a_response_until_the_end_of_the_connection_is_ended_properly(shared_tls, pki):
    """Without close_notify a cut-off response would look like a whole one."""
    client = shared_tls.connect(trusting(pki))
    client.sock.suppress_ragged_eofs = False
    assert client.get("/blocks?10,20", version="HTTP/1.0").body == b"x" * 30


def test_a_broken_response_is_visible(shared_tls, pki, tmp_path):
    (tmp_path / "short").write_bytes(b"s" * 1000)
    client = shared_tls.connect(trusting(pki))
    assert len(client.get(f"/file?{tmp_path}/short,2000").body) == 1000


def test_an_upload_that_breaks_off(shared_tls, pki):
    client = shared_tls.connect(trusting(pki))
    client.send(b"PUT /upload?readinto HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    client.sock.close()
    client.file.close()
    assert shared_tls.logged("upload failed: ClientGone")


def test_plain_http_on_the_tls_port_is_one_log_line(shared_tls):
    client = shared_tls.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    client.file.read()
    assert shared_tls.logged(r"INFO .*TLS handshake with 127.0.0.1 failed: HTTP_REQUEST")
    assert "Traceback" not in shared_tls.log


def test_a_client_that_never_starts_its_handshake_delays_nobody(shared_tls, pki):
    silent = [shared_tls.connect() for _ in range(20)]
    assert shared_tls.connect(trusting(pki)).get("/").status == 200
    for client in silent:
        client.close()


def test_a_hundred_clients_at_once(shared_tls, pki):
    context, statuses = trusting(pki), []
    clients = [
        threading.Thread(target=lambda: statuses.append(shared_tls.connect(context).get("/").status))
        for _ in range(100)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 100


def test_large_unread_bodies_over_tls(shared_tls, pki):
    client = shared_tls.connect(trusting(pki))
    answer = client.get("/unread", method="POST", body=b"b" * (8 << 20))
    assert (answer.status, answer.headers["connection"]) == (403, "close")


# --- client certificates ------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory, pki):
    from .conftest import Daemon

    settings = {"cert_file": pki.server, "key_file": pki.server_key, "ca_file": pki.ca}
    daemon = Daemon(tmp_path_factory.mktemp("tls"), settings)
    wait_until(lambda: "after_fork" in daemon.log, "the start")
    yield daemon
    daemon.cleanup()


def test_a_client_with_a_certificate(asking, pki):
    assert asking.connect(trusting(pki, pki.client, pki.client_key)).get("/").status == 200


def test_a_client_without_a_certificate(asking, pki):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asking.connect(trusting(pki)).get("/")
    assert asking.logged("TLS handshake with 127.0.0.1 failed: PEER_DID_NOT_RETURN_A_CERTIFICATE")


# --- configuration ------------------------------------------------------------------


def test_ca_file_alone_means_plain_http(serve, pki):
    assert serve(ca_file=pki.ca).get("/").status == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cert_file": "server"}, "cert_file is set but key_file is not: TLS needs both"),
        ({"key_file": "server_key"}, "key_file is set but cert_file is not: TLS needs both"),
        ({"cert_file": "server", "key_file": "other_key"}, "does not belong to cert_file"),
        ({"cert_file": "server", "key_file": "server_key", "digest_algorithm": "nonsense"}, "digest_algorithm"),
        ({"cert_file": "server", "key_file": "server_key", "ca_file": "client_key"}, "ca_file"),
    ],
)
def test_wrong_files_are_one_line_and_code_1(launch, pki, settings, message):
    daemon = launch(**{option: getattr(pki, value, value) for option, value in settings.items()})
    assert daemon.process.wait(30) == 1
    assert daemon.log.startswith("ERROR: ")
    assert message in daemon.log
    assert daemon.log.count("\n") == 1


def test_reload_takes_new_files(serve, launch, pki):
    daemon = launch(cert_file=pki.server, key_file=pki.server_key, workers=1)
    wait_until(lambda: "after_fork" in daemon.log, "the start")
    kept = daemon.connect(trusting(pki))
    assert kept.get("/").status == 200
    daemon.reload(cert_file=pki.other, key_file=pki.other_key)
    answer = kept.get("/")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    wait_until(lambda: "Removed stale child" in daemon.log, "the old worker has gone")
    subject = daemon.connect(trusting(pki)).sock.getpeercert()["subject"]
    assert subject == ((("commonName", "other"),),)
    daemon.reload(cert_file=None, key_file=None)
    wait_until(lambda: daemon.log.count("Removed stale child") == 2, "the old worker has gone")
    assert daemon.get("/").json["environ"]["wsgi.url_scheme"] == "http"


def test_a_rsa_pair_and_other_digests(serve, launch, pki, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from .conftest import _certificate

    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "c").write_bytes(_certificate("r", "r", key, key, False).public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    daemon = launch(cert_file=str(tmp_path / "c"), key_file=str(tmp_path / "k"), digest_algorithm="sha512")
    wait_until(lambda: "after_fork" in daemon.log, "the start")
    context = ssl.create_default_context(cafile=str(tmp_path / "c"))
    assert daemon.connect(context).get("/").status == 200
    assert isinstance(daemon.connect(context).sock, socket.socket)
