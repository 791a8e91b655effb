"""Clients, workers and back ends that stop in the middle (spec security.md §5, stores.md §1)."""

import contextlib
import os
import signal

import pytest
import requests
import urllib3

from tests.functional.backends.conftest import (
    MIB,
    VERSIONS,
    Halves,
    Image,
    SizedHalves,
    Upload,
    content,
    sweep,
    wait_for,
)

UNAVAILABLE = 503


@pytest.fixture(params=[SizedHalves, Halves], ids=["known", "unknown"])
def halves(request):
    """Builds data of which the service gets one half, then the other."""
    return lambda **more: request.param(content(24 * MIB), **more)


@contextlib.contextmanager
def stopped(backend):
    backend.server.stop()
    try:
        yield
    finally:
        backend.server.start()


def assert_unavailable(answer):
    assert answer is not None
    assert answer.status_code == UNAVAILABLE, answer.text
    assert int(answer.headers["Retry-After"]) > 0


def assert_settled(backend, image):
    """No data stays, not even for whoever would look for leftovers; an image that waits for data takes it."""
    wait_for(lambda: image.status() == image.failed)
    wait_for(lambda: not backend.names(image.id))
    assert image.id not in sweep(image.deployment)
    if image.failed == "queued":
        headers = {"Content-Type": "application/octet-stream"}
        assert image.send("PUT", f"/images/{image.id}/file", headers, data=b"after all").status_code == 204
        assert image.download().content == b"after all"


def test_a_client_that_goes_away(backend, image, halves):
    upload = Upload(image, halves(breaks=True)).begin()
    upload.finish()
    assert_settled(backend, image)


def test_a_worker_that_is_killed(backend, image, halves):
    upload = Upload(image, halves()).begin()
    wait_for(lambda: backend.names(image.id))
    (worker,) = image.deployment.api.children()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: image.deployment.api.children() not in ([], [worker]))
    assert upload.finish() is None
    assert_settled(backend, image)


def test_leftovers_that_no_service_swept(backend, image):
    """The image is deleted while no service runs: then only ``glance-manage store check`` finds its data."""
    upload = Upload(image, Halves(content(24 * MIB))).begin()
    wait_for(lambda: backend.names(image.id))
    processes = [image.deployment.api.pid, *image.deployment.api.children()]
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    image.deployment.api.process.wait()
    assert upload.finish() is None
    image.deployment.registry_request("DELETE", f"/images/{image.id}")
    try:
        # Not at once: servers round the time of an upload up, so that it lies in the future.
        wait_for(lambda: sweep(image.deployment) == "" and backend.names(image.id) == [], 90)
    finally:
        image.deployment.api.start()


def test_a_back_end_that_stops_during_an_upload(backend, image, halves):
    upload = Upload(image, halves()).begin()
    with stopped(backend):
        assert_unavailable(upload.finish())
        assert image.status() == image.failed
    wait_for(lambda: image.id not in sweep(image.deployment))
    assert_settled(backend, image)


def test_a_back_end_that_is_down(backend, image):
    stored = Image(image.deployment, image.version).store(content(12 * MIB))
    with stopped(backend):
        assert_unavailable(image.upload(b"data"))
        assert image.status() == image.failed
        assert_unavailable(stored.download())
        assert stored.status() == "active"
    assert len(stored.download().content) == 12 * MIB
    stored.delete()
    assert backend.names(stored.id) == []
    assert_settled(backend, image)


def test_the_healthcheck_knows(backend, deployment):
    def asked():
        answer = requests.get(f"{deployment.endpoint}/healthcheck", timeout=60)
        return answer.status_code, answer.text

    assert asked() == (200, "OK")
    with stopped(backend):
        assert asked() == (UNAVAILABLE, f"UNAVAILABLE: {backend.name}")
    wait_for(lambda: asked() == (200, "OK"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_back_end_that_stops_during_a_download(backend, deployment, version):
    data = content(32 * MIB)
    image = Image(deployment, version).store(data)
    answer = image.download(stream=True)
    got = answer.raw.read(MIB)
    with stopped(backend):
        with pytest.raises(urllib3.exceptions.ProtocolError):
            while block := answer.raw.read(MIB):
                got += block
        assert data.startswith(got)
        assert image.status() == "active"
    assert image.download().content == data
    image.delete()
    assert backend.names(image.id) == []


def test_an_image_that_is_deleted_while_the_back_end_is_down(backend, image):
    image.store(content(12 * MIB))
    with stopped(backend):
        assert image.delete().status_code < 300
        assert image.status() in (None, "pending_delete")
    assert backend.names(image.id) != []
