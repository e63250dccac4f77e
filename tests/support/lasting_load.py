"""Producers and renderers that go on while an appliance is changed under them: every event that was
acknowledged must be there afterwards, once, and no read may fail. The config is as renderer.py wants
it."""

import itertools
import multiprocessing
import threading

from renderer import read_on
from traffic import BROKEN, Client, eventually, track

USERS = [f"u{number}" for number in range(40)]


class Producer(threading.Thread):
    """Sends views of all users, each until it is acknowledged; a resend is known by its id."""

    def __init__(self, shop, name, key):
        super().__init__()
        self.shop, self.name_ = shop, name
        self.key = {"writeKey": key} if key else {}
        self.stopping = threading.Event()
        self.acked = dict.fromkeys(USERS, 0)
        self.refused = []

    def run(self):
        for number in itertools.count():
            if self.stopping.is_set():
                return
            user = USERS[number % len(USERS)]
            call = track(user, "Product Viewed", f"{self.name_}-{number}", n=2)
            while True:
                try:
                    with Client(self.shop.http) as client:
                        status, answer, _ = client.post("/v1/track", {**call, **self.key})
                except BROKEN:
                    continue
                if status == 200:
                    self.acked[user] += 1
                    break
                if status != 503:
                    self.refused.append((status, answer))
                    return


class LastingLoad:
    """While it is entered three producers send and two renderers' processes read. At its end all that
    must be true is asserted; `attached` then says how often each renderer had to attach again."""

    def __init__(self, shop, key=None):
        self.shop = shop
        self.producers = [Producer(shop, name, key) for name in ("a", "b", "c")]
        self.stop, self.report = multiprocessing.Event(), multiprocessing.Queue()
        self.renderers = [multiprocessing.Process(target=read_on, args=(
            shop.name, shop.directory, USERS, self.stop, self.report, True)) for _ in range(2)]
        self.attached = []

    def acknowledged(self, user=None):
        return sum(producer.acked[user] if user else sum(producer.acked.values()) for producer in self.producers)

    def __enter__(self):
        for each in self.producers:
            each.start()
        eventually(lambda: len(self.shop.export()) == len(USERS))
        for each in self.renderers:
            each.start()
        return self

    def __exit__(self, failure, *_):
        for each in self.producers:
            each.stopping.set()
        for each in self.producers:
            each.join()
        self.stop.set()
        found = [self.report.get(timeout=60) for _ in self.renderers]
        for each in self.renderers:
            each.join()
        if failure is not None:
            return
        assert [producer.refused for producer in self.producers] == [[], [], []]
        assert [reader["wrong"] for reader in found] == [[], []]
        assert [reader["users"] for reader in found] == [len(USERS)] * 2
        self.attached = [reader["attached"] for reader in found]
        profiles = self.shop.export()
        for user in USERS:
            assert profiles[user]["features"]["views"] == self.acknowledged(user), user
