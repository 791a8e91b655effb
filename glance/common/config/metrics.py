"""Figures for Prometheus."""

from oslo_config import cfg

from glance.common.config.types import Section

OPTIONS = [
    Section(
        "AR",
        "metrics",
        [
            cfg.BoolOpt(
                "enabled",
                default=False,
                help="Whether the filter metrics of the paste file counts requests and transfers and answers GET "
                "/metrics, without authentication. Needs prometheus_client: pip install 'glance-classic[metrics]'.",
            ),
            cfg.StrOpt(
                "directory",
                help="Where the processes of this daemon keep their figures while it runs: a directory that no other "
                "daemon uses, created when it is missing. What an earlier run left there is removed at start. Not set: "
                "a new temporary directory, removed at the end. A change takes effect with the next start, not with a "
                "reload.",
            ),
        ],
    ),
]
