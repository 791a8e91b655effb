"""glance-control row by row (spec daemons-and-config.md §6), with real processes."""

import ctypes
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import CHECKOUT, wait_for

# --- start -------------------------------------------------------------------


def test_start_makes_a_daemon_and_writes_its_pid(control):
    result = control("api", "start")
    assert (result.code, result.lines, result.errors) == (0, ["Starting glance-api"], [])
    pid = control.started()["pid"]
    assert control.pid_file().read_text() == f"{pid}\n"
    assert os.getsid(pid) == pid
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}


def test_start_hands_the_configuration_over(control):
    (control.directory / "api.conf").write_text("[DEFAULT]\n")
    conf = str(control.directory / "api.conf")
    result = control("glance-api", "start", "api.conf", "and", "more", "words")
    assert (result.code, result.lines) == (0, [f"Starting glance-api with {conf}"])
    assert control.started()["args"] == ["--config-file", conf]


@pytest.mark.parametrize(
    "words",
    [
        ["--debug", "--log-file", "x.log", "api", "start", "api.conf", "-v"],
        ["api", "--debug", "start", "--log-file=x.log", "api.conf", "-v"],
        ["api", "start", "api.conf", "--debug", "--log-file", "x.log", "-v"],
    ],
)
def test_options_stand_anywhere_and_reach_the_server(control, words):
    conf = control.directory / "api.conf"
    conf.touch()
    assert control(*words).code == 0
    assert control.started()["args"] == ["--config-file", str(conf), "--debug", "--log-file=x.log", "-v"]


def test_start_of_a_running_server_leaves_it_alone(control):
    control("api", "start")
    pid = control.started()["pid"]
    result = control("api", "start")
    assert result.code == 0
    assert result.lines == [f"glance-api appears to already be running: {control.pid_file()}"]
    assert control.pid_file().read_text() == f"{pid}\n"
    assert len(control.starts()) == 1


@pytest.mark.parametrize("content", ["dead", "", "rubbish\n", "0\n", "-1\n", "1\n", "99999999999999999999\n"])
def test_start_removes_a_stale_pid_file(control, content):
    if content == "dead":
        ended = subprocess.Popen(["true"])
        ended.wait()
        content = f"{ended.pid}\n"
    control.run_directory.mkdir()
    control.pid_file().write_text(content)
    result = control("api", "start")
    assert result.code == 0
    assert result.lines == [f"Removing stale pid file {control.pid_file()}", "Starting glance-api"]
    assert control.pid_file().read_text() == f"{control.started()['pid']}\n"


def test_missing_configuration_file(control):
    result = control("api", "start", "nowhere.conf")
    assert result.code == 1
    assert result.lines == []
    assert result.errors == ["ERROR: configuration file nowhere.conf does not exist or is not a file"]
    assert control.starts() == []


def test_restart_with_a_missing_configuration_file_does_not_stop_the_server(control):
    control("api", "start")
    control.started()
    assert control("api", "restart", "nowhere.conf").code == 1
    assert control.pid_file().exists()
    assert [note for note in control.notes() if "signal" in note] == []


def test_all_starts_what_is_installed_and_names_the_rest(control):
    result = control("all", "start")
    assert result.code == 0
    assert result.lines == [
        "Starting glance-api",
        "Starting glance-registry",
        "Leaving out glance-scrubber: it is not installed",
    ]
    for server in ("glance-api", "glance-registry"):
        assert control.pid_file(server).read_text() == f"{control.started(server)['pid']}\n"


def test_all_stops_at_nothing(control):
    control.run_directory.mkdir()
    control.pid_file("glance-api").mkdir()  # neither readable nor removable as a file
    result = control("all", "start")
    assert result.code == 1
    assert len(result.errors) == 1 and str(control.pid_file()) in result.errors[0]
    assert "Starting glance-registry" in result.lines
    control.started("glance-registry")


def test_a_server_that_is_not_installed(control):
    result = control("scrubber", "start")
    assert result.code == 1
    assert result.lines == []
    assert result.errors == [
        "ERROR: glance-scrubber is not installed: no such program beside glance-control or on PATH"
    ]
    assert not control.pid_file("glance-scrubber").exists()


def test_a_program_that_cannot_be_run(control):
    control.add_program("glance-api", text="#!/nonexistent/interpreter\n")
    result = control("api", "start")
    assert result.code == 1
    assert len(result.errors) == 1 and result.errors[0].startswith("ERROR: cannot start glance-api")
    assert not control.pid_file().exists()


