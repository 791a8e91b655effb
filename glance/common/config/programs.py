"""Which program has which options, and which files it reads (spec daemons-and-config.md §1, §2)."""

from types import ModuleType
from typing import NamedTuple

from oslo_config import cfg

from glance.common.config import (
    aliases,
    api,
    auth,
    cache,
    database,
    fetch,
    libraries,
    log,
    metrics,
    notification,
    registry_client,
    server,
    store,
)
from glance.common.config.types import Section


class Program(NamedTuple):
    """:ivar letter: its column in the tables of options
    :ivar files: names of its configuration files, later ones overriding earlier ones
    :ivar fallbacks: names of 2011, tried when there is none of ``files``
    :ivar positional: the first argument may be a configuration file
    :ivar required: without any file it does not start
    """

    letter: str
    files: tuple[str, ...]
    fallbacks: tuple[str, ...] = ()
    positional: bool = False
    required: bool = True


PROGRAMS = {
    "glance-api": Program("A", ("glance-api.conf",), positional=True),
    "glance-registry": Program("R", ("glance-registry.conf",), positional=True),
    "glance-scrubber": Program("S", ("glance-scrubber.conf",), positional=True),
    "glance-cache-pruner": Program("C", ("glance-cache.conf",), ("glance-pruner.conf",), positional=True),
    "glance-cache-cleaner": Program("C", ("glance-cache.conf",), ("glance-reaper.conf",), positional=True),
    "glance-cache-prefetcher": Program("C", ("glance-cache.conf",), ("glance-prefetcher.conf",), positional=True),
    "glance-manage": Program("M", ("glance-registry.conf", "glance-api.conf", "glance-manage.conf")),
    "glance-replicator": Program("P", ("glance-replicator.conf",), required=False),
}

PORTS = {"A": 9292, "R": 9191}
"""The default of bind_port."""

# The order of the sample files.
_SUBJECTS = (server, api, registry_client, auth, database, store, fetch, cache, notification, metrics, aliases)


def subjects(letter: str) -> dict[str, list[Section]]:
    """By subject, the options of the programs with this letter, those of the libraries they use included."""
    found = {_title(subject): [*filter(lambda s: letter in s.programs, subject.OPTIONS)] for subject in _SUBJECTS}
    return found | {
        _title(libraries): libraries.sections(letter),
        _title(log): [Section(letter, "DEFAULT", log.options())],
    }


def sections(letter: str) -> list[Section]:
    """The same in one list."""
    return [section for found in subjects(letter).values() for section in found]


def _title(subject: ModuleType) -> str:
    return (subject.__doc__ or "").partition("\n")[0].partition(" (spec")[0].rstrip(".")


def register(conf: cfg.ConfigOpts, program: str) -> None:
    """Make ``conf`` know every option of ``program``; may be called for several programs, and again.

    For a test of another room: ``register(conf, "glance-api"); conf([], default_config_files=[])``.
    """
    letter = PROGRAMS[program].letter
    for section in sections(letter):
        conf.register_opts(list(section.options), group=None if section.group == "DEFAULT" else section.group)
    if letter in PORTS:
        conf.set_default("bind_port", PORTS[letter])
