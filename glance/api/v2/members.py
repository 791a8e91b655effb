"""v2: sharing (spec v2-images.md §10)."""

from typing import Any

import webob

from glance.api.v2 import bodies, view
from glance.common import exception
from glance.images import memberships
from glance.images.service import Service
from glance.wsgi.router import Request

_LONGEST = 255


class Members:
    """Handlers of ``/images/{id}/members``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def index(self, request: Request, image_id: str) -> webob.Response:
        found = memberships.members(self._service, request.context, image_id)
        return bodies.answer({"members": [view.member(entry) for entry in found], "schema": "/v2/schemas/members"})

    def show(self, request: Request, image_id: str, member: str) -> webob.Response:
        return bodies.answer(view.member(memberships.get(self._service, request.context, image_id, member)))

    def create(self, request: Request, image_id: str) -> webob.Response:
        member = _text(bodies.json_object(request), "member")
        return bodies.answer(view.member(memberships.add(self._service, request.context, image_id, member)))

    def update(self, request: Request, image_id: str, member: str) -> webob.Response:
        status = _text(bodies.json_object(request), "status")
        changed = memberships.set_status(self._service, request.context, image_id, member, status)
        return bodies.answer(view.member(changed))

    def delete(self, request: Request, image_id: str, member: str) -> webob.Response:
        memberships.remove(self._service, request.context, image_id, member)
        return bodies.no_content()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST:
        raise exception.Invalid(f'The body must be {{"{name}": "…"}}, a text of 1 to {_LONGEST} characters.')
    return value
