"""The server process: socket, workers, TLS, HTTP limits, identity of callers (spec daemons-and-config.md §3.1)."""

import os

from oslo_config import cfg

from glance.common.config.types import Section

OPTIONS = [
    Section(
        "AR",
        "DEFAULT",
        [
            cfg.StrOpt(
                "bind_host",
                default="0.0.0.0",  # noqa: S104 (the documented default)
                help="IPv4 address, IPv6 address or host name to listen on. 0.0.0.0 means every IPv4 interface.",
            ),
            cfg.PortOpt("bind_port", help="TCP port to listen on."),  # the default differs: programs.PORTS
            cfg.IntOpt(
                "backlog",
                default=4096,
                min=1,
                help="Length of the kernel's queue of connections that have not been accepted yet. "
                "Takes effect again at every reload.",
            ),
            cfg.IntOpt(
                "tcp_keepidle",
                default=600,
                min=1,
                help="Seconds of silence after which the kernel probes whether a client is still there. "
                "Skipped on systems without TCP_KEEPIDLE.",
            ),
            cfg.IntOpt(
                "workers",
                default=os.cpu_count() or 1,
                min=0,
                sample_default="<number of CPUs>",
                help="Number of worker processes that answer requests. 0 serves them in the parent process, "
                "which then cannot reload its configuration.",
            ),
            cfg.StrOpt(
                "cert_file",
                help="PEM file with the server's certificate. Set together with key_file, it makes the server "
                "speak HTTPS; one without the other is an error.",
            ),
            cfg.StrOpt("key_file", help="PEM file with the private key of cert_file."),
            cfg.StrOpt(
                "ca_file",
                help="PEM file with the certificate authorities of clients. When set, every client must present a "
                "certificate that one of them signed. Ignored without cert_file and key_file.",
            ),
            cfg.StrOpt(
                "digest_algorithm",
                default="sha256",
                help="Hash function with which the server signs a test message at start, to see that cert_file "
                "and key_file belong together.",
            ),
            cfg.IntOpt(
                "max_header_line",
                default=16384,
                min=1024,
                help="Longest accepted header line, in bytes. Tokens with a large service catalog need more than "
                "the default.",
            ),
            cfg.BoolOpt(
                "http_keepalive",
                default=True,
                help="Keep a connection open for the client's next request. False closes it after each answer.",
            ),
            cfg.IntOpt(
                "client_socket_timeout",
                default=900,
                min=0,
                help="Seconds without any progress after which a client's connection is closed. 0 waits for ever.",
            ),
            cfg.BoolOpt(
                "owner_is_tenant",
                default=True,
                help="Images belong to the project of the caller. False: to the user.",
            ),
            cfg.BoolOpt(
                "allow_anonymous_access",
                default=False,
                help="Requests without a confirmed identity may read public images. False answers them with 401.",
            ),
            cfg.StrOpt(
                "tokens_file",
                default="tokens",
                help="File with one user per line: token, user, project, roles. Read with the tokens flavor of "
                "[paste_deploy]; a relative name is looked for beside the configuration file.",
            ),
            cfg.IntOpt(
                "max_request_id_length",
                default=64,
                min=0,
                help="Longest accepted X-OpenStack-Request-ID, in characters. 0 means no limit.",
            ),
            cfg.ListOpt(
                "memcached_servers",
                help="host:port of the memcached servers that keep validated tokens; used where "
                "[keystone_authtoken] memcached_servers is not set.",
            ),
            cfg.StrOpt("pydev_worker_debug_host", help="Accepted for old files. Has no effect."),
            cfg.PortOpt("pydev_worker_debug_port", default=5678, help="Accepted for old files. Has no effect."),
            cfg.ListOpt(
                "allowed_rpc_exception_modules",
                default=["glance.common.exception", "builtins", "exceptions"],
                help="Modules whose exceptions may travel from the registry to the API as what they are; any other "
                "arrives as a general error.",
            ),
        ],
    ),
    Section(
        "ARS",
        "DEFAULT",
        [
            cfg.StrOpt(
                "admin_role",
                default="admin",
                help="Role whose holders administer the image service, whatever the policy says besides. "
                "Upper and lower case are the same.",
            ),
        ],
    ),
    Section(
        "A",
        "DEFAULT",
        [
            cfg.StrOpt(
                "public_endpoint",
                help="URL under which clients reach the service, for the links in the list of versions. "
                "Unset: taken from each request.",
            ),
            cfg.IntOpt(
                "executor_thread_pool_size",
                default=64,
                min=1,
                deprecated_name="rpc_thread_pool_size",
                help="Accepted for old files. Has no effect.",
            ),
        ],
    ),
    Section(
        "AR",
        "paste_deploy",
        [
            cfg.StrOpt(
                "flavor",
                help="Pipeline of the paste file to run: the part of its name after 'glance-api-' or "
                "'glance-registry-', for example keystone+caching. Unset: the plain one, without authentication.",
            ),
            cfg.StrOpt(
                "config_file",
                help="Paste file that describes the pipelines. Unset: the file named like the configuration file "
                "with -paste.ini for .conf, next to it or in the standard directories.",
            ),
        ],
    ),
]
