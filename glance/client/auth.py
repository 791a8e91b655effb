"""Who the client says it is: nobody, a given token, or a Keystone login (spec cli-and-client.md §5, registry.md §5).

A strategy performs requests: ``strategy.call(send)`` calls ``send`` with the headers that
prove the identity, logging in before the first call and once more after a 401.
"""

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, cast
from urllib.parse import urljoin

from glance.client.http import HTTPClient, is_repeatable, position, split_url
from glance.client.wire import Body, Response
from glance.common import exception

MAX_REDIRECTS = 10
_ENVIRONMENT = {
    "username": ("OS_AUTH_USER", "OS_USERNAME"),
    "password": ("OS_AUTH_KEY", "OS_PASSWORD"),
    "tenant": ("OS_AUTH_TENANT", "OS_TENANT_NAME", "OS_PROJECT_NAME"),
    "auth_url": ("OS_AUTH_URL",),
    "strategy": ("OS_AUTH_STRATEGY",),
    "region": ("OS_REGION_NAME",),
    "user_domain_id": ("OS_USER_DOMAIN_ID",),
    "user_domain_name": ("OS_USER_DOMAIN_NAME",),
    "project_domain_id": ("OS_PROJECT_DOMAIN_ID",),
    "project_domain_name": ("OS_PROJECT_DOMAIN_NAME",),
}

Send = Callable[[dict[str, str]], Response]


def credentials(**given: str | None) -> dict[str, str]:
    """Return the credentials ``given``, the rest from the environment; unset ones are left out.

    :raises ClientConfigurationError: the strategy is unknown, or keystone without an auth_url
    """
    found = {}
    for name, variables in _ENVIRONMENT.items():
        value = given.get(name) or next(filter(None, map(os.environ.get, variables)), None)
        if value:
            found[name] = value
    if "auth_url" in found:
        found["strategy"] = "keystone"
    strategy = found.setdefault("strategy", "noauth")
    if strategy not in ("noauth", "keystone"):
        raise exception.ClientConfigurationError(
            f"The authentication strategy {strategy!r} is unknown: use noauth or keystone (OS_AUTH_STRATEGY)."
        )
    if strategy == "keystone" and "auth_url" not in found:
        raise exception.ClientConfigurationError(
            "The keystone strategy needs the address of Keystone: use --os_auth_url or OS_AUTH_URL."
        )
    return found


class NoAuth:
    """No login; a token that somebody else got may be given.

    :ivar endpoint: URL of the image service as the login named it, or None
    """

    endpoint: str | None = None

    def __init__(self, token: str | None = None) -> None:
        self._headers = {"x-auth-token": token} if token else {}

    def call(self, send: Send, body: Body | None = None) -> Response:
        """Return ``send(headers)``.

        :param body: what ``send`` sends, so that it is known whether it can be sent again
        :raises NotAuthenticated: the server does not take the token
        """
        return send(self._headers)


