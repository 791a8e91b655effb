"""Where image data is kept (spec daemons-and-config.md §3.6, stores.md §2-§4).

``driver_options()`` can be registered into any group: ``[glance_store]`` is the group of
the stores of one backend each, whose options files of 2011 to 2013 set in ``[DEFAULT]``.
"""

from oslo_config import cfg

from glance.common.config.types import Section


def _file() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "filesystem_store_datadir",
            default="/var/lib/glance/images/",
            help="Directory of the file store. It is created if missing, and must be writable.",
        ),
        cfg.MultiStrOpt(
            "filesystem_store_datadirs",
            help="One of several directories of the file store, as PATH:PRIORITY; may be given repeatedly. The "
            "highest priority with enough room is used, among equals the one with most room. Excludes "
            "filesystem_store_datadir.",
        ),
        cfg.StrOpt(
            "filesystem_store_metadata_file",
            help="JSON file with an object, or a list of them, with id and mountpoint; what matches the path of an "
            "image is shown with its location, so that compute nodes can copy from the same mount.",
        ),
        cfg.IntOpt(
            "filesystem_store_file_perm",
            default=0,
            min=0,
            max=777,
            help="Permissions of image files in octal digits, for example 640. 0 leaves them to the umask.",
        ),
        cfg.IntOpt(
            "filesystem_store_chunk_size",
            default=65536,
            min=1,
            help="Bytes that the file store reads and writes at a time, at least.",
        ),
        cfg.BoolOpt(
            "filesystem_thin_provisioning",
            default=False,
            help="Leave holes in the file where an image has only zero bytes.",
        ),
        cfg.IntOpt("filesystem_store_timeout", default=0, min=0, help="Accepted for newer files. Has no effect."),
        cfg.IntOpt(
            "filesystem_store_thread_pool_size", default=10, min=0, help="Accepted for newer files. Has no effect."
        ),
        cfg.IntOpt(
            "filesystem_store_threadpool_threshold", default=75, min=0, help="Accepted for newer files. Has no effect."
        ),
    ]


def _http() -> list[cfg.Opt]:
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


def _swift() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "swift_store_auth_address",
            help="URL of the authentication service. Without a scheme, https is used. Required for Swift.",
        ),
        cfg.StrOpt("swift_store_user", help="account:user to log in as. Required for Swift."),
        cfg.StrOpt("swift_store_key", secret=True, help="Password of swift_store_user. Required for Swift."),
        cfg.StrOpt("swift_store_container", default="glance", help="Container that holds the images."),
        cfg.BoolOpt(
            "swift_store_create_container_on_put", default=False, help="Create the container if it is missing."
        ),
        cfg.IntOpt(
            "swift_store_large_object_size",
            default=5120,
            min=1,
            help="Size in MB from which an image is stored in segments. The default is the largest object that "
            "Swift takes.",
        ),
        cfg.IntOpt("swift_store_large_object_chunk_size", default=200, min=1, help="Size of such a segment, in MB."),
        cfg.BoolOpt(
            "swift_store_multi_tenant",
            default=False,
            help="Keep each image in the account of its owner, in a container of its own.",
        ),
        cfg.ListOpt(
            "swift_store_admin_tenants",
            default=[],
            help="With swift_store_multi_tenant: access control items that may read and write every new container, "
            "for example service:glance, *:admin.",
        ),
        cfg.StrOpt(
            "swift_store_auth_version",
            default="2",
            choices=["1", "2", "3"],
            help="Version of the authentication service. With 2 and a URL that ends in /v3, 3 is used.",
        ),
        cfg.StrOpt("swift_store_region", help="Region whose object store is used."),
        cfg.StrOpt(
            "swift_store_endpoint_type",
            default="publicURL",
            help="Kind of endpoint taken from the service catalog: publicURL, internalURL or adminURL.",
        ),
        cfg.StrOpt(
            "swift_store_service_type", default="object-store", help="Type of the service in the service catalog."
        ),
        cfg.BoolOpt(
            "swift_enable_snet",
            default=False,
            help="Put snet- in front of the storage host (the internal network of one provider, 2011).",
        ),
        cfg.StrOpt(
            "swift_store_config_file",
            help="File with one section of credentials per account. New locations then name the section instead of "
            "holding the password.",
        ),
        cfg.StrOpt(
            "default_swift_reference", default="ref1", help="Section of swift_store_config_file for new images."
        ),
        cfg.IntOpt(
            "swift_store_retry_get_count", default=0, min=0, help="How often a broken download from Swift is resumed."
        ),
        cfg.IntOpt(
            "swift_store_multiple_containers_seed",
            default=0,
            min=0,
            max=32,
            help="Spread the images over containers named after this many digits of the image id. 0: one container.",
        ),
    ]


