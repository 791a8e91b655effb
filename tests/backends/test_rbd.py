"""The rbd store on a real Ceph cluster."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from glance.common import exception
from glance.store.rbd import RbdDriver, build, parse
from glance.store.transfer import store_data
from tests.services.ceph import running_ceph
from tests.unit.store.conftest import make_conf  # noqa: F401 - a fixture
from tests.unit.store.contract import MIB, WritableContract, new_id, read, write

rados = pytest.importorskip("rados", exc_type=ImportError)
rbd = pytest.importorskip("rbd", exc_type=ImportError)

USERS = ("user", "seed_user")


@pytest.fixture(scope="module")
def ceph():
    """A cluster that may be stopped and has no other pool: there the seed's user may not remove snapshots."""
    with running_ceph() as cluster:
        yield cluster


def disconnect(driver):
    """Close what the service keeps open as long as it lives: some fifty descriptors."""
    for pool in driver._cluster._pools.values():
        pool.close()
    for connection in driver._cluster._connections.values():
        connection.shutdown()


@pytest.fixture
def make_driver(ceph, make_conf):  # noqa: F811
    """Builds a driver that is connected."""
    built = []

    def build_driver(user=ceph.user, **options):
        defaults = {"rbd_store_ceph_conf": ceph.conf, "rbd_store_user": user, "rbd_store_pool": ceph.pool}
        driver = RbdDriver(make_conf(glance_store=defaults | {"rados_connect_timeout": 30} | options))
        driver.configure()
        built.append(driver)
        list(driver.objects())
        return driver

    yield build_driver
    for driver in built:
        disconnect(driver)


@pytest.fixture(params=USERS)
def driver(request, ceph, make_driver):
    driver = make_driver(getattr(ceph, request.param))
    yield driver
    for found in driver.objects():
        driver.remove(found)


@pytest.fixture
def pool(ceph):
    """The pool as Nova or Cinder sees it."""
    with rados.Rados(conffile=ceph.conf, name="client.admin") as cluster, cluster.open_ioctx(ceph.pool) as pool:
        yield pool
        for entry in list(rbd.RBD().trash_list(pool)):
            with rbd.Image(pool, image_id=entry["id"]) as image:
                for snapshot in list(image.list_snaps()):
                    image.remove_snap_by_id(snapshot["id"])
            rbd.RBD().trash_remove(pool, entry["id"], force=True)


class TestContract(WritableContract):
    @pytest.fixture(params=["plain", "thin", "seed user"])
    def driver(self, request, ceph, make_driver):
        return {
            "plain": make_driver,
            "thin": lambda: make_driver(rbd_thin_provisioning=True),
            "seed user": lambda: make_driver(ceph.seed_user),
        }[request.param]()

    def die(self, writer):
        writer._close()

    @pytest.fixture
    def absent(self, ceph):
        return build("0000", ceph.pool, "absent", "snap")


# --- what an upload makes ------------------------------------------------------


def test_location_names_cluster_pool_image_and_snapshot(ceph, driver, pool):
    image_id = new_id()
    uri = write(driver, b"data", image_id)
    fsid = ceph.command("fsid")["fsid"]
    assert uri == f"rbd://{fsid}/{ceph.pool}/{image_id}/snap"
    with rbd.Image(pool, image_id) as image:
        assert image.is_protected_snap("snap")
        assert image.stat()["order"] == 22


def test_objects_have_the_size_of_the_option(make_driver, pool):
    driver = make_driver(rbd_store_chunk_size=12)
    uri = write(driver, b"data", new_id())
    with rbd.Image(pool, parse(uri).image) as image:
        assert image.stat()["order"] == 23  # 8 MB: rounded down
    driver.delete(uri)


def test_images_have_the_features_of_the_configuration(ceph, make_driver, pool, tmp_path):
    conf = tmp_path / "ceph.conf"
    with open(ceph.conf) as file:
        conf.write_text(file.read().replace("[client]", "[client]\nrbd default features = 5"))
    driver = make_driver(rbd_store_ceph_conf=conf)
    uri = write(driver, b"data", new_id())
    with rbd.Image(pool, parse(uri).image) as image:
        assert image.features() == rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
    driver.delete(uri)


