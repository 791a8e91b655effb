"""Who may do what: the rules of the policy files, asked by every operation.

Spec policy-quota-protection.md §2 and §3.  The language of the rules is that of
oslo.policy, whose parser and checks are used.  The files are read here, because three
things matter more than its ``Enforcer`` offers: a rule that lets everybody pass must
cost nothing, a file that breaks while the service runs must not take the service or the
rules down, and a rule that cannot be evaluated must deny.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from glance.common import config
from glance.common.exception import ConfigurationError, Forbidden, ImageHidden
from glance.context import RequestContext
from glance.images.model import Image
from glance.images.policy_defaults import DEFAULTS

LOG = logging.getLogger(__name__)

FALLBACK_FILE = "glance.policy.json"
_LOOK_EVERY = 1.0  # seconds between two looks at the files

Check = Callable[[Mapping[str, Any], dict[str, Any]], bool]


class Policy:
    """The rules in force, from the policy files and the defaults in code.

    :param conf: ``[oslo_policy]`` policy_file, policy_dirs, policy_default_rule,
        enforce_new_defaults, enforce_scope, and admin_role
    :raises ConfigurationError: a file exists but cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._admin_role = conf.admin_role.strip().lower()
        self._modern_only = conf.oslo_policy.enforce_new_defaults
        self._projects_only = self._modern_only and conf.oslo_policy.enforce_scope
        self._seen: tuple[Any, ...] = ()
        self._next_look = time.monotonic() + _LOOK_EVERY
        self._checks: dict[str, Check] = {}
        self._otherwise: Check = _nobody
        paths = self._find_files()
        if not paths and config.is_set(conf, "policy_file", "oslo_policy"):
            LOG.warning("Policy file '%s' does not exist: the defaults apply", conf.oslo_policy.policy_file)
        try:
            self._seen = _signature(paths)
            self._load(paths)
        except OSError as error:
            raise ConfigurationError(f"Cannot read policy file '{error.filename}': {error.strerror}") from None

    def enforce(self, context: RequestContext, rule: str, target: Mapping[str, Any]) -> None:
        """Do nothing if the caller may.

        :raises ImageHidden: the caller may not even see the image that is the target
        :raises Forbidden: the rule alone refuses
        """
        if self.check(context, rule, target):
            return
        hidden = isinstance(target, _ImageTarget) and (
            rule == "get_image" or not self.check(context, "get_image", target)
        )
        raise _refusal(ImageHidden if hidden else Forbidden, rule)

    def enforce_new(self, context: RequestContext, rule: str, target: Mapping[str, Any]) -> None:
        """As ``enforce``, about an image that does not exist yet: there is nothing to hide.  :raises Forbidden:"""
        if not self.check(context, rule, target):
            raise _refusal(Forbidden, rule)

    def check(self, context: RequestContext, rule: str, target: Mapping[str, Any]) -> bool:
        """Whether the rule lets the caller pass; what cannot be evaluated lets nobody pass.

        :param target: what the rule may look at, for an image ``image_target()``
        """
        self._refresh()
        check = self._checks.get(rule, self._otherwise)
        if self._projects_only and context.system_scope:
            return False  # a token for the cloud as a whole is none for a project's images
        return check is _everyone or _evaluate(check, rule, target, context)

    def image_target(self, context: RequestContext, image: Image) -> Mapping[str, Any]:
        """What rules may ask of an image: its attributes, ``project_id`` (the owner),
        ``is_public``, ``member_id`` and its properties; never its locations."""
        return _ImageTarget(context, image)

    def is_admin(self, context: RequestContext) -> bool:
        """Whether the caller is an administrator: by ``admin_role``, or by context_is_admin."""
        if context.is_admin or self._admin_role in (role.lower() for role in context.roles):
            return True
        return self.check(context, "context_is_admin", {})

    def defines(self, rule: str) -> bool:
        """Whether the rule is known; an unknown one falls back to the default rule."""
        self._refresh()
        return rule in self._checks

    # --- files ---

    def _find_files(self) -> list[str]:
        """The policy file and those of policy_dirs, in the order in which they apply."""
        conf = self._conf
        main = conf.find_file(conf.oslo_policy.policy_file) or conf.find_file(FALLBACK_FILE)
        if main is None:
            return []
        paths = [main]
        for name in conf.oslo_policy.policy_dirs:
            folder = conf.find_file(name)
            if folder is not None and os.path.isdir(folder):
                entries = (os.path.join(folder, entry) for entry in sorted(os.listdir(folder)) if entry[0] != ".")
                paths += [path for path in entries if os.path.isfile(path)]
        return paths

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        try:
            paths = self._find_files()
            signature = _signature(paths)
            if signature == self._seen:
                return
            before, self._seen = self._seen, signature
            if paths:
                self._load(paths)
                _tell_once(signature, logging.INFO, "The policy files were read again")
            else:
                # It may be on its way from an editor; the defaults could be laxer than it was.
                text = "The policy file is gone: its rules stay in force until it is back or the service restarts"
                _tell_once(before, logging.WARNING, text)
        except (OSError, ConfigurationError) as error:
            text = f"The policy files cannot be read again, the former rules stay in force: {error}"
            _tell_once(self._seen, logging.ERROR, text)

    def _load(self, paths: list[str]) -> None:
        rules: dict[str, Any] = {default.name: default.text(self._modern_only) for default in DEFAULTS}
        for path in paths:
            rules.update(_read(path))
        default_rule = self._conf.oslo_policy.policy_default_rule
        self._checks = _Compiler(rules, default_rule, self._conf).compile()
        self._otherwise = self._checks.get(default_rule, _nobody)


