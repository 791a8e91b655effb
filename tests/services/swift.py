"""A private Swift for tests: proxy, account, container and object servers and memcached, in about three seconds.

``swift`` logs in with tempauth (auth version 1) and speaks S3 as well; ``swift_keystone`` takes the tokens of the
``keystone`` fixture.  Each starts once per test run, when first asked for, with its files in a temporary directory of
its own and on ports of 127.0.0.1 only, and ends with the run.  A test that needs one is skipped, with the reason, where
the programs are not installed: ``swift`` needs memcached and either Debian's packages swift-proxy, swift-account,
swift-container and swift-object or what ``tests.services.keystone`` installs; ``swift_keystone`` the latter.
"""

import contextlib
import os
import pwd
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.databases import START_SECONDS, _directory, _prepare, _program, _running
from tests.services.keystone import Keystone, openstack_environment
from tests.services.ports import free_port

_PIPELINE = (
    "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk {auth} copy "
    "container-quotas account-quotas slo dlo proxy-logging proxy-server"
)
_FILTERS = """\
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
s3_acl = no
[filter:tempauth]
use = egg:swift#tempauth
user_admin_admin = admin .admin .reseller_admin
user_test_tester = testing .admin
user_test_reader = reading
user_test2_tester2 = testing2 .admin
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, swiftoperator
reseller_admin_role = ResellerAdmin
"""
_PLAIN_FILTERS = (
    "catch_errors", "gatekeeper", "healthcheck", "proxy-logging", "listing_formats", "bulk", "copy",
    "container-quotas", "account-quotas", "slo", "dlo",
)  # fmt: skip
_STORAGE = ("object", "container", "account")

_RINGS = """\
import sys
from swift.common.ring import RingBuilder
directory = sys.argv[1]
for name, port in (item.split("=") for item in sys.argv[2:]):
    ring = RingBuilder(6, 1, 0)
    address = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
    ring.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1, **address})
    ring.rebalance()
    ring.get_ring().save(f"{directory}/{name}.ring.gz")
"""


class Swift:
    """A running Swift.

    :ivar url: of the proxy
    :ivar auth_v1_url, user, key: how to log in (tempauth); ``tester`` administers the account ``test``
    :ivar storage_url: of that account
    :ivar other_user, other_key, other_storage_url: another account
    :ivar s3_url, s3_access_key, s3_secret_key: the first account over S3, path style, any region
    :ivar version: of the programs
    """

    user, key = "test:tester", "testing"
    other_user, other_key = "test2:tester2", "testing2"
    s3_access_key, s3_secret_key = user, key

    def __init__(self, directory: Path, programs: str, auth: str, extra: str, finally_: contextlib.ExitStack) -> None:
        self.directory = directory
        self._programs = programs
        self._finally = finally_
        self._proxy: contextlib.ExitStack | None = None
        self._ports = {name: free_port() for name in (*_STORAGE, "memcached", "proxy")}
        self.url = f"http://127.0.0.1:{self._ports['proxy']}"
        self.s3_url = self.url
        self.auth_v1_url = f"{self.url}/auth/v1.0"
        self.storage_url = f"{self.url}/v1/AUTH_test"
        self.other_storage_url = f"{self.url}/v1/AUTH_test2"
        self._configure(auth, extra)

    def _configure(self, auth: str, extra: str) -> None:
        (self.directory / "srv" / "d1").mkdir(parents=True)
        etc = self.directory / "etc"
        etc.mkdir()
        (etc / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = any\nswift_hash_path_prefix = thing\n"
            "[storage-policy:0]\nname = gold\ndefault = yes\n"
        )
        for name in _STORAGE:
            (etc / f"{name}-server.conf").write_text(
                f"{self._common(name)}devices = {self.directory}/srv\nmount_check = false\n"
                f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
            )
        plain = "".join(f"[filter:{name}]\nuse = egg:swift#{name.replace('-', '_')}\n" for name in _PLAIN_FILTERS)
        (etc / "proxy-server.conf").write_text(
            f"{self._common('proxy')}[pipeline:main]\npipeline = {_PIPELINE.format(auth=auth)}\n"
            "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true\n"
            f"{plain}{_FILTERS.format(memcached=self._ports['memcached'])}{extra}"
        )

    def _common(self, name: str) -> str:
        return (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {self._ports[name]}\nworkers = 0\n"
            f"swift_dir = {self.directory}/etc\nuser = {pwd.getpwuid(os.geteuid()).pw_name}\n"
            f"log_address = {self.directory}/nolog\n"
        )

    def create(self) -> None:
        """Make the rings, start everything."""
        proxy = f"{self._programs}/swift-proxy-server"
        with open(proxy) as script:
            python = script.readline().removeprefix("#!").strip()
        rings = [f"{name}={self._ports[name]}" for name in _STORAGE]
        _prepare([python, "-c", _RINGS, f"{self.directory}/etc", *rings], self.directory)
        as_root = ["-u", "root"] if os.geteuid() == 0 else []
        port = str(self._ports["memcached"])
        self._run(self._finally, "memcached", [_program("memcached"), "-l", "127.0.0.1", "-p", port, *as_root])
        for name in _STORAGE:
            self._run(self._finally, name, self._server(name))
        self._finally.callback(self.stop)
        self.start()

    def _server(self, name: str) -> list[str]:
        return [f"{self._programs}/swift-{name}-server", f"{self.directory}/etc/{name}-server.conf"]

    def _run(self, stack: contextlib.ExitStack, name: str, command: list[str]):
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        # A server asked politely waits for its connections; what it stores here is thrown away anyway.
        return stack.enter_context(_running(command, directory, signal.SIGKILL))

    def start(self) -> None:
        """Start the proxy again, after ``stop``; returns when Swift serves requests."""
        if self._proxy is None:
            self._proxy = contextlib.ExitStack()
            process = self._run(self._proxy, "proxy", self._server("proxy"))
            _wait(self._ready, process, self.directory)

    def stop(self) -> None:
        """Stop the proxy at once: connections break, and new ones are refused.  Data and tokens stay."""
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None

    def _ready(self) -> bool:
        # The storage servers are up when an account can be asked for; a 401 says the same of the token's keeper.
        with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=10) as answer:
            if answer.read() != b"OK":
                return False
        if not self._is_tempauth():
            return True
        login = urllib.request.Request(self.auth_v1_url, headers={"X-Auth-User": self.user, "X-Auth-Key": self.key})
        with urllib.request.urlopen(login, timeout=10) as answer:
            token = answer.headers["X-Auth-Token"]
        account = urllib.request.Request(self.storage_url, headers={"X-Auth-Token": token}, method="HEAD")
        with urllib.request.urlopen(account, timeout=10) as answer:
            return answer.status < 300

    def _is_tempauth(self) -> bool:
        return "tempauth" in (self.directory / "etc" / "proxy-server.conf").read_text().split("[app:")[0]


