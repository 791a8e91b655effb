"""v2: images (spec v2-images.md §5, §6)."""

from typing import Any
from urllib.parse import urlencode

import webob
import webob.exc

from glance.api.v2 import bodies, patch
from glance.api.v2.schemas import Schemas
from glance.api.v2.view import ImageView
from glance.common import exception
from glance.images import editing, lifecycle, searching
from glance.images.model import Image
from glance.images.service import Service
from glance.wsgi.body import read_json
from glance.wsgi.router import Request

_DISALLOWED = ("direct_url", "self", "file", "schema", "stores")


class Images:
    """Handlers of ``/images`` and of what is done to a whole image."""

    def __init__(self, service: Service, schemas: Schemas) -> None:
        self._service = service
        self._schemas = schemas
        self._view = ImageView(service, schemas.typed)

    def index(self, request: Request) -> webob.Response:
        params = request.query
        page = searching.search(service := self._service, request.context, searching.parse_query(params, service.conf))
        rest = [(name, value) for name, value in params if name != "marker"]
        body: dict[str, Any] = {
            "images": [self._view(request.context, image) for image in page.images],
            "first": _link(rest),
            "schema": "/v2/schemas/images",
        }
        if page.marker is not None:
            body["next"] = _link([*rest, ("marker", page.marker)])
        return bodies.answer(body)

    def show(self, request: Request, image_id: str) -> webob.Response:
        return self._answer(request, lifecycle.get(self._service, request.context, image_id))

    def create(self, request: Request) -> webob.Response:
        service, context = self._service, request.context
        body = bodies.json_object(request)
        image = self._new_image(body)
        if "owner" not in body:
            image.owner = context.owner
        lifecycle.check_create(service, context, image)
        for name in sorted(body.keys() & (editing.READ_ONLY - {"id"} | {"locations"})):
            raise exception.Forbidden(f"Attribute '{name}' is read-only.")
        created = lifecycle.register(service, context, image)
        created.properties = service.protections.visible(context, created.properties)
        response = self._answer(request, created, 201)
        base = (service.conf.public_endpoint or request.application_url.removesuffix("/v2")).rstrip("/")
        response.headers["Location"] = f"{base}/v2/images/{created.id}"
        if service.stores.several:
            response.headers["OpenStack-image-store-ids"] = ",".join(service.stores.drivers())
        return response

    def _new_image(self, body: dict[str, Any]) -> Image:
        """The image that a body describes.  :raises Forbidden, InvalidObject:"""
        for name in _DISALLOWED:
            if name in body:
                raise exception.Forbidden(f"Attribute '{name}' is read-only.")
        self._schemas.check_image(body)
        for name in body:
            if name not in editing.READ_ONLY and editing.is_fixed(name):
                raise exception.ReservedProperty(property=name)
        attributes = {name: body[name] for name in (*editing.WRITABLE, "id") if name in body}
        attributes["tags"] = list(dict.fromkeys(attributes.get("tags", ())))
        known = {*editing.WRITABLE, *editing.READ_ONLY, "locations"}
        properties = {name: value for name, value in body.items() if name not in known}
        return Image(**attributes, properties=properties)

    def update(self, request: Request, image_id: str) -> webob.Response:
        content_type = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if content_type not in patch.CONTENT_TYPES:
            raise bodies.UnsupportedMediaType(
                explanation="Changes must be sent as one of the types that Accept-Patch lists.",
                headers={"Accept-Patch": ", ".join(patch.CONTENT_TYPES)},
            )
        changes = patch.parse(content_type, read_json(request))
        for change in changes:
            self._check_value(change)
        return self._answer(
            request, editing.edit(self._service, request.context, image_id, changes, bodies.entity_tags(request))
        )

    def _check_value(self, change: editing.Change) -> None:
        """:raises Invalid: not a value of what is changed; what nobody may set is refused later"""
        name = change.path[0]
        if change.op == "remove" or editing.is_fixed(name):
            return
        if name == "locations" and change.op == "add":
            self._schemas.check_location(change.value)
        else:
            self._schemas.check_value(name, change.value)

    def delete(self, request: Request, image_id: str) -> webob.Response:
        lifecycle.delete(self._service, request.context, image_id, bodies.entity_tags(request))
        return bodies.no_content()

    # --- actions and tags --------------------------------------------------------

    def deactivate(self, request: Request, image_id: str) -> webob.Response:
        editing.set_active(self._service, request.context, image_id, False)
        return bodies.no_content()

    def reactivate(self, request: Request, image_id: str) -> webob.Response:
        editing.set_active(self._service, request.context, image_id, True)
        return bodies.no_content()

    def restore(self, request: Request, image_id: str) -> webob.Response:
        lifecycle.restore(self._service, request.context, image_id)
        return bodies.no_content()

    def tag(self, request: Request, image_id: str, value: str) -> webob.Response:
        self._schemas.check_value("tags", [value])
        editing.tag(self._service, request.context, image_id, value)
        return bodies.no_content()

    def untag(self, request: Request, image_id: str, value: str) -> webob.Response:
        editing.untag(self._service, request.context, image_id, value)
        return bodies.no_content()

    def _answer(self, request: Request, image: Image, status: int = 200) -> webob.Response:
        headers = {"ETag": f'"{image.etag}"'} if image.etag else {}
        return bodies.answer(self._view(request.context, image), status, headers)


def _link(params: list[tuple[str, str]]) -> str:
    return "/v2/images" + (f"?{urlencode(params)}" if params else "")
