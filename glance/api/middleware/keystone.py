"""keystonemiddleware's token check, with an honest answer while Keystone is away.

With ``delay_auth_decision``, which the versions document and anonymous access need, the
library takes a token that it cannot check for a wrong one.  A client that is told 401 gives
up its token, and asks Keystone, which is down, for another; 503 makes it wait.
"""

import importlib.util
import logging
import time
from typing import Any, NamedTuple

import webob.exc
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions
from keystonemiddleware.auth_token import _request as _request_module

from glance.common import exception

LOG = logging.getLogger(__name__)

_AWAY = (
    exceptions.ConnectFailure,
    exceptions.DiscoveryFailure,
    exceptions.RequestTimeout,
    _exceptions.ServiceError,
)
_RETRY_AFTER = "5"
_RECENT = 5.0
"""Most seconds for which the outcome of a check is taken as it is, if neither the token nor its time in the cache
(``token_cache_time``) ends before."""

_MOST_RECENT = 256
"""Tokens whose last check is kept."""


class _Checked(NamedTuple):
    """What a check added to a request's environment, and until when (POSIX time) that holds."""

    environ: dict[str, Any]
    until: float


_request = _request_module._AuthTokenRequest({})
_SET_BY_US = (
    *(
        "HTTP_" + header.upper().replace("-", "_")
        for header in (*_request._all_auth_headers(), _request._SYSTEM_SCOPE_HEADER)
    ),
    _request._TOKEN_AUTH,
    _request._TOKEN_INFO,
)
"""What says who asks; nothing of it may come from the client."""


class TokenCheck(auth_token.AuthProtocol):
    """The filter; settings are those of ``[keystone_authtoken]``.

    :raises ConfigurationError: memcached cannot be used as it is configured
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._recent: dict[str, _Checked] = {}
        super().__init__(*args, **kwargs)
        self._seconds = min(_RECENT, self._conf.get("token_cache_time"))

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

    def process_request(self, request: Any) -> Any:
        """Check the token, unless that was done a moment ago: the library takes as long as showing an image does."""
        token = request.user_token
        if not token or request.service_token:
            return super().process_request(request)
        known = self._recent.get(token)
        if known is not None and known.until > time.time():
            for name in _SET_BY_US:
                request.environ.pop(name, None)
            request.environ.update(known.environ)
            return None
        refusal = super().process_request(request)
        if refusal is None and request.user_token_valid:
            self._remember(token, request)
        return refusal

    def _remember(self, token: str, request: Any) -> None:
        checked = request.token_info.get("token", {})
        if "application_credential" in checked or "bind" in checked:
            return  # such a token may be good for some requests only
        expires = request.token_auth.user.expires.timestamp()
        environ = {name: request.environ[name] for name in _SET_BY_US if name in request.environ}
        if len(self._recent) >= _MOST_RECENT:
            self._recent.clear()
        self._recent[token] = _Checked(environ, min(time.time() + self._seconds, expires))

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
