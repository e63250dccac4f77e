"""New programs put where the running ones came from, as a package does it, and taken over to while
events come in and renderers read."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from appliance import BIN, Appliance, run
from lasting_load import LastingLoad
from traffic import eventually, processes, track

CONFIG = """
[appliance]
name = "upgraded"
directory = "@DIRECTORY@"
profiles = 20_000
shards = 4
huge_pages = "off"

[cpu]
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/upgraded.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", n = "properties.n" }

[features]
views = { type = "count", event = "view" }
twice = { type = "sum", event = "view", of = "n" }
again = { type = "count", event = "view" }
"""

PROGRAMS = ("deja", "deja-ingest", "deja-worker", "deja-keeper", "deja-console")
OURS = ("ingest", "worker-0", "worker-1", "keeper", "console")


def replace(path, text=None):
    """Puts another file at `path` as dpkg does: renamed in, so that who runs the old one keeps it."""
    fresh = path.with_suffix(".new")
    if text is None:
        shutil.copy(BIN / path.name, fresh)
    else:
        fresh.write_text(text)
    fresh.chmod(0o755)
    os.rename(fresh, path)


@pytest.fixture
def programs(tmp_path):
    for name in PROGRAMS:
        replace(tmp_path / name)
    return tmp_path


@pytest.fixture
def shop(programs):
    with Appliance(CONFIG, programs=programs) as running:
        yield running


def runs_what_lies_there(pid, programs):
    program = os.readlink(f"/proc/{pid}/exe")
    return not program.endswith(" (deleted)") and pathlib.Path(program).parent == programs


def incarnation(shop):
    return (shop.segment / "superblock").stat().st_ino


def test_new_programs_go_on_with_the_living_segment_under_load(shop, programs):
    before, segment = processes(shop), incarnation(shop)
    with LastingLoad(shop) as load:
        for _ in range(2):
            for name in PROGRAMS:
                replace(programs / name)
            sent = load.acknowledged()
            assert "has taken over" in shop.deja("reload").stdout
            eventually(lambda: load.acknowledged() > sent + 100)
    after = processes(shop)
    assert load.attached == [0, 0] and incarnation(shop) == segment
    assert after["supervisor"] == before["supervisor"] == shop.process.pid
    assert all(after[name] != before[name] for name in OURS)
    assert all(runs_what_lies_there(after[name], programs) for name in (*OURS, "supervisor"))


def test_only_what_was_replaced_is_started_again(shop, programs):
    before = processes(shop)
    for name in ("deja", "deja-worker"):
        replace(programs / name)
    shop.deja("reload")
    after = processes(shop)
    assert {name for name in before if before[name] != after[name]} == {"worker-0", "worker-1"}


def test_another_layout_is_said_and_drained_to_a_new_incarnation_under_load(shop, programs, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in PROGRAMS:
        shutil.copy(BIN / name, elsewhere / name)
    before, segment = processes(shop), incarnation(shop)
    with LastingLoad(shop) as load:
        # It says that it has a layout of its own; what it then makes is new in any case.
        replace(programs / "deja", f"""#!/bin/sh
