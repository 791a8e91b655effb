"""Fixtures for configuration and logging: each test leaves both as it found them."""

import logging
import sys
import threading

import pytest

from glance.common import config
from glance.common.config import aliases, files


@pytest.fixture
def search_dirs(tmp_path, monkeypatch):
    """The five places of the search, as directories of the test: home/.glance, home, etc/glance, etc, cwd."""
    home, etc, cwd = tmp_path / "home", tmp_path / "etc", tmp_path / "cwd"
    for directory in (home / ".glance", etc / "glance", cwd):
        directory.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(cwd)
    found = tuple(path.replace("/etc", str(etc)) for path in files.SEARCH_DIRS)
    monkeypatch.setattr(files, "SEARCH_DIRS", found)
    return [home / ".glance", home, etc / "glance", etc, cwd]


@pytest.fixture
def load(tmp_path, search_dirs):
    """``load(text, program, *argv)`` writes text to a file and loads it as the program would."""
    path = tmp_path / "my.conf"

    def load(text="", program="glance-api", *argv):
        path.write_text(text)
        load.path = path
        return config.load(program, ["--config-file", str(path), *argv])

    yield load


@pytest.fixture(autouse=True)
def clean_configuration(monkeypatch):
    monkeypatch.setattr(aliases, "_warned", set())
    for name in ("OS_DEFAULT__BIND_PORT", "OS_DATABASE__CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    yield
    config.CONF.reset()
    monkeypatch.setattr(config, "_loaded", None)


@pytest.fixture
def clean_logging(monkeypatch):
    """Undoes ``log.setup``: handlers, levels.  No request is under way, though other tests left one."""
    monkeypatch.setattr("oslo_context.context._request_store", threading.local())
    root = logging.getLogger()
    loggers = [root, *(item for item in root.manager.loggerDict.values() if isinstance(item, logging.Logger))]
    before = [(item, list(item.handlers), item.level, item.propagate) for item in loggers]
    hook = sys.excepthook
    yield root
    for handler in root.handlers:
        if handler not in before[0][1]:
            handler.close()
    for item, handlers, level, propagate in before:
        item.handlers[:] = handlers
        item.setLevel(level)
        item.propagate = propagate
    sys.excepthook = hook
