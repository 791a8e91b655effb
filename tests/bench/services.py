"""The servers that are measured: this tree's daemons, nginx, and upstream's release (see peer.py)."""

import contextlib
import inspect
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench.dialects import V1, ImagesApi
from tests.bench.wire import Connection
from tests.functional.conftest import Deployment
from tests.services import databases
from tests.services.ports import free_port

START_SECONDS = 60
STOP_SECONDS = 20


class Unavailable(Exception):
    """A server that was asked for cannot be run here; the text says why and what to do."""


@dataclass(frozen=True)
class Service:
    """A server that speaks an Images API."""

    port: int
    dialect: ImagesApi
    processes: Mapping[str, Sequence[int]]
    """Name of a part → process ids; descendants belong to it."""

    images: Path
    """Where its image files lie."""

    registry_port: int = 0
    """0: it has no registry."""


@contextlib.contextmanager
def glance(
    directory: Path,
    connection: str | None = None,
    workers: int = 2,
    dialect: ImagesApi | None = None,
    data_api: str = "glance.db.registry.api",
    **api: Any,
) -> Iterator[Service]:
    """The daemons of this tree, without authentication.

    :param connection: database, default a new SQLite file
    :param dialect: how it is spoken to, default API v1
    :param data_api: where API v2 finds metadata
    :param api: more options of glance-api
    """
    directory.mkdir()
    deployment = Deployment(
        directory, api={"workers": workers, **api}, registry={"workers": workers}, connection=connection,
        data_api=data_api,
    )  # fmt: skip
    try:
        deployment.start()
        yield Service(
            deployment.api_port,
            dialect or V1(),
            {"api": [deployment.api.pid], "registry": [deployment.registry.pid]},
            deployment.images,
            deployment.registry_port,
        )
    finally:
        deployment.stop()


@contextlib.contextmanager
def mariadb() -> Iterator[databases.DatabaseServer]:
    """The private MariaDB server of the tests.

    :raises Unavailable: it is not installed
    """
    start = contextlib.contextmanager(inspect.unwrap(databases.mariadb_server))
    try:
        with start() as server:
            yield server
    except pytest.skip.Exception as skipped:
        raise Unavailable(f"{skipped.msg}; without it: --database sqlite") from None


_NGINX = """\
{user}
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {files};
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """nginx with two workers and sendfile, serving a directory."""

    port: int
    processes: Mapping[str, Sequence[int]]


@contextlib.contextmanager
def nginx(directory: Path, files: Path) -> Iterator[Nginx]:
    """Serve ``files`` by a private nginx.

    :raises Unavailable: it is not installed
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise Unavailable("nginx is not installed; without it: --no-nginx")
    directory.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # image files are for their owner only
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(user=user, directory=directory, port=port, files=files))
    command = [program, "-p", str(directory), "-c", str(configuration), "-e", str(directory / "error.log")]
    with running([*command, "-g", "daemon off;"], directory / "log", port) as process:
        yield Nginx(port, {"nginx": [process.pid]})


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, run where its log lies in a process group of its own, that listens on ``port``."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(process, command[0], port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):  # workers that outlived their master
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(process: subprocess.Popen[bytes], name: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = Connection(port)
        try:
            connection.connect()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{log.read_text()[-3000:]}") from None
        finally:
            connection.close()
        time.sleep(0.1)
