"""Value types that oslo.config lacks, and the record in which options are listed."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from oslo_config import cfg
from oslo_config.types import String

_SIZE = re.compile(r"([0-9]{1,30})(?:([KMGT]?)B)?")
_FACTOR = {None: 1, "": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Section(NamedTuple):
    """Some options of one group of the files, and the programs that have them.

    :ivar programs: letters as in spec daemons-and-config.md §3: A glance-api, R glance-registry,
        S glance-scrubber, C the cache tools, M glance-manage, P glance-replicator
    :ivar group: the section's name in the files, ``DEFAULT`` included
    """

    programs: str
    group: str
    options: Sequence[cfg.Opt]


def parse_size(text: str) -> int:
    """Return the number of bytes that ``text`` stands for (spec policy-quota-protection.md §5).

    :param text: digits and, without a blank, optionally one of B, KB, MB, GB, TB (powers of 1024)
    :raises ValueError: anything else
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("expected digits and optionally B, KB, MB, GB or TB in capitals, without a blank")
    return int(match[1]) * _FACTOR[match[2]]


class Checked(String):
    """A string that ``check`` accepts: it returns the value of the option, or raises ValueError."""

    def __init__(self, check: Callable[[str], str]) -> None:
        super().__init__()
        self._check = check

    def __call__(self, value: str) -> str:
        return self._check(super().__call__(value))


def size_text(text: str) -> str:
    """A size as ``parse_size`` reads it, kept as it was written."""
    parse_size(text)
    return text


def encryption_key(text: str) -> str:
    """An AES key of 16, 24 or 32 bytes; an empty value is no key."""
    if text and len(text.encode()) not in (16, 24, 32):
        raise ValueError(f"the key must be 16, 24 or 32 bytes long, this one has {len(text.encode())}")
    return text


def data_api(text: str) -> str:
    """The dotted name of a data-access module."""
    if text == "glance.db.simple.api":
        raise ValueError("choose glance.db.sqlalchemy.api or glance.db.registry.api")
    return text


def hash_name(text: str) -> str:
    """A hash function of ``hashlib`` whose digest has a fixed length."""
    if text not in hashlib.algorithms_available or not hashlib.new(text, usedforsecurity=False).digest_size:
        raise ValueError("this Python has no such hash function; sha512 and sha256 are always there")
    return text
