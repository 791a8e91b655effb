"""The file store: its options, its files, and what a crash leaves."""

import contextlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.store import file
from glance.store.file import Datadir, FileDriver, parse_datadirs, parse_permissions
from tests.unit.store.contract import MIB, new_id, read, write


@pytest.fixture
def make_driver(make_conf, tmp_path):
    def build(**options):
        options = {f"filesystem_{name}": value for name, value in options.items()}
        if "filesystem_store_datadirs" not in options:
            options.setdefault("filesystem_store_datadir", tmp_path / "images")
        driver = FileDriver(make_conf(glance_store=options))
        driver.configure()
        return driver

    return build


@pytest.fixture
def public_directory():
    """A directory that every user can reach, unlike tmp_path."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def as_nobody():
    """The rights of an ordinary user; root may do everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestLocation:
    def test_is_the_path_of_a_file_called_like_the_image(self, make_driver, tmp_path):
        image_id = new_id()
        uri = write(make_driver(), b"data", image_id)
        assert uri == f"file://{tmp_path}/images/{image_id}"
        assert (tmp_path / "images" / image_id).read_bytes() == b"data"

    def test_trailing_slash_of_the_seed(self, make_driver, tmp_path):
        uri = write(make_driver(store_datadir=f"{tmp_path}/images/"), b"x", "id")
        assert uri == f"file://{tmp_path}/images/id"

    def test_filesystem_scheme(self, make_driver):
        driver = make_driver()
        uri = write(driver, b"x", new_id())
        assert read(driver, uri.replace("file://", "filesystem://")) == b"x"

    def test_image_of_an_earlier_datadir(self, make_driver, tmp_path):
        (tmp_path / "4").write_bytes(b"of 2011")
        driver = make_driver()
        assert read(driver, f"file://{tmp_path}/4") == b"of 2011"
        driver.delete(f"file://{tmp_path}/4")
        assert not (tmp_path / "4").exists()

    @pytest.mark.parametrize("uri", ["file://relative/path", "file://", "file:/x", "swift://x/y", "/plain", ""])
    def test_malformed(self, make_driver, uri):
        with pytest.raises(exception.BadStoreUri):
            make_driver().check_location(uri)

    def test_what_is_no_file(self, make_driver, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        driver = make_driver()
        for path in (tmp_path, tmp_path / "fifo", tmp_path / "images" / "x" / "y"):
            with pytest.raises(exception.ImageDataNotFound):
                driver.open(f"file://{path}")

    def test_deleting_a_directory_is_refused(self, make_driver, tmp_path):
        (tmp_path / "directory").mkdir()
        with pytest.raises(exception.Forbidden) as caught:
            make_driver().delete(f"file://{tmp_path}/directory")
        assert str(tmp_path) not in str(caught.value)


class TestDatadirs:
    @pytest.mark.parametrize(
        ("items", "expected"),
        [
            (["/a"], [("/a", 0)]),
            (["/a:100", "/b:-5"], [("/a", 100), ("/b", -5)]),
            (["/a:b:7"], [("/a:b", 7)]),
            (["/a/", "/a"], [("/a", 0)]),
            ([" /a : 3 "], [("/a", 3)]),
        ],
    )
    def test_parse(self, items, expected):
        assert parse_datadirs(items) == [Datadir(*pair) for pair in expected]

    @pytest.mark.parametrize("items", [["/a:"], ["/a:x"], [":5"], [""], ["/a:1.5"], ["/a:1", "/a:2"], ["/a:٣"]])
    def test_malformed(self, items):
        with pytest.raises(exception.ConfigurationError):
            parse_datadirs(items)

    @given(st.lists(st.text(alphabet=":-/a1 ", max_size=12), max_size=4))
    def test_any_text_parses_or_is_refused(self, items):
        with contextlib.suppress(exception.ConfigurationError):
            for path, priority in parse_datadirs(items):
                assert path.startswith("/")
                assert isinstance(priority, int)

    def test_datadirs_alone(self, make_driver, tmp_path):
        uri = write(make_driver(store_datadirs=[f"{tmp_path}/only"]), b"x", "id")
        assert uri == f"file://{tmp_path}/only/id"

    def test_both(self, make_driver, tmp_path):
        with pytest.raises(exception.ConfigurationError, match="only one of"):
            make_driver(store_datadir=tmp_path / "a", store_datadirs=[f"{tmp_path}/b"])

    def test_neither(self, make_driver):
        with pytest.raises(exception.ConfigurationError, match="Set filesystem_store_datadir"):
            make_driver(store_datadir="")

    @pytest.mark.parametrize(
        ("free", "size", "chosen"),
        [
            ({"high": 100, "low1": 500, "low2": 600}, 50, "high"),
            ({"high": 100, "low1": 500, "low2": 600}, 100, "high"),
            ({"high": 100, "low1": 500, "low2": 600}, 101, "low2"),
            ({"high": 100, "low1": 700, "low2": 600}, 101, "low1"),
            ({"high": 100, "low1": 500, "low2": 600}, None, "high"),
            ({"high": 0, "low1": 500, "low2": 600}, None, "high"),
        ],
    )
    def test_choice(self, make_driver, tmp_path, monkeypatch, free, size, chosen):
        driver = make_driver(store_datadirs=[f"{tmp_path}/low1:1", f"{tmp_path}/high:20", f"{tmp_path}/low2:1"])
        monkeypatch.setattr(file, "_free_space", lambda path: free[os.path.basename(path)])
        writer = driver.writer("id", size)
        assert writer.commit()[0] == f"file://{tmp_path}/{chosen}/id"

    def test_no_room_anywhere(self, make_driver, tmp_path):
        driver = make_driver(store_datadirs=[f"{tmp_path}/a:1", f"{tmp_path}/b:2"])
        with pytest.raises(exception.StorageFull):
            driver.writer("id", 2**62)
        assert list(driver.objects()) == []

    def test_a_datadir_that_vanished_is_passed_over(self, make_driver, tmp_path):
        driver = make_driver(store_datadirs=[f"{tmp_path}/gone:2", f"{tmp_path}/stays:1"])
        (tmp_path / "gone").rmdir()
        assert write(driver, b"x", "id") == f"file://{tmp_path}/stays/id"
        (tmp_path / "stays" / "id").unlink()
        (tmp_path / "stays").rmdir()
        with pytest.raises(exception.StoreUnavailable):
            driver.writer("id", 1)

    def test_an_id_is_taken_in_every_datadir(self, make_driver, tmp_path):
        driver = make_driver(store_datadirs=[f"{tmp_path}/a:1", f"{tmp_path}/b:2"])
        (tmp_path / "a" / "id").write_bytes(b"there")
        with pytest.raises(exception.Duplicate):
            driver.writer("id", 1)

    def test_remove_takes_only_the_file_that_was_found(self, make_driver, tmp_path):
        driver = make_driver(store_datadirs=[f"{tmp_path}/a:1", f"{tmp_path}/b:2"])
        for name, age in (("a", 1000), ("b", 2000)):
            (tmp_path / name / "id").write_bytes(b"x")
            os.utime(tmp_path / name / "id", (age, age))
        (old,) = [found for found in driver.objects() if found.modified == 1000]
        driver.remove(old)
        assert [found.modified for found in driver.objects()] == [2000]


class TestDirectory:
    def test_is_created(self, make_driver, tmp_path):
        make_driver(store_datadir=tmp_path / "a" / "b" / "c")
        assert (tmp_path / "a" / "b" / "c").is_dir()

    def test_that_is_a_file(self, make_driver, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(exception.ConfigurationError, match="not usable"):
            make_driver(store_datadir=tmp_path / "file")

    def test_not_writable(self, make_conf, public_directory):
        public_directory.chmod(0o555)
        driver = FileDriver(make_conf(glance_store={"filesystem_store_datadir": public_directory}))
        with as_nobody(), pytest.raises(exception.ConfigurationError, match="not usable"):
            driver.configure()
        assert driver.add_disabled
        with pytest.raises(exception.StoreAddDisabled):
            driver.writer("id", 1)


class TestPermissions:
    @pytest.mark.parametrize(("value", "mode"), [(0, 0), (640, 0o640), ("400", 0o400), (777, 0o777), ("0o600", 0o600)])
    def test_parse(self, value, mode):
        assert parse_permissions(value) == mode

    @pytest.mark.parametrize("value", [240, 40, 888, 9, 1777, -1, "rw", ""])
    def test_refused(self, value):
        with pytest.raises(exception.ConfigurationError):
            parse_permissions(value)

    def test_umask_by_default(self, make_driver, tmp_path):
        before = os.umask(0o027)
        try:
            write(make_driver(), b"x", "id")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "images" / "id").stat().st_mode) == 0o640

    @pytest.mark.parametrize(("digits", "directory"), [("600", 0o700), ("640", 0o710), ("604", 0o701), ("644", 0o711)])
    def test_file_and_directory(self, make_driver, tmp_path, digits, directory):
        (tmp_path / "images").mkdir(mode=0o700)
        write(make_driver(store_file_perm=digits), b"x", "id")
        assert stat.S_IMODE((tmp_path / "images" / "id").stat().st_mode) == int(digits, 8)
        assert stat.S_IMODE((tmp_path / "images").stat().st_mode) == directory


