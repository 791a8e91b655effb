"""Registry REST: who is moving data (spec database.md §9); an addition of this registry."""

import webob

from glance.common import exception
from glance.db.sqlalchemy import api as db
from glance.images import access
from glance.wsgi.body import read_json
from glance.wsgi.router import Request, json_response


class Transfers:
    """Handlers of ``/transfers``."""

    def index(self, request: Request) -> webob.Response:
        if not request.context.is_admin:
            raise exception.Forbidden("Only the service itself may list transfers.")
        return json_response({"transfers": db.transfers_get_all(request.context)})

    def beat(self, request: Request) -> webob.Response:
        access.require_writer(request.context)
        body = read_json(request)
        node, images = (body.get("node"), body.get("images")) if isinstance(body, dict) else (None, None)
        if not isinstance(images, list) or not all(isinstance(image_id, str) for image_id in images):
            raise exception.Invalid('The body is {"node": "<who>", "images": ["<image id>", …]}')
        db.transfers_beat(request.context, node, images)
        return webob.Response(status=204)
