"""Fixtures of the store tests."""

import datetime
import ssl
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from oslo_config import cfg

from glance.common.config import fetch, store
from tests.unit.store.web import WebServer

pytest.register_assert_rewrite("tests.unit.store.contract", "tests.unit.store.scenarios")


@pytest.fixture
def make_conf():
    """Options that stores and guard read, as a file would set them: a dict per section.

    Much quicker to build than all the options of glance-api.
    """

    def build(**options: Any) -> cfg.ConfigOpts:
        conf = cfg.ConfigOpts()
        conf.register_opts([cfg.StrOpt("bind_host", default="0.0.0.0"), cfg.StrOpt("registry_host", default="0.0.0.0")])
        for section in (*fetch.OPTIONS, *store.OPTIONS):
            conf.register_opts(section.options, group=None if section.group == "DEFAULT" else section.group)
        groups = {"DEFAULT": {}}
        for name, value in options.items():
            if isinstance(value, dict):
                groups[name] = value
            else:
                groups["DEFAULT"][name] = value
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            for group, values in groups.items():
                file.write(f"[{group}]\n")
                for name, value in values.items():
                    file.writelines(f"{name} = {item}\n" for item in (value if isinstance(value, list) else [value]))
            file.flush()
            conf([], default_config_files=[file.name], default_config_dirs=[])
            store.backend_sections(conf)
        return conf

    return build


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


class Certificate(NamedTuple):
    """Paths of PEM files: of the authority, and of certificate and key for mirror.example."""

    authority: str
    chain: str


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Certificate:
    """A certificate for mirror.example, signed by an authority that nobody else knows."""
    directory = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, issuer: str, key, signer, extension):
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(extension, critical=True)
            .sign(signer, hashes.SHA256())
        )

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = build("authority", "authority", authority_key, authority_key, x509.BasicConstraints(True, None))
    names = x509.SubjectAlternativeName([x509.DNSName("mirror.example")])
    server = build("mirror.example", "authority", key, authority_key, names)
    pem = serialization.Encoding.PEM
    (directory / "authority.pem").write_bytes(authority.public_bytes(pem))
    (directory / "server.pem").write_bytes(
        server.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(str(directory / "authority.pem"), str(directory / "server.pem"))


@pytest.fixture
def secure_web(certificate) -> Iterator[WebServer]:
    """A web server with the certificate of mirror.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain)
    server = WebServer(tls=context)
    yield server
    server.close()
