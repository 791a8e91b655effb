"""v2: what the service offers (spec v2-images.md §11)."""

from typing import Any

import webob
import webob.exc

from glance.api.v2 import bodies
from glance.images.service import Service
from glance.wsgi.router import Request


class Info:
    """Handlers of ``/info``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def import_methods(self, request: Request) -> webob.Response:
        """There is no import yet."""
        return bodies.answer(
            {"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}
        )

    def usage(self, request: Request) -> webob.Response:
        """Without limits in Keystone there is nothing to say."""
        return bodies.answer({"usage": {}})

    def stores(self, request: Request) -> webob.Response:
        """The stores that images can be in.  :raises HTTPNotFound: they have no names"""
        return bodies.answer({"stores": [self._store(name) for name in self._names()]})

    def stores_detail(self, request: Request) -> webob.Response:
        """The same with type and settings, for those whom policy stores_info_detail lets see them."""
        names = self._names()
        self._service.policy.enforce(request.context, "stores_info_detail", {})
        drivers = self._service.stores.drivers()
        details = [
            {
                "type": drivers[name].NAME,
                "weight": self._service.stores.weight(name),
                "properties": drivers[name].describe(),
            }
            for name in names
        ]
        return bodies.answer({"stores": [self._store(name) | more for name, more in zip(names, details, strict=True)]})

    def _names(self) -> list[str]:
        stores = self._service.stores
        if not stores.several:
            raise webob.exc.HTTPNotFound(explanation="Multi backend is not configured: enabled_backends is not set.")
        return list(stores.drivers())

    def _store(self, name: str) -> dict[str, Any]:
        stores = self._service.stores
        driver = stores.drivers()[name]
        shown = {"id": name}
        description = self._service.conf[name].store_description
        if description:
            shown["description"] = description
        if driver is stores.default:
            shown["default"] = "true"
        if not driver.WRITABLE:
            shown["read-only"] = "true"
        return shown
