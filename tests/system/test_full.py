"""A full table and a full ring: who is refused and how, who goes on, and that everything which was
accepted and not listed in `rejected` is there, once."""

import json
import os
import signal
import subprocess
import threading
import time

from appliance import BIN, Appliance
from traffic import SLOW, Client, accepted, eventually, processes, track, worker_of

CONFIG = """
[appliance]
name = "full"
directory = "@DIRECTORY@"
profiles = @PROFILES@
shards = @SHARDS@
huge_pages = "off"

[cpu]
workers = @WORKERS@

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/full.sock"]
console = ""

[durability]
directory = "@DIRECTORY@/durable"
dedup_window = 10_000

[events]
view = { track = "Product Viewed", item = "properties.item", note = "properties.note" }

[features]
views = { type = "count", event = "view" }
notes = { type = "distinct", event = "view", of = "note" }
last  = { type = "last", event = "view", of = "item" }
"""


def full(profiles=1_000, shards=4, workers=2):
    return Appliance(CONFIG, profiles=profiles, shards=shards, workers=workers)


class Ledger:
    """What the appliance has said yes to, by message id, kept outside of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.ids = {}  # user: set of message ids

    def add(self, events):
        with self.lock:
            for event in events:
                self.ids.setdefault(event["userId"], set()).add(event["messageId"])

    def views(self):
        return {user: len(ids) for user, ids in self.ids.items()}


def views_of(shop):
    return {user: profile["features"]["views"] for user, profile in shop.export().items()}


def assert_sums_agree(shop):
    """Every received event ends in exactly one counter."""
    totals = eventually(lambda: (t := shop.stat()["totals"])["on_their_way"] == 0 and t)
    received = totals.pop("received")
    assert received == sum(totals.values()), totals
    return totals


def test_a_full_table_refuses_new_users_and_known_ones_go_on():
    shop = full(profiles=16, shards=1, workers=1)
    try:
        shop.start()
        ledger = Ledger()
        with Client(shop.http) as client:
            def send(user, message_id):
                event = track(user, "Product Viewed", message_id, item="p")
                status, answer, headers = client.post("/v1/track", event)
                if status == 200:
                    ledger.add([event])
                return status, answer, headers

            known = []
            while (sent := send(f"u{len(known)}", f"first-{len(known)}"))[0] == 200:
                known.append(f"u{len(known)}")
                assert len(known) < 1_000, "a table for 16 is never full"
            assert len(known) >= 16

            # Alone: 503, when to come again, and the same again for the same message.
            for _ in range(3):
                status, answer, headers = sent
                assert status == 503 and int(headers["Retry-After"]) >= 1
                assert answer["success"] is False and answer["error"]["code"] == "table_full"
                assert "Deja-Ack" not in headers
                sent = send(f"u{len(known)}", f"first-{len(known)}")
            for user in known:
                assert send(user, f"second-{user}")[0] == 200

            # In a batch: new ones are listed, the others are in.
            batch = [track(user, "Product Viewed", f"third-{user}", item="p")
                     for pair in zip(known, (f"new{n}" for n in range(10))) for user in pair]
            status, answer, headers = client.post("/v1/batch", {"batch": batch})
            assert status == 200 and answer["success"] is True and headers["Deja-Ack"] == "durable"
            assert [(entry["index"], entry["code"], entry["path"]) for entry in answer["rejected"]] \
                == [(index, "table_full", f"batch[{index}]") for index in range(1, len(batch), 2)]
            ledger.add(accepted(batch, answer))

            # New ones alone in a batch: nothing is in, come again.
            refused = batch[1::2]
            status, answer, headers = client.post("/v1/batch", {"batch": refused})
            assert status == 503 and int(headers["Retry-After"]) >= 1
            assert answer["error"]["code"] == "table_full"
            assert [entry["index"] for entry in answer["rejected"]] == list(range(len(refused)))

        assert views_of(shop) == ledger.views()
        assert set(ledger.views()) == set(known)
        assert assert_sums_agree(shop)["rejected"] == 4 + 2 * len(refused)
        assert shop.stop() == 0

        # With more room the same messages are taken: a refusal is not remembered as a duplicate.
        shop.config.write_text(shop.config.read_text().replace("profiles = 16", "profiles = 64"))
        shop.start()
        assert views_of(shop) == ledger.views()
        with Client(shop.http) as client:
            status, answer, _ = client.post("/v1/batch", {"batch": refused})
            assert status == 200 and "rejected" not in answer
        ledger.add(refused)
        assert views_of(shop) == ledger.views()
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_a_stream_s_new_users_are_refused_by_a_full_table_too(tmp_path):
    (tmp_path / "clicks.map.toml").write_text(MAP)
    with full(profiles=16, shards=1, workers=1) as shop:
        clicks = tmp_path / "clicks.csv"
        clicks.write_text("user,item,note,when\n" + "".join(
            f"u{number % 100},p{number},n,{1_700_000_000 + number}\n" for number in range(1_000)))
        done = subprocess.run(replay(shop, clicks, tmp_path), capture_output=True, text=True,
                              timeout=60 * SLOW)
        summary = json.loads(done.stdout)
        views = views_of(shop)
        assert 16 <= len(views) < 100 and set(views.values()) == {10}
        assert summary["acked"] == sum(views.values()), summary
        assert summary["acked"] + summary["rejected"] == summary["sent"] == 1_000
        assert_sums_agree(shop)


MAP = """
format = "csv"
user = "user"
time = { column = "when", unit = "s" }
[[event]]
track = "Product Viewed"
properties = { item = "item", note = "note" }
"""


def replay(shop, data, tmp_path):
    return [str(BIN / "deja"), "replay", str(data), "--map", str(tmp_path / "clicks.map.toml"),
            "--via", "stream", "--name", shop.name, "--directory", str(shop.directory), "--probes",
            "0", "--json"]


def users_by_worker(shop, count):
    """[[users of worker 0], [users of worker 1]], each known by one view."""
    users = [[], []]
    with Client(shop.http) as client:
        number = 0
        while min(map(len, users)) < count:
            event = track(f"u{number}", "Product Viewed", f"known-{number}", item="p")
            status, _, headers = client.post("/v1/track", event)
            assert status == 200
            users[worker_of(headers)].append(event["userId"])
            number += 1
    return users


NOTE = "x" * 20_000  # four hundred of these are more than two rings hold


def test_a_full_ring_holds_only_its_own_senders_and_loses_nothing():
    with full() as shop:
        ledger = Ledger()
        stuck, free = users_by_worker(shop, 8)
        for number in range(len(stuck) + len(free)):
            ledger.add([track(f"u{number}", "Product Viewed", f"known-{number}")])
        pid = processes(shop)["worker-0"]
        answers = []

        def send(batch):
            with Client(shop.http) as client:
                status, answer, headers = client.post("/v1/batch", {"batch": batch})
                ledger.add(accepted(batch, answer))
                answers.append((batch, status, answer, headers))

        batches = [[track(stuck[(number + event) % len(stuck)], "Product Viewed",
                          f"{number}-{event}", note=NOTE) for event in range(20)]
                   for number in range(20)]
        senders = [threading.Thread(target=send, args=(batch,)) for batch in batches]
        os.kill(pid, signal.SIGSTOP)
        try:
            for sender in senders:
                sender.start()
            with Client(shop.http) as client:
                gone_on = 0

                def goes_on():
                    nonlocal gone_on
                    for user in free:
                        event = track(user, "Product Viewed", f"on-{gone_on}-{user}", item="p")
                        status, answer, _ = client.post("/v1/track", event)
                        assert status == 200, answer
                        ledger.add([event])
                    gone_on += 1

                def refused_by_the_ring():
                    goes_on()
                    return shop.stat()["rejected"].get("ring_full", 0)

                eventually(refused_by_the_ring)
                # Some of the first batches are in the ring: their senders wait.
                assert [sender for sender in senders if sender.is_alive()]
                fill = {ring["name"]: ring["fill"] for ring in shop.stat()["rings"]}
                assert fill["ring-0-0"] > 0.9 and fill["ring-0-1"] < 0.1, fill

                # A single event that finds no room waits for the bound, then has to come again.
                event = track(stuck[0], "Product Viewed", "single", note=NOTE)
                with Client(shop.http) as other:
                    status, answer, headers = other.post("/v1/track", event)
                assert status == 503 and int(headers["Retry-After"]) >= 1
                assert answer["error"]["code"] == "ring_full"
                goes_on()
        finally:
            os.kill(pid, signal.SIGCONT)
        for sender in senders:
            sender.join(30 * SLOW)
        assert len(answers) == len(batches)

        assert views_of(shop) == ledger.views()
        refused = [entry for _, _, answer, _ in answers for entry in answer.get("rejected", [])]
        assert {entry["code"] for entry in refused} == {"ring_full"}
        assert {status for _, status, _, _ in answers} == {200, 503}
        for batch, status, answer, headers in answers:
            assert (status == 503) == ("rejected" in answer) == ("Retry-After" in headers)
            assert ("Deja-Ack" in headers) == (len(answer.get("rejected", [])) < len(batch))

        # Sent again whole, what was in stays in once and the rest comes in.
        for batch, _, _, _ in answers:
            with Client(shop.http) as client:
                status, answer, _ = client.post("/v1/batch", {"batch": batch})
                assert status == 200 and "rejected" not in answer
                ledger.add(batch)
        assert views_of(shop) == ledger.views()
        totals = assert_sums_agree(shop)
        assert totals["rejected"] == len(refused) + 1
        assert totals["duplicate"] == sum(map(len, batches)) - len(refused)


def test_a_stream_that_meets_a_full_ring_goes_on_when_there_is_room(tmp_path):
    (tmp_path / "clicks.map.toml").write_text(MAP)
    with full() as shop:
        stuck, free = users_by_worker(shop, 4)
        before = views_of(shop)
        clicks = tmp_path / "clicks.csv"
        clicks.write_text("user,item,note,when\n" + "".join(
            f"{stuck[number % 4]},p{number},{NOTE},{1_700_000_000 + number}\n"
            for number in range(400)))
        pid = processes(shop)["worker-0"]
        os.kill(pid, signal.SIGSTOP)
        try:
            sending = subprocess.Popen(replay(shop, clicks, tmp_path), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            with Client(shop.http) as client:
                eventually(lambda: next(ring["fill"] for ring in shop.stat()["rings"]
                                        if ring["name"] == "ring-0-0") > 0.4)
                until = time.monotonic() + 2.5  # past the bound, in which a stream waits as well
                while time.monotonic() < until:
                    event = track(free[0], "Product Viewed", item="p")
                    assert client.post("/v1/track", event)[0] == 200
                    before[free[0]] += 1
                assert sending.poll() is None
        finally:
            os.kill(pid, signal.SIGCONT)
        out, complaints = sending.communicate(timeout=60 * SLOW)
        assert sending.returncode == 0, complaints
        summary = json.loads(out)
        assert summary["sent"] == summary["acked"] == 400 and summary["rejected"] == 0, summary
        for user in stuck[:4]:
            before[user] += 100
        assert views_of(shop) == before
        assert_sums_agree(shop)
