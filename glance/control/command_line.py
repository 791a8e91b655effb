"""The command line of glance-control: ``[options] <SERVER> <COMMAND> [CONFPATH]``, options anywhere."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glance import __version__
from glance.control.errors import ControlError

SERVERS = ("api", "registry", "scrubber")
COMMANDS = ("start", "status", "stop", "shutdown", "restart", "reload", "force-reload")

# The daemons' common options (spec daemons-and-config.md §2): given to start or restart, the server gets them.
SERVER_FLAGS = (
    *("-d", "--debug", "--nodebug", "-v", "--verbose", "--noverbose"),
    *("--use-syslog", "--nouse-syslog", "--watch-log-file", "--nowatch-log-file"),
)
SERVER_OPTIONS = (
    *("--config-file", "--config-dir", "--log-config", "--log-config-append", "--log-date-format"),
    *("--log-file", "--logfile", "--log-dir", "--logdir", "--syslog-log-facility"),
)

CONFIG_NAME = "glance-control.conf"
# The current directory comes last, so that it never shadows the system's file.
CONFIG_DIRECTORIES = ("~/.glance", "~", "/etc/glance", "/etc", ".")

EPILOG = """\
commands:
  start          start in the background (says so if it already runs)
  status         say whether a pid file exists
  stop           end at once (signal TERM), wait up to 15 seconds
  shutdown       the same, asking politely (signal HUP)
  restart        stop, then start
  reload         re-read the configuration without losing a request
                 (signal HUP; api and registry); force-reload is the same

--debug, --verbose, --config-file, --config-dir and the --log-* options,
given to start or restart, are handed to the server.

examples:
  glance-control all start
  glance-control api start /etc/glance/glance-api.conf --debug
  glance-control registry status
  glance-control api restart --await-child 3
  glance-control --pid-file ~/glance/api.pid api stop
"""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    ``servers`` are full program names (``glance-api``); ``config_file`` is absolute and exists, or None;
    ``server_arguments`` is what the server gets besides it; ``await_child`` is in seconds.
    """

    servers: tuple[str, ...]
    command: str
    config_file: str | None
    server_arguments: tuple[str, ...]
    pid_file: str | None
    await_child: float
    capture_output: bool
    respawn: bool


class _PassOn(argparse.Action):
    """Collect an option and its value as they will be written on the server's command line."""

    def __call__(self, parser, namespace, value, option_string=None):
        collected = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*collected, f"{option_string}={value}" if value else option_string])


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    try:
        return known[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="glance-control",
        usage="%(prog)s [options] <SERVER> <COMMAND> [CONFPATH]",
        description="Start, stop and watch the servers of the image service.\n"
        "SERVER is all, api, registry or scrubber (or glance-api …); CONFPATH is its configuration file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--pid-file",
        metavar="PATH",
        help="where the pid of the server is kept (default: /var/run/glance/glance-<server>.pid)",
    )
    parser.add_argument(
        "--await-child",
        metavar="SECONDS",
        type=_seconds,
        default=0,
        help="after start, watch the server this long; if it ends in that time, exit with its code (default: 0)",
    )
    parser.add_argument(
        "--capture-output",
        action="store_true",
        help="send the server's standard output and error to syslog (default: discard them)",
    )
    parser.add_argument(
        "--respawn",
        action="store_true",
        help="stay in the foreground and start a server again when it dies; interrupted, leave the servers running",
    )
    parser.add_argument("--version", action="version", version=__version__)
    for flag in SERVER_FLAGS:
        parser.add_argument(flag, action=_PassOn, dest="server_arguments", nargs=0, help=argparse.SUPPRESS)
    for option in SERVER_OPTIONS:
        parser.add_argument(option, action=_PassOn, dest="server_arguments", help=argparse.SUPPRESS)
    return parser


def _configured() -> dict[str, object]:
    """Defaults from the ``[DEFAULT]`` section of the first glance-control.conf there is."""
    candidates = (os.path.expanduser(os.path.join(directory, CONFIG_NAME)) for directory in CONFIG_DIRECTORIES)
    path = next(filter(os.path.isfile, candidates), None)
    if path is None:
        return {}
    import configparser  # rarely needed, and a third of the start-up time

    file = configparser.RawConfigParser(strict=False)
    try:
        file.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise ControlError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
    types: dict[str, Callable[[str], object]] = {
        "pid_file": str,
        "await_child": _seconds,
        "capture_output": _boolean,
        "respawn": _boolean,
    }
    values: dict[str, object] = {}
    for name, convert in types.items():
        text = file.defaults().get(name)
        try:
            if text:
                values[name] = convert(text)
        except ValueError:
            raise ControlError(f"{path}: {name} = {text} is not a valid value") from None
    return values


def _config_file(path: str) -> str:
    if not os.path.isfile(path):
        raise ControlError(f"configuration file {path} does not exist or is not a file")
    return os.path.abspath(path)


def parse(arguments: Sequence[str]) -> Request:
    """Turn the words after ``glance-control`` into a Request.

    :raises SystemExit: 2 with the usage on stderr for bad usage, 0 for --help and --version, 1 with a line on
        stderr for options that exclude each other
    :raises ControlError: a named file does not exist or is malformed
    """
    parser = _parser()
    parser.set_defaults(**_configured())
    options = parser.parse_intermixed_args(arguments)
    if len(options.words) < 2:
        parser.error("SERVER and COMMAND are required")
    server, command, *rest = options.words  # words after CONFPATH mean nothing
    server = server.removeprefix("glance-")
    if server not in ("all", *SERVERS):
        parser.error(f"unknown server {options.words[0]!r}; choose from: {', '.join(('all', *SERVERS))}")
    if command not in COMMANDS:
        parser.error(f"unknown command {command!r}; choose from: {', '.join(COMMANDS)}")
    if options.pid_file and server == "all":
        parser.error("--pid-file names the file of one server; it cannot be used with all")
    if options.await_child and options.respawn:
        parser.exit(1, "--await-child and --respawn are mutually exclusive\n")
    starting = command in ("start", "restart")
    return Request(
        servers=tuple(f"glance-{name}" for name in (SERVERS if server == "all" else (server,))),
        command=command,
        config_file=_config_file(rest[0]) if starting and rest else None,
        server_arguments=tuple(options.server_arguments or ()),
        pid_file=os.path.abspath(options.pid_file) if options.pid_file else None,
        await_child=options.await_child,
        capture_output=options.capture_output,
        respawn=options.respawn,
    )
