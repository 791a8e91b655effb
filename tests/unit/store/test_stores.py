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

    @pytest.mark.parametrize("name", ["cinder", "vmware", "sheepdog", "glance.store.cinder.Store", "nosuch"])
    def test_others_are_skipped_with_a_warning(self, make_stores, caplog, name):
        with caplog.at_level(logging.WARNING):
            stores = make_stores(stores=f"file,{name}")
        assert list(stores.drivers()) == ["file"]
        assert "skipped" in caplog.text


class TestDefault:
    @pytest.mark.parametrize(("name", "option"), [("swift", "swift_store_auth_address"), ("s3", "s3_store_access_key")])
    def test_options_are_missing(self, make_stores, name, option):
        with pytest.raises(exception.StoreConfigurationError, match=option):
            make_stores(default_store=name)

    @pytest.mark.parametrize("name", ["cinder", "vsphere"])
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
        assert stores.place(web.url("/image")).size() == 1


class TestForUri:
    @pytest.mark.parametrize(
        ("uri", "name"),
        [("file:///x", "file"), ("filesystem:///x", "file"), ("http://h/", "http"), ("HTTPS://h/", "http")],
    )
    def test_by_scheme(self, make_stores, uri, name):
        stores = make_stores()
        assert stores.place(uri).store == name

    @pytest.mark.parametrize("uri", ["swift://user:hush@host/c/o", "nosuch://hush", "rbd://hush"])
    def test_unknown_scheme(self, make_stores, uri):
        with pytest.raises(exception.UnknownScheme) as caught:
            make_stores().place(uri)
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize("uri", ["", "hush", "user:hush@host/x", "/hush", "hush\n://x", " file:///hush", "://hush"])
    def test_no_scheme(self, make_stores, uri):
        with pytest.raises(exception.BadStoreUri) as caught:
            make_stores().place(uri)
        assert "hush" not in str(caught.value)

    def test_store_that_is_off(self, make_stores):
        with pytest.raises(exception.UnknownScheme):
            make_stores(stores="file").place("http://h/")


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
        assert stores.place(written.uri).size() == 9
        reader = stores.place(written.uri).open()
        assert b"".join(reader.body) == b"some data"
        reader.body.close()
        reader = stores.place(written.uri).open(5, 2)
        assert b"".join(reader.body) == b"da"
        reader.body.close()
        stores.place(written.uri).delete()
        with pytest.raises(exception.ImageDataNotFound):
            stores.place(written.uri).open()

    def test_a_copy_from_the_web(self, make_stores, web):
        data = bytes(range(256)) * 9000
        web.answers["/image"] = Answer(200, data)
        stores = make_stores()
        reader = stores.place(web.url("/image")).open()
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
            stores.place(f"file://{tmp_path}").delete()
        assert str(tmp_path) not in str(caught.value)
        assert "directory" in caplog.text.lower()

    def test_drivers_by_name(self, make_stores):
        stores = make_stores()
        assert list(stores.drivers("filesystem")) == ["file"]
        with pytest.raises(exception.Invalid, match="'swift'"):
            stores.drivers("swift")


class TestSeveral:
    """``enabled_backends`` (stores.md §2)."""

    @pytest.fixture
    def several(self, make_conf, tmp_path):
        def build(backends="fast:file,cheap:file,web:http", default="fast", **sections):
            sections.setdefault("glance_store", {"default_backend": default} if default else {})
            for name in ("fast", "cheap"):
                sections.setdefault(name, {"filesystem_store_datadir": tmp_path / name})
            return Stores(make_conf(enabled_backends=backends, **sections))

        return build

    def test_each_has_its_options(self, several, tmp_path):
        stores = several()
        assert stores.several
        assert stores.names == ["fast", "cheap", "web"]
        for name in ("fast", "cheap"):
            written = store_data(stores.for_upload(name), "i1", IterableSource([b"x"]), 1)
            assert written.uri == f"file://{tmp_path}/{name}/i1"
            assert written.metadata["store"] == name
            assert stores.place(written.uri, name).store == name

    def test_a_location_that_names_no_store_belongs_where_it_lies(self, several, tmp_path):
        stores = several()
        for name in ("fast", "cheap"):
            assert stores.place(f"file://{tmp_path}/{name}/i1").store == name
            assert stores.place(f"file://{tmp_path}/{name}/i1", "gone").store == name
            assert stores.place(f"file://{tmp_path}/{name}/i1", "web").store == name

    def test_schemes_are_no_names(self, several):
        for name in ("file", "filesystem", "http", "web", "nosuch"):
            with pytest.raises(exception.Invalid):
                several().for_upload(name)

    @pytest.mark.parametrize("default", [None, "nosuch", "file"])
    def test_the_default_must_be_one_of_them(self, several, default):
        with pytest.raises(exception.StoreConfigurationError, match="default_backend"):
            several(default=default)

    def test_the_default_must_be_writable(self, several):
        with pytest.raises(exception.StoreConfigurationError, match="nothing can be added"):
            several(default="web")

    @pytest.mark.parametrize("name", ["os_glance_staging_store", "glance_store", "backend_defaults"])
    def test_reserved_names(self, several, name):
        with pytest.raises(exception.ConfigurationError, match="reserved"):
            several(backends=f"fast:file,{name}:file")

    @pytest.mark.parametrize("kind", ["cinder", "nosuch"])
    def test_others_are_skipped(self, several, caplog, kind):
        with caplog.at_level(logging.WARNING):
            stores = several(backends=f"fast:file,other:{kind}")
        assert stores.names == ["fast"]
        assert "other is skipped" in caplog.text

    def test_what_they_share(self, several, tmp_path):
        stores = several(
            backend_defaults={"filesystem_store_file_perm": 640, "filesystem_store_datadir": tmp_path / "shared"},
            cheap={"filesystem_store_file_perm": 600},
        )
        assert stores.drivers("fast")["fast"].describe()["data_dir"] == str(tmp_path / "fast")
        assert stores.drivers("cheap")["cheap"].describe()["data_dir"] == str(tmp_path / "shared")
