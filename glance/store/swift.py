"""Images as objects of Swift (spec stores.md §5).

An image smaller than ``swift_store_large_object_size`` is one object named by its id.  A larger one, or one of unknown
size, is a dynamic large object: segments ``ID-00001``, ``ID-00002``, … and, written last, the manifest ``ID``.  So an
upload that died leaves segments without a manifest, which ``objects`` and ``discard`` recognise.

With ``swift_store_multi_tenant`` each image lies in its owner's account, in a container of its own, and is reached
with the token of whoever asks: see ``acting_for``.
"""

import copy
import http.client
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from oslo_utils import uuidutils

from glance.common import exception
from glance.common.addresses import HostList
from glance.context import RequestContext
from glance.store import swift_account, swift_location, swift_transfer
from glance.store.base import Driver, Reader, StoredObject, Writer
from glance.store.swift_account import Account, Refused
from glance.store.swift_location import Location

LOG = logging.getLogger(__name__)

_PROJECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class SwiftDriver(Driver):
    """The swift store.

    Locations are ``swift+https://USER:KEY@AUTH/CONTAINER/ID``, ``swift+config://REFERENCE/CONTAINER/ID`` with
    ``swift_store_config_file``, and ``swift+https://STORAGE_URL/CONTAINER/ID`` where the account of the caller or of
    the service is meant.  ``swift://`` is read as ``swift+https://``.
    """

    NAME = "swift"
    SCHEMES = swift_location.SCHEMES
    RANGES = True

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        if swift_account.swiftclient is None:
            raise exception.ConfigurationError("python-swiftclient is missing: pip install 'glance-classic[swift]'.")
        super().__init__(conf, backend)
        self._options = conf[backend or "glance_store"]
        self._multi_tenant = self._options.swift_store_multi_tenant
        if self._multi_tenant and self._options.swift_store_config_file:
            raise exception.ConfigurationError("Set only one of swift_store_multi_tenant and swift_store_config_file.")
        self.has_acls = self._multi_tenant
        self._context: RequestContext | None = None
        self._references: dict[str, dict[str, str]] = {}
        self._accounts: dict[swift_location.Login, Account] = {}
        self._unremoved: set[swift_transfer.Leftover] = set()

    # --- configuration -------------------------------------------------------

    def configure(self) -> None:
        """Read swift_store_config_file, check the credentials.  :raises ConfigurationError: see the text"""
        options = self._options
        if options.swift_store_config_file:
            self._references = swift_location.read_references(options.swift_store_config_file)
            for name, section in self._references.items():
                swift_location.check_reference(name, section)
            if options.default_swift_reference not in self._references:
                raise exception.ConfigurationError(
                    f"swift_store_config_file has no section {options.default_swift_reference}: "
                    "set default_swift_reference."
                )
        elif not self._multi_tenant:
            credentials = [options.swift_store_user, options.swift_store_key]
            application = [
                options.swift_store_application_credential_id,
                options.swift_store_application_credential_secret,
            ]
            if not options.swift_store_auth_address or not (all(credentials) or all(application)):
                raise exception.ConfigurationError(
                    "Set swift_store_auth_address, swift_store_user and swift_store_key, or swift_store_config_file."
                )
        for url in (options.swift_store_auth_address, options.swift_store_endpoint):
            if url:
                swift_location.split_url(url)

    def check(self) -> None:
        if not self._is_bound() and not self._multi_tenant:  # in accounts of others there is nothing to ask for
            with swift_transfer.reading():
                self._own_account().head(self._options.swift_store_container)

    def describe(self) -> dict[str, Any]:
        names = ("container", "large_object_size", "large_object_chunk_size")
        return {name: getattr(self._options, f"swift_store_{name}") for name in names}

    def holds(self, uri: str) -> bool:
        """Whether a location names a reference, or an authentication service and a container, of this store."""
        try:
            place = swift_location.parse(uri)
        except exception.BadStoreUri:
            return False
        if place.scheme == "config":
            return place.host in self._references
        base = self._options.swift_store_container
        if place.container != base and not place.container.startswith(f"{base}_"):
            return False
        return self._multi_tenant == (place.user is None) and (place.user is None or self._is_configured(place))

    def acting_for(self, context: RequestContext) -> "SwiftDriver":
        """With swift_store_multi_tenant, the same store seen with the caller's token and catalog."""
        if not self._multi_tenant:
            return self
        bound = copy.copy(self)
        bound._context = context
        return bound

    # --- writing -------------------------------------------------------------

    def writer(self, image_id: str, size: int | None) -> Writer:
        if self.add_disabled:
            raise exception.StoreAddDisabled()
        swift_location.check_name(image_id)
        self._remove_leftovers()
        account, place = self._place(image_id)
        with swift_transfer.storing():
            self._ensure_container(account, place.container)
            if account.exists(place.container, image_id):
                raise exception.Duplicate()
            # The image's status admits one upload at a time: what lies there is of one that died.
            swift_transfer.remove_segments(account, place.container, image_id)
        return swift_transfer.SwiftWriter(self._options, account, place, size, self.remember)

    def _place(self, image_id: str) -> tuple[Account, Location]:
        """Where a new image goes."""
        options = self._options
        if self._multi_tenant:
            account = self._callers_account()
            scheme, host, path = swift_location.split_url(account.url)
            container = f"{options.swift_store_container}_{image_id}"
            return account, Location(scheme, host, path, container, image_id)
        container = self._container(image_id)
        if options.swift_store_config_file:
            reference = options.default_swift_reference
            return self._referenced(reference), Location("config", reference, "", container, image_id)
        account = self._own_account()
        if not options.swift_store_user:  # an application credential
            return account, Location(*swift_location.split_url(account.url), container, image_id)
        where = swift_location.split_url(options.swift_store_auth_address)
        user, key = options.swift_store_user, options.swift_store_key
        return account, Location(*where, container, image_id, user, key)

    def _container(self, image_id: str) -> str:
        options = self._options
        return swift_location.spread_container(
            options.swift_store_container, image_id, options.swift_store_multiple_containers_seed
        )

    def _ensure_container(self, account: Account, container: str) -> None:
        if account.head(container) is not None:
            return
        if not self._options.swift_store_create_container_on_put:
            raise exception.StoreUnavailable(
                "The container for images does not exist. Create it, or set swift_store_create_container_on_put."
            )
        account.call("put_container", container, headers=self._acl(False, [], []) if self._multi_tenant else {})

    # --- accounts ------------------------------------------------------------

    def _own_account(self) -> Account:
        """The service's own account.  :raises StoreUnavailable: none is configured"""
        options = self._options
        if options.swift_store_config_file:
            return self._referenced(options.default_swift_reference)
        if not options.swift_store_auth_address:
            raise exception.StoreUnavailable()
        return self._account(options.swift_store_auth_address, options.swift_store_user, options.swift_store_key)

    def _referenced(self, name: str) -> Account:
        """The account of a section of swift_store_config_file.  :raises BadStoreUri: there is no such section"""
        section = self._references.get(name)
        if section is None:
            raise exception.BadStoreUri()
        return self._account(section["auth_address"], section.get("user"), section.get("key"), section)

    def _account(
        self, auth_url: str, user: str | None, key: str | None, extra: dict[str, str] | None = None
    ) -> Account:
        """The account that the configuration means; its token is shared by all requests."""
        scheme, host, path = swift_location.split_url(auth_url)
        login = swift_location.login(self._options, f"{scheme}://{host}{path}", user, key, extra)
        return self._accounts.setdefault(login, Account(self._options, login))

    def _callers_account(self) -> Account:
        """The account of the caller's project.  :raises StoreUnavailable: no token, or the catalog has no Swift"""
        context, options = self._context, self._options
        if context is None or not context.auth_token:
            LOG.error("Swift: swift_store_multi_tenant needs the token of a caller")
            raise exception.StoreUnavailable()
        url = options.swift_store_endpoint or _endpoint(
            context.service_catalog or [], options.swift_store_service_type, options.swift_store_endpoint_type,
            options.swift_store_region,
        )  # fmt: skip
        if not url:
            LOG.error("Swift: the caller's service catalog names no %s", options.swift_store_service_type)
            raise exception.StoreUnavailable()
        return Account(options, None, url.replace("%(project_id)s", context.project_id or ""), context.auth_token)

    def _account_of(self, place: Location) -> Account:
        """Whoever may read a location.

        Nobody's credentials go anywhere but to hosts that the configuration (or the caller's catalog) names: a
        location may come from a user.

        :raises BadStoreUri: the location is of no such host
        """
        if place.scheme == "config":
            return self._referenced(place.host)
        if place.user is not None:
            if not self._is_known_auth(place):
                LOG.warning(
                    "Swift: a location names the authentication service %s, which is not configured", place.host
                )
                raise exception.BadStoreUri()
            user, key = self._options.swift_store_user, self._options.swift_store_key
            if (place.user, place.key) == (user, key):
                return self._account(place.url, user, key)
            return Account(self._options, swift_location.login(self._options, place.url, place.user, place.key))
        account = self._callers_account() if self._is_bound() else self._own_account()
        if swift_location.split_url(account.url)[:2] != (place.scheme, place.host):
            raise exception.BadStoreUri()
        if account.url.rstrip("/") == place.url:
            return account
        return account.at(place.url)

    def _is_bound(self) -> bool:
        return self._context is not None and bool(self._context.auth_token)

    def _is_configured(self, place: Location) -> bool:
        """Whether a location's authentication service is one that the options or the references name."""
        addresses = [section.get("auth_address") for section in self._references.values()]
        for address in (self._options.swift_store_auth_address, *addresses):
            with suppress(exception.ConfigurationError):
                if address and swift_location.split_url(address)[1] == place.host:
                    return True
        return False

    def _is_known_auth(self, place: Location) -> bool:
        if self._is_configured(place):
            return True
        allowed = HostList(self.conf.import_filtering_opts.allowed_hosts, blocks=False)
        return bool(allowed) and allowed.names(re.sub(r":[0-9]+$", "", place.host))

    # --- reading -------------------------------------------------------------

    def check_location(self, uri: str) -> None:
        swift_location.parse(uri)

    def size(self, uri: str) -> int:
        place = swift_location.parse(uri)
        try:
            return int(self._head(self._account_of(place), place)["content-length"])
        except (exception.StoreUnavailable, KeyError, ValueError):
            return 0

    def _head(self, account: Account, place: Location) -> dict[str, str]:
        with swift_transfer.reading():
            headers = account.head(place.container, place.name)
        if headers is None:
            raise exception.ImageDataNotFound()
        return headers

    def open(self, uri: str, offset: int = 0, length: int | None = None) -> Reader:
        place = swift_location.parse(uri)
        account = self._account_of(place)
        if length == 0:
            self._head(account, place)
            return Reader(body=(), length=0)
        body = swift_transfer.Body(account, place, offset, length, self._options.swift_store_retry_get_count)
        return Reader(body=body, length=body.length)

    # --- removing ------------------------------------------------------------

    def delete(self, uri: str) -> None:
        place = swift_location.parse(uri)
        account = self._account_of(place)
        self._remove_leftovers()
        headers = self._head(account, place)
        with swift_transfer.deleting():
            swift_transfer.remove_object(account, place.container, place.name, headers)
            if place.container == f"{self._options.swift_store_container}_{place.name}":
                with suppress(Refused):  # not empty, or gone
                    account.call("delete_container", place.container)

    def discard(self, image_id: str) -> None:
        self._remove_leftovers()
        if self._multi_tenant and not self._is_bound():
            LOG.warning("Swift: what an upload of image %s left in its owner's account stays there", image_id)
            return
        account, place = self._place(image_id)
        with swift_transfer.deleting():
            headers = account.head(place.container, image_id)
            if headers is not None:
                swift_transfer.remove_object(account, place.container, image_id, headers)
            swift_transfer.remove_segments(account, place.container, image_id)

    def remember(self, leftovers: "Iterable[swift_transfer.Leftover]") -> None:
        """Remove objects now or, if Swift does not answer, before a later operation of this process."""
        self._unremoved.update(leftovers)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        while self._unremoved:
            leftover = self._unremoved.pop()
            try:
                leftover.remove()
            except (exception.GlanceException, Refused):
                self._unremoved.add(leftover)
                return

    # --- looking for leftovers -----------------------------------------------

    def objects(self) -> Iterator[StoredObject]:
        self._remove_leftovers()
        if self._multi_tenant and not self._is_bound():
            return
        account = self._callers_account() if self._multi_tenant else self._own_account()
        base = self._options.swift_store_container
        several = self._multi_tenant or self._options.swift_store_multiple_containers_seed
        with swift_transfer.reading():
            for container in list(account.containers(f"{base}_")) if several else [base]:
                entries = account.listing(container)
                for image_id, group in groupby(entries, key=lambda entry: _image_of(entry["name"])):
                    yield from _found(container, image_id, list(group))

    def remove(self, found: StoredObject) -> None:
        account = self._callers_account() if self._multi_tenant else self._own_account()
        container, _, name = found.name.partition("/")
        with swift_transfer.deleting():
            if found.partial and account.exists(container, _image_of(name)):
                return  # complete by now
            headers = account.head(container, name)
            if headers is not None:
                swift_transfer.remove_object(account, container, name, headers)
            if self._multi_tenant:
                with suppress(Refused):
                    account.call("delete_container", container)

    # --- access --------------------------------------------------------------

    def set_acls(self, uri: str, public: bool, read: list[str], write: list[str]) -> None:
        """Let projects read and write the container of an image; only with swift_store_multi_tenant.

        :raises ImageDataNotFound, Forbidden, StoreUnavailable:
        """
        place = swift_location.parse(uri)
        if not self._multi_tenant or place.user is not None or place.scheme == "config":
            return
        account = self._account_of(place)
        with swift_transfer.deleting():
            try:
                account.call("post_container", place.container, self._acl(public, read, write))
            except Refused as error:
                if error.status == http.client.NOT_FOUND:
                    raise exception.ImageDataNotFound() from None
                raise

    def _acl(self, public: bool, read: list[str], write: list[str]) -> dict[str, str]:
        administrators = [
            item if ":" in item else f"{item}:*" for item in map(str.strip, self._options.swift_store_admin_tenants)
        ]
        readers = ["*:*"] if public else [*_members(read), *administrators]
        writers = [*_members(write), *administrators]
        return {
            "X-Container-Read": ",".join(dict.fromkeys(readers)),
            "X-Container-Write": ",".join(dict.fromkeys(writers)),
        }


