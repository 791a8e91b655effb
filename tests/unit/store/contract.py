"""What every store driver does: the executable form of ``glance.store.base``.

A test module subclasses a contract and gives it three fixtures:

* ``driver``: configured and empty
* ``place``: a function ``(data, image_id) -> location``; for a driver that can write, the
  one here will do
* ``absent``: the location of an object that does not exist

Drivers that can write subclass ``WritableContract``, others ``ReadOnlyContract``; ranges
follow from what the driver declares.  Each test ends with a look for leaks.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from glance.common import exception
from glance.store.base import Driver, Writer

MIB = 1024 * 1024


def new_id() -> str:
    return str(uuid.uuid4())


def write(driver: Driver, data: bytes, image_id: str) -> str:
    """Upload ``data``; return its location."""
    writer = driver.writer(image_id, len(data))
    view = memoryview(data)
    for start in range(0, len(data), MIB):
        writer.write(view[start : start + MIB])
    return writer.commit()[0]


def read(driver: Driver, uri: str, offset: int = 0, length: int | None = None) -> bytes:
    reader = driver.open(uri, offset, length)
    try:
        data = b"".join(reader.body)
    finally:
        close = getattr(reader.body, "close", lambda: None)
        close()
        close()
    assert reader.length is None or reader.length == len(data)
    return data


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class DriverContract:
    @pytest.fixture
    def place(self, driver: Driver) -> Callable[[bytes, str], str]:
        return lambda data, image_id: write(driver, data, image_id)

    @pytest.fixture
    def uploads(self, driver: Driver) -> Iterator[list[Writer]]:
        """Writers that a test leaves open are cancelled."""
        writers: list[Writer] = []
        yield writers
        for writer in writers:
            writer.cancel()

    def settle(self, driver: Driver) -> None:
        """Close what a driver keeps open on purpose, such as idle connections."""

    @pytest.fixture(autouse=True)
    def no_leaks(self, driver: Driver, uploads: list[Writer]) -> Iterator[None]:
        files = open_files()
        yield
        for writer in uploads:
            writer.cancel()
        for found in list(driver.objects()):
            assert not found.partial, f"{found} was left behind"
            driver.remove(found)
        assert list(driver.objects()) == []
        self.settle(driver)
        end = time.monotonic() + 5  # a server of the test may close its half a little later
        while open_files() > files and time.monotonic() < end:
            time.sleep(0.01)
        assert open_files() <= files

    def test_declares_itself(self, driver):
        assert driver.NAME
        assert driver.SCHEMES

    def test_a_back_end_that_is_there(self, driver):
        driver.check()

    @pytest.mark.parametrize("size", [1, 1000, MIB, 2 * MIB + 17])
    def test_reads_what_was_placed(self, driver, place, size):
        data = os.urandom(size)
        uri = place(data, new_id())
        driver.check_location(uri)
        assert driver.size(uri) == size
        assert read(driver, uri) == data

    def test_opens_an_object_several_times(self, driver, place):
        uri = place(b"twice", new_id())
        first, second = driver.open(uri), driver.open(uri)
        assert b"".join(first.body) == b"".join(second.body) == b"twice"
        first.body.close()
        second.body.close()

    def test_a_body_may_be_given_up(self, driver, place):
        body = driver.open(place(os.urandom(3 * MIB), new_id())).body
        next(iter(body))
        body.close()

    def test_missing_object(self, driver, absent):
        with pytest.raises(exception.ImageDataNotFound):
            driver.size(absent)
        with pytest.raises(exception.ImageDataNotFound):
            driver.open(absent)

    @pytest.mark.parametrize("rest", ["", "://", ":", "://\0", ":/x", "//x"])
    def test_malformed_locations(self, driver, rest):
        for call in (driver.check_location, driver.size, driver.open):
            with pytest.raises(exception.BadStoreUri) as caught:
                call(driver.SCHEMES[0] + rest)
            assert str(caught.value) == exception.BadStoreUri.message

    def test_location_of_another_store(self, driver):
        for call in (driver.check_location, driver.size, driver.open):
            with pytest.raises(exception.BadStoreUri):
                call("nosuchstore://host/path")

    def test_scheme_in_capitals(self, driver, place):
        scheme, _, rest = place(b"x", new_id()).partition(":")
        driver.check_location(f"{scheme.upper()}:{rest}")

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, 0), (0, 1), (0, 5000), (1, 10), (4999, 1), (2500, None), (4990, 100), (5000, None), (9000, 10)],
    )
    def test_ranges(self, driver, place, offset, length):
        data = os.urandom(5000)
        uri = place(data, new_id())
        if driver.RANGES:
            end = None if length is None else offset + length
            assert read(driver, uri, offset, length) == data[offset:end]
        else:
            with pytest.raises(exception.StoreRandomGetNotSupported):
                driver.open(uri, offset, length)

    def test_discarding_nothing(self, driver):
        driver.discard(new_id())

    def test_acls_may_be_set_on_any_store(self, driver, place):
        driver.set_acls(place(b"x", new_id()), public=True, read=["a"], write=["b"])


class WritableContract(DriverContract):
    """Also for drivers that images can be added to."""

    def die(self, writer: Writer) -> None:
        """Let go of what the death of a worker lets go of by itself, such as locks."""

    def test_empty_object(self, driver, place):
        uri = place(b"", new_id())
        assert driver.size(uri) == 0
        assert read(driver, uri) == b""

    def test_nothing_has_the_final_name_before_commit(self, driver, uploads):
        image_id = new_id()
        uploads.append(driver.writer(image_id, None))
        uploads[0].write(memoryview(b"half"))
        assert [found for found in driver.objects() if not found.partial] == []
        assert {found.image_id for found in driver.objects()} <= {image_id}
        uri, metadata = uploads[0].commit()
        assert isinstance(metadata, dict)
        assert read(driver, uri) == b"half"
        uploads.clear()

    def test_the_buffer_is_used_again(self, driver):
        buffer = bytearray(b"aaaa")
        writer = driver.writer(new_id(), 8)
        writer.write(memoryview(buffer))
        buffer[:] = b"bbbb"
        writer.write(memoryview(buffer))
        assert read(driver, writer.commit()[0]) == b"aaaabbbb"

    @pytest.mark.parametrize("size", [None, 0, 4, 10])
    def test_the_announced_size_is_only_advice(self, driver, size):
        writer = driver.writer(new_id(), size)
        writer.write(memoryview(b"1234"))
        assert driver.size(writer.commit()[0]) == 4

    def test_cancel_leaves_nothing(self, driver):
        writer = driver.writer(new_id(), None)
        writer.write(memoryview(b"x" * 10000))
        writer.cancel()
        writer.cancel()
        assert list(driver.objects()) == []

    def test_cancel_before_the_first_byte(self, driver):
        driver.writer(new_id(), None).cancel()
        assert list(driver.objects()) == []

    def test_an_id_can_be_used_again_after_a_cancel(self, driver):
        image_id = new_id()
        driver.writer(image_id, 1).cancel()
        assert read(driver, write(driver, b"again", image_id)) == b"again"

    def test_existing_object_is_not_overwritten(self, driver):
        image_id = new_id()
        uri = write(driver, b"first", image_id)
        with pytest.raises(exception.Duplicate):
            write(driver, b"second", image_id)
        assert read(driver, uri) == b"first"

    def test_of_two_uploads_one_wins(self, driver, uploads):
        image_id = new_id()
        uploads += [driver.writer(image_id, None), driver.writer(image_id, None)]
        uploads[0].write(memoryview(b"first"))
        uploads[1].write(memoryview(b"second"))
        uri, _ = uploads[0].commit()
        with pytest.raises(exception.Duplicate):
            uploads[1].commit()
        uploads[1].cancel()
        assert read(driver, uri) == b"first"
        uploads.clear()

    @pytest.mark.parametrize("image_id", ["", ".", "..", "../x", "a/b", "/etc/x", "a\0b"])
    def test_ids_that_are_no_names(self, driver, image_id):
        with pytest.raises(exception.Invalid):
            driver.writer(image_id, 1)

    def test_disabled(self, driver):
        driver.add_disabled = "for a test"
        with pytest.raises(exception.StoreAddDisabled):
            driver.writer(new_id(), 1)

    def test_delete(self, driver):
        uri = write(driver, b"x", new_id())
        driver.delete(uri)
        for call in (driver.size, driver.open, driver.delete):
            with pytest.raises(exception.ImageDataNotFound):
                call(uri)

    def test_objects(self, driver):
        ids = [new_id(), new_id()]
        for number, image_id in enumerate(ids):
            write(driver, b"x" * (number + 1), image_id)
        found = {entry.image_id: entry for entry in driver.objects()}
        assert set(found) == set(ids)
        assert [found[image_id].size for image_id in ids] == [1, 2]
        for entry in found.values():
            assert not entry.partial
            assert entry.modified is None or abs(entry.modified - time.time()) < 300

    def test_remove(self, driver):
        uri = write(driver, b"x", new_id())
        keep = write(driver, b"keep", new_id())
        (found,) = [entry for entry in driver.objects() if entry.size == 1]
        driver.remove(found)
        driver.remove(found)
        with pytest.raises(exception.ImageDataNotFound):
            driver.size(uri)
        assert read(driver, keep) == b"keep"

    def test_discard_removes_what_one_image_left(self, driver, uploads):
        dead, other = new_id(), new_id()
        uploads += [driver.writer(dead, None), driver.writer(other, None)]
        for writer in uploads:
            writer.write(memoryview(b"part"))
        kept = write(driver, b"complete", new_id())
        self.die(uploads[0])
        driver.discard(dead)
        assert dead not in {found.image_id for found in driver.objects()}
        uri, _ = uploads[1].commit()
        assert read(driver, uri) == b"part"
        assert read(driver, kept) == b"complete"
        del uploads[1]

    def test_discard_removes_a_complete_object(self, driver):
        image_id = new_id()
        uri = write(driver, b"complete", image_id)
        driver.discard(image_id)
        with pytest.raises(exception.ImageDataNotFound):
            driver.size(uri)


class ReadOnlyContract(DriverContract):
    """Also for drivers that nothing can be added to."""

    def test_refuses_to_write(self, driver):
        assert not driver.WRITABLE
        with pytest.raises(exception.StoreAddDisabled):
            driver.writer(new_id(), 1)

    def test_refuses_to_delete(self, driver, place):
        uri = place(b"stays", new_id())
        with pytest.raises(exception.StoreDeleteNotSupported):
            driver.delete(uri)
        assert read(driver, uri) == b"stays"

    def test_lists_nothing(self, driver, place):
        place(b"x", new_id())
        assert list(driver.objects()) == []
