"""`deja serve` started again after a kill: of everything, of the supervisor alone, with the same config
and with another, with Redis away; and processes that hang. Renderers read on throughout, nothing
acknowledged is lost or applied twice, and nothing is left over at the end."""

import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import pytest

from appliance import BIN, Appliance
from renderer import read_on
from test_redis import own_redis, redis
from traffic import (BROKEN, SLOW, Client, accepted, eventually, lasting_address, processes, runs,
                     track)

CONFIG = """
[appliance]
name = "restarted"
directory = "@DIRECTORY@"
profiles = 1_000
shards = @SHARDS@
huge_pages = "off"

[cpu]
ingest = @INGEST@
workers = @WORKERS@

[listen]
http = "@HTTP@"
stream = ["unix:@DIRECTORY@/restarted.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"
ack = "applied"
dedup_window = 100_000

[redis]
url = "@URL@"

[events]
view = { track = "Product Viewed", item = "properties.item", n = "properties.n" }

[features]
views  = { type = "count", event = "view" }
twice  = { type = "sum", event = "view", of = "n" }
again  = { type = "count", event = "view", window = "1d" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
"""


def shop_of(shards=8, ingest=1, workers=2, url="local", http="127.0.0.1:0", **options):
    return Appliance(CONFIG, shards=shards, ingest=ingest, workers=workers, url=url, http=http,
                     **options)


class Sender(threading.Thread):
    """Batches of its own users over a kept connection. Not `patient`: a request that fails ends it, and
    that is a failure. Else what is not answered is sent again, under the same ids, until it is taken."""

    def __init__(self, shop, number, patient):
        super().__init__(daemon=True)
        self.address = shop.http
        self.number = number
        self.patient = patient
        self.users = [f"s{number}-u{user}" for user in range(20)]
        self.acknowledged = {user: 0 for user in self.users}
        self.batches = []  # every batch taken, to be sent again
        self.stop = threading.Event()
        self.failure = None
        self.start()

    def run(self):
        try:
            with contextlib.ExitStack() as stack:
                client = stack.enter_context(Client(self.address, timeout=10 * SLOW))
                number = 0
                while not self.stop.is_set():
                    left = batch = [
                        track(self.users[(number + event) % 20], "Product Viewed",
                              f"{self.number}-{number}-{event}", item=f"p{event}", n=2)
                        for event in range(5)]
                    deadline = time.monotonic() + 60 * SLOW
                    while left:
                        assert time.monotonic() < deadline, "a batch was never taken"
                        try:
                            status, answer, _ = client.post("/v1/batch", {"batch": left})
                        except BROKEN:
                            if not self.patient:
                                raise
                            time.sleep(0.005)
                            client = stack.enter_context(Client(self.address, timeout=10 * SLOW))
                            continue
                        taken = accepted(left, answer)
                        assert self.patient or len(taken) == len(left), (status, answer)
                        left = [event for event in left if event not in taken]
                    for event in batch:
                        self.acknowledged[event["userId"]] += 1
                    self.batches.append(batch)
                    number += 1
        except Exception as failure:  # for the test's own thread
            self.failure = failure

    def finish(self):
        self.stop.set()
        self.join(90 * SLOW)
        assert not self.is_alive() and self.failure is None, self.failure


def wait_for_load(senders, batches=20):
    before = [len(sender.batches) for sender in senders]
    eventually(lambda: all(sender.failure or len(sender.batches) >= count + batches
                           for sender, count in zip(senders, before)))
    assert [sender.failure for sender in senders] == [None] * len(senders)


def wait_until_seen_alive():
    """Long enough for the supervisor to see every process beat twice, at two of its looks, which are
    100 ms apart. One that it has not may be starting, for a minute."""
    time.sleep(SLOW)


@contextlib.contextmanager
def renderer(shop, senders):
    """A renderer's process that reads all senders' users on and on; wrong things fail the test."""
    context = multiprocessing.get_context("spawn")
    stop, report = context.Event(), context.Queue()
    users = [user for sender in senders for user in sender.users]
    reader = context.Process(target=read_on, daemon=True,
                             args=(shop.name, shop.directory, users, stop, report))
    reader.start()
    try:
        yield
    finally:
        stop.set()
    seen = report.get(timeout=60 * SLOW)
    reader.join(30)
    assert seen["wrong"] == [] and seen["users"] == len(users) and seen["reads"] > 1_000, seen


