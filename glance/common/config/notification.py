"""Notifications, and the brokers they go to (spec notifications.md §1, §3, §7)."""

from oslo_config import cfg

from glance.common.config.types import Section


def _also_in_oslo(options: list[cfg.Opt]) -> list[cfg.Opt]:
    for option in options:
        option.deprecated_opts.append(cfg.DeprecatedOpt(option.dest, group="oslo_messaging_rabbit"))
    return options


def _also_in_default(options: list[cfg.Opt]) -> list[cfg.Opt]:
    for option in options:
        option.deprecated_opts.append(cfg.DeprecatedOpt(option.dest, group="DEFAULT"))
    return options


_RECONNECT = " Unset: attempts follow after 1, 2, 4, 8 … seconds, for ever."

OPTIONS = [
    Section(
        "A",
        "DEFAULT",
        [
            cfg.StrOpt(
                "notifier_strategy",
                sample_default="noop",
                help="Where notifications go: noop (nowhere; default means the same), logging, rabbit, qpid, or the "
                "dotted name of a class. Upper and lower case are the same. Unset: as [oslo_messaging_notifications] "
                "driver says.",
            ),
            cfg.ListOpt(
                "disabled_notifications",
                default=[],
                help="Notifications that are not sent: full event types (image.update) or what stands before their "
                "first dot (image, which covers image.member.* too).",
            ),
            cfg.StrOpt(
                "default_publisher_id",
                default="image.localhost",
                help="publisher_id of every notification; best image. and the name of this host.",
            ),
        ],
    ),
    Section(
        "A",
        "oslo_messaging_notifications",
        [
            cfg.MultiStrOpt(
                "driver",
                default=[],
                help="Read when notifier_strategy is not set: log, messaging (rabbit), messagingv2 (rabbit, in an "
                "envelope) or noop. May be given repeatedly; all are used.",
            ),
        ],
    ),
    Section(
        "A",
        "DEFAULT",
        [
            *_also_in_oslo(
                [
                    cfg.StrOpt("rabbit_host", default="localhost", help="Host of the RabbitMQ broker."),
                    cfg.PortOpt("rabbit_port", default=5672, help="TCP port of the RabbitMQ broker."),
                    cfg.BoolOpt("rabbit_use_ssl", default=False, help="Connect to RabbitMQ with TLS."),
                    cfg.StrOpt("rabbit_userid", default="guest", help="RabbitMQ user."),
                    cfg.StrOpt("rabbit_password", default="guest", secret=True, help="Password of rabbit_userid."),
                    cfg.StrOpt("rabbit_virtual_host", default="/", help="Virtual host of the RabbitMQ broker."),
                    cfg.IntOpt(
                        "rabbit_max_retries",
                        default=0,
                        min=0,
                        help="Attempts to deliver a notification before it is dropped. 0 tries for ever, in the "
                        "background.",
                    ),
                    cfg.IntOpt(
                        "rabbit_retry_backoff",
                        default=2,
                        min=0,
                        help="Seconds to wait before the second attempt; before the third twice as long, and so on.",
                    ),
                ]
            ),
            cfg.StrOpt("rabbit_notification_exchange", default="glance", help="Exchange to publish to."),
            cfg.StrOpt(
                "rabbit_notification_topic",
                default="notifications",
                deprecated_opts=[
                    cfg.DeprecatedOpt("notification_topics", group="DEFAULT"),
                    cfg.DeprecatedOpt("topics", group="oslo_messaging_notifications"),
                ],
                help="First part of the routing key; .info, .warn or .error follows. Separate several with commas.",
            ),
            cfg.IntOpt(
                "rabbit_retry_max_backoff",
                default=30,
                min=0,
                help="Longest wait between two attempts, in seconds. 0 means no limit.",
            ),
            cfg.BoolOpt(
                "rabbit_durable_queues", default=False, help="Exchange and queues survive a restart of the broker."
            ),
            cfg.StrOpt("qpid_notification_exchange", default="glance", help="Exchange to publish to."),
            cfg.StrOpt(
                "qpid_notification_topic",
                default="notifications",
                help="First part of the subject; .info, .warn or .error follows.",
            ),
            cfg.StrOpt(
                "qpid_address_template",
                default="{exchange}/{key}",
                help="Target address of a message. A Qpid broker takes the default; RabbitMQ's AMQP 1.0 plugin wants "
                "/exchange/{exchange}/{key}.",
            ),
            cfg.StrOpt(
                "qpid_host", default="localhost", deprecated_name="qpid_hostname", help="Host of the Qpid broker."
            ),
            cfg.PortOpt("qpid_port", default=5672, help="TCP port of the Qpid broker."),
            cfg.StrOpt("qpid_username", help="User to log in as. Unset: nobody in particular."),
            cfg.StrOpt("qpid_password", secret=True, help="Password of qpid_username."),
            cfg.StrOpt("qpid_sasl_mechanisms", help="SASL mechanisms to offer, separated by blanks."),
            cfg.IntOpt(
                "qpid_reconnect_timeout", min=0, help="Seconds after which reconnecting is given up." + _RECONNECT
            ),
            cfg.IntOpt(
                "qpid_reconnect_limit", min=0, help="Number of attempts after which it is given up." + _RECONNECT
            ),
            cfg.IntOpt(
                "qpid_reconnect_interval_min", min=0, help="Shortest wait between attempts, in seconds." + _RECONNECT
            ),
            cfg.IntOpt(
                "qpid_reconnect_interval_max", min=0, help="Longest wait between attempts, in seconds." + _RECONNECT
            ),
            cfg.IntOpt("qpid_reconnect_interval", min=0, help="Sets both of the waits above."),
            cfg.IntOpt("qpid_heartbeat", default=5, min=0, help="Seconds between heartbeats. 0: none."),
            cfg.StrOpt("qpid_protocol", default="tcp", choices=["tcp", "ssl"], help="ssl connects with TLS."),
            cfg.BoolOpt("qpid_tcp_nodelay", default=True, help="Send small messages at once (TCP_NODELAY)."),
            cfg.StrOpt("transport_url", secret=True, help="Accepted for newer files; the rabbit_* options are used."),
            cfg.StrOpt("rpc_backend", default="rabbit", help="Accepted for newer files. Has no effect."),
            cfg.StrOpt("control_exchange", default="glance", help="Accepted for newer files. Has no effect."),
        ],
    ),
    Section(
        "A",
        "oslo_messaging_rabbit",
        _also_in_default(
            [
                cfg.ListOpt("rabbit_hosts", default=[], help="Accepted for newer files: host:port of a cluster."),
                cfg.StrOpt("kombu_ssl_version", help="Accepted for newer files. Has no effect."),
                cfg.StrOpt("kombu_ssl_keyfile", help="PEM file with the key that identifies this client."),
                cfg.StrOpt("kombu_ssl_certfile", help="PEM file with the certificate of kombu_ssl_keyfile."),
                cfg.StrOpt("kombu_ssl_ca_certs", help="PEM file with the authorities of the broker's certificate."),
                cfg.FloatOpt(
                    "kombu_reconnect_delay", default=1.0, min=0, help="Accepted for newer files. Has no effect."
                ),
                cfg.IntOpt(
                    "heartbeat_timeout_threshold",
                    default=60,
                    min=0,
                    help="Seconds without a sign of life after which the broker counts as gone. 0: never.",
                ),
                cfg.IntOpt("heartbeat_rate", default=2, min=1, help="Signs of life per heartbeat_timeout_threshold."),
            ]
        ),
    ),
    Section(
        "A",
        "matchmaker_redis",
        [
            cfg.StrOpt("host", default="127.0.0.1", help="Accepted for old files. Has no effect."),
            cfg.PortOpt("port", default=6379, help="Accepted for old files. Has no effect."),
            cfg.StrOpt("password", default="", secret=True, help="Accepted for old files. Has no effect."),
            cfg.ListOpt("sentinel_hosts", default=[], help="Accepted for old files. Has no effect."),
            cfg.StrOpt(
                "sentinel_group_name", default="oslo-messaging-zeromq", help="Accepted for old files. Has no effect."
            ),
            cfg.IntOpt("wait_timeout", default=500, help="Accepted for old files. Has no effect."),
            cfg.IntOpt("check_timeout", default=20000, help="Accepted for old files. Has no effect."),
            cfg.IntOpt("socket_timeout", default=1000, help="Accepted for old files. Has no effect."),
        ],
    ),
]
