"""The connection to an S3 service: the client, what its errors mean, and bodies that it sends.

The client is botocore's, the core of boto3.  It is imported only when a store needs it.
It works through Python's own sockets, so under eventlet its calls let other requests run.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from glance.common import exception
from glance.common.offload import pause
from glance.common.redact import mask_secrets, one_line

LOG = logging.getLogger(__name__)

BLOCK = 256 * 1024
"""Bytes that are given to a socket at a time."""

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
ATTEMPTS = 3
"""Of each request, with up to one and two seconds between them."""

_CONNECTIONS = 64
"""Idle connections kept per client."""

_SLICE = 0.002
_FULL = frozenset({"QuotaExceeded", "EntityTooLarge", "InsufficientStorage", "TooManyBuckets"})

_ELSEWHERE = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidLocationConstraint",
        "PermanentRedirect",
    }
)


class Interrupted(BaseException):
    """The upload was given up while a request was being sent.

    Not an ``Exception``, which the client would take for a bad connection and try again.
    """


def create_client(
    endpoint: str, access_key: str, secret_key: str, *, region: str, style: str, options: Any, integrity: bool
) -> Any:
    """A client for one account of one service; nothing in the environment or a home directory changes it.

    :param style: ``virtual`` or ``path``
    :param options: the options of the store, for authorities and proxy
    :param integrity: sign payloads, and use checksums as the options say.  Without it the
        payload is not read a second time: its hashes are computed and recorded anyway
    :raises ConfigurationError: the library is not installed, or refuses a value
    """
    try:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise exception.ConfigurationError(
            "The library boto3 is not installed: pip install 'glance-classic[s3]'."
        ) from None
    # At lower levels botocore writes headers, signatures and whole requests to the log.
    for name in ("botocore", "boto3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.WARNING)
    session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    for variable in ("config_file", "credentials_file"):
        session.set_config_variable(variable, os.devnull)
    when = "when_required"
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        proxies=_proxies(options),
        request_checksum_calculation=options.s3_store_request_checksum_calculation if integrity else when,
        response_checksum_validation=options.s3_store_response_checksum_validation if integrity else when,
        ignore_configured_endpoint_urls=True,
        tcp_keepalive=True,
        s3={"addressing_style": style, **({} if integrity else {"payload_signing_enabled": False})},
    )
    try:
        return session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            verify=options.s3_store_cacert or True,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise exception.ConfigurationError(f"The options of S3 do not fit: {error}") from None


def _proxies(options: Any) -> dict[str, str]:
    if not options.s3_store_enable_proxy:
        return {}
    login = ""
    if options.s3_store_proxy_user:
        user, password = options.s3_store_proxy_user, options.s3_store_proxy_password or ""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    proxy = f"http://{login}{options.s3_store_proxy_host}:{options.s3_store_proxy_port}"
    return {"http": proxy, "https": proxy}


# --- errors --------------------------------------------------------------------


@contextmanager
def calling(what: str, denied: type[exception.GlanceException] = exception.StoreUnavailable) -> Iterator[None]:
    """Say what an error of the client means; log its cause, of which the caller sees nothing.

    :param what: what is being done, for the log
    :param denied: error for an account that may not do it
    :raises ImageDataNotFound, StorageFull, StoreUnavailable:
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.exceptions import HTTPClientError as BotoHTTPError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _refusal(what, error, denied) from None
    except Interrupted:
        raise exception.StoreUnavailable() from None
    except (BotoCoreError, BotoHTTPError, HTTPError, OSError) as error:
        LOG.error("S3: %s failed: %s", what, one_line(mask_secrets(str(error))))
        raise exception.StoreUnavailable() from None


def code_of(error: Any) -> str:
    """The error code of a ClientError; of an answer without a body, its status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _refusal(what: str, error: Any, denied: type[exception.GlanceException]) -> exception.GlanceException:
    code, status = code_of(error), status_of(error)
    if status == 404 and code not in ("NoSuchBucket", "NoSuchUpload"):
        return exception.ImageDataNotFound()
    # The message of the server is left out: it may name the access key.
    LOG.error("S3: %s failed: the service answers %d %s%s", what, status, one_line(code), _advice(code))
    if code in _FULL or status in (413, 507):
        return exception.StorageFull()
    if status == 403:
        return denied()
    return exception.StoreUnavailable()


def _advice(code: str) -> str:
    if code == "NoSuchBucket":
        return ": create the bucket of s3_store_bucket, or set s3_store_create_bucket_on_put"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return ": check s3_store_access_key and s3_store_secret_key"
    if code in _ELSEWHERE:
        return ": check s3_store_host and s3_store_region_name"
    return ""


# --- what is sent ----------------------------------------------------------------


class Pacer:
    """Lets other green threads run every few milliseconds of a loop that never has to wait."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def step(self) -> None:
        if time.monotonic() - self._since > _SLICE:
            pause()
            self._since = time.monotonic()


class Body:
    """The body of a request that can be repeated.

    :param length: bytes
    :param fetch: ``(position, count) -> bytes or memoryview``
    :param stopped: True once the request is wanted no more
    """

    def __init__(self, length: int, fetch: Callable[[int, int], Any], stopped: Callable[[], bool]) -> None:
        self._length = length
        self._fetch = fetch
        self._stopped = stopped
        self._position = 0
        self._pacer = Pacer()

    def __len__(self) -> int:
        return self._length

    def read(self, count: int = -1) -> Any:
        """The next bytes.  More than ``count``, because http.client asks for little and takes what it gets."""
        if self._stopped():
            raise Interrupted("the upload was given up")
        self._pacer.step()
        count = self._length if count is None or count < 0 else max(count, BLOCK)
        block = self._fetch(self._position, min(count, self._length - self._position))
        self._position += len(block)
        return block

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, min(start + offset, self._length))
        return self._position
