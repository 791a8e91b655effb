"""The registry's RPC around the data functions, so that the same tests run over the wire."""

import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from oslo_config import cfg

from glance.common.config import programs
from glance.context import RequestContext
from glance.db.commands import COMMANDS
from glance.db.registry import api as client
from glance.db.sqlalchemy import api as direct
from glance.registry.api import v2
from glance.wsgi.router import Router


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


class OverRPC:
    """``glance.db.sqlalchemy.api``, with every command sent through ``glance.db.registry.api``.

    Contexts arrive as they are, found again by the id of the request: what headers make of
    them is the middleware's matter.
    """

    def __init__(self) -> None:
        self._contexts: dict[str, RequestContext] = {}
        conf = cfg.ConfigOpts()
        programs.register(conf, "glance-api")
        conf([], default_config_files=[], default_config_dirs=[])
        self._router = Router(v2.routes(conf), method_not_allowed=False)
        self._server = make_server("127.0.0.1", 0, self._serve, _Server, _Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        conf.set_override("registry_host", "127.0.0.1")
        conf.set_override("registry_port", self._server.server_port)
        client.configure(conf)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["glance.context"] = self._contexts[environ["HTTP_X_OPENSTACK_REQUEST_ID"]]
        return self._router(environ, start_response)

    def __getattr__(self, name: str) -> Any:
        if name not in COMMANDS:
            return getattr(direct, name)

        def command(context: RequestContext, *args: Any, **kwargs: Any) -> Any:
            self._contexts[context.request_id] = context
            return getattr(client, name)(context, *args, **kwargs)

        return command

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