def others(shop):
    """{name: pid} without the supervisor."""
    return {name: pid for name, pid in processes(shop).items() if name != "supervisor"}


def check_exactly_once(shop, senders):
    views = {user: profile["features"]["views"] for user, profile in shop.export().items()}
    expected = {}
    for sender in senders:
        expected.update(sender.acknowledged)
    assert views == expected


def check_resend_is_duplicate(shop, senders):
    """What was acknowledged before a kill, sent again after it, changes nothing."""
    with Client(shop.http) as client:
        for sender in senders:
            for batch in sender.batches[:50]:
                status, answer, _ = client.post("/v1/batch", {"batch": batch})
                assert status == 200 and "rejected" not in answer, answer
    check_exactly_once(shop, senders)


def stop_cleanly(shop):
    assert shop.stop() == 0, shop.log_text()
    assert shop.pids() == []
    assert not shop.segment.exists()
    left = {path.name for path in shop.directory.iterdir()}
    assert left == {"durable", "restarted.toml", "restarted.log"}, left
    sockets = [path for path in shop.directory.rglob("*") if path.is_socket() or path.suffix == ".lock"]
    assert sockets == []


def command_calls(socket):
    """{command: calls} of a Redis."""
    lines = redis(socket, "INFO", "commandstats").decode().split()
    return {line.split(":")[0].removeprefix("cmdstat_"): int(line.split("calls=")[1].split(",")[0])
            for line in lines if line.startswith("cmdstat_")}


def test_the_whole_tree_killed_under_load_goes_on_where_it_was():
    with own_redis() as socket, contextlib.ExitStack() as stack:
        shop = shop_of(url=f"unix://{socket}")
        stack.callback(shop.clean_up)
        shop.start()
        senders = [Sender(shop, number, patient=True) for number in range(2)]
        wait_for_load(senders)
        first = shop.stat()
        with renderer(shop, senders):
            for _ in range(3):
                wait_for_load(senders)
                shop.kill_all()
                calls = command_calls(socket)
                before = shop.ready
                shop.start()
                assert "going on with its segment" in shop.log_text()
                assert {**shop.ready, "pid": 0} == {**before, "pid": 0}, "the same ports too"
            wait_for_load(senders)
        for sender in senders:
            sender.finish()
        assert shop.stat()["incarnation"] == first["incarnation"]
        writes = calls.get("evalsha", 0)
        eventually(lambda: command_calls(socket).get("evalsha", 0) > writes)  # it goes on writing
        calls = {name: count - calls.get(name, 0) for name, count in command_calls(socket).items()}
        assert calls.get("scan", 0) == 0 and calls.get("hgetall", 0) == 0, calls
        # The guard of each write looks at what is there, and nobody else does.
        assert calls["hmget"] == calls["evalsha"], f"profiles were read back: {calls}"
        check_exactly_once(shop, senders)
        check_resend_is_duplicate(shop, senders)
        stop_cleanly(shop)


