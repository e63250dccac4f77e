"""A storm of kills under full load: any process of an appliance, its supervisor, its Redis, the whole
tree, at any moment. What the producers' ledgers have acknowledged is there exactly once at the end,
renderers never saw a profile torn or turned back, and nothing is left over.

The short form is DEJA_STORM_KILLS=500; the long one 10,000 or more. DEJA_STORM_RATE is each producer's
events a second."""

import json
import multiprocessing
import os
import pathlib
import random
import socket
import subprocess
import time

import storm_events
from appliance import BIN, Appliance
from storm_http import send_on
from storm_killer import Killer, Pace, Progress, processes_of
from storm_reader import Watch, read_on
from traffic import SLOW

CONFIG = """
[appliance]
name = "storm"
directory = "@DIRECTORY@"
profiles = @PROFILES@
shards = 8
huge_pages = "off"

[cpu]
workers = 3

[listen]
http = "@HTTP@"
stream = ["unix:@DIRECTORY@/storm.sock"]
console = "@CONSOLE@"

[durability]
directory = "@DIRECTORY@/durable"
ack = "durable"
dedup_window = 50_000
""" + storm_events.FEATURES

KILLS = int(os.environ.get("DEJA_STORM_KILLS", 100 if os.environ.get("DEJA_SANITIZE") else 500))
RATE = float(os.environ.get("DEJA_STORM_RATE", 2000 / SLOW))
MEAN_PAUSE_S = 0.1 * SLOW
KILLS_BETWEEN_CALMS = 40  # then load must have been seen to flow from every producer
CALM_SECONDS = 60 * SLOW


