"""Which stores a configuration switches on, and which of them a name or a location means."""

import hashlib
import logging

import pytest

from glance.common import exception
from glance.store.stores import Stores
from glance.store.transfer import IterableSource, store_data
from tests.unit.store.web import Answer


@pytest.fixture
def make_stores(make_conf, tmp_path):
    def build(default=None, filters=None, **options):
        options.setdefault("filesystem_store_datadir", tmp_path / "images")
        filters = {"allowed_hosts": "127.0.0.1", "fetch_deadline": 20, **(filters or {})}
        return Stores(make_conf(glance_store=options, import_filtering_opts=filters, **(default or {})))

    return build


class TestSelection:
    def test_file_and_http_without_options(self, make_stores):
        stores = make_stores()
        assert list(stores.drivers()) == ["file", "http"]
        assert stores.default is stores.drivers()["file"]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"stores": "file"}, ["file"]),
            ({"stores": "http"}, ["http", "file"]),
            ({"stores": "http, file"}, ["http", "file"]),
            ({"stores": "file,file,filesystem"}, ["file"]),
            ({"stores": "glance.store.http.Store"}, ["http", "file"]),
            ({"known_stores": "glance.store.filesystem.Store,glance.store.http.Store"}, ["file", "http"]),
            ({"known_stores": "glance_store._drivers.filesystem.Store"}, ["file"]),
            ({"stores": "file", "known_stores": "glance.store.http.Store"}, ["file"]),
            ({"default_store": "filesystem", "stores": "http"}, ["http", "file"]),
        ],
    )
    def test_a_list_means_these_and_the_default(self, make_stores, options, expected):
        assert list(make_stores(**options).drivers()) == expected

    def test_names_of_the_seed_in_default(self, make_stores, tmp_path):
        stores = make_stores(
            {"default_store": "filesystem", "known_stores": "glance.store.filesystem.Store"},
            filesystem_store_datadir=tmp_path / "other",
        )
        assert list(stores.drivers()) == ["file"]

    @pytest.mark.parametrize(
        "name", ["swift", "rbd", "s3", "cinder", "vmware", "sheepdog", "glance.store.rbd.Store", "nosuch"]
    )
    def test_others_are_skipped_with_a_warning(self, make_stores, caplog, name):
        with caplog.at_level(logging.WARNING):
            stores = make_stores(stores=f"file,{name}")
        assert list(stores.drivers()) == ["file"]
        assert "skipped" in caplog.text


