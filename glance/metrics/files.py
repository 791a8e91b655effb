"""The directory in which each process keeps its figures, in files that outlive it.

``prometheus_client`` maps one file per process and kind of figure into memory, named
after the process's id; a scrape sums over the files, so whichever worker answers it
knows the figures of all, and what a killed worker counted is not lost.
"""

import atexit
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where ``prometheus_client`` finds the directory.  Set by whoever starts the daemon it wins over
the configuration, and nothing is removed there: other WSGI servers have no parent that could."""

_LIVE = re.compile(r"gauge_live[a-z]+_(\d+)\.db", re.ASCII)


def prepare(directory: str | None) -> str:
    """Make the directory ready and known to ``prometheus_client``; return its path.

    A second call changes nothing.

    :param directory: remove an earlier run's figures from it; None: a new one, removed when this process ends
    :raises OSError: it cannot be made or emptied
    """
    if VARIABLE in os.environ:
        os.makedirs(os.environ[VARIABLE], mode=0o700, exist_ok=True)
        return os.environ[VARIABLE]
    if directory is None:
        path = tempfile.mkdtemp(prefix="glance-metrics-")
        atexit.register(_remove, path, os.getpid())
    else:
        path = os.path.abspath(directory)
        os.makedirs(path, mode=0o700, exist_ok=True)
        for file in Path(path).glob("*.db"):
            file.unlink()
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(0, f"{path} is not writable")
    os.environ[VARIABLE] = path
    return path


def forget_gone(path: str) -> None:
    """Remove what processes that are gone had in progress; what they counted stays."""
    for name in os.listdir(path):
        match = _LIVE.fullmatch(name)
        if match and not _lives(int(match[1])):
            _unlink(os.path.join(path, name))


def forget_predecessor() -> None:
    """Remove what a process with this process's id had in progress; to be called after a fork."""
    path = os.environ[VARIABLE]
    with contextlib.suppress(OSError):
        for name in os.listdir(path):
            match = _LIVE.fullmatch(name)
            if match and int(match[1]) == os.getpid():
                _unlink(os.path.join(path, name))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:  # also a process of another user: it has the id of one that is gone
        return False
    return True


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # another worker answers a scrape, too
        os.unlink(path)


def _remove(path: str, creator: int) -> None:
    if os.getpid() == creator:
        shutil.rmtree(path, ignore_errors=True)
