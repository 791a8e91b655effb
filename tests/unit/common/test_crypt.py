"""Encrypted locations (spec registry.md §5, database.md §2.3)."""

import base64
import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from glance.common.crypt import LocationCipher
from glance.common.exception import ConfigurationError

KEY = "k" * 32
URL = "swift+https://acct%3Auser:secret@host:5000/v2.0/container/object"
URLS = st.builds(
    "{}://{}".format, st.sampled_from(["file", "swift+https", "rbd"]), st.text(st.characters(codec="utf-8"))
)
KEYS = st.builds(
    lambda length, text: (text + "k" * length)[:length],
    st.sampled_from([16, 24, 32]),
    st.text(st.characters(max_codepoint=127), max_size=32),
) | st.sampled_from(["é" * 8, "é" * 12, "ü" * 16])


def raw(stored: str, key: str) -> bytes:
    """The padded plaintext of a stored value."""
    data = base64.urlsafe_b64decode(stored)
    decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(data[:16])).decryptor()
    return decryptor.update(data[16:]) + decryptor.finalize()


def written_by_others(url: str, key: str, block: int) -> str:
    """A value as another release would have stored it: always padded, by up to a whole block."""
    plain = url.encode() + b"\0"
    plain += b"\x07" * (block - len(plain) % block)
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(iv)).encryptor()
    return base64.urlsafe_b64encode(iv + encryptor.update(plain) + encryptor.finalize()).decode()


@given(url=URLS, key=KEYS)
def test_round_trip(url, key):
    cipher = LocationCipher(key)
    stored = cipher.encrypt(url)
    assert "://" not in stored
    assert cipher.decrypt(stored) == url


@given(url=URLS)
def test_form(url):
    stored = LocationCipher(KEY).encrypt(url)
    data = base64.urlsafe_b64decode(stored)
    padded = raw(stored, KEY)
    assert len(data) == 16 + len(padded)
    assert len(padded) % 64 == 0
    plain, nul, padding = padded.rpartition(b"\0")
    assert (plain, nul) == (url.encode(), b"\0")
    assert len(padding) < 64


def test_every_length_up_to_several_blocks():
    cipher = LocationCipher(KEY)
    for length in range(140):
        url = "file://" + "x" * length
        assert cipher.decrypt(cipher.encrypt(url)) == url


def test_cut_is_at_the_last_nul():
    cipher = LocationCipher(KEY)
    assert cipher.decrypt(cipher.encrypt("file:///a\0b")) == "file:///a\0b"


@given(url=URLS, block=st.sampled_from([16, 64]))
def test_values_of_other_releases(url, block):
    assert LocationCipher(KEY).decrypt(written_by_others(url, KEY, block)) == url


def test_each_value_is_different_and_hides_the_url():
    cipher = LocationCipher(KEY)
    values = {cipher.encrypt(URL) for _ in range(20)}
    assert len(values) == 20
    assert not any("secret" in value for value in values)


@pytest.mark.parametrize("length", [16, 24, 32])
def test_key_lengths(length):
    cipher = LocationCipher("k" * length)
    assert cipher.decrypt(cipher.encrypt(URL)) == URL


@pytest.mark.parametrize("key", ["k", "k" * 15, "k" * 17, "k" * 31, "k" * 33, "k" * 64, "é" * 16 + "k"])
def test_wrong_length_stops_the_start_and_is_not_shown(key):
    with pytest.raises(ConfigurationError, match=f"has {len(key.encode())} bytes: it must have 16, 24 or 32") as caught:
        LocationCipher(key)
    assert key == "k" or key not in str(caught.value)


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_values_pass_as_they_are(key):
    cipher = LocationCipher(key)
    assert cipher.encrypt(URL) == URL
    assert cipher.decrypt(URL) == URL
    encrypted = LocationCipher(KEY).encrypt(URL)
    assert cipher.decrypt(encrypted) == encrypted


def test_plain_values_are_used_as_they_are():
    assert LocationCipher(KEY).decrypt(URL) == URL


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "AAAA",
        "not base64!",
        "é",
        base64.urlsafe_b64encode(bytes(16)).decode(),
        base64.urlsafe_b64encode(bytes(33)).decode(),
        base64.urlsafe_b64encode(bytes(48)).decode(),
        LocationCipher("other key 16 byt").encrypt(URL),
        LocationCipher(KEY).encrypt(URL)[:-8],
        LocationCipher(KEY).encrypt("no url"),
    ],
)
def test_damaged_value_or_other_key(stored):
    with pytest.raises(ValueError, match="cannot be decrypted") as caught:
        LocationCipher(KEY).decrypt(stored)
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value)


@given(st.text(max_size=120))
def test_any_text_is_decrypted_or_refused(text):
    try:
        LocationCipher(KEY).decrypt(text)
    except ValueError as error:
        assert "cannot be decrypted" in str(error)


@given(data=st.binary(min_size=32, max_size=128))
def test_chance_never_makes_a_url(data):
    cipher = LocationCipher(KEY)
    stored = base64.urlsafe_b64encode(data).decode()
    with pytest.raises(ValueError, match="cannot be decrypted"):
        cipher.decrypt(stored)


def test_the_library_is_loaded_only_with_a_key():
    code = (
        "import sys; from glance.common.crypt import LocationCipher; LocationCipher(None).encrypt('a://b');"
        "assert 'cryptography' not in sys.modules; LocationCipher('k' * 16); assert 'cryptography' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
