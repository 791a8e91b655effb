"""A key manager for tests that reads certificates from a directory, and what to sign images with.

castellan loads it by its name: ``[key_manager] backend = tests.services.key_manager.DirectoryKeyManager``.
"""

import base64
import datetime
import functools
import uuid
from pathlib import Path
from typing import Any

from castellan.common import exception
from castellan.common.objects import passphrase, x_509
from castellan.key_manager import not_implemented_key_manager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from oslo_config import cfg

BACKEND = "tests.services.key_manager.DirectoryKeyManager"
HASHES = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}
CURVES = ("SECT571K1", "SECT409K1", "SECT571R1", "SECT409R1", "SECP521R1", "SECP384R1")
KEY_TYPES = ("RSA-PSS", "DSA", *(f"ECC_{curve}" for curve in CURVES if hasattr(ec, curve)))
"""Those that the installed cryptography supports."""
UNSUPPORTED = [f"ECC_{curve}" for curve in CURVES if not hasattr(ec, curve)]


class DirectoryKeyManager(not_implemented_key_manager.NotImplementedKeyManager):
    """In ``[key_manager] directory`` ``<id>.der`` is the certificate of that id, ``<id>.txt`` another secret."""

    def __init__(self, configuration: cfg.ConfigOpts) -> None:
        super().__init__(configuration)
        configuration.register_opts([cfg.StrOpt("directory")], group="key_manager")
        self._directory = Path(configuration.key_manager.directory)

    def get(self, context: Any, managed_object_id: str) -> Any:
        # A request's context has the one, castellan's credentials have the other.
        if not (getattr(context, "auth_token", None) or getattr(context, "token", None)):
            raise exception.Forbidden()
        if (path := self._directory / f"{managed_object_id}.der").exists():
            return x_509.X509(path.read_bytes())
        if (path := self._directory / f"{managed_object_id}.txt").exists():
            return passphrase.Passphrase(path.read_bytes())
        raise exception.ManagedObjectNotFoundError(uuid=managed_object_id)


@functools.cache
def private_key(key_type: str, name: str = "first") -> Any:
    """A key of a type as ``img_signature_key_type`` names it; another one for another ``name``."""
    if key_type == "RSA-PSS":
        return rsa.generate_private_key(65537, 2048)
    if key_type == "DSA":
        return dsa.generate_private_key(2048)
    return ec.generate_private_key(getattr(ec, key_type.removeprefix("ECC_"))())


def certificate(key: Any, begin: int = -1, end: int = 1) -> bytes:
    """A self-signed certificate in DER, valid from and until so many days from now."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer of images")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + datetime.timedelta(begin)).not_valid_after(now + datetime.timedelta(end))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def signature(key: Any, data: bytes, method: str) -> str:
    """The value of ``img_signature``."""
    algorithm = HASHES[method]
    if isinstance(key, rsa.RSAPrivateKey):
        raw = key.sign(data, padding.PSS(padding.MGF1(algorithm), padding.PSS.MAX_LENGTH), algorithm)
    elif isinstance(key, dsa.DSAPrivateKey):
        raw = key.sign(data, algorithm)
    else:
        raw = key.sign(data, ec.ECDSA(algorithm))
    return base64.b64encode(raw).decode()


def properties(
    directory: Path, data: bytes, method: str = "SHA-256", key_type: str = "RSA-PSS", *, begin: int = -1, end: int = 1
) -> dict[str, str]:
    """The four properties of an image with ``data``; the certificate is put into ``directory``."""
    key, certificate_id = private_key(key_type), str(uuid.uuid4())
    (directory / f"{certificate_id}.der").write_bytes(certificate(key, begin, end))
    return {
        "img_signature": signature(key, data, method),
        "img_signature_hash_method": method,
        "img_signature_key_type": key_type,
        "img_signature_certificate_uuid": certificate_id,
    }
