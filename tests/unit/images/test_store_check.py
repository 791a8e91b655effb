"""``glance-manage store check``: what counts as left over, and what is never touched."""

import os
import time
import uuid

import pytest

from glance.common import exception
from glance.images import store_check

HOUR = 3600


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


@pytest.fixture
def check(make_conf, images, capsys):
    """Runs the command with these live ids; returns (exit code, lines)."""
    conf = make_conf(glance_store={"filesystem_store_datadir": images})

    def run(*live, store=None, older=HOUR, delete=False):
        code = store_check.run(conf, store, older, delete, lambda ids: set(live) & set(ids))
        return code, capsys.readouterr().out.splitlines()

    return run


def place(directory, name, age=2 * HOUR, size=3):
    path = directory / name
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


SOME_ID = "1f0d9c5e-6c4b-4d0e-9b43-0a5f2c7d8e91"


def new_id():
    return str(uuid.uuid4())


def test_nothing(check):
    assert check() == (0, [])


def test_lines(check, images):
    dead, half, alive = new_id(), new_id(), new_id()
    place(images, dead, size=5)
    place(images, f"{half}.0123abcd.part", size=7)
    place(images, alive)
    code, lines = check(alive)
    assert code == 1
    assert sorted(lines) == sorted([f"file {dead} 5 no live image", f"file {half}.0123abcd.part 7 interrupted upload"])
    assert len(list(images.iterdir())) == 3


def test_delete(check, images):
    place(images, new_id())
    place(images, f"{new_id()}.0123abcd.part")
    alive = place(images, new_id())
    code, lines = check(alive.name, delete=True)
    assert code == 1
    assert [line.rpartition(", ")[2] for line in lines] == ["removed", "removed"]
    assert list(images.iterdir()) == [alive]
    assert check(alive.name) == (0, [])


@pytest.mark.parametrize(
    "name", ["4", "README", "lost+found", "x.part", f"{SOME_ID}.bak", f"{SOME_ID}.part", f".{SOME_ID}"]
)
def test_what_is_not_named_like_an_image_is_left_alone(check, images, name):
    place(images, name)
    assert check(delete=True) == (0, [])
    assert (images / name).exists()


@pytest.mark.parametrize(("age", "older", "found"), [(100, 3600, 0), (100, 50, 1), (5000, 3600, 1), (0, 0, 1)])
def test_age(check, images, age, older, found):
    place(images, new_id(), age=age + 0.1)
    assert check(older=older)[0] == found


def test_partial_data_of_a_transfer_that_is_alive(check, images):
    image_id = new_id()
    place(images, f"{image_id}.0123abcd.part", age=50 * HOUR)
    assert check(image_id, delete=True) == (0, [])


def test_ids_without_dashes_and_in_capitals(check, images):
    plain, capitals = uuid.uuid4().hex, new_id().upper()
    place(images, plain)
    place(images, capitals)
    assert check(plain, capitals) == (0, [])
    assert check(plain)[1] == [f"file {capitals} 3 no live image"]


def test_many_objects_are_looked_up_in_batches(check, images, make_conf, capsys):
    names = {place(images, new_id()).name for _ in range(1200)}
    asked = []

    def live(ids):
        asked.append(ids)
        return set()

    conf = make_conf(glance_store={"filesystem_store_datadir": images})
    assert store_check.run(conf, None, HOUR, False, live) == 1
    assert {name for batch in asked for name in batch} == names
    assert max(len(batch) for batch in asked) <= 500
    assert len(capsys.readouterr().out.splitlines()) == 1200


def test_what_was_written_again_since_is_kept(check, images, make_conf, capsys):
    path = place(images, new_id())

    def live(ids):
        path.write_bytes(b"uploaded meanwhile")
        return set()

    conf = make_conf(glance_store={"filesystem_store_datadir": images})
    store_check.run(conf, None, HOUR, True, live)
    assert path.read_bytes() == b"uploaded meanwhile"


def test_one_store(check, images):
    place(images, new_id())
    assert check(store="file")[0] == 1
    assert check(store="http") == (0, [])
    with pytest.raises(exception.Invalid, match="swift"):
        check(store="swift")


def test_negative_age(check):
    with pytest.raises(exception.Invalid, match="-1"):
        check(older=-1)
