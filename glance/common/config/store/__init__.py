"""Where image data is kept: one module per driver (spec daemons-and-config.md §3.6, stores.md).

``driver_options()`` can be registered into any group: ``[glance_store]`` is the group of
the stores of one backend each, whose options files of 2011 to 2013 set in ``[DEFAULT]``.
"""

from oslo_config import cfg

from glance.common.config.store import file, http, rbd, s3, swift
from glance.common.config.types import Section


def driver_options() -> list[cfg.Opt]:
    """New option objects of every driver, for the group of one store."""
    return [*file.options(), *http.options(), *swift.options(), *s3.options(), *rbd.options()]


def _also_in_default(options: list[cfg.Opt]) -> list[cfg.Opt]:
    for option in options:
        if option.multi:
            continue  # aliases.py: values of both places would add up
        option.deprecated_opts.append(cfg.DeprecatedOpt(option.dest, group="DEFAULT"))
    return options


OPTIONS = [
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
