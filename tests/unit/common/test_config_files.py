"""Which files are read (spec daemons-and-config.md §2)."""

import subprocess
import sys

import pytest

from glance.common import config
from glance.common.config import files
from glance.common.exception import ConfigurationError


def write(directory, name, role):
    path = directory / name
    path.write_text(f"[DEFAULT]\nadmin_role = {role}\n")
    return str(path)


def role(program="glance-api", *argv):
    return config.load(program, list(argv)).admin_role


def test_the_places_of_the_search():
    assert files.SEARCH_DIRS == ("~/.glance", "~", "/etc/glance", "/etc", ".")


def test_search_order(search_dirs):
    for number, directory in reversed(list(enumerate(search_dirs))):
        write(directory, "glance-api.conf", f"place{number}")
        assert role() == f"place{number}"


def test_project_file_comes_first_and_is_overridden(search_dirs):
    write(search_dirs[0], "glance.conf", "project")
    assert role() == "project"
    write(search_dirs[3], "glance-api.conf", "program")
    assert role() == "program"
    assert [path.rpartition("/")[2] for path in config.CONF.config_file] == ["glance.conf", "glance-api.conf"]


@pytest.mark.parametrize("program", ["glance-cache-pruner", "glance-cache-cleaner", "glance-cache-prefetcher"])
def test_cache_tools_read_one_name(search_dirs, program):
    write(search_dirs[2], f"{program}.conf", "wrong")
    with pytest.raises(ConfigurationError):
        config.load(program, [])
    write(search_dirs[2], "glance-cache.conf", "right")
    config.load(program, [])
    assert [path.rpartition("/")[2] for path in config.CONF.config_file] == ["glance-cache.conf"]


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("glance-cache-pruner", "glance-pruner.conf"),
        ("glance-cache-cleaner", "glance-reaper.conf"),
        ("glance-cache-prefetcher", "glance-prefetcher.conf"),
    ],
)
def test_names_of_2011_only_without_the_new_one(search_dirs, program, name):
    old = write(search_dirs[2], name, "old")
    assert config.load(program, []).config_file == [old]
    new = write(search_dirs[3], "glance-cache.conf", "new")
    assert config.load(program, []).config_file == [new]


def test_manage_reads_three_files(search_dirs):
    for place, name in enumerate(["glance-manage.conf", "glance-api.conf", "glance-registry.conf"]):
        (search_dirs[place] / name).write_text(f"[database]\nconnection = {name}\n")
    conf = config.load("glance-manage", [])
    assert conf.database.connection == "glance-manage.conf"
    assert [path.rpartition("/")[2] for path in conf.config_file] == [
        "glance-registry.conf",
        "glance-api.conf",
        "glance-manage.conf",
    ]


@pytest.mark.parametrize("option", ["--sql-connection", "--sql_connection"])
def test_manage_connection_of_the_command_line(load, search_dirs, option):
    conf = load("[database]\nconnection = file\n", "glance-manage", option, "line")
    assert conf.database.connection == "line"
    assert config.load("glance-manage", [option, "line"]).database.connection == "line"


def test_replicator_needs_no_file(search_dirs):
    assert config.load("glance-replicator", []).config_file == []


@pytest.mark.parametrize("program", ["glance-api", "glance-registry", "glance-scrubber", "glance-manage"])
def test_no_file(search_dirs, program):
    with pytest.raises(ConfigurationError) as caught:
        config.load(program, [])
    assert str(caught.value) == f"Unable to locate any configuration file. Cannot load application {program}"


@pytest.mark.parametrize("program", ["glance-api", "glance-registry", "glance-scrubber", "glance-cache-pruner"])
def test_positional(search_dirs, tmp_path, program):
    write(search_dirs[0], f"{program}.conf", "searched")
    path = write(tmp_path, "named.conf", "named")
    assert config.load(program, ["--debug", path, "--log-file", "x"]).config_file == [path]
    with pytest.raises(ConfigurationError, match=r"Configuration file nope\.conf does not exist"):
        config.load(program, ["nope.conf"])


