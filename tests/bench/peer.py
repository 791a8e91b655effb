"""Upstream's newest release as the peer: installed from PyPI into a cache, served by uWSGI as its manual says."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.dialects import V2
from tests.bench.services import Service, Unavailable, running
from tests.functional.conftest import write_config
from tests.services.ports import free_port

REQUIREMENTS = ["glance==33.*", "uwsgi", "PyMySQL"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glance-bench" / "peer"

_INSTALL_SECONDS = 900
_READY_SECONDS = 120


def installed() -> bool:
    """Whether the peer's virtual environment is there."""
    return (CACHE / "bin" / "uwsgi").exists()


def install() -> Path:
    """Create the peer's virtual environment unless it is there; return its directory.

    :raises Unavailable: pip failed, with the end of what it said
    """
    if not installed():
        _run([sys.executable, "-m", "venv", str(CACHE)])
        _run([str(CACHE / "bin" / "pip"), "install", "--disable-pip-version-check", *REQUIREMENTS])
    return CACHE


@contextlib.contextmanager
def upstream(directory: Path, connection: str, workers: int = 2, **options: str) -> Iterator[Service]:
    """Upstream's glance-api with a file store; whoever sends identity headers is believed.

    :param connection: an empty MariaDB database
    :param options: more options for its DEFAULT section
    """
    home = install()
    images = directory / "images"
    images.mkdir(parents=True)
    paste = directory / "glance-api-paste.ini"
    shipped = home / "etc" / "glance" / "glance-api-paste.ini"
    paste.write_text(shipped.read_text().replace(" authtoken context ", " context "))
    configuration = directory / "glance-api.conf"
    port = free_port()
    settings = {
        "enabled_backends": "files:file",
        "log_file": directory / "api.log",
        "worker_self_reference_url": f"http://127.0.0.1:{port}",
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": images},
        "os_glance_staging_store": {"filesystem_store_datadir": directory / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": directory / "tasks"},
        "database": {"connection": connection},
        "paste_deploy": {"flavor": "keystone", "config_file": paste},
        **options,
    }
    write_config(configuration, settings)
    _run([str(home / "bin" / "glance-manage"), "--config-file", str(configuration), "db_sync"])
    configured = {"OS_GLANCE_CONFIG_DIR": str(directory), "OS_GLANCE_CONFIG_FILES": str(configuration)}
    command = [
        str(home / "bin" / "uwsgi"), "--module", "glance.wsgi.api:application", "--http-socket", f"127.0.0.1:{port}",
        "--master", "--processes", str(workers), "--threads", "4", "--lazy-apps", "--thunder-lock", "--die-on-term",
        "--http-auto-chunked", "--http-chunked-input", "--http-raw-body", "--socket-timeout", "10",
        "--buffer-size", "65535", "--add-header", "Connection: close", "--disable-logging",
    ]  # fmt: skip
    log = directory / "uwsgi.log"
    with running(command, log, port, _environment() | configured) as process:
        _wait_for_workers(log, workers)
        yield Service(port, V2(), {"upstream": [process.pid]}, images)


def _wait_for_workers(log: Path, workers: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while (text := log.read_text(errors="replace")).count("WSGI app 0") < workers:
        if time.monotonic() > deadline or "no app loaded" in text:
            raise RuntimeError(f"upstream did not start:\n{text[-3000:]}")
        time.sleep(0.1)


def _environment() -> dict[str, str]:
    """Ours without PYTHONPATH: two packages are called glance."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS
    )
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
