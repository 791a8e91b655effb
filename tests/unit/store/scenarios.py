"""What the upload pipeline must do, whatever kind of threads it runs on.

``test_transfer.py`` calls each ``scenario_*`` function in its own process, and ``main`` in
one that eventlet has patched, which runs them again and the ``green_*`` ones as well.
"""

import contextlib
import hashlib
import json
import os
import random
import socket
import tempfile
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from glance.common import exception
from glance.common.offload import native
from glance.store.base import Driver
from glance.store.file import FileDriver
from glance.store.transfer import BLOCK, BUFFERS, IterableSource, store_data


class Boom(Exception):
    pass


class Source:
    """``readinto`` over ``data``, in pieces of at most ``piece`` bytes; then ``error`` or the end."""

    def __init__(self, data: bytes, piece: int = 10 * BLOCK, error: BaseException | None = None) -> None:
        self.data = memoryview(data)
        self.piece = piece
        self.error = error
        self.buffers: set[int] = set()

    def readinto(self, view: memoryview) -> int:
        self.buffers.add(id(view.obj))
        count = min(len(view), self.piece, len(self.data))
        if not count and self.error is not None:
            raise self.error
        view[:count] = self.data[:count]
        self.data = self.data[count:]
        return count


class Memory(Driver):
    """Keeps what is written; ``fail`` maps "writer", a number of a write, "commit" to an error."""

    NAME = "memory"
    BLOCKING = True

    def __init__(self, fail=None, delay=0.0):
        self.fail = fail or {}
        self.delay = delay
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.data = bytearray()

    def note(self, what, number=None):
        self.calls.append(what)
        self.threads.add(_native_id())
        error = self.fail.get(number or what)
        if error is not None:
            raise error

    def writer(self, image_id, size):
        self.note("writer")
        return SimpleNamespace(write=self.write, commit=self.commit, cancel=self.cancel)

    def write(self, data):
        if self.delay:
            _native_sleep(self.delay)
        self.note("write", self.calls.count("write") + 1)
        self.data += data

    def commit(self):
        if self.delay:
            _native_sleep(self.delay)
        self.note("commit")
        return "memory://x", {"a": "b"}

    def cancel(self):
        self.note("cancel")


class Inline(Memory):
    BLOCKING = False


def _native_sleep(seconds):
    native("time").sleep(seconds)


def _native_id():
    return native("threading").get_native_id()


def _native_threads():
    return len(os.listdir("/proc/self/task"))


def _file_driver(directory: Path) -> FileDriver:
    options = SimpleNamespace(
        filesystem_store_datadir=str(directory),
        filesystem_store_datadirs=None,
        filesystem_store_file_perm=0,
        filesystem_store_metadata_file=None,
        filesystem_store_chunk_size=65536,
        filesystem_thin_provisioning=False,
    )
    driver = FileDriver({"glance_store": options})
    driver.configure()
    return driver


def _fails_with(error, driver, source, size=None, **options):
    """The transfer raises exactly ``error`` (or a ``type``), and cancels last."""
    with pytest.raises(error if isinstance(error, type) else type(error)) as caught:
        store_data(driver, "x", source, size, **options)
    if not isinstance(error, type):
        assert caught.value is error
    assert driver.calls[-1] == "cancel"
    assert driver.calls.count("cancel") == 1


# --- what arrives ---------------------------------------------------------------


def scenario_sizes(directory):
    driver = _file_driver(directory)
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK + 13):
        for announced in (size, None):
            data = os.urandom(size)
            written = store_data(driver, "x", Source(data), announced)
            assert written.uri == f"file://{directory}/x"
            assert Path(directory, "x").read_bytes() == data
            assert written.size == size
            assert written.checksum == hashlib.md5(data).hexdigest()
            assert (written.hash_algo, written.hash_value) == ("sha512", hashlib.sha512(data).hexdigest())
            driver.delete(written.uri)


def scenario_hashes(directory):
    for name in ("sha256", "sha3_256", "blake2b", "md5"):
        written = store_data(Memory(), "x", Source(b"data"), 4, hash_algo=name)
        assert (written.hash_algo, written.hash_value) == (name, hashlib.new(name, b"data").hexdigest())
        assert written.checksum == hashlib.md5(b"data").hexdigest()


