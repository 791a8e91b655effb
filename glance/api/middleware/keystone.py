"""keystonemiddleware's token check, with an honest answer while Keystone is away.

With ``delay_auth_decision``, which the versions document and anonymous access need, the
library takes a token that it cannot check for a wrong one.  A client that is told 401 gives
up its token, and asks Keystone, which is down, for another; 503 makes it wait.
"""

import importlib.util
import logging
from typing import Any

import webob.exc
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions

from glance.common import exception

LOG = logging.getLogger(__name__)

_AWAY = (
    exceptions.ConnectFailure,
    exceptions.DiscoveryFailure,
    exceptions.RequestTimeout,
    _exceptions.ServiceError,
)
_RETRY_AFTER = "5"


class TokenCheck(auth_token.AuthProtocol):
    """The filter; settings are those of ``[keystone_authtoken]``.

    :raises ConfigurationError: memcached cannot be used as it is configured
    """

    def _token_cache_factory(self) -> "TokenCache":
        try:
            cache = super()._token_cache_factory()
        except _exceptions.ConfigurationError as error:
            raise exception.ConfigurationError(f"[keystone_authtoken] {error}") from error
        if self._conf.get("memcached_servers"):
            self._require_library()
        return TokenCache(cache)

    def _require_library(self) -> None:
        # keystonemiddleware would say so at the first request, and at every other.
        module, remedy = "memcache", "'glance-classic[memcached]'"
        if self._conf.get("memcache_sasl_enabled") or self._conf.get("memcache_tls_enabled"):
            module, remedy = "bmemcached", "python-binary-memcached"
        if importlib.util.find_spec(module) is None:
            raise exception.ConfigurationError(
                f"[keystone_authtoken] memcached_servers needs the library {module}: pip install {remedy}"
            )

    def fetch_token(self, token: str, **kwargs: Any) -> Any:
        """:raises HTTPServiceUnavailable: neither the cache nor Keystone can tell"""
        try:
            return super().fetch_token(token, **kwargs)
        except _exceptions.InvalidToken as error:
            if isinstance(error.__context__, _AWAY):
                raise webob.exc.HTTPServiceUnavailable(
                    "The identity service is not available.", headers={"Retry-After": _RETRY_AFTER}
                ) from error
            raise


class TokenCache:
    """The library's cache of tokens, of which a failure is no answer instead of an error: Keystone knows too."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def initialize(self, environ: dict[str, Any]) -> None:
        self._cache.initialize(environ)

    def get(self, token: str) -> Any:
        try:
            found = self._cache.get(token)
        except Exception as error:  # of its library, of the pool of connections, of what somebody else stored
            LOG.warning("The token cache cannot be read: %s", type(error).__name__)
            return None
        return found if isinstance(found, dict) else None

    def set(self, token: str, data: Any) -> None:
        try:
            self._cache.set(token, data)
        except Exception as error:
            LOG.warning("The token cache cannot be written: %s", type(error).__name__)
