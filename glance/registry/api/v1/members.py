"""Registry REST: members (spec registry.md §3.5)."""

from typing import Any

import webob

from glance.common import exception
from glance.context import RequestContext
from glance.db.sqlalchemy import api as db
from glance.db.sqlalchemy import children
from glance.images import access
from glance.wsgi.body import read_json
from glance.wsgi.router import Request, json_response

_MALFORMED = "Invalid membership association: "


class Members:
    """Handlers of ``/images/{id}/members`` and ``/shared-images/{member}``."""

    def index(self, request: Request, image_id: str) -> webob.Response:
        db.image_get(request.context, image_id, detail=children.NONE)
        rows = db.image_member_find(request.context, image_id=image_id)
        return json_response({"members": [{"member_id": row["member"], "can_share": row["can_share"]} for row in rows]})

    def shared_images(self, request: Request, member: str) -> webob.Response:
        rows = db.image_member_find(request.context, member=member)
        return json_response(
            {"shared_images": [{"image_id": r["image_id"], "can_share": r["can_share"]} for r in rows]}
        )

    def update(self, request: Request, image_id: str, member: str) -> webob.Response:
        _require_sharable(request.context, image_id)
        db.image_member_save(request.context, image_id, member, _can_share(read_json(request)))
        return webob.Response(status=204)

    def replace(self, request: Request, image_id: str) -> webob.Response:
        _require_sharable(request.context, image_id)
        db.image_member_replace(request.context, image_id, _memberships(read_json(request)))
        return webob.Response(status=204)

    def delete(self, request: Request, image_id: str, member: str) -> webob.Response:
        _require_sharable(request.context, image_id)
        rows = db.image_member_find(request.context.elevated(), image_id=image_id, member=member)
        if not rows:
            raise exception.MemberNotFound(member=member)
        db.image_member_delete(request.context, rows[0]["id"])
        return webob.Response(status=204)


def _require_sharable(context: RequestContext, image_id: str) -> None:
    """:raises NotAuthenticated, ImageNotFound, Forbidden:"""
    access.require_writer(context)
    if context.owner is None and not context.is_admin:
        raise exception.NotAuthenticated()
    if not db.is_image_sharable(context, db.image_get(context, image_id, detail=children.NONE)):
        raise exception.Forbidden(f"No permission to share image {image_id}.")


def _can_share(body: Any) -> bool | None:
    """Read ``{"member": {"can_share": …}}``; None without a body.  :raises Invalid:"""
    if body is None:
        return None
    member = body.get("member") if isinstance(body, dict) else None
    if not isinstance(member, dict) or "can_share" not in member:
        raise exception.Invalid(_MALFORMED + 'the body is {"member": {"can_share": true}}')
    return bool(member["can_share"])


def _memberships(body: Any) -> list[dict[str, Any]]:
    """``member`` and ``can_share`` (None where it is not said) of each.  :raises Invalid:"""
    wanted = body.get("memberships") if isinstance(body, dict) else None
    if not isinstance(wanted, list):
        raise exception.Invalid(_MALFORMED + 'the body is {"memberships": [{"member_id": "…"}]}')
    found = []
    for entry in wanted:
        if not isinstance(entry, dict) or not isinstance(entry.get("member_id"), str) or not entry["member_id"]:
            raise exception.Invalid(_MALFORMED + "each needs a member_id")
        can_share = bool(entry["can_share"]) if "can_share" in entry else None
        found.append({"member": entry["member_id"], "can_share": can_share})
    return found