def scenario_location_metadata(directory):
    assert store_data(Memory(), "x", Source(b""), 0).metadata == {"a": "b"}


def scenario_kinds_of_source(directory):
    data = os.urandom(3 * BLOCK + 5)
    path = Path(directory, "source")
    path.write_bytes(data)
    pieces = [data[:5], b"", data[5:BLOCK], data[BLOCK:]]
    with path.open("rb") as file:
        only_read = SimpleNamespace(read=file.read)
        for source in (
            Source(data),
            Source(data, piece=70001),
            only_read,
            pieces,
            iter(pieces),
            IterableSource(pieces),
        ):
            driver = Memory()
            store_data(driver, "x", source, len(data))
            assert driver.data == data


def scenario_order_is_kept(directory):
    data = os.urandom(24 * BLOCK)
    driver = Memory(delay=0.002)
    written = store_data(driver, "x", Source(data, piece=random.randint(100_000, BLOCK)), None)
    assert driver.data == data
    assert written.hash_value == hashlib.sha512(data).hexdigest()


def scenario_progress(directory):
    seen = []
    store_data(Memory(), "x", Source(bytes(2 * BLOCK + 3)), None, on_progress=seen.append)
    assert seen == [BLOCK, 2 * BLOCK, 2 * BLOCK + 3]


def scenario_memory_is_bounded(directory):
    source = Source(bytes(40 * BLOCK))
    store_data(Memory(delay=0.001), "x", source, None)
    assert len(source.buffers) <= BUFFERS


def scenario_a_trickle_takes_one_buffer(directory):
    source = Source(bytes(1000), piece=1)
    driver = Memory()
    store_data(driver, "x", source, None)
    assert len(source.buffers) == 1
    assert driver.calls.count("write") == 1


# --- what is refused --------------------------------------------------------------


def scenario_too_few(directory):
    for size, data in ((1, b""), (10, b"123"), (3 * BLOCK, bytes(3 * BLOCK - 1))):
        _fails_with(exception.Invalid, Memory(), Source(data), size)


def scenario_too_many(directory):
    for size, data in ((0, b"1"), (3, b"1234"), (BLOCK, bytes(BLOCK + 1)), (BLOCK, bytes(5 * BLOCK))):
        driver = Memory()
        _fails_with(exception.Invalid, driver, Source(data), size)
        assert len(driver.data) <= size


def scenario_limit(directory):
    error = exception.StorageQuotaFull(image_size=1, remaining=0)
    for limit in (0, 5, BLOCK, 2 * BLOCK - 1):
        store_data(Memory(), "x", Source(bytes(limit)), None, limit=limit, exceeded=error)
        driver = Memory()
        _fails_with(error, driver, Source(bytes(limit + 1)), None, limit=limit, exceeded=error)
        assert len(driver.data) <= limit
    _fails_with(exception.ImageSizeLimitExceeded, Memory(), Source(b"123"), None, limit=2)


def scenario_announced_beyond_the_limit(directory):
    driver, source = Memory(), Source(bytes(100))
    with pytest.raises(exception.LimitExceeded):
        store_data(driver, "x", source, 100, limit=99)
    assert driver.calls == []
    assert len(source.data) == 100


# --- what goes wrong ----------------------------------------------------------------


def scenario_source_breaks_off(directory):
    for data in (b"", b"123", bytes(BLOCK), bytes(9 * BLOCK + 1)):
        error = ConnectionResetError("gone")
        _fails_with(error, Memory(), Source(data, error=error), 10 * BLOCK)


def scenario_iterable_breaks_off(directory):
    error = exception.StoreUnavailable()

    def blocks():
        yield bytes(2 * BLOCK)
        raise error

    _fails_with(error, Memory(), blocks())


def scenario_write_fails(directory):
    for number in (1, 2, 7):
        error = exception.StorageFull()
        driver = Memory(fail={number: error}, delay=0.001)
        source = Source(bytes(60 * BLOCK))
        _fails_with(error, driver, source)
        assert len(source.data) > 40 * BLOCK, "went on reading after the failure"