@pytest.mark.parametrize("announced", [None, 0, MIB, 40 * MIB, 64 * MIB])
def test_growth(driver, announced):
    data = os.urandom(MIB) * 39 + b"end"
    writer = driver.writer(new_id(), announced)
    sizes = []
    for start in range(0, len(data), MIB):
        writer.write(memoryview(data)[start : start + MIB])
        sizes.append(writer._image.size())
    uri, _ = writer.commit()
    assert driver.size(uri) == len(data)
    assert read(driver, uri) == data
    if not announced:  # 2 chunks, then twice as much with every step
        assert sorted(set(sizes)) == [8 * MIB, 24 * MIB, 56 * MIB]


def test_thin_images_store_no_zeros(make_driver, pool):
    driver = make_driver(rbd_thin_provisioning=True)
    data = bytes(8 * MIB) + b"x" * MIB + bytes(7 * MIB)
    uri = write(driver, data, new_id())
    used = []
    with rbd.Image(pool, parse(uri).image, snapshot="snap") as image:
        image.diff_iterate(0, image.size(), None, lambda *extent: used.append(extent))
    assert used == [(8 * MIB, MIB, True)]
    assert driver.size(uri) == len(data)
    assert read(driver, uri) == data
    driver.delete(uri)


def test_pipeline(driver):
    data = os.urandom(20 * MIB + 1)
    written = store_data(driver, new_id(), iter([data]), None)
    assert written.size == len(data)
    assert read(driver, written.uri) == data
    with pytest.raises(exception.Invalid):
        store_data(driver, new_id(), iter([data]), len(data) + 1)
    assert len(list(driver.objects())) == 1


@pytest.mark.parametrize(
    ("offset", "length"), [(MIB - 1, 2), (3 * MIB, 5 * MIB + 1), (9 * MIB, None), (10 * MIB - 1, None), (0, 10**12)]
)
def test_long_ranges(driver, offset, length):
    data = os.urandom(10 * MIB)
    uri = write(driver, data, new_id())
    assert read(driver, uri, offset, length) == data[offset:][:length]


def test_oldest_locations(driver, pool):
    image_id = new_id()
    rbd.RBD().create(pool, image_id, 3, old_format=False, features=1)
    with rbd.Image(pool, image_id) as image:
        image.write(b"old", 0)
    assert read(driver, f"rbd://{image_id}") == b"old"
    driver.delete(f"rbd://{image_id}")
    with pytest.raises(exception.ImageDataNotFound):
        driver.size(f"rbd://{image_id}")


def test_the_cluster_of_a_location_is_not_compared(driver):
    place = parse(write(driver, b"moved", new_id()))
    assert read(driver, build("of-the-mirror", place.pool, place.image, place.snapshot)) == b"moved"


def test_place_that_does_not_exist(ceph, driver):
    with pytest.raises(exception.ImageDataNotFound):
        driver.size(build("x", "nopool", "image", "snap"))
    uri = write(driver, b"data", new_id())
    with pytest.raises(exception.ImageDataNotFound):
        driver.open(uri.removesuffix("snap") + "other")


def test_a_missing_pool_is_not_a_missing_image(ceph, make_conf):  # noqa: F811
    options = {"rbd_store_ceph_conf": ceph.conf, "rbd_store_user": ceph.user, "rbd_store_pool": "nopool"}
    driver = RbdDriver(make_conf(glance_store=options))
    driver.configure()
    for call in (driver.size, driver.open, driver.delete):
        with pytest.raises(exception.StoreUnavailable):
            call("rbd://image")


def test_full_cluster(ceph, driver):
    kept = write(driver, b"data", new_id())
    upload = driver.writer(new_id(), None)
    with ceph.full():
        with pytest.raises(exception.StorageFull):
            driver.writer(new_id(), 1)
        with pytest.raises(exception.StorageFull):
            for _ in range(20):
                upload.write(memoryview(b"x" * MIB))
        upload.cancel()
        driver.delete(kept)
        assert list(driver.objects()) == []
    driver.delete(write(driver, b"room again", new_id()))


# --- a cluster with several pools ---------------------------------------------------


