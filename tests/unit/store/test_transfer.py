"""The upload pipeline, on native threads and under eventlet (see ``scenarios``)."""

import json
import os
import subprocess
import sys

import pytest

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
