"""Deployments whose paste files say more than the shipped ones."""

import configparser
from collections.abc import Callable, Iterator

import pytest

from tests.functional import conftest


class Deployment(conftest.Deployment):
    """A deployment with paste files of its own.

    :param paste, registry_paste: sections and options that the shipped files get; they override what is there
    :param registry_runs: whether the tests need more than what the API server answers by itself
    """

    def __init__(self, *arguments, paste="", registry_paste="", registry_runs=True, **settings) -> None:
        super().__init__(*arguments, **settings)
        self._registry_runs = registry_runs
        for name, lines in (("api", paste), ("registry", registry_paste)):
            path = self.directory / f"glance-{name}-paste.ini"
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            parser.read_string(f"{path.read_text()}\n{lines}\n")
            with path.open("w") as file:
                parser.write(file)

    def start(self) -> "Deployment":
        if self._registry_runs:
            return super().start()
        self.api.start()
        return self


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Deployment]]:
    """Start deployments that end with the module: ``deploy(api={...}, paste="...")``."""
    running: list[Deployment] = []

    def start(**settings) -> Deployment:
        running.append(Deployment(tmp_path_factory.mktemp("glance"), **settings))
        return running[-1].start()

    yield start
    for deployment in running:
        deployment.stop()


def log_since(log, offset: int) -> str:
    """What a daemon has logged since its log had ``offset`` bytes."""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode()
