"""Checking the signature of uploaded data (spec policy-quota-protection.md §6).

An image with all four ``img_signature*`` properties becomes active only if the signature
is that of its raw bytes, by the key of a certificate in the key manager.  Written on
``cryptography`` rather than cursive, whose verifiers do not look at a certificate's dates.
"""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from oslo_config import cfg

from glance.common import exception
from glance.common.offload import within
from glance.common.redact import mask_secrets, one_line
from glance.context import RequestContext

LOG = logging.getLogger(__name__)

SIGNATURE = "img_signature"
HASH_METHOD = "img_signature_hash_method"
KEY_TYPE = "img_signature_key_type"
CERTIFICATE = "img_signature_certificate_uuid"

PATIENCE = 60
"""Seconds for which a key manager is waited for; castellan itself waits for ever."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}
_CURVES = ("SECT571K1", "SECT409K1", "SECT571R1", "SECT409R1", "SECP521R1", "SECP384R1")
_KEY_TYPES = ("RSA-PSS", "DSA", *(f"ECC_{curve}" for curve in _CURVES))
_ID = re.compile(r"[0-9A-Fa-f-]{32,36}")
"""A UUID with or without dashes: nothing that could lead elsewhere in the key manager."""

_Key = rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey


class Verifier:
    """Compares the data of one upload with its signature.

    ``feed`` may run in a native thread.

    :raises Invalid: the signature cannot be checked
    """

    def __init__(self, properties: Mapping[str, str | None], fetch: Callable[[str], bytes]) -> None:
        """:param fetch: returns the certificate of an id, in DER; raises ``Invalid`` if there is none"""
        method, key_type = _one_of(_HASHES, properties, HASH_METHOD), _one_of(_KEY_TYPES, properties, KEY_TYPE)
        self._signature = _decoded(properties[SIGNATURE] or "")
        self._algorithm = _HASHES[method]
        self._key = _public_key(fetch(properties[CERTIFICATE] or ""), key_type)
        self._digest = hashlib.new(self._algorithm.name)

    def feed(self, view: memoryview) -> None:
        """Hash the next bytes; no reference to them is kept."""
        self._digest.update(view)

    def finish(self) -> None:
        """All data was fed.

        :raises Invalid: the signature is of other data, or by another key
        """
        try:
            _verify(self._key, self._signature, self._digest.digest(), self._algorithm)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):  # ValueError: an RSA key too short for the hash
            raise exception.Invalid("The signature does not match the image data.") from None


def verifier(conf: cfg.ConfigOpts, context: RequestContext, properties: Mapping[str, str | None]) -> Verifier | None:
    """What checks the data of an image with these properties; None if it is not signed.

    :raises Invalid: it is signed, and the signature cannot be checked
    """
    if not {SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE} <= properties.keys():
        return None
    return Verifier(properties, lambda certificate_id: _fetch(conf, context, certificate_id))


def _fetch(conf: cfg.ConfigOpts, context: RequestContext, certificate_id: str) -> bytes:
    """Read a certificate from the key manager, as the caller may; return it in DER.

    Not offloaded: the key managers speak through sockets and log, which are green under
    eventlet, so other requests go on meanwhile and a native thread could not call them.

    :raises Invalid: it is not there, or no certificate
    """
    if not _ID.fullmatch(certificate_id):
        raise _uncheckable(f"{CERTIFICATE} must be a UUID")
    try:
        from castellan import key_manager
    except ImportError:
        LOG.error("The library castellan is not installed: pip install 'glance-classic[signatures]'.")
        raise _uncheckable("this server has no access to a key manager") from None
    try:
        encoded = within(PATIENCE, _read, key_manager.API(conf), _credentials(conf, context), certificate_id)
    except Exception as error:  # every key manager has errors of its own
        reason = one_line(mask_secrets(str(error)))
        LOG.warning("Certificate %s could not be read from the key manager: %s", certificate_id, reason)
        raise _uncheckable("its certificate cannot be read from the key manager") from None
    if not encoded:
        raise _uncheckable(f"{CERTIFICATE} is not that of an X.509 certificate")
    return encoded


def _read(manager: Any, credentials: Any, certificate_id: str) -> bytes | None:
    """A certificate in DER; None: what has that id is none."""
    found = manager.get(credentials, certificate_id)
    return found.get_encoded() if found.format == "X.509" else None


def _credentials(conf: cfg.ConfigOpts, context: RequestContext) -> Any:
    """What the key manager is asked with: the caller's context, unless ``[key_manager] auth_type`` says otherwise."""
    from castellan.common import utils

    conf.register_opts(utils.credential_opts, group=utils.OPT_GROUP)
    return utils.credential_factory(conf, context) if conf.key_manager.auth_type else context


def _public_key(der: bytes, key_type: str) -> _Key:
    """The key of a certificate.

    :raises Invalid: it is no valid certificate now, or not for a key of that type
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        begin, end, key = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _uncheckable("its certificate is not X.509, or of a kind that this server does not support") from None
    if not begin <= datetime.now(UTC) <= end:
        raise _uncheckable("its certificate has expired or is not yet valid")
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey) and _type_of(key) == key_type:
        return key
    raise _uncheckable(f"its certificate is not for a key of type {key_type}")


def _type_of(key: _Key) -> str:
    """The key's name in ``img_signature_key_type``."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA-PSS"
    return "DSA" if isinstance(key, dsa.DSAPublicKey) else f"ECC_{key.curve.name.upper()}"


def _verify(key: _Key, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
    """:raises InvalidSignature:"""
    prehashed = Prehashed(algorithm)
    if isinstance(key, rsa.RSAPublicKey):
        # The largest salt of RFC 8017 §9.1.1; PSS.MAX_LENGTH would accept any, which other verifiers do not.
        salt = (key.key_size - 1 + 7) // 8 - algorithm.digest_size - 2
        key.verify(signature, digest, padding.PSS(padding.MGF1(algorithm), salt), prehashed)
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(signature, digest, prehashed)
    else:
        key.verify(signature, digest, ec.ECDSA(prehashed))


def _one_of(known: Collection[str], properties: Mapping[str, str | None], name: str) -> str:
    """:raises Invalid: the property is not one of the known values"""
    value = properties[name] or ""
    if value not in known:
        raise _uncheckable(f"{name} must be one of {', '.join(known)}")
    return value


def _decoded(text: str) -> bytes:
    """Base64, in lines or in one.  :raises Invalid: it is not"""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise _uncheckable(f"{SIGNATURE} is not valid base64") from None


def _uncheckable(reason: str) -> exception.Invalid:
    return exception.Invalid(f"The signature of the image cannot be checked: {reason}.")
