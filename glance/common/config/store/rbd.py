"""Options of the rbd driver (spec stores.md §7)."""

from oslo_config import cfg


def options() -> list[cfg.Opt]:
    """New option objects, for the group of one store."""
    return [
        cfg.StrOpt("rbd_store_pool", default="rbd", help="Ceph pool that holds the images."),
        cfg.IntOpt(
            "rbd_store_chunk_size",
            default=4,
            min=1,
            help="Size of the objects that an image is cut into, in MB, up to 32; rounded down to a power of two.",
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
        cfg.IntOpt(
            "rados_connect_timeout",
            default=0,
            help="Seconds to wait for an answer of the Ceph cluster, for the first and for every later one; then the "
            "request is answered with 503. 0 or less waits as long as the configuration file of Ceph says.",
        ),
        cfg.BoolOpt(
            "rbd_thin_provisioning",
            default=False,
            help="Store no blocks that consist of zeros only. They are read back as zeros.",
        ),
    ]
