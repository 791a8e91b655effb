"""The list query of the v2 API (spec v2-images.md §5)."""

import contextlib
from datetime import datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common import exception
from glance.common.values import MAX_BIGINT
from glance.images.searching import parse_query, split_values

CONF = SimpleNamespace(limit_param_default=25, api_limit_max=1000)


def query(*params):
    return parse_query(params, CONF)


def test_nothing_is_asked_for():
    assert query() == {
        "filters": {},
        "marker": None,
        "limit": 25,
        "sort_key": ["created_at"],
        "sort_dir": ["desc"],
        "member_status": "accepted",
    }


@pytest.mark.parametrize(("text", "limit"), [("0", 0), ("7", 7), ("1000", 1000), ("1001", 1000), ("9" * 40, 1000)])
def test_limits(text, limit):
    assert query(("limit", text))["limit"] == limit


@pytest.mark.parametrize("text", ["-1", "x", "", "1.5", "١", "-" + "9" * 40])
def test_bad_limits(text):
    with pytest.raises(exception.Invalid):
        query(("limit", text))


@pytest.mark.parametrize(
    ("params", "keys", "directions"),
    [
        ([("sort_key", "name")], ["name"], ["desc"]),
        ([("sort_key", "name"), ("sort_key", "id")], ["name", "id"], ["desc"]),
        ([("sort_key", "name"), ("sort_key", "id"), ("sort_dir", "asc")], ["name", "id"], ["asc"]),
        (
            [("sort_key", "name"), ("sort_key", "id"), ("sort_dir", "asc"), ("sort_dir", "desc")],
            ["name", "id"],
            ["asc", "desc"],
        ),
        ([("sort", "name")], ["name"], ["desc"]),
        ([("sort", "name:asc,size")], ["name", "size"], ["asc", "desc"]),
        ([("sort_dir", "asc")], ["created_at"], ["asc"]),
    ],
)
def test_orders(params, keys, directions):
    found = query(*params)
    assert (found["sort_key"], found["sort_dir"]) == (keys, directions)


@pytest.mark.parametrize(
    "params",
    [
        [("sort_key", "checksum")],
        [("sort_key", "")],
        [("sort_dir", "up")],
        [("sort", "name:up")],
        [("sort", "owner")],
        [("sort", "")],
        [("sort", "name"), ("sort_key", "name")],
        [("sort", "name"), ("sort_dir", "asc")],
        [("sort_key", "name"), ("sort_dir", "asc"), ("sort_dir", "asc")],
    ],
)
def test_bad_orders(params):
    with pytest.raises(exception.Invalid):
        query(*params)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "plain, with comma", "plain, with comma"),
        ("name", "eq:x", "x"),
        ("name", "in:a,b", ["a", "b"]),
        ("status", 'in:"a,b",c', ["a,b", "c"]),
        ("id", 'in:"a\\"b"', ['a"b']),
        ("name", "in:", [""]),
        ("name", 'in:"a:b"', ["a:b"]),
        ("owner", "in:a", "in:a"),
        ("checksum", "c", "c"),
        ("visibility", "all", "all"),
        ("size", "10", 10),
        ("size_min", "-5", -1),
        ("size_max", "9" * 30, MAX_BIGINT),
        ("min_ram_max", "1", 1),
        ("os_hidden", "TRUE", True),
        ("protected", "False", False),
        ("created_at", "2012-01-02T03:04:05Z", [["eq", datetime(2012, 1, 2, 3, 4, 5)]]),
        ("updated_at", "gte:2012-01-02T03:04:05+01:00", [["gte", datetime(2012, 1, 2, 2, 4, 5)]]),
    ],
)
def test_filters(name, text, value):
    assert query((name, text))["filters"] == {name: value}


def test_what_is_no_attribute_is_a_property():
    assert query(("os_distro", "debian"), ("x", "y"))["filters"] == {"properties": {"os_distro": "debian", "x": "y"}}


def test_every_tag_counts():
    assert query(("tag", "a"), ("tag", " b "))["filters"] == {"tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("name", "neq:x"),
        ("name", "foo:x"),
        ("name", 'in:"a'),
        ("name", 'in:a"b'),
        ("name", 'in:"a"b'),
        ("visibility", "secret"),
        ("visibility", ""),
        ("member_status", "maybe"),
        ("size", "x"),
        ("size_min", ""),
        ("foo_min", "1"),
        ("foo_max", "1"),
        ("os_hidden", "yes"),
        ("protected", "1"),
        ("created_at", "x"),
        ("created_at", "in:2012-01-02T03:04:05Z"),
        ("created_at", "gt:"),
        ("changes-since", "2012-01-02T03:04:05Z"),
        ("properties", "x"),
        ("locations", "x"),
        ("members", "x"),
        ("tags", "x"),
    ],
)
def test_bad_filters(name, text):
    with pytest.raises(exception.Invalid):
        query((name, text))


@given(st.lists(st.text(), min_size=1))
def test_quoted_values_survive(values):
    quoted = ['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    assert split_values(",".join(quoted)) == values


@given(st.text())
def test_any_values(text):
    try:
        assert split_values(text)
    except exception.Invalid:
        assert '"' in text


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_query(params):
    with contextlib.suppress(exception.Invalid):
        query(*params)
