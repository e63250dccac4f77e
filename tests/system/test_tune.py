"""`deja tune`: the command on a fake /proc and /sys, its TuneD profile, and once on this very host."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import xml.dom.minidom

import pytest

import peers
from appliance import BIN, ROOT, Appliance, run
from traffic import eventually

PROFILE = ROOT / "tuning/tuned/deja"

CONFIG = """
[appliance]
name = "tuned"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4

[cpu]
ingest = @INGEST@
workers = @WORKERS@

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/tuned.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed" }

[features]
views = { type = "count", event = "view" }
"""

FILES = {
    "proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555",
    "proc/cmdline": "quiet",
    "proc/mounts": "tmpfs /dev/shm tmpfs rw 0 0",
    "proc/self/limits": "Max locked memory         unlimited            unlimited            bytes\n"
                        "Max realtime priority     99                   99\n",
    "proc/sys/vm/swappiness": "60",
    "proc/sys/vm/stat_interval": "1",
    "proc/irq/default_smp_affinity": "f",
    "proc/irq/30/smp_affinity_list": "0-3",
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/cpu/isolated": "",
    "sys/devices/system/cpu/smt/active": "0",
    "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor": "powersave",
    "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance",
    "sys/devices/virtual/workqueue/cpumask": "f",
}
WRITABLE = {"irq-default", "irq-affinity", "governor", "workqueue", "stat-interval", "swappiness"}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(CONFIG.replace("@DIRECTORY@", "/dev/shm").replace("@INGEST@", "[2]")
                    .replace("@WORKERS@", "[3]"))
    return path


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def snapshot(root):
    return {str(path.relative_to(root)): path.read_text().strip()
            for path in root.rglob("*") if path.is_file()}


def tune(verb, root, *arguments, check=True):
    return run("deja", "tune", verb, "--root", root, *arguments, check=check)


def knobs_of(done):
    return {knob["knob"]: knob for knob in json.loads(done.stdout)["knobs"]}


def test_check_shows_one_table_and_says_so_with_its_status(root, config):
    done = tune("check", root, "-c", config, check=False)
    assert done.returncode == 1
    head = done.stdout.splitlines()[0].split()
    assert head == ["KNOB", "WANT", "HAVE", "STATE", "WHY"]
    assert "isolcpus=managed_irq,domain,2-3" in done.stdout
    assert done.stdout.count("isolcpus=managed_irq") == 1
    found = knobs_of(tune("check", root, "-c", config, "--json", check=False))
    assert found["governor"]["state"] == "differs"
    assert found["governor"]["writes"] == [
        {"path": "/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "old": "powersave",
         "new": "performance"}]
    assert found["resctrl"]["state"] == "absent" and found["resctrl"]["note"]
    assert found["affinity"]["state"] == "not asked"


def test_check_of_a_host_that_is_right_is_0(root, config):
    done = tune("check", root, "-c", config, "--only", "smt,rps,memlock,xps", "--json")
    assert json.loads(done.stdout)["ok"] is True
    done = tune("check", root, "-c", config, "--only", "smt,swappiness", "--except", "swappiness")
    assert "The host has what is wanted" in done.stdout and "swappiness" not in done.stdout


def test_apply_without_yes_writes_nothing_and_shows_commands(root, config, tmp_path):
    before = snapshot(root)
    done = tune("apply", root, "-c", config, "--state", tmp_path / "state")
    assert "echo 120 > /proc/sys/vm/stat_interval" in done.stdout and "--yes" in done.stdout
    assert snapshot(root) == before and not (tmp_path / "state").exists()
    planned = json.loads(tune("apply", root, "-c", config, "--json").stdout)
    assert planned["dry_run"] is True and {one["knob"] for one in planned["places"]} == WRITABLE


def test_the_commands_of_a_dry_run_do_what_apply_does(root, config, tmp_path):
    shown = tune("apply", root, "-c", config).stdout
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    script = "\n".join(line.replace("> /", f"> {copy}/") for line in shown.splitlines()
                       if line.startswith("echo "))
    subprocess.run(["sh", "-euc", script], check=True)
    tune("apply", root, "-c", config, "--yes", "--state", tmp_path / "state")
    assert snapshot(copy) == snapshot(root)


def test_apply_and_revert_give_back_every_byte_also_twice_and_after_a_restart(root, config, tmp_path):
    before = snapshot(root)
    state = ["--state", tmp_path / "state"]
    done = json.loads(tune("apply", root, "-c", config, "--yes", "--json", *state).stdout)
    assert {one["outcome"] for one in done["places"]} == {"done"}
    assert (root / "proc/irq/30/smp_affinity_list").read_text() == "0-1\n"
    (root / "proc/sys/vm/swappiness").write_text("33\n")
    tune("apply", root, "-c", config, "--yes", *state)  # keeps the first values
    (root / "proc/sys/kernel/random/boot_id").write_text("another\n")
    (root / "proc/sys/vm/stat_interval").write_text("1\n")
    done = tune("revert", root, *state)
    assert "the restart has reset it" in done.stdout
    after = snapshot(root)
    after["proc/sys/kernel/random/boot_id"] = before["proc/sys/kernel/random/boot_id"]
    assert after == before
    assert "nothing to give back" in tune("revert", root, *state).stdout
    assert snapshot(root)["proc/sys/vm/swappiness"] == "60"


def test_a_knob_that_does_not_exist_is_misuse_and_the_nearest_is_named(root):
    for arguments in (["check", "--only", "swapiness"], ["apply", "--except", "swapiness"],
                      ["revert", "--only", "swapiness"], ["explain", "swapiness"]):
        done = run("deja", "tune", *arguments, "--root", root, check=False)
        assert done.returncode == 2 and '"swappiness"' in done.stderr, arguments


def test_what_can_not_be_read_is_an_error_with_a_remedy(tmp_path, root):
    done = run("deja", "tune", "check", "--root", tmp_path / "none", check=False)
    assert done.returncode == 2 and "--root" in done.stderr
    (tmp_path / "empty").mkdir()
    done = run("deja", "tune", "check", "--root", tmp_path / "empty", check=False)
    assert done.returncode == 1 and "online" in done.stderr
    bad = tmp_path / "bad.toml"
    bad.write_text("[cpu]\nworkers = [1, \n")
    done = tune("check", root, "-c", bad, check=False)
    assert done.returncode == 2 and "bad.toml" in done.stderr


def test_damaged_saved_values_stop_both_ways(root, config, tmp_path):
    state = tmp_path / "state"
    tune("apply", root, "-c", config, "--yes", "--state", state)
    after = snapshot(root)
    saved = state / "saved"
    saved.write_text(saved.read_text().replace("60", "61"))
    (root / "proc/sys/vm/swappiness").write_text("77\n")
    after["proc/sys/vm/swappiness"] = "77"
    for verb in (["apply", "-c", config, "--yes"], ["revert"]):
        done = tune(verb[0], root, *verb[1:], "--state", state, check=False)
        assert done.returncode == 1 and "damaged" in done.stderr
    assert snapshot(root) == after


def test_a_copys_values_are_never_given_back_to_the_host(root, config, tmp_path):
    before = snapshot(root)
    for verb in (["apply", "-c", config, "--yes"], ["revert"]):
        done = tune(*verb[:1], root, *verb[1:], check=False)
        assert done.returncode == 2 and "--state" in done.stderr and str(root) in done.stderr, verb
    assert snapshot(root) == before
    assert "--state" in tune("apply", root, "-c", config).stdout  # --yes would want it
    state = tmp_path / "state"
    tune("apply", root, "-c", config, "--yes", "--state", state)
    saved = (state / "saved").read_text()
    link = tmp_path / "link"
    link.symlink_to("/")
    other = tmp_path / "other"
    shutil.copytree(root, other)
    after = snapshot(other)
    for elsewhere in ("/", link, other):
        done = tune("revert", elsewhere, "--state", state, check=False)
        assert done.returncode == 1 and str(root) in done.stderr, elsewhere
    assert tune("apply", other, "-c", config, "--yes", "--state", state, check=False).returncode == 1
    assert snapshot(other) == after and (state / "saved").read_text() == saved
    # However the same root is written.
    done = run("deja", "tune", "revert", "--root", os.path.relpath(root, "/"), "--state", state, cwd="/")
    assert done.returncode == 0 and snapshot(root) == before


def test_explain_says_what_it_costs_and_how_to_measure_it(root, config):
    every = knobs_of(tune("check", root, "--json", check=False))
    assert len(every) > 25
    for knob in every:
        told = json.loads(tune("explain", root, knob, "-c", config, "--json").stdout)
        assert told["does"] and told["costs"] and told["measure"]
    text = tune("explain", root, "swappiness").stdout
    assert "Costs" in text and "Measure" in text and "echo 10 > /proc/sys/vm/swappiness" in text


def test_the_profile_for_tuned_applies_verifies_and_gives_back(root, config, tmp_path):
    assert "script=${i:PROFILE_DIR}/script.sh" in (PROFILE / "tuned.conf").read_text()
    before = snapshot(root)
    environment = {**os.environ, "DEJA": str(BIN / "deja"), "DEJA_CONFIG": str(config),
                   "DEJA_STATE": str(tmp_path / "state"), "DEJA_ROOT": str(root),
                   "DEJA_EXCEPT": "isolcpus,rcu-nocbs", "DEJA_SETTINGS": str(tmp_path / "none")}

    def call(*arguments):
        return subprocess.run([PROFILE / "script.sh", *arguments], env=environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60).returncode
    assert call("verify") == 1
    assert call("start") == 0 and call("start") == 0
    assert call("verify") == 0
    assert call("stop", "full_rollback") == 0 and call("stop") == 0
    assert snapshot(root) == before
    assert call() == 2
    # Where the host's own values lie is not for a copy's.
    del environment["DEJA_STATE"]
    assert call("start") == 2 and snapshot(root) == before


def test_the_saved_values_lie_where_only_root_may_put_them():
    """Below a directory of the service's user they could be exchanged for others."""
    shown = run("deja", "tune", "revert", "--help").stdout
    assert re.search(r"--state TEXT.*[=\[]/var/lib/deja-tune\b(?!/)", shown), shown
    assert "state=${DEJA_STATE:-/var/lib/deja-tune}" in (PROFILE / "script.sh").read_text()


