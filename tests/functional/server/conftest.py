"""Fixtures that run ``daemon.py`` as a real process and talk to it over real sockets."""

import contextlib
import datetime
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30


def wait_until(condition, what):
    """Poll ``condition`` until it is true; return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen: {what}")
        time.sleep(0.02)
    return value


class Answer:
    """A parsed HTTP response: status, headers (lower case names), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Raw:
    """A client that sends exactly the bytes it is told to."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data)
        return self

    def get(self, target="/", *headers, method="GET", body=b"", version="HTTP/1.1"):
        """Send a request and return its answer."""
        lines = [f"{method} {target} {version}", "Host: test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.answer(method)

    def answer(self, method="GET"):
        """Read one response; None at the end of the connection."""
        line = self.file.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if method == "HEAD" or status in (100, 204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.readline()
            self.file.readline()
        elif "content-length" in headers:
            body = self.file.read(int(headers["content-length"]))
        else:
            body = self.file.read()
        return Answer(status, headers, body)

    def closed(self):
        """Wait for the end of the connection; True if nothing but the end came."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.sock.close()


class Daemon:
    """One process of ``daemon.py`` and its workers."""

    def __init__(self, directory, settings, environment=None, fds=()):
        self.settings = {"bind_port": free_port(), **settings}
        self.file = directory / "settings.json"
        self.log_file = directory / "log"
        self.clients = []
        self.write()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("daemon.py"), self.file],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            )  # fmt: skip

    def write(self, **changes):
        """Change the settings file."""
        self.settings.update(changes)
        self.file.write_text(json.dumps(self.settings))

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_file.read_text()

    def logged(self, pattern):
        """Wait until a line of the log matches; return the match."""
        return wait_until(lambda: re.search(pattern, self.log), f"{pattern!r} in the log:\n{self.log}")

    def started(self):
        wait_until(self._ready, f"the start of the daemon:\n{self.log}")
        return self

    def _ready(self):
        assert self.process.poll() is None, self.log
        ready = len(re.findall("after_fork in", self.log)) >= max(1, self.settings.get("workers", 1))
        return ready and self._listens()

    def _listens(self):
        with contextlib.suppress(ConnectionRefusedError), self._connect():
            return True

    def children(self):
        """Pids of the workers."""
        return {int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()}

    def _connect(self, host=None):
        host = host or self.settings.get("bind_host", "127.0.0.1")
        return socket.create_connection((host, self.settings["bind_port"]), timeout=PATIENCE)

    def connect(self, context=None, host=None):
        """Open a connection, with TLS if a context is given."""
        sock = self._connect(host)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname="127.0.0.1")
        client = Raw(sock)
        self.clients.append(client)
        return client

    def get(self, *args, **kwargs):
        """One request on a connection of its own."""
        client = self.connect()
        try:
            return client.get(*args, **kwargs)
        finally:
            client.close()

    def reload(self, **changes):
        """Change the settings, send HUP, and wait until the old workers accept no more."""
        former = self.children()
        self.write(**changes)
        self.process.send_signal(signal.SIGHUP)
        for pid in former:
            self.logged(f"Child {pid} accepts no more|Removed stale child {pid}")

    def end(self, number=signal.SIGTERM):
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def cleanup(self):
        for client in self.clients:
            client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # its own group, in which orphans stay as well
        self.process.kill()
        self.process.wait()


@pytest.fixture
def launch(tmp_path):
    """Start a daemon without waiting for it: ``launch(workers=2, …)``."""
    daemons = []

    def launch(environment=None, fds=(), **settings):
        directory = tmp_path / str(len(daemons))
        directory.mkdir()
        daemons.append(Daemon(directory, settings, environment, fds))
        return daemons[-1]

    yield launch
    for daemon in daemons:
        daemon.cleanup()


@pytest.fixture
def serve(launch):
    """Start a daemon and wait until it answers: ``serve(workers=2, …)``."""
    return lambda **settings: launch(**settings).started()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A daemon with one worker for all tests of a module that change nothing about it."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), {}).started()
    yield daemon
    daemon.cleanup()


@pytest.fixture
def client(shared):
    """A connection to the shared daemon."""
    return shared.connect()


@pytest.fixture(scope="session")
def big_file(tmp_path_factory):
    """A file larger than all socket buffers together."""
    path = tmp_path_factory.mktemp("data") / "big"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(48):
            file.write(block)
    return path


def _certificate(subject, issuer, key, issuer_key, authority):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """Files: ca, server certificate and key (two pairs), client certificate and key."""
    directory = tmp_path_factory.mktemp("pki")
    ca_key = ec.generate_private_key(ec.SECP256R1())
    files = {"ca": directory / "ca.pem"}
    files["ca"].write_bytes(_certificate("ca", "ca", ca_key, ca_key, True).public_bytes(serialization.Encoding.PEM))
    for name in ("server", "other", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, "ca", key, ca_key, False)
        files[name] = directory / f"{name}.pem"
        files[name].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[f"{name}_key"] = directory / f"{name}.key"
        files[f"{name}_key"].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return SimpleNamespace(**{name: str(path) for name, path in files.items()})
