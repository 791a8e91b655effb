"""The peer that the client talks to."""

from collections.abc import Iterator

import pytest

from glance.client import Client
from glance.client.http import HTTPClient
from tests.unit.client.peer import Peer


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No OS_* or GLANCE_* variable of the person who runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith(("OS_", "GLANCE_CLIENT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    yield server
    server.close()


@pytest.fixture
def http(peer: Peer) -> HTTPClient:
    return HTTPClient("127.0.0.1", peer.port, timeout=20)


@pytest.fixture
def client(peer: Peer) -> Client:
    return Client("127.0.0.1", peer.port, timeout=20)
