"""An event that can't be understood: its producer is told at once, the rest of its batch goes on, and
what it was is kept as a dead letter, which is no event of its own and costs nobody else anything."""

import json
import os
import re
import signal

import bad_input_capnp as capnp
from appliance import Appliance, run
from bad_input_shop import StreamWire
from traffic import eventually, track

CONFIG = """
[appliance]
name = "rejects"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4
key_bytes = @KEY_BYTES@
huge_pages = "off"

[cpu]
ingest = 1
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["127.0.0.1:0"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", item = "properties.item" }

[features]
views  = { type = "count", event = "view" }
recent = { type = "recent", event = "view", of = "item" }
"""

LONG = "a-user-with-a-long-name"
BURST, PER_SECOND = 100, 20


def shop_of(key_bytes=16, **more):
    return Appliance(CONFIG.replace("@KEY_BYTES@", str(key_bytes)), **more)


def dlq(shop, *arguments, check=True):
    return run("deja", "dlq", arguments[0], "--name", shop.name, "--directory", shop.directory,
               *arguments[1:], check=check)


def letters(shop):
    return json.loads(dlq(shop, "list", "--json").stdout)


def faults(shop):
    """{(code, path): number}; each worker's letters come in their order, and no others."""
    assert all(letter["reason"] == "rejected" for letter in letters(shop))
    return {(letter["code"], letter["path"]): letter["number"] for letter in letters(shop)}


def shown(shop, number):
    return json.loads(dlq(shop, "show", str(number)).stdout)


def counters(shop, prefix):
    """{name with labels: value} over all processes."""
    found = {}
    for process in shop.stat()["processes"]:
        for name, value in process["counters"].items():
            if name.startswith(prefix):
                found[name] = found.get(name, 0) + value
    return found


def outcome(shop, name):
    return sum(value for labels, value in counters(shop, "deja_rejected_letters_total").items()
               if f'outcome="{name}"' in labels)


def sums_agree(shop):
    """Every event that was received ended in exactly one counter; a letter is none."""
    totals = shop.stat()["totals"]
    ends = sum(totals[end] for end in ("applied", "duplicate", "unmatched", "rejected", "dead"))
    return totals["received"] == ends and totals["dead"] == 0 and totals


def bad_batch(tag):
    """Bad events between good ones, and what each is rejected for."""
    return [track("ada", "Product Viewed", f"{tag}-1", item="p1"),
            track(LONG, "Product Viewed", f"{tag}-2", item="p2"),
            {"type": "track", "userId": "ada", "properties": {"secret": "\x1b[2J\u00e9"}},
            track("ada", "Product Viewed", f"{tag}-3", item="p3")]


def change_config(shop, before, after):
    assert shop.stop() == 0, shop.log_text()
    text = shop.config.read_text()
    assert before in text
    shop.config.write_text(text.replace(before, after))
    shop.start()


def test_over_http_the_bad_ones_are_kept_and_replayed_once_the_config_takes_them():
    with shop_of() as shop:
        status, answer, _ = shop.post("/v1/batch", {"batch": bad_batch("h")})
        assert status == 200 and [entry["index"] for entry in answer["rejected"]] == [1, 2], answer
        assert shop.profile("ada")["features"]["views"] == 2
        assert shop.post("/v1/track", b'{"event": "Product Viewed", ')[0] == 400
        assert shop.post("/v1/page", {"anonymousId": "x" * 17})[0] == 400
        eventually(lambda: len(letters(shop)) == 4)
        found = faults(shop)
        assert set(found) == {("key_too_long", "userId"), ("missing_event", "event"),
                              ("bad_json", ""), ("key_too_long", "anonymousId")}
        long = found["key_too_long", "userId"]
        table = dlq(shop, "list").stdout
        assert "rejected: key_too_long at userId" in table and "\x1b" not in table
        [line] = [line for line in table.splitlines() if "missing_event at event" in line]
        assert re.search(r"missing_event at event +track +ada +ring", line), table
        first = shown(shop, long)
        assert json.loads(first["text"]) == bad_batch("h")[1] and first["from"] == "http"
        assert first["not_replayable"] is None and first["cut"] is False
        assert shown(shop, found["bad_json", ""])["text"] == '{"event": "Product Viewed", '
        assert eventually(lambda: sums_agree(shop))["rejected"] == 4
        assert sum(counters(shop, 'deja_log_records_total{kind="rejected"').values()) == 4

        # Too early: rejected again, said so, not marked, and no letter twice.
        early = dlq(shop, "replay", str(long), check=False)
        assert early.returncode == 1, early
        assert "rejected it again: key_too_long at batch[0].userId" in early.stderr, early
        assert shop.stat()["totals"]["rejected"] == 5
        assert [letter["replayed"] for letter in letters(shop)] == [None] * 4

        # Killed at will, they are there.
        for name in ("keeper", "worker-0", "worker-1"):
            [pid] = [each["pid"] for each in shop.stat()["processes"] if each["name"] == name]
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: all(each["starts"] == 2 for each in shop.stat()["processes"]
                               if each["name"].startswith(("keeper", "worker"))))
        shop.post("/v1/track", track("ada", "Product Viewed", "h-4", item="p4"))
        assert len(letters(shop)) == 4
        assert sums_agree(shop)["rejected"] == 5

        change_config(shop, "key_bytes = 16", "key_bytes = 40")
        assert len(letters(shop)) == 4
        done = dlq(shop, "replay", "--all", "--json", check=False)
        assert done.returncode == 1 and json.loads(done.stdout) == {
            "replayed": 2, "before": 0, "failed": 2, "ack": "durable"}, done
        assert "rejected it again: missing_event at" in done.stderr
        assert "rejected it again: bad_json" in done.stderr
        features = shop.profile(LONG)["features"]
        assert features["views"] == 1 and features["recent"] == ["p2"]
        assert {letter["code"] for letter in letters(shop) if letter["replayed"]} == {
            "key_too_long"}
        # A client that never gave up: its id is known.
        shop.post("/v1/batch", {"batch": bad_batch("h")})
        assert shop.profile(LONG)["features"]["views"] == 1


