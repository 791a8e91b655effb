"""The command line that all daemons and tools have in common (spec daemons-and-config.md §2)."""

import argparse

from glance import __version__
from glance.common.config.programs import PROGRAMS


def command_line(program: str, description: str | None = None) -> argparse.ArgumentParser:
    """Return a parser of the common options; a program may add its own.

    An attribute of the parsed result that is called like an option (``debug``, or
    ``database.connection`` for one in a group) and is not None overrides the files.
    """
    parser = argparse.ArgumentParser(prog=program, description=description)
    if PROGRAMS[program].positional:
        parser.add_argument(
            "config_path", nargs="?", metavar="CONFIG", help="configuration file, if --config-file is not given"
        )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--config-file", action="append", metavar="PATH", help="configuration file; may be repeated, later ones win"
    )
    parser.add_argument(
        "--config-dir", action="append", metavar="DIR", help="read DIR/*.conf in sorted order, and no other file"
    )
    add_flag(parser, "verbose", "v", help="log what happens (level INFO)")
    add_flag(parser, "debug", "d", help="log details (level DEBUG)")
    add_flag(parser, "use-syslog", help="log to syslog")
    add_flag(parser, "watch-log-file", help=argparse.SUPPRESS)
    parser.add_argument("--log-config-append", "--log-config", metavar="PATH", help="logging configuration file")
    parser.add_argument("--log-file", "--logfile", metavar="PATH", help="log file")
    parser.add_argument("--log-dir", "--logdir", metavar="DIR", help="directory of a relative log file")
    parser.add_argument("--log-date-format", metavar="FORMAT", help="format of dates in the log")
    parser.add_argument("--syslog-log-facility", metavar="FACILITY", help="syslog facility, for example LOG_LOCAL1")
    if program == "glance-scrubber":
        add_flag(parser, "daemon", "D", help="stay, and make a pass every wakeup_time seconds")
    if program == "glance-manage":
        parser.add_argument(
            "--sql-connection",
            "--sql_connection",
            dest="database.connection",
            metavar="URL",
            help="database to work on, instead of [database] connection",
        )
    return parser


def add_flag(parser: argparse.ArgumentParser, name: str, short: str | None = None, *, help: str) -> None:
    """Add ``--name`` and ``--noname`` for a boolean option; given neither, the files decide."""
    dest = name.replace("-", "_")
    names = [f"--{name}", *([f"-{short}"] if short else ())]
    parser.add_argument(*names, action="store_const", const=True, dest=dest, help=help)
    parser.add_argument(f"--no{name}", action="store_const", const=False, dest=dest, help=argparse.SUPPRESS)
