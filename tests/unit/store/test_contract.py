"""The contract, run by each driver of this version."""

import pytest

from glance.store.file import FileDriver
from glance.store.http import HttpDriver
from tests.unit.store.contract import ReadOnlyContract, WritableContract, new_id, write
from tests.unit.store.web import Answer


class TestFile(WritableContract):
    @pytest.fixture(params=["plain", "thin", "several"])
    def driver(self, request, make_conf, tmp_path):
        options = {
            "plain": {"filesystem_store_datadir": tmp_path / "images/"},
            "thin": {"filesystem_store_datadir": tmp_path / "images", "filesystem_thin_provisioning": True},
            "several": {"filesystem_store_datadirs": [f"{tmp_path}/a:10", f"{tmp_path}/b"]},
        }
        driver = FileDriver(make_conf(glance_store=options[request.param]))
        driver.configure()
        return driver

    def test_a_body_outlives_the_object(self, driver):
        uri = write(driver, b"still here", new_id())
        body = driver.open(uri).body
        driver.delete(uri)
        assert b"".join(body) == b"still here"
        body.close()

    @pytest.fixture
    def absent(self, tmp_path):
        return f"file://{tmp_path}/images/absent"


class TestHttp(ReadOnlyContract):
    @pytest.fixture
    def driver(self, make_conf, web):
        driver = HttpDriver(make_conf(import_filtering_opts={"allowed_hosts": "127.0.0.1"}))
        driver.configure()
        return driver

    @pytest.fixture
    def place(self, web):
        def place(data: bytes, image_id: str) -> str:
            web.answers[f"/{image_id}"] = Answer(200, data)
            return web.url(f"/{image_id}")

        return place

    @pytest.fixture
    def absent(self, web):
        return web.url("/absent")
