"""v2: what the service offers (spec v2-images.md §11)."""

import webob
import webob.exc

from glance.api.v2 import bodies
from glance.wsgi.router import Request


def import_methods(request: Request) -> webob.Response:
    """No import yet."""
    return bodies.answer({"import-methods": {"description": "Import methods available.", "type": "array", "value": []}})


def usage(request: Request) -> webob.Response:
    """Without limits in Keystone there is nothing to say."""
    return bodies.answer({"usage": {}})
