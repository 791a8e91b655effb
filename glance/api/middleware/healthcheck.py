"""Answers ``/healthcheck``, before any authentication.

Paste stanza::

    [filter:healthcheck]
    paste.filter_factory = glance.api.middleware.healthcheck:HealthcheckFilter.factory
    backends = disable_by_file
    disable_by_file_path = /etc/glance/healthcheck_disable

200 ``OK``, or 503 ``DISABLED BY FILE`` while that file exists: a load balancer then sends
nothing more.  The checks and their options, here or in ``[healthcheck]``, are those of
oslo.middleware, which has them as an application only; paste files of all years use a
filter (spec policy-quota-protection.md §8).  ``glance.api.middleware.health`` adds
``database``, ``registry``, ``stores`` and ``cache`` to its ``backends``.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any

from oslo_middleware import Healthcheck

from glance.common.config import CONF
from glance.common.exception import ConfigurationError

_PATH = "/healthcheck"


class HealthcheckFilter:
    """WSGI filter around ``application``.

    :param options: of the paste section; ``path`` is where to answer, default ``/healthcheck``
    """

    def __init__(self, application: Callable[..., Any], options: dict[str, str]) -> None:
        self._application = application
        self._path = options.get("path", _PATH)
        _check_backends(options["backends"].split(",") if "backends" in options else CONF.healthcheck.backends)
        self._check = Healthcheck(application, options)  # passes on what allowed_source_ranges exclude

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == self._path and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._check(environ, start_response)
        return self._application(environ, start_response)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return lambda application: cls(application, {**global_conf, **local_conf})


def _check_backends(backends: Iterable[str]) -> None:
    """Refuse a name that no plug-in has: the library would leave that check out.  :raises ConfigurationError:"""
    known = entry_points(group=Healthcheck.NAMESPACE).names
    for name in (backend.strip() for backend in backends):
        if name not in known:
            raise ConfigurationError(f"[healthcheck] backends: {name!r} is none of {', '.join(sorted(known))}.")