class TestMetadata:
    def commit(self, make_driver, tmp_path, content):
        (tmp_path / "metadata.json").write_text(content if isinstance(content, str) else json.dumps(content))
        writer = make_driver(store_metadata_file=tmp_path / "metadata.json").writer("id", 0)
        return writer.commit()[1]

    def test_object(self, make_driver, tmp_path):
        entry = {"id": "x", "mountpoint": str(tmp_path), "share": "nfs"}
        assert self.commit(make_driver, tmp_path, entry) == entry

    def test_list(self, make_driver, tmp_path):
        entries = [{"id": "a", "mountpoint": f"{tmp_path}/im"}, {"id": "b", "mountpoint": f"{tmp_path}/images/"}]
        assert self.commit(make_driver, tmp_path, entries) == entries[1]

    def test_none_matches(self, make_driver, tmp_path, caplog):
        assert self.commit(make_driver, tmp_path, {"id": "a", "mountpoint": "/elsewhere"}) == {}
        assert "mountpoint" in caplog.text

    @pytest.mark.parametrize("content", ["", "{", "3", "[3]", '{"id": "a"}', '{"id": 1, "mountpoint": "/"}', "[[]]"])
    def test_invalid(self, make_driver, tmp_path, content):
        with pytest.raises(exception.ConfigurationError, match="filesystem_store_metadata_file"):
            self.commit(make_driver, tmp_path, content)

    def test_missing(self, make_driver, tmp_path):
        with pytest.raises(exception.ConfigurationError, match="filesystem_store_metadata_file"):
            make_driver(store_metadata_file=tmp_path / "absent")