def _refusal(error: type[Forbidden], rule: str) -> Forbidden:
    return error(f"You are not authorized to complete {rule} action.")


@lru_cache(maxsize=1)
def _tell_once(files: tuple[Any, ...], level: int, text: str) -> None:
    """Log what each Policy of the process, one per filter and service, finds out by itself.

    :param files: their signature
    """
    LOG.log(level, "%s", text)


def _evaluate(check: Check, rule: str, target: Mapping[str, Any], context: RequestContext) -> bool:
    try:
        return check(target, credentials(context))
    except Exception as error:  # a remote rule's server is down, a template is malformed, …
        LOG.error("Policy rule '%s' cannot be evaluated and denies: %s", rule, error)
        return False


def _signature(paths: list[str]) -> tuple[Any, ...]:
    stats = [(path, os.stat(path)) for path in paths]
    return tuple((path, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats)


def _read(path: str) -> dict[str, Any]:
    """The rules of one file, JSON or YAML whatever its name.  :raises ConfigurationError:"""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            rules = json.loads(text)  # first, because YAML refuses tabs
        except ValueError:
            rules = policy.parse_file_contents(text)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"Policy file '{path}' is neither JSON nor YAML: {reason}") from None
    if not isinstance(rules, dict):
        raise ConfigurationError(f"Policy file '{path}' must map rule names to rules")
    for name, rule in rules.items():
        # The library takes an empty value for "everyone": more likely it was forgotten.
        if not isinstance(name, str) or not _is_rule(rule):
            raise ConfigurationError(f"Policy file '{path}': rule '{name}' must be a text, not {rule!r}")
    return rules


def _is_rule(rule: Any) -> bool:
    """A text, or the old list of lists of texts."""
    if not isinstance(rule, list):
        return isinstance(rule, str)
    inner = [item if isinstance(item, list) else [item] for item in rule]
    return all(isinstance(text, str) for texts in inner for text in texts)


# --- rules as functions ---


def _everyone(target: Mapping[str, Any], creds: dict[str, Any]) -> bool:
    return True


def _nobody(target: Mapping[str, Any], creds: dict[str, Any]) -> bool:
    return False