@pytest.fixture
def volumes(ceph):
    """Name of a pool that the user of the store may not use."""
    ceph.create_pool("volumes")
    yield "volumes"
    ceph.command("osd pool rm", pool="volumes", pool2="volumes", yes_i_really_really_mean_it=True)


def test_pool_of_somebody_else(driver, volumes):
    with pytest.raises(exception.StoreUnavailable):
        driver.open(build("x", volumes, "image", "snap"))
    with pytest.raises(exception.Forbidden):
        driver.delete(build("x", volumes, "image", "snap"))


def test_deleting_beside_another_pool(make_driver, volumes):
    driver = make_driver()
    driver.delete(write(driver, b"data", new_id()))
    assert list(driver.objects()) == []


def test_the_cause_names_the_missing_capability(ceph, make_driver, volumes):
    driver = make_driver(ceph.seed_user)
    uri = write(driver, b"data", new_id())
    with pytest.raises(exception.Forbidden) as caught:
        driver.delete(uri)
    assert "class-read object_prefix rbd_children" in str(caught.value.__cause__)
    assert read(driver, uri) == b"data"
    make_driver().delete(uri)


# --- deleting what is used --------------------------------------------------------


def clone(ceph, uri, version):
    """Make the volume of an instance from an image, in the old or in the new way."""
    conf = {"rbd_default_clone_format": str(version)}
    with (
        rados.Rados(conffile=ceph.conf, name="client.admin", conf=conf) as cluster,
        cluster.open_ioctx(ceph.pool) as pool,
    ):
        rbd.RBD().clone(pool, parse(uri).image, "snap", pool, "volume", features=1)


def test_image_with_clones(ceph, driver, pool):
    uri = write(driver, b"data", new_id())
    clone(ceph, uri, 1)
    with pytest.raises(exception.InUse):
        driver.delete(uri)
    assert read(driver, uri) == b"data"
    rbd.RBD().remove(pool, "volume")
    driver.delete(uri)
    assert list(driver.objects()) == []


def test_image_with_clones_that_need_no_protection_goes_to_the_trash(ceph, driver, pool):
    uri = write(driver, b"data", new_id())
    clone(ceph, uri, 2)
    driver.delete(uri)
    with pytest.raises(exception.ImageDataNotFound):
        driver.size(uri)
    with rbd.Image(pool, "volume") as volume:
        assert volume.read(0, 4) == b"data"
    rbd.RBD().remove(pool, "volume")


def test_image_with_other_snapshots_goes_to_the_trash(driver, pool):
    uri = write(driver, b"data", new_id())
    with rbd.Image(pool, parse(uri).image) as image:
        image.create_snap("backup")
    driver.delete(uri)
    assert list(driver.objects()) == []
    (entry,) = rbd.RBD().trash_list(pool)
    assert entry["name"] == parse(uri).image


def test_image_that_somebody_has_open(driver, pool):
    uri = write(driver, b"data", new_id())
    with rbd.Image(pool, parse(uri).image):
        with pytest.raises(exception.InUse):
            driver.delete(uri)
        assert read(driver, uri) == b"data"
    driver.delete(uri)


def test_a_download_hinders_no_deletion_and_is_cut_off(driver):
    uri = write(driver, os.urandom(20 * MIB), new_id())
    body = driver.open(uri).body
    blocks = iter(body)
    next(blocks)
    driver.delete(uri)
    with pytest.raises(exception.ImageDataNotFound):
        list(blocks)
    body.close()


# --- what a crash leaves ------------------------------------------------------------

