"""What all v2 handlers do with bodies and headers (spec v2-images.md §2, §6.2a)."""

import json
import re
from typing import Any

import webob
import webob.exc

from glance.common import exception
from glance.wsgi.body import read_json
from glance.wsgi.router import Handler, Request

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"|([^",\s]+)')


class UnsupportedMediaType(webob.exc.HTTPUnsupportedMediaType):
    """415 that says what WebOb's own leaves out: why."""

    body_template_obj = webob.exc.WSGIHTTPException.body_template_obj


def without_body(handler: Handler) -> Handler:
    """The handler, for requests that must not bring a body.  :raises Invalid: one does"""

    def checked(request: Request, **variables: str) -> webob.Response:
        if request.content_length or _is_chunked(request):
            raise exception.Invalid("A body is not expected with this request.")
        return handler(request, **variables)

    return checked


def json_object(request: Request) -> dict[str, Any]:
    """The body, a JSON object.  :raises Invalid: it is none"""
    body = read_json(request)
    if not isinstance(body, dict):
        raise exception.Invalid("The request body must be a JSON object.")
    return body


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> webob.Response:
    """A JSON answer, with text as it is."""
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    fields = [("Content-Type", "application/json; charset=UTF-8"), ("Content-Length", str(len(raw)))]
    return webob.Response(raw, status, [*fields, *(headers or {}).items()])


def no_content(*_: Any) -> webob.Response:
    """204, without the headers of a body."""
    response = webob.Response(status=204)
    response.headers.pop("Content-Type", None)
    response.headers.pop("Content-Length", None)
    return response


def entity_tags(request: Request) -> list[str] | None:
    """What If-Match names, ``*`` among it; None if the request has no such header."""
    text = request.environ.get("HTTP_IF_MATCH")
    if text is None:
        return None
    # A weak one never matches: it does not promise that the content is the same.  A quoted * is a tag that none has.
    return [match[3] or match[2] for match in _ENTITY_TAG.finditer(text) if not match[1] and match[2] != "*"]


def _is_chunked(request: Request) -> bool:
    return request.method in ("POST", "PUT", "PATCH") and "HTTP_TRANSFER_ENCODING" in request.environ
