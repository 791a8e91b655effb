"""Where the program of a server is, and how it is launched as a daemon."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from glance.common.names import PID_FILE_VARIABLE
from glance.control.errors import ControlError

MAX_DESCRIPTORS = 32768
MAX_DATA = 2 * 1024**3


def find(server: str) -> str | None:
    """The absolute path of the program ``server``, or None.

    Beside glance-control itself, beside the running interpreter, then on PATH: the programs of one installation
    (or checkout) belong together, whatever else PATH may hold.
    """
    beside = [sys.executable]
    if os.path.basename(sys.argv[0]) == "glance-control":
        beside[:0] = [os.path.abspath(sys.argv[0]), os.path.realpath(sys.argv[0])]
    places = [*map(os.path.dirname, beside), os.environ.get("PATH", os.defpath)]
    found = shutil.which(server, path=os.pathsep.join(places))
    return found and os.path.abspath(found)


def raise_limits() -> None:
    """Let the servers started from here open 32768 files and hold 2 GiB of data; a limit already higher stays."""
    for limit, wanted in ((resource.RLIMIT_NOFILE, MAX_DESCRIPTORS), (resource.RLIMIT_DATA, MAX_DATA)):
        soft, hard = resource.getrlimit(limit)
        try:
            resource.setrlimit(limit, (_at_least(soft, wanted), _at_least(hard, wanted)))
        except (OSError, ValueError):
            print("Unable to increase file descriptor limit.  Running as non-root?")
            resource.setrlimit(limit, (hard, hard))  # as far as it goes
            return


def _at_least(value: int, wanted: int) -> int:
    return value if value == resource.RLIM_INFINITY else max(value, wanted)


def launch(program: str, arguments: Sequence[str], capture_output: bool, pid_file: str) -> subprocess.Popen:
    """Run ``program`` in a session of its own, its output discarded or sent to syslog.

    The server is told where its pid file will be: when it is gone HUP means the end, not a reload.
    The working directory stays: relative paths in configuration files start there.

    :raises ControlError: the program, or with ``capture_output`` the program ``logger``, cannot be run
    """
    name = os.path.basename(program)
    told = {PID_FILE_VARIABLE: pid_file}
    try:
        if not capture_output:
            return _spawn([program, *arguments], subprocess.DEVNULL, subprocess.DEVNULL, told)
        logger = _spawn(["logger", "-t", name], subprocess.PIPE, subprocess.DEVNULL)
        try:
            return _spawn([program, *arguments], subprocess.DEVNULL, logger.stdin, told)
        finally:
            logger.stdin.close()  # type: ignore[union-attr]  # the server holds the other copy
    except FileNotFoundError as error:
        raise ControlError(f"cannot start {name}: the program {error.filename} is missing") from None
    except OSError as error:
        raise ControlError(f"cannot start {name}: {error.strerror}") from None


def _spawn(
    command: Sequence[str], stdin: int, output: int | IO[bytes] | None, told: dict[str, str] | None = None
) -> subprocess.Popen:
    return subprocess.Popen(  # noqa: S603  # a program found by name and the operator's own words
        command,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **(told or {})},
    )
