"""Where the pid of a server is kept, and whether the process with that pid still is the server."""

import contextlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass

from glance.control.errors import ControlError

SYSTEM_DIRECTORY = "/var/run/glance"

# python3, an option, a wrapper or two, then the script: the program's name is among the first words of its process.
_LEADING_WORDS = 5


@dataclass(frozen=True)
class PidFile:
    """The pid file ``path`` of ``server`` (a program name such as ``glance-api``)."""

    server: str
    path: str

    def read(self) -> int | None:
        """The pid, or None if there is no file or it holds nothing that may be signalled."""
        try:
            with open(self.path, encoding="ascii") as file:
                pid = int(file.read(64))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise ControlError(f"cannot read {self.path}: {error.strerror}") from None
        return pid if pid > 1 else None  # 0 and -1 would signal whole groups, 1 is init

    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def write(self, pid: int) -> None:
        # Replacing never follows a symbolic link and never shows a reader half a file.
        new = f"{self.path}.{os.getpid()}"
        try:
            with open(new, "x", encoding="ascii") as file:
                file.write(f"{pid}\n")
            os.replace(new, self.path)
        except OSError as error:
            raise ControlError(f"cannot write {self.path}: {error.strerror}") from None

    def remove(self) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ControlError(f"cannot remove {self.path}: {error.strerror}") from None

    def is_server(self, pid: int) -> bool:
        """Whether process ``pid`` is alive and runs the server: pids are reused, so a pid alone proves nothing."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # alive, somebody else's
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            return True  # no /proc on this system: the pid file is all there is
        # A zombie has no words at all, so it counts as dead.
        return any(os.path.basename(word) == self.server.encode() for word in words[:_LEADING_WORDS])


def locate(server: str, chosen: str | None, announce: bool) -> PidFile:
    """The pid file of ``server``: ``chosen``, else the one in /var/run/glance, else the user's own.

    The directory is created.  If it cannot be written and holds no pid file of the server, the file is in a
    directory of the user's own, where every later command looks too.

    :param announce: print the three-line hint when the user's own directory is taken
    :raises ControlError: the user's own directory belongs to somebody else
    """
    path = chosen or os.path.join(SYSTEM_DIRECTORY, f"{server}.pid")
    directory = os.path.dirname(path)
    with contextlib.suppress(OSError):
        os.makedirs(directory, exist_ok=True)
    if os.path.lexists(path) or os.access(directory, os.W_OK | os.X_OK):
        return PidFile(server, path)
    own = _own_directory()
    if announce:
        print(f"Unable to write to {directory}: the pid file of {server} is kept in {own}.")
        print("To keep it in the usual place, run glance-control as root (sudo),")
        print("or name a file that you may write with --pid-file PATH.")
    return PidFile(server, os.path.join(own, f"{server}.pid"))


def _own_directory() -> str:
    """``$XDG_RUNTIME_DIR/glance``, else ``<temporary directory>/glance-<user>``; mode 700 and the user's own.

    In a directory that everybody may write, somebody else may have been there first: their pid files would say
    which process to signal.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isdir(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        path = os.path.join(runtime, "glance")
    else:
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            user = str(os.geteuid())
        path = os.path.join(tempfile.gettempdir(), f"glance-{user}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ControlError(f"{path} is not a directory of yours; remove it or use --pid-file PATH")
        if found.st_mode & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        raise ControlError(f"cannot use {path} for pid files: {error.strerror}; use --pid-file PATH") from None
    return path
