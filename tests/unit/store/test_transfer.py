"""The upload pipeline, on native threads and under eventlet (see ``scenarios``)."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from glance.common.offload import native
from glance.store.transfer import BLOCK, BUFFERS, store_data
from tests.unit.store import scenarios


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_on_native_threads(name, tmp_path):
    scenarios.SCENARIOS[name](tmp_path)


@pytest.fixture(scope="module")
def green(tmp_path_factory):
    """Outcomes of all scenarios in a process that eventlet has patched."""
    program = (
        "import eventlet; eventlet.monkey_patch(); import sys; "
        "from tests.unit.store import scenarios; scenarios.main(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, tmp_path_factory.mktemp("green")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or "."},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert done.returncode == 0
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*scenarios.SCENARIOS, *scenarios.GREEN])
def test_under_eventlet(name, green):
    assert green[name] == "", green[name]


# --- observers ---------------------------------------------------------------------


def observers_see_everything_in_order():
    data, first, second = os.urandom(9 * BLOCK + 5), bytearray(), bytearray()
    threads = set()

    def slow(view):
        native("time").sleep(0.002)
        threads.add(native("threading").get_native_id())
        first.extend(view)

    driver = scenarios.Memory()
    written = store_data(driver, "x", scenarios.Source(data), None, observers=[slow, second.extend])
    assert first == second == driver.data == data
    assert written.checksum == hashlib.md5(data).hexdigest()
    assert len(threads) == 1
    assert native("threading").get_native_id() not in threads


def observer_ends_the_transfer():
    error = scenarios.Boom()
    seen = []

    def fussy(view):
        seen.append(len(view))
        raise error

    for size in (3, 50 * BLOCK):  # the last block, and one of many
        driver, source = scenarios.Memory(), scenarios.Source(bytes(size))
        with pytest.raises(scenarios.Boom) as caught:
            store_data(driver, "x", source, None, observers=[fussy])
        assert caught.value is error
        assert "commit" not in driver.calls
        assert driver.calls.count("cancel") == 1
        assert len(source.data) >= size - (len(seen) + BUFFERS) * BLOCK
    assert len(seen) < 20


OBSERVED = [observers_see_everything_in_order, observer_ends_the_transfer]


@pytest.mark.parametrize("check", OBSERVED, ids=lambda check: check.__name__)
def test_observers(check):
    check()


@pytest.mark.parametrize("check", OBSERVED, ids=lambda check: check.__name__)
def test_observers_under_eventlet(check):
    program = (
        "import eventlet; eventlet.monkey_patch(); "
        f"from tests.unit.store import test_transfer; test_transfer.{check.__name__}()"
    )
    path = os.pathsep.join(path for path in sys.path if path) or "."
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env={**os.environ, "PYTHONPATH": path}, timeout=120
    )
    assert done.returncode == 0
