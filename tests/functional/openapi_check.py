"""Do answers say what GET /openapi.json promises?  The helpers that send requests ask for every answer."""

import re
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_URI = "urn:openapi"


class Contract:
    """The description of the APIs that one deployment serves, read when the first answer is checked."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, answer: requests.Response) -> None:
        """:raises AssertionError: the operation is described, and has no such answer"""
        path, method = self._path(answer.request), answer.request.method.lower()
        if path is None or method not in self._document["paths"][path]:
            return
        where = f"/paths/{_escaped(path)}/{method}/responses/{answer.status_code}"
        seen = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
        responses = self._document["paths"][path][method]["responses"]
        assert str(answer.status_code) in responses, f"{seen} is not described; {answer.text[:500]}"
        response = responses[str(answer.status_code)]
        if "$ref" in response:
            where = response["$ref"][1:]
            response = self._document["components"]["responses"][where.rpartition("/")[2]]
        if method == "head":
            return
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        contents = response.get("content", {})
        assert kind in contents or _is_empty(answer), f"{seen} with the type {kind!r}, described are {sorted(contents)}"
        if kind == "application/json" and kind in contents:
            problems = [
                f"{error.json_path}: {error.message}"
                for error in self._validator(f"{where}/content/{_escaped(kind)}/schema").iter_errors(answer.json())
            ]
            assert not problems, f"{seen} breaks its schema: {problems}"

    @cached_property
    def _document(self) -> dict[str, Any]:
        answer = requests.get(f"{self._endpoint}/openapi.json", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @cached_property
    def _registry(self) -> Registry:
        return Registry().with_resource(_URI, DRAFT202012.create_resource(self._document))

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Paths, those with the fewest variables first."""
        paths = sorted(self._document["paths"], key=lambda path: path.count("{"))
        return [(re.compile(re.sub(r"\\{[^/]*\\}", "[^/]+", re.escape(path))), path) for path in paths]

    def _path(self, request: requests.PreparedRequest) -> str | None:
        if not request.url.startswith(self._endpoint):
            return None
        asked = unquote(urlsplit(request.url).path)
        return next((path for pattern, path in self._patterns if pattern.fullmatch(asked)), None)

    def _validator(self, pointer: str) -> Draft202012Validator:
        if pointer not in self._validators:
            schema = {"$ref": f"{_URI}#{pointer}"}
            self._validators[pointer] = Draft202012Validator(schema, registry=self._registry)
        return self._validators[pointer]


def _escaped(name: str) -> str:
    """A name as part of a JSON pointer in a URI fragment."""
    return name.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _is_empty(answer: requests.Response) -> bool:
    length = answer.headers.get("Content-Length")
    return length == "0" or (length is None and "Transfer-Encoding" not in answer.headers)
