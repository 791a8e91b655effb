"""The http store: what its options do, and what it answers for which server."""

import logging

import pytest

from glance.common import exception
from glance.store.http import HttpDriver
from tests.unit.store.contract import read
from tests.unit.store.web import Answer, closed_port


@pytest.fixture
def make_driver(make_conf, monkeypatch):
    def build(allowed_hosts="127.0.0.1", deadline=20, **options):
        filters = {"allowed_hosts": allowed_hosts, "fetch_deadline": deadline}
        driver = HttpDriver(make_conf(glance_store=options, import_filtering_opts=filters))
        driver.configure()
        return driver

    return build


@pytest.fixture
def hurry(monkeypatch):
    """No wait until the deadline."""
    monkeypatch.setattr("glance.common.fetch.time.sleep", lambda seconds: None)


class TestSize:
    def test_is_asked_with_head(self, make_driver, web):
        web.answers["/image"] = Answer(200, b"12345")
        assert make_driver().size(web.url("/image")) == 5
        assert [method for method, _, _ in web.asked] == ["HEAD"]

    def test_unknown(self, make_driver, web):
        web.answers["/image"] = Answer(200, b"", {"Content-Length": "odd"})
        assert make_driver().size(web.url("/image")) == 0

    @pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 405, 410, 500, 503])
    def test_other_answers(self, make_driver, web, hurry, status):
        web.answers["/image"] = Answer(status)
        with pytest.raises(exception.BadStoreUri):
            make_driver().size(web.url("/image"))

    def test_nobody_listens(self, make_driver, hurry):
        with pytest.raises(exception.BadStoreUri):
            make_driver().size(f"http://127.0.0.1:{closed_port()}/")

    def test_refused(self, make_driver, web, hurry):
        with pytest.raises(exception.BadStoreUri):
            make_driver(allowed_hosts="").size(web.url("/image"))
        assert web.asked == []


class TestOpen:
    @pytest.mark.parametrize("status", [400, 401, 403, 500])
    def test_an_answer_that_was_good_once(self, make_driver, web, hurry, status):
        web.answers["/image"] = Answer(status)
        with pytest.raises(exception.StoreUnavailable) as caught:
            make_driver().open(web.url("/image"))
        assert str(caught.value) == exception.StoreUnavailable.message

    def test_nobody_listens(self, make_driver, hurry):
        with pytest.raises(exception.StoreUnavailable):
            make_driver().open(f"http://127.0.0.1:{closed_port()}/")

    def test_refused(self, make_driver, web, hurry):
        with pytest.raises(exception.StoreUnavailable):
            make_driver(allowed_hosts="").open(web.url("/image"))
        assert web.asked == []

    def test_user_and_password(self, make_driver, web):
        web.answers["/image"] = Answer(200, b"x")
        assert read(make_driver(), f"http://user:secret@127.0.0.1:{web.port}/image") == b"x"
        assert web.asked[0][2]["Authorization"] == "Basic dXNlcjpzZWNyZXQ="


class TestTls:
    def driver(self, make_driver, **options):
        driver = make_driver(allowed_hosts="mirror.example", **options)
        driver._guard._resolve = lambda host, port, **kwargs: [(2, 1, 6, "", ("127.0.0.1", port))]
        return driver

    def test_not_verified_by_default_and_says_so(self, make_driver, secure_web, caplog):
        with caplog.at_level(logging.WARNING):
            driver = self.driver(make_driver)
        assert "not verified" in caplog.text
        secure_web.answers["/image"] = Answer(200, b"x")
        assert read(driver, secure_web.url("/image", "mirror.example", "https")) == b"x"

    def test_verified_against_a_file(self, make_driver, secure_web, certificate, caplog):
        driver = self.driver(make_driver, https_ca_certificates_file=certificate.authority)
        assert caplog.text == ""
        secure_web.answers["/image"] = Answer(200, b"x")
        assert driver.size(secure_web.url("/image", "mirror.example", "https")) == 1

    def test_verified_against_the_system(self, make_driver, secure_web, hurry, caplog):
        driver = self.driver(make_driver, https_insecure=False)
        assert caplog.text == ""
        with pytest.raises(exception.BadStoreUri):
            driver.size(secure_web.url("/image", "mirror.example", "https"))
        assert secure_web.asked == []

    def test_file_that_is_none(self, make_driver, tmp_path):
        (tmp_path / "empty.pem").write_text("")
        for name in ("absent.pem", "empty.pem"):
            with pytest.raises(exception.ConfigurationError, match="https_ca_certificates_file"):
                make_driver(https_ca_certificates_file=tmp_path / name)


class TestProxies:
    def test_parsed(self, make_driver):
        driver = make_driver(http_proxy_information="http:proxy.example:3128,https:[::1]:1080")
        assert driver._proxies == {"http": "proxy.example:3128", "https": "[::1]:1080"}

    @pytest.mark.parametrize("value", ["ftp:proxy:3128", "http:proxy", "http:proxy:x", "http::3128"])
    def test_malformed(self, make_driver, value):
        with pytest.raises(exception.ConfigurationError, match="http_proxy_information"):
            make_driver(http_proxy_information=value)
