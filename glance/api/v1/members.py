"""v1: sharing (spec v1-api.md §8)."""

from typing import Any

import webob

from glance.common import exception
from glance.images import sharing
from glance.images.service import Service
from glance.wsgi.body import read_json
from glance.wsgi.router import Request, json_response

_MALFORMED = "Invalid membership association specified: "


class Members:
    """Handlers of ``/images/{id}/members`` and ``/shared-images/{member}``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def index(self, request: Request, image_id: str) -> webob.Response:
        found = sharing.members(self._service, request.context, image_id)
        return json_response({"members": [{"member_id": m.member_id, "can_share": m.can_share} for m in found]})

    def shared_images(self, request: Request, member: str) -> webob.Response:
        found = sharing.shared_images(self._service, request.context, member)
        return json_response({"shared_images": [{"image_id": m.image_id, "can_share": m.can_share} for m in found]})

    def update(self, request: Request, image_id: str, member: str) -> webob.Response:
        can_share = one_membership(read_json(request))
        sharing.set_member(self._service, request.context, image_id, member, can_share)
        return webob.Response(status=204)

    def replace(self, request: Request, image_id: str) -> webob.Response:
        wanted = memberships(read_json(request))
        sharing.replace_members(self._service, request.context, image_id, wanted)
        return webob.Response(status=204)

    def delete(self, request: Request, image_id: str, member: str) -> webob.Response:
        sharing.remove_member(self._service, request.context, image_id, member)
        return webob.Response(status=204)


def one_membership(body: Any) -> bool | None:
    """Read ``{"member": {"can_share": …}}``; None when it does not say.  :raises Invalid:"""
    if body is None:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("member", {}), dict):
        raise exception.Invalid(_MALFORMED + 'the body is {"member": {"can_share": true}}')
    member = body.get("member", {})
    return bool(member["can_share"]) if "can_share" in member else None


def memberships(body: Any) -> list[dict[str, Any]]:
    """Read ``{"memberships": [{"member_id": …}, …]}``, or the bare list of 2011.  :raises Invalid:"""
    wanted = body.get("memberships") if isinstance(body, dict) else body
    if not isinstance(wanted, list):
        raise exception.Invalid(_MALFORMED + 'the body is {"memberships": [{"member_id": "…"}]}')
    for entry in wanted:
        if not isinstance(entry, dict) or not isinstance(entry.get("member_id"), str) or not entry["member_id"]:
            raise exception.Invalid(_MALFORMED + "each needs a member_id")
    return [
        {"member_id": entry["member_id"]} | ({"can_share": bool(entry["can_share"])} if "can_share" in entry else {})
        for entry in wanted
    ]
