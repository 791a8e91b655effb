"""The rbd store: what needs no cluster (tests/backends/test_rbd.py has the rest)."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.store import rbd
from glance.store.rbd import Place, RbdDriver, build, find_conf, parse

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.tuples(NAMES, NAMES, NAMES, NAMES))
def test_every_name_survives_in_a_location(names):
    uri = build(*names)
    assert uri.isascii()
    assert uri.count("/") == 5
    assert parse(uri) == Place(*names[1:])


@given(st.text() | st.text().map("rbd://{}".format) | st.from_regex(r"rbd://[%/a0-9]*", fullmatch=True))
def test_any_text_is_a_location_or_refused(text):
    try:
        place = parse(text)
    except exception.BadStoreUri as error:
        assert str(error) == exception.BadStoreUri.message
    else:
        assert text.isascii()
        assert text.count("/") in (2, 5)
        assert place.image
        assert (place.pool is None) == (place.snapshot is None) == (text.count("/") == 2)


@pytest.mark.parametrize(
    "uri",
    [
        "rbd:/image",
        "rbd:image",
        "rbd://",
        "rbd:///pool/image/snap",
        "rbd://fsid/pool/image/",
        "rbd://fsid/pool//snap",
        "rbd://fsid/image",
        "rbd://fsid/pool/image",
        "rbd://fsid/pool/image/snap/",
        "rbd://fsid/pool/image/snap/more",
        "rbd://im\u00e4ge",
        "rbd://%ff",
        "rbd://a%00b",
        "file:///image",
    ],
)
def test_refused_locations(uri):
    with pytest.raises(exception.BadStoreUri):
        parse(uri)


def test_locations():
    assert parse("rbd://image") == Place(None, "image", None)
    assert parse("RBD://f/p/i/s") == Place("p", "i", "s")
    assert parse("rbd://f/a%2Fb/%C3%A4/s") == Place("a/b", "\u00e4", "s")


def test_the_first_configuration_file_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    second, third = tmp_path / "second", tmp_path / "third"
    places = ("/nonexistent/ceph.conf", "~/second", str(third))
    third.touch()
    assert find_conf("", places) == str(third)
    second.touch()
    assert find_conf("", places) == str(second)
    assert find_conf(str(third), places) == str(third)
    with pytest.raises(exception.ConfigurationError, match="/nonexistent/other"):
        find_conf("/nonexistent/other", places)
    with pytest.raises(exception.ConfigurationError, match="rbd_store_ceph_conf"):
        find_conf("", places[:1])


def test_missing_bindings(make_conf, monkeypatch):
    monkeypatch.setattr(rbd, "rados", None)
    driver = RbdDriver(make_conf(glance_store={"rbd_store_ceph_conf": os.devnull}))
    with pytest.raises(exception.ConfigurationError, match="python3-rbd"):
        driver.configure()
    with pytest.raises(exception.StoreAddDisabled):
        driver.writer("image", 1)
    driver.check_location("rbd://image")
    with pytest.raises(exception.StoreUnavailable):
        driver.size("rbd://image")


@pytest.mark.parametrize(("megabytes", "usable"), [(1, True), (63, True), (64, False)])
def test_size_of_objects(make_conf, monkeypatch, megabytes, usable):
    monkeypatch.setattr(rbd, "rados", rbd.rados or object())
    options = {"rbd_store_ceph_conf": os.devnull, "rbd_store_chunk_size": megabytes}
    driver = RbdDriver(make_conf(glance_store=options))
    if usable:
        driver.configure()
    else:
        with pytest.raises(exception.ConfigurationError, match="rbd_store_chunk_size"):
            driver.configure()
    assert (driver.add_disabled is None) == usable


def test_options_of_the_seed(make_conf):
    options = make_conf(
        rbd_store_pool="images", rbd_store_chunk_size=8, rbd_store_user="glance", rbd_store_ceph_conf="/dev/null"
    ).glance_store
    assert (options.rbd_store_pool, options.rbd_store_chunk_size) == ("images", 8)
    assert (options.rbd_store_user, options.rbd_store_ceph_conf) == ("glance", "/dev/null")
    defaults = make_conf().glance_store
    assert (defaults.rbd_store_pool, defaults.rbd_store_chunk_size, defaults.rbd_store_user) == ("rbd", 4, "admin")
    assert (defaults.rados_connect_timeout, defaults.rbd_thin_provisioning) == (0, False)
