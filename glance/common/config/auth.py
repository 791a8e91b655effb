"""Names of ``[keystone_authtoken]`` that today's library no longer knows (spec daemons-and-config.md §3.3).

keystonemiddleware registers its own options when a pipeline loads it.  The ones of 2011
to 2016 are registered here, and ``authtoken_settings`` says what they mean today.
"""

import logging
from collections.abc import Mapping

from oslo_config import cfg

from glance.common import exception
from glance.common.config.types import Section

LOG = logging.getLogger(__name__)

GROUP = "keystone_authtoken"
_PKI = ("signing_dir", "revocation_cache_time", "check_revocations_for_cached", "hash_algorithms", "enforce_token_bind")
_USELESS = " Accepted for old files: today's Keystone has no use for it."
_OLD = " Old way to say auth_url."

OPTIONS = [
    Section(
        "AR",
        GROUP,
        [
            cfg.StrOpt("auth_uri", help="Old name of www_authenticate_uri."),
            cfg.StrOpt("identity_uri", help="URL of Keystone, without a version." + _OLD),
            cfg.StrOpt("auth_protocol", default="https", help="Read when identity_uri is not set." + _OLD),
            cfg.StrOpt("auth_host", default="127.0.0.1", help="Read when identity_uri is not set." + _OLD),
            cfg.PortOpt("auth_port", default=35357, help="Read when identity_uri is not set." + _OLD),
            cfg.StrOpt("auth_admin_prefix", default="", help="Path put behind the three above."),
            cfg.StrOpt(
                "admin_user",
                help="Service user. Read when auth_type is not set, which then is password, with the domains called "
                "default.",
            ),
            cfg.StrOpt("admin_password", secret=True, help="Password of admin_user."),
            cfg.StrOpt("admin_tenant_name", default="admin", help="Project of admin_user."),
            cfg.StrOpt(
                "admin_token",
                secret=True,
                help="Accepted beside admin_user and ignored; alone it is an error, since today's Keystone has no "
                "such token.",
            ),
            cfg.StrOpt("signing_dir", help="Directory for certificates of tokens." + _USELESS),
            cfg.IntOpt("revocation_cache_time", default=10, help="Seconds between lists of revoked tokens." + _USELESS),
            cfg.BoolOpt("check_revocations_for_cached", default=False, help="Check these lists." + _USELESS),
            cfg.ListOpt("hash_algorithms", default=["md5"], help="Hash functions for tokens." + _USELESS),
        ],
    ),
]


def authtoken_settings(conf: cfg.ConfigOpts, local: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the old names stand for, to be added to those of the authtoken filter.

    :param local: the filter's own settings in the paste file, which win over the configuration; in 2011
        all of them stood there
    :raises ConfigurationError: there is an admin_token but no admin_user
    """
    group = conf[GROUP]

    def value(name: str) -> str | None:
        if name in local:
            return local[name]
        return str(group[name]) if name in group and group[name] is not None else None

    def is_set(name: str) -> bool:
        where = conf.get_location(name, GROUP) if name in group else None
        return name in local or (where is not None and where.location.is_user_controlled)

    settings = {}
    useless = [name for name in ("admin_token", *_PKI) if is_set(name)]
    if not value("www_authenticate_uri"):
        public = value("auth_uri")
        if not public and "service_host" in local:
            public = "{}://{}:{}".format(
                local.get("service_protocol", "http"), local["service_host"], local.get("service_port", "5000")
            )
        if public:
            settings["www_authenticate_uri"] = public
    if not (value("memcached_servers") or value("memcache_servers")) and conf.memcached_servers:
        settings["memcached_servers"] = ",".join(conf.memcached_servers)
    if not (value("auth_type") or value("auth_plugin")):
        if value("admin_user"):
            url = value("identity_uri") or "{}://{}:{}/{}".format(
                *(value(name) for name in ("auth_protocol", "auth_host", "auth_port", "auth_admin_prefix"))
            )
            settings |= {
                "auth_type": "password",
                "auth_url": url.rstrip("/"),
                "username": value("admin_user") or "",
                "password": value("admin_password") or "",
                "project_name": value("admin_tenant_name") or "",
                "user_domain_id": "default",
                "project_domain_id": "default",
            }
        elif is_set("admin_token"):
            raise exception.ConfigurationError(
                "admin_token alone is not enough for today's Keystone: set admin_user and admin_password in "
                f"[{GROUP}], or auth_type and its options"
            )
    if useless:
        LOG.warning("Today's Keystone has no use for these settings of [%s]: %s", GROUP, ", ".join(useless))
    return settings
