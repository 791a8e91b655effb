"""Configuration files of 2011, 2013 and 2016: the stanzas of the documents of those years, paths and ports aside."""

from pathlib import Path

import pytest

from tests.functional.conftest import Deployment

SEEDS = Path(__file__).parent / "seeds"
DATA = b"an image of another year" * 100


@pytest.fixture(scope="module", params=["diablo", "grizzly", "mitaka"])
def old(request, tmp_path_factory):
    """A deployment that reads the files of one release."""
    deployment = Deployment(tmp_path_factory.mktemp(request.param))
    values = {
        "directory": str(deployment.directory),
        "api_port": str(deployment.api_port),
        "registry_port": str(deployment.registry_port),
    }
    for daemon, name in ((deployment.api, "api"), (deployment.registry, "registry")):
        text = (SEEDS / f"{request.param}-{name}.conf").read_text()
        for key, value in values.items():
            text = text.replace("{" + key + "}", value)
        daemon.config.write_text(text)
        paste = deployment.directory / f"glance-{name}-paste.ini"
        own = SEEDS / f"{request.param}-{name}-paste.ini"
        if request.param == "diablo":
            paste.unlink()  # the pipeline stands in the configuration file itself
        elif own.exists():
            paste.write_text(own.read_text())
    try:
        yield deployment.start()
    finally:
        deployment.stop()


def test_the_life_of_an_image(old: Deployment):
    image = old.create(DATA, name="old", is_public="true")
    assert image["status"] == "active"
    listed = old.request("GET", "/images").json()["images"]
    assert [entry["id"] for entry in listed] == [image["id"]]
    assert old.request("GET", f"/images/{image['id']}").content == DATA
    assert old.request("DELETE", f"/images/{image['id']}").status_code == 200
    assert list(old.images.iterdir()) == []


def test_the_log_is_where_the_file_says(old: Deployment):
    named = [line.split("=")[1].strip() for line in old.api.config.read_text().splitlines() if line.startswith("log_f")]
    for path in named:
        assert Path(path).exists()
