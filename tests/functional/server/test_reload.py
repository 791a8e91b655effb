"""HUP: a new configuration without a failed request."""

import os
import re
import signal
import socket
import threading
import time

import pytest

from tests.services.ports import free_port

from .conftest import Raw, wait_until


class Load:
    """Clients that send requests without a pause until they are stopped; any failure is kept."""

    def __init__(self, daemon, big_file):
        self.daemon = daemon
        self.running = True
        self.failures, self.labels, self.done = [], set(), {}
        body = os.urandom(300_000)
        data = big_file.read_bytes()
        jobs = {
            "new": lambda: self._checked(daemon.get("/")),
            "upload": lambda: self._upload(daemon.get("/upload?readinto", method="PUT", body=body), len(body)),
            "download": lambda: self._download(daemon.get(f"/file?{big_file},size"), data),
        }
        self.threads = [threading.Thread(target=self._repeat, args=(name, job)) for name, job in jobs.items()]
        self.threads += [threading.Thread(target=self._kept_alive) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def _repeat(self, name, job):
        while self.running:
            try:
                job()
                self.done[name] = self.done.get(name, 0) + 1
            except Exception as error:
                self.failures.append((name, repr(error)))

    def _kept_alive(self):
        client = None

        def one():
            nonlocal client
            client = client or Raw(self.daemon._connect())
            answer = client.get("/")
            self._checked(answer)
            if answer.headers.get("connection") == "close":
                client.close()
                client = None

        self._repeat("kept", one)
        if client:
            client.close()

    def _checked(self, answer):
        if answer.status != 200:
            raise ValueError(answer.status)
        self.labels.add(answer.json["label"])

    def _upload(self, answer, size):
        if answer.json["size"] != size:
            raise ValueError(answer.body)

    def _download(self, answer, data):
        if answer.body != data:
            raise ValueError(len(answer.body))

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()


@pytest.fixture
def load(big_file):
    running = []

    def start(daemon):
        running.append(Load(daemon, big_file))
        wait_until(lambda: len(running[-1].done) == 4, "one request of each kind")
        return running[-1]

    yield start
    for load in running:
        load.stop()


def test_no_request_fails_while_reloading_under_load(serve, load):
    daemon = serve(workers=2)
    clients = load(daemon)
    for number in range(4):
        former = daemon.children()
        daemon.reload(label=f"label {number}")
        wait_until(lambda number=number: f"label {number}" in clients.labels, "new answers")
        wait_until(lambda former=former: not former & daemon.children(), "the old workers have gone")
    clients.stop()
    assert clients.failures == []
    assert len(daemon.children()) == 2
    assert daemon.log.count("Removed stale child") == 8
    assert "Traceback" not in daemon.log


def test_a_child_that_gets_hup_is_replaced_without_a_failure(serve, load):
    daemon = serve(workers=2)
    clients = load(daemon)
    before = daemon.children()
    for pid in before:
        os.kill(pid, signal.SIGHUP)
    wait_until(lambda: len(daemon.children() - before) == 2 and not before & daemon.children(), "replacements")
    clients.stop()
    assert clients.failures == []
    for pid in before:
        assert re.search(f"drain in {pid} for 86400", daemon.log)
        assert f"Removed dead child {pid}" in daemon.log


def test_running_transfers_outlive_a_reload(serve, big_file):
    daemon = serve(workers=1)
    down, up = daemon.connect(), daemon.connect()
    down.send(f"GET /file?{big_file},size HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    first = down.file.read(100000)
    up.send(b"PUT /upload?readinto HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"u" * 100000)
    (old,) = daemon.children()
    daemon.reload(label="second")
    assert daemon.get("/").json["label"] == "second"
    time.sleep(0.5)
    assert old in daemon.children()
    answer = up.send(b"u" * 100000).answer()
    assert answer.json["size"] == 200000
    assert answer.headers["connection"] == "close"
    assert (first + down.file.read()).endswith(big_file.read_bytes())
    daemon.logged(f"Removed stale child {old}")


def test_idle_connections_of_old_workers_are_closed(serve):
    daemon = serve(workers=1)
    used, fresh = daemon.connect(), daemon.connect()
    used.get("/")
    (old,) = daemon.children()
    daemon.reload()
    assert used.closed()
    assert fresh.closed()
    daemon.logged(f"Removed stale child {old}")


def test_a_kept_connection_gets_its_next_answer_with_connection_close(serve):
    daemon = serve(workers=1)
    client = daemon.connect()
    assert "connection" not in client.get("/").headers
    daemon.reload(label="second")
    answer = client.get("/")
    assert (answer.json["label"], answer.headers["connection"]) == ("first", "close")
    assert client.closed()


def test_connections_in_the_queue_are_served(serve):
    """Those that no worker has accepted when the address changes."""
    daemon = serve(workers=1)
    (child,) = daemon.children()
    os.kill(child, signal.SIGSTOP)
    clients = [daemon.connect().send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(50)]
    daemon.write(bind_port=free_port(), label="second")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.logged("Reloaded")
    os.kill(child, signal.SIGCONT)
    assert {client.answer().json["label"] for client in clients} == {"first"}


def test_another_port(serve):
    daemon = serve(workers=1)
    former = daemon.settings["bind_port"]
    daemon.reload(bind_port=free_port(), label="second")
    assert daemon.get("/").json["label"] == "second"
    wait_until(lambda: daemon.log.count("Removed stale child") == 1, "the old worker has gone")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", former))


def test_another_host_on_the_same_port(serve):
    daemon = serve(workers=1, bind_host="0.0.0.0")
    daemon.reload(bind_host="127.0.0.1", label="second")
    daemon.logged("Reloaded")  # the one case with a moment in which nobody listens
    assert daemon.get("/").json["label"] == "second"
    assert daemon.get("/").json["environ"]["SERVER_NAME"] == "127.0.0.1"


def test_another_number_of_workers(serve):
    daemon = serve(workers=1)
    daemon.reload(workers=3)
    wait_until(lambda: len(daemon.children()) == 3, "three workers")
    daemon.reload(workers=2)
    wait_until(lambda: len(daemon.children()) == 2, "two workers")
    assert daemon.get("/").status == 200


def test_limits_and_keepalive_are_applied_anew(serve):
    daemon = serve(workers=1)
    daemon.reload(max_header_line=100, http_keepalive=False)
    answer = daemon.get("/", "A: " + "a" * 98)
    assert answer.status == 431
    assert daemon.get("/").headers["connection"] == "close"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fail": "reload"}, "this configuration is refused"),
        ({"fail": "load"}, "this application does not load"),
        ({"cert_file": "/nonexistent"}, "cert_file is set but key_file is not"),
        ({"cert_file": "/nonexistent", "key_file": "/nonexistent"}, "cert_file /nonexistent cannot be read"),
        ({"bind_host": "256.0.0.1"}, "Could not bind to 256.0.0.1"),
    ],
)
def test_a_bad_configuration_is_one_error_line_and_nothing_changes(serve, changes, reason):
    daemon = serve(workers=1)
    children = daemon.children()
    client = daemon.connect()
    client.get("/")
    daemon.write(label="second", **changes)
    daemon.process.send_signal(signal.SIGHUP)
    line = daemon.logged(r"ERROR .*The new configuration of test-api is not used: (.*)")[1]
    assert reason in line
    assert daemon.children() == children
    assert client.get("/").json["label"] == "first"
    assert daemon.log.count("ERROR") == 1
    daemon.reload(**(dict.fromkeys(changes) | {"label": "third", "bind_host": "127.0.0.1"}))
    assert daemon.get("/").json["label"] == "third"


def test_a_port_in_use_is_refused_at_once(serve):
    daemon = serve(workers=1)
    client = daemon.connect()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        daemon.write(bind_port=holder.getsockname()[1])
        daemon.process.send_signal(signal.SIGHUP)
        daemon.logged("is not used: Could not bind to")
    assert client.get("/").json["label"] == "first"


def test_hups_in_a_row(serve):
    daemon = serve(workers=2)
    for _ in range(5):
        daemon.process.send_signal(signal.SIGHUP)
    daemon.write(label="last")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.get("/").json["label"] == "last", "the last configuration")
    wait_until(lambda: len(daemon.children()) == 2, "two workers")


def test_hup_during_the_start_is_not_deadly(launch):
    daemon = launch(workers=1, slow_start=1)
    daemon.logged("loading")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.started()
    daemon.logged("Reloading test-api")


def test_term_while_old_workers_drain(serve):
    daemon = serve(workers=1)
    client = daemon.connect()
    client.send(b"GET /sleep?60 HTTP/1.1\r\nHost: x\r\n\r\n")
    daemon.reload()
    assert len(daemon.children()) == 2
    assert daemon.end() == 0
    assert client.closed()
