"""One client's connection: TLS handshake, then requests until either side has had enough."""

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import eventlet
from eventlet import greenio, hubs

from glance.context import forget
from glance.wsgi.client_stream import ClientGone, ClientStream, MalformedBody
from glance.wsgi.request_body import RequestBody
from glance.wsgi.request_head import MalformedRequest, RequestHead, parse
from glance.wsgi.response import BrokenResponse, Response
from glance.wsgi.settings import Settings

_LOG = logging.getLogger(__name__)
_ACCESS = logging.getLogger("eventlet.wsgi.server")

HANDSHAKE_SECONDS = 15
_UNREAD_BODY = 65536
"""A request body of which more than this is left unread costs the client its connection."""

_UNREAD_SECONDS = 5
_LINGER_SECONDS = 2
_SCRATCH = 65536

ON_FINISH = "glance.on_finish"


@dataclass(frozen=True, slots=True)
class Site:
    """What every connection of a worker shares."""

    application: Callable[..., Any]
    settings: Settings
    tls: ssl.SSLContext | None


class _Leave(BaseException):
    """Thrown into a connection that waits for its next request, to make it stop waiting."""


class Connection:
    """Serves one accepted socket; ``run`` is the body of its green thread.

    :param accepted: non-blocking socket as accept() gave it
    :param peer: the client's address
    :ivar waiting_since: monotonic time since when it waits for a whole request head, None
        while a request is served
    """

    def __init__(self, site: Site, accepted: socket.socket, peer: Any) -> None:
        self.waiting_since: float | None = time.monotonic()
        self._idle = False  # waiting, and not a byte of the next request has come
        self._leaving = False
        self._site = site
        self._sock: Any = greenio.GreenSocket(accepted)
        self._sock.settimeout(site.settings.timeout)
        self._peer = peer if isinstance(peer, tuple) else (peer or "unix", "")
        self._grace = 0.0
        self._thread: Any = None
        self._stream: ClientStream = ClientStream(self._sock)
        self._lingering = False

    def run(self) -> None:
        """Serve requests until the connection ends; closes it."""
        self._thread = eventlet.getcurrent()
        orderly = False
        try:
            if self._site.tls is not None and not self._handshake(self._site.tls):
                return
            base = self._base_environ()
            while self._await_request() and self._serve(base):
                pass
            orderly = True
        except (ClientGone, _Leave) as gone:
            _LOG.debug("%s: %s", self._peer[0], gone or "ended to make room")
        except BrokenResponse as broken:
            _LOG.error("Breaking off the connection of %s: %s", self._peer[0], broken)
        except Exception:
            _LOG.exception("The connection of %s failed", self._peer[0])
        finally:
            self._close(orderly)

    def leave(self, grace: float) -> None:
        """Make the current or next response the last one; end the connection if there is none.

        :param grace: seconds since the last response that the client has for another request
        """
        self._leaving = True
        self._grace = grace
        if self._idle and self.waiting_since is not None:
            self._interrupt_after(self.waiting_since + grace - time.monotonic())

    def make_room(self) -> None:
        """End the connection, for which nothing is being done, in favour of another."""
        self._leaving = True
        self._interrupt_after(0.0, even_in_head=True)

    def _interrupt_after(self, seconds: float, even_in_head: bool = False) -> None:
        """Stop waiting for a request after ``seconds``; what has come until then is still served."""
        since = self.waiting_since

        def interrupt() -> None:
            # Called by the hub, so the thread stands still: in its wait, if this holds.
            if self.waiting_since == since and self._thread is not None and (self._idle or even_in_head):
                self._thread.throw(_Leave)

        hubs.get_hub().schedule_call_global(max(0.0, seconds), interrupt)

    # --- requests -------------------------------------------------------------

    def _handshake(self, context: ssl.SSLContext) -> bool:
        try:
            with eventlet.Timeout(HANDSHAKE_SECONDS, TimeoutError("no handshake in time")):
                self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
                self._sock.settimeout(self._site.settings.timeout)
                self._sock.do_handshake()
        except (OSError, ValueError, EOFError) as error:
            reason = getattr(error, "reason", None) or error
            _LOG.info("TLS handshake with %s failed: %s", self._peer[0], reason)
            return False
        self._stream = ClientStream(self._sock)
        return True

    def _await_request(self) -> bool:
        """Wait until the next request begins; False when there will be none."""
        if self._stream.buffered:
            eventlet.sleep(0)  # a client that pipelines its requests must not keep the others waiting
            return True
        self.waiting_since = time.monotonic()
        self._idle = True
        if self._leaving:
            self._interrupt_after(self._grace)
        try:
            self._stream.receive()
        except ClientGone:
            return False
        except _Leave:
            return self._arrived_meanwhile()
        finally:
            self._idle = False
        return True

    def _arrived_meanwhile(self) -> bool:
        self._sock.setblocking(False)
        try:
            self._stream.receive()
        except ClientGone:
            return False
        finally:
            self._sock.settimeout(self._site.settings.timeout)
        return True

    def _serve(self, base: dict[str, Any]) -> bool:
        """Read, answer and log one request; True when another may follow."""
        began = time.time()
        settings = self._site.settings
        try:
            block = self._stream.read_head(settings.max_head)
            self.waiting_since = None
            head = parse(block, settings.max_header_line)
        except MalformedRequest as malformed:
            self.waiting_since = None
            self._refuse(malformed)
            return False
        http11 = head.http11
        body = RequestBody(self._stream, head.length, self._send_continue if head.expects_continue else None)
        response = Response(
            self._sock,
            http11=http11,
            head_only=head.method == "HEAD",
            secure=self._site.tls is not None,
            reusable=lambda: self._may_go_on(head, body),
        )
        finishers: list[Callable[[int], None]] = []
        environ = base | head.fields
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = head.path_info
        environ["RAW_PATH_INFO"] = head.path
        environ["QUERY_STRING"] = head.query
        environ["SERVER_PROTOCOL"] = head.version
        environ["wsgi.input"] = body
        environ["wsgi.input_terminated"] = head.length is None
        environ[ON_FINISH] = finishers
        try:
            self._respond(environ, response)
        finally:
            for finish in finishers:
                self._guarded(finish, response.sent)
            self._log_access(head.line, response, began)
            forget()  # filters answer some requests before anybody says who asks
        if not response.keep_alive:
            self._lingering = not body.finished
            return False
        return self._discard(body)

    def _respond(self, environ: dict[str, Any], response: Response) -> None:
        result: Any = ()
        try:
            result = self._site.application(environ, response.start)
            response.send(result)
        except (ClientGone, BrokenResponse):
            raise
        except MalformedBody as malformed:
            if response.started:
                raise BrokenResponse(str(malformed)) from None
            self._leave_after(response, "400 Bad Request", str(malformed))
        except (Exception, eventlet.Timeout):
            _LOG.exception("The application failed on %s %s", environ["REQUEST_METHOD"], environ["RAW_PATH_INFO"])
            if response.started:
                raise BrokenResponse("the application failed after the headers were sent") from None
            self._leave_after(response, "500 Internal Server Error", "The server could not answer this request.")
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                self._guarded(close)

    def _leave_after(self, response: Response, status: str, text: str) -> None:
        self._leaving = True
        response.refuse(status, text)

    def _may_go_on(self, head: RequestHead, body: RequestBody) -> bool:
        """Whether another request may follow on this connection."""
        if self._leaving or not head.keep_alive or not self._site.settings.keepalive:
            return False
        if body.finished:
            return True
        return not body.unasked and body.remaining is not None and body.remaining <= _UNREAD_BODY

    def _discard(self, body: RequestBody) -> bool:
        """Read what the application left of a request body, so that the next request can be found."""
        if body.finished:
            return True
        scratch = bytearray(_SCRATCH)
        with eventlet.Timeout(_UNREAD_SECONDS, False):
            while body.readinto(scratch):
                pass
        return body.finished

    def _send_continue(self) -> None:
        try:
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except (OSError, EOFError) as error:
            raise ClientGone(f"connection lost: {error}") from None

    def _refuse(self, malformed: MalformedRequest) -> None:
        response = Response(self._sock, http11=True, head_only=False, secure=False, reusable=lambda: False)
        self._lingering = True
        try:
            response.refuse(malformed.status, f"Malformed request: {malformed.reason}.")
        finally:
            self._log_access("-", response, time.time())

    # --- environment and log ----------------------------------------------------

    def _base_environ(self) -> dict[str, Any]:
        """The part of the WSGI environment that all requests of the connection share."""
        local = self._sock.getsockname()
        host, port = local[:2] if isinstance(local, tuple) else ("localhost", "")
        environ = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "REMOTE_ADDR": self._peer[0],
            "REMOTE_PORT": str(self._peer[1]),
            "GATEWAY_INTERFACE": "CGI/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http" if self._site.tls is None else "https",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": self._site.settings.workers > 1,
            "wsgi.run_once": False,
        }
        if self._site.tls is not None:
            environ["HTTPS"] = "on"
        return environ

    def _log_access(self, line: str, response: Response, began: float) -> None:
        if not _ACCESS.isEnabledFor(logging.INFO):
            return
        if not line.isascii():
            line = line.encode("ascii", "backslashreplace").decode()
        stamp = time.strftime("%d/%b/%Y %H:%M:%S")
        status = response.status[:3] if response.started else "499"
        _ACCESS.info(
            '%s - - [%s] "%s" %s %d %.6f', self._peer[0], stamp, line, status, response.sent, time.time() - began
        )

    @staticmethod
    def _guarded(call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception:
            _LOG.exception("Cleaning up after a request failed")

    # --- the end ----------------------------------------------------------------

    def _close(self, orderly: bool) -> None:
        try:
            if self._lingering:
                self._linger()
            if orderly and self._site.tls is not None:
                with eventlet.Timeout(_LINGER_SECONDS, False):
                    self._sock = self._sock.unwrap()
            greenio.shutdown_safe(self._sock)
        except (OSError, ValueError, EOFError):
            pass  # the client was faster
        finally:
            self._sock.close()

    def _linger(self) -> None:
        """Take in what the client still sends, for a moment.

        Closing a socket with unread bytes resets the connection, and the client could
        lose the answer that it has not read yet.
        """
        if self._site.tls is None:
            self._sock.shutdown(socket.SHUT_WR)
        scratch = bytearray(_SCRATCH)
        with eventlet.Timeout(_LINGER_SECONDS, False):
            while self._sock.recv_into(scratch):
                eventlet.sleep(0)
