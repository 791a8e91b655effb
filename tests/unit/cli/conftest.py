"""The command line against the imitation of a server."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from glance.cli.main import main
from tests.unit.client.conftest import clean_environment, peer  # noqa: F401  # fixtures
from tests.unit.client.peer import Peer


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Outcome]]:
    """Runs a command line: ``run("add", "name=x", stdin=path)``; standard input is /dev/null by default."""

    def call(*words: object, stdin: str | Path = "/dev/null") -> Outcome:
        with open(stdin) as source:
            monkeypatch.setattr(sys, "stdin", source)
            try:
                code = main([str(word) for word in words])
            except SystemExit as leave:
                code = leave.code if isinstance(leave.code, int) else 1
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def glance(run: Callable[..., Outcome], peer: Peer) -> Callable[..., Outcome]:  # noqa: F811
    """As ``run``, with the address of the peer behind the words."""
    return lambda *words, **options: run(*words, "--host=127.0.0.1", "-p", peer.port, **options)
