"""A build folder with benchmarks that measure nothing: scripts that write what a benchmark would."""

import json
import pathlib
import stat
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sampled(name, median, low=None, high=None, unit="×", samples=9, **more):
    return {"name": name, "median": median, "low": low or median * 0.95, "high": high or median * 1.05,
            "samples": samples, "unit": unit, **more}


def of(name, ratios, figures=(), plots_=(), quick=False):
    return {"benchmark": name, "quick": quick, "figures": list(figures), "ratios": list(ratios),
            "notes": [f"a note of {name}"], "plots": list(plots_)}


CURVES = {"ours, it's": [[10, 1], [100, 50.5], [1000, 99]], "theirs": [[500, 1], [9000, 99]]}
PLOT = {"name": "read_latency", "title": "Read <one> & all", "x": "ns", "y": "% of reads below",
        "log": "x", "curves": CURVES}
READ = of("profile_read", [sampled("get / Abseil", 1.1, at_most=1.2, met=True),
                           sampled("LMDB / get", 8, at_least=10, met=False)],
          [sampled("get", 1234.5, unit="ns")], [PLOT])
RING = of("ring", [sampled("ring / the best", 2.6, at_least=2.5, met=True), sampled("RTT", 0.7)])


class Build:
    """A build folder with fake benchmarks, and the folder for results."""

    def __init__(self, folder):
        self.folder = folder / "build"
        self.results = folder / "results"
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "CMakeCache.txt").write_text(
            "CMAKE_BUILD_TYPE:STRING=Debug\nCMAKE_CXX_COMPILER:FILEPATH=/usr/bin/true\n")

    def put(self, found, text=None):
        name = found["benchmark"]
        (self.folder / f"{name}.json").write_text(json.dumps(found) if text is None else text)
        self.script(name, f'cp "{self.folder}/{name}.json" "$path"')

    def script(self, name, last):
        path = self.folder / "bin" / f"bench_{name}"
        path.write_text('#!/bin/sh\necho "$0 $*"\n'
                        'while [ $# -gt 0 ]; do [ "$1" = --json ] && path=$2; shift; done\n' + last + "\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, *arguments, environment=None):
        return subprocess.run([sys.executable, str(ROOT / "bench/run"), str(self.folder),
                               "--results", str(self.results), *arguments], text=True,
                              capture_output=True, timeout=120, env=environment)

    def latest(self):
        return json.loads((self.results / "latest.json").read_text())
