"""The real programs with a configuration that is wrong: one line that says what, where, and the documented exit code.

Spec daemons-and-config.md §1-§3.  What a value may be is tested in tests/unit/common/test_config_errors.py, TLS files
of the server alone in tests/functional/server/test_tls.py; here all comes together.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.conftest import ROOT, _heed_permissions, write_config
from tests.services.ports import free_port

PROGRAMS = ("api", "registry", "manage")
DAEMONS = ("api", "registry")
SECONDS = 20


class Program:
    """One program in a directory of its own, with a configuration that would do."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.config = directory / f"glance-{name}.conf"
        self.settings = {
            "bind_host": "127.0.0.1",
            "bind_port": free_port(),
            "workers": 1,
            "database": {"connection": f"sqlite:///{directory}/glance.sqlite"},
            "glance_store": {"filesystem_store_datadir": str(directory / "images")},
        }
        if name != "manage":
            paste = (ROOT / "etc" / f"glance-{name}-paste.ini").read_text()
            (directory / f"glance-{name}-paste.ini").write_text(paste)
        write_config(self.config, self.settings)

    def configure(self, **settings):
        """Write the configuration with these settings changed; sections are merged."""
        merged = dict(self.settings)
        for name, value in settings.items():
            merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
        write_config(self.config, merged)

    def run(self, *words, config=True, seconds=SECONDS, **environment):
        """Run it; for glance-manage, ``db version``."""
        files = ["--config-file", str(self.config)] if config else []
        action = ["db", "version"] if self.name == "manage" else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GLANCE_"))}
        command = [sys.executable, "-m", f"glance.cmd.{self.name}", *files, *words, *action]
        output, errors = self.directory / "stdout", self.directory / "stderr"
        with output.open("w") as stdout, errors.open("w") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
                preexec_fn=_heed_permissions, cwd=self.directory,
                env=kept | {"PYTHONPATH": str(ROOT), "HOME": str(self.directory)} | environment,
            )  # fmt: skip
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:  # it took no offence, and serves
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                pytest.fail(f"it did not end:\n{errors.read_text()[-2000:]}")
        return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())

    def fails(self, code, *said, words=(), config=True, seconds=SECONDS, **environment):
        """Run it and assert that it ends with ``code`` and one line that has every part of ``said``."""
        done = self.run(*words, config=config, seconds=seconds, **environment)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == code, done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        assert len(errors) == 1, done.stderr
        for part in said:
            assert str(part) in errors[0], (part, errors[0])
        return errors[0]


@pytest.fixture(params=PROGRAMS)
def program(request, tmp_path):
    return Program(request.param, tmp_path)


@pytest.fixture(params=DAEMONS)
def daemon(request, tmp_path):
    return Program(request.param, tmp_path)


@pytest.fixture
def api(tmp_path):
    return Program("api", tmp_path)


# --- values -------------------------------------------------------------------------------------


def test_a_bad_integer(daemon):
    daemon.configure(workers="many")
    daemon.fails(1, daemon.config, "[DEFAULT]", "workers = many")


def test_a_bad_integer_in_a_section(program):
    program.configure(database={"max_pool_size": "lots"})
    program.fails(1, program.config, "[database]", "max_pool_size = lots")


@pytest.mark.parametrize(("option", "value"), [("debug", "perhaps"), ("bind_port", 70000), ("api_limit_max", -1)])
def test_other_bad_values(daemon, option, value):
    daemon.configure(**{option: value})
    daemon.fails(1, daemon.config, option, value)


def test_the_file_of_several_that_is_wrong(program):
    other = program.directory / "other.conf"
    write_config(other, {"database": {"max_pool_size": "lots"}})
    line = program.fails(1, other, "max_pool_size = lots", words=("--config-file", str(other)))
    assert str(program.config) not in line


def test_a_directory_of_files(program):
    directory = program.directory / "conf.d"
    directory.mkdir()
    write_config(directory / "1.conf", program.settings)
    write_config(directory / "2.conf", {"database": {"max_pool_size": "lots"}})
    words = ("--config-dir", str(directory))
    program.fails(1, directory / "2.conf", "max_pool_size = lots", words=words, config=False)


