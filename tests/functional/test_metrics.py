"""``GET /metrics`` of both daemons: what it says is what was moved and asked (doc/source/admin/metrics.rst)."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment, identity

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")

MIB = 1024 * 1024
SECONDS = 30
ON = {"metrics": {"enabled": True}}
OCTETS = {"Content-Type": "application/octet-stream"}

Figures = dict[tuple[str, ...], float]


def scrape(url: str) -> Figures:
    """Name and label values (in the order of the labels' names) → value."""
    answer = requests.get(url + "/metrics", timeout=SECONDS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parser.text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def since(url: str, before: Figures, *names: str) -> Figures:
    """What has been counted since ``before``, of these figures."""
    now = scrape(url)
    found = {key: value - before.get(key, 0) for key, value in now.items() if key[0] in names}
    return {key: value for key, value in found.items() if value}


def eventually(found: Callable[[], object], wanted: object) -> None:
    """A request is counted when its answer has gone out, so the client may be a little ahead."""
    deadline = time.monotonic() + SECONDS
    while (last := found()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert last == wanted


def children(daemon: object, count: int) -> list[int]:
    """The workers, when there are as many as there should be."""
    eventually(lambda: len(daemon.children()), count)
    return daemon.children()


class Load:
    """Requests of known number and size; ``requests`` and ``moved`` are what must be counted."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.requests: Figures = {}
        self.moved: Figures = {}

    def ask(self, method: str, path: str, route: str, status: int, **kwargs: object) -> requests.Response:
        # A connection of its own for each request, so that all workers get some.
        answer = requests.request(method, self.deployment.endpoint + path, timeout=SECONDS, **kwargs)
        assert answer.status_code == status, answer.text
        key = ("glance_requests_total", method, route, str(status))
        self.requests[key] = self.requests.get(key, 0) + 1
        return answer

    def bytes(self, way: str, count: int) -> None:
        key = (f"glance_bytes_{way}_total", "file")
        self.moved[key] = self.moved.get(key, 0) + count

    def v1(self, size: int) -> None:
        headers = {
            **OCTETS, "x-image-meta-name": "counted",
            "x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare",
        }  # fmt: skip
        answer = self.ask("POST", "/v1/images", "/v1/images", 201, data=bytes(size), headers=headers)
        self.bytes("received", size)
        path, route = f"/v1/images/{answer.json()['image']['id']}", "/v1/images/{image_id}"
        assert len(self.ask("GET", path, route, 200).content) == size
        self.bytes("sent", size)
        self.ask("HEAD", path, route, 200)
        self.ask("GET", path, route, 304, headers={"If-None-Match": answer.json()["image"]["checksum"]})
        self.ask("DELETE", path, route, 200)
        self.ask("GET", path, route, 404)

    def v2(self, size: int) -> None:
        body = {"name": "counted", "disk_format": "raw", "container_format": "bare"}
        image_id = self.ask("POST", "/v2/images", "/v2/images", 201, json=body).json()["id"]
        path, route = f"/v2/images/{image_id}", "/v2/images/{image_id}"
        self.ask("GET", f"{path}/file", f"{route}/file", 204)
        self.ask("PUT", f"{path}/file", f"{route}/file", 204, data=iter([bytes(size)]), headers=OCTETS)
        self.bytes("received", size)
        assert len(self.ask("GET", f"{path}/file", f"{route}/file", 200).content) == size
        self.bytes("sent", size)
        part = self.ask("GET", f"{path}/file", f"{route}/file", 206, headers={"Range": "bytes=10-1009"})
        assert len(part.content) == 1000
        self.bytes("sent", 1000)
        self.ask("GET", f"{path}/file", f"{route}/file", 416, headers={"Range": f"bytes={size}-"})
        self.ask("PUT", f"{path}/file", f"{route}/file", 409, data=b"again", headers=OCTETS)
        self.ask("GET", path, route, 200)
        self.ask("PUT", path, route, 405)
        self.ask("PATCH", path, route, 415, data=b"[]")
        self.ask("BREW", path, route, 405)

    def elsewhere(self) -> None:
        for number in range(3):
            self.ask("GET", f"/v2/nowhere/{number}", "none", 404)
            self.ask("GET", f"/v1/images/{number}/members", "/v1/images/{image_id}/members", 404)
        self.ask("GET", "/", "none", 300)


def other_methods(counted: Figures) -> Figures:
    """``counted`` with methods that do not exist under the name that they have in the figures."""
    return {tuple("other" if part == "BREW" else part for part in key): value for key, value in counted.items()}


@pytest.fixture(scope="module")
def counting(deploy: Callable[..., Deployment]) -> Deployment:
    """Both daemons with metrics and four workers, behind trusted identity headers."""
    return deploy(api={"workers": 4, **ON}, registry={"workers": 2, **ON})


def check(load: Load, before: Figures) -> None:
    url = load.deployment.endpoint
    eventually(lambda: since(url, before, "glance_requests_total"), other_methods(load.requests))
    assert since(url, before, "glance_bytes_received_total", "glance_bytes_sent_total") == load.moved
    per_route: Figures = {}
    for (_, _, route, _), count in load.requests.items():
        key = ("glance_request_seconds_count", route)
        per_route[key] = per_route.get(key, 0) + count
    assert since(url, before, "glance_request_seconds_count") == per_route


def test_figures_are_what_was_asked_and_moved(counting):
    url = counting.endpoint
    before, load = scrape(url), Load(counting)
    threads = [
        threading.Thread(target=run, args=arguments)
        for run, arguments in ((load.v1, (3 * MIB + 7,)), (load.v2, (2 * MIB + 1,)), (load.elsewhere, ()))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.v1(5)
    load.v2(MIB)
    check(load, before)
    transfers = since(url, before, "glance_upload_seconds_count", "glance_download_seconds_count")
    assert transfers == {
        ("glance_upload_seconds_count", "file"): 4,
        ("glance_download_seconds_count", "file"): 6,
    }


def test_killed_workers_counts_stay(counting):
    url = counting.endpoint
    before, load = scrape(url), Load(counting)
    for size in (MIB + 1, MIB + 2, MIB + 3):
        load.v1(size)
        load.v2(size)
    check(load, before)
    for pid in children(counting.api, 4):  # each in turn, so one that has counted is among them
        os.kill(pid, signal.SIGKILL)
        eventually(lambda gone=pid: gone in counting.api.children(), False)
        children(counting.api, 4)
        check(load, before)
    load.v2(100_000)
    check(load, before)


def test_counts_go_on_over_a_reload(counting):
    url = counting.endpoint
    before, load = scrape(url), Load(counting)
    load.v2(MIB)
    check(load, before)
    former = set(children(counting.api, 4))
    os.kill(counting.api.pid, signal.SIGHUP)
    eventually(lambda: former & set(counting.api.children()), set())
    load.v2(MIB)
    check(load, before)


@contextlib.contextmanager
def half_sent(deployment: Deployment) -> Iterator[socket.socket]:
    """An upload that has sent 100,000 of its 200,000 bytes."""
    body = {"disk_format": "raw", "container_format": "bare"}
    image_id = requests.post(f"{deployment.endpoint}/v2/images", json=body, timeout=SECONDS).json()["id"]
    with socket.create_connection(("127.0.0.1", deployment.api_port), timeout=SECONDS) as client:
        client.sendall(
            f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
            "Content-Length: 200000\r\n\r\n".encode()
            + bytes(100_000)
        )
        yield client


def in_flight(deployment: Deployment, direction: str) -> float:
    return scrape(deployment.endpoint).get(("glance_transfers_in_flight", direction), 0)


def test_upload_in_flight(counting):
    with half_sent(counting) as client:
        eventually(lambda: in_flight(counting, "upload"), 1)
        client.sendall(bytes(100_000))
        assert client.recv(100).startswith(b"HTTP/1.1 204")
    eventually(lambda: in_flight(counting, "upload"), 0)


def test_what_a_killed_worker_had_in_flight_is_not_in_flight(counting):
    with half_sent(counting):
        eventually(lambda: in_flight(counting, "upload"), 1)
        for pid in children(counting.api, 4):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: in_flight(counting, "upload"), 0)


def test_upload_broken_off_is_499(counting):
    before = scrape(counting.endpoint)
    with half_sent(counting):
        eventually(lambda: in_flight(counting, "upload"), 1)
    key = ("glance_requests_total", "PUT", "/v2/images/{image_id}/file", "499")
    eventually(lambda: since(counting.endpoint, before, "glance_requests_total").get(key), 1)
    eventually(lambda: in_flight(counting, "upload"), 0)


def test_download_broken_off_counts_what_was_sent(counting):
    size = 256 * MIB  # more than sockets hold
    image_id = counting.create(b"x", name="sparse")["id"]
    with (counting.images / image_id).open("r+b") as file:
        file.truncate(size)
    for table in ("images",):
        counting.sql(f"UPDATE {table} SET size = ? WHERE id = ?", size, image_id)
    before = scrape(counting.endpoint)
    read = 0
    with socket.create_connection(("127.0.0.1", counting.api_port), timeout=SECONDS) as client:
        client.sendall(f"GET /v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while read < 8 * MIB:
            read += len(client.recv(MIB))
        assert in_flight(counting, "download") == 1
    eventually(lambda: in_flight(counting, "download"), 0)
    sent = since(counting.endpoint, before, "glance_bytes_sent_total")[("glance_bytes_sent_total", "file")]
    assert 8 * MIB - 1024 <= sent < size


def test_registry_counts_too(counting):
    url = counting.registry_url
    before = scrape(url)
    counting.registry_request("GET", "/images/detail")
    counting.registry_request("GET", "/images/no-such-image")
    wanted = {
        ("glance_requests_total", "GET", "/images/detail", "200"): 1,
        ("glance_requests_total", "GET", "/images/{image_id}", "404"): 1,
    }

    def found() -> Figures:  # heartbeats of the API servers come when they like
        return {key: since(url, before, "glance_requests_total").get(key) for key in wanted}

    eventually(found, wanted)
    assert ("glance_requests_total", "POST", "/rpc", "200") in scrape(url)


def test_no_id_is_in_the_figures(counting):
    image_id = counting.create(b"data", name="n")["id"]
    counting.request("GET", f"/images/{image_id}")
    for url in (counting.endpoint, counting.registry_url):
        assert image_id not in requests.get(url + "/metrics", timeout=SECONDS).text


def test_head_has_no_body_and_other_methods_pass(counting):
    answer = requests.head(counting.endpoint + "/metrics", timeout=SECONDS)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0
    assert requests.post(counting.registry_url + "/metrics", timeout=SECONDS).status_code == 404


def test_without_credentials(deploy):
    deployment = deploy(api=ON, registry=ON, flavor="trusted-auth")
    assert requests.get(deployment.url + "/images", timeout=SECONDS).status_code == 401
    assert requests.get(deployment.url + "/images", headers=identity("t"), timeout=SECONDS).status_code == 200
    assert ("glance_requests_total", "GET", "/v1/images", "200") in scrape(deployment.endpoint)
    assert ("glance_requests_total", "GET", "/images/detail", "200") in scrape(deployment.registry_url)


def test_off_by_default(noauth):
    there = requests.get(noauth.endpoint + "/metrics", timeout=SECONDS)
    assert (there.status_code, "glance_" in there.text) == (300, False)  # the versions, as for any unknown path
    assert requests.get(noauth.registry_url + "/metrics", timeout=SECONDS).status_code == 404


def test_directory_is_emptied_at_start_and_its_other_files_stay(tmp_path, deploy):
    directory = tmp_path / "figures"
    deployment = deploy(registry={"metrics": {"enabled": True, "directory": str(directory)}})
    (directory / "notes").write_text("mine")
    assert scrape(deployment.registry_url)
    old = {path.name for path in directory.glob("*.db")}
    assert old
    deployment.registry.stop()
    deployment.registry.start()
    assert not old & {path.name for path in directory.glob("*.db")}
    assert (directory / "notes").read_text() == "mine"


def test_temporary_directory_is_removed_at_the_end(tmp_path, monkeypatch, deploy):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    deployment = deploy(registry=ON)
    (directory,) = tmp_path.glob("glance-metrics-*")
    assert directory.stat().st_mode & 0o777 == 0o700
    deployment.registry.stop()
    assert not directory.exists()


def start_registry(directory: Path, settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a registry that is expected to end at once."""
    (directory / "glance-registry.conf").write_text(
        f"[DEFAULT]\nbind_host = 127.0.0.1\n[database]\nconnection = sqlite:///{directory}/x\n[metrics]\n{settings}\n"
    )
    paste = (ROOT / "etc" / "glance-registry-paste.ini").read_text()
    (directory / "glance-registry-paste.ini").write_text(paste)
    return subprocess.run(
        [sys.executable, "-m", "glance.cmd.registry", "--config-file", str(directory / "glance-registry.conf")],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_missing_library_is_a_start_error_that_names_the_extra(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['prometheus_client'] = None\n")
    ended = start_registry(tmp_path, "enabled = True", PYTHONPATH=f"{tmp_path}:{ROOT}")
    errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
    assert ended.returncode == 1
    assert len(errors) == 1
    assert "glance-classic[metrics]" in errors[0]
    assert "Traceback" not in ended.stderr


def test_directory_that_cannot_be_used_is_a_start_error(tmp_path):
    (tmp_path / "file").write_text("")
    ended = start_registry(tmp_path, f"enabled = True\ndirectory = {tmp_path}/file", PYTHONPATH=str(ROOT))
    assert ended.returncode == 1
    assert "ERROR: The directory of [metrics] cannot be used" in ended.stderr


def test_nothing_is_imported_while_off():
    code = (
        "import sys; from oslo_config import cfg; from glance.common.config import CONF, register;"
        "import glance.metrics; register(CONF, 'glance-registry'); CONF([], default_config_files=[]); app = object();"
        "assert glance.metrics.filter_factory({})(app) is app;"
        "assert not {'prometheus_client', 'glance.metrics.figures', 'glance.metrics.middleware'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60)


def test_under_gunicorn(tmp_path):
    deployment = Deployment(tmp_path, api=ON, registry=ON)
    deployment.manage("db", "sync")
    figures = tmp_path / "figures"
    figures.mkdir()
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(figures),
        "GLANCE_CONFIG_FILES": str(deployment.api.config),
    }  # fmt: skip
    command = [sys.executable, "-m", "gunicorn", "--threads", "4", "--workers", "2", "--header-map", "dangerous"]
    deployment.registry.start()
    with (tmp_path / "gunicorn.log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{deployment.api_port}", "glance.wsgi.api:application"],
            env=environment, stdout=log, stderr=log, start_new_session=True, cwd=tmp_path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                before = scrape(deployment.endpoint)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline, (tmp_path / "gunicorn.log").read_text()
                time.sleep(0.1)
        load = Load(deployment)
        load.v1(MIB + 3)
        load.v2(MIB + 5)
        check(load, before)
        assert in_flight(deployment, "download") == 0
    finally:
        server.terminate()
        server.wait(timeout=30)
        deployment.registry.stop()
