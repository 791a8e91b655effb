"""Metadata as headers and back."""

from hypothesis import given
from hypothesis import strategies as st

from glance.client.metadata import from_headers, to_headers

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
KEYS = st.from_regex(r"[a-z_][a-z0-9_.]{0,20}", fullmatch=True)
META = st.fixed_dictionaries(
    {"properties": st.dictionaries(KEYS, TEXT)},
    optional={
        **{key: st.integers(0, 2**63) for key in ("size", "virtual_size", "min_disk", "min_ram")},
        **{key: st.booleans() for key in ("is_public", "deleted", "protected")},
        **{key: TEXT for key in ("id", "name", "status", "disk_format", "owner", "checksum", "created_at")},
    },
)


@given(META)
def test_round_trip(meta):
    assert from_headers({name: str(value) for name, value in to_headers(meta).items()}) == meta


def test_to_headers():
    assert to_headers(
        {"name": "x", "owner": None, "is_public": True, "size": 0, "properties": {"a": "1", "b": None}}
    ) == {
        "x-image-meta-name": "x",
        "x-image-meta-is_public": True,
        "x-image-meta-size": 0,
        "x-image-meta-property-a": "1",
    }
    assert to_headers({}) == to_headers({"properties": None}) == {}


def test_from_headers():
    assert from_headers(
        {
            "content-type": "text/plain",
            "x-image-meta-id": "17",
            "x-image-meta-size": "42",
            "x-image-meta-min_ram": "None",
            "x-image-meta-is_public": "on",
            "x-image-meta-protected": "False",
            "x-image-meta-owner": "",
            "x-image-meta-deleted": "",
            "x-image-meta-property-size": "7",
            "x-image-meta-property-empty": "",
        }
    ) == {
        "id": "17",
        "size": 42,
        "min_ram": None,
        "is_public": True,
        "protected": False,
        "owner": None,
        "deleted": None,
        "properties": {"size": "7", "empty": None},
    }
