"""How the swift store names things: locations, containers, and the file of credentials (spec stores.md §5)."""

import configparser
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from glance.common import exception
from glance.common.values import is_uuid_like

SCHEMES = ("swift", "swift+http", "swift+https", "swift+config")

_SEGMENT = re.compile(r"(?P<image_id>.+)-[0-9]{5,}")
_BAD = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s\[\]:@/?#\\]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Location:
    """A parsed location.

    :ivar scheme: ``http`` or ``https``, how ``host`` is spoken to; ``config`` with a reference
    :ivar host: with the port, if one is named; the reference's name with ``config``
    :ivar path: with a leading slash, or empty.  Together they are the authentication service, or, without a
        user, the account's storage URL
    :ivar user, key: None where the location holds no credentials
    """

    scheme: str
    host: str
    path: str
    container: str
    name: str
    user: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Of the authentication service or the account."""
        return f"{self.scheme}://{self.host}{self.path}"

    def build(self) -> str:
        """The URI; a secret if there is a key."""
        credentials = f"{quote(self.user, '')}:{quote(self.key or '', '')}@" if self.user is not None else ""
        return f"swift+{self.scheme}://{credentials}{self.host}{self.path}/{self.container}/{self.name}"


def parse(uri: str) -> Location:
    """Take a location apart.  :raises BadStoreUri:"""
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES or "://" in rest or _BAD.search(rest):
        raise exception.BadStoreUri()
    authority, _, path = rest.partition("/")
    credentials, at, host = authority.rpartition("@")
    *parents, container, name = ["", "", *path.split("/")]
    parents = [parent for parent in parents if parent]
    if not container or not name or not _HOST.fullmatch(host) or {"", ".", ".."} & {container, name}:
        raise exception.BadStoreUri()
    kind = scheme.partition("+")[2] or "https"
    if kind == "config" and (at or parents):
        raise exception.BadStoreUri()
    user, key = _credentials(credentials) if at else (None, None)
    return Location(kind, host, "".join(f"/{parent}" for parent in parents), container, name, user, key)


def _credentials(text: str) -> tuple[str, str]:
    """User and key; the key is what follows the last colon, for in 2011 the user's colon stood as it is."""
    user, colon, key = text.rpartition(":")
    if not colon or not user or not key:
        raise exception.BadStoreUri()
    return unquote(user), unquote(key)


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, host and path of an URL, for a ``Location``; https where it names no scheme.

    :raises ConfigurationError: it is none
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        scheme, rest = "https", url.strip()
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if scheme.lower() not in ("http", "https") or not _HOST.fullmatch(host):
        raise exception.ConfigurationError("swift_store_auth_address and swift_store_endpoint must be URLs.")
    return scheme.lower(), host, f"/{path}" if path else ""


# --- containers and objects ------------------------------------------------------


def spread_container(base: str, image_id: str, digits: int) -> str:
    """``base`` or, with ``digits`` > 0, ``base_`` and as many digits of the id; its dashes do not count."""
    if not digits:
        return base
    end = counted = 0
    while end < len(image_id) and counted < digits:
        counted += image_id[end] != "-"
        end += 1
    return f"{base}_{image_id[:end]}"


def check_name(image_id: str) -> None:
    """Refuse what cannot be the name of an object.  :raises Invalid:"""
    if not image_id or image_id in (".", "..") or "/" in image_id or _BAD.search(image_id):
        raise exception.Invalid("The image id cannot be the name of an object.")


def segment_name(image_id: str, number: int) -> str:
    return f"{image_id}-{number:05d}"


def image_of_segment(name: str) -> str | None:
    """The image whose segment ``name`` may be."""
    match = None if is_uuid_like(name) else _SEGMENT.fullmatch(name)  # an image id may end in digits alone
    return match["image_id"] if match else None


# --- credentials -----------------------------------------------------------------


@dataclass(frozen=True)
class Login:
    """Who logs in, and where.

    :ivar version: of the authentication service: 1, 2 or 3
    :ivar options: what else swiftclient is told, as pairs
    """

    auth_url: str
    user: str | None
    key: str | None = field(repr=False)
    version: str
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def login(options: Any, auth_url: str, user: str | None, key: str | None, extra: dict[str, str] | None = None) -> Login:
    """The login of a user; a ``tenant:user`` of versions 2 and 3 is taken apart.

    :param options: of the store
    :param extra: of the section in swift_store_config_file
    """
    extra = extra or {}
    version = extra.get("auth_version") or options.swift_store_auth_version
    if version == "2" and auth_url.rstrip("/").endswith("/v3"):
        version = "3"
    more = {
        "region_name": options.swift_store_region,
        "endpoint_type": options.swift_store_endpoint_type,
        "service_type": options.swift_store_service_type,
        "object_storage_url": options.swift_store_endpoint,
    }
    credential_id = extra.get("application_credential_id") or options.swift_store_application_credential_id
    secret = extra.get("application_credential_secret") or options.swift_store_application_credential_secret
    if credential_id and not user:
        more |= {"auth_type": "v3applicationcredential", "application_credential_id": credential_id}
        more["application_credential_secret"] = secret
        version = "3"
    elif version != "1":
        tenant, colon, name = (user or "").partition(":")
        user = name if colon else user
        more["tenant_name"] = tenant if colon else None
        if version == "3":
            more |= _scope(options, extra, tenant if colon else None)
    return Login(auth_url, user, key, version, tuple((name, value) for name, value in more.items() if value))


def _scope(options: Any, extra: dict[str, str], tenant: str | None) -> dict[str, str | None]:
    """Project and domains of version 3; the domain is ``default`` unless the section names one."""
    scope: dict[str, str | None] = {"tenant_name": None}
    project_id = options.swift_store_project_id
    scope |= {"project_id": project_id} if project_id else {"project_name": options.swift_store_project_name or tenant}
    for kind in ("user", "project"):
        named = {f"{kind}_domain_{key}": extra.get(f"{kind}_domain_{key}") for key in ("id", "name")}
        if any(named.values()):
            scope |= named
        elif kind == "user" or not project_id:
            scope[f"{kind}_domain_id"] = "default"
    return scope


def read_references(path: str) -> dict[str, dict[str, str]]:
    """The sections of ``swift_store_config_file``.  :raises ConfigurationError: its text holds no secret"""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise exception.ConfigurationError(f"swift_store_config_file {path} cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if isinstance(line, int) else ""
        raise exception.ConfigurationError(f"swift_store_config_file {path} is not an INI file{where}.") from None
    return {name: dict(parser[name]) for name in parser.sections()}


def check_reference(name: str, section: dict[str, str]) -> None:
    """Refuse a section that nobody can log in with.  :raises ConfigurationError:"""
    pairs = ("user", "key"), ("application_credential_id", "application_credential_secret")
    if not section.get("auth_address") or not any(all(section.get(key) for key in pair) for pair in pairs):
        raise exception.ConfigurationError(
            f"swift_store_config_file: section {name} needs auth_address, user and key "
            "(or application_credential_id and application_credential_secret)."
        )
    if section.get("auth_version", "2") not in ("1", "2", "3"):
        raise exception.ConfigurationError(f"swift_store_config_file: section {name}: auth_version is 1, 2 or 3.")
    split_url(section["auth_address"])
