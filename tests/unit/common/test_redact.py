"""Masking of secrets and control characters in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.common.redact import mask_secrets, one_line

WORD = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"<>"), min_size=1)
NAME = st.text(alphabet=st.characters(categories=("L", "N")), min_size=1)


@given(NAME, WORD, NAME, st.sampled_from(["swift", "s3+https", "mysql+pymysql", "http"]))
def test_passwords_of_urls(user, password, host, scheme):
    masked = mask_secrets(f"cannot open {scheme}://{user}:{password}@{host}/x, sorry")
    assert masked == f"cannot open {scheme}://{user}:***@{host}/x, sorry"


@given(
    st.sampled_from(["X-Auth-Token", "x-storage-token", "X-Service-Token", "X-SUBJECT-TOKEN"]),
    st.text(alphabet="abcdef0123456789-_", min_size=4),
    st.sampled_from(
        ["{0}: {1}", "{{'{0}': '{1}', 'a': 1}}", '{{"{0}": "{1}"}}', "{0}={1}", "curl -H '{0}: {1}'", "{0}, b'{1}'"]
    ),
)
def test_tokens(name, token, form):
    masked = mask_secrets(form.format(name, token))
    assert masked == form.format(name, "***")


@given(st.text())
def test_masking_twice_changes_nothing(text):
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://host:9292/v1/images",
        "file:///var/lib/glance/images/x",
        "someone@example.org asked for http://host/x",
        "token expired",
        "http://user@host/x",
    ],
)
def test_harmless_text_stays(text):
    assert mask_secrets(text) == text


def test_several_urls():
    assert mask_secrets("a://b:c@d and e://f:g/h@i") == "a://b:***@d and e://f:***@i"


@given(st.text())
def test_one_line(text):
    cleaned = one_line(text)
    assert len(cleaned.splitlines()) <= 1
    assert not any(ord(character) < 32 and character != "\t" for character in cleaned)


def test_how_control_characters_are_written():
    assert one_line("a\nb\r\x1b[0m\u2028\tc") == "a\\nb\\r\\x1b[0m\\u2028\tc"
