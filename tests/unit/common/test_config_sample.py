"""The shipped etc/*.conf (spec daemons-and-config.md §10)."""

import pathlib
import re
import subprocess
import sys

import pytest

from glance.common import config
from glance.common.config import log, programs, sample

ETC = pathlib.Path(__file__).parents[3] / "etc"
PROGRAMS = {
    "glance-api.conf": "glance-api",
    "glance-registry.conf": "glance-registry",
    "glance-cache.conf": "glance-cache-pruner",
    "glance-scrubber.conf": "glance-scrubber",
    "glance-manage.conf": "glance-manage",
}
FILES = sorted(PROGRAMS)


@pytest.mark.parametrize("name", FILES)
def test_shipped_file_is_up_to_date(name):
    assert (ETC / name).read_text() == sample.render(name), "run python -m glance.common.config.sample"


def test_command_writes_all_files(tmp_path):
    subprocess.run([sys.executable, "-m", "glance.common.config.sample", str(tmp_path)], check=True, cwd=ETC.parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.mark.parametrize("name", FILES)
def test_shipped_file_loads(name, search_dirs):
    conf = config.load(PROGRAMS[name], files=[str(ETC / name)])
    if name not in ("glance-manage.conf", "glance-registry.conf"):
        store = conf.glance_store
        assert (store.rbd_store_pool, store.rbd_store_chunk_size, store.rbd_store_user) == ("images", 8, "glance")
    if name == "glance-api.conf":
        assert conf.user_image_count_quota == 10000
        assert conf.data_api == "glance.db.registry.api"


@pytest.mark.parametrize("name", FILES)
def test_shown_defaults_are_the_defaults(name, tmp_path, search_dirs):
    """Without the # every line says what holds without the file."""
    program, path = PROGRAMS[name], tmp_path / name
    path.write_text("")
    config.load(program, files=[str(path)])
    before = config._values(program)
    shown = re.sub(r"^#(\w+ = (?!<)\S.*)$", r"\1", sample.render(name), flags=re.MULTILINE)
    shown = re.sub(r"^(rbd_store_\w+|user_image_count_quota|data_api) = .*$", "", shown, flags=re.MULTILINE)
    placeholders = "image_cache_dir|notifier_strategy|rbd_store_ceph_conf"  # what holds while they are not set
    path.write_text(
        re.sub(
            rf"^(\[glance_store\]|({placeholders}) = .*)$",
            lambda m: m[1] if m[1][0] == "[" else "",
            shown,
            flags=re.MULTILINE,
        )
    )
    config.load(program, files=[str(path)])
    assert config._values(program) == before


@pytest.mark.parametrize("name", FILES)
def test_every_option_is_there(name):
    text = sample.render(name)
    for section in programs.sections(programs.PROGRAMS[PROGRAMS[name]].letter):
        part = text.partition(f"\n[{section.group}]\n")[2].partition("\n[")[0]
        for option in section.options:
            if section.group == "DEFAULT" and option.dest in programs.aliases.MOVED:
                continue
            assert len(re.findall(rf"^#?{option.dest} =", part, re.MULTILINE)) == 1, (section.group, option.dest)


def test_logging_sample(load, clean_logging, capfd):
    log.setup(load(f"[DEFAULT]\nlog_config_append = {ETC / 'logging.cnf.sample'}\n"))
    log.LOG.info("swift://user:secret@host\nforged")
    line = capfd.readouterr().err
    assert re.fullmatch(r"\d{4}-.* INFO glance.common.config.log \[-\] swift://user:\*\*\*@host\\nforged\n", line)
