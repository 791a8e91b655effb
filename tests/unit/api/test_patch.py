"""The syntax of PATCH bodies (spec v2-images.md §6.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.api.v2 import patch
from glance.common import exception
from glance.images.editing import Change

OLD, NEW = patch.CONTENT_TYPES


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ({"op": "add", "path": "/a", "value": 1}, Change("add", ("a",), 1)),
        ({"op": "replace", "path": "/name", "value": None}, Change("replace", ("name",), None)),
        ({"op": "remove", "path": "/a", "value": "ignored"}, Change("remove", ("a",))),
        ({"op": "remove", "path": "/a~1b~0c~01"}, Change("remove", ("a/b~c~1",))),
        ({"op": "add", "path": "/ a ", "value": ""}, Change("add", ("a",), "")),
        ({"op": "add", "path": "/locations/-", "value": {}}, Change("add", ("locations", "-"), {})),
        ({"op": "remove", "path": "/locations/7"}, Change("remove", ("locations", "7"))),
        ({"op": "replace", "path": "/locations", "value": []}, Change("replace", ("locations",), [])),
    ],
)
def test_operations(entry, change):
    assert patch.parse(NEW, [entry]) == [change]


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ({"add": "/a", "value": 1}, Change("add", ("a",), 1, True)),
        ({"replace": "/a", "value": 1}, Change("replace", ("a",), 1, True)),
        ({"remove": "/a"}, Change("remove", ("a",), None, True)),
    ],
)
def test_old_operations(entry, change):
    assert patch.parse(OLD, [entry]) == [change]


@pytest.mark.parametrize("body", [None, {}, "x", 5, [None], ["x"], [[]], [{}]])
@pytest.mark.parametrize("content_type", [OLD, NEW])
def test_bodies_of_the_wrong_shape(content_type, body):
    with pytest.raises(exception.Invalid):
        patch.parse(content_type, body)


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "/a", "value": 1},
        {"op": "add", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "replace", "path": "/a"},
        *({"op": op, "path": "/a", "value": 1} for op in ("move", "copy", "test", "", None, 5, [])),
        *(
            {"op": "add", "path": path, "value": 1}
            for path in ("", "a", "/", "//", "/a/", "//a", "/a//b", "/~", "/~2", "/a~", "/a/b", "/ ", None, 5, ["/a"])
        ),
        {"op": "add", "path": "/tags/-", "value": "x"},
        {"op": "add", "path": "/locations", "value": []},
        {"op": "remove", "path": "/locations"},
        {"op": "replace", "path": "/locations/0", "value": {}},
        {"op": "add", "path": "/locations/0/url", "value": "x"},
    ],
)
def test_malformed(entry):
    with pytest.raises(exception.Invalid):
        patch.parse(NEW, [entry])


@pytest.mark.parametrize("entry", [{"value": 1}, {"add": "/a", "remove": "/b", "value": 1}, {"add": 5, "value": 1}])
def test_malformed_old(entry):
    with pytest.raises(exception.Invalid):
        patch.parse(OLD, [entry])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["op", "path", "value", "add", "x"]), inner),
)


@given(st.sampled_from(patch.CONTENT_TYPES), JSON)
def test_anything(content_type, body):
    try:
        changes = patch.parse(content_type, body)
    except exception.Invalid:
        return
    assert all(change.op in ("add", "remove", "replace") and all(change.path) for change in changes)


@given(st.text(min_size=1))
def test_names_survive(name):
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    try:
        (change,) = patch.parse(NEW, [{"op": "add", "path": pointer, "value": ""}])
    except exception.Invalid:
        assert not name.strip()
        return
    assert change.path == (name.strip(),)
