"""Authority that lasts longer than a token (spec policy-quota-protection.md §8, last paragraph).

The data of a large image may take longer than the token of its sender is good for, and the
registry must be told of the result in the sender's name.  So shortly before the token
expires the sender's roles are entrusted to the service user, for a day at most; what then
needs a token gets one by that trust, and the trust is deleted with the end of the upload.
An upload that is over sooner, as most are, costs nothing.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from oslo_utils import timeutils

from glance.context import RequestContext
from glance.db.registry import service_user

LOG = logging.getLogger(__name__)

_MARGIN = 60.0
_LONGEST = timedelta(days=1)


class Authority:
    """What a request may do, as keystonemiddleware found it.

    :param token_auth: ``keystone.token_auth`` of the request: acts with the caller's token
    """

    def __init__(self, conf: cfg.ConfigOpts, token_auth: Any) -> None:
        self._conf = conf
        self._caller = token_auth

    @contextmanager
    def lasting(self, context: RequestContext) -> Iterator[None]:
        """While the block runs, ``context.renew`` gets tokens."""
        seconds = (self._caller.user.expires - timeutils.utcnow(with_timezone=True)).total_seconds()
        trust = _Trust(self._conf, self._caller)
        timer = threading.Timer(max(seconds - _MARGIN, seconds / 2), trust.create)
        timer.daemon = True
        timer.start()
        context.renew = trust.token
        try:
            yield
        finally:
            timer.cancel()
            context.renew = None
            trust.delete()


class _Trust:
    def __init__(self, conf: cfg.ConfigOpts, caller: Any) -> None:
        self._conf = conf
        self._caller = caller
        self._id: str | None = None
        self._service: Any = None
        self._session: Any = None
        self._keystone = ""
        self._over = False
        self._lock = threading.Lock()

    def create(self) -> None:
        """Entrust the caller's roles; what goes wrong is only logged."""
        with self._lock:
            if self._over:
                return
            try:
                self._create()
            except Exception as error:  # an upload that ends in time needs none
                LOG.warning("No trust for a long upload: %s: %s", type(error).__name__, error)

    def _create(self) -> None:
        from keystoneauth1 import plugin

        found = service_user.of_authtoken(self._conf)
        if found is None:
            LOG.warning("No trust for a long upload: [keystone_authtoken] names no service user")
            return
        self._service, self._session = found
        service = self._service
        self._keystone = service.get_endpoint(self._session, interface=plugin.AUTH_INTERFACE, version=(3, 0))
        user = self._caller.user
        trust = self._client(user.auth_token).trusts.create(
            trustor_user=user.user_id,
            trustee_user=service.get_user_id(self._session),
            project=user.project_id,
            role_names=list(user.role_names),
            impersonation=True,
            expires_at=timeutils.utcnow() + _LONGEST,
        )
        self._id = trust.id

    def token(self) -> str | None:
        """A token of the caller by the trust, None without one."""
        if self._id is None:
            return None
        from keystoneauth1 import exceptions
        from keystoneauth1.identity import v3

        try:
            # A token of the service user will do, whatever it logs in with.
            own = self._service.get_token(self._session)
            return v3.Token(self._keystone, token=own, trust_id=self._id).get_token(self._session)
        except exceptions.ClientException as error:
            LOG.warning("A trust for a long upload gave no token: %s", error)
            return None

    def delete(self) -> None:
        """Take back what was entrusted."""
        with self._lock:
            self._over = True
            if self._id is None:
                return
            try:
                self._client(self.token() or "").trusts.delete(self._id)
            except Exception as error:
                LOG.warning("A trust for a long upload is left until it expires: %s: %s", type(error).__name__, error)

    def _client(self, token: str) -> Any:
        from keystoneauth1 import session, token_endpoint
        from keystoneclient.v3 import client

        how = {"verify": self._session.verify, "cert": self._session.cert}
        return client.Client(session=session.Session(auth=token_endpoint.Token(self._keystone, token), **how))
