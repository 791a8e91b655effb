"""The description of the APIs is that of the service that runs (glance/api/openapi.py)."""

import requests
from openapi_spec_validator import validate

from glance.api import openapi


def description(deployment):
    answer = requests.get(f"{deployment.endpoint}/openapi.json", timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json; charset=UTF-8")
    return answer.json()


def test_it_is_valid(noauth):
    validate(description(noauth))


def test_everything_that_is_described_exists(noauth):
    paths = description(noauth)["paths"]
    served = {(path.split("/")[1], path[3:], method.upper()) for path, methods in paths.items() for method in methods}
    assert served == openapi.described()


def test_every_route_knows_its_methods(noauth):
    """A method that is not described is refused, with those that are in Allow."""
    for path, methods in description(noauth)["paths"].items():
        if "/v2/" not in path:
            continue
        answer = requests.request("OPTIONS", noauth.endpoint + path.replace("{", "").replace("}", ""), timeout=60)
        assert answer.status_code == 405, path
        assert {name.strip().lower() for name in answer.headers["Allow"].split(",")} == set(methods), path


def test_objects_have_properties(noauth):
    """No schema says "some object": each names its properties, or says what a property may be."""

    def vague(schema, path):
        if isinstance(schema, list):
            for number, entry in enumerate(schema):
                yield from vague(entry, f"{path}/{number}")
        if isinstance(schema, dict):
            kinds = schema.get("type")
            is_object = "object" in (kinds if isinstance(kinds, list) else [kinds])
            if is_object and not schema.get("properties") and "additionalProperties" not in schema:
                yield path
            for name, entry in schema.items():
                yield from vague(entry, f"{path}/{name}")

    assert list(vague(description(noauth), "")) == []


def test_versions_that_are_switched_off_are_left_out(deploy):
    deployment = deploy(api={"enable_v1_api": False})
    assert {path.split("/")[1] for path in description(deployment)["paths"]} == {"v2"}
    deployment.stop()