class TestThinProvisioning:
    @pytest.mark.parametrize(
        "data",
        [
            bytes(3 * MIB),
            b"x" * 70000 + bytes(2 * MIB) + b"y",
            bytes(MIB) + b"end",
            b"start" + bytes(2 * MIB + 5),
            b"",
            bytes(7),
            bytes(65535) + b"z" + bytes(65536),
        ],
    )
    def test_content_is_the_same_and_holes_take_no_room(self, make_driver, tmp_path, data):
        driver = make_driver(thin_provisioning=True)
        assert read(driver, write(driver, data, "id")) == data
        status = (tmp_path / "images" / "id").stat()
        assert status.st_size == len(data)
        if len(data) > MIB:
            assert status.st_blocks * 512 < len(data) - MIB // 2

    def test_off_by_default(self, make_driver, tmp_path):
        write(make_driver(), bytes(MIB), "id")
        assert (tmp_path / "images" / "id").stat().st_blocks * 512 >= MIB

    @given(data=st.lists(st.sampled_from([b"\0" * 512, b"\0" * 100, b"a", b"b" * 600]), max_size=20).map(b"".join))
    def test_any_mixture(self, tmp_path_factory, data):
        directory = tmp_path_factory.getbasetemp()
        writer = file._FileWriter(str(directory), "mixture", permissions=0, hole=512, metadata={})
        writer.write(memoryview(data))
        uri, _ = writer.commit()
        try:
            assert Path(uri.removeprefix("file://")).read_bytes() == data
        finally:
            writer.cancel()


