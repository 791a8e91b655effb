"""Images as objects of an S3 bucket (spec stores.md §6).

Locations are ``s3://ACCESS:SECRET@HOST[:PORT]/BUCKET/KEY``, with ``s3+https`` when the
host is spoken to through TLS; the key is the image id.  ``/``, ``+`` and ``=`` of a
secret stand as they are, as they always did, what else could be mistaken is
percent-encoded.  A location is a secret and goes into no log and no error.

A caller may name a location as well.  So a host is only connected to if the operator
named it: it is the configured one, one of Amazon's, or in ``allowed_hosts``.
"""

import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from oslo_utils import uuidutils

from glance.common import exception
from glance.common.addresses import HostList, normalise_host
from glance.store.base import Driver, Reader, StoredObject, Writer
from glance.store.s3_client import Pacer, calling, code_of, create_client, status_of
from glance.store.s3_upload import MIB, Plan, S3Writer, Target, abort_upload

LOG = logging.getLogger(__name__)

BLOCK = MIB
"""Bytes of an object that are read at a time."""

RESUMES = 4
"""How often in a row a download that broke off is taken up again before it is given up."""

MIN_PART = 5
"""MB; services refuse smaller parts."""

_CLIENTS = 16
"""Clients kept for locations with other credentials than the configured ones."""

_DEFAULT_REGION = "us-east-1"
_PORTS = {"http": 80, "https": 443}
_LOCATION = re.compile(
    r"(?P<scheme>s3|s3\+http|s3\+https)://(?P<access>[^:@]+):(?P<secret>.+)"
    r"@(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[^/@]+)*)"
    r"/(?P<bucket>[a-z0-9._-]+)/(?P<key>[^/]+)",
    re.IGNORECASE | re.ASCII,
)
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_AMAZON = re.compile(
    r"s3(?:[.-](?:external-1|accelerate|(?:fips[.-])?(?:dualstack\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]+)))?"
    r"\.amazonaws\.com(?:\.cn)?"
)
_UPLOAD_ID = "?uploadId="


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed location.

    :ivar endpoint: URL of the service
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """:raises BadStoreUri: malformed; the error does not repeat it"""
        match = _LOCATION.fullmatch(uri)
        if match is None or _UNSAFE.search(uri) or uri.count("://") != 1 or match["key"] in (".", ".."):
            raise exception.BadStoreUri()
        scheme = "https" if match["scheme"].lower() == "s3+https" else "http"
        try:
            host = _join(normalise_host(match["host"]), None if match["port"] is None else int(match["port"]))
            access, secret = (unquote(match[name], errors="strict") for name in ("access", "secret"))
        except ValueError:
            raise exception.BadStoreUri() from None
        return cls(f"{scheme}://{host}{match['path']}", access, secret, match["bucket"], match["key"])

    def __str__(self) -> str:
        scheme, _, rest = self.endpoint.partition("://")
        credentials = f"{quote(self.access_key, safe='/+=')}:{quote(self.secret_key, safe='/+=')}"
        return f"{'s3+https' if scheme == 'https' else 's3'}://{credentials}@{rest}/{self.bucket}/{self.key}"


