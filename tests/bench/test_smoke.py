"""Every benchmark's smoke run: it ends well, and its JSON has what bench/run makes the table, the
plots and the comparison of. What it measures means nothing here."""

import os
import pathlib
import subprocess

import peers
import pytest
from fake_build import ROOT
from frame import programs, result

BIN = pathlib.Path(os.environ.get("DEJA_BIN", ROOT / "build/release/bin"))
NAMES = sorted(path.name[:-len("_main.cc")] for path in (ROOT / "bench").glob("*_main.cc"))


def need_peers():
    absent = programs.missing_peers()
    if absent is not None:
        peers.cannot(absent)


def test_there_are_benchmarks():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_smoke_run_says_what_a_run_would(name, tmp_path):
    need_peers()
    path = tmp_path / "result.json"
    done = subprocess.run([str(BIN / f"bench_{name}"), "--quick", "--json", str(path)], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = result.load(path.read_text())  # raises where the form is not kept
    assert found["benchmark"] == name
    assert found["quick"] is True
