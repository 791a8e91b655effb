"""The progress bar, drawn on a real terminal."""

import io
import os
import pty
import re
import select
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glance.client import progress


class Terminal:
    """Standard output is a terminal inside ``with``."""

    def __enter__(self):
        self._master, slave = pty.openpty()
        self._output = open(slave, "w", buffering=1)
        self._redirect = redirect_stdout(self._output)
        self._redirect.__enter__()
        return self

    def __exit__(self, *error):
        self._redirect.__exit__(*error)
        self._output.close()
        os.close(self._master)

    def text(self, until):
        """What was written, up to a text that must come."""
        text = ""
        while until not in text and select.select([self._master], [], [], 10)[0]:
            text += os.read(self._master, 65536).decode()
        return text.replace("\r\n", "\n").rstrip("\n")


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_bar():
    source = io.BytesIO(b"xx" + bytes(200_000))
    source.seek(2)
    with Terminal() as terminal:
        with progress.shown(source, 200_000, "name") as body:
            assert body.tell() == 2
            while body.read(65536):
                pass
        print("end")
        text = terminal.text("end")
    assert text.startswith("Uploading image 'name'\n\r=")
    assert re.search(r"\r=+>\[100%\] [\d.]+[KMG]/s, ETA  0h  0m  0s +\nend$", text)


def test_a_failed_upload_leaves_the_bar_where_it_was():
    with Terminal() as terminal:
        with pytest.raises(RuntimeError), progress.shown(io.BytesIO(bytes(100)), 100, "name") as body:
            body.read(50)
            raise RuntimeError
        print("end")
        text = terminal.text("end")
    assert re.fullmatch(r"Uploading image 'name'\n(\r=+> +\[ 50%\].*)+\nend", text)


def test_unknown_size():
    stream = iter([b"x"])
    with Terminal() as terminal:
        with progress.shown(stream, None, "name") as body:
            assert body is stream
        text = terminal.text("shown.")
    assert text == "Uploading image 'name'\nThe size of the data is not known in advance: no progress is shown."


def test_nothing_without_a_terminal(capsys):
    source = io.BytesIO(b"data")
    with progress.shown(source, 4, "name") as body:
        assert body is source
    assert capsys.readouterr().out == ""


@given(st.integers(0, 2**50), st.integers(1, 2**50), st.floats(0, 1e7), st.booleans(), st.integers(60, 300))
def test_every_state_fills_the_line(done, size, seconds, stalled, width):
    line = progress.bar_line(done, size, seconds, stalled, width)
    assert len(line) == width
    assert re.fullmatch(r"=*> *\[ {0,2}\d{1,3}%\] (Stalled|[\d.]+[BKMG]/s, ETA [ \d]\dh [ \d]\dm [ \d]\ds) *", line)
    assert line.rstrip().endswith("Stalled") == stalled


def test_numbers():
    line = progress.bar_line(25 * 2**20, 100 * 2**20, 50.0, False, 80)
    assert "[ 25%] 512.0K/s, ETA  0h  2m 30s" in line
    assert line.index(">") == round(0.25 * (80 - len("[ 25%] ") - 28 - 1))
