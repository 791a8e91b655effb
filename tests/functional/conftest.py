"""Real daemons for the functional tests.

``deploy(**settings)`` starts a registry and an API server with their own directory,
database and ports, and stops them when the test module ends.  ``noauth`` and ``trusted``
are two that most tests share.
"""

import contextlib
import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.functional.openapi_check import Contract
from tests.services.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_LIBC = ctypes.CDLL(None)


def _heed_permissions() -> None:
    """Make file permissions bind a daemon even where the tests run as root; fails for others, who need it not."""
    _LIBC.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)
    _LIBC.prctl(_PR_CAPBSET_DROP, _CAP_DAC_READ_SEARCH, 0, 0, 0)


class Daemon:
    """One server process, in a process group of its own."""

    def __init__(self, module: str, config: Path, log: Path, url: str) -> None:
        self.module, self.config, self.log, self.url = module, config, log, url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(self.config.parent)}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "--config-file", str(self.config)],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
                preexec_fn=_heed_permissions,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.module} did not start:\n{self.log.read_text()[-3000:]}")
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                requests.get(self.url, timeout=5)
                return
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[int]:
        """Pids of the workers."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def stop(self) -> None:
        """End it and its workers."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()


class Deployment:
    """A registry and an API server on loopback.

    :param api, registry: settings beyond the defaults, ``{"option": value}`` for DEFAULT,
        ``{"section": {"option": value}}`` for others
    :param connection: database; default a new SQLite file
    :param data_api: where the v2 API finds metadata
    """

    def __init__(
        self,
        directory: Path,
        api: dict[str, Any] | None = None,
        registry: dict[str, Any] | None = None,
        flavor: str = "",
        connection: str | None = None,
        data_api: str = "glance.db.registry.api",
    ) -> None:
        self.directory = directory
        self.api_port, self.registry_port = free_port(), free_port()
        self.images = directory / "images"
        self.endpoint = f"http://127.0.0.1:{self.api_port}"
        self.url = f"{self.endpoint}/v1"
        self.registry_url = f"http://127.0.0.1:{self.registry_port}"
        self.contract: Contract | None = Contract(self.endpoint)
        self.connection = connection or f"sqlite:///{directory}/glance.sqlite"
        common = {"bind_host": "127.0.0.1", "workers": 1, "paste_deploy": {"flavor": flavor} if flavor else {}}
        self.api_settings = {
            **common,
            "bind_port": self.api_port,
            "registry_host": "127.0.0.1",
            "registry_port": self.registry_port,
            "send_identity_headers": bool(flavor),
            "data_api": data_api,
            "database": {"connection": self.connection},
            "glance_store": {"filesystem_store_datadir": str(self.images)},
            **(api or {}),
        }
        self.registry_settings = {
            **common,
            "bind_port": self.registry_port,
            "database": {"connection": self.connection},
            **(registry or {}),
        }
        self.api = self._daemon("api", "glance.cmd.api", f"{self.endpoint}/versions", self.api_settings)
        self.registry = self._daemon(
            "registry", "glance.cmd.registry", f"{self.registry_url}/images", self.registry_settings
        )

    def _daemon(self, name: str, module: str, url: str, settings: dict[str, Any]) -> Daemon:
        config = self.directory / f"glance-{name}.conf"
        write_config(config, settings)
        paste = (ROOT / "etc" / f"glance-{name}-paste.ini").read_text()
        (self.directory / f"glance-{name}-paste.ini").write_text(paste)
        return Daemon(module, config, self.directory / f"{name}.log", url)

    def health_checks(self, *backends: str) -> None:
        """Let both daemons' ``/healthcheck`` ask these plug-ins; to be called before ``start``."""
        for name in ("api", "registry"):
            paste = self.directory / f"glance-{name}-paste.ini"
            text = paste.read_text()
            assert "backends = disable_by_file\n" in text
            paste.write_text(text.replace("backends = disable_by_file\n", f"backends = {','.join(backends)}\n"))

    def start(self) -> "Deployment":
        self.manage("db", "sync")
        self.registry.start()
        self.api.start()
        return self

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run glance-manage with this deployment's registry configuration."""
        return subprocess.run(
            [sys.executable, "-m", "glance.cmd.manage", "--config-file", str(self.registry.config), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=check,
        )  # fmt: skip

    def stop(self) -> None:
        self.api.stop()
        self.registry.stop()

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request to the v1 API; ``path`` goes after ``/v1``.  The answer is one that /openapi.json promises."""
        kwargs.setdefault("timeout", 60)
        answer = requests.request(method, self.url + path, **kwargs)
        if self.contract:
            self.contract.check(answer)
        return answer

    def registry_request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request to the registry."""
        kwargs.setdefault("timeout", 60)
        return requests.request(method, self.registry_url + path, **kwargs)

    def create(self, data: bytes | None = None, **meta: Any) -> dict[str, Any]:
        """Create an image; ``meta`` become x-image-meta-* headers (``property_x`` properties)."""
        headers = meta.pop("headers", {}) | {
            f"x-image-meta-{key.replace('property_', 'property-', 1)}": str(value) for key, value in meta.items()
        }
        if data is not None:
            headers.setdefault("x-image-meta-disk_format", "raw")
            headers.setdefault("x-image-meta-container_format", "bare")
            headers["Content-Type"] = "application/octet-stream"
        answer = self.request("POST", "/images", data=data, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["image"]

    def files(self, image_id: str) -> list[str]:
        """Names of what the file store holds of an image, partial data included."""
        return sorted(path.name for path in self.images.glob(f"*{image_id}*"))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement on the SQLite database: what other programs may have written there."""
        with contextlib.closing(sqlite3.connect(self.directory / "glance.sqlite", timeout=30)) as database, database:
            return database.execute(statement, values).fetchall()


def write_config(path: Path, settings: dict[str, Any]) -> None:
    """Write an ini file; values that are dicts are sections, lists are repeated options."""
    lines = ["[DEFAULT]"]
    sections = {name: value for name, value in settings.items() if isinstance(value, dict)}
    for name, value in settings.items():
        if not isinstance(value, dict):
            lines += [f"{name} = {entry}" for entry in (value if isinstance(value, list) else [value])]
    for section, options in sections.items():
        lines.append(f"[{section}]")
        for name, value in options.items():
            lines += [f"{name} = {entry}" for entry in (value if isinstance(value, list) else [value])]
    path.write_text("\n".join(lines) + "\n")


def identity(tenant: str | None, user: str = "user", roles: str = "member") -> dict[str, str]:
    """Headers of a confirmed caller, for deployments with the trusted-auth flavor."""
    headers = {"X-Identity-Status": "Confirmed", "X-User-Id": user, "X-Roles": roles}
    return headers | ({"X-Tenant-Id": tenant} if tenant else {})


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start deployments that end with the module: ``deploy(api={...}, registry={...}, flavor="")``."""
    running: list[Deployment] = []

    def start(health: tuple[str, ...] = (), **settings: Any) -> Deployment:
        deployment = Deployment(tmp_path_factory.mktemp("glance"), **settings)
        running.append(deployment)
        if health:
            deployment.health_checks(*health)
        return deployment.start()

    yield start
    for deployment in running:
        deployment.stop()


@pytest.fixture(scope="session")
def noauth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment without authentication, shared by the whole run: expect others' images."""
    deployment = Deployment(tmp_path_factory.mktemp("noauth")).start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that believes identity headers (see ``identity``), shared by the whole run."""
    quick = {"import_filtering_opts": {"fetch_deadline": 0.5}}  # for addresses that are refused in any case
    deployment = Deployment(tmp_path_factory.mktemp("trusted"), api=quick, flavor="trusted-auth").start()
    yield deployment
    deployment.stop()
