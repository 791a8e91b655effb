"""TLS of the daemons (spec daemons-and-config.md §3.1: cert_file, key_file, ca_file)."""

import ssl

from glance.common.exception import ConfigurationError
from glance.wsgi.settings import Settings


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context for new connections, None when TLS is not configured.

    With ``ca_file`` clients must present a certificate that it vouches for.

    :raises ConfigurationError: one file without the other, an unreadable file, or a key
        that does not belong to the certificate
    """
    cert, key = settings.cert_file, settings.key_file
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        given, missing = ("key_file", "cert_file") if cert is None else ("cert_file", "key_file")
        raise ConfigurationError(
            f"{given} is set but {missing} is not: TLS needs both cert_file and key_file, or neither"
        )
    verify_pair(cert, key, settings.digest_algorithm)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigurationError(f"cert_file {cert} and key_file {key} cannot be used: {error}") from None
    if settings.ca_file:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            raise ConfigurationError(f"ca_file {settings.ca_file} cannot be used: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def verify_pair(cert_file: str, key_file: str, digest_algorithm: str) -> None:
    """Sign something with the key and verify it with the certificate.

    :raises ConfigurationError: unreadable file, unknown ``digest_algorithm`` or no match
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    digest_class = getattr(hashes, digest_algorithm.upper().replace("-", "_"), None)
    if not (isinstance(digest_class, type) and issubclass(digest_class, hashes.HashAlgorithm)):
        raise ConfigurationError(f"digest_algorithm {digest_algorithm!r} is not known: use for example sha256")
    try:
        certificate = x509.load_pem_x509_certificate(_read("cert_file", cert_file))
    except ValueError as error:
        raise ConfigurationError(f"cert_file {cert_file} holds no PEM certificate: {error}") from None
    try:
        key = serialization.load_pem_private_key(_read("key_file", key_file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"key_file {key_file} holds no unencrypted PEM private key: {error}") from None

    if isinstance(key, rsa.RSAPrivateKey):
        how: tuple = (padding.PKCS1v15(), digest_class())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        how = (ec.ECDSA(digest_class()),)
    else:
        how = ()  # Ed25519 and Ed448 have their digest built in
    message = b"does this key belong to this certificate?"
    try:
        public = certificate.public_key()
        public.verify(key.sign(message, *how), message, *how)  # type: ignore[union-attr,call-arg,arg-type]
    except (InvalidSignature, TypeError, ValueError, AttributeError):
        raise ConfigurationError(f"key_file {key_file} does not belong to cert_file {cert_file}") from None


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"{option} {path} cannot be read: {error.strerror}") from None
