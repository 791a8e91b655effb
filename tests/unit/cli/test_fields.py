"""``field=value`` arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.cli import fields
from glance.cli.errors import Failure

NAMES = st.from_regex(r"[a-z_][a-z0-9_.]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="=", exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: not text.endswith(",")
)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read(given_fields):
    assert fields.parse(f"{name}={value}" for name, value in given_fields.items()) == given_fields


@given(st.lists(st.text(max_size=20)))
def test_anything_is_read_or_refused(arguments):
    try:
        found = fields.parse(arguments)
    except Failure as failure:
        assert str(failure).startswith("Arguments should be in the form of field=value. You specified ")
    else:
        assert len(found) <= len(arguments)


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("name=x", {"name": "x"}),
        ("name=My Image,", {"name": "My Image"}),
        (",Disk-Format=raw,", {"disk_format": "raw"}),
        ("name=", {"name": ""}),
        ("location=http://h/i?a=b&c=d", {"location": "http://h/i?a=b&c=d"}),
        ("copy-from=http://h/i?a=b", {"copy_from": "http://h/i?a=b"}),
    ],
)
def test_spellings(argument, expected):
    assert fields.parse([argument]) == expected


@pytest.mark.parametrize("argument", ["name", "a=b=c", "=x", "", ",", "distro=http://h/?a=b"])
def test_refused(argument):
    with pytest.raises(Failure) as caught:
        fields.parse([argument])
    assert str(caught.value) == f"Arguments should be in the form of field=value. You specified {argument}."


def test_filters():
    names = ["name", "disk_format", "container_format", "status", "min_ram", "min_disk", "size_min", "size_max"]
    given_fields = dict.fromkeys([*names, "changes_since", "distro", "is_public"], "v")
    assert fields.filters(given_fields) == {
        **dict.fromkeys(names, "v"), "changes-since": "v", "property-distro": "v", "property-is_public": "v"
    }  # fmt: skip


def test_new_image(capsys):
    meta, features = fields.new_image(
        {"name": "x", "status": "active", "size": "5", "owner": "o", "id": "i", "checksum": "c", "protected": "T",
         "is_public": "yes", "min_ram": "1", "copy_from": "http://h/", "distro": "d", "deleted": "1"}
    )  # fmt: skip
    assert meta == {
        "name": "x", "disk_format": "raw", "container_format": "ovf", "is_public": True, "protected": True,
        "owner": "o", "id": "i", "checksum": "c", "min_ram": "1", "properties": {"distro": "d", "deleted": "1"},
    }  # fmt: skip
    assert features == {"x-glance-api-copy-from": "http://h/"}
    assert capsys.readouterr().out == (
        "Found non-settable field status. Removing.\nFound non-settable field size. Removing.\n"
    )


def test_booleans():
    def read(word):
        return fields.changes({"is_public": word})[0]["is_public"]

    assert all(read(word) is True for word in ("1", "TRUE", "on", "t", "Y", "yes"))
    assert all(read(word) is False for word in ("0", "no", "maybe", ""))


def test_changes(capsys):
    ignored = ["created_on", "deleted_on", "deleted", "updated_on", "size", "status"]
    meta, features = fields.changes({**dict.fromkeys(ignored, "1"), "id": "7", "location": "http://h/"})
    assert meta == {"location": "http://h/", "properties": {"id": "7"}}
    assert features == {}
    assert capsys.readouterr().out.splitlines() == [f"Found non-modifiable field {name}. Removing." for name in ignored]
