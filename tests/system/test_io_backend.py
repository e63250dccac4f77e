"""The two ways to the kernel's sockets, and what ingest gives up: a whole appliance where io_uring
is refused, one on each backend, ingest behind its filter of system calls."""

import json
import os
import pathlib
import pwd
import signal
import urllib.request

import pytest

import appliance
from appliance import Appliance
from traffic import Client, eventually, processes, runs, track

CONFIG = """
[appliance]
name = "backend"
directory = "@DIRECTORY@"
profiles = 10_000
shards = 4
huge_pages = "off"
@USER@

[cpu]
ingest = 2
workers = 1

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/backend.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", item = "properties.item" }

[features]
views = { type = "count", event = "view" }
"""

MAP = """
format = "jsonl"
user = "user"
time = { column = "at", unit = "s" }
id = ["#row"]
[[event]]
track = "Product Viewed"
properties = { item = "item" }
"""

SANITIZED = bool(os.environ.get("DEJA_SANITIZE"))


def send_both_ways(shop):
    """100 events of 10 users over HTTP, 100 over the stream: every user has 20 then."""
    with Client(shop.http) as client:
        for number in range(100):
            status, answer, _ = client.post("/v1/track", track(
                f"u{number % 10}", "Product Viewed", f"h{number}", item=f"p{number}"))
            assert status == 200, answer
    (shop.directory / "map.toml").write_text(MAP)
    rows = [json.dumps({"user": f"u{number % 10}", "at": 1_700_000_000 + number, "item": f"s{number}"})
            for number in range(100)]
    (shop.directory / "rows.jsonl").write_text("\n".join(rows) + "\n")
    shop.deja("replay", shop.directory / "rows.jsonl", "--map", shop.directory / "map.toml", "--via",
              "stream", "--probes", "0", "--json")


def views(shop):
    return {user: profile["features"]["views"] for user, profile in shop.export().items()}


