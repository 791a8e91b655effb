"""The local image cache and delayed deletion (spec daemons-and-config.md §3.7)."""

from oslo_config import cfg

from glance.common.config.types import Section

OPTIONS = [
    Section(
        "AC",
        "DEFAULT",
        [
            cfg.StrOpt(
                "image_cache_dir",
                deprecated_name="image_cache_datadir",
                sample_default="/var/lib/glance/image-cache",
                help="Directory of the image cache; glance-api and the cache tools need the same value. Used only "
                "while a cache filter is in the pipeline; it is created if missing.",
            ),
            cfg.StrOpt(
                "image_cache_driver",
                default="sqlite",
                help="Where the cache keeps its books: sqlite (a small database in the directory) or xattr "
                "(attributes of the files; needs a file system with user attributes and access times).",
            ),
            cfg.StrOpt(
                "image_cache_sqlite_db",
                default="cache.db",
                help="File name of the sqlite driver's database, inside image_cache_dir.",
            ),
            cfg.IntOpt(
                "image_cache_max_size",
                default=10 * 2**30,
                min=0,
                deprecated_name="image_cache_max_size_bytes",
                help="Bytes to which glance-cache-pruner shrinks the cache. Between its runs the cache may grow "
                "beyond. The default is 10 GiB.",
            ),
            cfg.IntOpt(
                "image_cache_stall_time",
                default=86400,
                min=0,
                deprecated_name="image_cache_stall_timeout",
                help="Seconds after which glance-cache-cleaner removes a file that is still incomplete.",
            ),
        ],
    ),
    Section(
        "C",
        "DEFAULT",
        [
            cfg.IntOpt(
                "image_cache_invalid_entry_grace_period",
                default=0,
                min=0,
                help="Seconds for which glance-cache-cleaner leaves files of failed downloads alone. Unset: it "
                "removes them at once.",
            ),
            cfg.FloatOpt(
                "image_cache_percent_extra_to_free",
                default=0,
                min=0,
                max=1,
                help="Fraction of image_cache_max_size that glance-cache-pruner frees beyond the limit, for example "
                "0.2.",
            ),
        ],
    ),
    Section(
        "A",
        "DEFAULT",
        [
            cfg.BoolOpt(
                "image_cache_enabled",
                default=False,
                help="Put the cache filter into a pipeline that has none (files of 2011). Today's way is a flavor "
                "with caching.",
            ),
        ],
    ),
    Section(
        "AS",
        "DEFAULT",
        [
            cfg.BoolOpt(
                "delayed_delete",
                default=False,
                help="Deleting an image only marks it pending_delete; glance-scrubber removes its data later.",
            ),
            cfg.IntOpt(
                "scrub_time",
                default=0,
                min=0,
                help="Seconds that must pass after the deletion before glance-scrubber removes the data.",
            ),
            cfg.BoolOpt("cleanup_scrubber", default=False, help="Accepted for old files: every scrubber cleans up."),
            cfg.IntOpt("cleanup_scrubber_time", default=86400, min=0, help="Accepted for old files."),
            cfg.StrOpt(
                "scrubber_datadir",
                default="/var/lib/glance/scrubber",
                help="Directory in which releases of 2012 and 2013 queued deletions; what is still there is worked "
                "off once.",
            ),
        ],
    ),
    Section(
        "S",
        "DEFAULT",
        [
            cfg.IntOpt(
                "scrub_pool_size", default=1, min=1, help="Number of images that are scrubbed at the same time."
            ),
            cfg.IntOpt("wakeup_time", default=300, min=1, help="Seconds between two passes of the daemon."),
            cfg.BoolOpt(
                "daemon", default=False, help="Stay and make a pass every wakeup_time seconds, instead of one pass."
            ),
        ],
    ),
]
