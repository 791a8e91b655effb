"""Which addresses the service may fetch from because a caller named them (spec security.md §3, v2-images.md §8)."""

from oslo_config import cfg
from oslo_config.types import Integer

from glance.common.config.types import Section


def _kind(name: str, what: str, default: list[int] | list[str], item_type: Integer | None = None) -> list[cfg.Opt]:
    return [
        cfg.ListOpt(
            f"allowed_{name}",
            default=default,
            item_type=item_type,
            help=f"{what} from which data may be fetched because a caller names an address. A list that is not "
            f"empty admits nothing else, and disallowed_{name} is not looked at.",
        ),
        cfg.ListOpt(
            f"disallowed_{name}",
            default=[],
            item_type=item_type,
            help=f"{what} from which nothing is fetched. Only looked at when allowed_{name} is empty.",
        ),
    ]


_HOSTS = [
    cfg.ListOpt(
        "allowed_hosts",
        default=[],
        help="Names or addresses of hosts from which data may be fetched because a caller names an address. A list "
        "that is not empty admits nothing else, and disallowed_hosts is not looked at. Only a host named here may "
        "be this machine itself or have a loopback or link-local address.",
    ),
    cfg.ListOpt(
        "disallowed_hosts",
        default=[],
        help="Names, addresses or address blocks (10.0.0.0/8) from which nothing is fetched. Blocks and addresses "
        "also count for hosts whose name resolves to them. Only looked at when allowed_hosts is empty. Loopback, "
        "link-local, unspecified and multicast addresses and those the service listens on are always refused.",
    ),
]

OPTIONS = [
    Section(
        "ASC",
        "import_filtering_opts",
        [
            *_kind("schemes", "URL schemes", ["http", "https"]),
            *_HOSTS,
            *_kind("ports", "Ports, where a URL names one,", [80, 443], Integer(min=1, max=65535)),
            cfg.FloatOpt(
                "fetch_deadline",
                default=5.0,
                min=0.1,
                help="Seconds within which the server at such an address must begin its answer. Whatever goes wrong "
                "is reported after exactly this time, so that nobody can use the service to scan a network. The "
                "default port lists only bind image imports; lists set here bind every fetch.",
            ),
        ],
    ),
]
