"""Fixtures of the store tests."""

from collections.abc import Iterator

import pytest

from tests.unit.store.web import WebServer

pytest.register_assert_rewrite("tests.unit.store.contract", "tests.unit.store.scenarios")


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()
