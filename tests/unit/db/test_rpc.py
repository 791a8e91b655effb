"""Commands and their wire form (spec registry.md §4)."""

import inspect
import json
from datetime import UTC, timedelta, timezone

import pytest
import webob
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.db import wire
from glance.db.commands import COMMANDS, ONCE
from glance.db.registry import api as client
from glance.db.sqlalchemy import api as direct
from glance.registry.api import v2
from glance.wsgi.router import Router
from tests.unit.db.conftest import options


def test_commands_are_the_data_functions():
    for name, arguments in COMMANDS.items():
        context, *others = inspect.signature(getattr(direct, name)).parameters
        assert (context, tuple(others)) == ("context", arguments), name
    assert set(COMMANDS) >= ONCE


def test_nothing_else_is_exposed():
    with pytest.raises(AttributeError):
        client.image_ids_in_use
    assert not any(name.startswith("_") for name in COMMANDS)


@pytest.fixture
def call(sqlite_db, alice):
    """Send a body to ``/rpc``; returns the response."""
    conf = options(None)
    conf.register_opt(v2.cfg.ListOpt("allowed_rpc_exception_modules", default=["glance.common.exception", "builtins"]))
    router = Router(v2.routes(conf), method_not_allowed=False)

    def send(body, method="POST"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = webob.Request.blank("/rpc", method=method, body=raw, environ={"glance.context": alice})
        return request.get_response(router)

    return send


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"command": "image_get"}, 400),
        (["image_get"], 400),
        ([{}], 400),
        ([{"command": 5}], 400),
        ([{"command": "image_get", "kwargs": [1]}], 400),
        ([{"command": "image_get", "kwargs": "x"}], 400),
        ([{"command": "no_such"}], 404),
        ([{"command": "_call"}], 404),
        ([{"command": "configure"}], 404),
        ([{"command": "image_ids_in_use"}], 404),
        (b"", 400),
        (b"{", 400),
        (b"5", 400),
        (b'"x"', 400),
        (b"[" * 100000, 400),
        (b'[{"command": "is_image_mutable", "kwargs": {"image": {"_type": "datetime", "_value": "x"}}}]', 400),
        (b'[{"command": "is_image_mutable", "kwargs": {"image": {"_type": "datetime", "_value": 5}}}]', 400),
        ([], 200),
    ],
)
def test_bodies(call, body, status):
    response = call(body)
    assert response.status_int == status
    if status == 200:
        assert response.json == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_other_methods(call, method):
    assert call([], method).status_int == 404


def test_one_bad_command_stops_all(call, sqlite_db, alice):
    create = {"command": "image_create", "kwargs": {"values": {"status": "queued"}}}
    assert call([create, {"command": "no_such"}]).status_int == 404
    assert sqlite_db.image_get_all(alice) == []


def test_an_error_stops_no_other_command(call):
    create = {"command": "image_create", "kwargs": {"values": {"status": "queued"}}}
    missing = {"command": "image_get", "kwargs": {"image_id": "x"}}
    first, second, third = call([create, missing, create]).json
    assert first["status"] == third["status"] == "queued"
    assert second == {"_error": {"cls": "glance.common.exception.ImageNotFound", "val": "No image found with ID x"}}


@pytest.mark.parametrize(
    ("kwargs", "text"), [({}, "image_id"), ({"image_id": "x", "force": 1}, "force"), ({"context": 1}, "context")]
)
def test_wrong_arguments(call, kwargs, text):
    (answer,) = call([{"command": "image_get", "kwargs": kwargs}]).json
    assert answer["_error"]["cls"] == "builtins.TypeError"
    assert text in answer["_error"]["val"]


def test_errors_of_other_modules_are_not_named(call, monkeypatch):
    def fail(context, image_id):
        raise KeyError("secret")

    monkeypatch.setattr(direct, "image_finish_delete", fail)
    (answer,) = call([{"command": "image_finish_delete", "kwargs": {"image_id": "x"}}]).json
    assert answer["_error"]["cls"] == "glance.common.exception.RPCError"
    assert "KeyError" in answer["_error"]["val"]
    assert "secret" not in answer["_error"]["val"]


def test_the_database_is_down(call, monkeypatch):
    def fail(context, image_id):
        raise exception.ServiceUnavailable()

    monkeypatch.setattr(direct, "image_finish_delete", fail)
    response = call([{"command": "image_finish_delete", "kwargs": {"image_id": "x"}}, {"command": "image_get_all"}])
    assert response.status_int == 503
    assert "Retry-After" in response.headers


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        ("glance.common.exception.Conflict", exception.Conflict),
        ("builtins.TypeError", TypeError),
        ("exceptions.ValueError", ValueError),
        ("os.system", exception.RPCError),
        ("glance.common.exception.GlanceException.__init__", exception.RPCError),
        ("builtins.print", exception.RPCError),
        ("", exception.RPCError),
    ],
)
def test_errors_are_raised_again(cls, expected):
    error = client._error({"cls": cls, "val": "why {not}"})
    assert type(error) is expected
    assert "why {not}" in str(error)


@given(st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=5)))))
def test_times(moment):
    sent = json.loads(json.dumps({"a": [moment]}, default=wire.encode), object_hook=wire.decode)
    try:
        expected = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        return
    assert sent == {"a": [expected]}


def test_unknown_types_stay():
    assert wire.decode({"_type": "other", "_value": 1}) == {"_type": "other", "_value": 1}
