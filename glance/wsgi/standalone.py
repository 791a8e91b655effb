"""Loading a daemon's application where another server runs it."""

import os
from typing import Any

from glance.common import config
from glance.wsgi import deploy


def load(program: str) -> Any:
    """Return the WSGI application of ``program``.  :raises ConfigurationError:"""
    files = [name for name in os.environ.get("GLANCE_CONFIG_FILES", "").split(":") if name]
    arguments = [part for name in files for part in ("--config-file", name)]
    return deploy.load_app(config.load(program, arguments), program)
