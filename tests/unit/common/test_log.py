"""Logging as the options say (spec daemons-and-config.md §3.5)."""

import logging
import os
import re
import subprocess
import sys
import textwrap

import pytest

from glance.common import config
from glance.common.config import log
from glance.common.exception import ConfigurationError
from glance.context import RequestContext

LOG = logging.getLogger("glance.test")


@pytest.fixture
def setup(load, tmp_path, clean_logging, monkeypatch):
    """``setup("options", …)`` sets logging up with a file, ``setup.lines()`` is what was logged."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "glance.log"

    def setup(text="", *argv):
        log.setup(load(f"[DEFAULT]\nuse_stderr = false\nlog_file = glance.log\n{text}\n", "glance-api", *argv))

    def lines():
        found = file.read_text().splitlines()
        file.write_text("")
        return found

    setup.lines = lines
    return setup


def everything(logger=LOG):
    for level in ("debug", "info", "warning"):
        getattr(logger, level)(level)


@pytest.mark.parametrize(
    ("text", "argv", "shown"),
    [
        ("", [], ["info", "warning"]),
        ("verbose = false", [], ["warning"]),
        ("debug = true", [], ["debug", "info", "warning"]),
        ("debug = true\nverbose = false", [], ["debug", "info", "warning"]),
        ("debug = true", ["--nodebug", "--noverbose"], ["warning"]),
        ("", ["-d"], ["debug", "info", "warning"]),
    ],
)
def test_levels(setup, text, argv, shown):
    setup(text, *argv)
    everything()
    assert [re.search(r"\[-\] (\w+)", line)[1] for line in setup.lines()] == shown


def test_default_log_levels(setup):
    setup("debug = true")
    everything(logging.getLogger("keystonemiddleware.auth_token"))
    everything(logging.getLogger("oslo.messaging"))
    assert len(setup.lines()) == 1 + 2
    setup("default_log_levels = glance.test=ERROR")
    everything()
    assert setup.lines() == []


def test_format(setup):
    setup()
    LOG.info("hello %s", "you")
    (line,) = setup.lines()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} {os.getpid()} INFO glance\.test \[-\] hello you", line
    )


def test_format_with_context(setup):
    setup("log_date_format = %H")
    RequestContext(user_id="u", project_id="p", request_id="req-1")
    LOG.info("hello")
    (line,) = setup.lines()
    assert re.fullmatch(r"\d\d\.\d{3} \d+ INFO glance\.test \[req-1 u p - - -\] hello", line)


def test_a_record_is_one_line_without_secrets(setup):
    setup()
    LOG.info("GET %s", "/x\n2026-01-01 00:00:00.000 1 ERROR glance [-] forged\r\n\x1b[2J")
    LOG.warning("{'x-auth-token': 'abc123'} swift+http://a:b@c/d", extra={"x": 1})
    LOG.info("%d wrong", "arguments")
    forged, masked, wrong = setup.lines()
    assert "\\nforged" not in forged and "[-] forged\\r\\n\\x1b[2J" in forged
    assert masked.endswith("{'x-auth-token': '***'} swift+http://a:***@c/d")
    assert "%d wrong" in wrong


def test_traceback_without_secrets(setup):
    setup()
    try:
        raise ValueError("cannot open s3://key:hunter2@host\nforged")
    except ValueError:
        LOG.exception("failed")
    lines = setup.lines()
    assert lines[0].endswith("ERROR glance.test [-] failed: ValueError: cannot open s3://key:***@host\\nforged")
    assert all(re.match(r"\S+ \S+ \d+ ERROR glance\.test ", line) for line in lines)
    assert any("Traceback" in line for line in lines)
    assert not any("hunter2" in line for line in lines)


def test_json(setup):
    import json

    setup("use_json = true")
    try:
        raise ValueError("http://a:secret@b")
    except ValueError:
        LOG.exception('{"x-auth-token": "abc123"} two\nlines')
    (line,) = setup.lines()
    found = json.loads(line)
    assert found["message"] == '{"x-auth-token": "***"} two\nlines'
    assert "Traceback" in found["traceback"]
    assert "secret" not in line


def test_log_dir(load, tmp_path, clean_logging):
    (tmp_path / "logs").mkdir()
    options = f"[DEFAULT]\nuse_stderr = false\nlog_dir = {tmp_path}/logs\n"
    log.setup(load(options, "glance-registry"))
    LOG.info("one")
    log.setup(load(options + "log_file = other.log\n", "glance-registry"))
    LOG.info("two")
    log.setup(load(options + f"log_file = {tmp_path}/absolute.log\n", "glance-registry"))
    LOG.info("three")
    assert "one" in (tmp_path / "logs/glance-registry.log").read_text()
    assert "two" in (tmp_path / "logs/other.log").read_text()
    assert "three" in (tmp_path / "absolute.log").read_text()


def test_stderr_is_the_default_also_beside_a_file(load, tmp_path, clean_logging, capfd):
    log.setup(load(f"[DEFAULT]\nlog_file = {tmp_path}/x.log\n"))
    LOG.info("hello")
    assert "hello" in capfd.readouterr().err and "hello" in (tmp_path / "x.log").read_text()
    log.setup(load(""))
    LOG.info("again")
    assert "again" in capfd.readouterr().err and "again" not in (tmp_path / "x.log").read_text()


def test_reload_changes_level_and_file(setup, load, tmp_path):
    setup()
    LOG.debug("no")
    descriptors, first = len(os.listdir("/proc/self/fd")), logging.getLogger().handlers[-1]
    for _ in range(3):
        load.path.write_text("[DEFAULT]\ndebug = true\nuse_stderr = false\nlog_file = second.log\n")
        assert config.reload() >= set()
        log.setup(config.CONF)
    LOG.debug("yes")
    assert "yes" in (tmp_path / "second.log").read_text() and setup.lines() == []
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert first.stream is None


def test_file_moved_away_is_reopened(setup, tmp_path):
    setup()
    LOG.info("one")
    (tmp_path / "glance.log").rename(tmp_path / "glance.log.1")
    LOG.info("two")
    assert len(setup.lines()) == 1 and "one" in (tmp_path / "glance.log.1").read_text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log_file = /no/such/file", "No such file or directory: '/no/such/file'"),
        ("use_syslog = true\nsyslog_log_facility = LOG_NOWHERE", "syslog facility must be one of"),
        ("default_log_levels = glance=LOUD", "Unknown level: 'LOUD'"),
        ("log_config_append = /no/such/file", "No such file or directory: '/no/such/file'"),
        ("log_config_append = glance.log", "glance.log"),
    ],
)
def test_errors_leave_logging_as_it_was(setup, load, text, reason):
    setup()
    with pytest.raises(ConfigurationError, match="Cannot set up logging: ") as caught:
        log.setup(load(f"[DEFAULT]\nuse_stderr = false\n{text}\n"))
    assert reason in str(caught.value)
    LOG.warning("still here")
    assert len(setup.lines()) == 1


def test_log_config_is_read_again(load, tmp_path, clean_logging):
    path = tmp_path / "logging.cnf"

    def write(level, mode="a"):
        path.write_text(
            textwrap.dedent(f"""\
            [loggers]
            keys = root
            [formatters]
            keys = plain
            [formatter_plain]
            format = %(levelname)s %(message)s
            [handlers]
            keys = file
            [handler_file]
            class = FileHandler
            formatter = plain
            args = ('{tmp_path}/out.log', {mode!r})
            [logger_root]
            level = {level}
            handlers = file
            """)
        )

    write("WARNING")
    conf = load(f"[DEFAULT]\nlog_config_append = {path}\nlog_file = /no/such/file\n")
    log.setup(conf)
    everything()
    write("DEBUG")
    log.setup(conf)
    everything()
    LOG.info("a://b:c@d\nx")
    lines = (tmp_path / "out.log").read_text().splitlines()
    assert lines == ["WARNING warning", "DEBUG debug", "INFO info", "WARNING warning", "INFO a://b:***@d\\nx"]
    write("DEBUG", "w")
    log.setup(conf)
    log.setup(conf)  # the file has not changed
    LOG.info("still here")
    assert (tmp_path / "out.log").read_text().count("still here") == 1


def test_dump_of_the_options(setup):
    setup(
        "debug = true\nrabbit_password = hidden\npublic_endpoint = http://u:hidden@h\n[database]\nconnection = hidden"
    )
    log.log_options(config.CONF)
    lines = [line.partition("[-] ")[2].partition(" log_opt_values")[0] for line in setup.lines()]
    asterisks = [number for number, line in enumerate(lines) if line == "*" * 80]
    assert len(asterisks) == 2
    dump = lines[asterisks[0] + 1 : asterisks[1]]
    assert any(re.fullmatch(r"database\.connection +=\s\*{4}", line) for line in dump)
    assert any(re.fullmatch(r"bind_port +=\s9292", line) for line in dump)
    assert not any("hidden" in line for line in lines)


def test_no_dump_without_debug(setup):
    setup()
    log.log_options(config.CONF)
    assert setup.lines() == []


def test_syslog(setup):
    setup("log_use_syslog = true\nsyslog_log_facility = local3")
    (handler,) = [item for item in logging.getLogger().handlers if type(item).__name__ == "OSSysLogHandler"]
    assert isinstance(handler.formatter, log.SafeFormatter)


def test_green_process(tmp_path):
    """Green threads, native threads and forked children log side by side; a killed one blocks nobody."""
    (tmp_path / "x.conf").write_text("[DEFAULT]\nuse_stderr = false\nlog_file = x.log\n")
    code = """
        from glance.wsgi import eventlet_patch
        eventlet_patch.patch()
        import logging, os, signal, eventlet
        from glance.common import config, offload
        from glance.common.config import log
        log.setup(config.load("glance-api", ["x.conf"]))
        L = logging.getLogger("glance.test")
        child = os.fork()
        if not child:
            logging.getLogger().handlers[0].acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        pile = eventlet.GreenPile()
        for number in range(20):
            pile.spawn(L.info, "green %d", number)
            pile.spawn(offload.offload, L.info, "native %d", number)
        list(pile)
        from eventlet import patcher
        def hold():
            with logging._lock:
                patcher.original("time").sleep(0.2)
        holder = eventlet.spawn(offload.offload, hold)
        eventlet.sleep(0.05)
        logging.getLogger("another")
        holder.wait()
    """
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    text = (tmp_path / "x.log").read_text()
    assert text.count("green") == text.count("native") == 20
