"""Encryption of the location URLs in the database, which may hold credentials.

Spec registry.md §5, database.md §2.3: url-safe base64 of a random IV (16 bytes) and the
AES-CBC ciphertext of the URL, one NUL byte and random non-zero bytes up to a multiple of
64 bytes.  Older rows padded to 16 bytes read the same.
"""

import base64
import os
import secrets

from glance.common.exception import ConfigurationError

_KEY_LENGTHS = (16, 24, 32)
_IV = 16
_AES_BLOCK = 16
_PADDED = 64


class LocationCipher:
    """Turns URLs into what the database holds, and back.

    :param key: ``metadata_encryption_key``; None: URLs are stored as they are
    :raises ConfigurationError: wrong length, or the library is missing
    """

    def __init__(self, key: str | None) -> None:
        self._key = key.encode() if key else None
        if self._key is None:
            return
        if len(self._key) not in _KEY_LENGTHS:
            raise ConfigurationError(
                f"metadata_encryption_key has {len(self._key)} bytes: it must have 16, 24 or 32"
            )  # fmt: skip
        try:
            from cryptography.hazmat.primitives import ciphers
            from cryptography.hazmat.primitives.ciphers import algorithms, modes
        except ImportError:
            raise ConfigurationError("metadata_encryption_key needs the Python package cryptography") from None
        algorithm = algorithms.AES(self._key)
        self._cipher = lambda iv: ciphers.Cipher(algorithm, modes.CBC(iv))

    def encrypt(self, url: str) -> str:
        """What to store for ``url``."""
        if self._key is None:
            return url
        plain = url.encode() + b"\0"
        plain += _nonzero(-len(plain) % _PADDED)
        iv = os.urandom(_IV)
        encryptor = self._cipher(iv).encryptor()
        return base64.urlsafe_b64encode(iv + encryptor.update(plain) + encryptor.finalize()).decode()

    def decrypt(self, stored: str) -> str:
        """The URL for a stored value; one that is plain (it has ``://``) is returned as it is.

        :raises ValueError: the value is damaged or was written with another key
        """
        if self._key is None or "://" in stored:
            return stored
        try:
            data = base64.b64decode(stored.encode("ascii"), altchars=b"-_", validate=True)
            iv, text = data[:_IV], data[_IV:]
            if not text or len(text) % _AES_BLOCK:
                raise ValueError
            decryptor = self._cipher(iv).decryptor()
            padded = decryptor.update(text) + decryptor.finalize()
            url = padded[: padded.rindex(b"\0")].decode()
            if "://" not in url:  # chance can make a wrong key end in a short text
                raise ValueError
        except ValueError:
            raise ValueError("The location cannot be decrypted with metadata_encryption_key") from None
        return url


def _nonzero(count: int) -> bytes:
    return bytes(secrets.randbelow(255) + 1 for _ in range(count))