def scenario_commit_fails(directory):
    error = exception.Duplicate()
    _fails_with(error, Memory(fail={"commit": error}), Source(bytes(3 * BLOCK)))


def scenario_writer_is_refused(directory):
    error = exception.StoreAddDisabled()
    driver, source = Memory(fail={"writer": error}), Source(b"data")
    with pytest.raises(exception.StoreAddDisabled) as caught:
        store_data(driver, "x", source, 4)
    assert caught.value is error
    assert driver.calls == ["writer"]
    assert len(source.data) == 4


def scenario_progress_refuses(directory):
    def refuse(total):
        raise Boom

    _fails_with(Boom, Memory(), Source(bytes(3 * BLOCK)), on_progress=refuse)


def scenario_nothing_stays_on_disk(directory):
    driver = _file_driver(directory)
    for source, size in (
        (Source(bytes(5 * BLOCK), error=OSError("gone")), None),
        (Source(bytes(5 * BLOCK)), 6 * BLOCK),
        (Source(bytes(5 * BLOCK)), 4 * BLOCK),
    ):
        with pytest.raises((OSError, exception.Invalid)):
            store_data(driver, "x", source, size)
        assert os.listdir(directory) == []


def scenario_existing_image_stays(directory):
    driver = _file_driver(directory)
    store_data(driver, "x", Source(b"first"), None)
    with pytest.raises(exception.Duplicate):
        store_data(driver, "x", Source(b"second"), None)
    assert Path(directory, "x").read_bytes() == b"first"


def scenario_no_threads_or_files_are_left(directory):
    driver = _file_driver(directory)
    store_data(driver, "x", Source(b"warm up"), None)
    files, threads = len(os.listdir("/proc/self/fd")), _native_threads()
    for number in range(20):
        with contextlib.suppress(exception.Invalid):
            store_data(driver, f"{number}", Source(bytes(3 * BLOCK)), 2 * BLOCK + BLOCK * (number % 2))
    end = time.monotonic() + 5
    while _native_threads() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert _native_threads() <= threads
    assert len(os.listdir("/proc/self/fd")) == files


def scenario_no_threads_to_be_had(directory):
    threading_module, files = native("threading"), len(os.listdir("/proc/self/fd"))
    start = threading_module.Thread.start

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    threading_module.Thread.start = refuse
    try:
        driver = Memory()
        with pytest.raises(exception.StoreUnavailable):
            store_data(driver, "x", Source(b"data"), None)
    finally:
        threading_module.Thread.start = start
    assert driver.calls == []
    assert len(os.listdir("/proc/self/fd")) == files


def scenario_a_store_that_hangs(directory):
    """The caller gets an answer; what was begun is cancelled when the store moves again."""
    for hangs_at in ("writer", "write", "commit"):
        gate = native("threading").Event()

        class Hanging(Memory):
            patience = 0.2

            def note(self, what, number=None, hangs_at=hangs_at, gate=gate):
                if what == hangs_at:
                    gate.wait()
                super().note(what, number)

        driver, files = Hanging(), len(os.listdir("/proc/self/fd"))
        with pytest.raises(exception.StoreUnavailable) as caught:
            store_data(driver, "x", Source(bytes(3 * BLOCK)), None)
        assert "0.2 seconds" in str(caught.value.__cause__)
        assert len(os.listdir("/proc/self/fd")) == files
        assert hangs_at not in driver.calls
        gate.set()
        end = time.monotonic() + 5
        while driver.calls[-1:] != ["cancel"] and time.monotonic() < end:
            time.sleep(0.01)
        assert driver.calls[-1] == "cancel"


def scenario_slow_is_not_hanging(directory):
    driver = Memory(delay=0.1)
    driver.patience = 0.3
    store_data(driver, "x", Source(bytes(6 * BLOCK)), None)
    assert driver.calls[-1] == "commit"


# --- where it runs ---------------------------------------------------------------------


def scenario_blocking_drivers_run_in_one_thread(directory):
    driver = Memory()
    store_data(driver, "x", Source(bytes(3 * BLOCK)), None)
    assert len(driver.threads) == 1
    assert driver.threads != {_native_id()}


