"""osprofiler's filter: requests that ask for it, with a signature, leave a trace.

Paste stanza::

    [filter:osprofiler]
    paste.filter_factory = osprofiler.web:WsgiMiddleware.factory

On with ``[profiler] enabled``.  A request with X-Trace-Info and an X-Trace-HMAC made with one
of ``hmac_keys`` is traced: how long it took, here and in the registry, and with
``trace_sqlalchemy`` each statement.  Any other is served as if the headers were not there
(spec policy-quota-protection.md §8).  Where traces go, ``connection_string`` says.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from oslo_config import cfg
from osprofiler import notifier, web

LOG = logging.getLogger(__name__)


class Profiler:
    """WSGI filter around ``application``.

    :param conf: the options of ``[profiler]``
    :param keys: separated by commas
    """

    def __init__(self, application: Callable[..., Any], conf: cfg.ConfigOpts, keys: str) -> None:
        self._application = application
        self._conf = conf
        web.enable(keys)
        self._traced = web.WsgiMiddleware(application)
        notifier.set(self._notify)
        if conf.profiler.trace_requests:
            from osprofiler import requests

            requests.enable()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # The library fails on a signature that is not ASCII.
        signed = environ.get("HTTP_X_TRACE_INFO") and environ.get("HTTP_X_TRACE_HMAC", "").isascii()
        return (self._traced if signed else self._application)(environ, start_response)

    def _notify(self, info: dict[str, Any]) -> None:
        """Hand one step of a trace to the driver.

        The driver is made by the worker that first needs it, as processes cannot share connections.
        """
        profiler = self._conf.profiler
        try:
            notifier.create(
                profiler.connection_string, context={}, project="glance", service=self._conf.prog, conf=self._conf,
                host=self._conf.bind_host,
            )(info)  # fmt: skip
        except Exception as error:  # whatever the driver's library raises: the request goes on
            LOG.warning("A trace could not be sent: %s: %s", type(error).__name__, error)
