"""Filters of other libraries, given this service's configuration.

Paste files name the libraries' own factories; ``glance.wsgi.deploy`` sends them here.  A
filter that is switched off is not put into the pipeline, so nobody pays for it; one that
is on reads the options of the daemon's own files (spec policy-quota-protection.md §8).
"""

import logging
from collections.abc import Callable
from typing import Any

from oslo_utils import strutils

from glance.common.config import CONF, is_set
from glance.common.config.auth import authtoken_settings
from glance.common.config.libraries import cors_sections

LOG = logging.getLogger(__name__)

Filter = Callable[[Callable[..., Any]], Callable[..., Any]]


_KNOWN_KEY = "SECRET_KEY"
"""The default of ``[profiler] hmac_keys``."""


def _nothing(application: Callable[..., Any]) -> Callable[..., Any]:
    return application


def cors(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """oslo.middleware's CORS, on when an ``allowed_origin`` is set: in the paste section, in ``[cors]`` or in a
    ``[cors.<name>]``, whose other options are those of ``[cors]`` unless it has its own.

    :raises ValueError: an option in the paste section is not valid
    """
    origins = _origins(local_conf)
    if not origins:
        return _nothing
    from oslo_middleware.cors import CORS

    def build(application: Callable[..., Any]) -> CORS:
        middleware = CORS(application, CONF)
        middleware.allowed_origins.clear()
        for settings in origins:
            middleware.add_origin(**settings)
        return middleware

    return build


def _origins(paste: dict[str, str]) -> list[dict[str, Any]]:
    """The options of every group of origins."""
    main, *others = cors_sections(CONF)
    usual = {
        option.dest: option.type(paste[option.dest]) if option.dest in paste else CONF.cors[option.dest]
        for option in main.options
    }
    groups = [usual]
    for section in others:
        own = {
            option.dest: CONF[section.group][option.dest]
            for option in section.options
            if is_set(CONF, option.dest, section.group)
        }
        groups.append({**usual, "allowed_origin": None, **own})
    return [group for group in groups if group["allowed_origin"]]


def authtoken(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """keystonemiddleware's token check, with the settings that the names of earlier years stand for."""
    from glance.api.middleware.keystone import TokenCheck

    settings = {**global_conf, **local_conf, **authtoken_settings(CONF, local_conf)}
    if CONF.prog == "glance-registry":  # it looks nothing up in there
        settings["include_service_catalog"] = "False"
    return lambda application: TokenCheck(application, settings)


def osprofiler(global_conf: dict[str, str], **local_conf: str) -> Filter:
    """osprofiler, on with ``[profiler] enabled``; ``enabled`` and ``hmac_keys`` may stand in the paste section."""
    keys = _hmac_keys(local_conf)
    if not keys:
        return _nothing
    from glance.api.middleware.profiler import Profiler

    return lambda application: Profiler(application, CONF, keys)


def _hmac_keys(paste: dict[str, str]) -> str | None:
    """The keys of who may ask for a trace, None if nobody may.

    The paste files of 2014 to 2016 say ``enabled = yes`` and ``hmac_keys = SECRET_KEY``, which was without effect
    while the other file said nothing: a key that everybody knows opens nothing on their word.
    """
    # Those files go on in the same line: ``yes  #DEPRECATED``.
    said = {name: paste[name].partition("#")[0].strip() for name in ("enabled", "hmac_keys") if name in paste}
    from_paste = not is_set(CONF, "enabled", "profiler")
    enabled = strutils.bool_from_string(said.get("enabled")) if from_paste else CONF.profiler.enabled
    keys = CONF.profiler.hmac_keys
    if said.get("hmac_keys") and not is_set(CONF, "hmac_keys", "profiler"):
        keys = said["hmac_keys"]
    if not enabled:
        return None
    if said:
        LOG.warning("Options of the paste file's osprofiler section are deprecated: their place is [profiler]")
    if from_paste and keys == _KNOWN_KEY:
        LOG.warning("The profiler stays off: set [profiler] enabled, and hmac_keys to a secret")
        return None
    return keys
