"""What is left after processes die in the middle of uploads (spec security.md §5, database.md §9)."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment

BLOCK = bytes(range(256)) * 256
SETTLE_SECONDS = 45


class SlowUpload(threading.Thread):
    """An upload that stays in the middle until it is told to go on."""

    def __init__(self, deployment: Deployment, blocks: int = 4) -> None:
        super().__init__()
        self.image_id = str(uuid.uuid4())
        self.deployment, self.blocks = deployment, blocks
        self.half_sent, self.go_on = threading.Event(), threading.Event()
        self.answer: requests.Response | None = None
        self.checksum = hashlib.md5(BLOCK * 2 * blocks, usedforsecurity=False).hexdigest()

    def _data(self):
        for _ in range(self.blocks):
            yield BLOCK
        self.half_sent.set()
        self.go_on.wait(60)
        for _ in range(self.blocks):
            yield BLOCK

    def run(self) -> None:
        headers = {
            "x-image-meta-id": self.image_id,
            "x-image-meta-disk_format": "raw",
            "x-image-meta-container_format": "bare",
            "Content-Type": "application/octet-stream",
        }
        try:
            self.answer = self.deployment.request("POST", "/images", data=self._data(), headers=headers)
        except requests.RequestException:
            self.answer = None

    def begin(self) -> "SlowUpload":
        """Start, and return when the server is receiving data."""
        self.start()
        assert self.half_sent.wait(30)
        wait_for(lambda: self.status() == "saving")
        return self

    def status(self) -> str | None:
        return self.deployment.request("HEAD", f"/images/{self.image_id}").headers.get("x-image-meta-status")

    def finish(self) -> None:
        self.go_on.set()
        self.join(60)


def wait_for(condition, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until ``condition()`` holds; fails if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def stored_files(deployment: Deployment) -> list[str]:
    return sorted(path.name for path in deployment.images.iterdir())


@pytest.fixture(scope="module")
def pair(deploy) -> Deployment:
    return deploy(api={"workers": 2})


def test_a_killed_worker_leaves_neither_saving_nor_data(pair):
    before = stored_files(pair)
    upload = SlowUpload(pair).begin()
    for pid in pair.api.children():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(pair.api.children()) == 2)
    wait_for(lambda: upload.status() == "killed")
    wait_for(lambda: stored_files(pair) == before)
    upload.finish()
    assert upload.answer is None


def test_a_killed_parent_lets_running_uploads_finish(pair):
    upload = SlowUpload(pair).begin()
    orphans = pair.api.children()
    pair.api.process.kill()
    pair.api.process.wait()
    pair.api.start()
    upload.finish()
    assert upload.answer is not None
    assert upload.answer.status_code == 201
    image = pair.request("GET", f"/images/{upload.image_id}")
    assert hashlib.md5(image.content, usedforsecurity=False).hexdigest() == upload.checksum
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in orphans))


def test_a_service_that_starts_settles_what_the_last_one_left(deploy):
    deployment = deploy(api={"workers": 0})
    upload = SlowUpload(deployment).begin()
    assert any(not name.startswith(upload.image_id + "\0") for name in stored_files(deployment))
    deployment.api.process.kill()
    deployment.api.process.wait()
    deployment.api.start()
    wait_for(lambda: upload.status() == "killed")
    wait_for(lambda: stored_files(deployment) == [])
    upload.finish()


def test_a_registry_that_dies_at_the_end_leaves_a_settled_image(deploy):
    deployment = deploy()
    upload = SlowUpload(deployment).begin()
    deployment.registry.stop()
    upload.finish()
    assert upload.answer is not None
    assert upload.answer.status_code == 503
    assert "Retry-After" in upload.answer.headers
    deployment.registry.start()
    wait_for(lambda: upload.status() == "killed")
    wait_for(lambda: stored_files(deployment) == [])


def test_a_client_that_goes_away_leaves_a_killed_image_and_no_data(pair):
    before = stored_files(pair)
    upload = SlowUpload(pair)
    upload._data = lambda: _broken(upload)
    upload.begin()
    upload.finish()
    wait_for(lambda: upload.status() == "killed")
    wait_for(lambda: stored_files(pair) == before)


def _broken(upload: SlowUpload):
    yield BLOCK
    upload.half_sent.set()
    upload.go_on.wait(60)
    raise requests.ConnectionError("the client goes away")


def test_deleting_an_image_during_its_upload(pair):
    before = stored_files(pair)
    upload = SlowUpload(pair).begin()
    assert pair.request("DELETE", f"/images/{upload.image_id}").status_code == 200
    upload.finish()
    assert upload.answer is not None
    assert upload.answer.status_code == 412
    wait_for(lambda: stored_files(pair) == before)


def test_leftovers_of_a_crash_are_found_and_removed_by_the_tool(deploy):
    deployment = deploy(api={"workers": 0})
    upload = SlowUpload(deployment).begin()
    deployment.api.process.kill()
    deployment.api.process.wait()
    upload.finish()
    check = ("--config-file", str(deployment.api.config), "store", "check", "--older", "0")
    # A live transfer protects its data; this one's beat ends with its process and goes stale.
    kept = deployment.manage(*check, check=False)
    assert kept.returncode == 0
    deployment.registry_request("DELETE", f"/images/{upload.image_id}")
    found = deployment.manage(*check, check=False)
    assert found.returncode == 1
    assert upload.image_id in found.stdout
    deployment.manage(*check, "--delete", check=False)
    assert stored_files(deployment) == []
    assert deployment.manage(*check, check=False).returncode == 0


def test_glance_control_shutdown_lets_uploads_finish(deploy, tmp_path):
    deployment = deploy()
    deployment.api.stop()
    control = [sys.executable, str(ROOT / "bin" / "glance-control"), "--pid-file", str(tmp_path / "api.pid")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*control, "api", "start", str(deployment.api.config)], env=environment, check=True)
    wait_for(lambda: reachable(deployment.endpoint))
    upload = SlowUpload(deployment).begin()
    pid = int((tmp_path / "api.pid").read_text())
    with subprocess.Popen([*control, "api", "shutdown"], env=environment):
        wait_for(lambda: not reachable(deployment.endpoint))
        upload.finish()
    assert upload.answer is not None
    assert upload.answer.status_code == 201
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
    deployment.api.start()
    assert upload.status() == "active"


def reachable(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 300
    except requests.ConnectionError:
        return False
