"""Options of the s3 driver (spec stores.md §6)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
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