def _s3() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "s3_store_host",
            default="s3.amazonaws.com",
            help="Host of the S3 service, with http:// or https:// in front. Without a scheme, http is used.",
        ),
        cfg.StrOpt("s3_store_access_key", secret=True, help="Access key. Required for S3."),
        cfg.StrOpt("s3_store_secret_key", secret=True, help="Secret key of the access key. Required for S3."),
        cfg.StrOpt(
            "s3_store_bucket",
            help="Bucket that holds the images. Names are unique across all customers of a provider. Required for S3.",
        ),
        cfg.BoolOpt("s3_store_create_bucket_on_put", default=False, help="Create the bucket if it is missing."),
        cfg.StrOpt(
            "s3_store_object_buffer_dir",
            sample_default="<directory for temporary files>",
            help="Directory in which data is kept on its way to S3.",
        ),
        cfg.StrOpt(
            "s3_store_bucket_url_format",
            default="auto",
            choices=["auto", "virtual", "path", "subdomain"],
            help="Where the bucket's name stands: in the host name (virtual, by its old name subdomain) or in the "
            "path. auto tries what the host supports.",
        ),
    ]


def _rbd() -> list[cfg.Opt]:
    return [
        cfg.StrOpt("rbd_store_pool", default="rbd", help="Ceph pool that holds the images."),
        cfg.IntOpt(
            "rbd_store_chunk_size",
            default=4,
            min=1,
            help="Size of the objects that an image is cut into, in MB; a power of two.",
        ),
        cfg.StrOpt(
            "rbd_store_user",
            default="admin",
            help="Ceph user to log in as, without the prefix client. An empty value takes the one of the "
            "configuration file.",
        ),
        cfg.StrOpt(
            "rbd_store_ceph_conf",
            sample_default="the first of /etc/ceph/ceph.conf, ~/.ceph/config, ./ceph.conf",
            help="Ceph configuration file; it names the keyring of rbd_store_user.",
        ),
    ]


def driver_options() -> list[cfg.Opt]:
    """New option objects of every driver, for the group of one store."""
    return [*_file(), *_http(), *_swift(), *_s3(), *_rbd()]


def _also_in_default(options: list[cfg.Opt]) -> list[cfg.Opt]:
    for option in options:
        if option.multi:
            continue  # aliases.py: values of both places would add up
        option.deprecated_opts.append(cfg.DeprecatedOpt(option.dest, group="DEFAULT"))
    return options


OPTIONS = [
    Section(
        "ASC",
        "glance_store",
        _also_in_default(
            [
                cfg.StrOpt(
                    "default_store",
                    default="file",
                    help="Store for new images: file, swift, s3 or rbd. If it cannot be used, glance-api does not "
                    "start.",
                ),
                cfg.ListOpt(
                    "stores",
                    help="Stores to switch on: file, http, swift, s3, rbd. Unset: file, http, the default store and "
                    "every store whose required options are set.",
                ),
                cfg.ListOpt("known_stores", help="The same as stores, written as the class paths of 2012 and 2013."),
                cfg.StrOpt(
                    "rootwrap_config",
                    default="/etc/glance/rootwrap.conf",
                    help="Accepted for old files: no driver runs commands as root.",
                ),
                *driver_options(),
            ]
        ),
    ),
]
