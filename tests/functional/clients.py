"""Clients from PyPI, unmodified and in environments of their own, which are made when first needed and kept."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "glance-classic-tests"
DATA = bytes(range(256)) * 1000  # an image's


def todays() -> Path:
    """The directory with today's ``openstack`` and ``glance``."""
    packages = ("python-openstackclient==10.5.0", "python-glanceclient==4.13.0", "openstacksdk==4.22.0")
    return _environment("openstackclients", *packages)


def last_with_v1() -> Path:
    """The directory with the last ``glance`` that has a good v1."""
    return _environment("glanceclient-2.17.0", "python-glanceclient==2.17.0", "setuptools<81")


def _environment(name: str, *packages: str) -> Path:
    home = CACHE / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
    done, wanted = home / "installed", " ".join(packages)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(f"{home}.lock", "w") as lock:  # of several test runs one installs and the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            venv.create(home, with_pip=True, clear=True)
            subprocess.run([home / "bin" / "pip", "install", "-q", *packages], check=True)
            done.write_text(wanted)
    return home / "bin"


def attempt(program: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a client at a terminal: with anything else for standard input it would upload that.

    :param environment: variables beyond ``PATH``
    """
    terminal, line = pty.openpty()
    try:
        return subprocess.run(
            [program, *map(str, arguments)],
            stdin=line,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment},
        )
    finally:
        os.close(terminal)
        os.close(line)


def run(program: Path, *arguments: object, **environment: str) -> str:
    """As ``attempt``; the program must succeed; gives its standard output."""
    done = attempt(program, *arguments, **environment)
    assert done.returncode == 0, f"{program.name} {arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


def cell(table: str, name: str) -> str:
    """The value of a row of a two-column table."""
    found = re.search(rf"^\| {re.escape(name)} +\| (.*?) +\|$", table, re.MULTILINE)
    assert found, table
    return found[1]