class TestErrorsOfTheMedium:
    def test_file_too_big(self, make_driver):
        driver = make_driver()
        writer = driver.writer("id", None)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        try:
            with pytest.raises(exception.StorageFull):
                writer.write(memoryview(bytes(2 * MIB)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        writer.cancel()
        assert list(driver.objects()) == []

    def test_no_space(self, make_driver):
        writer = make_driver().writer("id", None)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._fd)
        os.close(full)
        with pytest.raises(exception.StorageFull):
            writer.write(memoryview(b"x"))
        writer.cancel()

    def test_permission_denied(self, make_driver, public_directory):
        driver = make_driver(store_datadir=public_directory)
        public_directory.chmod(0o555)
        with as_nobody(), pytest.raises(exception.StorageWriteDenied):
            driver.writer("id", None)

    def test_no_file_descriptors(self, make_driver):
        driver = make_driver()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(exception.StoreUnavailable):
                driver.writer("id", None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_directory_vanishes_before_commit(self, make_driver, tmp_path):
        writer = make_driver().writer("id", None)
        next((tmp_path / "images").iterdir()).unlink()
        with pytest.raises(exception.StoreUnavailable):
            writer.commit()
        writer.cancel()

    def test_file_system_without_hard_links(self, make_driver, monkeypatch):
        def refuse(*args):
            raise PermissionError(1, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        driver = make_driver()
        first, second = driver.writer("id", None), driver.writer("id", None)
        first.write(memoryview(b"first"))
        uri, _ = first.commit()
        with pytest.raises(exception.Duplicate):
            second.commit()
        second.cancel()
        assert read(driver, uri) == b"first"
        assert len(list(driver.objects())) == 1

    def test_cancel_after_a_commit_nobody_heard_of(self, make_driver):
        driver = make_driver()
        writer = driver.writer("id", None)
        writer.commit()
        writer.cancel()
        assert list(driver.objects()) == []


class TestParallelUploads:
    def test_one_of_many_wins(self, make_driver):
        driver = make_driver()
        start, outcomes = threading.Barrier(8), []

        def upload(number):
            writer = driver.writer("id", None)
            writer.write(memoryview(bytes([number]) * 1000))
            start.wait(10)
            try:
                outcomes.append((writer.commit()[0], number))
            except exception.Duplicate:
                writer.cancel()
                outcomes.append(None)

        threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        ((uri, number),) = [outcome for outcome in outcomes if outcome]
        assert len(outcomes) == 8
        assert read(driver, uri) == bytes([number]) * 1000
        assert [found.name for found in driver.objects()] == ["id"]


class TestObjects:
    def test_only_files_and_only_ids(self, make_driver, tmp_path):
        driver = make_driver()
        image_id = new_id()
        (tmp_path / "images" / "directory").mkdir()
        (tmp_path / "images" / "4").write_bytes(b"of 2011")
        (tmp_path / "images" / f"{image_id}.deadbeef.part").write_bytes(b"half")
        (tmp_path / "images" / f"{image_id}.backup").write_bytes(b"of an operator")
        (tmp_path / "images" / "link").symlink_to("4")
        found = {entry.name: (entry.image_id, entry.partial) for entry in driver.objects()}
        assert found == {
            "4": (None, False),
            f"{image_id}.deadbeef.part": (image_id, True),
            f"{image_id}.backup": (None, False),
        }

    def test_of_a_directory_that_is_gone(self, make_driver, tmp_path):
        driver = make_driver()
        (tmp_path / "images").rmdir()
        assert list(driver.objects()) == []
        driver.discard("id")

    def test_discard_does_not_touch_what_looks_similar(self, make_driver, tmp_path):
        driver = make_driver()
        for name in ("idx", "id.part", "id.1234.part", "xid.12345678.part", "id.12345678.part.x"):
            (tmp_path / "images" / name).write_bytes(b"x")
        driver.discard("id")
        assert len(list(driver.objects())) == 5


CRASH = """
import sys
from glance.store.file import _FileWriter
writer = _FileWriter(sys.argv[1], sys.argv[2], permissions=0, hole=0, metadata={})
block = memoryview(bytes(1024 * 1024))
for _ in range(20):
    writer.write(block)
print("writing", flush=True)
for _ in range(1000):
    writer.write(block)
    sys.stdin.readline()
"""


def test_a_killed_upload_leaves_one_partial_file(make_driver, tmp_path):
    driver, image_id = make_driver(), new_id()
    child = subprocess.Popen(
        [sys.executable, "-c", CRASH, tmp_path / "images", image_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout.readline() == b"writing\n"
        child.send_signal(signal.SIGKILL)
    (found,) = driver.objects()
    assert (found.image_id, found.partial) == (image_id, True)
    assert not (tmp_path / "images" / image_id).exists()
    assert read(driver, write(driver, b"next try", image_id)) == b"next try"
    (tmp_path / "images" / image_id).unlink()
    driver.discard(image_id)
    assert list(driver.objects()) == []