def free_ports(count):
    """Addresses nobody listens on now. They must stay the same through every start."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


class Load:
    """Two producers over the stream, and one process with two connections over HTTP."""

    def __init__(self, shop, directory):
        self.ledgers = {prefix: directory / f"{prefix}.ledger" for prefix in ("sa", "sb", "ha", "hb")}
        for ledger in self.ledgers.values():
            ledger.touch()
        self.streams = [subprocess.Popen(
            [str(BIN / "storm_producer"), f"unix:{shop.directory}/storm.sock",
             str(self.ledgers[prefix]), prefix, str(RATE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for prefix in ("sa", "sb")]
        context = multiprocessing.get_context("spawn")
        self.stop, self.report = context.Event(), context.Queue()
        http = {prefix: str(self.ledgers[prefix]) for prefix in ("ha", "hb")}
        self.http = context.Process(target=send_on, daemon=True, args=(
            shop.http, http, RATE / 10, self.stop, self.report))
        self.http.start()

    def check_alive(self):
        assert all(stream.poll() is None for stream in self.streams), "a stream producer has ended"
        assert self.http.is_alive(), "the HTTP producer has ended"

    def finish(self):
        """Stops sending; returns when everything is acked: what the producers say."""
        self.stop.set()
        for stream in self.streams:
            stream.stdin.close()
        said = [json.loads(stream.stdout.read()) for stream in self.streams]
        statuses = [stream.wait(180 * SLOW) for stream in self.streams]
        http = self.report.get(timeout=180 * SLOW)
        self.http.join(30)
        assert statuses == [0, 0], said
        assert all(one["level"] == 2 and one["refused"] == 0 for one in said), said
        assert http["failures"] == [] and http["sent"] == http["acked"], http
        return said, http

    def kill(self):
        self.stop.set()
        for stream in self.streams:
            stream.kill()
            stream.wait()
        self.http.kill()


def storm(shop, killer, load, progress):
    """Kills until it is enough."""
    pace = Pace(killer.rng, MEAN_PAUSE_S)
    next_calm = KILLS_BETWEEN_CALMS
    while killer.count() < KILLS:
        killer.see_to_the_supervisor()
        if killer.kill_one():
            pace.wait()
        else:
            time.sleep(0.005)
        if killer.count() >= next_calm:
            next_calm += KILLS_BETWEEN_CALMS
            calm(shop, killer, load, progress)


def calm(shop, killer, load, progress):
    """Nobody is killed until every producer has got acks again."""
    before = list(progress.acked)
    print(f"{killer.count()} kills, acked {before}", flush=True)
    deadline = time.monotonic() + CALM_SECONDS
    while not progress.moved_since(before, 1):
        load.check_alive()
        killer.see_to_the_supervisor()
        assert time.monotonic() < deadline, (
            f"no acks: {before}, {progress.acked} after {killer.kills}\n{shop.log_text()}")
        time.sleep(0.01)


def whole(shop, killer):
    """Waits until all processes are up and everything that was taken is applied."""
    deadline = time.monotonic() + CALM_SECONDS
    while True:
        killer.see_to_the_supervisor()
        done = shop.deja("stat", "--json", check=False)
        if done.returncode == 0:
            stat = json.loads(done.stdout)
            names = {process["name"] for process in stat["processes"]}
            applied = all(ring["waiting_bytes"] == 0 for ring in stat["rings"])
            # Whatever was killed, every event received is in exactly one counter.
            counted = stat["totals"]["on_their_way"] == 0
            if stat["state"] == "serving" and applied and counted and \
                    names >= {"supervisor", "ingest", "keeper", "console", "worker-0", "worker-2"}:
                return stat
        assert time.monotonic() < deadline, (
            f"it did not get up: {done.stdout[:3000]}\n{done.stderr}\n{shop.log_text()}")
        time.sleep(0.1)


def left_over(shop):
    """Processes, files and sockets that should not be there after a stop."""
    found = [f"{kind} {pid}" for pid, kind in processes_of(shop.directory).items()]
    found += [str(path) for path in shop.directory.iterdir()
              if path.name not in {"durable", "storm.toml", "storm.log"}]
    found += [str(path) for path in shop.directory.rglob("*") if path.is_socket()]
    sockets = pathlib.Path("/proc/net/unix").read_text().splitlines()
    found += [line for line in sockets if str(shop.directory) in line]
    ports = {f"{int(one.rsplit(':', 1)[1]):04X}" for one in (shop.http, shop.console)}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if local.rsplit(":", 1)[1] in ports and state == "0A":
            found.append(f"a listener on {local}")
    return found


def check_against(load_ledgers, exported):
    users, sent, acked = {}, 0, 0
    for ledger in load_ledgers.values():
        its_users, its_sent, its_acked, refused = storm_events.read_ledger(ledger)
        assert refused == [], refused[:5]
        users.update(its_users)
        sent += its_sent
        acked += its_acked
    return {"events": sent, "acked": acked, "users": len(users),
            **storm_events.compare(users, exported)}


def test_the_ledger_and_the_reader_find_what_is_lost_doubled_invented_torn_and_turned_back():
    ledger = {"u": {n: n for n in (1, 2, 50)}}

    def found(events, **changed):
        features = {**storm_events.expected_of({n: n for n in events}), **changed}
        report = storm_events.compare(ledger, {"u": {"features": features}})
        return report["lost"], report["doubled"], report["never_sent"], report["users_wrong"]

    assert found([1, 2, 50]) == (0, 0, 0, 0)
    assert found([1, 50]) == (1, 0, 0, 1)
    assert found([1, 2, 3, 50]) == (0, 0, 1, 1)
    assert found([1, 2, 50], hits=4, hits_1d=4) == (0, 1, 0, 1)
    assert found([1, 2, 50], recent=["i2", "i50"]) == (0, 0, 0, 1)
    watch = Watch()
    watch.look("u", 7, [3, 3, 53, 0b11, 0b10, 0, 0])
    assert watch.torn == watch.back == []
    watch.look("u", 8, [3, 3, 53, 0b11, 0, 0, 0])
    watch.look("u", 9, [4, 4, 54, 0b100, 0b10, 0, 0])
    assert len(watch.torn) == 2
    watch.look("u", 9, [2, 2, 51, 0b1, 0b10, 0, 0])
    watch.look("u", 6, [2, 2, 51, 0b1, 0b10, 0, 0])
    assert len(watch.back) == 2


def test_whatever_is_killed_everything_acknowledged_is_there_exactly_once(tmp_path):
    seed = int(os.environ.get("DEJA_SEED", time.time_ns() % 1_000_000))
    print(f"DEJA_SEED={seed}")
    http, console = free_ports(2)
    profiles = max(20_000, KILLS * int(RATE) // 100)
    shop = Appliance(CONFIG, http=http, console=console, profiles=profiles)
    killer = Killer(shop, random.Random(seed), KILLS // 2)
    load = None
    try:
        shop.start()
        load = Load(shop, tmp_path)
        progress = Progress(load.ledgers.values())
        calm(shop, killer, load, progress)
        context = multiprocessing.get_context("spawn")
        stop_reading, report = context.Event(), context.Queue()
        reader = context.Process(target=read_on, daemon=True, args=(
            shop.name, shop.directory, list(load.ledgers), seed, stop_reading, report))
        reader.start()
        began = time.monotonic()
        try:
            storm(shop, killer, load, progress)
            lasted = time.monotonic() - began
            calm(shop, killer, load, progress)
            said, by_http = load.finish()
            stat = whole(shop, killer)
        finally:
            stop_reading.set()
        seen = report.get(timeout=60 * SLOW)
        reader.join(30)

        found = check_against(load.ledgers, shop.export())
        assert shop.stop(120 * SLOW) == 0, shop.log_text()
        left = left_over(shop)
        shop.start()  # from what it stored
        again = check_against(load.ledgers, shop.export())
        assert shop.stop(120 * SLOW) == 0, shop.log_text()
        left += left_over(shop)

        print(json.dumps({
            "kills": killer.count(), "by_kind": dict(killer.kills), "trees": killer.trees,
            "seconds": round(lasted), "supervisors_started": killer.starts,
            "supervisors_that_gave_up": len(killer.gave_up),
            **{name: value for name, value in found.items() if name != "wrong"},
            "sent_again": sum(one["sent_again"] + one["retried"] for one in said)
            + by_http["resent"], "reads": seen["reads"], "torn": len(seen["torn"]),
            "went_back": len(seen["back"]), "incarnations_seen": seen["incarnations"],
            "left_over": left}))
        assert found["wrong"] == [] and again["wrong"] == [], (found, again)
        assert found["events"] == found["acked"], found
        assert stat["totals"]["dead"] == 0, "a kill cost an event"
        assert seen["torn"] == seen["back"] == seen["other"] == [], seen
        assert seen["reads"] > 10_000 // SLOW and seen["users"] > 100 // SLOW, seen
        assert left == []
        assert killer.spared() == set(), killer.kills
    except BaseException:
        print(f"{killer.kills}, {killer.trees} trees; deja serve had said:\n{shop.log_text()}")
        raise
    finally:
        if load:
            load.kill()
        shop.kill()
        for pid in processes_of(shop.directory):
            killer.kill(pid, "left")
        shop.clean_up()
