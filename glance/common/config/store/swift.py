"""Options of the swift driver (spec stores.md §5)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
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
