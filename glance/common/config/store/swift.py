"""Options of the swift driver (spec stores.md §5)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
    return [
        cfg.StrOpt(
            "swift_store_auth_address",
            help="URL of the authentication service. Without a scheme, https is used. Required for Swift.",
        ),
        cfg.StrOpt(
            "swift_store_user",
            help="account:user to log in as; with versions 2 and 3, project:user. Required for Swift.",
        ),
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
        cfg.BoolOpt(
            "swift_store_auth_insecure",
            default=False,
            help="Do not verify the certificates of the authentication service and of Swift. Then whoever stands "
            "between can read the password and swap the data.",
        ),
        cfg.StrOpt(
            "swift_store_cacert", help="PEM file with the authorities that these certificates are verified against."
        ),
        cfg.StrOpt("swift_store_region", help="Region whose object store is used."),
        cfg.StrOpt(
            "swift_store_endpoint",
            help="Storage URL to use instead of the one that the authentication service or the service catalog "
            "gives. With swift_store_multi_tenant, %(project_id)s in it stands for the caller's project.",
        ),
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
        cfg.StrOpt(
            "swift_store_application_credential_id",
            help="Application credential to log in with instead of swift_store_user.",
        ),
        cfg.StrOpt(
            "swift_store_application_credential_secret", secret=True, help="Secret of that application credential."
        ),
        cfg.StrOpt(
            "swift_store_project_name", help="Project of swift_store_user, where that names none. Version 3 only."
        ),
        cfg.StrOpt("swift_store_project_id", help="The same by its id."),
        cfg.BoolOpt("swift_store_ssl_compression", default=True, help="Accepted for old files. Has no effect."),
        cfg.IntOpt(
            "swift_store_expire_soon_interval", default=60, min=0, help="Accepted for newer files. Has no effect."
        ),
        cfg.BoolOpt(
            "swift_store_use_trusts",
            default=True,
            help="Accepted for newer files. Has no effect: with swift_store_multi_tenant a transfer ends when Swift "
            "no longer accepts the caller's token.",
        ),
        cfg.BoolOpt(
            "swift_buffer_on_upload", default=False, help="Accepted for newer files. Nothing is kept on the disk."
        ),
        cfg.StrOpt("swift_upload_buffer_dir", help="Accepted for newer files. Has no effect."),
        cfg.IntOpt(
            "swift_store_multiple_containers_seed",
            default=0,
            min=0,
            max=32,
            help="Spread the images over containers named after this many digits of the image id. 0: one container.",
        ),
    ]
