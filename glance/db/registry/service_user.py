"""Who asks the registry when no user does (spec registry.md §5).

Sweeps, heartbeats and what the service does with more rights than its caller are done in
the name of the service user: the one of ``admin_user`` and ``auth_url``, else the one that
``[keystone_authtoken]`` has for checking tokens.  It needs the role of an administrator.
"""

from collections.abc import Callable
from typing import Any, Protocol

from oslo_config import cfg

from glance.client.auth import Keystone, credentials
from glance.client.wire import Response
from glance.common import exception
from glance.common.config.auth import GROUP, authtoken_settings

Send = Callable[[dict[str, str]], Response]


class Login(Protocol):
    """Gives requests a token."""

    def call(self, send: Send) -> Response:
        """Return ``send(headers)``; a token that is refused is renewed once.

        :raises GlanceException: no token was to be had
        """


def login(conf: cfg.ConfigOpts) -> Login | None:
    """Return the service user's login, None if the configuration names none.

    :raises ConfigurationError: it names one that cannot be
    """
    if conf.admin_user:
        found = credentials(
            username=conf.admin_user, password=conf.admin_password, tenant=conf.admin_tenant_name,
            auth_url=conf.auth_url, region=conf.auth_region, strategy=conf.auth_strategy,
        )  # fmt: skip
        if found["strategy"] == "keystone":
            return Keystone(found, want_endpoint=False)
    user = of_authtoken(conf) if "keystone" in (conf.paste_deploy.flavor or "") else None
    return _Session(*user) if user else None


def of_authtoken(conf: cfg.ConfigOpts) -> tuple[Any, Any] | None:
    """Return keystoneauth's plug-in and session of the user of ``[keystone_authtoken]``, None if there is none.

    :raises ConfigurationError: the options do not make a login
    """
    from keystoneauth1 import exceptions, loading, session
    from keystonemiddleware import auth_token  # noqa: F401  it registers the options of the group

    loading.register_auth_conf_options(conf, GROUP)
    try:
        auth = loading.load_auth_from_conf_options(conf, GROUP)
        if auth is None:
            settings = authtoken_settings(conf, {})
            if "auth_type" not in settings:
                return None
            loader: Any = loading.get_plugin_loader(settings["auth_type"])
            names = {option.dest for option in loader.get_options()}
            auth = loader.load_from_options(**{name: value for name, value in settings.items() if name in names})
        group = conf[GROUP]
        verify = False if group.insecure else group.cafile or True
        certificate = (group.certfile, group.keyfile) if group.certfile and group.keyfile else None
        return auth, session.Session(verify=verify, cert=certificate)
    except exceptions.ClientException as error:
        raise exception.ConfigurationError(f"[{GROUP}]: {error}") from error


class _Session:
    """A login by a plug-in of keystoneauth."""

    def __init__(self, auth: Any, session: Any) -> None:
        self._auth = auth
        self._session = session

    def call(self, send: Send) -> Response:
        try:
            return send(self._headers())
        except exception.NotAuthenticated:
            self._auth.invalidate()
            return send(self._headers())

    def _headers(self) -> dict[str, str]:
        from keystoneauth1 import exceptions

        try:
            return {"X-Auth-Token": self._auth.get_token(self._session)}
        except exceptions.ClientException as error:
            raise exception.AuthorizationFailure(f"The service user gets no token: {error}") from error
