"""Options of the http driver (spec stores.md §4)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
    return [
        cfg.StrOpt(
            "https_ca_certificates_file",
            help="PEM file with the authorities that https locations are verified against. When set, "
            "https_insecure has no effect.",
        ),
        cfg.BoolOpt(
            "https_insecure",
            default=True,
            help="Do not verify the certificates of https locations. Set it to False, or name a file above: "
            "otherwise whoever stands between can swap the data.",
        ),
        cfg.DictOpt(
            "http_proxy_information",
            default={},
            help="Proxies for http and https locations, as scheme:host:port, for example http:proxy.example:3128.",
        ),
    ]