def test_a_killed_supervisor_costs_no_request_and_its_successor_looks_after_everybody(tmp_path):
    (tmp_path / "map.toml").write_text("""
format = "csv"
user = "user"
time = { column = "when", unit = "s" }
id = ["#row"]
[[event]]
track = "Product Viewed"
properties = { item = "item", n = "n:number" }
""")
    now = int(time.time())
    rows = 20_000
    (tmp_path / "rows.csv").write_text("user,item,n,when\n" + "".join(
        f"r{row % 20},p{row % 7},2,{now - rows // 4000 + row // 4000}\n" for row in range(rows)))
    with shop_of() as shop:
        senders = [Sender(shop, number, patient=False) for number in range(2)]
        wait_for_load(senders)
        replay = subprocess.Popen(
            [str(BIN / "deja"), "replay", str(tmp_path / "rows.csv"), "--map",
             str(tmp_path / "map.toml"), "--via", "stream", "--speed", "1", "--probes", "0", "--json",
             "--name", shop.name, "--directory", str(shop.directory)], stdout=subprocess.PIPE,
            text=True)
        with renderer(shop, senders):
            for _ in range(3):
                before = others(shop)
                ready = shop.ready
                shop.kill()
                wait_for_load(senders)
                assert shop.deja("stat").stdout.startswith("restarted is unsupervised")
                shop.start()
                assert others(shop) == before, "all of them were adopted"
                assert {**shop.ready, "pid": 0} == {**ready, "pid": 0}
                assert shop.stat()["state"] == "serving"
                wait_for_load(senders)
        summary = json.loads(replay.communicate(timeout=60 * SLOW)[0])
        assert summary["acked"] == rows and summary["resent"] == 0, summary
        for sender in senders:
            sender.finish()

        # The new one looks after them as though it had started them.
        for victim in ["worker-0", "worker-1", "keeper", "console", "ingest"]:
            os.kill(before[victim], signal.SIGKILL)
            eventually(lambda: others(shop)[victim] != before[victim])
        patient = Sender(shop, 2, patient=True)
        wait_for_load([patient])
        patient.finish()
        views = {user: profile["features"]["views"] for user, profile in shop.export().items()}
        replayed = {f"r{user}": rows // 20 for user in range(20)}
        acknowledged = {user: count for sender in [*senders, patient]
                        for user, count in sender.acknowledged.items()}
        assert views == {**replayed, **acknowledged}
        stop_cleanly(shop)


def test_a_second_supervisor_waits_for_nobody_whom_the_first_left_half_started():
    """Supervisors killed at any moment of their start and their life: at the end one serves, what was
    acknowledged is there once, and nothing is left over."""
    seed = int(os.environ.get("DEJA_SEED", time.time_ns() % 1_000_000))
    print(f"DEJA_SEED={seed}")
    rng = random.Random(seed)
    shop = shop_of()
    try:
        shop.start()
        sender = Sender(shop, 0, patient=True)
        wait_for_load([sender], 5)
        shop.kill()
        for round_number in range(25):
            with open(shop.log, "ab") as log:
                process = subprocess.Popen([str(BIN / "deja"), "serve", "-c", str(shop.config)],
                                           stdout=log, stderr=log)
            time.sleep(rng.choice([rng.uniform(0, 0.03), rng.uniform(0, 0.3)]) * SLOW)
            process.kill()
            process.wait()
            if round_number % 3 == 0:
                shop.kill_all()
        shop.start()
        wait_for_load([sender])
        sender.finish()
        check_exactly_once(shop, [sender])
        check_resend_is_duplicate(shop, [sender])
        stop_cleanly(shop)
    finally:
        shop.clean_up()


@pytest.mark.parametrize("killed", ["the supervisor", "everybody"])
@pytest.mark.parametrize("changed", [{"workers": 3}, {"workers": 1}, {"ingest": 2}])
def test_other_counts_after_a_kill_keep_everything(killed, changed):
    shop = shop_of(http=lasting_address())  # another segment would have another port
    try:
        shop.start()
        senders = [Sender(shop, number, patient=True) for number in range(2)]
        wait_for_load(senders)
        if killed == "everybody":
            shop.kill_all()
        else:
            shop.kill()
            wait_for_load(senders)
        text = shop.config.read_text()
        for name, count in changed.items():
            text = text.replace(f"{name} = {dict(workers=2, ingest=1)[name]}\n", f"{name} = {count}\n")
        shop.config.write_text(text)
        shop.start()
        assert "draining what it had accepted" in shop.log_text()
        assert f"the count of {'workers' if 'workers' in changed else 'ingest threads'}" in \
            shop.log_text()
        wait_for_load(senders)
        for sender in senders:
            sender.finish()
        names = set(others(shop))
        assert names == {"ingest", "keeper", "console",
                         *(f"worker-{number}" for number in range(changed.get("workers", 2)))}
        check_exactly_once(shop, senders)
        check_resend_is_duplicate(shop, senders)
        stop_cleanly(shop)
    finally:
        shop.clean_up()


def test_with_redis_away_a_restart_serves_all_the_same_and_loses_nothing():
    with contextlib.ExitStack() as stack:
        first_redis = contextlib.ExitStack()
        stack.callback(first_redis.close)
        socket = first_redis.enter_context(own_redis())
        shop = shop_of(url=f"unix://{socket}")
        stack.callback(shop.clean_up)
        shop.start()
        sender = Sender(shop, 0, patient=True)
        wait_for_load([sender])
        shop.kill_all()
        first_redis.close()  # and all that it had
        shop.start()
        wait_for_load([sender])
        sender.finish()
        check_exactly_once(shop, [sender])
        stop_cleanly(shop)  # the journal has it all

        # A Redis again, another one, on the same socket: it gets everything.
        with own_redis(socket.parent):
            shop.start()
            check_exactly_once(shop, [sender])
            check_resend_is_duplicate(shop, [sender])
            stop_cleanly(shop)
            shop.start()  # now from Redis alone
            check_exactly_once(shop, [sender])
            stop_cleanly(shop)


@pytest.mark.parametrize("victim", ["worker-0", "ingest", "console"])
def test_a_process_that_hangs_is_killed_and_replaced(victim):
    with shop_of() as shop:
        senders = [Sender(shop, number, patient=True) for number in range(2)]
        wait_for_load(senders)
        wait_until_seen_alive()
        with renderer(shop, senders):
            before = others(shop)
            os.kill(before[victim], signal.SIGSTOP)
            eventually(lambda: others(shop)[victim] != before[victim], 30)
            assert not runs(before[victim])
            wait_for_load(senders)
        for sender in senders:
            sender.finish()
        after = others(shop)
        assert {**after, victim: 0} == {**before, victim: 0}, "and nobody else"
        sentence = f"{victim} gave no sign of life and was killed"
        assert f"{victim} (process {before[victim]}) gave no sign of life" in shop.log_text()
        errors = json.loads(shop.deja("errors", "--json").stdout)
        assert any(error["error"] == sentence for error in errors), errors
        if victim.startswith("worker"):
            line = pathlib.Path(f"/proc/{after[victim]}/cmdline").read_bytes().split(b"\0")
            assert line[-3:-1] == [b"--predecessor", b"hung"]
        check_exactly_once(shop, senders)


def test_an_adopted_process_that_hangs_is_killed_and_replaced():
    with shop_of() as shop:
        shop.kill()
        shop.start()
        before = others(shop)
        wait_until_seen_alive()
        os.kill(before["worker-1"], signal.SIGSTOP)
        eventually(lambda: others(shop)["worker-1"] != before["worker-1"], 30)


def test_a_supervisor_that_was_stopped_for_long_kills_nobody_on_waking():
    """As a suspended host: nobody beats for longer than the bound, and nobody hangs."""
    with shop_of() as shop:
        before = others(shop)
        supervisor = shop.process.pid
        wait_until_seen_alive()
        os.kill(supervisor, signal.SIGSTOP)
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        time.sleep(7)
        os.kill(supervisor, signal.SIGCONT)
        time.sleep(1)
        for pid in before.values():
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        assert others(shop) == before
        assert "no sign of life" not in shop.log_text()


def test_two_appliances_never_share_a_durability_directory_even_when_one_is_unsupervised():
    shop = shop_of()
    try:
        shop.start()
        shop.kill()
        text = shop.config.read_text().replace('name = "restarted"', 'name = "second"').replace(
            "restarted.sock", "second.sock")
        second = shop.directory / "second.toml"
        second.write_text(text)
        done = subprocess.run([str(BIN / "deja"), "serve", "-c", str(second)], text=True,
                              capture_output=True, timeout=30 * SLOW)
        assert done.returncode == 1
        assert "still keeps its profiles in" in done.stderr, done.stderr
        assert not (shop.directory / "deja-second").exists()
        second.unlink()
        shop.start()
        stop_cleanly(shop)
    finally:
        shop.clean_up()
