"""Options that libraries own: policy, CORS, proxy headers, health check, profiler.

The libraries register them when they are first used.  Here the same objects are
registered early, with this service's defaults, so that a bad value stops the start.
"""

from oslo_config import cfg

from glance.common.config.types import Section

_SIMPLE_HEADERS = ["Content-Type", "Cache-Control", "Content-Language", "Expires", "Last-Modified", "Pragma"]
_ALLOW_HEADERS = [
    *("Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding", "X-Auth-Token"),
    *("X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id", "X-Tenant-Id", "X-OpenStack-Request-ID"),
]
_EXPOSE_HEADERS = [
    *("X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-OpenStack-Request-ID"),
]


def sections(letter: str) -> list[Section]:
    """The options of the libraries that the programs with this letter load."""
    if letter == "A":
        return [_policy(), _proxy(), _ssl(), _health(), _profiler(), _cors()]
    if letter == "R":
        return [_policy(), _proxy(), _health(), _profiler()]
    return []


def _policy() -> Section:
    from oslo_policy import opts

    opts.set_defaults(cfg.ConfigOpts(), policy_file="policy.json", enforce_new_defaults=False)
    ((group, options),) = opts.list_opts()
    scope = cfg.BoolOpt(
        "enforce_scope",
        default=True,
        help="Refuse tokens for the system as a whole; only where enforce_new_defaults is True. The library has no "
        "such option any more.",
    )
    return Section("AR", group, [*options, scope])


def _proxy() -> Section:
    from oslo_middleware import http_proxy_to_wsgi

    return Section("AR", "oslo_middleware", http_proxy_to_wsgi.OPTS)


def _ssl() -> Section:
    option = cfg.StrOpt(
        "secure_proxy_ssl_header",
        default="X-Forwarded-Proto",
        help="Header in which a proxy that ends TLS names the scheme that the client used. Only read by the ssl "
        "filter of old paste files; http_proxy_to_wsgi has replaced it.",
    )
    return Section("A", "oslo_middleware", [option])


def _health() -> Section:
    from oslo_middleware.healthcheck import opts

    return Section(
        "AR", "healthcheck", [*opts.HEALTHCHECK_OPTS, *opts.DISABLE_BY_FILE_OPTS, *opts.DISABLE_BY_FILES_OPTS]
    )


def _profiler() -> Section:
    from osprofiler import opts

    group, options = opts.list_opts()[0]
    return Section("AR", group, options)


def _cors() -> Section:
    from oslo_middleware import cors

    cors.set_defaults(
        allow_headers=[*_SIMPLE_HEADERS, *_ALLOW_HEADERS],
        expose_headers=[*_SIMPLE_HEADERS, *_EXPOSE_HEADERS],
        allow_methods=["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"],
    )
    return Section("A", "cors", cors.CORS_OPTS)


def cors_sections(conf: cfg.ConfigOpts) -> list[Section]:
    """``[cors]``, and each ``[cors.<name>]`` of the files, whose options ``conf`` now knows too."""
    main = _cors()
    found = [main]
    for name in conf.list_all_sections():
        if name.startswith("cors."):
            conf.register_opts(list(main.options), group=name)
            found.append(Section("A", name, main.options))
    return found