def scenario_other_drivers_run_in_the_caller(directory):
    driver = Inline()
    written = store_data(driver, "x", Source(bytes(3 * BLOCK + 1)), None)
    assert driver.threads == {_native_id()}
    assert written.checksum == hashlib.md5(bytes(3 * BLOCK + 1)).hexdigest()
    error = exception.StoreUnavailable()
    _fails_with(error, Inline(fail={2: error}), Source(bytes(3 * BLOCK)))


def scenario_several_at_once(directory):
    driver = _file_driver(directory)
    outcomes = {}

    def upload(number):
        data = random.Random(number).randbytes(3 * BLOCK + number)
        written = store_data(driver, f"image{number}", Source(data, piece=100_000), len(data))
        outcomes[number] = written.checksum == hashlib.md5(data).hexdigest()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == dict.fromkeys(range(6), True)


def scenario_over_a_socket(directory):
    data = os.urandom(8 * BLOCK + 11)
    near, far = socket.socketpair()

    def send():
        far.sendall(data)
        far.close()

    sender = threading.Thread(target=send)
    sender.start()
    with near:
        written = store_data(_file_driver(directory), "x", SimpleNamespace(readinto=near.recv_into), None)
    sender.join(10)
    assert Path(directory, "x").read_bytes() == data
    assert written.size == len(data)


# --- only under eventlet ------------------------------------------------------------------


class _Turns:
    """Counts how often another green thread gets its turn."""

    def __enter__(self):
        import eventlet

        self.count, self._thread = 0, eventlet.spawn(self._run)
        return self

    def _run(self):
        import eventlet

        while True:
            eventlet.sleep(0)
            self.count += 1

    def __exit__(self, *args):
        self._thread.kill()


class _Watched(Source):
    """Notes at each read how many turns the others have had; is busy for ``delay`` seconds."""

    def __init__(self, turns, delay, data, piece):
        super().__init__(data, piece)
        self.turns, self.delay, self.seen = turns, delay, set()

    def readinto(self, view):
        self.seen.add(self.turns.count)
        _native_sleep(self.delay)
        return super().readinto(view)


def green_fast_sources_let_others_run(directory):
    with _Turns() as turns:
        source = _Watched(turns, 0, bytes(40 * BLOCK), BLOCK)
        store_data(Memory(), "x", source, None)
    assert len(source.seen) >= 40


def green_busy_sources_let_others_run_between_pieces(directory):
    with _Turns() as turns:
        source = _Watched(turns, 0.003, bytes(3000), 100)
        store_data(Memory(), "x", source, None)
    assert len(source.seen) >= 30


def green_slow_disks_let_others_run(directory):
    with _Turns() as turns:
        store_data(Memory(delay=0.05), "x", Source(bytes(2 * BLOCK)), None)
    assert turns.count >= 50


def green_a_timeout_cancels(directory):
    import eventlet

    class Stalled:
        def readinto(self, view):
            eventlet.sleep(30)

    driver = Memory()
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.05):
        store_data(driver, "x", Stalled(), None)
    assert driver.calls == ["writer", "cancel"]


def green_a_kill_during_commit_cancels_after_it(directory):
    import eventlet
    import greenlet

    driver = Memory(delay=0.2)
    thread = eventlet.spawn(store_data, driver, "x", Source(b"data"), None)
    while "write" not in driver.calls:
        eventlet.sleep(0.005)
    eventlet.sleep(0.05)
    thread.kill()
    with contextlib.suppress(greenlet.GreenletExit):
        thread.wait()
    assert driver.calls == ["writer", "write", "commit", "cancel"]


SCENARIOS = {name: value for name, value in globals().items() if name.startswith("scenario_")}
GREEN = {name: value for name, value in globals().items() if name.startswith("green_")}


def main(directory: str) -> None:
    """Run everything; print a JSON object of scenario and traceback, "" where it passed."""
    outcomes = {}
    for name, scenario in {**SCENARIOS, **GREEN}.items():
        try:
            scenario(Path(tempfile.mkdtemp(dir=directory)))
            outcomes[name] = ""
        except BaseException:
            outcomes[name] = traceback.format_exc()
    print(json.dumps(outcomes))
