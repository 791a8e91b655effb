"""Turning everything that can be wrong with configuration files into one line of text."""

import os
from contextlib import suppress

from oslo_config import cfg
from oslo_log import versionutils

from glance.common import exception
from glance.common.config.types import Section
from glance.common.redact import one_line


def read(conf: cfg.ConfigOpts, program: str, files: list[str]) -> None:
    """Let ``conf`` read ``files``, the later ones overriding.  :raises ConfigurationError: one cannot be read"""
    for path in files:
        _parse(path)
    # keystonemiddleware has, once loaded, required options that the paste file may give instead; the
    # library finds out itself, and this check of oslo.config is the last thing of all.
    with suppress(cfg.RequiredOptError):
        conf([], project="glance", prog=program, default_config_files=files, default_config_dirs=[])


def check(conf: cfg.ConfigOpts, sections: list[Section]) -> None:
    """Read every option once.

    :raises ConfigurationError: a value is not valid; the text names option, value and file
    """
    for section in sections:
        group = None if section.group == "DEFAULT" else section.group
        for option in section.options:
            try:
                conf[option.dest] if group is None else conf[group][option.dest]
            except (ValueError, RecursionError, cfg.Error, versionutils.DeprecatedConfig) as error:
                raise _wrong(conf, section.group, option, _reason(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, cfg.NoSuchOptError) and error.__context__:
        error = error.__context__  # what oslo.config hides
    if isinstance(error, (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError, RecursionError)):
        return "its $ refers to no option, or to itself (write $$ for a dollar sign)"
    if isinstance(error, versionutils.DeprecatedConfig):
        return "its name is an old one, and fatal_deprecations is set"
    return one_line(str(error).rpartition(" is not valid: ")[2]).rstrip(".")


def _wrong(conf: cfg.ConfigOpts, group: str, option: cfg.Opt, reason: str) -> exception.ConfigurationError:
    where, section, name, value = _origin(conf, group, option)
    shown = "***" if option.secret else one_line(value)
    return exception.ConfigurationError(f"{where}: [{section}] {name} = {shown} is not valid: {reason}")


def _origin(conf: cfg.ConfigOpts, group: str, option: cfg.Opt) -> tuple[str, str, str, str]:
    """Where the value of an option comes from: place, section, name, value as written."""
    variable = f"OS_{group.upper()}__{option.dest.upper()}"
    if variable in os.environ:
        return f"environment variable {variable}", group, option.dest, os.environ[variable]
    names = [(group, option.dest)]
    names += [(old.group or group, old.name or option.dest) for old in option.deprecated_opts]
    for path in reversed(conf.config_file):
        sections = _parse(path)
        for section, name in names:
            values = sections.get(section.lower(), {}).get(name)
            if values:
                return path, section, name, values[-1]
    return "default", group, option.dest, str(option.default)


def _parse(path: str) -> dict[str, dict[str, list[str]]]:
    """The file's values as written, by section (in lower case) and name."""
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(path, sections).parse()
    except cfg.ParseError as error:  # its text would show the line, which may be a password
        raise exception.ConfigurationError(f"{path}: line {error.lineno} is not valid: {error.msg}") from None
    except UnicodeDecodeError:
        raise exception.ConfigurationError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise exception.ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    merged: dict[str, dict[str, list[str]]] = {}
    for name, values in sections.items():
        merged.setdefault(name.lower(), {}).update(values)
    return merged
