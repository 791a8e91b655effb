"""The applications under a threaded WSGI server, nothing patched."""

import os
import subprocess
import sys
import time

import pytest
import requests

from tests.functional.conftest import ROOT, Deployment

DATA = b"gunicorn" * 50000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A registry and an API server under gunicorn; gives the API's address."""
    deployment = Deployment(tmp_path_factory.mktemp("gunicorn"))
    deployment.manage("db", "sync")
    processes = []

    def serve(name: str, port: int) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GLANCE_CONFIG_FILES": str(deployment.directory / f"glance-{name}.conf"),
        }
        with (deployment.directory / f"{name}.log").open("ab") as log:
            processes.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "gunicorn",
                        "--header-map",
                        "dangerous",
                        "--threads",
                        "8",
                        "--workers",
                        "2",
                        "--bind",
                        f"127.0.0.1:{port}",
                        f"glance.wsgi.{name}:application",
                    ],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=deployment.directory,
                )
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/", timeout=5)
                return
            except requests.ConnectionError:
                assert time.monotonic() < deadline, (deployment.directory / f"{name}.log").read_text()
                time.sleep(0.1)

    try:
        serve("registry", deployment.registry_port)
        serve("api", deployment.api_port)
        yield deployment
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)


def test_the_life_of_an_image(served: Deployment):
    created = served.create(DATA, name="threads", is_public="true")
    assert created["status"] == "active"
    listed = served.request("GET", "/images?name=threads").json()["images"]
    assert [image["id"] for image in listed] == [created["id"]]
    assert served.request("GET", f"/images/{created['id']}").content == DATA
    assert served.request("DELETE", f"/images/{created['id']}").status_code == 200
    assert served.request("GET", f"/images/{created['id']}").status_code == 404
    assert list(served.images.iterdir()) == []


def test_a_chunked_upload(served: Deployment):
    created = served.create(iter([DATA, DATA]), name="chunks")
    assert created["size"] == 2 * len(DATA)
