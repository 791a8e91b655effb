"""glance-api: the Images API server."""

from glance.wsgi import eventlet_patch

eventlet_patch.patch()

import sys  # noqa: E402

from glance.api import services  # noqa: E402
from glance.common import config  # noqa: E402
from glance.common.config import log  # noqa: E402
from glance.wsgi import deploy  # noqa: E402
from glance.wsgi.server import Server  # noqa: E402

_PROGRAM = "glance-api"


def main() -> int:
    """Run until a signal ends it; return the exit code (daemons-and-config.md §2)."""
    with config.exit_on_error():
        conf = config.load(_PROGRAM)
        log.setup(conf)
        log.log_options(conf)
        return Server(
            _PROGRAM,
            conf,
            default_port=9292,
            load_app=_load_app,
            reload=_reload,
            after_fork=services.after_fork,
            drain=lambda seconds: services.drain(),
        ).run()


def _load_app():
    services.reset()
    return deploy.load_app(config.CONF, _PROGRAM)


def _reload() -> None:
    config.reload()
    log.setup(config.CONF)
    log.log_options(config.CONF)


if __name__ == "__main__":
    sys.exit(main())