CRASH = """
    import sys, time
    from oslo_config import cfg
    from glance.common.config import store
    from glance.store.rbd import RbdDriver
    conf = cfg.ConfigOpts()
    for section in store.OPTIONS:
        conf.register_opts(section.options, group=section.group)
    conf([], default_config_files=[sys.argv[1]], default_config_dirs=[])
    driver = RbdDriver(conf)
    driver.configure()
    writer = driver.writer(sys.argv[2], 10)
    writer.write(memoryview(b"part"))
    writer._settle()
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def api_conf(ceph, tmp_path):
    """Writes a configuration file for another process."""

    def build_conf(user):
        path = tmp_path / "api.conf"
        lines = f"rbd_store_ceph_conf = {ceph.conf}\nrbd_store_pool = {ceph.pool}\nrbd_store_user = {user}\n"
        path.write_text(f"[glance_store]\n{lines}")
        return str(path)

    return build_conf


@pytest.mark.parametrize("user", USERS)
def test_worker_killed_before_the_snapshot(ceph, make_driver, api_conf, user):
    """It takes 30 seconds: that long the cluster thinks that the worker may come back."""
    driver = make_driver(getattr(ceph, user))
    image_id = new_id()
    command = [sys.executable, "-c", textwrap.dedent(CRASH), api_conf(getattr(ceph, user)), image_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout.readline() == b"written\n"
        worker.send_signal(signal.SIGKILL)
    (found,) = driver.objects()
    assert (found.image_id, found.partial) == (image_id, True)
    uri = write(driver, b"again", image_id)  # what is left is not in the way
    driver.delete(uri)
    driver.discard(image_id)
    assert list(driver.objects()) == []


def test_image_without_the_protected_snapshot_is_partial(driver, pool):
    image_id = new_id()
    rbd.RBD().create(pool, image_id, 10, old_format=False, features=1)
    rbd.RBD().create(pool, "volume", 10, old_format=False, features=1)
    with rbd.Image(pool, image_id) as image:
        image.create_snap("snap")
    found = {entry.name: entry for entry in driver.objects()}
    assert (found[image_id].image_id, found[image_id].partial) == (image_id, True)
    assert (found["volume"].image_id, found["volume"].partial) == (None, False)
    with pytest.raises(exception.Duplicate):
        driver.writer(image_id, 1)
    driver.discard(image_id)
    assert [entry.name for entry in driver.objects()] == ["volume"]


def test_remove_spares_a_new_object_of_the_same_name(driver):
    image_id = new_id()
    driver.delete(write(driver, b"first", image_id))
    uri = write(driver, b"second", image_id)
    (found,) = driver.objects()
    driver.remove(type(found)(found.name, found.image_id, found.size, found.modified - 100))
    assert read(driver, uri) == b"second"


def test_age_is_right_in_every_time_zone(driver, monkeypatch):
    write(driver, b"data", new_id())
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (found,) = driver.objects()
        assert abs(found.modified - time.time()) < 300
    finally:
        monkeypatch.undo()
        time.tzset()


# --- many at once -------------------------------------------------------------------

CROWD = """
    import sys
    from concurrent.futures import ThreadPoolExecutor
    from oslo_config import cfg
    from glance.common.config import store
    from glance.store.rbd import RbdDriver
    conf = cfg.ConfigOpts()
    for section in store.OPTIONS:
        conf.register_opts(section.options, group=section.group)
    conf([], default_config_files=[sys.argv[1]], default_config_dirs=[])
    driver = RbdDriver(conf)
    driver.configure()
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(driver.size, sys.argv[2:] * 1000)) == {4}
"""


def test_images_with_an_object_map_are_opened_by_many_threads(ceph, make_driver, api_conf, pool):
    """In a process of its own, because librbd 16 ends it when images are opened in the obvious way."""
    driver = make_driver()
    uri = write(driver, b"data", new_id())
    with rbd.Image(pool, parse(uri).image, read_only=True) as image:
        assert image.features() & rbd.RBD_FEATURE_OBJECT_MAP
    command = [sys.executable, "-c", textwrap.dedent(CROWD), api_conf(ceph.user), uri]
    assert subprocess.run(command).returncode == 0
    driver.delete(uri)


# --- clusters that do not answer ------------------------------------------------------


def test_a_client_that_was_locked_out_connects_again(ceph, make_driver):
    driver = make_driver()
    address = driver._cluster.connection().get_addrs()
    ceph.command("osd blocklist", blocklistop="add", addr=address.split(",")[0].removeprefix("v2:"))
    with pytest.raises(exception.StoreUnavailable):
        driver.writer(new_id(), 1)
    driver.delete(write(driver, b"data", new_id()))


def test_unknown_user(make_conf, ceph):  # noqa: F811
    options = {"rbd_store_ceph_conf": ceph.conf, "rbd_store_user": "nobody", "rbd_store_pool": ceph.pool}
    driver = RbdDriver(make_conf(glance_store=options))
    driver.configure()
    with pytest.raises(exception.StoreUnavailable):
        driver.size("rbd://image")


def test_a_child_process_has_a_connection_of_its_own(make_driver):
    driver = make_driver()
    uri = write(driver, b"data", new_id())
    child = os.fork()
    if not child:
        os._exit(0 if read(driver, uri) == b"data" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    driver.delete(uri)


# The last tests: connections of before need a while to find the cluster again.


@pytest.fixture
def outage(ceph):
    """Stops the cluster when entered; it runs again afterwards."""

    @contextlib.contextmanager
    def stopped():
        ceph.stop()
        try:
            yield
        finally:
            ceph.start()

    return stopped


GREEN = """
    import eventlet
    eventlet.monkey_patch()
    import os, subprocess, sys
    from oslo_config import cfg
    from glance.common.config import store
    from glance.common.offload import offload
    from glance.store.rbd import RbdDriver
    from glance.store.transfer import store_data
    conf = cfg.ConfigOpts()
    for section in store.OPTIONS:
        conf.register_opts(section.options, group=section.group)
    conf([], default_config_files=[sys.argv[1]], default_config_dirs=[])
    driver = RbdDriver(conf)
    driver.configure()
    data = os.urandom(9 * 1024 * 1024 + 1)
    uri = store_data(driver, sys.argv[2], iter([data]), None).uri
    body = driver.offload(driver.open, uri).body
    assert b"".join(body) == data
    body.close()
    print("stored", flush=True)
    sys.stdin.readline()  # the cluster is gone now
    waiting = [eventlet.spawn(driver.offload, driver.size, uri) for _ in range(50)]
    eventlet.sleep(1)
    assert offload(str, 1) == "1"
    assert all(waiting)  # alive
    print("waiting", flush=True)
    assert [thread.wait() for thread in waiting] == [len(data)] * 50
    driver.offload(driver.delete, uri)
    assert list(driver.objects()) == []
    print("deleted", flush=True)
    os._exit(0)
