"""Compresses answers for clients that ask for it.

Paste stanza, for an operator who adds it to a pipeline before the root application::

    [filter:gzip]
    paste.filter_factory = glance.api.middleware.gzip:GzipMiddleware.factory

Only answers that lie complete in memory are compressed: lists and other metadata.  Image
data, and whatever else streams, passes untouched (spec policy-quota-protection.md §8).
"""

import gzip
from collections.abc import Callable
from typing import Any

import webob
import webob.dec
from webob.acceptparse import AcceptEncodingValidHeader

from glance.common.offload import offload

_LEVEL = 6
_LONG = 64 * 1024  # bytes from which on compressing would keep other requests waiting


class GzipMiddleware:
    """WSGI filter around ``application``."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, request: webob.Request) -> webob.Response:
        response = request.get_response(self._application)
        if not _is_compressible(request, response):
            return response
        response.vary = (*(response.vary or ()), "Accept-Encoding")
        if _asks_for_gzip(request):
            body = response.body
            response.body = offload(_compress, body) if len(body) >= _LONG else _compress(body)
            response.content_encoding = "gzip"
        return response

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
        return cls


def _is_compressible(request: webob.Request, response: webob.Response) -> bool:
    return (
        isinstance(response.app_iter, list | tuple)  # anything else may be endless, or a file for sendfile
        and request.method != "HEAD"
        and response.content_type != "application/octet-stream"
        and response.content_encoding is None
        and response.content_range is None
        and response.etag is None  # it names exactly these bytes
        and any(response.app_iter)
    )


def _asks_for_gzip(request: webob.Request) -> bool:
    accepted = request.accept_encoding
    # A missing or malformed header would accept anything; only who asks gets it.
    return isinstance(accepted, AcceptEncodingValidHeader) and bool(accepted.acceptable_offers(["gzip"]))


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)