def _unprivileged():
    """Lower limits, and give up the right to raise them again (root has it)."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    sys_resource, pr_capbset_drop = 24, 24
    ctypes.CDLL(None).prctl(pr_capbset_drop, sys_resource)


def test_limits_that_cannot_be_raised_are_reported_and_no_obstacle(control):
    result = control("api", "start", preexec_fn=_unprivileged)
    assert (result.code, result.lines, result.limit_line) == (0, ["Starting glance-api"], True)
    assert resource.prlimit(control.started()["pid"], resource.RLIMIT_NOFILE) == (256, 256)


def test_limits_are_raised(control):
    def lower_soft_limits():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        resource.setrlimit(resource.RLIMIT_DATA, (2**30, resource.getrlimit(resource.RLIMIT_DATA)[1]))

    result = control("api", "start", preexec_fn=lower_soft_limits)
    soft, hard = resource.prlimit(control.started()["pid"], resource.RLIMIT_NOFILE)
    if result.limit_line:  # the hard limit is below it, and this user may not raise that
        assert soft == hard < 32768
    else:
        assert soft == 32768
        assert resource.prlimit(control.started()["pid"], resource.RLIMIT_DATA)[0] == 2 * 1024**3


def test_await_child_exits_with_the_code_of_a_server_that_dies(control):
    result = control("api", "start", "--await-child", "30", environment={"FAKE_EXIT": "7"})
    assert (result.code, result.lines) == (7, ["Starting glance-api"])
    assert result.errors == ["glance-api ended within 30 seconds with exit code 7"]
    assert not control.pid_file().exists()


def test_await_child_of_a_server_that_lives(control):
    assert control("api", "start", "--await-child", "0.3").code == 0
    assert control.pid_file().read_text() == f"{control.started()['pid']}\n"


def test_capture_output_feeds_logger(control):
    control.add_program("logger", text='#!/bin/sh\necho "$@" > {directory}/tag\nexec cat > {directory}/syslog\n')
    control("api", "start", "--capture-output")
    wait_for(lambda: (control.directory / "syslog").exists() and (control.directory / "syslog").read_text())
    assert (control.directory / "tag").read_text() == "-t glance-api\n"
    assert (control.directory / "syslog").read_text() == "hello from glance-api\n"
    assert control("api", "stop").code == 0  # the logger ends with its pipe


def test_capture_output_without_logger(control):
    result = control("api", "start", "--capture-output", environment={"PATH": str(control.programs)})
    assert result.code == 1
    assert result.errors == ["ERROR: cannot start glance-api: the program logger is missing"]
    assert not control.pid_file().exists()


# --- respawn -----------------------------------------------------------------


def _respawning(control, *arguments, **environment):
    return subprocess.Popen(
        control.command("api", "start", "--respawn", *arguments),
        env=control.environment | environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=control.directory,
    )


def test_respawn_until_deliberately_stopped(control):
    with _respawning(control) as foreground:
        first = control.started(times=1)["pid"]
        time.sleep(1.1)  # a server that dies earlier counts as bouncing
        os.kill(first, signal.SIGKILL)
        second = control.started(times=2)["pid"]
        wait_for(lambda: control.pid_file().read_text() == f"{second}\n")
        assert control("api", "stop").code == 0
        output, _ = foreground.communicate(timeout=20)
    assert foreground.returncode == 0
    assert output.splitlines()[-3:] == [
        "Starting glance-api",
        "Respawning glance-api",
        "Suppressed respawn as glance-api was deliberately stopped.",
    ]
    assert not control.pid_file().exists()


def test_no_respawn_of_a_bouncing_server(control):
    with _respawning(control, FAKE_EXIT="3") as foreground:
        output, _ = foreground.communicate(timeout=20)
    assert foreground.returncode == 0
    assert output.splitlines()[-1] == "Suppressed respawn as glance-api was bouncing."
    assert len(control.starts()) == 1


def test_respawn_excludes_await_child(control):
    result = control("api", "start", "--respawn", "--await-child", "1")
    assert result.code == 1
    assert result.errors == ["--await-child and --respawn are mutually exclusive"]
    assert control.starts() == []


# --- status ------------------------------------------------------------------


def test_status_reads_the_pid_file_only(control):
    result = control("api", "status")
    assert (result.code, result.lines) == (0, ["glance-api is stopped"])
    control.run_directory.mkdir(exist_ok=True)
    control.pid_file().write_text("4194303\n")
    result = control("api", "status")
    assert (result.code, result.lines) == (0, ["glance-api (pid 4194303) is running..."])


def test_status_of_all(control):
    control("registry", "start")
    pid = control.started("glance-registry")["pid"]
    assert control("all", "status").lines == [
        "glance-api is stopped",
        f"glance-registry (pid {pid}) is running...",
        "glance-scrubber is stopped",
    ]


# --- stop and shutdown -------------------------------------------------------


def test_stop_sends_term_and_waits(control):
    control("api", "start")
    pid = control.started()["pid"]
    result = control("api", "stop")
    assert (result.code, result.lines, result.errors) == (0, [f"Stopping glance-api  pid: {pid}  signal: 15"], [])
    assert control.notes()[-1] == {"signal": "TERM"}
    assert not control.pid_file().exists()
    result = control("api", "stop")
    assert (result.code, result.lines) == (0, ["glance-api is already stopped"])


def test_stop_does_not_need_the_configuration_file(control):
    control("api", "start")
    pid = control.started()["pid"]
    result = control("api", "stop", "removed-since.conf")
    assert (result.code, result.lines) == (0, [f"Stopping glance-api  pid: {pid}  signal: 15"])


def test_shutdown_sends_hup(control):
    control.stop_seconds = 0
    control("api", "start")
    pid = control.started()["pid"]
    result = control("api", "shutdown")
    assert (result.code, result.lines[0]) == (0, f"Stopping glance-api  pid: {pid}  signal: 1")
    wait_for(lambda: control.notes()[-1] == {"signal": "HUP"})


def test_stop_gives_up_on_a_server_that_does_not_die(control):
    control.stop_seconds = 0.3
    control("api", "start", environment={"FAKE_DEAF": "1"})
    pid = control.started()["pid"]
    result = control("api", "stop")
    assert result.code == 0
    assert result.lines == [
        f"Stopping glance-api  pid: {pid}  signal: 15",
        f"Waited 0.3 seconds for pid {pid} ({control.pid_file()}) to die; giving up",
    ]
    assert not control.pid_file().exists()


def test_the_limit_of_stop_is_15_seconds():
    from glance.control import commands

    assert (commands.STOP_SECONDS, commands.STOP_STEP_SECONDS) == (15, 0.1)


@pytest.mark.parametrize("command", ["stop", "shutdown", "reload"])
def test_a_pid_of_another_program_is_never_signalled(control, command):
    control.run_directory.mkdir()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        control.pid_file().write_text(f"{stranger.pid}\n")
        result = control("api", command)
        assert result.lines[-1] == f"Process {stranger.pid} not running"
        assert result.code == (1 if command == "reload" else 0)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["0", "-1", "1", "rubbish"])
def test_a_pid_file_never_names_a_group_or_init(control, content):
    control.run_directory.mkdir()
    control.pid_file().write_text(content)
    result = control("api", "stop")
    assert (result.code, result.lines) == (0, ["glance-api is already stopped"])


def test_stop_all(control):
    control("all", "start")
    pids = {server: control.started(server)["pid"] for server in ("glance-api", "glance-registry")}
    assert control("all", "stop").lines == [
        *(f"Stopping {server}  pid: {pid}  signal: 15" for server, pid in pids.items()),
        "glance-scrubber is already stopped",
    ]
    assert control.notes("glance-api")[-1] == control.notes("glance-registry")[-1] == {"signal": "TERM"}


# --- restart and reload ------------------------------------------------------


def test_restart_stops_and_starts_with_the_options(control):
    conf = control.directory / "api.conf"
    conf.touch()
    control("api", "start")
    first = control.started()["pid"]
    result = control("api", "restart", str(conf), "--debug")
    assert result.code == 0
    assert result.lines == [f"Stopping glance-api  pid: {first}  signal: 15", f"Starting glance-api with {conf}"]
    second = control.started(times=2)
    assert second["args"] == ["--config-file", str(conf), "--debug"]
    assert control.pid_file().read_text() == f"{second['pid']}\n"


def test_restart_of_a_stopped_server(control):
    assert control("api", "restart").lines == ["glance-api is already stopped", "Starting glance-api"]
    control.started()


@pytest.mark.parametrize("command", ["reload", "force-reload"])
def test_reload_sends_hup(control, command):
    control("api", "start")
    pid = control.started()["pid"]
    result = control("api", command)
    assert (result.code, result.lines) == (0, [f"Reloading glance-api (pid {pid}) with signal(1)"])
    wait_for(lambda: control.notes()[-1] == {"signal": "HUP"})
    assert control.pid_file().read_text() == f"{pid}\n"


def test_reload_of_a_stopped_server(control):
    result = control("registry", "reload")
    assert (result.code, result.lines) == (1, ["Server glance-registry is stopped"])


def test_reload_of_the_scrubber(control):
    result = control("scrubber", "reload")
    assert (result.code, result.lines) == (1, ["Reload of glance-scrubber not supported"])


# --- usage -------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["api"],
        ["apo", "start"],
        ["api", "begin"],
        ["api", "start", "--nonsense"],
        ["api", "start", "--await-child", "soon"],
        ["api", "start", "--await-child", "-1"],
        ["all", "start", "--pid-file", "x.pid"],
    ],
)
def test_bad_usage(control, words):
    result = control(*words)
    assert result.code == 2
    assert result.lines == []
    assert result.errors[0].startswith("usage: glance-control [options] <SERVER> <COMMAND> [CONFPATH]")
    assert control.starts() == []


def test_help_names_every_command(control):
    result = control("--help")
    assert result.code == 0
    text = "\n".join(result.lines)
    for command in ("start", "status", "stop", "shutdown", "restart", "reload", "force-reload"):
        assert command in text


# --- where pid files are -----------------------------------------------------


def test_own_pid_file(control):
    path = control.directory / "new" / "api.pid"
    assert control("api", "start", "--pid-file", "new/api.pid").code == 0
    pid = control.started()["pid"]
    assert path.read_text() == f"{pid}\n"
    assert control("--pid-file", str(path), "api", "status").lines == [f"glance-api (pid {pid}) is running..."]
    assert control("api", "status").lines == ["glance-api is stopped"]
    assert control("api", "stop", "--pid-file", "new/api.pid").lines[0].startswith("Stopping glance-api")


@pytest.mark.parametrize("runtime", [True, False])
def test_without_a_writable_directory_the_users_own_is_used(control, runtime):
    control.run_directory.write_text("a file where the directory should be")
    if runtime:
        (control.directory / "runtime").mkdir()
        control.environment["XDG_RUNTIME_DIR"] = str(control.directory / "runtime")
    result = control("api", "start")
    assert result.code == 0
    assert len(result.lines) == 4
    assert result.lines[0].startswith(f"Unable to write to {control.run_directory}")
    assert result.lines[3] == "Starting glance-api"
    pid = control.started()["pid"]
    [own] = control.directory.glob("runtime/glance" if runtime else "glance-*/")
    assert (own / "glance-api.pid").read_text() == f"{pid}\n"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert control("api", "status").lines == [f"glance-api (pid {pid}) is running..."]
    assert control("api", "stop").lines == [f"Stopping glance-api  pid: {pid}  signal: 15"]


def test_a_users_directory_that_is_not_the_users_is_refused(control):
    control.run_directory.write_text("")
    runtime, elsewhere = control.directory / "runtime", control.directory / "elsewhere"
    runtime.mkdir()
    elsewhere.mkdir()
    (runtime / "glance").symlink_to(elsewhere)
    control.environment["XDG_RUNTIME_DIR"] = str(runtime)
    for command in ("start", "stop"):
        result = control("api", command)
        assert result.code == 1
        assert len(result.errors) == 1 and "is not a directory of yours" in result.errors[0]
    assert control.starts() == [] and not list(elsewhere.iterdir())


# --- configuration file and programs -----------------------------------------


def test_defaults_come_from_glance_control_conf(control):
    directory = control.home / ".glance"
    directory.mkdir()
    (directory / "glance-control.conf").write_text(f"[DEFAULT]\npid_file = {control.directory}/own.pid\n")
    assert control("api", "start").code == 0
    assert (control.directory / "own.pid").read_text() == f"{control.started()['pid']}\n"


@pytest.mark.parametrize("text", ["[DEFAULT]\nawait_child = soon\n", "no section\n", "[DEFAULT]\nrespawn = maybe\n"])
def test_a_malformed_glance_control_conf(control, text):
    (control.home / "glance-control.conf").write_text(text)
    result = control("api", "status")
    assert result.code == 1
    assert len(result.errors) == 1 and "glance-control.conf" in result.errors[0]


def test_launcher_prefers_the_programs_beside_it(control):
    checkout = control.directory / "checkout"
    shutil.copytree(CHECKOUT / "bin", checkout / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "glance").symlink_to(CHECKOUT / "glance")
    control.add_program("glance-api", checkout / "bin")
    done = subprocess.run(
        [control.python, checkout / "bin" / "glance-control", "api", "start", "--pid-file", "api.pid"],
        env=control.environment | {"PYTHONPATH": ""},
        cwd=control.directory,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(control.started()["program"]) == checkout / "bin" / "glance-api"


def test_launcher_names_the_library_it_lacks(control):
    checkout = control.directory / "checkout"
    (checkout / "glance" / "cmd").mkdir(parents=True)
    (checkout / "glance" / "cmd" / "api.py").write_text("import no_such_library\n")
    shutil.copytree(CHECKOUT / "bin", checkout / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    environment = control.environment | {"PYTHONPATH": ""}
    command = [control.python, checkout / "bin" / "glance-api", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"ERROR: glance-api needs the Python package no_such_library: run bin/quickstart, or pip install {checkout}"
    ]
    venv = checkout / ".venv" / "bin" / "python"
    venv.parent.mkdir(parents=True)
    venv.write_text('#!/bin/sh\necho "$@"\n')
    venv.chmod(0o755)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{checkout}/bin/glance-api --version\n"


def test_imports_are_of_the_standard_library(control):
    code = (
        "import glance.cmd.control, sys; print([m for m in ('eventlet', 'oslo_config', 'webob') if m in sys.modules])"
    )
    done = subprocess.run(
        [control.python, "-c", code], env=control.environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