# --- objects and segments --------------------------------------------------------


def _image_of(name: str) -> str:
    return swift_location.image_of_segment(name) or name


def _found(container: str, image_id: str, entries: list[dict[str, Any]]) -> Iterator[StoredObject]:
    """What the entries of one image are: one object, or segments without a manifest."""
    whole = [entry for entry in entries if entry["name"] == image_id]
    for entry in whole or entries:
        yield StoredObject(
            name=f"{container}/{entry['name']}",
            image_id=image_id if uuidutils.is_uuid_like(image_id) else None,
            size=sum(part["bytes"] for part in entries) if whole else entry["bytes"],
            modified=_time(entry.get("last_modified")),
            partial=not whole,
        )


def _time(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


# --- callers -----------------------------------------------------------------------


def _endpoint(catalog: list[dict[str, Any]], type_: str, kind: str, region: str | None) -> str | None:
    """The first URL of a kind that a service catalog has for a service."""
    for service in catalog:
        if service.get("type") == type_:
            for endpoint in service.get("endpoints") or []:
                if (not region or endpoint.get("region") == region) and endpoint.get(kind):
                    return endpoint[kind]
    return None


def _members(projects: list[str]) -> list[str]:
    """Access control items for projects; what could be more than one item is left out."""
    return [f"{project}:*" for project in projects if _PROJECT.fullmatch(project)]