class _Compiler:
    """Turns the parsed rules into plain functions, once per reading of the files.

    The library inspects the signature of every check on every call, and reads files
    before it; with the functions a list of a thousand images stays quick.
    """

    def __init__(self, rules: Mapping[str, Any], default_rule: str, conf: cfg.ConfigOpts) -> None:
        self._parsed = policy.Rules.from_dict(dict(rules))
        self._default_rule = default_rule
        self._enforcer: Any = SimpleNamespace(conf=conf, rules=self._parsed)  # what checks of plug-ins look at
        self._done: dict[str, Check] = {}
        self._open: list[str] = []

    def compile(self) -> dict[str, Check]:
        """:raises ConfigurationError: rules refer to each other in a circle"""
        return {name: self._reference(name) for name in self._parsed}

    def _rule(self, name: str) -> Check:
        if name not in self._parsed:
            name = self._default_rule
            if name not in self._parsed:
                return _nobody
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise ConfigurationError(f"Policy rules refer to each other in a circle: {circle}")
        if name not in self._done:
            self._open.append(name)
            self._done[name] = self._check(self._parsed[name], name)
            self._open.pop()
        return self._done[name]

    def _check(self, check: Any, name: str) -> Check:
        if isinstance(check, policy.RuleCheck):
            return self._reference(check.match)
        if isinstance(check, policy.NotCheck):
            inner = self._check(check.rule, name)
            return lambda target, creds: not inner(target, creds)
        if isinstance(check, policy.AndCheck):
            every = [self._check(part, name) for part in check.rules]
            return lambda target, creds: all(part(target, creds) for part in every)
        if isinstance(check, policy.OrCheck):
            some = [self._check(part, name) for part in check.rules]
            if _everyone in some:
                return _everyone
            return lambda target, creds: any(part(target, creds) for part in some)
        if str(check) == "@":
            return _everyone
        if getattr(check, "kind", "") in ("http", "https"):  # these send the target on as JSON
            return lambda target, creds: bool(check(dict(target), creds, self._enforcer, name))
        return lambda target, creds: bool(check(target, creds, self._enforcer, name))

    def _reference(self, name: str) -> Check:
        check = self._rule(name)
        if name != "context_is_admin":
            return check
        # An administrator by admin_role, or because nobody authenticates, is one here too.
        return lambda target, creds: creds["is_admin"] or check(target, creds)


def credentials(context: RequestContext) -> dict[str, Any]:
    """What the left-hand sides of rules may name: today's and the classic spellings.

    What is not known is left out, so that it never equals an owner that is not known.
    """
    roles = [role.lower() for role in context.roles]
    if context.is_admin and "admin" not in roles:
        roles.append("admin")
    values = {
        "user_id": context.user_id,
        "user": context.user_id,
        "user_domain_id": context.user_domain_id,
        "project_id": context.project_id,
        "tenant": context.project_id,
        "project_domain_id": context.project_domain_id,
        "domain_id": context.domain_id,
        "system_scope": context.system_scope,
        "owner": context.owner,
        "service_user_id": context.service_user_id,
        "service_project_id": context.service_project_id,
    }
    known: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    known["roles"] = roles
    known["service_roles"] = context.service_roles
    known["is_admin"] = bool(context.is_admin)
    return known


# --- targets ---

# Locations hold credentials, and a rule may send its target to another server.
_ATTRIBUTES = tuple(field.name for field in fields(Image) if field.name not in ("properties", "locations"))
_COMPUTED = ("project_id", "is_public", "member_id")
_BASE = frozenset((*_ATTRIBUTES, *_COMPUTED))


class _ImageTarget(Mapping[str, Any]):
    """An image as rules see it, looked up as rules ask for it.

    Attributes come before properties of the same name: those are the user's to choose.
    """

    __slots__ = ("_context", "_image")

    def __init__(self, context: RequestContext, image: Image) -> None:
        self._context = context
        self._image = image

    def __getitem__(self, key: str) -> Any:
        if key not in _BASE:
            return self._image.properties[key]
        if key == "project_id":
            return self._image.owner
        if key == "member_id":
            return self._member()
        value = getattr(self._image, key)
        return value.isoformat() if isinstance(value, datetime) else value

    def _member(self) -> str:
        """The caller's project, when only a membership can have shown it the image."""
        context, image = self._context, self._image
        stranger = image.owner is not None and image.owner != context.owner and not context.is_admin
        if image.visibility == "shared" and stranger and context.project_id is not None:
            return context.project_id
        raise KeyError("member_id")

    def __iter__(self) -> Iterator[str]:
        for key in _BASE:
            if key != "member_id":
                yield key
        try:
            self._member()
            yield "member_id"
        except KeyError:
            pass
        yield from (key for key in self._image.properties if key not in _BASE)

    def __len__(self) -> int:
        return sum(1 for _ in self)
