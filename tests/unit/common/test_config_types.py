"""The size parser (spec policy-quota-protection.md §5)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common.config import parse_size

UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


@given(st.integers(0, 10**18), st.sampled_from(sorted(UNITS)))
def test_sizes(number, unit):
    assert parse_size(f"{number}{unit}") == number * UNITS[unit]


@given(st.one_of(st.text(max_size=8), st.text(alphabet="0123456789 KMGTBkmgtb.-+e\n٣", max_size=8)))
def test_everything_else_is_refused(text):
    if re.fullmatch(r"[0-9]+([KMGT]?B)?", text):
        assert parse_size(text) >= 0
    else:
        with pytest.raises(ValueError):
            parse_size(text)


@pytest.mark.parametrize("text", ["", "B", "1K", "1kB", "1 KB", " 1", "1\n", "1PB", "1.5GB", "-1", "٣", "9" * 5000])
def test_refused(text):
    with pytest.raises(ValueError, match="expected digits"):
        parse_size(text)
