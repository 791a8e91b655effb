"""The data functions, over the registry's RPC: ``data_api = glance.db.registry.api`` (spec registry.md §4).

Has every function of ``glance.db.commands.COMMANDS``, with the arguments, results and
errors of ``glance.db.sqlalchemy.api``; an API host then holds no database credentials.
``configure(conf)`` comes before all of them.

:raises ServiceUnavailable: the registry or its database does not answer
:raises RPCError: the registry failed in a way that it does not tell
"""

import builtins
import importlib
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from glance.common import exception
from glance.context import RequestContext
from glance.db import wire
from glance.db.commands import COMMANDS, ONCE
from glance.db.registry.connection import Registry, meaning

_registry: Registry | None = None
_ERROR_MODULES = ("glance.common.exception", "builtins", "exceptions")


def configure(conf: cfg.ConfigOpts) -> None:
    """Set which registry is asked."""
    global _registry  # noqa: PLW0603
    _registry = Registry(conf)


def dispose_after_fork() -> None:
    """Nothing: the pool of connections knows its process."""


def __getattr__(name: str) -> Callable[..., Any]:
    """The function that sends the command ``name``."""
    if name not in COMMANDS:
        raise AttributeError(name)

    def command(context: RequestContext, *args: Any, **kwargs: Any) -> Any:
        return _call(context, name, dict(zip(COMMANDS[name], args, strict=False)) | kwargs)

    command.__name__ = name
    globals()[name] = command
    return command


def _call(context: RequestContext, name: str, kwargs: dict[str, Any]) -> Any:
    assert _registry is not None, "configure() comes first"
    with meaning():
        (answer,) = _registry.request(
            context, "POST", "/rpc", body=[{"command": name, "kwargs": kwargs}],
            default=wire.encode, object_hook=wire.decode, idempotent=name not in ONCE,
        )  # fmt: skip
    if isinstance(answer, dict) and "_error" in answer:
        raise _error(answer["_error"])
    return answer


def _error(described: dict[str, Any]) -> Exception:
    """The error that a registry described, if it is one that we know."""
    module, _, name = str(described.get("cls", "")).rpartition(".")
    message = str(described.get("val", ""))
    if module in _ERROR_MODULES:
        source = builtins if module == "exceptions" else importlib.import_module(module)
        cls = getattr(source, name, None)
        if isinstance(cls, type) and issubclass(cls, Exception):
            return cls(message)
    return exception.RPCError(cls=described.get("cls"), val=message)
