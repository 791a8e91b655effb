"""A private Ceph cluster for tests: one monitor and one object store in memory, in a second or two.

``ceph`` gives the cluster, which starts once per test run, when first asked for, with its files in a temporary
directory of its own and on ports of 127.0.0.1 only, and ends with the run.  ``ceph.gateway()`` adds an S3 server to
it.  A test that needs it is skipped, with the reason, where Ceph's programs or Python bindings are not installed.
"""

import contextlib
import json
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.services.databases import START_SECONDS, _prepare, _program, _running
from tests.services.ports import free_port

_CONF = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{port}/0,v1:127.0.0.1:{old_port}/0]
public addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {directory}/$name.keyring
run dir = {directory}/run
# clients that are restarted within one process must not meet their own socket
admin socket = {directory}/run/$name.$pid.$cctid.asok
pid file = {directory}/run/$name.pid
log file = {directory}/logs/$name.log
crash dir = {directory}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon data avail warn = 1
mon data avail crit = 1
# changes of the cluster take effect after milliseconds instead of seconds
paxos propose interval = 0.02
paxos min wait = 0.01
[client]
# nothing of the tests belongs into /var/log/ceph
log file =
admin socket =
[mon]
mon data = {directory}/mon
mon cluster log file = {directory}/logs/cluster.log
[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
# a stopped memstore keeps its objects only if it may write them to its directory
osd fast shutdown = false
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw data = {directory}/rgw
rgw thread pool size = 16
rgw dns name = localhost
rgw enable usage log = false
"""


@dataclass(frozen=True)
class Gateway:
    """An S3 server over the cluster, with one user."""

    url: str
    access_key: str
    secret_key: str


class Ceph:
    """The cluster.

    :ivar conf: path of its ``ceph.conf``, which names the keyrings of all users
    :ivar pool: an RBD pool
    :ivar user: may do with ``pool`` what the profile ``rbd`` allows, and nothing elsewhere
    :ivar seed_user: has the capabilities that the documentation of 2011 gives to such a user
    :ivar directory: of the files of the cluster
    """

    pool = "images"
    user = "glance"
    seed_user = "glance-seed"

    def __init__(self, directory: Path, programs: dict[str, str], finally_: contextlib.ExitStack) -> None:
        self.directory = directory
        self.conf = str(directory / "ceph.conf")
        self._programs = programs
        self._finally = finally_
        self._daemons: contextlib.ExitStack | None = None
        self._gateway: Gateway | None = None
        self._gateway_port = free_port()
        self._fsid = str(uuid.uuid4())

    def create(self) -> None:
        """Make the files, start the daemons, create the pool and the users."""
        for name in ("mon", "osd", "run", "logs", "rgw"):
            (self.directory / name).mkdir()
        port, old_port = free_port(), free_port()
        values = {"fsid": self._fsid, "port": port, "old_port": old_port, "gateway_port": self._gateway_port}
        Path(self.conf).write_text(_CONF.format(directory=self.directory, **values))
        self._create_monitor(f"[v2:127.0.0.1:{port},v1:127.0.0.1:{old_port}]")
        self._daemons = self._finally.enter_context(contextlib.ExitStack())
        self._start_daemon("ceph-mon", "a")
        osd = str(uuid.uuid4())
        self.command("osd new", uuid=osd)
        self.add_user("osd.0", mon="allow profile osd", osd="allow *")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start_daemon("ceph-osd", "0")
        self._wait_for_osd()
        self.create_pool(self.pool)
        self.add_user(f"client.{self.user}", mon="profile rbd", osd=f"profile rbd pool={self.pool}")
        self.add_user(f"client.{self.seed_user}", mon="allow r", osd=f"allow rwx pool={self.pool}")

    def _create_monitor(self, address: str) -> None:
        keys, admin, monmap = (self.directory / name for name in ("mon.keyring", "client.admin.keyring", "monmap"))
        everything = [word for service in ("mon", "osd", "mgr") for word in ("--cap", service, "allow *")]
        self._run("ceph-authtool", "--create-keyring", keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", *everything)
        self._run("ceph-authtool", keys, "--import-keyring", admin)
        (self.directory / "mon.a.keyring").write_bytes(keys.read_bytes())
        self._run("monmaptool", "--create", "--addv", "a", address, "--fsid", self._fsid, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)

    # --- for tests -------------------------------------------------------------

    def command(self, prefix: str, **arguments: Any) -> Any:
        """Answer of the monitor to an administrator's command, as ``ceph PREFIX`` would give it."""
        with self._connection() as cluster:
            order = json.dumps({"prefix": prefix, "format": "json", **arguments})
            code, answer, status = cluster.mon_command(order, b"", timeout=START_SECONDS)
        if code:
            raise RuntimeError(f"ceph {prefix}: {status}")
        return json.loads(answer) if answer.strip() else None

    def _connection(self) -> Any:
        import rados

        conf = {"client_mount_timeout": str(START_SECONDS)}
        return rados.Rados(conffile=self.conf, name="client.admin", conf=conf)

    def create_pool(self, name: str) -> None:
        self.command("osd pool create", pool=name, pg_num=8)
        self.command("osd pool application enable", pool=name, app="rbd")

    def add_user(self, name: str, **capabilities: str) -> None:
        """Create ``name``, such as ``client.x``, and its keyring."""
        caps = [word for pair in capabilities.items() for word in pair]
        (found,) = self.command("auth get-or-create", entity=name, caps=caps)
        (self.directory / f"{name}.keyring").write_text(f"[{name}]\n\tkey = {found['key']}\n")

    def stop(self) -> None:
        """Stop monitor and object store; what they store stays."""
        assert self._daemons is not None
        self._daemons.close()

    def start(self) -> None:
        """Start again after ``stop``; returns when the pool can be used."""
        self._start_daemon("ceph-mon", "a")
        # The monitor may not have noticed that the object store was away.
        self.command("osd down", ids=["0"])
        self._start_daemon("ceph-osd", "0")
        self._wait_for_osd()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """No room is left."""
        self._pretend_full("full", -1)
        try:
            yield
        finally:
            self._pretend_full("none", 0)

    def _pretend_full(self, kind: str, count: int) -> None:
        with self._connection() as cluster:
            order = {"prefix": "injectfull", "type": kind, "count": count}
            code, _, status = cluster.osd_command(0, json.dumps(order), b"", timeout=START_SECONDS)
        if code:
            raise RuntimeError(f"ceph tell osd.0 injectfull {kind}: {status}")
        deadline = time.monotonic() + START_SECONDS
        while self._is_full() != (kind == "full"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster is not {kind}")
            time.sleep(0.1)

    def _is_full(self) -> bool:
        return any("full" in pool["flags_names"].split(",") for pool in self.command("osd dump")["pools"])

    def gateway(self) -> Gateway:
        """The S3 server, started when first asked for.  Skips the test if its programs are not installed."""
        if self._gateway is None:
            self._gateway = self._start_gateway()
        return self._gateway

    # --- processes ---------------------------------------------------------------

    def _run(self, program: str, *arguments: Any) -> None:
        _prepare([self._programs[program], "--conf", self.conf, *map(str, arguments)], self.directory)

    def _start_daemon(self, program: str, name: str) -> None:
        assert self._daemons is not None
        command = [self._programs[program], "--conf", self.conf, "-f", "-i", name]
        self._daemons.enter_context(_running(command, self.directory, signal.SIGTERM))

    def _wait_for_osd(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.command("osd stat")["num_up_osds"] < 1:
            if time.monotonic() > deadline:
                raise RuntimeError(f"ceph-osd did not start; its log ends:\n{self._log()}")
            time.sleep(0.1)

    def _log(self) -> str:
        return "\n".join((self.directory / "logs" / "osd.0.log").read_text(errors="replace").splitlines()[-20:])

    def _start_gateway(self) -> Gateway:
        daemon, admin = _program("radosgw"), _program("radosgw-admin")
        name = "client.rgw.a"
        gateway = Gateway(f"http://127.0.0.1:{self._gateway_port}", "GLANCEACCESS", "glance/secret+key")
        self.add_user(name, mon="allow rw", osd="allow rwx")
        user = ["user", "create", "--uid=glance", "--display-name=glance"]
        user += [f"--access-key={gateway.access_key}", f"--secret-key={gateway.secret_key}"]
        _prepare([admin, "--conf", self.conf, "-n", name, *user], self.directory)
        command = [daemon, "--conf", self.conf, "-f", "-n", name]
        # It waits for the cluster when it is told to stop, and the cluster may be down.
        process = self._finally.enter_context(_running(command, self.directory, signal.SIGKILL))
        _wait_for_answer(gateway.url, process)
        return gateway


def _wait_for_answer(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"radosgw did not start: {error}") from None
            time.sleep(0.1)


@contextlib.contextmanager
def running_ceph() -> Iterator[Ceph]:
    """A cluster of one's own, for a test that would disturb others; skips it if programs or bindings are missing."""
    pytest.importorskip("rados", exc_type=ImportError)
    pytest.importorskip("rbd", exc_type=ImportError)
    programs = {name: _program(name) for name in ("ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool")}
    # Not pytest's tmp_path: paths of sockets must be short.
    with (
        tempfile.TemporaryDirectory(prefix="glance-ceph-", ignore_cleanup_errors=True) as directory,
        contextlib.ExitStack() as finally_,
    ):
        cluster = Ceph(Path(directory), programs, finally_)
        cluster.create()
        yield cluster


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    """A private Ceph cluster with an RBD pool."""
    with running_ceph() as cluster:
        yield cluster
