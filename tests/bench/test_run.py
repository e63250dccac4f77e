"""bench/run on benchmarks that measure nothing: a build folder of scripts that write what a benchmark
would. Its table, its files, its plots, its comparison, and what it does where one fails."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import peers
import pytest
from fake_build import CURVES, PLOT, READ, RING, ROOT, Build, of, sampled
from frame import compare, plots, result


def row(text, *wanted):
    """The one line of a table that has all of these."""
    lines = [line for line in text.splitlines() if all(part in line for part in wanted)]
    assert len(lines) == 1, (wanted, text)
    return lines[0]


def need_gnuplot():
    if plots.gnuplot() is None:
        peers.cannot("no gnuplot; apt-get install gnuplot-nox")


def test_one_table_shows_every_ratio_and_figure(build):
    done = build.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert row(done.stdout, "get / Abseil", "1.1× (1.045 … 1.155)", "≤ 1.2×").endswith(" met")
    assert row(done.stdout, "LMDB / get", "≥ 10×").endswith("MISSED")
    assert row(done.stdout, "profile_read", "1,234 ns")
    assert "2 of 3 targets met" in done.stdout
    assert "a note of ring" in done.stdout
    assert done.stdout.index("── profile_read") < done.stdout.index("── ring")


def test_the_result_says_on_what_it_was_measured(build):
    build.run("ring")
    latest = build.latest()
    assert [found["benchmark"] for found in latest["benchmarks"]] == ["ring"]
    assert latest["host"]["cores"] >= 1 and latest["host"]["memory_bytes"] > 0
    assert latest["host"]["cpu"] and latest["host"]["kernel"]
    assert set(latest["host"]["huge_pages"]) == {"transparent", "shared_memory", "reserved"}
    assert latest["build"]["type"] == "Debug"
    assert any("not Release" in warning for warning in latest["warnings"])
    assert latest["benchmarks"][0]["commit"] == latest["code"]["commit"]


def test_options_and_quick_are_handed_on(build):
    build.put({**RING, "quick": True})
    done = build.run("--quick", "ring", "rounds=3")
    assert row(done.stdout, "bench_ring", "--quick", "rounds=3")
    assert row(done.stdout, "ring / the best").endswith("smoke")
    assert "targets met" not in done.stdout


@pytest.mark.parametrize("last, why", [
    ("exit 3", "exit status 3"),
    ("kill -9 $$", "killed by signal 9"),
    ("true", "wrote no JSON"),
    ('echo "{" >"$path"', "no valid JSON"),
    ('echo \'{"benchmark":"ring"}\' >"$path"', "does not say whether it was a smoke run"),
])
def test_a_benchmark_that_fails_is_named_and_the_others_go_on(build, last, why):
    build.script("profile_read", last)
    done = build.run()
    assert done.returncode == 1
    assert row(done.stdout, "FAILED: profile_read") and why in done.stdout
    assert row(done.stdout, "ring / the best").endswith(" met")
    assert list(build.latest()["failed"]) == ["profile_read"]


@pytest.mark.parametrize("arguments, why", [
    (["nothing"], "there are profile_read, ring"),
    (["--compare"], "nothing to compare with"),
    (["--quick", "--keep"], "smoke run"),
])
def test_misuse_is_a_sentence(build, arguments, why):
    done = build.run(*arguments)
    assert done.returncode == 2 and why in done.stderr


def test_a_build_without_benchmarks_says_how_to_get_them(tmp_path):
    done = Build(tmp_path).run()
    assert done.returncode == 2 and "tools/dev bench" in done.stderr


def test_a_change_beyond_the_spread_is_marked(build):
    assert build.run("--keep").returncode == 0
    assert build.run("--compare").returncode == 0
    slower = json.loads(json.dumps(READ))
    slower["ratios"][0].update(sampled("get / Abseil", 1.3))
    build.put(slower)
    faster = json.loads(json.dumps(RING))
    faster["ratios"][0].update(sampled("ring / the best", 3))
    faster["ratios"][1].update(sampled("RTT", 0.9))
    build.put(faster)
    done = build.run("--compare")
    assert done.returncode == 1
    then_and_now = done.stdout[done.stdout.index("then:"):]
    assert row(then_and_now, "get / Abseil", "+18.2 %").endswith("WORSE")
    assert row(then_and_now, "LMDB / get", "+0.0 %").endswith("%")
    assert row(then_and_now, "ring / the best", "+15.4 %").endswith("better")
    assert row(then_and_now, "RTT", "+28.6 %").endswith("changed")
    assert build.run("--compare", "ring").returncode == 0, "what was not run is not compared"


def test_a_change_within_the_spread_is_none():
    then = sampled("x", 100, 80, 120, at_least=50, met=True)
    assert compare.judged(then, sampled("x", 85, 84, 86, at_least=50, met=True)) == ""
    assert compare.judged(then, sampled("x", 79, 60, 101, at_least=50, met=True)) == ""
    assert compare.judged(then, sampled("x", 79, 60, 99, at_least=50, met=True)) == "worse"
    assert compare.judged(then, sampled("x", 121, 101, 130, at_least=50, met=True)) == "better"
    below = sampled("x", 100, 99, 101, at_most=200, met=True)
    assert compare.judged(below, sampled("x", 110, 109, 111, at_most=200, met=True)) == "worse"
    counted = sampled("x", 100, 100, 100, samples=1, at_most=200, met=True)
    assert compare.judged(counted, sampled("x", 100.5, 100.5, 100.5, at_most=200, met=True)) == ""


def test_a_ratio_that_is_gone_is_named(build):
    build.run("--keep")
    build.put({**RING, "ratios": RING["ratios"][:1]})
    assert row(build.run("--compare", "ring").stdout, "RTT").endswith("gone")


def test_what_is_kept_of_one_benchmark_leaves_the_others(build):
    build.run("--keep")
    build.put({**RING, "notes": ["other"]})
    build.run("--keep", "ring")
    kept = json.loads((build.results / "reference.json").read_text())
    assert [found["benchmark"] for found in kept["benchmarks"]] == ["profile_read", "ring"]
    assert kept["benchmarks"][1]["notes"] == ["other"]
    kept["host"]["cpu"] = "another"
    (build.results / "reference.json").write_text(json.dumps(kept))
    assert "another host" in build.run("--compare", "ring").stdout
    build.run("--keep", "ring")
    kept = json.loads((build.results / "reference.json").read_text())
    assert [found["benchmark"] for found in kept["benchmarks"]] == ["ring"]


def texts_of(svg):
    """All text of a drawing; it has to be XML."""
    root = xml.etree.ElementTree.parse(svg).getroot()
    assert root.tag.endswith("svg")
    return {"".join(element.itertext()).strip() for element in root.iter()
            if element.tag.endswith("}text")}


def test_plots_are_drawn_as_svg(build):
    need_gnuplot()
    done = build.run("--keep")
    assert done.returncode == 0, done.stdout
    for folder in (build.results, build.results / "latest"):
        texts = texts_of(folder / "read_latency.svg")
        assert {"Read <one> & all", "ns", "% of reads below", "ours, it's", "theirs",
                "10", "1,000"} <= texts, texts
    (build.results / "of_old.svg").write_text("<svg/>")
    build.run("--keep")
    assert [path.name for path in build.results.glob("*.svg")] == ["read_latency.svg"]


def test_a_plot_is_logarithmic_where_it_says_so():
    text = plots.script(PLOT, "x.svg")
    assert "set logscale x" in text and "set logscale y" not in text
    assert plots.log_marks(9, 1100) == [10, 20, 50, 100, 200, 500, 1000]
    assert plots.log_marks(0.9, 1.1e6) == [1, 10, 100, 1000, 1e4, 1e5, 1e6]
    assert [plots.short(mark) for mark in (0.5, 1000, 2e4, 1e6, 5e9)] == ["0.5", "1,000", "20 k",
                                                                         "1 M", "5 G"]


def test_without_gnuplot_and_peers_it_says_what_to_install(build, tmp_path):
    # All that the fake benchmarks need, and no more.
    (tmp_path / "path").mkdir()
    for program in ("sh", "cp", "git"):
        if (there := shutil.which(program)) is not None:
            (tmp_path / "path" / program).symlink_to(there)
    code = ("import sys; sys.argv = sys.argv[1:]; import runpy, frame.programs as p; "
            "p.SBIN = ''; runpy.run_path(sys.argv[0], run_name='__main__')")
    done = subprocess.run([sys.executable, "-B", "-c", code, str(ROOT / "bench/run"), str(build.folder),
                           "--results", str(build.results)], text=True, capture_output=True,
                          env={"PATH": str(tmp_path / "path"), "PYTHONPATH": str(ROOT / "bench")})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gnuplot is not installed; sudo apt-get install --no-install-recommends gnuplot-nox" in done.stdout
    assert row(done.stdout.split("──")[0], "redis-server, memcached, nats-server", "sudo apt-get install")


@pytest.mark.parametrize("change, why", [
    ({"figures": [], "ratios": []}, "measured nothing"),
    ({"ratios": [sampled("r", 1, at_least=1)]}, "does not say whether it is met"),
    ({"ratios": [sampled("r", 1, at_least=float("nan"), met=True)]}, "no number"),
    ({"figures": [sampled("f", float("nan"))]}, "the median of \"f\" is no number"),
    ({"figures": [sampled("f", 1, samples=0)]}, "no samples"),
    ({"plots": [{"name": "p", "curves": CURVES}]}, "p has no title"),
    ({"plots": [{**PLOT, "curves": {}}]}, "no curves"),
    ({"plots": [{**PLOT, "curves": {"c": [[1, float("inf")]]}}]}, "a point that is none"),
])
def test_a_result_without_form_is_refused(change, why):
    result.load(json.dumps(READ))
    with pytest.raises(result.BadResult, match=why):
        result.load(json.dumps({**READ, **change}))
