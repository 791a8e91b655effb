"""v1: images (spec v1-api.md §5)."""

from typing import Any

import webob
import webob.exc

from glance.api import validators
from glance.api.v1 import headers
from glance.common import exception
from glance.common.values import MAX_BIGINT, non_negative_int
from glance.images import download, external, formats, lifecycle, listing, upload
from glance.images.model import Image
from glance.images.service import Service
from glance.images.v1_form import header_text, image_dict, image_headers
from glance.store.base import Driver
from glance.wsgi.router import Request, json_response

_SUMMARY = ("id", "name", "size", "disk_format", "container_format", "checksum")
_BODY_ENCODINGS = ("chunked", "compress", "deflate", "gzip", "identity")


class Images:
    """Handlers of ``/images``; each translates, calls one recipe and translates back."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # --- reading -----------------------------------------------------------------

    def index(self, request: Request) -> webob.Response:
        images = [image_dict(image) for image in self._page(request)]
        return json_response({"images": [{key: image[key] for key in _SUMMARY} for image in images]})

    def detail(self, request: Request) -> webob.Response:
        images = [image_dict(image) for image in self._page(request)]
        return json_response({"images": images})

    def _page(self, request: Request) -> list[Image]:
        query = listing.parse_query(request.query, request.context, self._service.conf)
        return lifecycle.page(self._service, request.context, query)

    def meta(self, request: Request, image_id: str) -> webob.Response:
        image = lifecycle.get(self._service, request.context, image_id)
        response = webob.Response(status=200, content_length=0)
        response.headerlist.extend(image_headers(image_dict(image)))
        return response

    def show(self, request: Request, image_id: str) -> webob.Response:
        image, reader = download.open_image(self._service, request.context, image_id)
        response = webob.Response(content_type="application/octet-stream", app_iter=reader.body)
        response.content_length = image.size if reader.length is None else reader.length
        response.headerlist.extend(image_headers(image_dict(image)))
        validators.describe(response, image)
        if validators.is_known(request, image):
            return validators.not_modified(response)
        request.environ.setdefault("glance.on_finish", []).append(
            download.sending(self._service, request.context, image, reader, request.environ.get("REMOTE_ADDR"))
        )
        return response

    # --- writing -----------------------------------------------------------------

    def create(self, request: Request) -> webob.Response:
        service, context = self._service, request.context
        sent = headers.parse(request)
        source = _source(request, sent)
        self._check(request, sent)
        attributes = _to_store(sent, source)
        _pair(attributes)
        if not context.is_admin:
            attributes["owner"] = context.owner
        image = Image(**{"owner": context.owner, **attributes}, properties=sent.properties)
        lifecycle.check_create(service, context, image, source)
        if source == "copy":
            image.size = external.source_size(service, sent.copy_from)
        found = external.source_size(service, sent.location) if source == "location" else None
        driver = self._driver(sent, source)
        created = lifecycle.register(service, context, image, source)
        created = self._give_data(request, sent, created, source, driver, found)
        response = self._answer(request, created, 201)
        response.headers["Location"] = f"{request.application_url}/images/{created.id}"
        return response

    def update(self, request: Request, image_id: str) -> webob.Response:
        service, context = self._service, request.context
        sent = headers.parse(request)
        source = _source(request, sent)
        self._check(request, sent)
        image = lifecycle.load(service, context, image_id)
        asked = sent.attributes | ({"status": sent.status} if sent.status else {})
        lifecycle.check_update(service, context, image, asked, source)
        attributes = _to_store(sent, source)
        _pair(attributes, image)
        if source == "copy":
            attributes["size"] = external.source_size(service, sent.copy_from)
        found = external.source_size(service, sent.location) if source == "location" else None
        driver = self._driver(sent, source)
        purge = sent.purge_properties and source != "data"
        updated = lifecycle.update(service, context, image, attributes, sent.properties, purge=purge)
        updated = self._give_data(request, sent, updated, source, driver, found)
        lifecycle.announce_update(service, updated)
        return self._answer(request, updated, 200)

    def delete(self, request: Request, image_id: str) -> webob.Response:
        lifecycle.delete(self._service, request.context, image_id)
        return webob.Response(status=200, content_length=0)

    def _check(self, request: Request, sent: headers.ImageHeaders) -> None:
        """:raises Invalid: a format nobody configured, or more bytes announced than one image may have"""
        attributes = sent.attributes
        formats.check(self._service.conf, attributes.get("disk_format"), attributes.get("container_format"))
        declared, cap = _declared_size(request, attributes), self._service.conf.image_size_cap
        if declared is not None and 0 <= cap < declared:
            raise exception.Invalid(f"Denying attempt to upload image larger than {cap} bytes.")

    def _driver(self, sent: headers.ImageHeaders, source: str | None) -> Driver | None:
        """The store to write to; a store that is named must be one, even if nothing is written."""
        if source in ("data", "copy") or sent.store:
            return self._service.stores.for_upload(sent.store)
        return None

    def _give_data(
        self,
        request: Request,
        sent: headers.ImageHeaders,
        image: Image,
        source: str | None,
        driver: Driver | None,
        found_size: int | None,
    ) -> Image:
        """Do what the request says about the data of a record that exists; return the image as it is then."""
        service, context = self._service, request.context
        if source is None:
            return image
        sources = (sent.location is not None, sent.copy_from is not None, _has_body(request))
        if sum(sources) > 1:
            raise exception.Invalid("It's invalid to provide multiple image sources.")
        if source == "location":
            return external.register_location(
                service, context, image, sent.location, found=found_size,
                size=sent.attributes.get("size"), checksum=sent.attributes.get("checksum"),
            )  # fmt: skip
        if source == "copy":
            external.start_copy(service, context, image, sent.copy_from, driver)
            return image
        formats.require_both(image.disk_format, image.container_format)
        if request.environ.get("CONTENT_TYPE") != "application/octet-stream":
            service.catalog.update(context, image.id, {"status": "killed"}, from_status="queued")
            raise exception.Invalid("Content-Type must be application/octet-stream")
        return upload.store_image(
            service, context, image, request.environ["wsgi.input"],
            size=_declared_size(request, sent.attributes), driver=driver,
            checksum=sent.attributes.get("checksum"),
        )  # fmt: skip

    def _answer(self, request: Request, image: Image, status: int) -> webob.Response:
        image.properties = self._service.protections.visible(request.context, image.properties)
        response = json_response({"image": image_dict(image)}, status, charset=False)
        if image.checksum:
            response.headers["ETag"] = header_text(image.checksum)
        return response


def _source(request: webob.Request, sent: headers.ImageHeaders) -> str | None:
    """Where the data is to come from: key of ``lifecycle.SOURCE_RULES``."""
    if sent.location is not None:
        return "location"
    if sent.copy_from is not None:
        return "copy"
    return "data" if _has_body(request) else None


def _has_body(request: webob.Request) -> bool:
    """Whether the request carries data (v1-api.md §4.3, Transfer-Encoding)."""
    encoding = request.environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    return bool(request.content_length) or encoding in _BODY_ENCODINGS


def _declared_size(request: webob.Request, attributes: dict[str, Any]) -> int | None:
    """Bytes that the request announces, None if it does not."""
    if "size" in attributes:
        return attributes["size"]
    length = request.environ.get("CONTENT_LENGTH")
    return non_negative_int(length, "Content-Length is no number", MAX_BIGINT) if length else None


def _to_store(sent: headers.ImageHeaders, source: str | None) -> dict[str, Any]:
    """Attributes for the record; the checksum of data that is yet to come is checked, not believed."""
    attributes = dict(sent.attributes)
    if source in ("data", "copy"):
        attributes.pop("checksum", None)
    return attributes


def _pair(attributes: dict[str, Any], image: Image | None = None) -> None:
    """Complete an Amazon format by its other half, in place."""
    disk = attributes.get("disk_format", image and image.disk_format)
    container = attributes.get("container_format", image and image.container_format)
    disk, container = formats.pair(disk, container)
    if disk is not None:
        attributes["disk_format"] = disk
    if container is not None:
        attributes["container_format"] = container
