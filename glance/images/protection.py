"""Property protections: which additional properties a caller may create, read, update, delete.

Spec policy-quota-protection.md §4, v1-api.md §5.1.  The file is INI: each section is a
regular expression that is searched in the name of a property, its four keys say who may
do what.  The first section that matches decides alone; a property that none matches is
nobody's.  Attributes of the image itself are never covered.
"""

import configparser
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from oslo_config import cfg

from glance.common.exception import ConfigurationError, Forbidden
from glance.context import RequestContext
from glance.images.policy import Policy

LOG = logging.getLogger(__name__)

OPERATIONS = ("create", "read", "update", "delete")
_RESERVED = "os_glance"  # properties of the service's own; sections for them are not the operator's
_CACHED_NAMES = 1024

EVERYONE = "@"
NOBODY = "!"


class Section(NamedTuple):
    """One section: its expression, and per operation the roles (or the one policy) that may."""

    pattern: re.Pattern[str]
    allowed: dict[str, frozenset[str]]


class Protections:
    """The protections in force; without a file everybody may do everything.

    :param conf: property_protection_file, property_protection_rule_format (roles or policies)
    :param policy: asked about the names in a file of the format ``policies``
    :raises ConfigurationError: the file is not usable
    """

    def __init__(self, conf: cfg.ConfigOpts, policy: Policy) -> None:
        self._policy = policy
        self._by_policies = False
        self._sections: list[Section] = []
        if conf.property_protection_file:
            self._by_policies = conf.property_protection_rule_format.lower() == "policies"
            path = conf.find_file(conf.property_protection_file)
            if path is None:
                raise ConfigurationError(
                    f"property_protection_file '{conf.property_protection_file}' does not exist: "
                    "create it or unset the option"
                )
            self._sections = read_sections(path, self._by_policies)
            if self._by_policies:
                self._warn_of_unknown_policies(path)
        self._section = lru_cache(_CACHED_NAMES)(self._find_section)

    @property
    def enabled(self) -> bool:
        return bool(self._sections)

    def may(self, context: RequestContext, operation: str, name: str) -> bool:
        """Whether the caller may do ``operation`` (one of OPERATIONS) on the property."""
        if not self._sections:
            return True
        section = self._section(name)
        return section is not None and self._admits(section.allowed[operation], context)

    def require(self, context: RequestContext, operation: str, name: str) -> None:
        """:raises Forbidden: the caller may not"""
        if not self.may(context, operation, name):
            raise Forbidden(f"Property '{name}' is protected")

    def visible(self, context: RequestContext, properties: dict[str, str | None]) -> dict[str, str | None]:
        """The properties that the caller may read; without protections the very same dict."""
        if not self._sections:
            return properties
        return {name: value for name, value in properties.items() if self.may(context, "read", name)}

    def hidden(self, context: RequestContext, properties: dict[str, str | None]) -> dict[str, str | None]:
        """The properties that the caller may not read, which every save must keep."""
        if not self._sections:
            return {}
        return {name: value for name, value in properties.items() if not self.may(context, "read", name)}

    def check_create(self, context: RequestContext, names: Iterable[str]) -> None:
        """:raises Forbidden: the caller may not create one of the properties"""
        if self._sections:
            for name in names:
                self.require(context, "create", name)

    def merge_update(
        self,
        context: RequestContext,
        stored: dict[str, str | None],
        sent: dict[str, str | None],
        *,
        purge: bool,
    ) -> dict[str, str | None]:
        """Return all properties that the image has after a v1 PUT.

        :param stored: all properties it has now
        :param sent: those of the request
        :param purge: those not sent go, except what the caller cannot read: that stays
        :raises Forbidden: creating, changing or purging one of them is not the caller's right
        """
        if not self._sections:
            return dict(sent) if purge else {**stored, **sent}
        for name, value in sent.items():
            if name not in stored:
                self.require(context, "create", name)
                continue
            self.require(context, "read", name)
            if value != stored[name]:
                self.require(context, "update", name)
        if not purge:
            return {**stored, **sent}
        hidden = self.hidden(context, stored)
        for name in stored:
            if name not in sent and name not in hidden:
                self.require(context, "delete", name)
        return {**hidden, **sent}

    def _find_section(self, name: str) -> Section | None:
        return next((section for section in self._sections if section.pattern.search(name)), None)

    def _admits(self, allowed: frozenset[str], context: RequestContext) -> bool:
        if NOBODY in allowed:
            return False
        if EVERYONE in allowed:
            return True
        if self._by_policies:
            return any(self._policy.check(context, rule, {}) for rule in allowed)
        return any(role.lower() in allowed for role in (*context.roles, *context.service_roles))

    def _warn_of_unknown_policies(self, path: str) -> None:
        for section in self._sections:
            named = set().union(*section.allowed.values()) - {EVERYONE, NOBODY}
            for rule in sorted(named):
                if not self._policy.defines(rule):
                    LOG.warning(
                        "%s: section [%s] names policy rule '%s', which is not defined: the default rule decides",
                        path, section.pattern.pattern, rule,
                    )  # fmt: skip


def read_sections(path: str, by_policies: bool) -> list[Section]:
    """Parse a protections file; the service's own section comes first.

    :raises ConfigurationError: naming file, section and value
    """
    # No section is special: a property may well be called DEFAULT.
    parser = configparser.RawConfigParser(default_section="\0")
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigurationError(f"Cannot read property_protection_file '{path}': {error.strerror}") from None
    except (configparser.Error, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"property_protection_file '{path}' is not a usable INI file: {reason}") from None
    everyone = dict.fromkeys(OPERATIONS, frozenset({EVERYONE}))
    sections = [Section(re.compile(f"^{_RESERVED}"), everyone)]
    for name in parser.sections():
        if name.startswith(_RESERVED):
            LOG.warning("%s: section [%s] is ignored, %s is the service's own", path, name, _RESERVED)
            continue
        try:
            pattern = re.compile(name)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigurationError(f"{path}: section [{name}] is not a regular expression: {error}") from None
        allowed = {op: _parse(path, name, op, parser[name].get(op), by_policies) for op in OPERATIONS}
        sections.append(Section(pattern, allowed))
    return sections


def _parse(path: str, section: str, operation: str, value: str | None, by_policies: bool) -> frozenset[str]:
    where = f"{path}: section [{section}]"
    if value is None:
        raise ConfigurationError(f"{where} lacks '{operation}': each section needs {', '.join(OPERATIONS)}")
    names = [name.strip() for name in value.split(",")]
    if by_policies and len(names) > 1:
        raise ConfigurationError(f"{where}: {operation} = {value!r} must name exactly one policy rule")
    allowed = frozenset(name if by_policies else name.lower() for name in names if name)
    if {EVERYONE, NOBODY} <= allowed:
        raise ConfigurationError(f"{where}: {operation} = {value!r} says both @ (everyone) and ! (nobody)")
    if not allowed:
        LOG.warning("%s: %s is empty: nobody may %s", where, operation, operation)
    return allowed
