"""Private MariaDB and PostgreSQL servers for tests.

``mariadb_url`` and ``postgresql_url`` give a test a fresh, empty database as an SQLAlchemy URL.  A test module that
wants one database for several tests takes ``mariadb_server`` or ``postgresql_server`` and its ``database()``.

Each server starts once per test run, when first asked for, on a free port of 127.0.0.1 with its files in a temporary
directory of its own, and ends with the run.  A test that needs one is skipped, with the reason, where the server's
programs or the Python driver are not installed.
"""

import contextlib
import ctypes
import glob
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests.services.ports import free_port

START_SECONDS = 120
STOP_SECONDS = 30


class DatabaseServer:
    """A running server; ``admin_url`` may create databases, ``url`` holds ``{}`` where their name goes."""

    def __init__(self, admin_url: str, url: str, create: str, drop: str) -> None:
        self.admin = sqlalchemy.create_engine(admin_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        self.url = url
        self.create = create
        self.drop = drop
        self.names = (f"glance{number}" for number in itertools.count(1))

    def run(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with self.admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, which is dropped at the end, whoever is still connected."""
        name = next(self.names)
        self.run(self.create.format(name))
        try:
            yield self.url.format(name)
        finally:
            self.run(self.drop.format(name))

    def wait_until_ready(self, process: subprocess.Popen, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("SELECT 1")
                return
            except sqlalchemy.exc.DBAPIError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                    raise RuntimeError(
                        f"{process.args[0]} did not start ({error.orig}); its log ends:\n{tail}"
                    ) from None
                time.sleep(0.1)


def _program(name: str, *places: str) -> str:
    """Path of a program; skips the test if it is not installed."""
    directories = [*itertools.chain.from_iterable(map(sorted, map(glob.glob, places))), os.environ["PATH"]]
    path = shutil.which(name, path=os.pathsep.join(directories))
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextlib.contextmanager
def _directory(**owner) -> Iterator[Path]:
    # Not pytest's tmp_path: a server that runs as another user could not reach it, and socket paths must be short.
    path = Path(tempfile.mkdtemp(prefix="glance-db-"))
    try:
        if owner:
            shutil.chown(path, owner["user"], owner["group"])
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _running(command: list[str], directory: Path, stop: signal.Signals, **owner) -> Iterator[subprocess.Popen]:
    libc = ctypes.CDLL(None)
    with open(directory / "log", "ab") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A test run that is killed tears nothing down: then the kernel stops the server (PR_SET_PDEATHSIG).
            preexec_fn=lambda: libc.prctl(1, stop),
            **owner,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _prepare(command: list[str], directory: Path, **owner) -> None:
    done = subprocess.run(
        command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECONDS, **owner
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """A private MariaDB server."""
    pytest.importorskip("pymysql")
    daemon = _program("mariadbd", "/usr/sbin")
    install = _program("mariadb-install-db")
    port = free_port()
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    with _directory() as directory:
        data = f"--datadir={directory}/data"
        method = "--auth-root-authentication-method=normal"
        _prepare([install, "--no-defaults", method, "--skip-test-db", data, *as_root], directory)
        command = [daemon, "--no-defaults", data, f"--socket={directory}/socket", f"--pid-file={directory}/pid"]
        command += [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--tmpdir={directory}",
            "--skip-name-resolve",
            *as_root,
        ]
        command += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"]
        server = DatabaseServer(
            f"mysql+pymysql://root@localhost/?unix_socket={directory}/socket",
            f"mysql+pymysql://glance:secret@127.0.0.1:{port}/{{}}?charset=utf8mb4",
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            "DROP DATABASE {}",
        )
        with _running(command, directory, signal.SIGTERM) as process:
            server.wait_until_ready(process, directory / "log")
            server.run(
                "CREATE USER glance@'127.0.0.1' IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO glance@'127.0.0.1'"
            )
            yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[DatabaseServer]:
    """A private PostgreSQL server; it refuses to run as root, so root runs it as the user postgres."""
    pytest.importorskip("psycopg2")
    daemon = _program("postgres", "/usr/lib/postgresql/*/bin")
    initdb = os.path.join(os.path.dirname(daemon), "initdb")
    port = free_port()
    owner = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with _directory(**owner) as directory:
        data = f"{directory}/data"
        options = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        _prepare([initdb, "-D", data, *options], directory, **owner)
        command = [daemon, "-D", data, "-p", str(port), "-k", str(directory)]
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "full_page_writes": "off"}
        command += [f"--{name}={value}" for name, value in settings.items()]
        server = DatabaseServer(
            f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres",
            f"postgresql+psycopg2://glance:secret@127.0.0.1:{port}/{{}}",
            "CREATE DATABASE {} OWNER glance",
            "DROP DATABASE {} WITH (FORCE)",
        )
        with _running(command, directory, signal.SIGINT, **owner) as process:
            server.wait_until_ready(process, directory / "log")
            server.run("CREATE ROLE glance LOGIN PASSWORD 'secret'")
            yield server


@pytest.fixture
def mariadb_url(mariadb_server: DatabaseServer) -> Iterator[str]:
    """URL of a fresh, empty MariaDB database."""
    with mariadb_server.database() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: DatabaseServer) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    with postgresql_server.database() as url:
        yield url
