"""Options of the file driver (spec stores.md §3)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
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
