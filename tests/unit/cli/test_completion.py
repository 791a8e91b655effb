"""etc/glance.bash_completion, asked in a real bash."""

import re
import subprocess
from pathlib import Path

import pytest

from glance.cli.main import COMMANDS
from glance.cli.parser import make_parser

SCRIPT = Path(__file__).parents[3] / "etc" / "glance.bash_completion"


def complete(*words):
    """What bash offers for the last of ``words``; words are split at ``=`` as bash does it."""
    split = [piece for word in words for piece in re.findall(r"=|[^=]+|^$", word)]
    program = 'source "$0"; COMP_WORDS=(glance "$@"); COMP_CWORD=$#; _glance; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program, SCRIPT, *split], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands():
    visible = {name for name in COMMANDS if not name.startswith("cache-")}
    assert set(complete("")) == visible | {"help"}
    assert set(complete("help", "")) == visible
    assert complete("-v", "member-") == complete("member-") == ["member-images", "member-add", "member-delete"]


def test_options():
    parser = make_parser()
    options = [*parser.option_list, *(option for group in parser.option_groups for option in group.option_list)]
    known = {option._long_opts[0] + ("=" if option.takes_value() else "") for option in options}
    assert set(complete("--")) == set(complete("index", "-")) == known


@pytest.mark.parametrize(
    "words, expected",
    [
        (["add", "disk_f"], ["disk_format="]),
        (["add", "disk_format="], ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]),
        (["add", "name=x", "disk_format=v"], ["vhd", "vhdx", "vmdk", "vdi"]),
        (["update", "5", "is_public=t"], ["true"]),
        (["index", "size"], ["size_min=", "size_max="]),
        (["index", "--sort_dir=a"], ["asc"]),
        (["index", "--sort_dir", ""], ["asc", "desc"]),
        (["show", ""], []),
    ],
)
def test_fields_and_values(words, expected):
    assert complete(*words) == expected