def test_manage_has_no_positional(search_dirs, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        config.load("glance-manage", [write(tmp_path, "named.conf", "named")])
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_config_file_repeated_and_relative(search_dirs, monkeypatch, tmp_path):
    write(search_dirs[0], "glance-api.conf", "searched")
    first, second = write(tmp_path, "a.conf", "a"), write(tmp_path, "b.conf", "b")
    monkeypatch.chdir(tmp_path)
    assert role("glance-api", "--config-file", first, "--config-file=b.conf") == "b"
    assert config.CONF.config_file == [first, second]
    assert role("glance-api", "--config-file", second, "--config-file", first) == "a"


def test_config_file_wins_over_positional(search_dirs, tmp_path, caplog):
    named, other = write(tmp_path, "a.conf", "a"), write(tmp_path, "b.conf", "b")
    assert role("glance-api", other, "--config-file", named) == "a"
    assert other in caplog.text


def test_config_dir_wins_and_names_what_it_ignores(search_dirs, tmp_path, caplog):
    directory = tmp_path / "glance.d"
    directory.mkdir()
    for name in ("10-b.conf", "00-a.conf", "99-c.conf.bak"):
        write(directory, name, name)
    ignored = write(tmp_path, "x.conf", "x")
    assert role("glance-api", "--config-file", ignored, "--config-dir", str(directory)) == "10-b.conf"
    assert [path.rpartition("/")[2] for path in config.CONF.config_file] == ["00-a.conf", "10-b.conf"]
    assert ignored in caplog.text


def test_empty_config_dir(search_dirs, tmp_path, caplog):
    assert role("glance-api", "--config-dir", str(tmp_path)) == "admin"
    assert "contains no *.conf file" in caplog.text


@pytest.mark.parametrize("option", ["--config-file", "--config-dir"])
def test_what_is_named_must_exist(search_dirs, option):
    with pytest.raises(ConfigurationError, match=r"Configuration (file|directory) /no/such does not exist"):
        config.load("glance-api", [option, "/no/such"])


def test_files_given_by_the_caller(search_dirs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gunicorn", "--bind", "whatever"])
    assert config.load("glance-api", files=[write(tmp_path, "a.conf", "a")]).admin_role == "a"


def test_command_line_wins_and_is_forgotten_by_the_next_load(load):
    text = "[DEFAULT]\ndebug = true\nverbose = true\nlog_file = a\n"
    conf = load(text, "glance-api", "--nodebug", "--noverbose", "--logfile", "b", "--logdir", "c", "--log-config", "d")
    assert (conf.debug, conf.verbose, conf.log_file, conf.log_dir, conf.log_config_append) == (
        *(False, False),
        *("b", "c", "d"),
    )
    conf = load(text)
    assert (conf.debug, conf.verbose, conf.log_file, conf.log_dir) == (True, True, "a", None)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["-v"], "verbose", True),
        (["-d"], "debug", True),
        (["--use-syslog"], "use_syslog", True),
        (["--watch-log-file"], "watch_log_file", True),
        (["--log-config-append", "x"], "log_config_append", "x"),
        (["--log-date-format", "%H"], "log_date_format", "%H"),
        (["--syslog-log-facility", "LOG_LOCAL1"], "syslog_log_facility", "LOG_LOCAL1"),
        (["-D"], "daemon", True),
        (["--nodaemon"], "daemon", False),
    ],
)
def test_options_of_the_command_line(load, arguments, name, value):
    assert load("[DEFAULT]\ndaemon = true\n" if value is False else "", "glance-scrubber", *arguments)[name] == value


def test_options_of_a_program(load):
    parser = config.command_line("glance-scrubber")
    parser.add_argument("--restore")
    load("")
    arguments = parser.parse_args(["--config-file", str(load.path), "--restore", "ID", "-d"])
    assert config.load("glance-scrubber", arguments).debug is True
    assert arguments.restore == "ID"


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        config.load("glance-api", ["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __import__("glance").__version__


def run(home, *lines):
    code = "\n".join(("from glance.common import config", "from glance.common.config import files, log", *lines))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home, env=environment)


def test_error_as_a_program_shows_it(tmp_path):
    done = run(
        tmp_path, "files.SEARCH_DIRS = ('~',)", "with config.exit_on_error():", "    config.load('glance-api', [])"
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == ("ERROR: Unable to locate any configuration file. Cannot load application glance-api\n")


def test_warnings_of_loading_reach_the_log(tmp_path):
    (tmp_path / "glance-api.conf").write_text("[DEFAULT]\nsql_connection = x\nlog_file = api.log\nuse_stderr = no\n")
    done = run(tmp_path, "log.setup(config.load('glance-api', ['glance-api.conf']))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "api.log").read_text().count('Option "sql_connection"') == 1


def test_exit_code_of_an_unusable_store(capsys):
    from glance.common.exception import StoreConfigurationError

    with pytest.raises(SystemExit) as caught, config.exit_on_error():
        raise StoreConfigurationError("two\nlines, swift://user:secret@host")
    assert caught.value.code == 3
    assert capsys.readouterr().err == "ERROR: two\\nlines, swift://user:***@host\n"


def test_reload(load):
    load("[DEFAULT]\nworkers = 1\nadmin_role = boss\n", "glance-api", "-d")
    assert config.reload() == set()
    load.path.write_text("[DEFAULT]\nworkers = 2\n[database]\nconnection = x\n")
    assert config.reload() == {"DEFAULT.workers", "DEFAULT.admin_role", "database.connection"}
    assert (config.CONF.workers, config.CONF.admin_role, config.CONF.debug) == (2, "admin", True)


def test_reload_of_a_directory_finds_new_files(search_dirs, tmp_path):
    write(tmp_path, "a.conf", "a")
    assert role("glance-api", "--config-dir", str(tmp_path)) == "a"
    write(tmp_path, "b.conf", "b")
    assert config.reload() == {"DEFAULT.admin_role"}


def test_failed_reload_changes_nothing(load):
    load("[DEFAULT]\nworkers = 1\n[oslo_policy]\npolicy_file = a.json\n")
    load.path.write_text("[DEFAULT]\nworkers = 2\nbacklog = none\n[oslo_policy]\npolicy_file = b.json\n")
    with pytest.raises(ConfigurationError, match="backlog = none"):
        config.reload()
    assert (config.CONF.workers, config.CONF.oslo_policy.policy_file) == (1, "a.json")
    load.path.unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        config.reload()
    assert config.CONF.workers == 1


def test_reload_forgets_old_places(load):
    assert load("[DEFAULT]\npolicy_file = mine.json\n").oslo_policy.policy_file == "mine.json"
    load.path.write_text("")
    assert "oslo_policy.policy_file" in config.reload()
    assert config.CONF.oslo_policy.policy_file == "policy.json"
