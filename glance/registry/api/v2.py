"""The registry's RPC: data functions as commands (spec registry.md §4)."""

import functools
import inspect
import json
import logging
from typing import Any

import webob
from oslo_config import cfg

from glance.common import exception
from glance.context import RequestContext
from glance.db import wire
from glance.db.commands import COMMANDS
from glance.db.sqlalchemy import api as db
from glance.wsgi.body import read_json
from glance.wsgi.router import Request, Route

LOG = logging.getLogger(__name__)

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one request: 128 properties of 64 KiB have room."""


class RPC:
    """The handler of ``/rpc``."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._shown = frozenset(conf.allowed_rpc_exception_modules)

    def call(self, request: Request) -> webob.Response:
        """Run the commands of the body, one after the other; an error of one is its result.

        :raises Invalid: the body is not a list of commands
        :raises NotFound: one of them is unknown; none is run
        :raises ServiceUnavailable: the database is down
        """
        commands = [_command(entry) for entry in _list(read_json(request, MAX_BODY, object_hook=wire.decode))]
        results = [self._run(request.context, name, kwargs) for name, kwargs in commands]
        raw = json.dumps(results, default=wire.encode).encode()
        return webob.Response(raw, 200, [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))])

    def _run(self, context: RequestContext, name: str, kwargs: dict[str, Any]) -> Any:
        function = getattr(db, name)
        try:
            _signature(name).bind(context, **kwargs)
        except TypeError as error:
            return self._error(error, str(error))
        try:
            return function(context, **kwargs)
        except exception.ServiceUnavailable:
            raise
        except exception.GlanceException as error:
            return self._error(error, str(error))
        except Exception as error:
            LOG.exception("Unexpected error of the command %s", name)
            return self._error(error, "the registry's log says more", shown=False)

    def _error(self, error: Exception, text: str, shown: bool = True) -> dict[str, Any]:
        cls = type(error)
        name = f"{cls.__module__}.{cls.__name__}"
        if not shown or cls.__module__ not in self._shown:
            cls, text = exception.RPCError, str(exception.RPCError(cls=name, val=text))
        return {"_error": {"cls": f"{cls.__module__}.{cls.__name__}", "val": text}}


def routes(conf: cfg.ConfigOpts) -> list[Route]:
    """The route table."""
    return [Route("/rpc", {"POST": RPC(conf).call})]


@functools.cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(getattr(db, name))


def _list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise exception.Invalid("Request must be a list of commands")
    return body


def _command(entry: Any) -> tuple[str, dict[str, Any]]:
    """Name and arguments of one command."""
    if not isinstance(entry, dict):
        raise exception.Invalid("Bad command: it must be an object with the key command")
    name, kwargs = entry.get("command"), entry.get("kwargs") or {}
    if not isinstance(name, str):
        raise exception.Invalid("Bad command: the name of the command is missing")
    if not isinstance(kwargs, dict):
        raise exception.Invalid("Bad command: kwargs must be an object")
    if name not in COMMANDS:
        raise exception.NotFound("Command not found")
    return name, kwargs
