"""Workers killed again and again under load while a renderer reads on: it never loses a user, never
sees a profile torn or turned back, and every acknowledged event is applied exactly once."""

import json
import multiprocessing
import os
import pathlib
import random
import signal
import threading
import time

from appliance import Appliance
from renderer import read_on
from traffic import BROKEN, SLOW, Client, accepted, children, eventually, track

CONFIG = """
[appliance]
name = "killed"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 8
huge_pages = "off"

[cpu]
workers = 4

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/killed.sock"]
console = ""

[durability]
directory = "@DIRECTORY@/durable"
dedup_window = 100_000

[events]
view = { track = "Product Viewed", item = "properties.item", n = "properties.n" }

[features]
views  = { type = "count", event = "view" }
twice  = { type = "sum", event = "view", of = "n" }
again  = { type = "count", event = "view", window = "1d" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
"""

KILLS = 24
SENDERS = 2
USERS_EACH = 25
EVENTS_PER_BATCH = 10
ROWS = 300_000


def is_worker(pid):
    try:
        return b"deja-worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Sender(threading.Thread):
    """Sends batches of its own users; one that is not answered, or refused, is sent again under the
    same ids until it is taken."""

    def __init__(self, shop, number, stop):
        super().__init__()
        self.address = shop.http
        self.users = [f"s{number}-u{user}" for user in range(USERS_EACH)]
        self.number = number
        self.stop = stop
        self.acknowledged = {user: 0 for user in self.users}
        self.resends = 0
        self.failure = None

    def run(self):
        try:
            batch_number = 0
            while not self.stop.is_set():
                self.send_until_taken(batch_number)
                batch_number += 1
        except Exception as failure:  # for the test's own thread
            self.failure = failure

    def send_until_taken(self, batch_number):
        left = [track(self.users[(batch_number * 7 + event * 3) % USERS_EACH], "Product Viewed",
                      f"{self.number}-{batch_number}-{event}", item=f"p{event}", n=2)
                for event in range(EVENTS_PER_BATCH)]
        deadline = time.monotonic() + 30 * SLOW
        while left:
            assert time.monotonic() < deadline, "a batch was never taken"
            try:
                with Client(self.address, timeout=5 * SLOW) as client:
                    _, answer, _ = client.post("/v1/batch", {"batch": left})
            except BROKEN:
                self.resends += 1
                continue
            taken = accepted(left, answer)
            for event in taken:
                self.acknowledged[event["userId"]] += 1
            left = [event for event in left if event not in taken]
            self.resends += bool(left)


class Replays(threading.Thread):
    """Keeps the workers busy all the time: a file over the stream, whose client resends by itself,
    again and again with other ids."""

    MAP = """
format = "csv"
user = "user"
time = { column = "when", unit = "s" }
id = ["round", "#row"]
[[event]]
track = "Product Viewed"
properties = { item = "item", n = "n:number" }
"""

    def __init__(self, shop, directory, stop):
        super().__init__()
        self.shop = shop
        self.directory = directory
        self.stop = stop
        self.users = [f"r-u{user}" for user in range(USERS_EACH)]
        self.rounds = 0
        self.failure = None
        (directory / "map.toml").write_text(self.MAP)
        now = int(time.time())
        self.rows = "".join(f"R,{self.users[row % USERS_EACH]},p{row % 8},2,{now}\n"
                            for row in range(ROWS))

    def run(self):
        try:
            while not self.stop.is_set():
                data = self.directory / "rows.csv"
                data.write_text("round,user,item,n,when\n" +
                                self.rows.replace("R,", f"R{self.rounds},"))
                done = self.shop.deja("replay", data, "--map", self.directory / "map.toml", "--via",
                                      "stream", "--probes", "0", "--json", timeout=100 * SLOW)
                summary = json.loads(done.stdout)
                assert summary["acked"] == ROWS and summary["rejected"] == 0, summary
                self.rounds += 1
        except Exception as failure:  # for the test's own thread
            self.failure = failure


def test_readers_read_on_and_every_event_is_applied_once(tmp_path):
    seed = int(os.environ.get("DEJA_SEED", time.time_ns() % 1_000_000))
    print(f"DEJA_SEED={seed}")
    rng = random.Random(seed)
    with Appliance(CONFIG) as shop:
        stop_sending = threading.Event()
        senders = [Sender(shop, number, stop_sending) for number in range(SENDERS)]
        replays = Replays(shop, tmp_path, stop_sending)
        users = [user for sender in [*senders, replays] for user in sender.users]
        context = multiprocessing.get_context("spawn")
        stop_reading, report = context.Event(), context.Queue()
        reader = context.Process(target=read_on, daemon=True,
                                 args=(shop.name, shop.directory, users, stop_reading, report))
        reader.start()
        try:
            for sender in [*senders, replays]:
                sender.start()
            eventually(lambda: all(min(sender.acknowledged.values()) > 0 for sender in senders))
            eventually(lambda: shop.stat()["totals"]["applied"] > ROWS // 10)
            killed = set()
            while len(killed) < KILLS:
                alive = [pid for pid in children(shop.process.pid)
                         if pid not in killed and is_worker(pid)]
                if not alive:
                    time.sleep(0.001)
                    continue
                pid = rng.choice(alive)
                # Held until much has come in, it is likely to be at work then. (The windows within a
                # step are microseconds; tests/workers/worker/worker_crash_test.cc dies in each.)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(rng.uniform(0.05, 0.3))
                os.kill(pid, signal.SIGCONT)
                time.sleep(rng.uniform(0.0, 0.003))
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            stop_sending.set()
            for sender in [*senders, replays]:
                sender.join(60 * SLOW)
                assert not sender.is_alive() and sender.failure is None, sender.failure
        finally:
            stop_sending.set()
            stop_reading.set()
        seen = report.get(timeout=30 * SLOW)
        reader.join(30)
        assert seen["wrong"] == []
        assert seen["users"] == len(users) and seen["reads"] > 1_000, seen

        acknowledged = {}
        for sender in senders:
            acknowledged.update(sender.acknowledged)
        for user in replays.users:
            acknowledged[user] = replays.rounds * ROWS // USERS_EACH
        features = {user: profile["features"] for user, profile in shop.export().items()}
        assert {user: values["views"] for user, values in features.items()} == acknowledged
        assert all(values["twice"] == 2 * values["views"] == 2 * values["again"]
                   for values in features.values())
        totals = shop.stat()["totals"]
        received = totals.pop("received")
        assert received == sum(totals.values()), totals
        assert totals["applied"] == sum(acknowledged.values())
        assert totals["dead"] == 0, "a killed worker cost an event"
        deaths = [error for error in json.loads(shop.deja("errors", "--json").stdout)
                  if "signal 9" in error["error"]]
        assert deaths and pathlib.Path(shop.log).read_text().count("signal 9") == KILLS
