"""Real glance-control processes over a small real server program."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]

# Obeys TERM, notes HUP, and ends by itself after a minute whatever happens to the test.
# FAKE_EXIT: end at once with this code.  FAKE_DEAF: ignore TERM.
SERVER = """#!{python} -ES
import json, os, signal, sys, time
signal.alarm(60)
name = os.path.basename(sys.argv[0])
def note(**what):
    with open(os.path.join({directory!r}, name + ".log"), "a") as log:
        log.write(json.dumps(what) + "\\n")
def term(*_):
    note(signal="TERM")
    if not os.environ.get("FAKE_DEAF"):
        sys.exit(0)
signal.signal(signal.SIGTERM, term)
signal.signal(signal.SIGHUP, lambda *_: note(signal="HUP"))
print("hello from", name, flush=True)
note(pid=os.getpid(), program=sys.argv[0], args=sys.argv[1:])
if os.environ.get("FAKE_EXIT"):
    sys.exit(int(os.environ["FAKE_EXIT"]))
while True:
    signal.pause()
"""

CONTROL = """
import sys
from glance.control import commands, pid_file
pid_file.SYSTEM_DIRECTORY, commands.STOP_SECONDS = sys.argv.pop(1), float(sys.argv.pop(1))
from glance.cmd.control import main
sys.exit(main())
"""

# Whoever runs the tests may be as unprivileged as this line says; one test is about it.
LIMIT_LINE = "Unable to increase file descriptor limit.  Running as non-root?"


def wait_for(condition, seconds: float = 20):
    """The first true value of ``condition()``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return value


class Control:
    """A directory with fake servers on PATH, an interpreter with nothing beside it, and glance-control over them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "programs"
        self.run_directory = directory / "run"
        self.home = directory / "home"
        self.home.mkdir()
        self.python = directory / "interpreter" / "python"
        self.python.parent.mkdir()
        self.python.symlink_to(sys.executable)
        self.stop_seconds = 15.0
        self.environment = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONPATH": str(CHECKOUT),
            "TMPDIR": str(directory),
        }
        for server in ("glance-api", "glance-registry"):
            self.add_program(server)

    def add_program(self, name: str, directory: Path | None = None, text: str = SERVER) -> None:
        directory = directory or self.programs
        directory.mkdir(parents=True, exist_ok=True)
        program = directory / name
        program.write_text(text.format(python=self.python, directory=str(self.directory)))
        program.chmod(0o755)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-c", CONTROL, str(self.run_directory), str(self.stop_seconds), *arguments]

    def __call__(self, *arguments: str, **options) -> "Result":
        environment = self.environment | options.pop("environment", {})
        done = subprocess.run(
            self.command(*arguments),
            env=environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )
        return Result(done)

    def notes(self, server: str = "glance-api") -> list[dict]:
        log = self.directory / f"{server}.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def starts(self, server: str = "glance-api") -> list[dict]:
        """What each process of the server noted at its start."""
        return [note for note in self.notes(server) if "pid" in note]

    def started(self, server: str = "glance-api", times: int = 1) -> dict:
        """The note of the server's start number ``times``, waited for."""
        return wait_for(lambda: self.starts(server)[times - 1 :])[0]

    def pid_file(self, server: str = "glance-api") -> Path:
        return self.run_directory / f"{server}.pid"

    def clean_up(self) -> None:
        for log in self.directory.glob("*.log"):
            for start in self.starts(log.stem):
                with contextlib.suppress(OSError):
                    if str(self.directory).encode() in Path(f"/proc/{start['pid']}/cmdline").read_bytes():
                        os.kill(start["pid"], signal.SIGKILL)


class Result:
    """Exit code and lines of a finished glance-control."""

    def __init__(self, done: subprocess.CompletedProcess) -> None:
        self.code = done.returncode
        self.limit_line = LIMIT_LINE in done.stdout.splitlines()
        self.lines = [line for line in done.stdout.splitlines() if line != LIMIT_LINE]
        self.errors = done.stderr.splitlines()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    fixture = Control(tmp_path)
    yield fixture
    fixture.clean_up()
