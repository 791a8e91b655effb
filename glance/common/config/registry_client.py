"""How the API and the tools reach the registry (spec daemons-and-config.md §3.3, registry.md §5)."""

from oslo_config import cfg

from glance.common.config.types import Section

_SERVICE = " For what the service does by itself, and for everything while use_user_token is False."

OPTIONS = [
    Section(
        "ASC",
        "DEFAULT",
        [
            cfg.StrOpt(
                "registry_host",
                default="0.0.0.0",  # noqa: S104 (a client that connects to it reaches this host)
                help="Address of the registry. The default reaches one on this host.",
            ),
            cfg.PortOpt("registry_port", default=9191, help="TCP port of the registry."),
            cfg.StrOpt(
                "registry_client_protocol",
                default="http",
                choices=["http", "https"],
                ignore_case=True,
                help="How to talk to the registry.",
            ),
            cfg.StrOpt(
                "registry_client_key_file",
                help="PEM file with the private key that identifies this client to the registry; may hold the "
                "certificate too. Unset: the environment variable GLANCE_CLIENT_KEY_FILE.",
            ),
            cfg.StrOpt(
                "registry_client_cert_file",
                help="PEM file with the certificate of registry_client_key_file. Unset: the environment variable "
                "GLANCE_CLIENT_CERT_FILE.",
            ),
            cfg.StrOpt(
                "registry_client_ca_file",
                help="PEM file with the authorities that may have signed the registry's certificate. Unset: the "
                "environment variable GLANCE_CLIENT_CA_FILE, else the system's.",
            ),
            cfg.BoolOpt(
                "registry_client_insecure",
                default=False,
                help="Do not verify the registry's certificate. Whoever stands between can then read and change "
                "everything.",
            ),
            cfg.IntOpt(
                "registry_client_timeout",
                default=600,
                min=0,
                help="Seconds that a request to the registry may take. 0 waits for ever.",
            ),
            cfg.BoolOpt(
                "use_user_token",
                default=True,
                help="Pass the caller's token on to the registry. False makes the API ask as the service user "
                "below, which is refused unless send_identity_headers is on or the API runs without "
                "authentication: the registry would take everybody for that user.",
            ),
            cfg.StrOpt("admin_user", help="Name of the service user." + _SERVICE),
            cfg.StrOpt("admin_password", secret=True, help="Password of the service user." + _SERVICE),
            cfg.StrOpt("admin_tenant_name", help="Project of the service user." + _SERVICE),
            cfg.StrOpt(
                "auth_url",
                help="URL of Keystone for the service user; the environment variable OS_AUTH_URL wins." + _SERVICE,
            ),
            cfg.StrOpt("auth_region", help="Region whose Keystone endpoint is used." + _SERVICE),
            cfg.StrOpt(
                "auth_strategy",
                default="noauth",
                help="How the service user gets a token: noauth (not at all) or keystone." + _SERVICE,
            ),
        ],
    ),
    Section(
        "AS",
        "DEFAULT",
        [
            cfg.BoolOpt(
                "send_identity_headers",
                default=False,
                help="Tell the registry who the caller is in identity headers. Only for a registry that nobody but "
                "the API can reach.",
            ),
        ],
    ),
]
