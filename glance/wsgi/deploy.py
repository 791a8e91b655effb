"""Loading the WSGI application that a paste file describes (spec daemons-and-config.md §5).

Operators' paste files of fifteen years name factories that have moved since; ``_MOVED``
says where they are now, so that no module exists only for its old name.
"""

import configparser
import os
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg
from paste.deploy import loadwsgi

from glance.common import exception

_MOVED = {
    # 2011
    "glance.api.v1:app_factory": "glance.api.v1.router:API.factory",
    "glance.api.versions:app_factory": "glance.api.versions:create_resource",
    "glance.api.middleware.version_negotiation:filter_factory": (
        "glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory"
    ),
    "glance.api.middleware.image_cache:filter_factory": "glance.api.middleware.cache:CacheFilter.factory",
    "glance.common.context:filter_factory": "glance.api.middleware.context:ContextMiddleware.factory",
    "glance.registry.server:app_factory": "glance.registry.api:API.factory",
    # libraries' filters with this service's configuration, and one that no longer works as a filter
    "keystonemiddleware.auth_token:filter_factory": "glance.api.middleware.libraries:authtoken",
    "oslo_middleware.cors:filter_factory": "glance.api.middleware.libraries:cors",
    "oslo_middleware:CORS.factory": "glance.api.middleware.libraries:cors",
    "oslo_middleware:HTTPProxyToWSGI.factory": "glance.api.middleware.proxy:http_proxy_to_wsgi",
    "oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory": "glance.api.middleware.proxy:http_proxy_to_wsgi",
    "oslo_middleware:SSLMiddleware.factory": "glance.api.middleware.proxy:ssl",
    "oslo_middleware.ssl:SSLMiddleware.factory": "glance.api.middleware.proxy:ssl",
    "osprofiler.web:WsgiMiddleware.factory": "glance.api.middleware.libraries:osprofiler",
    "oslo_middleware:Healthcheck.factory": "glance.api.middleware.healthcheck:HealthcheckFilter.factory",
    "oslo_middleware.healthcheck:Healthcheck.factory": "glance.api.middleware.healthcheck:HealthcheckFilter.factory",
    "keystone.middleware.auth_token:filter_factory": "glance.api.middleware.libraries:authtoken",
    "keystone.middleware.glance_auth_token:filter_factory": "glance.api.middleware.libraries:authtoken",
    "keystoneclient.middleware.auth_token:filter_factory": "glance.api.middleware.libraries:authtoken",
    # 2012: paste.*_factory = glance.common.wsgi:* with the class in glance.*_factory
    "glance.api.v1.router:API": "glance.api.v1.router:API.factory",
    "glance.api.v2.router:API": "glance.api.v2.router:API.factory",
    "glance.api.versions:Controller": "glance.api.versions:create_resource",
    "glance.registry.api.v1:API": "glance.registry.api.v1:API.factory",
    "glance.common.context:ContextMiddleware": "glance.api.middleware.context:ContextMiddleware.factory",
    "glance.common.context:UnauthenticatedContextMiddleware": (
        "glance.api.middleware.context:UnauthenticatedContextMiddleware.factory"
    ),
}
# Liberty's and Mitaka's ``use = egg:oslo.middleware#cors``
_EGG = {
    "cors": "oslo_middleware:CORS.factory",
    "healthcheck": "oslo_middleware:Healthcheck.factory",
    "http_proxy_to_wsgi": "oslo_middleware:HTTPProxyToWSGI.factory",
    "ssl": "oslo_middleware:SSLMiddleware.factory",
}
_INDIRECT = ("glance.common.wsgi:app_factory", "glance.common.wsgi:filter_factory")
_STANDARD_DIRS = ("~/.glance", "~", "/etc/glance", "/etc")


def load_app(conf: cfg.ConfigOpts, program: str) -> Any:
    """Return the WSGI application of ``program`` (``glance-api``, ``glance-registry``).

    :raises ConfigurationError: no paste file, no such flavor, or a part of the pipeline
        cannot be built; the text names the application, the file and the reason
    """
    name = program
    if conf.paste_deploy.flavor:
        name += "-" + conf.paste_deploy.flavor.strip()
    path = find_paste_file(conf, program)
    try:
        loader = _Loader(path)
        return loader.get_app(name=name)
    except exception.ConfigurationError:
        raise
    except (
        configparser.Error,
        LookupError,
        ImportError,
        AttributeError,
        OSError,
        ValueError,
        TypeError,
        AssertionError,
    ) as error:
        reason = " ".join(str(error).split())
        raise exception.ConfigurationError(
            "Unable to load {name} from configuration file {path}. Got: {reason}", name=name, path=path, reason=reason
        ) from error


def find_paste_file(conf: cfg.ConfigOpts, program: str) -> str:
    """Return the absolute path of the paste file.  :raises ConfigurationError: none found"""
    configured = conf.paste_deploy.config_file
    candidates = [configured] if configured else list(_candidates(conf, program))
    for candidate in candidates:
        path = conf.find_file(candidate) or os.path.expanduser(candidate)
        if os.path.isfile(path):
            return os.path.abspath(path)
    for path in reversed(conf.config_file or []):  # 2011: the pipeline stood in the main file itself
        with open(path, encoding="utf-8") as stream:
            if any(line.strip() in (f"[pipeline:{program}]", f"[app:{program}]") for line in stream):
                return os.path.abspath(path)
    missing = f" [paste_deploy] config_file = {configured} does not exist." if configured else ""
    raise exception.ConfigurationError(
        "Unable to locate paste config file for {program}.{missing}", program=program, missing=missing
    )


def _candidates(conf: cfg.ConfigOpts, program: str) -> Iterator[str]:
    for path in reversed(conf.config_file or []):
        base = os.path.basename(path).removesuffix(".conf") + "-paste.ini"
        yield os.path.join(os.path.dirname(os.path.abspath(path)), base)
        yield from (os.path.join(directory, base) for directory in _STANDARD_DIRS)
    yield f"{program}-paste.ini"
    yield from (os.path.join(directory, f"{program}-paste.ini") for directory in _STANDARD_DIRS)


class _Loader(loadwsgi.ConfigLoader):
    """PasteDeploy's loader, reading old factory names as what they are called now."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        parser = self.parser
        for option, value in configparser.RawConfigParser.defaults(parser).items():
            try:
                parser.get("DEFAULT", option)
            except configparser.InterpolationError:  # a date format, in a file of 2011 that is both configurations
                parser.set("DEFAULT", option, value.replace("%", "%%"))
        for section in parser.sections():
            self._name_factory(section)
            for option in ("app", "filter", "filter_app", "composite"):
                key = f"paste.{option}_factory"
                if not parser.has_option(section, key):
                    continue
                factory = parser.get(section, key, raw=True).strip()
                if factory in _INDIRECT and parser.has_option(section, f"glance.{option}_factory"):
                    factory = parser.get(section, f"glance.{option}_factory", raw=True).strip()
                    parser.remove_option(section, f"glance.{option}_factory")
                    factory = _MOVED.get(factory, factory + ".factory")
                parser.set(section, key, _MOVED.get(factory, factory))

    def _name_factory(self, section: str) -> None:
        """Write ``use = egg:oslo.middleware#<name>`` of a filter as the factory that it stands for."""
        if section.startswith("filter:") and self.parser.has_option(section, "use"):
            package, _, name = self.parser.get(section, "use", raw=True).strip().partition("#")
            if package == "egg:oslo.middleware" and name in _EGG:
                self.parser.remove_option(section, "use")
                self.parser.set(section, "paste.filter_factory", _EGG[name])
