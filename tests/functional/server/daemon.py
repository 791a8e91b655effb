"""A daemon of the smallest application: run as ``python daemon.py SETTINGS.json``.

The settings file holds the options of the server, and ``label``, which the application
shows so that a test sees which configuration answered.  It is read again on reload.
"""

# ruff: noqa: E402
from glance.wsgi.eventlet_patch import patch

patch()

import hashlib
import json
import logging
import os
import resource
import signal
import sys
from types import SimpleNamespace
from urllib.parse import unquote

import eventlet

from glance.common.body import FileBody
from glance.common.exception import ConfigurationError
from glance.common.offload import offload
from glance.wsgi.server import Server

DEFAULTS = {
    "bind_host": "127.0.0.1",
    "bind_port": None,
    "backlog": 128,
    "tcp_keepidle": 600,
    "workers": 1,
    "cert_file": None,
    "key_file": None,
    "ca_file": None,
    "max_header_line": 16384,
    "http_keepalive": True,
    "client_socket_timeout": 30,
    "digest_algorithm": "sha256",
    "label": "first",
    "fail": None,
    "slow_start": 0,
}

conf = SimpleNamespace()


def read_settings():
    with open(sys.argv[1]) as file:
        vars(conf).update(DEFAULTS | json.load(file))
    if conf.fail == "reload":
        raise RuntimeError("this configuration is refused")


class Wrapped:
    """What a middleware that looks at the body makes of a FileBody."""

    def __init__(self, body):
        self.body = body
        self.close = body.close

    def __iter__(self):
        return iter(self.body)


def read_all(stream, how):
    """Digest a request body; return (bytes, md5, bytes of the largest read)."""
    digest, size, largest = hashlib.md5(), 0, 0
    buffer = memoryview(bytearray(1 << 20))
    while True:
        if how == "readinto":
            count = stream.readinto(buffer)
            block = buffer[:count]
        else:
            block = stream.read(100000)
            count = len(block)
        if not count:
            return size, digest.hexdigest(), largest
        digest.update(block)
        size += count
        largest = max(largest, count)


def load_app():
    offload(len, "")  # the parent's native threads must not confuse its children
    if conf.slow_start:
        logging.info("loading")
        eventlet.sleep(conf.slow_start)
    label = conf.label
    if conf.fail == "load":
        raise RuntimeError("this application does not load")

    def application(environ, start_response):
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        if path == "/error":
            raise ValueError("on purpose")
        if path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        if path == "/sleep":
            eventlet.sleep(float(query))
        if path.startswith("/file"):
            environ["glance.on_finish"].append(lambda sent: logging.info("finished %s after %d", path, sent))
            name, announced = query.split(",")
            size = os.path.getsize(name) if announced == "size" else int(announced)
            body = FileBody(os.open(name, os.O_RDONLY), 0, size)
            start_response("200 OK", [("Content-Length", str(size))])
            return Wrapped(body) if path.startswith("/file/wrapped") else body
        if path == "/blocks":
            start_response("200 OK", [])
            return (b"x" * int(size) for size in query.split(","))
        if path == "/announced":
            announced, actual = map(int, query.split(","))
            start_response("200 OK", [("Content-Length", str(announced))])
            return iter([b"x" * actual])
        if path == "/inject":
            start_response("200 OK", [("X-Value", unquote(environ["HTTP_X_VALUE"]))])
            return [b""]
        if path == "/unread":
            start_response("403 Forbidden", [])
            return [b"no\n"]
        if path == "/nothing":
            start_response("204 No Content", [])
            return []
        if path.startswith("/upload"):
            try:
                size, digest, largest = read_all(environ["wsgi.input"], query)
            except OSError as error:
                logging.info("upload failed: %s(%s)", type(error).__name__, error)
                raise
            answer = {"size": size, "md5": digest, "largest": largest}
        else:
            answer = {
                "label": label,
                "pid": os.getpid(),
                "umask": os.umask(0o027),
                "body": environ["wsgi.input"].read().decode("latin-1"),
                "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
            }
        text = json.dumps(answer).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    return application


def after_fork():
    logging.info("after_fork in %d", os.getpid())
    if conf.fail == "after_fork":
        raise RuntimeError("this worker does not start")
    if conf.fail == "crash":
        os.kill(os.getpid(), signal.SIGKILL)


def drain(seconds):
    logging.info("drain in %d for %d", os.getpid(), seconds)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(process)d %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    read_settings()
    if "TEST_SETSID" in os.environ:
        os.setsid()
        logging.info("setsid")
    if "TEST_NOFILE" in os.environ:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["TEST_NOFILE"]),) * 2)
    try:
        code = Server("test-api", conf, 9292, load_app, read_settings, after_fork, drain).run()
    except (ConfigurationError, RuntimeError) as error:
        sys.exit(f"ERROR: {error}")
    sys.exit(code)
