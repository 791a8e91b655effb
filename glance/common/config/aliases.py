"""Old places in ``[DEFAULT]`` of options that oslo.config's own aliases cannot serve.

Those of a multi-valued option would add up instead of the new name winning, and
options that a library owns cannot be given any.
"""

import logging

from oslo_config import cfg

from glance.common.config.types import Section

LOG = logging.getLogger(__name__)

# Name in [DEFAULT]: today's group and name.
MOVED = {
    "policy_file": ("oslo_policy", "policy_file"),
    "policy_default_rule": ("oslo_policy", "policy_default_rule"),
    "policy_dirs": ("oslo_policy", "policy_dirs"),
    "filesystem_store_datadirs": ("glance_store", "filesystem_store_datadirs"),
    "notification_driver": ("oslo_messaging_notifications", "driver"),
}

OPTIONS = [
    Section("AR", "DEFAULT", [cfg.StrOpt("policy_file"), cfg.StrOpt("policy_default_rule")]),
    Section("AR", "DEFAULT", [cfg.MultiStrOpt("policy_dirs")]),
    Section("ASC", "DEFAULT", [cfg.MultiStrOpt("filesystem_store_datadirs")]),
    Section("A", "DEFAULT", [cfg.MultiStrOpt("notification_driver")]),
]

_warned: set[str] = set()


def adopt(conf: cfg.ConfigOpts) -> None:
    """Hand what ``[DEFAULT]`` says to the new places, as defaults there."""
    for old, (group, name) in MOVED.items():
        if old not in conf:
            continue
        conf.clear_default(name, group=group)
        if conf[old]:
            conf.set_default(name, conf[old], group=group)
            if old not in _warned:
                _warned.add(old)
                LOG.warning("Option %s in [DEFAULT] is deprecated: its name is %s in [%s]", old, name, group)


def is_set(conf: cfg.ConfigOpts, group: str | None, name: str) -> bool:
    """Whether the option is set at its old place."""
    return any(place == (group, name) and old in conf and conf[old] for old, place in MOVED.items())
