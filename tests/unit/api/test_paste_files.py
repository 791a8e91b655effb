"""The shipped paste files (spec daemons-and-config.md §5)."""

from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

ETC = Path(__file__).parents[3] / "etc"

_API = "cors healthcheck metrics http_proxy_to_wsgi versionnegotiation osprofiler"
PIPELINES = {
    "glance-api": {
        "": f"{_API} unauthenticated-context rootapp",
        "-keystone": f"{_API} authtoken context rootapp",
        "-tokens": f"{_API} tokens context rootapp",
        "-trusted-auth": f"{_API} context rootapp",
    },
    "glance-registry": {
        "": "healthcheck metrics osprofiler unauthenticated-context registryapp",
        "-keystone": "healthcheck metrics osprofiler authtoken context registryapp",
        "-tokens": "healthcheck metrics osprofiler tokens context registryapp",
        "-trusted-auth": "healthcheck metrics osprofiler context registryapp",
    },
}

FACTORIES = {
    "composite:rootapp": "glance.api:root_app_factory",
    "app:apiversions": "glance.api.versions:create_resource",
    "app:apiv1app": "glance.api.v1.router:API.factory",
    "app:apiv2app": "glance.api.v2.router:API.factory",
    "app:registryapp": "glance.registry.api:API.factory",
    "filter:versionnegotiation": "glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory",
    "filter:context": "glance.api.middleware.context:ContextMiddleware.factory",
    "filter:unauthenticated-context": "glance.api.middleware.context:UnauthenticatedContextMiddleware.factory",
    "filter:gzip": "glance.api.middleware.gzip:GzipMiddleware.factory",
    "filter:authtoken": "keystonemiddleware.auth_token:filter_factory",
    "filter:tokens": "glance.api.middleware.tokens:TokensFilter.factory",
    "filter:healthcheck": "glance.api.middleware.healthcheck:HealthcheckFilter.factory",
    "filter:metrics": "glance.metrics:filter_factory",
    "app:metrics": "glance.metrics:app_factory",
    "filter:osprofiler": "osprofiler.web:WsgiMiddleware.factory",
    "filter:cors": "oslo_middleware.cors:filter_factory",
    "filter:http_proxy_to_wsgi": "oslo_middleware:HTTPProxyToWSGI.factory",
}


def read(program: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, delimiters=("=", ": "))
    parser.read_string((ETC / f"{program}-paste.ini").read_text())
    return parser


@pytest.mark.parametrize("program", PIPELINES)
def test_pipelines(program):
    parser = read(program)
    found = {name: parser[name]["pipeline"] for name in parser.sections() if name.startswith("pipeline:")}
    assert found == {f"pipeline:{program}{flavor}": line for flavor, line in PIPELINES[program].items()}
    for line in found.values():
        *filters, app = line.split()
        assert {f"filter:{name}" for name in filters} <= set(parser.sections())
        assert parser.has_section(f"app:{app}") or parser.has_section(f"composite:{app}")


@pytest.mark.parametrize("program", PIPELINES)
def test_factories(program):
    parser = read(program)
    for name in parser.sections():
        kind = name.partition(":")[0]
        if kind != "pipeline":
            assert parser[name][f"paste.{kind}_factory"] == FACTORIES[name]


def test_root_app_maps_the_versions():
    parser = read("glance-api")
    assert {key: parser["composite:rootapp"][key] for key in ("/", "/v1", "/v2")} == {
        "/": "apiversions",
        "/v1": "apiv1app",
        "/v2": "apiv2app",
    }


def test_api_leaves_the_decision_on_tokens_to_the_context():
    assert read("glance-api")["filter:authtoken"]["delay_auth_decision"] == "true"
    assert "delay_auth_decision" not in read("glance-registry")["filter:authtoken"]


@pytest.mark.parametrize(
    "factory", [value for name, value in FACTORIES.items() if name.startswith("filter:")]
)  # fmt: skip
def test_filter_factories_can_be_imported(factory):
    module, _, name = factory.partition(":")
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
