"""Options of the s3 driver (spec stores.md §6)."""

from oslo_config import cfg

_CHECKSUMS = ["when_required", "when_supported"]


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
    return [*_account(), *_transfer(), *_proxy(), *_integrity()]


def _account() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "s3_store_host",
            default="s3.amazonaws.com",
            help="Host of the S3 service, with http:// or https:// in front. Without a scheme, http is used.",
        ),
        cfg.StrOpt(
            "s3_store_region_name",
            default="",
            help="Region of the bucket. Empty: the one that the name of an Amazon host contains, elsewhere us-east-1.",
        ),
        cfg.StrOpt("s3_store_access_key", secret=True, help="Access key. Required for S3."),
        cfg.StrOpt("s3_store_secret_key", secret=True, help="Secret key of the access key. Required for S3."),
        cfg.StrOpt(
            "s3_store_bucket",
            help="Bucket that holds the images. Names are unique across all customers of a provider. Required for S3.",
        ),
        cfg.BoolOpt("s3_store_create_bucket_on_put", default=False, help="Create the bucket if it is missing."),
        cfg.StrOpt(
            "s3_store_bucket_url_format",
            default="auto",
            choices=["auto", "virtual", "path", "subdomain"],
            help="Where the bucket's name stands: in the host name (virtual, by its old name subdomain) or in the "
            "path. auto: in the host name at Amazon, in the path elsewhere.",
        ),
        cfg.StrOpt(
            "s3_store_cacert",
            default="",
            help="PEM file with the authorities that an https host is verified against. Empty: those of the system.",
        ),
    ]


def _transfer() -> list[cfg.Opt]:
    return [
        cfg.IntOpt(
            "s3_store_large_object_size",
            default=100,
            min=0,
            help="Size in MB from which an image is uploaded in parts; one of unknown size is as well.",
        ),
        cfg.IntOpt(
            "s3_store_large_object_chunk_size",
            default=10,
            help="Size of such a part in MB, at least 5. Parts of very large images are larger, because there can be "
            "no more than 10000.",
        ),
        cfg.IntOpt(
            "s3_store_thread_pools",
            default=10,
            help="Most parts of one image that are uploaded at the same time. There are fewer if they would take more "
            "than 40 MB of memory together.",
        ),
        cfg.StrOpt(
            "s3_store_object_buffer_dir",
            sample_default="<none: the data is not kept>",
            help="Directory for temporary files that hold images smaller than s3_store_large_object_size until they "
            "are complete, so that the upload to S3 can be repeated. Unset: they are passed on as they arrive, and a "
            "connection to S3 that breaks ends the upload.",
        ),
    ]


def _proxy() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt("s3_store_enable_proxy", default=False, help="Reach the S3 service through a proxy."),
        cfg.StrOpt("s3_store_proxy_host", help="Host of the proxy."),
        cfg.PortOpt("s3_store_proxy_port", default=8080, help="Port of the proxy."),
        cfg.StrOpt("s3_store_proxy_user", help="User to log in to the proxy as."),
        cfg.StrOpt("s3_store_proxy_password", secret=True, help="Password of s3_store_proxy_user."),
    ]


def _integrity() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt(
            "s3_store_enable_data_integrity_protection",
            default=False,
            help="Sign the data of uploads, and use the two options below. It costs processor time, and older "
            "servers refuse checksums.",
        ),
        cfg.StrOpt(
            "s3_store_request_checksum_calculation",
            default="when_required",
            choices=_CHECKSUMS,
            help="With s3_store_enable_data_integrity_protection: which requests carry a checksum of their data.",
        ),
        cfg.StrOpt(
            "s3_store_response_checksum_validation",
            default="when_required",
            choices=_CHECKSUMS,
            help="With s3_store_enable_data_integrity_protection: which answers are verified against a checksum.",
        ),
    ]
