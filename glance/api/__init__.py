"""The API server's wire formats and middleware."""

from collections.abc import Callable, Iterable
from typing import Any

from glance.api import versions
from glance.common.config import CONF
from glance.wsgi.router import redirect_to_slash

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class RootApp:
    """Hands ``/v1/…`` to the app of that version and everything else to the version list."""

    def __init__(self, apps: dict[str, WSGIApp]) -> None:
        self._default = apps.pop("/")
        self._apps = apps

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        prefix = "/" + path.lstrip("/").split("/", 1)[0]
        app = self._apps.get(prefix)
        if app is None:
            return self._default(environ, start_response)
        rest = path.lstrip("/")[len(prefix) - 1 :]
        if not rest:
            return redirect_to_slash(environ, start_response, prefix)
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        environ["PATH_INFO"] = rest
        return app(environ, start_response)


def root_app_factory(loader: Any, global_conf: dict[str, str], **local_conf: str) -> RootApp:
    """Paste composite factory; keys are path prefixes, values names of apps.

    Versions that are switched off, or that this build does not have, are dropped
    before their app is loaded (spec daemons-and-config.md §5).
    """
    apps = {}
    for prefix, name in local_conf.items():
        if prefix == "/" or prefix.strip("/") in versions.enabled_families(CONF):
            apps[prefix] = loader.get_app(name, global_conf=global_conf)
    return RootApp(apps)
