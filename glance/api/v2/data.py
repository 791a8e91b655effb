"""v2: the data of images (spec v2-images.md §7)."""

import re

import webob
import webob.exc

from glance.api import validators
from glance.api.v2 import bodies
from glance.common import exception
from glance.common.values import MAX_BIGINT, non_negative_int
from glance.images import download, lifecycle, locations, upload
from glance.images.model import Image
from glance.images.service import Service
from glance.wsgi.router import Request

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.IGNORECASE | re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,20})-(\d{1,20})/(\d{1,20}|\*)\s*", re.IGNORECASE | re.ASCII)


class Data:
    """Handlers of ``/images/{id}/file``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def download(self, request: Request, image_id: str) -> webob.Response:
        service, context = self._service, request.context
        image = download.authorize(service, context, image_id)
        prefer = self._preferred(request, image)
        if not download.located(service, image):
            return bodies.no_content()
        part = None if image.size is None or not _same_data(request, image) else asked_range(request, image.size)
        offset, length = part or (0, None)
        try:
            reader = download.open_data(service, context, image, offset, length, prefer)
        except exception.ImageDataNotFound:
            return bodies.no_content()
        response = webob.Response(content_type="application/octet-stream", app_iter=reader.body)
        response.content_length = image.size if reader.length is None and part is None else length or reader.length
        if image.checksum:
            response.headers["Content-MD5"] = image.checksum
            response.etag = image.checksum
        validators.describe(response, image)
        if validators.is_known(request, image):
            return validators.not_modified(response)
        if part is not None:
            response.status = 206
            response.headers["Content-Range"] = f"bytes {offset}-{offset + part[1] - 1}/{image.size}"
        response.headers["Accept-Ranges"] = "bytes"
        request.environ.setdefault("glance.on_finish", []).append(
            download.sending(service, context, image, reader, request.environ.get("REMOTE_ADDR"), length)
        )
        return response

    def _preferred(self, request: Request, image: Image) -> list[str]:
        """The stores that ``?prefer=`` names.  :raises Invalid: unknown, or there are not several"""
        names = [name for key, value in request.query if key == "prefer" for name in value.split(",")]
        if not names:
            return []
        stores, policy = self._service.stores, self._service.policy
        policy.enforce(request.context, "download_from_store", policy.image_target(request.context, image))
        if not stores.several:
            raise exception.Invalid("prefer can only be given where enabled_backends is set.")
        for name in names:
            stores.drivers(name)
        return names

    def _wanted_store(self, request: Request) -> str | None:
        return request.headers.get("X-Image-Meta-Store") if self._service.stores.several else None

    def remove_from_store(self, request: Request, store: str, image_id: str) -> webob.Response:
        """Handler of ``/stores/{store}/{image_id}``."""
        if not self._service.stores.several:
            raise webob.exc.HTTPNotFound()
        locations.remove_from_store(self._service, request.context, image_id, store)
        return bodies.no_content()

    def upload(self, request: Request, image_id: str) -> webob.Response:
        service, context = self._service, request.context
        if request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip() != "application/octet-stream":
            raise bodies.UnsupportedMediaType(explanation="Data must be sent as application/octet-stream.")
        size = _announced_size(request)
        image = lifecycle.load_for_upload(service, context, image_id)
        driver = service.stores.for_upload(self._wanted_store(request))
        upload.store_image(
            service, context, image, request.environ["wsgi.input"], size=size, driver=driver, failed_status="queued"
        )
        return bodies.no_content()


def _same_data(request: Request, image: Image) -> bool:
    """Whether a part would continue what the client has; with any other If-Range it wants all."""
    return request.environ.get("HTTP_IF_RANGE", f'"{image.checksum}"') == f'"{image.checksum}"'


def asked_range(request: Request, size: int) -> tuple[int, int] | None:
    """The part of ``size`` bytes that a request asks for: (offset, length); None: all of them.

    Content-Range is understood as well, as clients of other versions send it.

    :raises HTTPBadRequest: several parts
    :raises HTTPRequestRangeNotSatisfiable: malformed, or nothing lies there
    """
    asked = request.environ.get("HTTP_RANGE")
    if asked is not None:
        if "," in asked:
            raise webob.exc.HTTPBadRequest(explanation="Only one range can be asked for at a time.")
        match = _RANGE.fullmatch(asked)
        if match is None or not (match[1] or match[2]):
            raise _unsatisfiable(size)
        if not match[1]:
            first, last = max(0, size - int(match[2])), size - 1
        else:
            first, last = int(match[1]), min(int(match[2] or size), size - 1)
            if match[2] and int(match[2]) < first:
                raise _unsatisfiable(size)
    else:
        named = request.environ.get("HTTP_CONTENT_RANGE")
        if named is None:
            return None
        match = _CONTENT_RANGE.fullmatch(named)
        if match is None:
            raise _unsatisfiable(size)
        first, last = int(match[1]), int(match[2])
        if last >= size or (match[3] != "*" and int(match[3]) != size):
            raise _unsatisfiable(size)
    if first >= size or last < first:
        raise _unsatisfiable(size)
    return first, last - first + 1


def _unsatisfiable(size: int) -> webob.exc.HTTPRequestRangeNotSatisfiable:
    return webob.exc.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})


def _announced_size(request: Request) -> int | None:
    """Bytes that the request announces, None if it does not.  :raises Invalid: that is no number"""
    text = request.environ.get("HTTP_X_OPENSTACK_IMAGE_SIZE")
    if text is None:
        text = request.environ.get("CONTENT_LENGTH") or None
    return None if text is None else non_negative_int(text, "The size of the image is no number", MAX_BIGINT)
