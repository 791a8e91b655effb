"""The measuring program works; what it measures is nobody's business here."""

import json
import subprocess
import sys

from tests.functional.conftest import ROOT


def test_bench(tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.bench", "upload", "download", "show", "--size", "4MiB", "--rounds", "1",
            "--seconds", "1", "--database", "sqlite", "--no-nginx", "--directory", tmp_path, "--json", figures,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text())["figures"]
    measured = {(row["what"], row["unit"]) for row in rows}
    assert {
        ("upload md5+sha512", "MB/s"), ("upload md5+sha256", "CPU s/GiB"), ("download, 8 clients", "MB/s"),
        ("show, sqlite", "CPU ms"), ("show, sqlite", "requests/s"),
    } <= measured  # fmt: skip
    assert all(row["value"] >= 0 for row in rows)
    assert "show, sqlite" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]  # nothing is left behind


def test_bench_refuses_an_unknown_scenario():
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "downlaod"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "unknown scenario 'downlaod': choose from upload, download, list, show, create, v2, fairness, memory"
    )
