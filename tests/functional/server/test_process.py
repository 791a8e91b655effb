"""Parent and workers: who is started, replaced, ended, by which signal."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import ROOT, wait_until


def alive(pid):
    return Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def can_bind(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def test_workers_are_started_and_serve(serve):
    daemon = serve(workers=3)
    children = daemon.children()
    assert len(children) == 3
    assert "Starting 3 workers" in daemon.log
    assert {int(pid) for pid in re.findall(r"Started child (\d+)", daemon.log)} == children
    assert daemon.get("/").json["pid"] in children
    assert daemon.get("/").json["umask"] == 0o027


def test_a_burst_of_connections_is_shared_by_the_workers(serve):
    daemon = serve(workers=2)
    clients = [daemon.connect() for _ in range(100)]
    assert {client.get("/").json["pid"] for client in clients} == daemon.children()


def test_workers_default_to_the_number_of_processors(serve):
    daemon = serve(workers=2)
    daemon.reload(workers=None)
    assert f"Starting {os.cpu_count()} workers" in daemon.log


def test_the_daemon_leads_its_own_process_group(serve):
    daemon = serve(workers=1)
    assert os.getpgid(daemon.pid) == daemon.pid
    assert {os.getpgid(pid) for pid in daemon.children()} == {daemon.pid}


def test_a_session_leader_is_accepted(launch):
    """glance-control starts the daemons with setsid; setpgid then fails."""
    daemon = launch(environment={"TEST_SETSID": "1"}).started()
    assert "setsid" in daemon.log
    assert daemon.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_end_everything(serve, big_file, number):
    daemon = serve(workers=2)
    client = daemon.connect()
    client.send(f"GET /file?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    children = daemon.children()
    assert daemon.end(number) == 0
    assert not any(alive(pid) for pid in children)
    assert can_bind(daemon.settings["bind_port"])


def test_a_child_ignores_int(serve):
    daemon = serve(workers=1)
    (child,) = daemon.children()
    os.kill(child, signal.SIGINT)
    assert daemon.get("/").json["pid"] == child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_replaced(serve, number):
    daemon = serve(workers=2)
    victim = min(daemon.children())
    os.kill(victim, number)
    daemon.logged(f"Removed dead child {victim}")
    wait_until(lambda: len(daemon.children() - {victim}) == 2, "a replacement")
    assert daemon.get("/").status == 200


def test_all_workers_killed_again_and_again(serve):
    daemon = serve(workers=2)
    for _ in range(3):
        before = daemon.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda before=before: len(daemon.children() - before) == 2, "replacements")
        assert daemon.get("/").status == 200


def test_a_worker_that_fails_by_itself_is_not_replaced_and_none_left_ends_the_parent(launch):
    daemon = launch(workers=2, fail="after_fork")
    assert daemon.process.wait(30) == 2
    assert daemon.log.count("Started child") == 2
    assert daemon.log.count("Removed dead child") == 2
    assert "this worker does not start" in daemon.log


def test_a_crash_loop_does_not_spin(launch):
    daemon = launch(workers=2, fail="crash")
    daemon.logged("Removed dead child")
    time.sleep(2)
    assert daemon.process.poll() is None
    assert 2 < daemon.log.count("Started child") < 15
    daemon.write(fail=None)
    assert daemon.end() == 0


def test_workers_notice_that_the_parent_is_gone(serve, big_file):
    """They free the address at once, finish what runs, and exit."""
    daemon = serve(workers=2)
    children = daemon.children()
    client, idle = daemon.connect(), daemon.connect()
    idle.get("/")
    client.send(f"GET /file?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    first = client.file.read(100000)
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    wait_until(lambda: can_bind(daemon.settings["bind_port"]), "the address is free")
    wait_until(lambda: sum(map(alive, children)) == 1, "the idle worker exits")
    rest = client.file.read()
    assert (first + rest).endswith(big_file.read_bytes())
    wait_until(lambda: not any(map(alive, children)), "both workers exit")
    assert daemon.log.count("drain in") == 2


def test_a_new_parent_starts_beside_orphans(serve, launch, big_file):
    old = serve(workers=1)
    client = old.connect()
    client.send(f"GET /file?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    first = client.file.read(100000)
    os.kill(old.pid, signal.SIGKILL)
    new = launch(workers=1, bind_port=old.settings["bind_port"]).started()
    assert new.get("/").json["pid"] in new.children()
    assert (first + client.file.read()).endswith(big_file.read_bytes())


# --- workers = 0 --------------------------------------------------------------------


def test_without_workers_the_parent_serves(serve):
    daemon = serve(workers=0)
    assert daemon.get("/").json["pid"] == daemon.pid
    assert daemon.children() == set()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.logged("With workers = 0 there is no reload")
    assert daemon.get("/").json["pid"] == daemon.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_workers_signals_end_it(serve, number):
    daemon = serve(workers=0)
    client = daemon.connect()
    client.send(b"GET /sleep?60 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert daemon.end(number) == 0


# --- the address --------------------------------------------------------------------


def test_binding_waits_for_the_address(launch):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        daemon = launch(bind_port=holder.getsockname()[1])
        time.sleep(1)
        assert daemon.process.poll() is None
    daemon.started()
    assert daemon.get("/").status == 200


@pytest.mark.parametrize("host", ["256.0.0.1", "192.0.2.1"])
def test_an_impossible_address_is_one_line_and_code_1(launch, host):
    daemon = launch(bind_host=host)
    assert daemon.process.wait(30) == 1
    assert re.fullmatch(rf"ERROR: Could not bind to {host}:\d+: .+\n", daemon.log)


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_other_kinds_of_addresses(serve, host):
    if host == "::1":
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                pytest.skip("no IPv6 on this machine")
    assert serve(bind_host=host).get("/").status == 200


def test_a_listening_descriptor_is_taken_over(launch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        daemon = launch(
            environment={"GLANCE_TEST_SOCKET_FD": str(listener.fileno())}, fds=(listener.fileno(),),
            bind_port=listener.getsockname()[1], workers=2,
        ).started()  # fmt: skip
    assert daemon.get("/").status == 200
    daemon.reload(label="second")
    wait_until(lambda: daemon.get("/").json["label"] == "second", "the reload")


def test_a_wrong_descriptor_is_an_error(launch):
    daemon = launch(environment={"GLANCE_TEST_SOCKET_FD": "77"})
    assert daemon.process.wait(30) == 1
    assert "ERROR: GLANCE_TEST_SOCKET_FD is '77'" in daemon.log


def test_the_sockets_keep_dead_peers_from_staying(serve):
    """SO_KEEPALIVE with tcp_keepidle is on each connection."""
    daemon = serve(tcp_keepidle=77)
    client = daemon.connect()
    client.get("/")
    port = client.sock.getsockname()[1]
    table = subprocess.run(["ss", "-tnoH", f"dport = :{port}"], capture_output=True, text=True)
    if table.returncode:
        pytest.skip("no ss on this machine")
    assert re.search(r"timer:\(keepalive,1min\d\dsec", table.stdout), table.stdout


# --- shortages ----------------------------------------------------------------------


def test_too_few_descriptors_are_survived(launch):
    """More idle connections than descriptors: the oldest idle ones make room."""
    daemon = launch(environment={"TEST_NOFILE": "64"}, workers=1).started()
    clients = [daemon.connect() for _ in range(100)]
    assert clients[-1].get("/").status == 200
    assert daemon.get("/").status == 200
    daemon.logged("Out of connections")
    for client in clients:
        client.close()
    assert daemon.get("/").status == 200


@pytest.mark.parametrize("begin", [b"", b"GET / HT"], ids=["silent", "half a head"])
def test_hostile_connections_make_room_for_others(launch, begin):
    daemon = launch(environment={"TEST_NOFILE": "64"}, workers=1).started()
    clients = [daemon.connect().send(begin) for _ in range(60)]
    assert daemon.get("/").status == 200
    assert clients[0].closed()
    assert clients[-1].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[len(begin) :]).answer().status == 200


def test_no_usable_hub_is_code_2():
    program = (
        "import eventlet, glance.wsgi.eventlet_patch as p; p.HUBS = ('nosuch', 'neither'); p.patch(); print('patched')"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.startswith("ERROR: eventlet has no usable hub (tried nosuch and neither)")
    assert result.stdout == ""