"""


def test_a_dead_cluster_holds_up_only_its_own_calls(ceph, api_conf, outage):
    """Without a timeout, under eventlet: files, hashes and databases go on; so does the store, when it can."""
    conf = api_conf(ceph.user)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(GREEN), conf, new_id()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout.readline() == b"stored\n"
        with outage():
            worker.stdin.write(b"\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == b"waiting\n"
        assert worker.stdout.readline() == b"deleted\n"
        assert worker.wait(60) == 0


def test_first_connection_during_an_outage(ceph, make_conf, outage):  # noqa: F811
    options = {"rbd_store_ceph_conf": ceph.conf, "rbd_store_user": ceph.user, "rbd_store_pool": ceph.pool}
    driver = RbdDriver(make_conf(glance_store=options | {"rados_connect_timeout": 1}))
    with outage():
        driver.configure()  # needs no network
        with pytest.raises(exception.StoreUnavailable):
            driver.writer(new_id(), 1)
    list(driver.objects())


def test_outage(make_driver, outage):
    driver = make_driver(rados_connect_timeout=1)
    kept = write(driver, os.urandom(20 * MIB), new_id())
    upload = driver.writer(new_id(), None)
    upload.write(memoryview(b"x" * MIB))
    download = driver.open(kept).body
    blocks = iter(download)
    next(blocks)
    with outage():
        calls = {
            "size": lambda: driver.size(kept),
            "open": lambda: driver.open(kept),
            "delete": lambda: driver.delete(kept),
            "discard": lambda: driver.discard(new_id()),
            "objects": lambda: list(driver.objects()),
            "writer": lambda: driver.writer(new_id(), 1),
            "write": lambda: [upload.write(memoryview(b"x" * MIB)) for _ in range(20)],
            "commit": upload.commit,
            "download": lambda: list(blocks),
        }
        for name, call in calls.items():
            with pytest.raises(exception.StoreUnavailable) as caught:
                call()
            assert isinstance(caught.value.__cause__, OSError), name
        upload.cancel()
        download.close()
    # The same driver goes on as if nothing had been, once it has found the cluster again.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(exception.StoreUnavailable):
            driver.size(kept)
            break
    assert driver.size(kept) == 20 * MIB
    uri = write(driver, b"new", new_id())
    assert read(driver, uri) == b"new"
