"""glance-manage as a person runs it (daemons-and-config.md §7, database.md §6)."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from glance.cmd import manage

SAMPLES = Path(__file__).parents[1] / "db" / "samples"


@pytest.fixture
def run(tmp_path):
    """Runs the program with a configuration that names an SQLite file; returns what subprocess.run does."""
    (tmp_path / "images").mkdir()
    (tmp_path / "glance.conf").write_text(
        f"[DEFAULT]\nverbose = False\n[database]\nconnection = sqlite:///{tmp_path}/glance.sqlite\n"
        f"[glance_store]\nfilesystem_store_datadir = {tmp_path}/images\nhttps_insecure = False\n"
    )

    def run(*words, options=("--config-file", str(tmp_path / "glance.conf"))):
        return subprocess.run(
            [sys.executable, "-m", "glance.cmd.manage", *options, *words],
            capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip

    return run


def test_no_arguments(capsys):
    assert manage.main([]) == 2
    assert capsys.readouterr().out.startswith("glance-manage category action [<args>]\nAvailable categories:\n\tdb\n")


def test_the_life_of_a_database(run, tmp_path):
    found = run("db", "check")
    assert (found.returncode, found.stderr) == (3, "")
    assert "db sync" in found.stdout
    found = run("db", "version")
    assert (found.returncode, found.stdout) == (
        0,
        "The database is not under version control: run `glance-manage db sync`.\n",
    )
    found = run("db_sync", "--no-extra-indexes")
    assert (found.returncode, found.stderr) == (0, "")
    assert "index" not in found.stdout
    found = run("db", "upgrade")
    assert (found.returncode, found.stdout.count("Creating index")) == (0, 14)
    found = run("db_version")
    assert (found.returncode, found.stdout) == (0, "2024_1_contract01\n")
    assert run("db", "check").returncode == 0
    found = run("db", "purge", "--age_in_days", "0", "--max_rows", "-1")
    assert found.returncode == 0
    assert "image_properties: 0 rows deleted" in found.stdout
    found = run("downgrade", "9")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("ERROR: The schema is never taken back to 9")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("db", "purge", "--age_in_days", "-1"), "Must supply a positive, non-zero value for age."),
        (("db_purge", "--age_in_days", "99999"), "Maximal age is count of days since epoch."),
        (("db", "purge", "--age_in_days", "x"), "Invalid int value for age_in_days: x"),
        (("db", "purge_images_table", "--max_rows", "0"), "Minimal rows limit is 1."),
        (("db", "purge", "--max_rows", "-2"), "Minimal rows limit is 1."),
        (("db", "sync", "44"), "44 was asked for"),
        (("db", "sync", "--version", "44"), "44 was asked for"),
        (("--sql_connection", "mysql://u:hunter2@127.0.0.1:1/x", "db_sync"), "Can't connect"),
        (("--sql-connection", "hunter2", "db", "version"), "not of the form"),
    ],
)
def test_errors_are_one_line(run, words, message):
    found = run(*words)
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("ERROR: ")
    assert found.stderr.count("\n") == 1
    assert message in found.stderr
    assert "hunter2" not in found.stderr


def test_an_old_database_is_refused(run, tmp_path):
    with sqlite3.connect(tmp_path / "glance.sqlite") as connection:
        connection.executescript((SAMPLES / "mitaka.sql").read_text())
    found = run("db", "sync")
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "(44)" in found.stderr
    assert "nothing was changed" in found.stderr
    assert run("db", "version").stdout == "44\n"


def test_a_command_of_2011_goes_to_the_old_program(run):
    found = run("-A", "TOKEN", "-H", "127.0.0.1", "-p", "1", "index", options=())
    assert found.returncode == 1
    assert "Failed to show index" in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-A", "t", "index"], True),
        (["show", "1"], True),
        (["db", "sync"], False),
        (["db_sync", "show"], False),
        (["store", "check", "--delete"], False),
        (["nonsense"], False),
    ],
)
def test_whose_command_it_is(words, expected):
    assert manage._is_for_cli(words) is expected


def test_leftovers_in_a_store(run, tmp_path):
    assert run("db", "sync").returncode == 0
    owned, orphan = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
    with sqlite3.connect(tmp_path / "glance.sqlite") as connection:
        connection.execute(
            "INSERT INTO images (id, status, created_at, deleted, min_disk, min_ram) "
            "VALUES (?, 'active', '2020', 0, 0, 0)",
            (owned,),
        )
    for name in (owned, orphan):
        (tmp_path / "images" / name).write_bytes(b"data")
    assert run("store", "check").returncode == 0
    found = run("store", "check", "--older", "0")
    assert found.returncode == 1
    assert (orphan in found.stdout, owned in found.stdout) == (True, False)
    assert run("store", "check", "--older", "0", "--delete").returncode == 1
    assert sorted(path.name for path in (tmp_path / "images").iterdir() if path.is_file()) == [owned]
    assert run("store", "check", "--older", "0").returncode == 0
