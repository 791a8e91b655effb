"""What the daemons count, for Prometheus.

Off by default: ``recorder`` is then None, nothing of ``prometheus_client`` is imported,
and every call here returns at once.  ``middleware`` counts the requests and answers
``/metrics``; the recipes say what they move with ``upload`` and ``download``; ``figures``
has the figures themselves, and is where another one is added.
"""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from glance.common import exception

if TYPE_CHECKING:
    from glance.metrics.figures import Recorder

recorder: "Recorder | None" = None
"""What counts in this process and those it forks, None while nothing does."""

_NOTHING: AbstractContextManager[None] = nullcontext()


def upload(store: str) -> AbstractContextManager[Callable[[int], None] | None]:
    """Around one transfer into ``store``; gives what to call with the bytes received so far, None: nothing."""
    return _NOTHING if recorder is None else recorder.upload(store)


def download(store: str | None) -> Callable[[int], None]:
    """Begin to send from ``store``; return what must be called, once, with the bytes sent when that has ended.

    :param store: None: nothing is read from any store
    """
    return _ignore if recorder is None or store is None else recorder.download(store)


def configure(conf: Any) -> "Recorder | None":
    """Switch counting on or off, as ``[metrics]`` says; called before the workers are forked, and at each reload.

    The figures go on over a reload.

    :raises ConfigurationError: the library is missing, or the directory cannot be used
    """
    global recorder  # noqa: PLW0603 - the switch itself
    recorder = _started(conf.metrics.directory) if conf.metrics.enabled else None
    return recorder


def _ignore(sent: int) -> None:
    pass


def _started(directory: str | None) -> "Recorder":
    if importlib.util.find_spec("prometheus_client") is None:
        raise exception.ConfigurationError(
            "[metrics] enabled needs the library prometheus_client: pip install 'glance-classic[metrics]'"
        )
    from glance.metrics import files  # here and not above: it costs memory

    try:
        path = files.prepare(directory)
    except OSError as error:
        raise exception.ConfigurationError(
            "The directory of [metrics] cannot be used: {reason}", reason=error.strerror or str(error)
        ) from error
    from glance.metrics import figures  # not earlier: the library looks for the directory when it is imported

    return figures.Recorder.instance(path)


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
    """Paste filter factory: see ``middleware.MetricsFilter``; not in the pipeline while metrics are off."""
    from glance.common.config import CONF

    if configure(CONF) is None:
        return lambda application: application
    from glance.metrics.middleware import MetricsFilter

    return MetricsFilter


def app_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[..., Any]:
    """Paste app factory: an application that only answers the figures, 404 while metrics are off."""
    from glance.common.config import CONF
    from glance.metrics.middleware import MetricsApp

    configure(CONF)
    return MetricsApp()
