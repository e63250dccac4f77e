"""What an ack at level durable waits for, on a real appliance: the keeper's journal. And what becomes
of it when the keeper stands still or its disk is full."""

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile

import pytest

from appliance import Appliance
from traffic import Client, eventually, processes, track

CONFIG = """
[appliance]
name = "acks"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4
huge_pages = "off"

[cpu]
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/acks.sock"]
console = ""

[durability]
directory = "@DIRECTORY@/durable"
@ACK@

[events]
view = { track = "Product Viewed", item = "properties.item" }

[features]
views = { type = "count", event = "view" }
"""


def view(user, message_id=None):
    return track(user, "Product Viewed", message_id, item="p1")


def ack_of(appliance, event, **headers):
    status, answer, got = appliance.post("/v1/track", event, headers)
    assert status == 200, answer
    return got["Deja-Ack"]


def test_durable_is_the_default_and_a_request_may_ask_for_the_other():
    with Appliance(CONFIG, ack="") as shop:
        assert ack_of(shop, view("u")) == "durable"
        assert ack_of(shop, view("u"), **{"Deja-Ack": "applied"}) == "applied"
        assert ack_of(shop, view("u"), **{"Deja-Ack": "durable"}) == "durable"
        assert shop.post("/v1/track", view("u"), {"Deja-Ack": "twice"})[0] == 400
        assert shop.profile("u")["features"]["views"] == 3
    with Appliance(CONFIG, ack='ack = "applied"') as shop:
        assert ack_of(shop, view("u")) == "applied"
        assert ack_of(shop, view("u"), **{"Deja-Ack": "durable"}) == "durable"


def answers(client):
    """Whether the answer to what was sent has begun to come."""
    return bool(select.select([client.connection.sock], [], [], 0.2)[0])


def test_while_the_keeper_stands_still_durable_answers_wait_and_applied_ones_do_not():
    with Appliance(CONFIG, ack="") as shop:
        assert ack_of(shop, view("u", "m1")) == "durable"
        keeper = processes(shop)["keeper"]
        os.kill(keeper, signal.SIGSTOP)
        try:
            with Client(shop.http) as first, Client(shop.http) as again:
                for client in (first, again):  # the second is a duplicate of the first
                    client.connection.request("POST", "/v1/track", json.dumps(view("u", "m2")))
                assert ack_of(shop, view("u", "m3"), **{"Deja-Ack": "applied"}) == "applied"
                assert shop.profile("u")["features"]["views"] == 3, "they are visible"
                assert not answers(first) and not answers(again)
                os.kill(keeper, signal.SIGCONT)
                for client in (first, again):
                    answer = client.connection.getresponse()
                    assert answer.status == 200 and answer.headers["Deja-Ack"] == "durable"
        finally:
            os.kill(keeper, signal.SIGCONT)
        assert shop.profile("u")["features"]["views"] == 3


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", path],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_a_full_disk_refuses_durable_events_until_it_has_room_again():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="deja-test-", dir="/dev/shm"))
    try:
        # Room for one segment of the journal (64 MiB), and each life of a keeper begins one.
        with small_disk(directory / "durable", "96m"), \
                Appliance(CONFIG, keep_directory=directory, ack="") as shop:
            assert ack_of(shop, view("u", "m1")) == "durable"
            os.kill(processes(shop)["keeper"], signal.SIGKILL)
            batch = {"batch": [view("u", "m2"), view("v", "m3")]}
            status, answer, headers = shop.post("/v1/batch", batch, timeout=60)
            assert status == 503 and answer["error"]["code"] == "journal_full", answer
            assert [entry["code"] for entry in answer["rejected"]] == ["journal_full"] * 2
            assert int(headers["Retry-After"]) > 0 and "Deja-Ack" not in headers
            assert ack_of(shop, view("w", "m4"), **{"Deja-Ack": "applied"}) == "applied"
            assert shop.post("/v1/track", view("w", "m5"))[0] == 503, "refused before it is in a ring"
            assert shop.profile("w")["features"]["views"] == 1
            assert shop.stat()["journal"]["state"] == "full"
            assert "its disk is full" in shop.deja("stat").stdout
            subprocess.run(["mount", "-o", "remount,size=512m", directory / "durable"], check=True)

            def taken():
                status, _, headers = shop.post("/v1/batch", batch, timeout=60)
                return status == 200 and headers["Deja-Ack"] == "durable"

            eventually(taken)
            assert ack_of(shop, view("w", "m5")) == "durable"
            assert {user: profile["features"]["views"] for user, profile in shop.export().items()} \
                == {"u": 2, "v": 1, "w": 2}, "each event once, however often it was sent"
            totals = shop.stat()["totals"]
            ends = ("applied", "duplicate", "unmatched", "alias", "abandoned", "rejected", "dead")
            assert totals["received"] == sum(totals[end] for end in ends)
            assert shop.stat()["journal"]["state"] == "writing"
            refused = [name for name in shop.stat()["rejected"] if name.startswith("journal")]
            assert refused == ["journal_full"]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
