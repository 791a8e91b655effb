"""Whose signature is accepted, whose is not, and what cannot be checked (spec policy-quota-protection.md §6)."""

import base64
import logging
import os
import subprocess
import sys
import textwrap

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding

from glance.common import exception
from glance.context import RequestContext
from glance.images import signatures
from tests.services import key_manager
from tests.services.key_manager import HASHES, KEY_TYPES, UNSUPPORTED

DATA = b"the data of an image" * 1000
FOUR = (signatures.SIGNATURE, signatures.HASH_METHOD, signatures.KEY_TYPE, signatures.CERTIFICATE)


@pytest.fixture
def conf(make_conf, tmp_path):
    return make_conf(key_manager={"backend": key_manager.BACKEND, "directory": tmp_path})


@pytest.fixture
def verifier(conf):
    """Makes the verifier of an image's properties."""
    return lambda properties: signatures.verifier(conf, RequestContext(auth_token="t", overwrite=False), properties)


@pytest.fixture
def signed(tmp_path):
    """Makes the properties of an image."""
    return lambda *args, **more: key_manager.properties(tmp_path, *args, **more)


def check(verifier, data=DATA, block=777):
    for start in range(0, len(data), block):
        verifier.feed(memoryview(data)[start : start + block])
    verifier.finish()


def openssl_certificate(directory, properties, *key):
    """Put another certificate in the place of an image's."""
    path = directory / f"{properties[signatures.CERTIFICATE]}.der"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-keyout", directory / "key", "-subj", "/CN=signer",
         "-days", "2", "-outform", "DER", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("method", HASHES)
def test_good_and_tampered(verifier, signed, method, key_type):
    properties = signed(DATA, method, key_type)
    check(verifier(properties))
    with pytest.raises(exception.Invalid, match="does not match"):
        check(verifier(properties), DATA[:-1] + b"!")
    with pytest.raises(exception.Invalid, match="does not match"):
        check(verifier(properties), DATA[:-1])


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_wrong_signature(verifier, signed, key_type):
    properties = signed(DATA, "SHA-256", key_type)
    other = key_manager.signature(key_manager.private_key(key_type, "other"), DATA, "SHA-256")
    for wrong in (other, "", base64.b64encode(b"no signature").decode()):
        with pytest.raises(exception.Invalid, match="does not match"):
            check(verifier(properties | {signatures.SIGNATURE: wrong}))


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_other_hash_method(verifier, signed, key_type):
    with pytest.raises(exception.Invalid, match="does not match"):
        check(verifier(signed(DATA, "SHA-256", key_type) | {signatures.HASH_METHOD: "SHA-512"}))


def test_no_data(verifier, signed):
    check(verifier(signed(b"")), b"")
    with pytest.raises(exception.Invalid, match="does not match"):
        check(verifier(signed(DATA)), b"")


def test_shorter_salt_is_another_scheme(verifier, signed):
    algorithm = HASHES["SHA-256"]
    salted = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
    other = key_manager.private_key("RSA-PSS").sign(DATA, salted, algorithm)
    with pytest.raises(exception.Invalid, match="does not match"):
        check(verifier(signed(DATA) | {signatures.SIGNATURE: base64.b64encode(other).decode()}))


def test_signature_in_lines(verifier, signed):
    """As the usual programs write it."""
    properties = signed(DATA)
    lines = "\n".join(textwrap.wrap(properties[signatures.SIGNATURE], 64)) + "\n"
    check(verifier(properties | {signatures.SIGNATURE: lines}))


@pytest.mark.parametrize("missing", FOUR)
def test_three_properties_are_no_signature(verifier, signed, missing):
    properties = signed(DATA)
    del properties[missing]
    assert verifier(properties) is None


def test_old_names_are_no_signature(verifier, signed):
    assert verifier({name.removeprefix("img_"): value for name, value in signed(DATA).items()}) is None
    assert verifier({}) is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (signatures.HASH_METHOD, "MD5", "must be one of SHA-224"),
        (signatures.HASH_METHOD, "sha-256", "must be one of"),
        (signatures.HASH_METHOD, None, "must be one of"),
        (signatures.KEY_TYPE, "RSA", "must be one of RSA-PSS"),
        (signatures.KEY_TYPE, "ECC_SECP256R1", "must be one of"),
        (signatures.KEY_TYPE, "", "must be one of"),
        (signatures.KEY_TYPE, "DSA", "not for a key of type DSA"),
        (signatures.KEY_TYPE, "ECC_SECP384R1", "not for a key of type ECC_SECP384R1"),
        (signatures.SIGNATURE, "!!!!", "base64"),
        (signatures.SIGNATURE, "abc", "base64"),
        (signatures.SIGNATURE, "é", "base64"),
        (signatures.CERTIFICATE, "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91", "cannot be read"),
        (signatures.CERTIFICATE, "", "UUID"),
        (signatures.CERTIFICATE, None, "UUID"),
        (signatures.CERTIFICATE, "../../../../v1/secrets/other-secret-here", "UUID"),
    ],
)
def test_cannot_be_checked(verifier, signed, name, value, reason):
    with pytest.raises(exception.Invalid, match=reason):
        verifier(signed(DATA) | {name: value})


