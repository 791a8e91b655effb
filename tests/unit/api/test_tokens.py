"""The file of tokens (glance.api.middleware.tokens)."""

import hashlib
import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.api.middleware.tokens import TokensFile, User
from glance.common import exception

TOKEN = "0123456789abcdef"
ALICE = User("alice", "research", "member,reader")
LINE = f"{TOKEN} alice research member,reader\n"


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "tokens"
    found.touch(mode=0o640)
    found.write_text(LINE)
    return found


def refused(path, *said):
    with pytest.raises(exception.ConfigurationError) as caught:
        TokensFile(str(path))
    for part in (str(path), *said):
        assert part in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_users(path):
    digest = hashlib.sha256(b"another token").hexdigest()
    path.write_text(f"# people\n\n{LINE.strip()}  # a comment\nsha256:{digest.upper()}\troot - admin\n")
    found = TokensFile(str(path))
    assert found.user(TOKEN) == ALICE
    assert found.user("another token") == User("root", "", "admin")
    for token in ("", TOKEN[:-1], TOKEN + "x", f"sha256:{digest}", digest, "\xff"):
        assert found.user(token) is None


def test_names_that_are_not_ascii(path):
    path.write_text(f"{TOKEN}é zoë büro -\n")
    user = TokensFile(str(path)).user((TOKEN + "é").encode().decode("latin-1"))
    assert tuple(text.encode("latin-1").decode() for text in user) == ("zoë", "büro", "")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_words(path, count):
    path.write_text(f"{LINE}\n{' '.join([TOKEN, *'abcd'][:count])}\n")
    refused(path, "line 3", f"{count} words")


def test_short_tokens(path):
    path.write_text(f"{TOKEN[:-1]} user project role\n")
    refused(path, "line 1", "16 characters")


def test_tokens_given_twice(path):
    path.write_text(f"{LINE}sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()} other - -\n")
    refused(path, "line 2", "already")


def test_files_that_cannot_be_read(path):
    path.write_bytes(b"\xff\n")
    refused(path, "UTF-8")
    path.unlink()
    refused(path, "No such file")
    path.mkdir()
    refused(path, "directory")


def test_a_file_that_everybody_may_read(path):
    path.chmod(0o644)
    refused(path, "chmod o-r")


def test_changes(path, caplog):
    found = TokensFile(str(path))
    path.write_text(LINE + f"{TOKEN}2 bob - -\n")
    assert found.user(TOKEN + "2") == User("bob", "", "")
    path.write_text("rubbish\n")
    with caplog.at_level(logging.ERROR):
        assert found.user(TOKEN) == ALICE
        assert found.user(TOKEN) == ALICE
    assert len(caplog.records) == 1
    os.replace(path, path.with_name("elsewhere"))
    assert found.user(TOKEN) == ALICE
    path.touch(mode=0o640)
    path.write_text(f"{TOKEN}2 carol - -\n")
    assert (found.user(TOKEN), found.user(TOKEN + "2")) == (None, User("carol", "", ""))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text(text):
    """Users, or one line that says what is wrong."""
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        try:
            TokensFile(file.name)
        except exception.ConfigurationError as error:
            assert "\n" not in str(error)
