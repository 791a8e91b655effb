"""A private Keystone for tests: ``keystone`` serves the identity API v3 from SQLite, in a few seconds.

Its programs cannot share an environment with the service, so they get one of their own, ``.cache/openstack`` of the
checkout, which is made when first needed (about a minute, from the package index) and kept; so is an empty identity
database, which each run starts with a copy of.  A test that needs Keystone is skipped, with the reason, where that
cannot be installed.  The server runs once per test run, with its files in a temporary directory of its own and on a
port of 127.0.0.1, and ends with the run.
"""

import contextlib
import fcntl
import getpass
import grp
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.databases import START_SECONDS, _directory, _prepare, _running
from tests.services.ports import free_port

_REQUIREMENTS = [
    "keystone==30.0.0",
    "keystonemiddleware==13.0.1",
    "swift==2.38.3",
    "eventlet<0.42",
    "waitress>=3,<4",
]
_CACHE = Path(__file__).parents[2] / ".cache"
_INSTALL_SECONDS = 900
_ADMIN_PASSWORD = "adminpw"

_CONF = """\
[database]
connection = sqlite:///{directory}/keystone.db
[token]
provider = fernet
expiration = {lifetime}
[fernet_tokens]
key_repository = {directory}/fernet
[fernet_receipts]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credential
[cache]
enabled = true
# of the one process: ten times as fast
backend = oslo_cache.dict
[identity]
# cheap on purpose: hundreds of log-ins
password_hash_rounds = 4
"""
_SERVE = """\
import sys
port = int(sys.argv.pop())
from keystone.server.wsgi import initialize_public_application
import waitress
# One after the other: on SQLite, requests at the same time now and then answer 500, or do not see each other's roles.
waitress.serve(initialize_public_application(), host="127.0.0.1", port=port, threads=1)
"""


