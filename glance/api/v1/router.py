"""The v1 API's routes (spec v1-api.md §2)."""

from collections.abc import Callable, Iterable
from typing import Any

from glance.api import services
from glance.api.v1.images import Images
from glance.api.v1.members import Members
from glance.common.config import CONF
from glance.images.service import Service
from glance.wsgi.router import Route, Router, redirect_to_slash


def routes(service: Service) -> list[Route]:
    """The route table; paths without the ``/v1`` in front."""
    images, members = Images(service), Members(service)
    return [
        Route("/", {"*": images.index}),
        Route("/images", {"GET": images.index, "POST": images.create}),
        Route("/images/detail", {"GET": images.detail}, allow={"HEAD": "GET", "*": "GET, HEAD"}),
        Route(
            "/images/{image_id}",
            {"GET": images.show, "HEAD": images.meta, "PUT": images.update, "DELETE": images.delete},
        ),
        Route("/images/{image_id}/members", {"GET": members.index, "PUT": members.replace}),
        Route(
            "/images/{image_id}/members/{member}",
            {"PUT": members.update, "DELETE": members.delete},
            allow={"*": "GET, PUT, DELETE"},
        ),
        Route("/shared-images/{member}", {"*": members.shared_images}),
    ]


class API(Router):
    """The v1 application."""

    PREFIX = "/v1"

    def __init__(self, service: Service) -> None:
        self._service = service
        super().__init__(routes(service))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        services.start(self._service)
        path = environ.get("PATH_INFO", "")
        if path == "/v1":
            return redirect_to_slash(environ, start_response, path)
        if path.startswith("/v1/") and not environ.get("SCRIPT_NAME", "").endswith("/v1"):
            environ["SCRIPT_NAME"] += "/v1"  # a pipeline that ends here, without the root app
            environ["PATH_INFO"] = path[len("/v1") :]
        return super().__call__(environ, start_response)

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> "API":
        """Paste app factory."""
        return cls(services.current(CONF, "v1"))
