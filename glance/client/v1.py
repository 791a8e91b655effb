"""``Client``: the Images API v1 as Python methods (spec cli-and-client.md §6).

Every method raises the exceptions of ``HTTPClient.request``, and those of
``glance.client.auth`` when it has to log in.
"""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, cast
from urllib.parse import quote, urlsplit

from glance.client import auth, metadata, progress
from glance.client.http import HTTPClient, Origin, data_size, split_url
from glance.client.wire import Body, Response
from glance.common import exception
from glance.common.redact import one_line

DEFAULT_PORT = 9292
DEFAULT_DOC_ROOT = "/v1"

Meta = dict[str, Any]
ImageData = str | IO[str] | Body


class V1Client:
    """Images, members and the image cache of one API server.

    :param port: 9292 by default
    :param auth_tok: a token; no login happens then
    :param creds: ``username``, ``password``, ``tenant``, ``auth_url``, ``strategy`` (``noauth`` or
        ``keystone``), ``region``, and the domains of ``glance.client.auth.Keystone``
    :param doc_root: path before ``/images``
    :param configure_via_auth: after a Keystone login talk to the server that its catalogue names
    :param timeout: seconds for connecting and for each send or receive; None: no limit
    :param key_file, cert_file, ca_file, insecure: see ``glance.client.tls.context``
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        use_ssl: bool = False,
        auth_tok: str | None = None,
        creds: Mapping[str, str | None] | None = None,
        doc_root: str | None = None,
        key_file: str | None = None,
        cert_file: str | None = None,
        ca_file: str | None = None,
        insecure: bool = False,
        configure_via_auth: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "key_file": key_file,
            "cert_file": cert_file,
            "ca_file": ca_file,
            "insecure": insecure,
            "timeout": timeout,
        }
        self._creds = creds or {}
        self._configure_via_auth = configure_via_auth
        self._endpoint: str | None = None
        self._connect(host, port or DEFAULT_PORT, use_ssl, DEFAULT_DOC_ROOT if doc_root is None else doc_root)
        self.set_auth_token(auth_tok)

    def _connect(self, host: str, port: int, use_ssl: bool, doc_root: str) -> None:
        self._http = HTTPClient(host, port, use_ssl=use_ssl, doc_root=doc_root, **self._options)

    @property
    def origin(self) -> Origin:
        """The server that is talked to: ``use_ssl``, ``host``, ``port``."""
        return self._http.origin

    def set_auth_token(self, auth_tok: str | None) -> None:
        """Use this token from now on; None: the credentials again."""
        self._auth = auth.strategy(self._creds, token=auth_tok, want_endpoint=self._configure_via_auth, **self._options)

    def configure_from_url(self, url: str) -> None:
        """Talk to the server at ``url``; ``/v1`` is put behind a path that names no API version.

        :raises ClientConfigurationError: not an http or https URL
        """
        try:
            origin, path = split_url(url)
        except ValueError:
            raise exception.ClientConfigurationError(
                f"{url!r} is no address of an image service: write http://HOST:PORT/v1 or https://HOST:PORT/v1."
            ) from None
        base, _, last = path.partition("?")[0].rstrip("/").rpartition("/")
        if not re.fullmatch(r"v\d+(\.\d+)?", last):
            base, last = f"{base}/{last}", "v1"
        elif not last.startswith("v1"):  # a catalogue of today names v2
            last = "v1"
        self._connect(origin.host, origin.port, origin.use_ssl, f"{base}/{last}")

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Body | None = None,
    ) -> Response:
        def send(identity: dict[str, str]) -> Response:
            if self._auth.endpoint and self._auth.endpoint != self._endpoint:
                self._endpoint = self._auth.endpoint
                self.configure_from_url(self._endpoint)
            return self._http.request(method, path, headers={**(headers or {}), **identity}, params=params, body=body)

        return self._auth.call(send, body)

    # --- images ----------------------------------------------------------

    def get_images(
        self,
        filters: Mapping[str, Any] | None = None,
        marker: object = None,
        limit: int | None = None,
        sort_key: str | None = None,
        sort_dir: str | None = None,
    ) -> list[Meta]:
        """Return the brief metadata of one page of images, each with its ``uri``.

        :param filters: names of v1-api.md §5.2; property filters are ``property-KEY`` keys or a mapping
            under ``properties``; None values are dropped
        :param marker: id of the last image of the page before
        """
        return self._list("/images", filters, marker, limit, sort_key, sort_dir)

    def get_images_detailed(
        self,
        filters: Mapping[str, Any] | None = None,
        marker: object = None,
        limit: int | None = None,
        sort_key: str | None = None,
        sort_dir: str | None = None,
    ) -> list[Meta]:
        """As ``get_images``, with all metadata of each image."""
        return self._list("/images/detail", filters, marker, limit, sort_key, sort_dir)

    def _list(
        self,
        path: str,
        filters: Mapping[str, Any] | None,
        marker: object,
        limit: int | None,
        sort_key: str | None,
        sort_dir: str | None,
    ) -> list[Meta]:
        params = dict(filters or {})
        for key, value in (params.pop("properties", None) or {}).items():
            params[f"property-{key}"] = value
        params.update(limit=limit, sort_key=sort_key, sort_dir=sort_dir)
        params["marker"] = None if marker is None else _image_id(marker)
        images = self._request("GET", path, params=params).json()["images"]
        for image in images:
            image["uri"] = f"{self.origin}/v1/images/{image['id']}"
        return images

    def get_image_meta(self, image_id: object) -> Meta:
        """Return the metadata of one image.

        :param image_id: the id, or the URI of the image, here and in all other methods
        """
        response = self._request("HEAD", f"/images/{_quoted_id(image_id)}")
        return metadata.from_headers(response.headers)

    def get_image(self, image_id: object) -> tuple[Meta, Iterator[bytes]]:
        """Return the metadata and an iterator of the data in blocks of at most 65536 bytes.

        :raises ClientConnectionError: also from the iterator, when the data ends too early
        """
        response = self._request("GET", f"/images/{_quoted_id(image_id)}")
        return metadata.from_headers(response.headers), response.iterate()

    def add_image(
        self,
        image_meta: Mapping[str, Any] | None = None,
        image_data: ImageData | None = None,
        features: Mapping[str, str] | None = None,
    ) -> Meta:
        """Add an image and return its stored metadata.

        :param image_data: text, bytes, a file or an iterator of bytes; None: the record is only registered
        :param features: more headers, e.g. ``{"x-glance-api-copy-from": URL}``
        """
        return self._store("POST", "/images", image_meta, image_data, features)

    def update_image(
        self,
        image_id: object,
        image_meta: Mapping[str, Any] | None = None,
        image_data: ImageData | None = None,
        features: Mapping[str, str] | None = None,
    ) -> Meta:
        """Change metadata, or upload the data of a queued image; return the stored metadata.

        Properties that are not named are removed, unless data is sent as well.
        """
        return self._store("PUT", f"/images/{_quoted_id(image_id)}", image_meta, image_data, features)

    def _store(
        self,
        method: str,
        path: str,
        image_meta: Mapping[str, Any] | None,
        image_data: ImageData | None,
        features: Mapping[str, str] | None,
    ) -> Meta:
        headers = metadata.to_headers(image_meta or {})
        headers.update(features or {})
        if image_data is None:
            return self._request(method, path, headers=headers).json()["image"]
        body = _binary(image_data)
        headers["content-type"] = "application/octet-stream"
        size = data_size(body)
        if size is not None:
            headers.setdefault("x-image-meta-size", size)
        with self._watched(body, size, image_meta or {}) as watched:
            return self._request(method, path, headers=headers, body=watched).json()["image"]

    def _watched(self, body: Body, size: int | None, image_meta: Mapping[str, Any]) -> AbstractContextManager[Body]:
        """The body that is sent, while it is sent."""
        return nullcontext(body)

    def delete_image(self, image_id: object) -> bool:
        """Delete an image; returns True."""
        self._request("DELETE", f"/images/{_quoted_id(image_id)}").close()
        return True

    # --- members ---------------------------------------------------------

    def get_image_members(self, image_id: object) -> list[Meta]:
        """Return who may use the image: dicts with ``member_id`` and ``can_share``."""
        return self._request("GET", f"/images/{_quoted_id(image_id)}/members").json()["members"]

    def get_member_images(self, member_id: object) -> list[Meta]:
        """Return what is shared with a tenant: dicts with ``image_id`` and ``can_share``."""
        return self._request("GET", f"/shared-images/{quote(str(member_id), safe='')}").json()["shared_images"]

    def add_member(self, image_id: object, member_id: object, can_share: bool | None = None) -> bool:
        """Share an image with a tenant; returns True.

        :param can_share: whether the tenant may share it further; None keeps what it was, False if new
        """
        body = None if can_share is None else {"member": {"can_share": can_share}}
        return self._put_json(_member_path(image_id, member_id), body)

    def delete_member(self, image_id: object, member_id: object) -> bool:
        """Stop sharing an image with a tenant; returns True, also when it was not shared.

        :raises NotFound: no such image, or the caller may not share it
        """
        try:
            self._request("DELETE", _member_path(image_id, member_id)).close()
        except exception.NotFound:
            # The server says 404 to all three; only for the missing membership is the image's list silent.
            if any(member["member_id"] == str(member_id) for member in self.get_image_members(image_id)):
                raise
        return True

    def replace_members(self, image_id: object, *assocs: Mapping[str, Any]) -> bool:
        """Make ``assocs`` (``member_id``, optional ``can_share``) the only members; returns True."""
        return self._put_json(f"/images/{_quoted_id(image_id)}/members", {"memberships": list(assocs)})

    def _put_json(self, path: str, document: Any) -> bool:
        if document is None:
            self._request("PUT", path).close()
        else:
            headers = {"content-type": "application/json"}
            self._request("PUT", path, headers=headers, body=json.dumps(document).encode()).close()
        return True

    # --- the image cache of the API server -------------------------------

    def get_cached_images(self) -> list[Meta]:
        """Return what is cached: dicts with ``image_id``, ``hits``, ``last_accessed``, ``last_modified``, ``size``."""
        return self._request("GET", "/cached_images").json()["cached_images"]

    def get_queued_images(self) -> list[str]:
        """Return the ids of the images that wait to be cached, oldest first."""
        return self._request("GET", "/queued_images").json()["queued_images"]

    def delete_cached_image(self, image_id: object) -> bool:
        """Remove an image from the cache; returns True."""
        self._request("DELETE", f"/cached_images/{_quoted_id(image_id)}").close()
        return True

    def delete_all_cached_images(self) -> int:
        """Empty the cache; returns the number of images removed."""
        return self._request("DELETE", "/cached_images").json()["num_deleted"]

    def queue_image_for_caching(self, image_id: object) -> bool:
        """Have an image fetched into the cache by the next run of the prefetcher; returns True."""
        return self._put_json(f"/queued_images/{_quoted_id(image_id)}", None)

    def delete_queued_image(self, image_id: object) -> bool:
        """Take an image out of the queue; returns True."""
        self._request("DELETE", f"/queued_images/{_quoted_id(image_id)}").close()
        return True

    def delete_all_queued_images(self) -> int:
        """Empty the queue; returns the number of images taken out."""
        return self._request("DELETE", "/queued_images").json()["num_deleted"]


Client = V1Client


class ProgressClient(V1Client):
    """A client that shows on the terminal how far an upload is."""

    def _watched(self, body: Body, size: int | None, image_meta: Mapping[str, Any]) -> AbstractContextManager[Body]:
        return progress.shown(body, size, one_line(str(image_meta.get("name") or image_meta.get("id") or "")))


def get_client(
    host: str,
    port: int | None = None,
    use_ssl: bool = False,
    username: str | None = None,
    password: str | None = None,
    tenant: str | None = None,
    auth_url: str | None = None,
    auth_strategy: str | None = None,
    auth_token: str | None = None,
    region: str | None = None,
    is_silent_upload: bool = False,
    insecure: bool = False,
    timeout: float | None = None,
) -> V1Client:
    """Return a client; what is not given comes from the OS_* variables (spec cli-and-client.md §5).

    :param is_silent_upload: False: uploads draw a progress bar when stdout is a terminal
    :raises ClientConfigurationError, MissingCredentialError:
    """
    token = auth_token or os.environ.get("OS_TOKEN") or None
    creds = auth.credentials(
        username=username, password=password, tenant=tenant, auth_url=auth_url, strategy=auth_strategy, region=region
    )
    kind = V1Client if is_silent_upload else ProgressClient
    return kind(host, port, use_ssl, auth_tok=token, creds=creds, insecure=insecure, timeout=timeout)


def _image_id(given: object) -> str:
    """The id in ``given``: an id, a number, or the URI of an image."""
    text = str(given).strip()
    if "/" in text:
        text = urlsplit(text).path.rstrip("/").rpartition("/")[2]
    if not text:
        raise exception.Invalid(f"{given!r} is no image id.")
    return text


def _quoted_id(given: object) -> str:
    return quote(_image_id(given), safe="")


def _member_path(image_id: object, member_id: object) -> str:
    return f"/images/{_quoted_id(image_id)}/members/{quote(str(member_id), safe='')}"


def _binary(data: ImageData) -> Body:
    """``data`` as something that yields bytes: a text file becomes the binary one below it."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, io.TextIOWrapper):
        return cast(Body, data.buffer)
    return cast(Body, data)