class S3Driver(Driver):
    """The s3 store."""

    NAME = "s3"
    SCHEMES = ("s3", "s3+http", "s3+https")
    RANGES = True

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        super().__init__(conf, backend)
        self._options = conf[backend or "glance_store"]
        self._allowed = HostList([], blocks=False)
        self._endpoint = ""
        self._bucket_exists = False
        self._clients: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._clients_lock = threading.Lock()

    # --- configuration -------------------------------------------------------

    def configure(self) -> None:
        """Check the options and make the client.  :raises ConfigurationError: see the text"""
        try:
            self._allowed = self._allowed_hosts()
            self._endpoint = endpoint_of(self._options.s3_store_host)
            self._check_files()
            for name in ("s3_store_access_key", "s3_store_secret_key", "s3_store_bucket"):
                if not self._options[name]:
                    raise exception.ConfigurationError(f"Set {name}.")
            self._check_options()
            self._client(self._home("x"))
        except exception.ConfigurationError as error:
            self.add_disabled = str(error)
            raise

    def _allowed_hosts(self) -> HostList:
        try:
            return HostList(self.conf.import_filtering_opts.allowed_hosts, blocks=False)
        except ValueError as error:
            raise exception.ConfigurationError(
                f"[import_filtering_opts] allowed_hosts: {error} is not a host."
            ) from None

    def _check_files(self) -> None:
        options = self._options
        if options.s3_store_cacert and not os.path.isfile(options.s3_store_cacert):
            raise exception.ConfigurationError(f"s3_store_cacert: {options.s3_store_cacert} is not a file.")
        directory = options.s3_store_object_buffer_dir
        if directory and not os.access(directory, os.W_OK | os.X_OK):
            raise exception.ConfigurationError(f"s3_store_object_buffer_dir: {directory} is not a writable directory.")

    def _check_options(self) -> None:
        options = self._options
        if not re.fullmatch(r"[A-Za-z0-9._-]+", options.s3_store_bucket):
            raise exception.ConfigurationError(
                f"s3_store_bucket: {options.s3_store_bucket} is not the name of a bucket."
            )
        if options.s3_store_large_object_chunk_size < MIN_PART:
            raise exception.ConfigurationError(
                f"s3_store_large_object_chunk_size: {options.s3_store_large_object_chunk_size} is less than {MIN_PART}."
            )
        if options.s3_store_thread_pools <= 0:
            raise exception.ConfigurationError("s3_store_thread_pools must be at least 1.")
        if options.s3_store_enable_proxy and not options.s3_store_proxy_host:
            raise exception.ConfigurationError("Set s3_store_proxy_host, or s3_store_enable_proxy to False.")

    def check(self) -> None:
        target = self._target("x")
        # Missing: the first upload makes it.  Forbidden: to one who may only use its objects.
        harmless = suppress(exception.ImageDataNotFound, exception.Forbidden)
        with harmless, calling(f"looking for bucket {target.bucket}", exception.Forbidden):
            target.client.head_bucket(Bucket=target.bucket)

    def describe(self) -> dict[str, Any]:
        names = ("s3_store_large_object_size", "s3_store_large_object_chunk_size", "s3_store_thread_pools")
        return {name: self._options[name] for name in names}

    def holds(self, uri: str) -> bool:
        location = Location.parse(uri)
        return (location.endpoint, location.bucket) == (self._endpoint, self._options.s3_store_bucket)

    def _home(self, key: str) -> Location:
        """Where the object of a new image lies."""
        options = self._options
        return Location(
            self._endpoint, options.s3_store_access_key, options.s3_store_secret_key, options.s3_store_bucket, key
        )

    # --- the service -----------------------------------------------------------

    def _client(self, location: Location) -> Any:
        """The client for the service and account of ``location``; making one takes some milliseconds."""
        identity = location.endpoint, location.access_key, location.secret_key
        with self._clients_lock:
            if identity in self._clients:
                self._clients.move_to_end(identity)
                return self._clients[identity]
        options = self._options
        amazon = _AMAZON.fullmatch(urlsplit(location.endpoint).hostname or "")
        style = {"auto": "virtual" if amazon else "path", "subdomain": "virtual"}.get(
            options.s3_store_bucket_url_format, options.s3_store_bucket_url_format
        )
        client = create_client(
            location.endpoint, location.access_key, location.secret_key,
            region=self._region(location.endpoint) or _DEFAULT_REGION, style=style, options=options,
            integrity=options.s3_store_enable_data_integrity_protection,
        )  # fmt: skip
        with self._clients_lock:
            self._clients[identity] = client
            if len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
        return client

    def _region(self, endpoint: str) -> str | None:
        """The region that was set or that the host's name contains."""
        if self._options.s3_store_region_name and endpoint == self._endpoint:
            return self._options.s3_store_region_name
        amazon = _AMAZON.fullmatch(urlsplit(endpoint).hostname or "")
        return (amazon["region"] if amazon else None) or self._options.s3_store_region_name or None

    def _locate(self, uri: str) -> Target:
        """The object that ``uri`` names.  :raises BadStoreUri: malformed, or its host is not one to connect to"""
        location = Location.parse(uri)
        if not self._admits(location.endpoint):
            raise exception.BadStoreUri()
        try:
            return Target(self._client(location), location.bucket, location.key)
        except exception.ConfigurationError:  # said at the start
            raise exception.StoreUnavailable() from None

    def _admits(self, endpoint: str) -> bool:
        if endpoint == self._endpoint:
            return True
        there, home = urlsplit(endpoint), urlsplit(self._endpoint)
        host = there.hostname or ""
        default = there.port is None or there.port == _PORTS[there.scheme]
        if host == home.hostname or _AMAZON.fullmatch(host):
            return default or (host, there.port) == (home.hostname, home.port)
        return self._allowed.names(host)

    # --- writing -------------------------------------------------------------

    def writer(self, image_id: str, size: int | None) -> Writer:
        if self.add_disabled or not self._endpoint:
            raise exception.StoreAddDisabled()
        if not image_id or image_id in (".", "..") or re.search(r"[/\\@?#\x00-\x20\x7f]", image_id):
            raise exception.Invalid("The image id cannot be the name of an object.")
        location = self._home(image_id)
        target = Target(self._client(location), location.bucket, image_id)
        self._ensure_bucket(target)
        options = self._options
        spool = options.s3_store_object_buffer_dir or None
        if options.s3_store_enable_data_integrity_protection and spool is None:
            spool = ""  # data that is signed is read twice
        plan = Plan(
            large=options.s3_store_large_object_size * MIB,
            part=options.s3_store_large_object_chunk_size * MIB,
            threads=options.s3_store_thread_pools,
            spool=spool,
        )
        return S3Writer(target, size, plan, str(location))

    def _ensure_bucket(self, target: Target) -> None:
        """See once that the bucket is there.  :raises StoreUnavailable: it is not"""
        if self._bucket_exists:
            return
        from botocore.exceptions import ClientError

        with calling(f"looking for bucket {target.bucket}"):
            try:
                target.client.head_bucket(Bucket=target.bucket)
            except ClientError as error:
                if status_of(error) == 404:
                    self._create_bucket(target)
                elif status_of(error) != 403:  # one who may only use its objects
                    raise
        self._bucket_exists = True

    def _create_bucket(self, target: Target) -> None:
        from botocore.exceptions import ClientError

        if not self._options.s3_store_create_bucket_on_put:
            LOG.error("S3: bucket %s does not exist: create it, or set s3_store_create_bucket_on_put", target.bucket)
            raise exception.StoreUnavailable()
        region = self._region(self._endpoint)
        # The default region must not be named.
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != _DEFAULT_REGION else {}
        with calling(f"creating bucket {target.bucket}"):
            try:
                target.client.create_bucket(Bucket=target.bucket, **(where if region else {}))
            except ClientError as error:
                if code_of(error) != "BucketAlreadyOwnedByYou":
                    raise

    # --- reading and removing ------------------------------------------------

    def check_location(self, uri: str) -> None:
        if not self._admits(Location.parse(uri).endpoint):
            raise exception.BadStoreUri()

    def size(self, uri: str) -> int:
        target = self._locate(uri)
        return self._size(target)

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        target = self._locate(uri)
        if length == 0:
            self._size(target)
            return Reader(body=_ObjectBody(target, None, offset, 0), length=0)
        answer = _get(target, offset, None if length is None else offset + length - 1)
        if answer is None:  # the object ends before the offset
            return Reader(body=_ObjectBody(target, None, offset, 0), length=0)
        return Reader(body=_ObjectBody(target, answer, offset, answer["ContentLength"]), length=answer["ContentLength"])

    def delete(self, uri: str) -> None:
        target = self._locate(uri)
        self._size(target)
        target.delete()

    def _size(self, target: Target) -> int:
        size = target.size()
        if size is None:
            raise exception.ImageDataNotFound()
        return size

    # --- what uploads left behind --------------------------------------------

    def discard(self, image_id: str) -> None:
        if self.add_disabled or not self._endpoint:
            return
        target = self._target(image_id)
        for upload in self._uploads(target, Prefix=image_id):
            if upload["Key"] == image_id:
                abort_upload(target, upload["UploadId"])
        if target.size() is not None:
            target.delete()

    def objects(self) -> Iterator[StoredObject]:
        if self.add_disabled or not self._endpoint:
            return
        target = self._target("")
        for entry in _listed(target, "list_objects_v2", "Contents"):
            yield _stored(entry["Key"], entry["Key"], entry["Size"], entry["LastModified"].timestamp())
        for upload in self._uploads(target):
            name = f"{upload['Key']}{_UPLOAD_ID}{upload['UploadId']}"
            initiated = upload.get("Initiated")
            yield _stored(name, upload["Key"], None, initiated.timestamp() if initiated else None, partial=True)

    def remove(self, found: StoredObject) -> None:
        key, _, upload_id = found.name.partition(_UPLOAD_ID) if found.partial else (found.name, "", "")
        target = self._target(key)
        if found.partial:
            abort_upload(target, upload_id)
            return
        from botocore.exceptions import ClientError

        with suppress(exception.ImageDataNotFound), calling(f"looking for object {key}"):
            try:
                modified = target.client.head_object(**target.address)["LastModified"].timestamp()
            except ClientError as error:
                if status_of(error) == 404:
                    return
                raise
            # An upload since may have given the name to other data.  Headers and lists differ in rounding.
            if found.modified is None or abs(modified - found.modified) < 2:
                target.delete()

    def _target(self, key: str) -> Target:
        location = self._home(key)
        return Target(self._client(location), location.bucket, key)

    def _uploads(self, target: Target, **options: Any) -> Iterator[dict[str, Any]]:
        return _listed(target, "list_multipart_uploads", "Uploads", **options)


