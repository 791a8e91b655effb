"""What each command does and prints (spec daemons-and-config.md §6); every function returns an exit code."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from glance.control import pid_file, program
from glance.control.command_line import Request
from glance.control.errors import ControlError
from glance.control.pid_file import PidFile

STOP_SECONDS = 15
STOP_STEP_SECONDS = 0.1
BOUNCE_SECONDS = 1

NOT_RELOADABLE = ("glance-scrubber",)


def run(request: Request) -> int:
    """Carry out ``request``; the exit code is the worst of its servers', whose errors do not stop each other.

    :raises ControlError: a server to be respawned can no longer be started
    """
    actions: dict[str, Callable[[Request], int]] = {
        "start": start,
        "status": status,
        "stop": stop,
        "shutdown": shutdown,
        "restart": restart,
        "reload": reload,
        "force-reload": reload,
    }
    return actions[request.command](request)


def _each(request: Request, act: Callable[[PidFile], int], announce: bool = False) -> int:
    worst = 0
    for server in request.servers:
        try:
            code = act(pid_file.locate(server, request.pid_file, announce))
        except ControlError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            code = 1
        worst = max(worst, code)
    return worst


# --- start -------------------------------------------------------------------


@dataclass
class Child:
    """A server that this process launched; ``launched`` is a monotonic time in seconds."""

    process: subprocess.Popen
    file: PidFile
    launched: float


def start(request: Request) -> int:
    """Start each server that is not running; then watch them if the request says so.

    Of ``all``, a server whose program is not installed is named and left out.
    """
    program.raise_limits()
    children: list[Child] = []

    def start_one(file: PidFile) -> int:
        if _already_running(file):
            return 0
        if len(request.servers) > 1 and program.find(file.server) is None:
            print(f"Leaving out {file.server}: it is not installed")
            return 0
        children.append(_launch(request, file, "Starting"))
        return 0

    worst = _each(request, start_one, announce=True)
    if request.await_child:
        worst = max(worst, _await(children, request.await_child))
    if request.respawn:
        _respawn(request, children)
    return worst


def _already_running(file: PidFile) -> bool:
    pid = file.read()
    if pid is not None and file.is_server(pid):
        print(f"{file.server} appears to already be running: {file.path}")
        return True
    if file.exists():
        print(f"Removing stale pid file {file.path}")
        file.remove()
    return False


def _launch(request: Request, file: PidFile, verb: str) -> Child:
    path = program.find(file.server)
    if path is None:
        raise ControlError(f"{file.server} is not installed: no such program beside glance-control or on PATH")
    arguments = list(request.server_arguments)
    if request.config_file:
        arguments[:0] = ["--config-file", request.config_file]
    print(f"{verb} {file.server}" + (f" with {request.config_file}" if request.config_file else ""))
    process = program.launch(path, arguments, request.capture_output, str(file.path))
    try:
        file.write(process.pid)
    except ControlError:
        process.terminate()  # without a pid file nobody could stop it
        raise
    return Child(process, file, time.monotonic())


def _await(children: list[Child], seconds: float) -> int:
    """Exit code of the children that end within ``seconds`` (killed by signal N: 128 + N), else 0."""
    deadline = time.monotonic() + seconds
    worst = 0
    for child in children:
        try:
            code = child.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
        code = code if code >= 0 else 128 - code
        print(f"{child.file.server} ended within {seconds:g} seconds with exit code {code}", file=sys.stderr)
        child.file.remove()
        worst = max(worst, code)
    return worst


def _respawn(request: Request, children: list[Child]) -> None:
    """Launch each child again when it dies, unless it was stopped or died at once; returns after the last."""
    running = {child.process.pid: child for child in children}
    while running:
        pid, wait_status = os.wait()
        child = running.pop(pid, None)
        if child is None:
            continue  # the logger of a server that ended
        child.process.returncode = os.waitstatus_to_exitcode(wait_status)
        if child.file.read() != pid:
            print(f"Suppressed respawn as {child.file.server} was deliberately stopped.")
        elif time.monotonic() - child.launched < BOUNCE_SECONDS:
            print(f"Suppressed respawn as {child.file.server} was bouncing.")
            child.file.remove()
        else:
            again = _launch(request, child.file, "Respawning")
            running[again.process.pid] = again


# --- status, stop, shutdown, restart, reload ---------------------------------


def status(request: Request) -> int:
    """Say what the pid files say; whether the process lives is not looked at."""

    def show(file: PidFile) -> int:
        pid = file.read()
        print(f"{file.server} is stopped" if pid is None else f"{file.server} (pid {pid}) is running...")
        return 0

    return _each(request, show)


def stop(request: Request) -> int:
    """End each server at once."""
    return _stop(request, signal.SIGTERM)


def shutdown(request: Request) -> int:
    """Ask each server to end when its requests are done."""
    return _stop(request, signal.SIGHUP)


def _stop(request: Request, number: signal.Signals) -> int:
    stopping: list[tuple[PidFile, int]] = []

    def stop_one(file: PidFile) -> int:
        pid = file.read()
        if pid is None:
            print(f"{file.server} is already stopped")
            return 0
        print(f"Stopping {file.server}  pid: {pid}  signal: {int(number)}")
        alive = _signal(file, pid, 0)  # may we?  If not, its pid file stays
        # Before the signal: a glance-control --respawn that sees the server die must not find the file any more.
        file.remove()
        if alive and _signal(file, pid, number):
            stopping.append((file, pid))
        return 0

    worst = _each(request, stop_one)
    deadline = time.monotonic() + STOP_SECONDS
    for file, pid in stopping:
        while file.is_server(pid):
            if time.monotonic() >= deadline:
                print(f"Waited {STOP_SECONDS} seconds for pid {pid} ({file.path}) to die; giving up")
                break
            time.sleep(STOP_STEP_SECONDS)
    return worst


def _signal(file: PidFile, pid: int, number: int) -> bool:
    """Signal the server with ``pid``; False, and said so, if that process is gone or is another program."""
    try:
        if file.is_server(pid):
            os.kill(pid, number)
            return True
    except ProcessLookupError:
        pass  # ended meanwhile
    except PermissionError:
        raise ControlError(f"no permission to signal {file.server} (pid {pid}): run as its user or as root") from None
    print(f"Process {pid} not running")
    return False


def restart(request: Request) -> int:
    """Stop all servers, then start them all."""
    return max(stop(request), start(request))


def reload(request: Request) -> int:
    """Have each server re-read its configuration without losing a request."""

    def reload_one(file: PidFile) -> int:
        if file.server in NOT_RELOADABLE:
            print(f"Reload of {file.server} not supported")
            return 1
        pid = file.read()
        if pid is None:
            print(f"Server {file.server} is stopped")
            return 1
        print(f"Reloading {file.server} (pid {pid}) with signal({int(signal.SIGHUP)})")
        return 0 if _signal(file, pid, signal.SIGHUP) else 1

    return _each(request, reload_one)