def openstack_environment() -> Path:
    """The virtual environment with the programs of Keystone and Swift; skips the test if it cannot be made."""
    environment = _CACHE / "openstack"
    installed = environment / "installed"
    wanted = "\n".join([*_REQUIREMENTS, sys.version])
    with _locked():
        if not installed.exists() or installed.read_text() != wanted:
            _run([sys.executable, "-m", "venv", "--clear", str(environment)])
            pip = [f"{environment}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, *_REQUIREMENTS])
            installed.write_text(wanted)
    return environment


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Of several test runs in one checkout, one installs and the others wait."""
    try:
        _CACHE.mkdir(exist_ok=True)
        lock = open(_CACHE / "openstack.lock", "w")  # noqa: SIM115 - what the test does is outside the try
    except OSError as error:
        pytest.skip(f"Keystone cannot be installed: {error}")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"Keystone cannot be installed: {error}")
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
        pytest.skip(f"Keystone cannot be installed: {' '.join(why)}")


def _template(environment: Path) -> Path:
    """A directory with an identity database that knows the administrator, and keys."""
    template = environment / "keystone-template"
    with _locked():
        if not template.exists():
            with _directory() as directory:
                (directory / "keystone.conf").write_text(_CONF.format(directory=directory, lifetime=3600))
                manage = [f"{environment}/bin/keystone-manage", f"--config-file={directory}/keystone.conf"]
                owner = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getegid()).gr_name]
                url = "http://127.0.0.1/v3"
                _prepare([*manage, "db_sync"], directory)
                _prepare([*manage, "fernet_setup", *owner], directory)
                _prepare([*manage, "credential_setup", *owner], directory)
                bootstrap = ["--bootstrap-password", _ADMIN_PASSWORD, "--bootstrap-region-id", Keystone.region]
                for kind in ("admin", "internal", "public"):
                    bootstrap += [f"--bootstrap-{kind}-url", url]
                _prepare([*manage, "bootstrap", *bootstrap], directory)
                partial = template.with_suffix(".part")
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(directory, partial)
                partial.rename(template)
    return template


class Keystone:
    """A running Keystone.

    :ivar url: of the identity API, ends in ``/v3``
    :ivar environment: the virtual environment of its programs
    :ivar admin_user, admin_password, admin_project: the administrator, in the domain ``default``
    :ivar region: of all services
    :param lifetime: seconds that tokens are good for
    :ivar admin: a ``keystoneclient.v3`` client of the administrator, for whatever has no method here
    """

    admin_user, admin_password, admin_project = "admin", _ADMIN_PASSWORD, "admin"
    region = "RegionOne"

    def __init__(self, directory: Path, environment: Path, lifetime: int = 3600) -> None:
        self.directory = directory
        self.environment = environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v3"
        shutil.copytree(_template(environment), directory, dirs_exist_ok=True)
        (directory / "keystone.conf").write_text(_CONF.format(directory=directory, lifetime=lifetime))
        with contextlib.closing(sqlite3.connect(directory / "keystone.db")) as database:
            database.execute("UPDATE endpoint SET url = ?", (self.url,))
            database.commit()
        self._process: contextlib.ExitStack | None = None
        self._admin: Any = None

    @property
    def admin(self) -> Any:
        if self._admin is None:
            from keystoneclient.v3 import client

            self._admin = client.Client(session=self.session(self.admin_user, self.admin_password, self.admin_project))
        return self._admin

    def start(self) -> None:
        """Start, or start again after ``stop``; returns when requests are served."""
        if self._process is not None:
            return
        self._process = contextlib.ExitStack()
        settings = {"OS_KEYSTONE_CONFIG_DIR": str(self.directory), "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"}
        command = [f"{self.environment}/bin/python", "-c", _SERVE, str(self.port)]
        running = _running(command, self.directory, signal.SIGKILL, env={**os.environ, **settings})
        process = self._process.enter_context(running)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                log = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"Keystone did not start; its log ends:\n{log[-4000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop at once.  Data and tokens stay valid."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                return json.load(answer)["version"]["status"] == "stable"
        except OSError:
            return False

    def session(self, user: str, password: str, project: str) -> Any:
        """A ``keystoneauth1`` session of a user of the domain ``default``."""
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        domain = {"user_domain_id": "default", "project_domain_id": "default"}
        return session.Session(
            auth=v3.Password(self.url, username=user, password=password, project_name=project, **domain)
        )

    def token(self, user: str, password: str, project: str) -> str:
        """A new token."""
        return self.session(user, password, project).get_token()

    def catalog(self, user: str, password: str, project: str) -> list[dict[str, Any]]:
        """The service catalog that the middleware would send on in X-Service-Catalog (the form of v2)."""
        session = self.session(user, password, project)
        entries = []
        for service in session.auth.get_access(session).service_catalog.catalog:
            urls: dict[str, Any] = {}
            for endpoint in service["endpoints"]:
                urls.setdefault(endpoint["region_id"], {})[f"{endpoint['interface']}URL"] = endpoint["url"]
            endpoints = [{"region": region, **kinds} for region, kinds in urls.items()]
            entries.append({"type": service["type"], "name": service["name"], "endpoints": endpoints})
        return entries

    # --- making things; what is already there is returned ----------------------

    def project(self, name: str) -> str:
        """Return the id of a project."""
        found = self.admin.projects.list(name=name, domain="default")
        return (found[0] if found else self.admin.projects.create(name, domain="default")).id

    def role(self, name: str) -> str:
        """Return the id of a role.  There are admin, manager, member, reader and service from the start."""
        found = self.admin.roles.list(name=name)
        return (found[0] if found else self.admin.roles.create(name)).id

    def user(self, name: str, password: str, roles: dict[str, list[str]]) -> str:
        """Return the id of a user that has ``roles`` (lists of role names by project name)."""
        found = self.admin.users.list(name=name, domain="default")
        user = found[0] if found else self.admin.users.create(name, domain="default", password=password)
        for project, names in roles.items():
            project_id = self.project(project)
            for role in names:
                self.admin.roles.grant(self.role(role), user=user, project=project_id)
        return user.id

    def service(self, type_: str, name: str, url: str, region: str = region) -> None:
        """Add a service with ``url`` as its public, internal and admin endpoint to the catalog."""
        service = self.admin.services.create(name, type=type_)
        for interface in ("public", "internal", "admin"):
            self.admin.endpoints.create(service, url, interface=interface, region=region)


@contextlib.contextmanager
def running_keystone(lifetime: int = 3600) -> Iterator[Keystone]:
    """A Keystone whose tokens are good for ``lifetime`` seconds."""
    environment = openstack_environment()
    with _directory() as directory:
        server = Keystone(directory, environment, lifetime)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def keystone() -> Iterator[Keystone]:
    """A private Keystone."""
    pytest.importorskip("keystoneclient")
    with running_keystone() as server:
        yield server
