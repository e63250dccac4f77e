"""More users than the table holds: who leaves the memory comes back whole, by an event, or because a
renderer asks; whatever is killed meanwhile, each acknowledged event counts once."""

import concurrent.futures
import http.client
import json
import os
import random
import signal
import threading
import time

from appliance import Appliance
from traffic import BROKEN, SLOW, Client, accepted, eventually, processes, track

CONFIG = """
[appliance]
name = "small"
directory = "@DIRECTORY@"
profiles = 200
shards = 4
huge_pages = "off"

[cpu]
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/small.sock"]
console = "127.0.0.1:0"

[redis]
flush_every = "20ms"
loss_window = "0s"

[durability]
directory = "@DIRECTORY@/durable"
dedup_window = 50_000

[events]
view = { track = "Product Viewed", item = "properties.item" }

[features]
views = { type = "count", event = "view" }
items = { type = "distinct", event = "view", of = "item" }
"""
KILLS = 40 // SLOW
USERS = [f"user-{number}" for number in range(1_500)]


class Traffic:
    """Events of many users, at random, sent until each is acknowledged; and what they add up to."""

    def __init__(self, shop, seed):
        self.shop = shop
        self.random = random.Random(seed)
        self.views = {}
        self.next_id = 0
        self.client = None

    def round(self, events, deadline_s=120 * SLOW):
        waiting = []
        for _ in range(events):
            self.next_id += 1
            user = self.random.choice(USERS)
            waiting.append(track(user, "Product Viewed", f"m{self.next_id}", item=f"p{self.next_id % 7}"))
        deadline = time.monotonic() + deadline_s
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} events were never taken"
            some, rest = waiting[:50], waiting[50:]
            taken = self.send(some)
            ids = {event["messageId"] for event in taken}
            for event in taken:
                self.views[event["userId"]] = self.views.get(event["userId"], 0) + 1
            waiting = rest + [event for event in some if event["messageId"] not in ids]
            if len(taken) < len(some):
                time.sleep(0.005)

    def send(self, events):
        try:
            self.client = self.client or Client(self.shop.http)
            status, answer, _ = self.client.post("/v1/batch", {"batch": events})
            return accepted(events, answer) if status == 200 else []
        except (*BROKEN, json.JSONDecodeError):
            self.client = None
            return []


class Console:
    """Profiles by HTTP, as a storefront without libdeja reads them."""

    def __init__(self, shop):
        self.connection = http.client.HTTPConnection(shop.console, timeout=30 * SLOW)

    def get(self, user):
        self.connection.request("GET", f"/v1/profiles/{user}")
        answer = self.connection.getresponse()
        body = json.loads(answer.read())
        return body if answer.status == 200 else None


def counter(shop, name):
    connection = http.client.HTTPConnection(shop.console, timeout=30 * SLOW)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines
               if line.split("{")[0].split(" ")[0] == name and not line.startswith("#"))


def settled(shop):
    """Everything that was taken is applied, stored, and no profile is partial."""
    eventually(lambda: shop.stat()["state"] == "serving" and counter(shop, "deja_profiles_partial") == 0
               and counter(shop, "deja_flush_lag_events") == 0, 60)


def assert_everybody_counts(shop, traffic):
    """Reads everybody through the console, some at once: each miss waits for the store."""
    wrong = {}

    def whole(console, user):
        profile = console.get(user)
        return profile and not profile.get("partial") and profile

    def read(users):
        console = Console(shop)
        for user in users:
            seen = eventually(lambda user=user: whole(console, user))["features"]["views"]
            if seen != traffic.views[user]:
                wrong[user] = (seen, traffic.views[user])

    users = sorted(traffic.views)
    with concurrent.futures.ThreadPoolExecutor(8) as readers:
        for done in [readers.submit(read, users[at::8]) for at in range(8)]:
            done.result()
    assert wrong == {}


def test_who_leaves_the_memory_comes_back_whole():
    with Appliance(CONFIG) as shop:
        traffic = Traffic(shop, 1)
        for _ in range(6):
            traffic.round(1_000)
        settled(shop)
        assert len(traffic.views) > 1_000
        assert counter(shop, "deja_profiles") < 600
        assert counter(shop, "deja_evicted_total") > 1_000
        assert counter(shop, "deja_profiles_merged_total") > 1_000
        before = counter(shop, "deja_profiles_put_back_total")
        assert_everybody_counts(shop, traffic)
        assert counter(shop, "deja_profiles_put_back_total") > before + 500
        assert counter(shop, "deja_return_faults_total") == 0

        # Whoever was never here is nobody, asked for or not.
        assert Console(shop).get("nobody") is None
        assert shop.profile("nobody") is None
        # deja get asks, too.
        gone = next(user for user in traffic.views if user not in shop.export())
        assert shop.profile(gone)["features"]["views"] == traffic.views[gone]


def test_whatever_is_killed_while_they_leave_and_come_back():
    seed = int(os.environ.get("DEJA_SEED", time.time_ns() % 1_000_000))
    print(f"DEJA_SEED={seed}")
    chance = random.Random(seed)
    with Appliance(CONFIG) as shop:
        traffic = Traffic(shop, seed)
        traffic.round(1_000)
        stop = threading.Event()
        kills = []

        def kill_on():
            while not stop.wait(chance.uniform(0.01, 0.3) * SLOW):
                running = {name: pid for name, pid in processes(shop).items()
                           if name.startswith(("worker", "keeper", "ingest"))}
                name, pid = chance.choice(sorted(running.items()))
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills.append(name)
                except ProcessLookupError:
                    pass

        killer = threading.Thread(target=kill_on)
        killer.start()
        try:
            deadline = time.monotonic() + 120 * SLOW
            while len(kills) < KILLS:
                traffic.round(200)
                assert killer.is_alive() and time.monotonic() < deadline
        finally:
            stop.set()
            killer.join()
        settled(shop)
        print(f"{len(kills)} kills, {sum(traffic.views.values())} events, "
              f"{counter(shop, 'deja_evicted_total'):.0f} evicted")
        assert counter(shop, "deja_evicted_total") > 500
        assert_everybody_counts(shop, traffic)
