"""TLS: whom the client believes, and who it says it is."""

import ssl

import pytest

from glance.client import Client, tls
from glance.client.http import HTTPClient
from glance.common import exception
from tests.unit.client.certificates import Authority
from tests.unit.client.peer import Peer, read_request, scripted


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_context(authority):
    key_file, cert_file = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context


@pytest.fixture
def tls_peer(server_context):
    peer = Peer(server_context)
    peer.on("GET", "/x", 200, "ok")
    yield peer
    peer.close()


@pytest.fixture
def demanding_peer(authority):
    """A server that wants to see a certificate of the client."""
    key_file, cert_file = authority.issue("demanding")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    peer = Peer(context)
    peer.on("GET", "/x", 200, "ok")
    yield peer
    peer.close()


def get(port, **options):
    return HTTPClient("127.0.0.1", port, use_ssl=True, timeout=10, **options).request("GET", "/x").read()


def test_a_server_of_a_known_authority_is_believed_and_its_connection_kept(tls_peer, authority):
    http = HTTPClient("127.0.0.1", tls_peer.port, use_ssl=True, ca_file=str(authority.ca_file), timeout=10)
    for _ in range(2):
        assert http.request("GET", "/x", headers={"x-auth-token": "t"}).read() == b"ok"
    assert tls_peer.seen[0].connection == tls_peer.seen[1].connection


def test_an_unknown_server_gets_nothing(tls_peer):
    with pytest.raises(exception.ClientConnectionError, match="issuer"):
        get(tls_peer.port)
    assert tls_peer.seen == []


def test_insecure_believes_it(tls_peer):
    assert get(tls_peer.port, insecure=True) == b"ok"


def test_a_certificate_for_another_address_is_not_believed(authority):
    key_file, cert_file = authority.issue("elsewhere", "127.0.0.2")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    peer = Peer(context)
    try:
        with pytest.raises(exception.ClientConnectionError, match=r"127\.0\.0\.1"):
            get(peer.port, ca_file=str(authority.ca_file))
        assert peer.seen == []
    finally:
        peer.close()


def test_plain_http_on_a_tls_client_is_an_error(peer):
    with pytest.raises(exception.ClientConnectionError):
        get(peer.port)


def test_ca_file_from_the_environment(tls_peer, authority, monkeypatch):
    monkeypatch.setenv("GLANCE_CLIENT_CA_FILE", str(authority.ca_file))
    assert get(tls_peer.port) == b"ok"


def test_first_system_bundle_that_exists(tls_peer, authority, monkeypatch, tmp_path):
    assert tls.SYSTEM_BUNDLES[0] == "/etc/ssl/certs/ca-certificates.crt"
    assert len(tls.SYSTEM_BUNDLES) == 4
    monkeypatch.setattr(tls, "SYSTEM_BUNDLES", (str(tmp_path / "missing"), str(authority.ca_file), "/dev/null"))
    assert get(tls_peer.port) == b"ok"


def test_client_certificate(demanding_peer, authority):
    key_file, cert_file = authority.issue("client")
    assert get(demanding_peer.port, ca_file=authority.ca_file, key_file=key_file, cert_file=cert_file) == b"ok"


def test_client_certificate_from_the_environment(demanding_peer, authority, monkeypatch):
    key_file, cert_file = authority.issue("client")
    monkeypatch.setenv("GLANCE_CLIENT_CA_FILE", str(authority.ca_file))
    monkeypatch.setenv("GLANCE_CLIENT_KEY_FILE", str(key_file))
    monkeypatch.setenv("GLANCE_CLIENT_CERT_FILE", str(cert_file))
    assert get(demanding_peer.port) == b"ok"


def test_a_key_file_that_holds_the_certificate_is_enough(demanding_peer, authority, tmp_path):
    key_file, cert_file = authority.issue("client")
    both = tmp_path / "both.pem"
    both.write_bytes(key_file.read_bytes() + cert_file.read_bytes())
    assert get(demanding_peer.port, ca_file=authority.ca_file, key_file=both) == b"ok"


def test_without_a_client_certificate_the_server_refuses(demanding_peer, authority):
    with pytest.raises(exception.ClientConnectionError):
        get(demanding_peer.port, ca_file=authority.ca_file)
    assert demanding_peer.seen == []


def test_files_that_are_of_no_use(authority, tmp_path):
    key_file, cert_file = authority.issue("client")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for options, message in (
        ({"cert_file": cert_file}, "needs a key_file"),
        ({"key_file": key_file}, "without a cert_file"),
        ({"key_file": tmp_path / "none"}, "key_file .*none does not exist"),
        ({"key_file": key_file, "cert_file": tmp_path / "none"}, "cert_file .*none does not exist"),
        ({"ca_file": tmp_path / "none"}, "ca_file .*none does not exist"),
        ({"ca_file": nonsense}, "ca_file .*nonsense cannot be used"),
        ({"key_file": nonsense, "cert_file": cert_file}, "cannot be used"),
    ):
        with pytest.raises(exception.ClientConnectionError, match=message):
            HTTPClient("127.0.0.1", 1, use_ssl=True, **options)
        with pytest.raises(exception.ClientConnectionError, match=message):
            Client("127.0.0.1", 1, use_ssl=True, **options)


def test_tls_files_do_not_matter_without_tls(peer, tmp_path, monkeypatch):
    monkeypatch.setenv("GLANCE_CLIENT_KEY_FILE", str(tmp_path / "none"))
    peer.on("GET", "/x", 200, "ok")
    http = HTTPClient("127.0.0.1", peer.port, ca_file=str(tmp_path / "none"))
    assert http.request("GET", "/x").read() == b"ok"


def test_no_redirect_from_https_to_http(tls_peer, authority, peer):
    tls_peer.on("GET", "/away", 302, Location=f"http://127.0.0.1:{peer.port}/x")
    http = HTTPClient("127.0.0.1", tls_peer.port, use_ssl=True, ca_file=str(authority.ca_file))
    with pytest.raises(exception.InvalidRedirect, match="from https to http"):
        http.request("GET", "/away")
    assert peer.seen == []


def test_a_redirect_to_https_verifies_the_server(tls_peer, authority, peer):
    peer.on("GET", "/x", 302, Location=f"https://127.0.0.1:{tls_peer.port}/x")
    with pytest.raises(exception.ClientConnectionError):
        HTTPClient("127.0.0.1", peer.port).request("GET", "/x")
    assert tls_peer.seen == []
    http = HTTPClient("127.0.0.1", peer.port, ca_file=str(authority.ca_file))
    assert http.request("GET", "/x").read() == b"ok"


def test_a_kept_tls_connection_that_was_closed_is_replaced(server_context, authority):
    def serve(sock):
        with server_context.wrap_socket(sock, server_side=True) as secure:
            read_request(secure)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with scripted(serve, serve) as port:
        http = HTTPClient("127.0.0.1", port, use_ssl=True, ca_file=str(authority.ca_file), timeout=10)
        for _ in range(2):
            assert http.request("GET", "/x").read() == b"ok"
