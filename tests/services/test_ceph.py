"""The Ceph fixture gives what it promises."""

import urllib.request

import pytest

rados = pytest.importorskip("rados", exc_type=ImportError)
rbd = pytest.importorskip("rbd", exc_type=ImportError)


@pytest.fixture(params=["user", "seed_user"])
def pool(request, ceph):
    """The pool as the user of a store sees it."""
    name = f"client.{getattr(ceph, request.param)}"
    with rados.Rados(conffile=ceph.conf, name=name) as cluster, cluster.open_ioctx(ceph.pool) as pool:
        yield pool


def test_users_can_use_their_pool(pool):
    rbd.RBD().create(pool, "image", 4096)
    with rbd.Image(pool, "image") as image:
        image.write(b"data", 0)
        assert image.read(0, 4) == b"data"
    rbd.RBD().remove(pool, "image")


@pytest.mark.parametrize("user", ["user", "seed_user"])
def test_users_can_use_no_other_pool(ceph, user):
    ceph.create_pool(f"other-{user}")
    name = f"client.{getattr(ceph, user)}"
    with (
        rados.Rados(conffile=ceph.conf, name=name) as cluster,
        cluster.open_ioctx(f"other-{user}") as pool,
        pytest.raises(rbd.PermissionError),
    ):
        rbd.RBD().create(pool, "image", 4096)


def test_data_outlives_an_outage(ceph):
    name = f"client.{ceph.user}"
    with rados.Rados(conffile=ceph.conf, name=name) as cluster, cluster.open_ioctx(ceph.pool) as pool:
        pool.write_full("object", b"data")
    ceph.stop()
    try:
        with pytest.raises(rados.TimedOut):
            rados.Rados(conffile=ceph.conf, name=name, conf={"client_mount_timeout": "1"}).connect()
    finally:
        ceph.start()
    with rados.Rados(conffile=ceph.conf, name=name) as cluster, cluster.open_ioctx(ceph.pool) as pool:
        assert pool.read("object") == b"data"
        pool.remove_object("object")


def test_gateway(ceph):
    gateway = ceph.gateway()
    assert ceph.gateway() is gateway
    with urllib.request.urlopen(gateway.url) as answer:
        assert b"ListAllMyBucketsResult" in answer.read()
