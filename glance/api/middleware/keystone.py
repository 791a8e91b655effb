"""keystonemiddleware's token check, with an honest answer while Keystone is away.

With ``delay_auth_decision``, which the versions document and anonymous access need, the
library takes a token that it cannot check for a wrong one.  A client that is told 401 gives
up its token, and asks Keystone, which is down, for another; 503 makes it wait.
"""

from typing import Any

import webob.exc
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions

_AWAY = (
    exceptions.ConnectFailure,
    exceptions.DiscoveryFailure,
    exceptions.RequestTimeout,
    _exceptions.ServiceError,
)
_RETRY_AFTER = "5"


class TokenCheck(auth_token.AuthProtocol):
    """The filter; settings are those of ``[keystone_authtoken]``."""

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
