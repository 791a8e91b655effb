"""TLS settings of a client: which server it believes, and who it says it is (spec registry.md §5)."""

import os
import ssl

from glance.common.exception import ClientConnectionError

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat, Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSD, macOS
)


def _named_file(option: str, value: str | None, variable: str) -> str | None:
    path = value or os.environ.get(variable) or None
    if path and not os.path.isfile(path):
        raise ClientConnectionError(f"The {option} {path} does not exist: correct {option} or {variable}.")
    return path


def context(
    key_file: str | None = None, cert_file: str | None = None, ca_file: str | None = None, insecure: bool = False
) -> ssl.SSLContext:
    """Return the context for connections to a server.

    Each file falls back to GLANCE_CLIENT_KEY_FILE, _CERT_FILE, _CA_FILE; without any CA
    file the first system bundle that exists is used.

    :param key_file: PEM; enough by itself when it also holds the certificate
    :param insecure: believe any server
    :raises ClientConnectionError: a named file is missing or of no use
    """
    key = _named_file("key_file", key_file, "GLANCE_CLIENT_KEY_FILE")
    cert = _named_file("cert_file", cert_file, "GLANCE_CLIENT_CERT_FILE")
    ca = _named_file("ca_file", ca_file, "GLANCE_CLIENT_CA_FILE")
    if cert and not key:
        raise ClientConnectionError(f"The cert_file {cert} needs a key_file beside it.")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols(["http/1.1"])
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        bundle = ca or next(filter(os.path.isfile, SYSTEM_BUNDLES), None)
        try:
            if bundle:
                made.load_verify_locations(bundle)
            else:
                made.load_default_certs()
        except OSError as error:
            raise ClientConnectionError(f"The ca_file {bundle} cannot be used: {error}") from error
    if key:
        try:
            # A password prompt would hang a daemon: an encrypted key is an error instead.
            made.load_cert_chain(cert or key, key, password=lambda: "")
        except OSError as error:
            named = f"key_file {key} with cert_file {cert}" if cert else f"key_file {key} without a cert_file"
            raise ClientConnectionError(f"The {named} cannot be used: {error}") from error
    return made
