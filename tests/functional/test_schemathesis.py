"""Requests made up from GET /openapi.json get the answers that it promises.

GLANCE_SCHEMATHESIS_CASES says how many requests are made up, over all operations.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks

CASES = int(os.environ.get("GLANCE_SCHEMATHESIS_CASES", "2000"))
CHECKS = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance, checks.response_headers_conformance,
]  # fmt: skip
FORMATS = {"disk_format": "raw", "container_format": "bare"}
DATA = b"twelve bytes"
MEMBER, TAG = "friend", "blue"
CHANGES = {
    "application/openstack-images-v2.0-json-patch": [{"replace": "/name", "value": "new"}, {"add": "/a", "value": "b"}],
    "application/openstack-images-v2.1-json-patch": [
        {"op": "replace", "path": "/name", "value": "new"}, {"op": "add", "path": "/a", "value": "b"},
        {"op": "replace", "path": "/tags", "value": [TAG]},
    ],
}  # fmt: skip
"""Changes that an image takes; what is made up hits a name only by chance."""


@schemathesis.serializer(*CHANGES)
def as_json(_: Any, value: Any) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Outcome:
    """What came of the requests for one operation.

    :ivar faults: complaint → a request that earned it
    """

    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def successes(self) -> int:
        return sum(count for status, count in self.statuses.items() if status // 100 == 2)


class Seeds:
    """What the paths of made up requests name: images as the operations want them."""

    def __init__(self, deployment, root) -> None:
        self._deployment, self._root = deployment, root
        self._session = requests.Session()
        self._read = self._image(True)
        self._send("POST", f"/images/{self._read}/members", json={"member": MEMBER})

    def variables(self, method: str, path: str) -> dict[str, str]:
        """Values of the path's variables with which the operation can succeed."""
        named = {"member": MEMBER, "value": TAG, "name": "image", "store": "fast"}
        if "{image_id}" in path:
            named["image_id"] = self._read if method in ("GET", "HEAD") else self._to_change(method, path)
        return {name: value for name, value in named.items() if f"{{{name}}}" in path}

    def _to_change(self, method: str, path: str) -> str:
        image_id = self._image("/actions/" in path or "/stores/" in path)
        if "{member}" in path:
            self._send("POST", f"/images/{image_id}/members", json={"member": MEMBER})
        if path.endswith("/restore"):
            self._send("DELETE", f"/images/{image_id}")
        if "{store}" in path:
            self._copy(image_id)
        return image_id

    def _image(self, data: bool) -> str:
        image_id = self._send("POST", "/images", json={**FORMATS, "tags": [TAG], "visibility": "shared"}).json()["id"]
        if data:
            octets = {"Content-Type": "application/octet-stream"}
            self._send("PUT", f"/images/{image_id}/file", data=DATA, headers=octets)
        return image_id

    def _copy(self, image_id: str) -> None:
        """Put the data of an image into a second store, as an import will."""
        (self._root / "cheap" / image_id).write_bytes(DATA)
        self._deployment.sql(
            "INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)"
            " SELECT image_id, ?, '{\"store\": \"cheap\"}', 'active', created_at, updated_at, 0"
            " FROM image_locations WHERE image_id = ?",
            f"file://{self._root}/cheap/{image_id}",
            image_id,
        )

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = self._session.request(method, f"{self._deployment.endpoint}/v2{path}", timeout=60, **more)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="module")
def deployment(deploy, root):
    stores = {name: {"filesystem_store_datadir": str(root / name)} for name in ("fast", "cheap")}
    return deploy(
        api={
            "enabled_backends": "fast:file,cheap:file",
            "glance_store": {"default_backend": "fast"},
            "show_multiple_locations": True,
            "show_image_direct_url": True,
            "delayed_delete": True,
            "scrub_time": 3600,
            **stores,
        }
    )


@pytest.fixture(scope="module")
def outcomes(deployment, root) -> dict[str, Outcome]:
    """What came of the requests, by operation."""
    description = schemathesis.openapi.from_url(f"{deployment.endpoint}/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    seeds = Seeds(deployment, root)
    return {operation.label: exercise(operation, seeds, CASES // len(operations) + 1) for operation in operations}


def exercise(operation: Any, seeds: Seeds, number: int) -> Outcome:
    """Send ``number`` requests of one operation, half of them against its description where that is possible."""
    outcome = Outcome()
    if can_be_wrong(operation):
        send(operation, GenerationMode.NEGATIVE, number // 2, seeds, outcome)
    send(operation, GenerationMode.POSITIVE, number - outcome.statuses.total(), seeds, outcome)
    return outcome


def can_be_wrong(operation: Any) -> bool:
    """Whether anything but a text or bytes is expected, of which all are right."""
    parameters = [*operation.query, *operation.headers]
    typed = any(parameter.definition["schema"] != {"type": "string"} for parameter in parameters)
    return typed or any(body.media_type != "application/octet-stream" for body in operation.body)


def send(operation: Any, mode: GenerationMode, number: int, seeds: Seeds, outcome: Outcome) -> None:
    takes_metadata = any(parameter.name == "x-image-meta-disk_format" for parameter in operation.headers)

    @settings(
        max_examples=number, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(mode), known=st.sampled_from([*[True] * 7, False]), choice=st.integers(0, 7))
    def each(case: Any, known: bool, choice: int) -> None:
        if known:
            case.path_parameters = seeds.variables(operation.method.upper(), operation.path)
            case.headers.update({f"x-image-meta-{name}": FORMATS[name] for name in FORMATS if takes_metadata})
        changes = CHANGES.get(case.media_type, [])
        if choice < len(changes):
            case.body = [changes[choice]]
        judge(case, outcome)

    each()


def judge(case: Any, outcome: Outcome) -> None:
    answer = case.call(timeout=60)
    outcome.statuses[answer.status_code] += 1
    try:
        case.validate_response(answer, checks=CHECKS)
    except (FailureGroup, Failure) as failure:
        for fault in getattr(failure, "exceptions", [failure]):
            name = f"{answer.status_code} {fault.title}"
            outcome.faults.setdefault(name, f"{fault.message}\n{case.as_curl_command()}")


def table(outcomes: dict[str, Outcome]) -> str:
    """How many of the requests for each operation succeeded, and all statuses."""
    lines = [
        f"{outcome.successes:4} of {outcome.statuses.total():4}  {label}  {dict(sorted(outcome.statuses.items()))}"
        for label, outcome in outcomes.items()
    ]
    return "\n".join(lines)


def test_answers_are_those_that_are_described(outcomes):
    faults = [f"{label}: {name}\n{text}" for label, found in outcomes.items() for name, text in found.faults.items()]
    assert not faults, "\n\n".join(faults)


def test_every_operation_can_succeed(outcomes):
    print(table(outcomes))
    assert [label for label, outcome in outcomes.items() if not outcome.successes] == []


def test_all_cases_were_sent(outcomes):
    """An operation without parameters has few requests that differ."""
    print(table(outcomes))
    assert sum(outcome.statuses.total() for outcome in outcomes.values()) >= CASES * 0.8