@pytest.mark.parametrize(("begin", "end"), [(-2, -1), (1, 2)])
def test_outside_its_dates(verifier, signed, begin, end):
    with pytest.raises(exception.Invalid, match="expired or is not yet valid"):
        verifier(signed(DATA, begin=begin, end=end))


def test_other_curve(verifier, signed):
    properties = signed(DATA, "SHA-256", "ECC_SECP384R1")
    with pytest.raises(exception.Invalid, match="not for a key of type ECC_SECP521R1"):
        verifier(properties | {signatures.KEY_TYPE: "ECC_SECP521R1"})


@pytest.mark.parametrize("content", [b"", b"no certificate", b"0\x82"])
def test_no_certificate(verifier, signed, tmp_path, content):
    properties = signed(DATA)
    (tmp_path / f"{properties[signatures.CERTIFICATE]}.der").write_bytes(content)
    with pytest.raises(exception.Invalid, match=r"X\.509"):
        verifier(properties)


def test_pem_is_not_what_key_managers_give(verifier, signed, tmp_path):
    properties = signed(DATA)
    path = tmp_path / f"{properties[signatures.CERTIFICATE]}.der"
    path.write_bytes(x509.load_der_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(exception.Invalid, match=r"X\.509"):
        verifier(properties)


def test_other_kind_of_secret(verifier, signed, tmp_path):
    properties = signed(DATA)
    certificate = tmp_path / f"{properties[signatures.CERTIFICATE]}.der"
    certificate.rename(certificate.with_suffix(".txt"))
    with pytest.raises(exception.Invalid, match=r"not that of an X\.509 certificate"):
        verifier(properties)


def test_key_too_short_for_the_hash(verifier, signed, tmp_path):
    """The largest salt of such a key would be negative."""
    properties = signed(DATA, "SHA-512")
    openssl_certificate(tmp_path, properties, "rsa:512")
    with pytest.raises(exception.Invalid, match=r"does not match|does not support"):
        check(verifier(properties))


@pytest.mark.parametrize("key_type", UNSUPPORTED)
def test_curve_that_the_library_does_not_support(verifier, signed, tmp_path, key_type):
    properties = signed(DATA) | {signatures.KEY_TYPE: key_type}
    curve = key_type.removeprefix("ECC_").lower()
    openssl_certificate(tmp_path, properties, "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}")
    with pytest.raises(exception.Invalid, match="does not support"):
        verifier(properties)


def test_key_manager_that_is_misconfigured(make_conf, signed, caplog):
    """The operator learns why."""
    conf = make_conf(key_manager={"backend": "no.such.KeyManager"})
    with pytest.raises(exception.Invalid, match="cannot be read"):
        signatures.verifier(conf, RequestContext(overwrite=False), signed(DATA))
    assert "no.such" in caplog.records[-1].getMessage() or "'no'" in caplog.records[-1].getMessage()


def test_key_manager_that_hangs(verifier, signed, tmp_path, monkeypatch, caplog):
    properties = signed(DATA)
    certificate = tmp_path / f"{properties[signatures.CERTIFICATE]}.der"
    certificate.unlink()
    os.mkfifo(certificate)  # reading waits for somebody who writes
    monkeypatch.setattr(signatures, "PATIENCE", 0.2)
    with pytest.raises(exception.Invalid, match="cannot be read from the key manager"):
        verifier(properties)
    assert "no answer" in caplog.text
    certificate.write_bytes(b"")  # lets the thread end


def test_credentials_that_are_configured(make_conf, signed, tmp_path):
    """The key manager refuses a request without any; a token of the configuration is one."""
    conf = make_conf(
        key_manager={"backend": key_manager.BACKEND, "directory": tmp_path, "auth_type": "token", "token": "s3cret"}
    )
    check(signatures.verifier(conf, RequestContext(overwrite=False), signed(DATA)))


def test_without_castellan(verifier, signed, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "castellan", None)
    with caplog.at_level(logging.ERROR), pytest.raises(exception.Invalid, match="no access to a key manager"):
        verifier(signed(DATA))
    assert "glance-classic[signatures]" in caplog.text


def test_castellan_is_only_loaded_when_needed():
    code = "import sys, glance.images.upload; sys.exit('castellan' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