class TestDefault:
    @pytest.mark.parametrize("name", ["swift", "swift+config", "rbd", "s3", "vsphere"])
    def test_no_such_driver(self, make_stores, name):
        with pytest.raises(exception.StoreConfigurationError, match="no driver") as caught:
            make_stores(default_store=name)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["http", "https"])
    def test_read_only(self, make_stores, name):
        with pytest.raises(exception.StoreConfigurationError, match="nothing can be added"):
            make_stores(default_store=name)

    @pytest.mark.parametrize("name", ["nosuch", "", "File", "glance.store.Store"])
    def test_unknown(self, make_stores, name):
        with pytest.raises(exception.StoreConfigurationError, match="Unknown store"):
            make_stores(default_store=name)

    def test_unusable(self, make_stores, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(exception.StoreConfigurationError, match="default store 'file' cannot be used"):
            make_stores(filesystem_store_datadir=tmp_path / "file")

    def test_other_stores_that_cannot_be_configured_stay_for_reading(self, make_stores, caplog, web):
        web.answers["/image"] = Answer(200, b"x")
        with caplog.at_level(logging.WARNING):
            stores = make_stores(https_ca_certificates_file="/absent")
        assert "https_ca_certificates_file" in caplog.text
        assert stores.size(web.url("/image")) == 1


class TestForUri:
    @pytest.mark.parametrize(
        ("uri", "name"),
        [("file:///x", "file"), ("filesystem:///x", "file"), ("http://h/", "http"), ("HTTPS://h/", "http")],
    )
    def test_by_scheme(self, make_stores, uri, name):
        stores = make_stores()
        assert stores.for_uri(uri) is stores.drivers()[name]

    @pytest.mark.parametrize("uri", ["swift://user:hush@host/c/o", "nosuch://hush", "rbd://hush"])
    def test_unknown_scheme(self, make_stores, uri):
        with pytest.raises(exception.UnknownScheme) as caught:
            make_stores().for_uri(uri)
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize("uri", ["", "hush", "user:hush@host/x", "/hush", "hush\n://x", " file:///hush", "://hush"])
    def test_no_scheme(self, make_stores, uri):
        with pytest.raises(exception.BadStoreUri) as caught:
            make_stores().for_uri(uri)
        assert "hush" not in str(caught.value)

    def test_store_that_is_off(self, make_stores):
        with pytest.raises(exception.UnknownScheme):
            make_stores(stores="file").for_uri("http://h/")


class TestForUpload:
    @pytest.mark.parametrize("name", [None, "file", "filesystem"])
    def test_writable(self, make_stores, name):
        stores = make_stores()
        assert stores.for_upload(name) is stores.default

    @pytest.mark.parametrize("name", ["http", "https", "swift", "nosuch", ""])
    def test_unknown_off_or_read_only(self, make_stores, name):
        with pytest.raises(exception.Invalid):
            make_stores().for_upload(name)

    def test_disabled(self, make_stores):
        stores = make_stores()
        stores.default.add_disabled = "for a test"
        with pytest.raises(exception.StoreAddDisabled):
            stores.for_upload()


class TestCheckExternal:
    @pytest.mark.parametrize("uri", ["http://host/image", "https://user:pass@host:8443/image?x"])
    def test_admitted(self, make_stores, uri):
        make_stores().check_external(uri)

    @pytest.mark.parametrize(
        "uri",
        [
            "file:///hush",
            "FILE:///hush",
            "filesystem:///hush",
            "swift+config://hush/c/o",
            "swift://u:hush@h/c/o",
            "rbd://hush",
            "nosuch://hush",
        ],
    )
    def test_refused(self, make_stores, uri):
        with pytest.raises(exception.Invalid, match="External sources are not supported") as caught:
            make_stores().check_external(uri)
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        "uri", ["", "hush", " file:///hush", "\tfile:///hush", "http:/hush", "http://hu sh/", "http://"]
    )
    def test_malformed(self, make_stores, uri):
        with pytest.raises(exception.BadStoreUri) as caught:
            make_stores().check_external(uri)
        assert "hush" not in str(caught.value)

    def test_http_that_is_off(self, make_stores):
        with pytest.raises(exception.Invalid, match="External sources"):
            make_stores(stores="file").check_external("http://host/")


class TestData:
    def test_a_life(self, make_stores):
        stores = make_stores()
        written = store_data(stores.for_upload(), "x", [b"some ", b"data"], 9)
        assert stores.size(written.uri) == 9
        reader = stores.open(written.uri)
        assert b"".join(reader.body) == b"some data"
        reader.body.close()
        reader = stores.open(written.uri, 5, 2)
        assert b"".join(reader.body) == b"da"
        reader.body.close()
        stores.delete(written.uri)
        with pytest.raises(exception.ImageDataNotFound):
            stores.open(written.uri)

    def test_a_copy_from_the_web(self, make_stores, web):
        data = bytes(range(256)) * 9000
        web.answers["/image"] = Answer(200, data)
        stores = make_stores()
        reader = stores.open(web.url("/image"))
        written = store_data(stores.for_upload(), "x", IterableSource(reader.body), reader.length)
        reader.body.close()
        assert written.checksum == hashlib.md5(data).hexdigest()

    def test_discard(self, make_stores, caplog):
        stores = make_stores()
        writer = stores.default.writer("x", None)
        stores.discard("x")
        assert list(stores.default.objects()) == []
        writer.cancel()

    def test_discard_does_not_fail(self, make_stores, tmp_path, caplog):
        stores = make_stores()
        (tmp_path / "images" / "x").mkdir()
        stores.discard("x")
        assert "stays" in caplog.text

    def test_the_log_says_what_the_error_keeps_back(self, make_stores, tmp_path, caplog):
        stores = make_stores()
        with pytest.raises(exception.Forbidden) as caught:
            stores.delete(f"file://{tmp_path}")
        assert str(tmp_path) not in str(caught.value)
        assert "directory" in caplog.text.lower()

    def test_drivers_by_name(self, make_stores):
        stores = make_stores()
        assert list(stores.drivers("filesystem")) == ["file"]
        with pytest.raises(exception.Invalid, match="'swift'"):
            stores.drivers("swift")
