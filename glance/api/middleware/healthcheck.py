"""Answers ``/healthcheck``, before any authentication.

Paste stanza::

    [filter:healthcheck]
    paste.filter_factory = glance.api.middleware.healthcheck:HealthcheckFilter.factory
    backends = disable_by_file
    disable_by_file_path = /etc/glance/healthcheck_disable

200 ``OK``, or 503 ``DISABLED BY FILE`` while that file exists: a load balancer then sends
nothing more.  The checks and their options, here or in ``[healthcheck]``, are those of
oslo.middleware, which has them as an application only; paste files of all years use a
filter (spec policy-quota-protection.md §8).
"""

from collections.abc import Callable, Iterable
from typing import Any

from oslo_middleware import Healthcheck

_PATH = "/healthcheck"


class HealthcheckFilter:
    """WSGI filter around ``application``.

    :param options: of the paste section; ``path`` is where to answer, default ``/healthcheck``
    """

    def __init__(self, application: Callable[..., Any], options: dict[str, str]) -> None:
        self._application = application
        self._path = options.get("path", _PATH)
        self._check = Healthcheck(application, options)  # passes on what allowed_source_ranges exclude

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == self._path and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._check(environ, start_response)
        return self._application(environ, start_response)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return lambda application: cls(application, {**global_conf, **local_conf})
