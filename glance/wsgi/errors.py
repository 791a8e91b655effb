"""Which HTTP status an error of the service is answered with.

One table for both APIs and the registry (spec v1-api.md §3, §5; stores.md §1); a wire
format that differs in a row says so where it calls ``to_http``.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import webob.exc
from webob.acceptparse import create_accept_header

from glance.common import exception

LOG = logging.getLogger(__name__)

RETRY_AFTER = 5
"""Seconds a client is told to wait when a dependency is down and did not say itself."""

_STATUSES: dict[type[Exception], type[webob.exc.WSGIHTTPException]] = {
    exception.Invalid: webob.exc.HTTPBadRequest,
    exception.NotAuthenticated: webob.exc.HTTPUnauthorized,
    exception.Forbidden: webob.exc.HTTPForbidden,
    exception.NotFound: webob.exc.HTTPNotFound,
    exception.Duplicate: webob.exc.HTTPConflict,
    exception.Conflict: webob.exc.HTTPConflict,
    exception.ImageGone: webob.exc.HTTPPreconditionFailed,
    exception.PreconditionFailed: webob.exc.HTTPPreconditionFailed,
    exception.LimitExceeded: webob.exc.HTTPRequestEntityTooLarge,
    exception.StoreAddDisabled: webob.exc.HTTPGone,
    exception.StorageWriteDenied: webob.exc.HTTPServiceUnavailable,
    exception.StoreUnavailable: webob.exc.HTTPServiceUnavailable,
    exception.ServiceUnavailable: webob.exc.HTTPServiceUnavailable,
}


def to_http(error: Exception) -> webob.exc.WSGIHTTPException:
    """Return the HTTP answer for ``error``; an unexpected one is logged and becomes a bare 500."""
    if isinstance(error, webob.exc.WSGIHTTPException):
        return error
    for cls in type(error).__mro__:
        status = _STATUSES.get(cls)
        if status is None:
            continue
        answer = status(explanation=str(error))
        retry_after = getattr(error, "retry_after", None)
        if status is webob.exc.HTTPServiceUnavailable and retry_after is None:
            retry_after = RETRY_AFTER
        if retry_after is not None:
            answer.headers["Retry-After"] = str(retry_after)
        return answer
    LOG.exception("Unexpected error")
    return webob.exc.HTTPInternalServerError()


def send(
    answer: webob.exc.WSGIHTTPException, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Send an error in the form that the caller accepts: HTML or text, from v2 also JSON.

    Spec v1-api.md §3, v2-images.md §2.
    """
    is_v2 = environ.get("SCRIPT_NAME", "").endswith("/v2") or environ.get("PATH_INFO", "").startswith("/v2/")
    if not is_v2:
        accepted = create_accept_header(environ.get("HTTP_ACCEPT", ""))  # WebOb itself would offer JSON as well
        form = "text/html" if accepted.acceptable_offers(["text/html"]) else "text/plain"
        environ = {**environ, "HTTP_ACCEPT": form}
    return answer(environ, start_response)
