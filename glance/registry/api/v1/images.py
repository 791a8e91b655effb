"""Registry REST: images (spec registry.md §1-3)."""

from typing import Any

import webob
import webob.exc
from oslo_config import cfg

from glance.common import exception
from glance.db.sqlalchemy import api as db
from glance.db.sqlalchemy import children
from glance.images import access, listing
from glance.images.model import STATUSES
from glance.images.v1_form import image_headers
from glance.registry.api.v1 import values
from glance.wsgi.body import read_json
from glance.wsgi.router import Request, json_response

_SUMMARY = ("id", "name", "size", "disk_format", "container_format", "checksum")
_RESTORED = ("active", "deactivated")
_MAX_HEADERS = 80
_MAX_HEADER = 16384
"""Number and length of metadata headers that every HTTP library takes: Python's gives up at 100 and 64 KiB."""


class Images:
    """Handlers of ``/images``."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def index(self, request: Request) -> webob.Response:
        rows = self._page(request, children.NONE)
        return json_response({"images": [{key: row[key] for key in _SUMMARY} for row in rows]})

    def detail(self, request: Request) -> webob.Response:
        rows = self._page(request, children.LIVE)
        return json_response({"images": [values.image_dict(request.context, row) for row in rows]})

    def _page(self, request: Request, detail: str) -> list[dict[str, Any]]:
        context = request.context
        query = listing.parse_query(request.query, context, self._conf, registry=True)
        is_public = query["filters"].pop("is_public", None)
        return db.image_get_all(
            context,
            query["filters"],
            query["marker"],
            query["limit"],
            [query["sort_key"]],
            [query["sort_dir"]],
            member_status="all",
            is_public=is_public,
            admin_as_user=is_public is True,
            detail=detail,
        )

    def show(self, request: Request, image_id: str) -> webob.Response:
        context = request.context
        image = values.image_dict(context, db.image_get(context, image_id, detail=children.LIVE))
        response = json_response({"image": image})
        if request.environ.get("HTTP_ACCEPT") != "application/json":  # an API server reads the body alone
            response.headerlist.extend(_headers(image))
        return response

    def create(self, request: Request) -> webob.Response:
        access.require_writer(request.context)
        body = _body(request)
        row = values.new_image(self._conf, request.context, body["image"])
        created = db.image_create(request.context, row, max_count=_optional_int(body, "max_count"))
        return json_response({"image": values.image_dict(request.context, created)})

    def update(self, request: Request, image_id: str) -> webob.Response:
        context = request.context
        access.require_writer(context)
        body = _body(request)
        changes = values.changes(self._conf, context, body["image"])
        from_state = body.get("from_state")
        if from_state is not None and from_state not in STATUSES:
            raise exception.Invalid(f"from_state {from_state!r} is no status")
        if from_state == "pending_delete" and changes.get("status") == "deleted":
            row = db.image_finish_delete(context, image_id)
        elif from_state == "pending_delete" and changes.get("status") in _RESTORED:
            row = db.image_restore(context, image_id, changes["status"])
        elif body.get("destroy"):
            row = db.image_destroy(context, image_id, status=changes.get("status"), from_state=from_state)
        else:
            row = db.image_update(
                context,
                image_id,
                changes,
                purge_props=request.headers.get("X-Glance-Registry-Purge-Props") == "true",
                from_state=from_state,
                transfer=body.get("transfer"),
                max_usage=_optional_int(body, "max_usage"),
            )
        return json_response({"image": values.image_dict(context, row)})

    def delete(self, request: Request, image_id: str) -> webob.Response:
        access.require_writer(request.context)
        row = db.image_destroy(request.context, image_id)
        return json_response({"image": values.image_dict(request.context, row)})

    def usage(self, request: Request) -> webob.Response:
        """Bytes that count against an owner's quota (an addition of this registry)."""
        owner = dict(request.query).get("owner", "")
        if not request.context.is_admin and owner != request.context.owner:
            raise exception.Forbidden("Only its owner may ask what a tenant uses.")
        return json_response({"usage": db.user_get_storage_usage(request.context, owner)})


def _headers(image: dict[str, Any]) -> list[tuple[str, str]]:
    """The image in headers, but for its locations; none if they would make the answer unreadable."""
    public = {key: value for key, value in image.items() if not key.startswith("location")}
    headers = image_headers(public)
    readable = len(headers) <= _MAX_HEADERS and all(len(name) + len(value) <= _MAX_HEADER for name, value in headers)
    return headers if readable else []


def _body(request: Request) -> dict[str, Any]:
    body = read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("image"), dict):
        raise exception.Invalid('The request body must be an object with the key "image".')
    return body


def _optional_int(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise exception.Invalid(f"{name} must be a number")
    return value