[ "$1" = --version ] && exec echo "deja 99 (segment layout 99-00000000)"
exec {elsewhere}/deja "$@"
""")
        sent = load.acknowledged()
        assert "has taken over" in shop.deja("reload").stdout
        eventually(lambda: load.acknowledged() > sent + 100)
    after = processes(shop)
    assert "another segment layout (99-00000000, this one " in shop.log_text()
    assert load.attached == [1, 1] and incarnation(shop) != segment
    assert after["supervisor"] == before["supervisor"] == shop.process.pid
    assert all(after[name] != before[name] for name in OURS)
    assert all(runs_what_lies_there(after[name], elsewhere) for name in (*OURS, "supervisor"))


def test_another_layout_and_another_config_at_once(shop, programs, tmp_path):
    """Programs of the new layout can do nothing with a segment of the old one, whose config changed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in PROGRAMS:
        shutil.copy(BIN / name, elsewhere / name)
        replace(programs / name, "#!/bin/sh\necho another layout >&2\nexit 1\n")
    replace(programs / "deja", f"""#!/bin/sh
[ "$1" = --version ] && exec echo "deja 99 (segment layout 99-00000000)"
exec {elsewhere}/deja "$@"
""")
    assert shop.post("/v1/track", track("u1", "Product Viewed", "m1", n=2))[0] == 200
    shop.config.write_text(shop.config.read_text() + 'more = { type = "count", event = "view" }\n')
    assert "has taken over" in shop.deja("reload").stdout
    assert "another layout" not in shop.log_text()
    assert shop.post("/v1/track", track("u1", "Product Viewed", "m2", n=2))[0] == 200
    features = eventually(lambda: shop.profile("u1")["features"])
    assert features["views"] == 2 and "more" in features


def test_what_can_t_go_over_serves_on(shop, programs):
    before = processes(shop)
    replace(programs / "deja")
    replace(programs / "deja-worker", "#!/bin/sh\nexit 1\n")
    done = shop.deja("reload", check=False)
    assert done.returncode == 1 and "worker-0" in done.stderr, done
    after = processes(shop)
    assert after["supervisor"] == before["supervisor"]
    assert all(after[name] == before[name] for name in ("ingest", "keeper", "worker-1"))
    replace(programs / "deja-worker")
    eventually(lambda: shop.stat()["processes"] and processes(shop)["worker-0"] != before["worker-0"])
    assert shop.post("/v1/track", track("u1", "Product Viewed", "m1", n=2))[0] == 200
    eventually(lambda: shop.profile("u1")["features"]["views"] == 1)


def test_a_segment_that_only_other_programs_can_read_is_kept_for_them(shop):
    for number in range(20):
        assert shop.post("/v1/track", track("u1", "Product Viewed", f"m{number}", n=2))[0] == 200
    shop.kill_all()
    superblock = shop.segment / "superblock"
    version = superblock.read_bytes()[8:12]

    def set_version(bytes_):
        with open(superblock, "r+b") as file:
            file.seek(8)
            file.write(bytes_)
    set_version((99).to_bytes(4, "little"))
    done = run("deja", "serve", "-c", shop.config, check=False)
    assert done.returncode == 1 and "another segment layout (99-" in done.stderr, done
    assert list(shop.segment.glob("log-0.*"))
    set_version(version)
    shop.start()
    eventually(lambda: shop.profile("u1")["features"]["views"] == 20)


def test_a_new_program_that_says_nothing_holds_up_no_stop(shop, programs):
    replace(programs / "deja", "#!/bin/sh\nexec sleep 600\n")
    shop.process.send_signal(signal.SIGHUP)
    eventually(lambda: "sleep" in subprocess.run(
        ["ps", "--ppid", str(shop.process.pid), "-o", "comm="], capture_output=True, text=True, check=False).stdout)
    assert shop.stop() == 0


def test_a_program_that_refuses_the_config_is_not_taken_over_to(shop, programs):
    before = processes(shop)
    replace(programs / "deja", "#!/bin/sh\necho 'no such key: profiles' >&2\nexit 1\n")
    done = shop.deja("reload", check=False)
    assert done.returncode == 1 and "no such key: profiles" in done.stderr
    assert processes(shop) == before
    replace(programs / "deja")
    assert "has taken over" in shop.deja("reload").stdout


def test_a_program_that_can_t_be_run_is_not_taken_over_to(shop, programs):
    before = processes(shop)
    replace(programs / "deja", "\x7fELF and nothing more")
    done = shop.deja("reload", check=False)
    assert done.returncode == 1 and done.stderr
    assert processes(shop) == before


def test_version_says_the_layout():
    assert "segment layout " in run("deja", "--version").stdout
