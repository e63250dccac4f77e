"""`deja bench`: what it measures on this host, and that it leaves nothing behind."""

import json
import os
import pathlib

from appliance import BIN, run


def left():
    return [path for folder in ("/dev/shm", "/var/tmp")
            for path in pathlib.Path(folder).glob("deja-bench-*")]


def test_bench_measures_what_a_host_gives(tmp_path):
    before = set(left())
    done = run("deja", "bench", "--quick", "--json", "--durability", tmp_path)
    found = json.loads(done.stdout)
    assert found["quick"] is True and found["cores"] >= 1 and found["profile_bytes"] > 256
    assert found["load_average"] >= 0
    seen = {line["name"]: line for line in found["measured"]}
    missing = {line["name"] for line in found["not_measured"]}
    assert set(seen) | missing == {
        "read_independent", "read_serialised", "read_page_of_64", "worker_rate", "ring_throughput",
        "ring_round_trip", "line_round_trip", "wake_up", "clock_monotonic", "clock_coarse",
        "copy_bandwidth", "sync"}
    assert missing <= {"ring_throughput", "ring_round_trip", "line_round_trip", "wake_up"}
    for line in seen.values():
        assert line["value"] > 0 and line["unit"] in ("ns", "M/s", "GB/s") and line["means"]
    for name in {"sync", "wake_up"} & set(seen):
        assert seen[name]["p99"] >= seen[name]["value"]
    assert set(left()) <= before


def test_bench_on_one_core_says_what_it_can_not_measure(tmp_path):
    core = min(os.sched_getaffinity(0))
    taskset = pathlib.Path("/usr/bin/taskset")  # of util-linux, which every Debian has
    done = run(taskset, "-c", core, BIN / "deja", "bench", "--quick", "--json", "--durability", tmp_path)
    found = json.loads(done.stdout)
    assert found["cores"] == 1
    assert {line["name"] for line in found["not_measured"]} == {
        "ring_throughput", "ring_round_trip", "line_round_trip", "wake_up"}


def test_bench_says_what_is_wrong_with_a_directory(tmp_path):
    done = run("deja", "bench", "--quick", "--durability", tmp_path / "nowhere", check=False)
    assert done.returncode == 1 and "--durability" in done.stderr
    done = run("deja", "bench", "--profiles", "10", check=False)
    assert done.returncode == 2