def test_shell_scripts_are_clean():
    peers.need("shellcheck", package="shellcheck")
    done = subprocess.run(["shellcheck", PROFILE / "script.sh"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_the_threads_of_a_running_appliance_are_where_the_config_wants_them(tmp_path):
    core = min(os.sched_getaffinity(0))
    with Appliance(CONFIG, ingest=f"[{core}]", workers=f"[{core}]") as shop:
        def look():
            return knobs_of(run("deja", "tune", "check", "-c", shop.config, "--json", "--only",
                                "affinity,memlock", check=False))
        # A thread pins itself when it begins, which may be after ingest serves.
        eventually(lambda: look()["affinity"]["state"] == "ok")
        found = look()
        assert f"worker-0 on {core}" in found["affinity"]["have"]
        assert "(ingest)" in found["memlock"]["have"] or "worker" in found["memlock"]["have"]
        worker = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                      if is_worker(pid, shop.directory))
        os.sched_setaffinity(worker, os.sched_getaffinity(0))
        if len(os.sched_getaffinity(0)) > 1:
            found = look()
            assert found["affinity"]["state"] == "differs"
            assert "worker-0" in found["affinity"]["note"]


def is_worker(pid, directory):
    try:
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
    return "deja-worker" in command and str(directory) in command


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set this host")
def test_on_this_host_everything_is_as_it_was_after_a_revert(tmp_path):
    cores = sorted(os.sched_getaffinity(0))
    config = tmp_path / "here.toml"
    config.write_text(CONFIG.replace("@DIRECTORY@", "/dev/shm").replace("@INGEST@", f"[{cores[-1]}]")
                      .replace("@WORKERS@", f"[{cores[-1]}]"))
    # What would take cores or a cache from whoever else is at work here stays off.
    selected = ["-c", config, "--except", "smt,resctrl,irqbalance,huge-pages"]
    state = ["--state", tmp_path / "state"]
    plan = json.loads(run("deja", "tune", "apply", "--json", *selected).stdout)["places"]
    paths = [pathlib.Path(place["path"]) for place in plan]
    if not paths:
        pytest.skip("this host has all that is wanted already")
    before = {path: path.read_text() for path in paths}
    try:
        done = run("deja", "tune", "apply", "--yes", "--json", *selected, *state, check=False)
        changed = {pathlib.Path(place["path"]) for place in json.loads(done.stdout)["places"]
                   if place["outcome"] == "done"}
        assert {path for path in paths if path.read_text() != before[path]} == changed
    finally:
        reverted = run("deja", "tune", "revert", "--json", *state, check=False)
    assert reverted.returncode == 0, reverted.stdout + reverted.stderr
    assert {path: path.read_text() for path in paths} == before
    again = run("deja", "tune", "revert", *state)
    assert "nothing to give back" in again.stdout


def measure(output, *arguments, check=True):
    return run("deja", "tune", "measure", "--seconds", "0.2", "--tool", "none", "--output", output,
               *arguments, check=check)


def test_measure_keeps_a_label_and_compares_another_with_it(tmp_path):
    """All of it: the report of both says of each what the report of it alone said."""
    core = min(os.sched_getaffinity(0))
    measure(tmp_path / "m", "--cores", core, "--label", "monday")
    done = measure(tmp_path / "m", "--cores", core, "--label", "tuesday", "--against", "monday", "--json")
    first, second = json.loads(done.stdout)["measurements"]
    assert (first["label"], second["label"]) == ("monday", "tuesday")
    kept = json.loads((tmp_path / "m/monday.json").read_text())
    assert first == kept
    assert sum(kept["cores"][0]["jitter"]["interrupts"].values()) > 0
    text = (tmp_path / "m/report.txt").read_text()
    assert "tuesday ÷ monday" in text and "p99.9" in text
    drawn = xml.dom.minidom.parse(str(tmp_path / "m/report.svg"))
    lines = [path for path in drawn.getElementsByTagName("path") if path.getElementsByTagName("title")]
    assert len(lines) == 4
    assert lines[0].getAttribute("d").startswith("M")


def test_measure_says_what_makes_no_sense(tmp_path):
    for arguments in (["--cores", "4095"], ["--label", "../x"], ["--label", ""], ["--only", "swapiness"],
                      ["--tool", "guess"], ["--seconds", "0"]):
        assert measure(tmp_path / "m", *arguments, check=False).returncode == 2, arguments
    done = measure(tmp_path / "m", "--against", "never", check=False)
    assert done.returncode == 1 and "never.json" in done.stderr
    (tmp_path / "m/bad.json").write_text('{"label": 3}')
    assert measure(tmp_path / "m", "--against", "bad", check=False).returncode == 1
    assert measure("/proc/none", check=False).returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set this host")
def test_measure_around_applies_measures_and_gives_back(tmp_path):
    swappiness = pathlib.Path("/proc/sys/vm/swappiness")
    before = swappiness.read_text()
    around = ["--around", "--only", "swappiness", "--state", tmp_path / "state",
              "--cores", min(os.sched_getaffinity(0))]
    found = json.loads(measure(tmp_path / "m", *around, "--json").stdout)["measurements"]
    assert [one["label"] for one in found] == ["before", "after"]
    assert swappiness.read_text() == before
    assert (tmp_path / "m/before.json").exists() and (tmp_path / "m/after.json").exists()
    if int(before) > 10:
        run("deja", "tune", "apply", "--yes", "--only", "swappiness", "--state", tmp_path / "state")
        try:
            done = measure(tmp_path / "m", *around, check=False)
            assert done.returncode == 1 and "tuned already" in done.stderr
        finally:
            run("deja", "tune", "revert", "--state", tmp_path / "state")
    assert swappiness.read_text() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set this host")
@pytest.mark.parametrize("ended_by", ["a closed pipe", "SIGQUIT"])
def test_measure_around_gives_back_whatever_would_end_it_halfway(tmp_path, ended_by):
    swappiness = pathlib.Path("/proc/sys/vm/swappiness")
    before = swappiness.read_text()
    if int(before) <= 10:
        pytest.skip("this host has what is wanted already")
    state = tmp_path / "state"
    command = [BIN / "deja", "tune", "measure", "--around", "--only", "swappiness", "--state", state,
               "--cores", str(min(os.sched_getaffinity(0))), "--seconds", "0.5", "--tool", "none",
               "--output", tmp_path / "m"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    try:
        assert "measuring before" in process.stderr.readline()
        if ended_by == "a closed pipe":  # as when the tee behind it is gone
            process.stderr.close()
        else:
            assert "measuring after" in process.stderr.readline()
            assert swappiness.read_text() == "10\n"
            process.send_signal(signal.SIGQUIT)
        status = process.wait(timeout=60)
        assert swappiness.read_text() == before
        assert not (state / "saved").exists()
        assert status == (0 if ended_by == "a closed pipe" else -signal.SIGQUIT)
    finally:
        process.kill()
        process.wait()
        run("deja", "tune", "revert", "--state", state, check=False)


def test_measure_reads_what_rtla_prints(tmp_path):
    """With recorded output in rtla's place: few kernels have its tracers."""
    program = tmp_path / "bin/rtla"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh
case $1 in
osnoise) echo '  0 #9  8100000  12345  99.84759  2411  153  102  0  8123  411  17' ;;
timerlat) echo '  0 #9998 | 1 0 1 15 | 7 3 5 63' ;;
esac
""")
    program.chmod(0o755)
    done = run("deja", "tune", "measure", "--seconds", "0.2", "--tool", "rtla", "--json", "--output",
               tmp_path / "m", env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"})
    tools = json.loads(done.stdout)["measurements"][0]["tools"]
    assert [tool["tool"] for tool in tools] == ["rtla osnoise", "rtla timerlat"]
    assert tools[0]["irq"] == 8123 and tools[1]["thread_max_us"] == 63


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("cyclictest"),
                    reason="cyclictest (rt-tests) wants root")
def test_measure_runs_cyclictest_on_the_cores(tmp_path):
    cores = sorted(os.sched_getaffinity(0))[:2]
    done = run("deja", "tune", "measure", "--seconds", "0.2", "--tool", "cyclictest", "--json",
               "--cores", ",".join(map(str, cores)), "--output", tmp_path / "m")
    tools = json.loads(done.stdout)["measurements"][0]["tools"]
    assert [tool["core"] for tool in tools] == cores
    assert all(tool["max_us"] >= tool["min_us"] for tool in tools)
