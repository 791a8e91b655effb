"""glance-registry: the registry server."""

from glance.wsgi import eventlet_patch

eventlet_patch.patch()

import logging  # noqa: E402
import sys  # noqa: E402

from glance.common import config  # noqa: E402
from glance.common.config import log  # noqa: E402
from glance.db.sqlalchemy import engine  # noqa: E402
from glance.wsgi import deploy  # noqa: E402
from glance.wsgi.server import Server  # noqa: E402

LOG = logging.getLogger(__name__)
_PROGRAM = "glance-registry"


def main() -> int:
    """Run until a signal ends it; return the exit code (daemons-and-config.md §2)."""
    with config.exit_on_error():
        conf = config.load(_PROGRAM)
        log.setup(conf)
        log.log_options(conf)
        if conf.db_auto_create:
            from glance.db.sqlalchemy.migrations import sync

            sync.sync(engine.configure(conf), LOG.info)
        return Server(
            _PROGRAM,
            conf,
            default_port=9191,
            load_app=lambda: deploy.load_app(conf, _PROGRAM),
            reload=_reload,
            after_fork=engine.dispose_after_fork,
        ).run()


def _reload() -> None:
    config.reload()
    log.setup(config.CONF)
    log.log_options(config.CONF)


if __name__ == "__main__":
    sys.exit(main())
