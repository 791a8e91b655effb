"""Configuration: options, files, command line, logging.

A program needs three lines::

    with config.exit_on_error():
        config.load("glance-api")      # reads sys.argv and the files; config.CONF then has every option
        log.setup(config.CONF)         # glance.common.config.log

One with options of its own extends the common parser, and hands over the result::

    parser = config.command_line("glance-scrubber")
    parser.add_argument("--restore", metavar="ID")
    arguments = parser.parse_args()
    config.load("glance-scrubber", arguments)

After SIGHUP: ``config.reload(); log.setup(config.CONF)``.

Where to find what: one module per subject lists the options (``server``, ``api``,
``registry_client``, ``auth``, ``database``, ``store``, ``cache``, ``notification``,
``metrics``, ``libraries``, ``log``); ``programs`` says which program has which; ``files`` finds the
files; ``checking`` reports what is wrong in them; ``sample`` writes ``etc/*.conf``.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from oslo_config import cfg

from glance.common import exception
from glance.common.config import aliases, checking, libraries, log, programs, store
from glance.common.config.command_line import add_flag, command_line
from glance.common.config.files import find
from glance.common.config.programs import register
from glance.common.config.types import parse_size
from glance.common.redact import mask_secrets, one_line

__all__ = [
    "CONF",
    "add_flag",
    "command_line",
    "exit_on_error",
    "is_set",
    "load",
    "parse_size",
    "register",
    "reload",
]

LOG = logging.getLogger(__name__)

CONF = cfg.CONF
"""The process-wide options; the libraries (policy, keystonemiddleware, CORS …) read the same object."""

_ADDRESSES = ("config_file", "config_dir", "config_path")  # say what to read, are no options
_WITHOUT_EFFECT = ("pydev_worker_debug_host", "pydev_worker_debug_port", "executor_thread_pool_size")


class _Loaded(NamedTuple):
    program: str
    arguments: argparse.Namespace
    files: Sequence[str] | None


_loaded: _Loaded | None = None


def load(
    program: str, argv: Sequence[str] | argparse.Namespace | None = None, *, files: Sequence[str] | None = None
) -> cfg.ConfigOpts:
    """Read command line and files into ``CONF`` and return it (spec daemons-and-config.md §2).

    :param program: a key of ``programs.PROGRAMS``
    :param argv: the command line without the program's name, or what ``command_line(program)`` parsed it to;
        None means that of the process (nothing, if ``files`` is given)
    :param files: read these, as if each had been given as --config-file
    :raises ConfigurationError: no file, an unreadable file or a bad value; the text is one line
    :raises SystemExit: 2 with the usage on stderr for a bad command line, 0 for --help and --version
    """
    global _loaded  # noqa: PLW0603
    if not isinstance(argv, argparse.Namespace):
        argv = command_line(program).parse_args([] if argv is None and files is not None else argv)
    if _loaded:
        _override(CONF, _loaded.arguments, clear=True)
    with log.early_records():
        _read(CONF, _Loaded(program, argv, files))
        for name in _WITHOUT_EFFECT:
            if name in CONF and is_set(CONF, name):
                LOG.warning("Option %s has no effect", name)
        if CONF.publish_errors:
            LOG.warning("Option publish_errors has no effect")
    _loaded = _Loaded(program, argv, files)
    return CONF


def reload() -> set[str]:
    """Read the files again, as the last ``load`` did; return the options that changed, as ``group.name``.

    :raises ConfigurationError: as ``load``; ``CONF`` then stays as it was
    """
    if _loaded is None:
        raise RuntimeError("reload() before load()")
    _read(cfg.ConfigOpts(), _loaded)
    before = _values(_loaded.program)
    _read(CONF, _loaded)
    return {name for name, value in _values(_loaded.program).items() if value != before[name]}


def is_set(conf: cfg.ConfigOpts, name: str, group: str | None = None) -> bool:
    """Whether a file, the environment or the command line sets this option, rather than its default."""
    where = conf.get_location(name, group)  # None: an option without a default
    if where and where.location.is_user_controlled:
        return True
    argument = f"{group}.{name}" if group else name
    on_command_line = _loaded is not None and getattr(_loaded.arguments, argument, None) is not None
    return on_command_line or aliases.is_set(conf, group, name)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error that a user can act on into ``ERROR: <text>`` on stderr and an exit code.

    The code is 3 for a default store that cannot be used, else 1.
    """
    try:
        yield
    except exception.GlanceException as error:
        sys.stderr.write(f"ERROR: {one_line(mask_secrets(str(error)))}\n")
        sys.exit(3 if isinstance(error, exception.StoreConfigurationError) else 1)


def _read(conf: cfg.ConfigOpts, what: _Loaded) -> None:
    program = programs.PROGRAMS[what.program]
    register(conf, what.program)
    found = find(
        what.program,
        # A command line that names the database needs no file.
        program._replace(required=program.required and not getattr(what.arguments, "database.connection", None)),
        dirs=getattr(what.arguments, "config_dir", None),
        files=what.files or getattr(what.arguments, "config_file", None),
        positional=getattr(what.arguments, "config_path", None),
    )
    checking.read(conf, what.program, found)
    _override(conf, what.arguments)
    aliases.adopt(conf)
    checking.check(conf, programs.sections(program.letter))
    if "enabled_backends" in conf:
        checking.check(conf, store.backend_sections(conf))
    if program.letter == "A":
        checking.check(conf, libraries.cors_sections(conf))
    if program.letter == "R" and conf.data_api == "glance.db.registry.api":
        raise exception.ConfigurationError(
            "data_api = glance.db.registry.api is for glance-api only: the registry itself needs "
            "glance.db.sqlalchemy.api"
        )


def _override(conf: cfg.ConfigOpts, arguments: argparse.Namespace, *, clear: bool = False) -> None:
    """Let the command line win over the files; or, ``clear``, no longer."""
    for name, value in vars(arguments).items():
        group, _, option = name.rpartition(".")
        known = conf[group] if group else conf
        if value is None or name in _ADDRESSES or option not in known:
            continue
        if clear:
            conf.clear_override(option, group=group or None)
        else:
            conf.set_override(option, value, group=group or None)


def _values(program: str) -> dict[str, object]:
    sections = programs.sections(programs.PROGRAMS[program].letter)
    return {
        f"{section.group}.{option.dest}": CONF[option.dest]
        if section.group == "DEFAULT"
        else CONF[section.group][option.dest]
        for section in sections
        for option in section.options
    }