class Keystone:
    """A login with user name and password, v1, v2.0 or v3.

    :param creds: ``username``, ``password``, ``auth_url``, and ``tenant`` (v1 can do without); ``region``;
        for v3 ``user_domain_id`` or ``_name`` and ``project_domain_id`` or ``_name``, default the id ``default``
    :param want_endpoint: look up the image service in the catalogue
    :param http_options: keyword arguments of ``HTTPClient`` for the requests to Keystone
    :raises MissingCredentialError:
    """

    def __init__(self, creds: Mapping[str, str | None], *, want_endpoint: bool = True, **http_options: Any) -> None:
        self._creds = creds
        self._want_endpoint = want_endpoint
        self._http_options = http_options
        self._token: str | None = None
        self._lock = threading.Lock()
        self.endpoint: str | None = None
        for name in ("username", "password", "auth_url"):
            self._required(name)

    def _required(self, name: str) -> str:
        value = self._creds.get(name)
        if not value:
            raise exception.MissingCredentialError(required=name)
        return value

    def call(self, send: Send, body: Body | None = None) -> Response:
        """As ``NoAuth.call``; a token that is refused is renewed once and the request repeated."""
        start = position(body)
        token = self._token or self._renew(None)
        try:
            return send({"x-auth-token": token})
        except exception.NotAuthenticated:
            if start is not None:
                cast(IO[bytes], body).seek(start)
            elif not is_repeatable(body):
                raise
            return send({"x-auth-token": self._renew(token)})

    def _renew(self, used: str | None) -> str:
        """Return a token other than ``used``: one login serves all threads whose token was refused."""
        with self._lock:
            if self._token and self._token != used:
                return self._token
            return self.login()

    def login(self) -> str:
        """Get a new token, and the endpoint with it.

        :raises NotAuthenticated: wrong credentials
        :raises AuthBadRequest, AuthUrlNotFound, AuthorizationFailure: Keystone does not answer as it must
        :raises MissingCredentialError, NoServiceEndpoint, RegionAmbiguity, ClientConnectionError:
        """
        url = self._required("auth_url").rstrip("/")
        version = _version(url)
        if version:
            return self._login_at(url, version)
        try:
            return self._login_at(url, "v1")
        except (exception.AuthUrlNotFound, exception.AuthBadRequest, exception.AuthorizationFailure):
            version = self._offered_version(url)
            return self._login_at(f"{url}/{version}", version)

    def _login_at(self, url: str, version: str) -> str:
        how = {"v1": self._login_v1, "v2.0": self._login_v2, "v3": self._login_v3}[version]
        for _ in range(MAX_REDIRECTS + 1):
            response = how(url)
            if response.status != 305:
                break
            url = _redirected(url, response)
        else:
            raise exception.MaxRedirectsExceeded(redirects=MAX_REDIRECTS)
        _check(response, url)
        try:
            if version == "v1":
                token = response.headers["x-auth-token"]
                names = ("x-image-management-url", "x-server-management-url", "x-glance")
                endpoints = [response.headers[name] for name in names if response.headers.get(name)][:1]
                response.close()
            else:
                document = response.json()
                if version == "v3":
                    token = response.headers["x-subject-token"]
                    endpoints = self._endpoints_v3(document["token"].get("catalog", []))
                else:
                    token = document["access"]["token"]["id"]
                    endpoints = self._endpoints_v2(document["access"].get("serviceCatalog", []))
        except (KeyError, TypeError, AttributeError, exception.ServerError):
            raise exception.AuthorizationFailure(f"The answer of Keystone at {url} is malformed.") from None
        if self._want_endpoint:
            if not endpoints:
                raise exception.NoServiceEndpoint()
            if len(endpoints) > 1:
                raise exception.RegionAmbiguity(region=self._creds.get("region"))
            self.endpoint = endpoints[0]
        self._token = token
        return token

    def _ask(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> Response:
        """One request to Keystone, whatever its status."""
        try:
            origin, path = split_url(url)
        except ValueError:
            raise exception.AuthBadRequest(url=url) from None
        http = HTTPClient(origin.host, origin.port, use_ssl=origin.use_ssl, **self._http_options)
        data = None if body is None else json.dumps(body).encode()
        sent = {"accept": "application/json", **(headers or {})}
        if data:
            sent["content-type"] = "application/json"
        return http.request(method, path, headers=sent, body=data, raw=True)

    def _login_v1(self, url: str) -> Response:
        headers = {"x-auth-user": self._required("username"), "x-auth-key": self._required("password")}
        if tenant := self._creds.get("tenant"):
            headers["x-auth-tenant"] = tenant
        return self._ask("GET", f"{url}/tokens", headers=headers)

    def _login_v2(self, url: str) -> Response:
        user = {"username": self._required("username"), "password": self._required("password")}
        body = {"auth": {"tenantName": self._required("tenant"), "passwordCredentials": user}}
        return self._ask("POST", f"{url}/tokens", body=body)

    def _login_v3(self, url: str) -> Response:
        user = {
            "name": self._required("username"),
            "password": self._required("password"),
            "domain": self._domain("user_domain"),
        }
        project = {"name": self._required("tenant"), "domain": self._domain("project_domain")}
        identity = {"methods": ["password"], "password": {"user": user}}
        return self._ask(
            "POST", f"{url}/auth/tokens", body={"auth": {"identity": identity, "scope": {"project": project}}}
        )

    def _domain(self, which: str) -> dict[str, str]:
        if name := self._creds.get(f"{which}_name"):
            return {"name": name}
        return {"id": self._creds.get(f"{which}_id") or "default"}

    def _offered_version(self, url: str) -> str:
        """v3 when the version document at ``url`` offers it and no v2.0, else v2.0."""
        try:
            versions = self._ask("GET", f"{url}/").json()["versions"]
            found = {entry["id"][:2] for entry in (versions if isinstance(versions, list) else versions["values"])}
        except (KeyError, TypeError, exception.ServerError):
            found = set()
        return "v3" if "v3" in found and "v2" not in found else "v2.0"

    def _endpoints_v2(self, catalog: list[dict[str, Any]]) -> list[str]:
        region = self._creds.get("region")
        return [
            endpoint["publicURL"]
            for service in catalog
            if service.get("type") == "image"
            for endpoint in service.get("endpoints", [])
            if region in (None, endpoint.get("region"))
        ]

    def _endpoints_v3(self, catalog: list[dict[str, Any]]) -> list[str]:
        region = self._creds.get("region")
        return [
            endpoint["url"]
            for service in catalog
            if service.get("type") == "image"
            for endpoint in service.get("endpoints", [])
            if endpoint.get("interface") == "public"
            and region in (None, endpoint.get("region_id"), endpoint.get("region"))
        ]


def strategy(
    creds: Mapping[str, str | None], *, token: str | None = None, want_endpoint: bool = True, **http_options: Any
) -> NoAuth | Keystone:
    """Return the strategy that ``creds["strategy"]`` names; with a ``token`` no login ever happens.

    :raises BadAuthStrategy, MissingCredentialError:
    """
    name = creds.get("strategy") or "noauth"
    if token or name == "noauth":
        return NoAuth(token)
    if name != "keystone":
        raise exception.BadAuthStrategy(expected="noauth or keystone", received=name)
    return Keystone(creds, want_endpoint=want_endpoint, **http_options)


def _version(url: str) -> str | None:
    """The API version that the last part of ``url`` names, None if it names none."""
    found = re.fullmatch(r"v(1|2|3)(?:\.\d+)?", url.rpartition("/")[2])
    return {"1": "v1", "2": "v2.0", "3": "v3"}[found[1]] if found else None


def _redirected(url: str, response: Response) -> str:
    """The base URL that a 305 names."""
    location = urljoin(f"{url}/", response.headers.get("location", ""))
    response.close()
    if location == f"{url}/":
        raise exception.InvalidRedirect()
    if url.startswith("https:") and not location.startswith("https:"):
        raise exception.InvalidRedirect(f"{url} redirects from https to http: the password is not sent there.")
    return location.rstrip("/").removesuffix("/tokens").removesuffix("/auth")


def _check(response: Response, url: str) -> None:
    if response.status in (200, 201, 204):
        return
    response.close()
    if response.status == 400:
        raise exception.AuthBadRequest(url=url)
    if response.status == 401:
        raise exception.NotAuthenticated(f"Keystone at {url} refuses the user name or the password.")
    if response.status == 404:
        raise exception.AuthUrlNotFound(url=url)
    raise exception.AuthorizationFailure(f"Keystone at {url} answers with the status {response.status}.")