# --- options -----------------------------------------------------------------


def endpoint_of(host: str) -> str:
    """The URL that ``s3_store_host`` means; without a scheme it is http.  :raises ConfigurationError:"""
    scheme, separator, rest = host.strip().rpartition("://")
    scheme = scheme.lower() if separator else "http"
    match = re.fullmatch(
        r"(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[^/?#@]+)*)/?",
        rest,
        re.IGNORECASE,
    )
    if match is None or scheme not in _PORTS:
        raise exception.ConfigurationError("s3_store_host: expected HOST[:PORT], with http:// or https:// in front.")
    try:
        address = _join(normalise_host(match["host"]), None if match["port"] is None else int(match["port"]))
    except ValueError:
        raise exception.ConfigurationError("s3_store_host: this is neither a host name nor an address.") from None
    return f"{scheme}://{address}{match['path']}"


def _join(host: str, port: int | None) -> str:
    """:raises ValueError: no such port"""
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("no such port")
    return (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")


# --- objects -----------------------------------------------------------------


def _get(target: Target, first: int, last: int | None, etag: str | None = None) -> dict[str, Any] | None:
    """The answer to a request for the bytes from ``first`` to ``last``, None if the object ends before.

    :param etag: only if this is still the object
    """
    from botocore.exceptions import ClientError

    conditions: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
    if first or last is not None:
        conditions["Range"] = f"bytes={first}-{'' if last is None else last}"
    with calling(f"reading object {target.key}"):
        try:
            answer = target.client.get_object(**target.address, **conditions)
        except ClientError as error:
            if status_of(error) == 416:
                return None
            raise
    if "Range" in conditions and not answer.get("ContentRange", "").startswith(f"bytes {first}-"):
        answer["Body"].close()
        LOG.error("S3: the service ignores ranges")
        raise exception.StoreUnavailable()
    return answer


class _ObjectBody:
    """``length`` bytes of an object from ``offset``; a connection that breaks is replaced.

    :param answer: to the request for them
    """

    def __init__(self, target: Target, answer: dict[str, Any] | None, offset: int, length: int) -> None:
        self._target = target
        self._stream = answer["Body"] if answer else None
        self._etag = answer.get("ETag") if answer else None
        self._offset = offset
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        position, end = self._offset, self._offset + self._length
        pacer, failures = Pacer(), 0
        while position < end:
            try:
                with calling(f"reading object {self._target.key}"):
                    block = self._read(position, end)
            except exception.StoreUnavailable:
                self.close()
                failures += 1
                if failures > RESUMES:
                    raise
                time.sleep(0.1 * 2**failures)
                continue
            failures = 0
            position += len(block)
            yield block
            pacer.step()

    def _read(self, position: int, end: int) -> bytes:
        if self._stream is None:
            answer = _get(self._target, position, end - 1, self._etag)
            if answer is None:
                raise exception.ImageDataNotFound()
            self._stream = answer["Body"]
        block = self._stream.read(min(BLOCK, end - position))
        if not block:
            raise OSError("the connection ended too early")
        return block

    def close(self) -> None:
        """Give the connection up, or back if all was read; safe to call again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _stored(name: str, key: str, size: int | None, modified: float | None, *, partial: bool = False) -> StoredObject:
    return StoredObject(name, key if uuidutils.is_uuid_like(key) else None, size, modified, partial)


def _listed(target: Target, operation: str, member: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Every entry of a list that comes in pages; nothing where the service does not know the list."""
    from botocore.exceptions import ClientError

    pages = iter(target.client.get_paginator(operation).paginate(Bucket=target.bucket, **options))
    while True:
        with calling(f"listing bucket {target.bucket}"):
            try:
                page = next(pages, None)
            except ClientError as error:
                if status_of(error) in (404, 405, 501):  # no such bucket, no such list
                    return
                raise
        if page is None:
            return
        yield from page.get(member, [])