def backends(shop):
    """{process: the backend it says it uses}, and that /metrics says the same."""
    found = {}
    for process in shop.stat()["processes"]:
        kinds = [kind for kind in ("uring", "epoll")
                 if process["counters"].get(f'deja_io_backend{{kind="{kind}"}}')]
        if kinds:
            assert len(kinds) == 1, (process["name"], kinds)
            found[process["name"]] = kinds[0]
    with urllib.request.urlopen(f"http://{shop.console}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    shown = [line for line in lines if line.startswith("deja_io_backend{")]
    for kind in set(found.values()):
        assert any(f'kind="{kind}"' in line and line.endswith(" 1") for line in shown), shown
    return found


def has_file(pid, what):
    """Whether the process has an open file of that kind."""
    return any(what in os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir())


def test_where_io_uring_is_refused_everything_goes_through_epoll_and_says_so(tmp_path, monkeypatch):
    launcher = pathlib.Path(__file__).resolve().parents[1] / "support/without_io_uring.py"
    wrapper = tmp_path / "deja"
    wrapper.write_text(f"#!/bin/sh\nexec /usr/bin/python3 -B {launcher} {appliance.BIN}/deja \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr(appliance, "BIN", tmp_path)
    monkeypatch.delenv("DEJA_IO", raising=False)
    with Appliance(CONFIG, user="") as shop:
        send_both_ways(shop)
        assert views(shop) == {f"u{number}": 20 for number in range(10)}
        found = backends(shop)
        assert {"ingest", "console"} <= set(found) and set(found.values()) == {"epoll"}, found
        for name in ("ingest", "console"):
            assert (f"deja-{name}: io_uring is refused here (Operation not permitted): using epoll"
                    in shop.log_text())
            assert f"{name} uses epoll" in shop.deja("stat").stdout
        for name, pid in processes(shop).items():
            assert not has_file(pid, "[io_uring]"), name
        totals = shop.stat()["totals"]
        assert totals["applied"] == totals["received"] == 200


@pytest.mark.parametrize("backend", ["uring", "epoll"])
def test_each_backend_can_be_asked_for_and_serves_behind_the_filter(backend):
    with Appliance(CONFIG, user="", environment={"DEJA_IO": backend}) as shop:
        for life in range(1, 3):
            send_both_ways(shop)  # the second time, the same: every id is known
            assert views(shop) == {f"u{number}": 20 for number in range(10)}
            assert {backends(shop)[name] for name in ("ingest", "console")} == {backend}
            assert f"deja-ingest: DEJA_IO says so: using {'io_uring' if backend == 'uring' else 'epoll'}" \
                in shop.log_text()
            pid = processes(shop)["ingest"]
            assert has_file(pid, "[io_uring]") == (backend == "uring")
            assert has_file(pid, "[eventpoll]") == (backend == "epoll")
            if not SANITIZED:
                assert_filtered(shop, pid)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: processes(shop)["ingest"] != pid and not runs(pid))


def status_of(task):
    """The fields of a process's or a thread's status."""
    text = pathlib.Path(f"/proc/{task}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def assert_filtered(shop, pid):
    """Every thread of ingest's is behind a filter that it can't leave."""
    def filtered():
        return next(process["counters"].get("deja_syscalls_filtered")
                    for process in shop.stat()["processes"] if process["name"] == "ingest")

    eventually(filtered)
    threads = os.listdir(f"/proc/{pid}/task")
    assert len(threads) >= 2
    for thread in threads:
        fields = status_of(f"{pid}/task/{thread}")
        assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1"), thread


def test_a_backend_that_is_asked_for_and_refused_is_a_sentence(tmp_path, monkeypatch):
    launcher = pathlib.Path(__file__).resolve().parents[1] / "support/without_io_uring.py"
    wrapper = tmp_path / "deja"
    wrapper.write_text(f"#!/bin/sh\nexec /usr/bin/python3 -B {launcher} {appliance.BIN}/deja \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr(appliance, "BIN", tmp_path)
    made = Appliance(CONFIG, user="", environment={"DEJA_IO": "uring"})
    try:
        done = appliance.run("deja", "serve", "-c", made.config, check=False, timeout=60,
                             env=made.environment)
        assert done.returncode == 1
        assert "io_uring is refused here (Operation not permitted)" in done.stderr, done.stderr
    finally:
        made.clean_up()


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped: only root can give ingest another user")
def test_ingest_becomes_its_own_user_in_every_life():
    nobody = pwd.getpwnam("nobody")
    with Appliance(CONFIG, user='ingest_user = "nobody"') as shop:
        for life in range(2):
            send_both_ways(shop)
            assert views(shop) == {f"u{number}": 20 for number in range(10)}
            for name, pid in processes(shop).items():
                fields = status_of(pid)
                ids = {int(number) for number in fields["Uid"].split()}
                if name != "ingest":
                    assert ids == {0}, name
                    continue
                assert ids == {nobody.pw_uid}
                assert {int(number) for number in fields["Gid"].split()} == {nobody.pw_gid}
                assert fields["Groups"].split() == []
                assert {int(fields[kind], 16) for kind in ("CapEff", "CapPrm", "CapInh")} == {0}
            if life == 0:
                pid = processes(shop)["ingest"]
                os.kill(pid, signal.SIGKILL)
                eventually(lambda: processes(shop)["ingest"] != pid and not runs(pid))
        # Another user's process is adopted like any other, as long as it is the one wanted.
        pid = processes(shop)["ingest"]
        shop.kill()
        shop.start()
        assert processes(shop)["ingest"] == pid
        shop.kill()
        shop.config.write_text(shop.config.read_text().replace('ingest_user = "nobody"', ""))
        shop.start()
        after = processes(shop)["ingest"]
        assert after != pid and not runs(pid)
        assert {int(number) for number in status_of(after)["Uid"].split()} == {0}


def test_an_ingest_user_that_is_not_there_is_a_sentence():
    made = Appliance(CONFIG, user='ingest_user = "no-such-user-here"')
    try:
        done = appliance.run("deja", "serve", "-c", made.config, check=False, timeout=30)
        assert done.returncode == 1
        assert "[appliance] ingest_user" in done.stderr, done.stderr
    finally:
        made.clean_up()