def _wait(ready, process, directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    why: object = "not healthy"
    while True:
        try:
            if ready():
                return
        except OSError as error:  # of urllib as well
            why = error
        if process.poll() is not None or time.monotonic() > deadline:
            logs = "\n".join(f"{log}:\n{log.read_text(errors='replace')[-2000:]}" for log in directory.glob("*/log"))
            raise RuntimeError(f"Swift did not start ({why}); its logs end:\n{logs}")
        time.sleep(0.1)


def _check_file_system(directory: Path) -> None:
    try:
        os.setxattr(directory, "user.test", b"1")
    except OSError:
        pytest.skip(f"the file system of {directory} has no user attributes, which Swift needs")


@contextlib.contextmanager
def _swift(programs: str, auth: str, extra: str = "") -> Iterator[Swift]:
    _program("memcached")
    with _directory() as directory, contextlib.ExitStack() as finally_:
        _check_file_system(directory)
        swift = Swift(directory, programs, auth, extra, finally_)
        swift.create()
        yield swift


@pytest.fixture(scope="session")
def swift() -> Iterator[Swift]:
    """A private Swift with tempauth and S3."""
    installed = shutil.which("swift-proxy-server")
    programs = os.path.dirname(installed) if installed else str(openstack_environment() / "bin")
    with _swift(programs, "s3api tempauth") as server:
        yield server


@pytest.fixture(scope="session")
def swift_keystone(keystone: Keystone) -> Iterator[Swift]:
    """A private Swift that Keystone's catalog names as its object store; roles admin and swiftoperator own accounts."""
    keystone.role("swiftoperator")
    keystone.user("swift", "swift-secret", {"service": ["admin"]})
    authtoken = (
        "[filter:authtoken]\npaste.filter_factory = keystonemiddleware.auth_token:filter_factory\n"
        f"www_authenticate_uri = {keystone.url}\nauth_url = {keystone.url}\nauth_type = password\n"
        "username = swift\npassword = swift-secret\nproject_name = service\nuser_domain_id = default\n"
        "project_domain_id = default\ndelay_auth_decision = true\ncache = swift.cache\n"
        "include_service_catalog = false\n"
    )
    with _swift(str(keystone.environment / "bin"), "authtoken keystoneauth", authtoken) as server:
        keystone.service("object-store", "swift", f"{server.url}/v1/AUTH_%(project_id)s")
        yield server