def test_a_bad_environment_variable(program):
    program.fails(1, "OS_DATABASE__MAX_POOL_SIZE", "lots", OS_DATABASE__MAX_POOL_SIZE="lots")


def test_a_secret_is_not_shown(api):
    api.configure(metadata_encryption_key="hidden")
    assert "hidden" not in api.fails(1, api.config, "metadata_encryption_key = ***")


def test_the_database_of_nobody(tmp_path):
    """A URL that cannot be one is refused without its password; the daemons start, and ask for it later."""
    manage = Program("manage", tmp_path)
    manage.configure(database={"connection": "nonsense://user:hidden@somewhere.invalid/x"})
    assert "hidden" not in manage.fails(1, "nonsense")


# --- files --------------------------------------------------------------------------------------


def test_a_file_that_is_missing(program):
    missing = program.directory / "missing.conf"
    program.fails(1, missing, words=("--config-file", str(missing)), config=False)


def test_a_file_that_may_not_be_read(program):
    if os.geteuid() == 0:
        _require_that_root_can_be_bound(program.directory)
    program.config.chmod(0)
    program.fails(1, program.config, "ermission denied")


def test_a_file_that_is_a_directory(program):
    program.fails(1, program.directory, words=("--config-file", str(program.directory)), config=False)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"bind_port = 1\n", b"[DEFAULT\n", b"[DEFAULT]\n\nrubbish\n"])
def test_a_file_that_is_none(program, content):
    program.config.write_bytes(content)
    program.fails(1, program.config)


def test_no_file_at_all(daemon):
    daemon.config.unlink()
    line = daemon.fails(1, config=False)
    assert line == (
        f"ERROR: Unable to locate any configuration file. Cannot load application glance-{daemon.name}"
    )  # fmt: skip


def test_an_argument_that_names_no_file(daemon):
    daemon.fails(1, "missing.conf", words=("missing.conf",), config=False)


def test_a_log_configuration_that_is_missing(program):
    missing = program.directory / "logging.conf"
    program.fails(1, missing, words=("--log-config", str(missing)))


def test_a_log_file_that_cannot_be_written(program):
    path = program.directory / "missing" / "x.log"
    program.fails(1, path, words=("--log-file", str(path)))


@pytest.mark.parametrize("option", ["--nonsense", "--bind-port=x", "--config-file"])
def test_the_command_line(program, option):
    """Usage on stderr, exit code 2, as for every command."""
    done = program.run(option, config=False) if program.name != "manage" else program.run(option)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    last = done.stderr.strip().splitlines()[-1]
    assert f"glance-{program.name}" in done.stderr and "usage: " in done.stderr
    assert "error: " in last


# --- paste --------------------------------------------------------------------------------------


def test_no_paste_file(daemon):
    (daemon.directory / f"glance-{daemon.name}-paste.ini").unlink()
    line = daemon.fails(1)
    assert line == f"ERROR: Unable to locate paste config file for glance-{daemon.name}."


def test_a_paste_file_that_is_missing(daemon):
    missing = daemon.directory / "missing.ini"
    daemon.configure(paste_deploy={"config_file": missing})
    daemon.fails(1, f"glance-{daemon.name}", missing)


def test_a_flavor_that_nobody_knows(daemon):
    daemon.configure(paste_deploy={"flavor": "vanilla"})
    paste = daemon.directory / f"glance-{daemon.name}-paste.ini"
    daemon.fails(1, f"Unable to load glance-{daemon.name}-vanilla from configuration file {paste}.")


@pytest.mark.parametrize(
    "content",
    [
        "rubbish\n",
        "[pipeline:glance-{0}]\npipeline = missing app\n",
        "[app:glance-{0}]\npaste.app_factory = glance.missing:factory\n",
        "[app:glance-{0}]\npaste.app_factory = glance.context:missing\n",
        "[app:glance-{0}]\nuse = egg:missing\n",
    ],
)
def test_a_paste_file_that_does_not_load(daemon, content):
    paste = daemon.directory / f"glance-{daemon.name}-paste.ini"
    paste.write_text(content.format(daemon.name))
    daemon.fails(1, f"Unable to load glance-{daemon.name} from configuration file {paste}.")


