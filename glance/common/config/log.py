"""Logging (spec daemons-and-config.md §3.5).

Call ``setup(CONF)`` after ``load`` and after eventlet has patched the process, and again
after ``reload``: levels, formats and files then are those of the new configuration.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from oslo_config import cfg
from oslo_log import _options, formatters
from oslo_log import log as oslo_log

from glance.common import exception, offload
from glance.common.config.log_format import SafeFormatter

LOG = logging.getLogger(__name__)

_LEVELS = [
    *("amqp=WARN", "amqplib=WARN", "boto=WARN", "qpid=WARN", "sqlalchemy=WARN", "suds=INFO", "oslo.messaging=INFO"),
    *("iso8601=WARN", "requests.packages.urllib3.connectionpool=WARN", "urllib3.connectionpool=WARN"),
    *("websocket=WARN", "requests.packages.urllib3.util.retry=WARN", "urllib3.util.retry=WARN"),
    *("keystonemiddleware=WARN", "routes.middleware=WARN", "stevedore=WARN", "taskflow=WARN", "keystoneauth=WARN"),
    *("oslo.cache=INFO", "dogpile.core.dogpile=INFO"),
]
_CONTEXT_FORMAT = (
    "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s "
    "[%(request_id)s %(user_identity)s] %(instance)s%(message)s"
)
_IDENTITY_FORMAT = "%(user)s %(tenant)s %(domain)s %(user_domain)s %(project_domain)s"

_OWN = [
    cfg.BoolOpt("verbose", default=True, help="Log what happens (level INFO). False logs warnings and errors only."),
    cfg.BoolOpt(
        "watch_log_file",
        default=False,
        help="Accepted for old files: a log file that was moved away is always opened anew.",
    ),
]


def options() -> list[cfg.Opt]:
    """The options of oslo.log with this service's defaults, and two that oslo.log has dropped."""
    # Not oslo_log.register_options: that makes them command-line options of oslo.config, whose
    # errors about bad values in a file name neither the file nor the section.
    ((_, found),) = _options.list_opts()
    cfg.set_defaults(
        found,
        use_stderr=True,
        default_log_levels=_LEVELS,
        logging_context_format_string=_CONTEXT_FORMAT,
        logging_user_identity_format=_IDENTITY_FORMAT,
    )
    by_name = {option.dest: option for option in found}
    old = cfg.DeprecatedOpt("log_use_syslog")
    if old not in by_name["use_syslog"].deprecated_opts:
        by_name["use_syslog"].deprecated_opts.append(old)
    return [*_OWN, *found]


_early: list[logging.LogRecord] = []


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _early.append(record)


@contextmanager
def early_records() -> Iterator[None]:
    """Keep what is logged meanwhile for ``setup``, unless logging is set up already."""
    root = logging.getLogger()
    if root.handlers:
        yield
        return
    keep = _Keep()
    root.addHandler(keep)
    try:
        yield
    finally:
        root.removeHandler(keep)


def setup(conf: cfg.ConfigOpts) -> None:
    """Send log records where ``conf`` says; may be called again after a reload.

    :raises ConfigurationError: a log file cannot be written, or log_config_append, a facility or a
        level is wrong
    """
    _silence_deprecations()
    conf.clear_default("log_file")
    if conf.log_dir and not conf.log_file:
        conf.set_default("log_file", f"{conf.prog}.log")
    conf.set_override("publish_errors", False)  # needs a message bus; spec §12: accepted, without effect
    # Whoever names oslo.log's formatter in a log_config file gets the formats from here.
    formatters._store_global_conf(conf)
    vars(oslo_log._load_log_config)["old_time"] = 0  # read that file again, though it is the same
    root = logging.getLogger()
    previous = list(root.handlers)
    try:
        oslo_log.setup(conf, "glance", fix_eventlet=False)
    except (oslo_log.LogConfigError, OSError, TypeError, ValueError, RuntimeError, NameError, AttributeError) as error:
        root.handlers[:] = previous
        raise exception.ConfigurationError(f"Cannot set up logging: {error}") from None
    for handler in previous:
        handler.close()
    if not conf.log_config_append and not conf.debug and not conf.verbose:
        root.setLevel(logging.WARNING)
    _harden(conf)
    for record in _early:
        logging.getLogger(record.name).handle(record)
    _early.clear()


def log_options(conf: cfg.ConfigOpts) -> None:
    """With debug, log the value of every option between lines of asterisks, secrets masked."""
    if LOG.isEnabledFor(logging.DEBUG):
        conf.log_opt_values(LOG, logging.DEBUG)


def _silence_deprecations() -> None:
    """Keep to ourselves what eventlet and the oslo libraries say about eventlet's future."""
    warnings.filterwarnings("ignore", message=r"\s*eventlet is deprecated")
    for module in ("eventlet", "oslo_", "keystonemiddleware", "debtcollector"):
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)


def _harden(conf: cfg.ConfigOpts) -> None:
    """Wrap the formatter of every handler, and give it a lock that suits a green process."""
    known = logging.Logger.manager.loggerDict.values()
    loggers = [logging.getLogger(), *(logger for logger in known if isinstance(logger, logging.Logger))]
    native = None
    if offload.is_green():
        from eventlet import patcher

        native = patcher.original("threading")
        vars(logging)["_lock"] = native.RLock()
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if not isinstance(handler.formatter, SafeFormatter):
            handler.setFormatter(SafeFormatter(handler.formatter or logging.Formatter(), conf))
        if native:
            # A green lock cannot be shared with the native threads of offload; oslo.log's pipe can,
            # but forked workers would share it too, and one killed while holding it stops them all.
            handler.lock = native.RLock()
