"""Images that lie on web servers, read-only (spec stores.md §4).

Every connection goes through the guard of ``glance.common.fetch``, which also says what
an address may look like and how long a server may take.
"""

import logging
import os
import ssl
from typing import Any

from glance.common import exception, fetch
from glance.store.base import Driver, Reader

LOG = logging.getLogger(__name__)


class HttpDriver(Driver):
    """The http store.  Locations are ``http[s]://[user:pass@]host[:port]/path[?query]``.

    A proxy from ``http_proxy_information`` is asked (CONNECT) for the address that the
    guard checked, for http as well as for https.
    """

    NAME = "http"
    SCHEMES = ("http", "https")
    WRITABLE = False

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        super().__init__(conf, backend)
        self._options = conf[backend or "glance_store"]
        self._guard = fetch.Guard(conf)
        self._proxies: dict[str, str] = {}
        self._tls: ssl.SSLContext | None = None
        self.add_disabled = "web servers are read-only"

    def configure(self) -> None:
        """Read the authorities and proxies.  :raises ConfigurationError: a file or proxy is wrong"""
        authorities = self._options.https_ca_certificates_file
        self._proxies = _proxies(self._options.http_proxy_information)
        if authorities:
            try:
                self._tls = ssl.create_default_context(cafile=os.fspath(authorities))
            except OSError as error:
                raise exception.ConfigurationError(
                    f"https_ca_certificates_file {authorities} cannot be used: {error.strerror or error}."
                ) from error
        elif self._options.https_insecure:
            LOG.warning(
                "The certificates of https locations are not verified: set https_insecure = False or "
                "https_ca_certificates_file"
            )
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def check_location(self, uri: str) -> None:
        fetch.parse(uri)

    def size(self, uri: str) -> int:
        try:
            answer = self._guard.open("HEAD", uri, tls=self._tls, proxies=self._proxies)
        except exception.NotFound:
            raise exception.ImageDataNotFound() from None
        answer.close()
        return answer.length or 0

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        if offset or length is not None:
            raise exception.StoreRandomGetNotSupported()
        fetch.parse(uri)
        try:
            answer = self._guard.open("GET", uri, tls=self._tls, proxies=self._proxies)
        except exception.NotFound:
            raise exception.ImageDataNotFound() from None
        except exception.BadStoreUri:
            # The location was good when it was registered.
            raise exception.StoreUnavailable() from None
        return Reader(body=answer, length=answer.length)


def _proxies(options: dict[str, str]) -> dict[str, str]:
    for scheme, proxy in options.items():
        host, _, port = proxy.rpartition(":")
        if scheme not in HttpDriver.SCHEMES or not host or not port.isdecimal():
            raise exception.ConfigurationError(
                f"http_proxy_information: expected http:HOST:PORT or https:HOST:PORT, not {scheme}:{proxy}."
            )
    return options