# --- address and TLS ----------------------------------------------------------------------------


def test_a_port_that_is_taken(daemon):
    """It waits for half a minute, as said in §4, and then names the address."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        daemon.configure(bind_port=port)
        daemon.fails(1, f"Could not bind to 127.0.0.1:{port} after trying for 30 seconds", seconds=60)


def test_a_host_that_is_none(daemon):
    daemon.configure(bind_host="no.such.host.invalid")
    daemon.fails(1, "no.such.host.invalid")


@pytest.mark.parametrize("option", ["cert_file", "key_file", "both"])
def test_tls_files_that_are_missing(daemon, option):
    path = daemon.directory / "missing.pem"
    daemon.configure(**dict.fromkeys(("cert_file", "key_file") if option == "both" else (option,), path))
    daemon.fails(1, "cert_file" if option == "both" else option)


def test_tls_files_that_are_none(daemon):
    path = daemon.directory / "rubbish.pem"
    path.write_text("rubbish\n")
    daemon.configure(cert_file=path, key_file=path)
    daemon.fails(1, "cert_file", path)


# --- stores and what else the API server needs --------------------------------------------------


def test_a_store_that_nobody_knows(api):
    """Only the default store is needed: another one that is unknown is passed over with a warning."""
    api.configure(glance_store={"default_store": "nonsense"})
    api.fails(3, "nonsense")


def test_a_default_store_that_cannot_be_used(api):
    """Exit code 3: known without the network."""
    api.configure(glance_store={"default_store": "swift", "stores": "swift", "swift_store_key": "hidden"})
    assert "hidden" not in api.fails(3, "swift")


def test_a_data_directory_that_cannot_be_made(api):
    (api.directory / "file").write_text("")
    path = api.directory / "file" / "images"
    api.configure(glance_store={"filesystem_store_datadir": path})
    api.fails(3, path)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("data_api", "glance.db.simple.api"), ("hashing_algorithm", "nonsense"), ("user_storage_quota", "1 GB"),
        ("registry_client_protocol", "ftp"), ("location_strategy", "nearest"), ("image_size_cap", 2**70),
    ],
)  # fmt: skip
def test_options_of_the_api(api, option, value):
    api.configure(**{option: value})
    api.fails(1, api.config, option, value)


def test_a_protection_file_that_is_missing(api):
    missing = api.directory / "protections.conf"
    api.configure(property_protection_file=missing)
    api.fails(1, missing)


def test_a_registry_that_asks_itself(tmp_path):
    registry = Program("registry", tmp_path)
    registry.configure(data_api="glance.db.registry.api")
    registry.fails(1, "glance.db.registry.api")


def test_everyone_as_the_service_user(api):
    """OSSN-0060 cannot be configured."""
    api.configure(use_user_token=False, paste_deploy={"flavor": "keystone"})
    api.fails(1, "use_user_token")


def test_what_would_do(api):
    """The settings that all others here start from are no error: the tests can tell."""
    process = subprocess.Popen(
        [sys.executable, "-m", "glance.cmd.api", "--config-file", str(api.config)], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=api.directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(api.directory)},
    )  # fmt: skip
    try:
        for line in process.stderr:
            assert not line.startswith("ERROR: ") and "Traceback" not in line
            if "Starting 1 workers" in line or "Started child" in line:
                break
        else:
            pytest.fail("it did not start")
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def _require_that_root_can_be_bound(directory: Path) -> None:
    """Skip where root, even without the capability, may read everything."""
    probe = directory / "probe"
    probe.write_text("")
    probe.chmod(0)
    done = subprocess.run(["cat", str(probe)], capture_output=True, preexec_fn=_heed_permissions)
    if done.returncode == 0:
        pytest.skip("file permissions do not bind this user")
