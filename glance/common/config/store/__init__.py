"""Where image data is kept: one module per driver (spec daemons-and-config.md §3.6, stores.md).

``driver_options()`` can be registered into any group: ``[glance_store]`` is the group of
the stores of one backend each, whose options files of 2011 to 2013 set in ``[DEFAULT]``;
with ``enabled_backends`` each store has a section of its own.
"""

from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.common.config.store import file, http, rbd, s3, swift
from glance.common.config.types import Section


def driver_options() -> list[cfg.Opt]:
    """New option objects of every driver, for the group of one store."""
    return [*file.options(), *http.options(), *swift.options(), *s3.options(), *rbd.options()]


RESERVED = "os_glance_"
"""Stores of the service's own begin so."""
DEFAULTS = "backend_defaults"
"""The section with what all stores have in common."""


def backend_sections(conf: cfg.ConfigOpts) -> list[Section]:
    """Make ``conf`` know the sections that ``enabled_backends`` names; return them.

    What ``[backend_defaults]`` sets is the default of each (spec stores.md §2).

    :raises ConfigurationError: a name is the service's own
    """
    if not conf.enabled_backends:
        return []
    conf.register_opts(driver_options(), group=DEFAULTS)
    sections = []
    for backend in conf.enabled_backends:
        if backend.startswith(RESERVED) or backend in ("DEFAULT", DEFAULTS, "glance_store"):
            raise exception.ConfigurationError(f"enabled_backends: '{backend}' is reserved; choose another name")
        options = [
            cfg.StrOpt("store_description", help="What people are told of this store."),
            cfg.IntOpt("weight", default=0, help="Of the locations of an image, the heaviest is tried first."),
            *driver_options(),
        ]
        conf.register_opts(options, group=backend)
        for option in driver_options():
            if _is_set(conf, option.dest):
                conf.set_default(option.dest, conf[DEFAULTS][option.dest], group=backend)
        sections.append(Section("ASC", backend, options))
    return sections


def _is_set(conf: cfg.ConfigOpts, option: str) -> bool:
    where: Any = conf.get_location(option, DEFAULTS)
    return bool(where and where.location.is_user_controlled)


def _also_in_default(options: list[cfg.Opt]) -> list[cfg.Opt]:
    for option in options:
        if option.multi:
            continue  # aliases.py: values of both places would add up
        option.deprecated_opts.append(cfg.DeprecatedOpt(option.dest, group="DEFAULT"))
    return options


OPTIONS = [
    Section(
        "ASC",
        "DEFAULT",
        [
            cfg.DictOpt(
                "enabled_backends",
                help="Several stores, as ID:TYPE pairs, for example fast:rbd,cheap:file. Each has its options in a "
                "section [ID], what they share stands in [backend_defaults]; [glance_store] default_backend says "
                "where images go. default_store and stores then have no effect.",
            ),
        ],
    ),
    Section(
        "ASC",
        "glance_store",
        _also_in_default(
            [
                cfg.StrOpt(
                    "default_store",
                    default="file",
                    help="Store for new images: file, swift, s3 or rbd. If it cannot be used, glance-api does not "
                    "start.",
                ),
                cfg.StrOpt(
                    "default_backend", help="Store of enabled_backends for new images. Required with that option."
                ),
                cfg.ListOpt(
                    "stores",
                    help="Stores to switch on: file, http, swift, s3, rbd. Unset: file, http, the default store and "
                    "every store whose required options are set.",
                ),
                cfg.ListOpt("known_stores", help="The same as stores, written as the class paths of 2012 and 2013."),
                cfg.StrOpt(
                    "rootwrap_config",
                    default="/etc/glance/rootwrap.conf",
                    help="Accepted for old files: no driver runs commands as root.",
                ),
                *driver_options(),
            ]
        ),
    ),
]
