"""The registry's REST API (spec registry.md §1-3)."""

from oslo_config import cfg

from glance.common.config import CONF
from glance.db.sqlalchemy import engine
from glance.registry.api.v1.images import Images
from glance.registry.api.v1.members import Members
from glance.registry.api.v1.transfers import Transfers
from glance.wsgi.router import Route, Router


def routes(conf: cfg.ConfigOpts) -> list[Route]:
    """The route table; ``/transfers`` and ``/usage`` are additions of this registry."""
    images, members, transfers = Images(conf), Members(), Transfers()
    membership = {"*": "PUT, DELETE"}
    return [
        Route("/", {"*": images.index}),
        Route("/images", {"GET": images.index, "POST": images.create}),
        Route("/images/detail", {"GET": images.detail}),
        Route("/images/{image_id}", {"GET": images.show, "PUT": images.update, "DELETE": images.delete}),
        Route("/images/{image_id}/members", {"GET": members.index, "PUT": members.replace}, allow=membership),
        Route("/images/{image_id}/members/{member}", {"PUT": members.update, "DELETE": members.delete}, membership),
        Route("/shared-images/{member}", {"*": members.shared_images}),
        Route("/transfers", {"GET": transfers.index, "PUT": transfers.beat}),
        Route("/usage", {"GET": images.usage}),
    ]


class API(Router):
    """The REST API alone, for paste files of 2013."""

    @classmethod
    def factory(cls, global_conf: dict[str, str], **local_conf: str) -> "API":
        """Paste app factory."""
        engine.configure(CONF)
        return cls(routes(CONF), method_not_allowed=False)
