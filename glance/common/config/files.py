"""Finding the configuration files of a program (spec daemons-and-config.md §2)."""

import glob
import logging
import os
from collections.abc import Sequence

from glance.common import exception
from glance.common.config.programs import Program

LOG = logging.getLogger(__name__)

PROJECT_FILE = "glance.conf"
# The current directory comes last, so that it never shadows the system's files.
SEARCH_DIRS = ("~/.glance", "~", "/etc/glance", "/etc", ".")


def find(
    name: str,
    program: Program,
    *,
    dirs: Sequence[str] | None = None,
    files: Sequence[str] | None = None,
    positional: str | None = None,
) -> list[str]:
    """Return the absolute paths of the files to read, the ones that override last.

    :param name: of the program, for messages
    :param dirs, files, positional: what the command line says: --config-dir, --config-file, the first argument
    :raises ConfigurationError: a directory or file that was named does not exist, or none was found
    """
    if positional and not os.path.isfile(os.path.expanduser(positional)):
        raise exception.ConfigurationError(f"Configuration file {positional} does not exist or is not a file")
    if dirs:
        ignored = [*(files or ()), *([positional] if positional else ())]
        if ignored:
            LOG.warning("--config-dir is given, so these configuration files are ignored: %s", ", ".join(ignored))
        return [path for directory in dirs for path in _directory(directory)]
    if files:
        if positional:
            LOG.warning("--config-file is given, so this configuration file is ignored: %s", positional)
        return [_existing(path) for path in files]
    if positional:
        return [_existing(positional)]
    found = [path for path in map(_search, (PROJECT_FILE, *program.files)) if path]
    if not [path for path in found if os.path.basename(path) in program.files]:
        found += [path for path in map(_search, program.fallbacks) if path]
    if not found and program.required:
        raise exception.ConfigurationError(f"Unable to locate any configuration file. Cannot load application {name}")
    return found


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _existing(path: str) -> str:
    if not os.path.isfile(_absolute(path)):
        raise exception.ConfigurationError(f"Configuration file {path} does not exist or is not a file")
    return _absolute(path)


def _directory(path: str) -> list[str]:
    directory = _absolute(path)
    if not os.path.isdir(directory):
        raise exception.ConfigurationError(f"Configuration directory {path} does not exist or is not a directory")
    found = sorted(glob.glob(os.path.join(glob.escape(directory), "*.conf")))
    if not found:
        LOG.warning("Configuration directory %s contains no *.conf file: every option has its default", path)
    return found


def _search(name: str) -> str | None:
    candidates = (_absolute(os.path.join(directory, name)) for directory in SEARCH_DIRS)
    return next(filter(os.path.isfile, candidates), None)