def test_over_the_stream_likewise():
    with shop_of() as shop:
        wire = StreamWire(shop.streams[0])
        wire.send(capnp.hello_frame())
        assert wire.read()["kind"] == "helloReply"
        good = capnp.event(user="ada", properties={"item": "p1"})
        long = capnp.event(user=LONG, message_id="s-2",
                           properties={"item": "p2", "list": [1.5, True, None, {"deep": "\u00e9"}]})
        ack = wire.batch(good, long, capnp.event(user="ada", name=b"\xff\x00"), good)
        assert [(entry["index"], entry["code"]) for entry in ack["rejects"]] == [
            (1, "key_too_long"), (2, "bad_utf8")], ack
        assert shop.profile("ada")["features"]["views"] == 2
        eventually(lambda: len(letters(shop)) == 2)
        found = faults(shop)
        assert set(found) == {("key_too_long", "userId"), ("bad_utf8", "name")}
        first = shown(shop, found["key_too_long", "userId"])
        assert first["from"] == "stream" and json.loads(first["text"]) == {
            "type": "track", "event": "Product Viewed", "userId": LONG, "messageId": "s-2",
            "properties": {"item": "p2", "list": [1.5, True, None, {"deep": "\u00e9"}]}}
        second = shown(shop, found["bad_utf8", "name"])
        assert second["cut"] is True and second["not_replayable"] == "not all of it was kept"
        assert eventually(lambda: sums_agree(shop))["rejected"] == 2
        change_config(shop, "key_bytes = 16", "key_bytes = 40")
        done = dlq(shop, "replay", str(found["key_too_long", "userId"]), "--json")
        assert json.loads(done.stdout)["replayed"] == 1
        assert shop.profile(LONG)["features"]["recent"] == ["p2"]


def test_a_flood_of_them_costs_nobody_else_anything():
    with shop_of() as shop:
        sent = 0
        for turn in range(50):
            batch = [{"type": "track", "userId": "mallory", "n": turn}] * 100
            good = track("ada", "Product Viewed", f"f-{turn}", item=f"p{turn}")
            status, answer, headers = shop.post("/v1/batch", {"batch": batch + [good]})
            sent += len(batch)
            assert status == 200 and len(answer["rejected"]) == 100, answer
            assert headers["Deja-Ack"] == "durable"
        assert sent == 5_000
        totals = eventually(lambda: sums_agree(shop))
        assert totals["rejected"] == 5_000 and totals["applied"] == 50
        assert shop.profile("ada")["features"]["views"] == 50
        handed = outcome(shop, "handed")
        assert handed >= BURST
        assert handed + outcome(shop, "over_rate") + outcome(shop, "no_room") == 5_000
        assert outcome(shop, "over_rate") > 0
        eventually(lambda: len(letters(shop)) == handed)
        assert sum(counters(shop, "deja_dead_letters_dropped_total").values()) == 0


def test_only_what_a_right_key_brings_is_kept():
    with shop_of() as shop:
        text = shop.config.read_text()
        change_config(shop, 'console = "127.0.0.1:0"',
                      'console = "127.0.0.1:0"\nwrite_keys = ["the-key"]')
        assert text != shop.config.read_text()
        assert shop.post("/v1/track", b"{nonsense")[0] == 400
        basic = {"Authorization": "Basic dGhlLWtleTo="}
        assert shop.post("/v1/track", b"{known nonsense", basic)[0] == 400
        no_letter = {**basic, "Deja-Dead-Letter": "no"}
        assert shop.post("/v1/track", b"{unwanted nonsense", no_letter)[0] == 400
        inside = json.dumps({"writeKey": "the-key", "batch": 7}).encode()
        assert shop.post("/v1/batch", inside)[0] == 400
        eventually(lambda: len(letters(shop)) == 2)
        assert {shown(shop, number)["text"] for number in (1, 2)} == {"{known nonsense",
                                                                      inside.decode()}
        assert "nonsense" not in shop.log_text()
