"""From a request to one function: path and method matching, errors, HEAD.

A route table is a list of ``Route``; Routes matches the path, the table decides on the
method.  A handler takes the request and the variables of the path and returns a
``webob.Response``; it raises errors of ``glance.common.exception`` or ``webob.exc``.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import routes
import webob
import webob.exc

from glance.wsgi import errors
from glance.wsgi.client_stream import ClientGone, MalformedBody

Handler = Callable[..., webob.Response]
KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")


class Request(webob.Request):
    """A request of the service; ``context`` says who asks (set by the context middleware)."""

    @property
    def context(self) -> Any:
        return self.environ["glance.context"]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters in the URL, in their order.  :raises HTTPBadRequest: they are not UTF-8"""
        try:
            return list(self.GET.items())
        except UnicodeDecodeError:
            raise _not_utf8() from None


@dataclass(frozen=True)
class Route:
    """One path and what may be done with it.

    :ivar path: pattern of the Routes library, ``/images/{image_id}``
    :ivar methods: method → handler; the key ``*`` takes every method
    :ivar allow: what 405 answers name, where that differs from the keys of ``methods``
        by method asked for (key ``*``: any other)
    """

    path: str
    methods: dict[str, Handler]
    allow: dict[str, str] | None = None

    def handler(self, method: str) -> Handler:
        """:raises HTTPMethodNotAllowed: with the Allow header"""
        found = self.methods.get(method) or self.methods.get("*")
        if found is not None:
            return found
        names = ", ".join(self.methods)
        if self.allow:
            names = self.allow.get(method) or self.allow["*"]
        raise webob.exc.HTTPMethodNotAllowed(headers={"Allow": names})


class Router:
    """WSGI application over a route table.

    An unknown path is 404, with a method nobody knows 501 (v1-api.md §2).  The pattern of a
    known one is put into ``environ["glance.route"]``, for whoever counts requests.

    :param method_not_allowed: False: a path that is known, but not with this method, is
        unknown too, unless its route says what is allowed (the registry)
    """

    PREFIX: ClassVar[str] = ""
    """What stands before the paths of the table, for ``environ["glance.route"]``.  Not SCRIPT_NAME, which a
    client may have a say in."""

    def __init__(self, table: Iterable[Route], method_not_allowed: bool = True) -> None:
        self._mapper = routes.Mapper(register=False)
        self._mapper.minimization = False
        self._table = list(table)
        for index, route in enumerate(self._table):  # Routes carries strings only
            self._mapper.connect(None, route.path, controller=str(index))
        self._mapper.create_regs()
        self._method_not_allowed = method_not_allowed

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._dispatch(request)
        except (ClientGone, MalformedBody):  # the server knows what to do
            raise
        except Exception as error:
            answer = self.to_http(error)
            if answer.status_int == webob.exc.HTTPUnauthorized.code:
                answer.headers.setdefault("WWW-Authenticate", "Keystone")
            return errors.send(answer, environ, start_response)
        return response(environ, start_response)

    @staticmethod
    def to_http(error: Exception) -> webob.exc.WSGIHTTPException:
        """The answer to an error, for an API that differs from the others to change."""
        return errors.to_http(error)

    def _dispatch(self, request: Request) -> webob.Response:
        try:
            match = self._mapper.routematch(request.path_info or "/")
        except UnicodeDecodeError:
            raise _not_utf8() from None
        if match is None:
            raise self._unknown(request.method)
        variables = match[0]
        route = self._table[int(variables.pop("controller"))]
        request.environ["glance.route"] = self.PREFIX + route.path
        try:
            handler = route.handler(request.method)
        except webob.exc.HTTPMethodNotAllowed:
            if self._method_not_allowed or route.allow:
                raise
            raise self._unknown(request.method) from None
        variables.pop("action", None)
        return handler(request, **variables)

    @staticmethod
    def _unknown(method: str) -> webob.exc.WSGIHTTPException:
        if method in KNOWN_METHODS:
            return webob.exc.HTTPNotFound()
        return webob.exc.HTTPNotImplemented()


def _not_utf8() -> webob.exc.HTTPBadRequest:
    return webob.exc.HTTPBadRequest(explanation="The URL is not UTF-8.")


def json_response(body: Any, status: int = 200, charset: bool = True) -> webob.Response:
    """A JSON answer.

    :param charset: name it in the Content-Type, as the v1 API does for all but single images
    """
    kind = "application/json; charset=UTF-8" if charset else "application/json"
    raw = json.dumps(body).encode()
    return webob.Response(raw, status, [("Content-Type", kind), ("Content-Length", str(len(raw)))])


def redirect_to_slash(environ: dict[str, Any], start_response: Callable[..., Any], path: str) -> Iterable[bytes]:
    """Answer 302 to ``path`` with a slash at its end, on the host that was asked."""
    request = webob.Request(environ)
    answer = webob.Response(status=302, location=f"{request.application_url}{path}/", content_length=0)
    return answer(environ, start_response)
