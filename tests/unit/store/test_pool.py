"""Threads of one back end, in a process that eventlet has patched and in one that it has not."""

import os
import subprocess
import sys
import threading
import traceback

import pytest

from glance.common import exception
from glance.common.offload import native, offload
from glance.store.pool import ThreadPool


def test_without_eventlet_it_is_a_plain_call():
    assert ThreadPool(1).run(threading.get_ident) == threading.get_ident()


def green_results_and_errors():
    pool = ThreadPool(2)
    assert pool.run(divmod, 7, 4) == (1, 3)
    assert pool.run(native("threading").get_ident) != native("threading").get_ident()
    with pytest.raises(ZeroDivisionError):
        pool.run(divmod, 1, 0)


def green_calls_that_hang_hold_nobody_else():
    import eventlet

    pool, other = ThreadPool(3), ThreadPool(1)
    gate, running = native("threading").Event(), native("queue").SimpleQueue()

    def hang():
        running.put(1)
        gate.wait()
        return "done"

    hanging = [eventlet.spawn(pool.run, hang) for _ in range(50)]
    while running.qsize() < 3:
        eventlet.sleep(0.01)
    assert offload(str, 1) == other.run(str, 1) == "1"
    assert running.qsize() == 3  # no more threads than were asked for
    gate.set()
    assert [thread.wait() for thread in hanging] == ["done"] * 50
    assert running.qsize() == 50


def green_a_call_that_hangs_is_left_alone():
    pool, gate = ThreadPool(2), native("threading").Event()
    with pytest.raises(exception.StoreUnavailable):
        pool.run(gate.wait, patience=0.1)
    assert pool.run(str, 1, patience=0.1) == "1"
    gate.set()


def green_threads_are_made_when_they_are_needed():
    pool = ThreadPool(8)
    for _ in range(20):
        pool.run(str, 1)
    assert pool._threads == 1


def green_a_call_that_is_given_up():
    import eventlet

    pool, gate = ThreadPool(1), native("threading").Event()
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.05):
        pool.run(gate.wait)
    gate.set()
    assert pool.run(str, 1) == "1"


def green_after_a_fork():
    pool = ThreadPool(1)
    pool.run(str, 1)
    child = os.fork()
    if not child:
        import eventlet.hubs

        eventlet.hubs.use_hub()
        os._exit(0 if pool.run(str, 2) == "2" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def green_nothing_stays_open():
    pool = ThreadPool(2)
    pool.run(str, 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        pool.run(str, 1)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", [name for name in dict(globals()) if name.startswith("green_")])
def test_with_eventlet(name):
    command = [sys.executable, "-W", "ignore", "-m", "tests.unit.store.test_pool", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    import eventlet

    eventlet.monkey_patch()
    try:
        globals()[sys.argv[1]]()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
