"""The v2 API's routes (spec v2-images.md §3)."""

from collections.abc import Callable, Iterable
from typing import Any

import webob.exc

from glance.api import services
from glance.api.v2.bodies import UnsupportedMediaType, without_body
from glance.api.v2.data import Data
from glance.api.v2.images import Images
from glance.api.v2.info import Info
from glance.api.v2.members import Members
from glance.api.v2.schemas import Schemas
from glance.common import exception
from glance.common.config import CONF
from glance.images.service import Service
from glance.wsgi.router import Route, Router

_STATUSES: dict[type[Exception], type[webob.exc.WSGIHTTPException]] = {
    exception.ImageHidden: webob.exc.HTTPNotFound,
    exception.NotYours: webob.exc.HTTPForbidden,
    exception.ImageGone: webob.exc.HTTPGone,
    exception.UnsafeContent: UnsupportedMediaType,
}
"""Where v2 answers otherwise than v1."""


def routes(service: Service, schemas: Schemas) -> list[Route]:
    """The route table; paths without the ``/v2`` in front."""
    images, data, members, info = Images(service, schemas), Data(service), Members(service), Info(service)
    return [
        Route("/schemas/{name}", {"GET": without_body(schemas.show)}),
        Route("/images", {"GET": images.index, "POST": images.create}),
        Route(
            "/images/{image_id}",
            {"GET": without_body(images.show), "PATCH": images.update, "DELETE": without_body(images.delete)},
        ),
        Route("/images/{image_id}/file", {"GET": without_body(data.download), "PUT": data.upload}),
        Route("/images/{image_id}/actions/deactivate", {"POST": without_body(images.deactivate)}),
        Route("/images/{image_id}/actions/reactivate", {"POST": without_body(images.reactivate)}),
        Route("/images/{image_id}/actions/restore", {"POST": without_body(images.restore)}),
        Route(
            "/images/{image_id}/tags/{value}", {"PUT": without_body(images.tag), "DELETE": without_body(images.untag)}
        ),
        Route("/images/{image_id}/members", {"GET": without_body(members.index), "POST": members.create}),
        Route(
            "/images/{image_id}/members/{member}",
            {"GET": without_body(members.show), "PUT": members.update, "DELETE": without_body(members.delete)},
        ),
        Route("/info/import", {"GET": without_body(info.import_methods)}),
        Route("/info/usage", {"GET": info.usage}),
        Route("/info/stores", {"GET": without_body(info.stores)}),
        Route("/info/stores/detail", {"GET": without_body(info.stores_detail)}),
        Route("/stores/{store}/{image_id}", {"DELETE": without_body(data.remove_from_store)}),
    ]


class API(Router):
    """The v2 application."""

    PREFIX = "/v2"

    def __init__(self, service: Service) -> None:
        self._service = service
        super().__init__(routes(service, Schemas(service.conf)))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        services.start(self._service)
        path = environ.get("PATH_INFO", "")
        if path.startswith("/v2/") and not environ.get("SCRIPT_NAME", "").endswith("/v2"):
            environ["SCRIPT_NAME"] += "/v2"  # a pipeline that ends here, without the root app
            environ["PATH_INFO"] = path[len("/v2") :]
        return super().__call__(environ, start_response)

    @staticmethod
    def to_http(error: Exception) -> webob.exc.WSGIHTTPException:
        for cls, status in _STATUSES.items():
            if isinstance(error, cls):
                return status(explanation=str(error))
        return Router.to_http(error)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> "API":
        """Paste app factory."""
        return cls(services.current(CONF, "v2"))
