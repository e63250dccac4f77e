"""An event that kills every worker that meets it: it becomes a dead letter, is listed and shown, and,
once what killed them is gone, replayed, whatever happens in between exactly once."""

import json
import os
import signal

import pytest

from appliance import Appliance, run
from traffic import eventually, track

CONFIG = """
[appliance]
name = "letters"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4
huge_pages = "off"

[cpu]
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/letters.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view  = { track = "Product Viewed", item = "properties.item", path = "context.page.path" }
order = { track = "Order Completed", price = "properties.products[].price", gift = "properties.gift" }

[features]
views  = { type = "count", event = "view" }
recent = { type = "recent", event = "view", of = "item" }
paths  = { type = "recent", event = "view", of = "path" }
spend  = { type = "sum", event = "order", of = "price" }
gift   = { type = "last", event = "order", of = "gift" }
"""

CULPRIT = "mallory"


def poison(point):
    """What makes workers die of this user's events, as if the code there were broken."""
    return {"DEJA_CRASH_POINT": point, "DEJA_CRASH_KEY": CULPRIT, "DEJA_CRASH_SIGNAL": "SEGV"}


def dlq(shop, *arguments, check=True):
    """Options stand behind the verb's own verb."""
    return run("deja", "dlq", arguments[0], "--name", shop.name, "--directory", shop.directory,
               *arguments[1:], check=check)


def letters(shop):
    return json.loads(dlq(shop, "list", "--json").stdout)


def send_culprit(shop):
    event = track(CULPRIT, "Product Viewed", "m-1", item="p7")
    event["context"] = {"page": {"path": "/p7?a=\u00e9"}}
    return shop.post("/v1/batch", {"batch": [
        track("ada", "Product Viewed", "a-1", item="p1"), event,
        track("ada", "Product Viewed", "a-2", item="p2")]}, timeout=60)


def heal(shop):
    """The next start has no code that dies of it."""
    assert shop.stop() == 0, shop.log_text()
    shop.environment = dict(os.environ)
    shop.start()


@pytest.mark.parametrize("point, sequenced", [("worker.poison_decode", False),
                                              ("worker.poison_apply", True)])
def test_a_poison_event_is_listed_shown_and_replayed_once(point, sequenced):
    with Appliance(CONFIG, environment=poison(point)) as shop:
        assert dlq(shop, "list").stdout == "no dead letters\n"
        status, answer, _ = send_culprit(shop)
        assert status == 200 and [entry["index"] for entry in answer["rejected"]] == [1], answer
        eventually(lambda: len(letters(shop)) == 1)
        eventually(lambda: shop.stat()["totals"]["dead"] == 1)
        assert shop.profile("ada")["features"]["views"] == 2
        [letter] = letters(shop)
        assert letter["number"] == 1 and letter["reason"] == "poison"
        assert letter["events"] == ["view"] and letter["user"] == CULPRIT
        assert letter["replayed"] is None
        shown = json.loads(dlq(shop, "show", "1").stdout)
        assert shown["event"]["userId"] == CULPRIT and shown["event"]["event"] == "Product Viewed"
        assert shown["event"]["properties"] == {"item": "p7"}
        assert shown["event"]["context"] == {"page": {"path": "/p7?a=\u00e9"}}
        assert shown["not_replayable"] is None and ("sequence" in shown) == sequenced
        table = dlq(shop, "list").stdout.splitlines()
        assert len(table) == 2 and CULPRIT in table[1] and "poison" in table[1]
        counted = [process["counters"].get("deja_dead_letters_total", 0)
                   for process in shop.stat()["processes"] if process["name"] == "keeper"]
        assert counted == [1]

        # Too early: it kills them again, is not marked, and is a letter once more.
        eventually(lambda: not sequenced or json.loads(dlq(shop, "show", "1").stdout)["settled"])
        early = dlq(shop, "replay", "1", check=False)
        assert early.returncode == 1 and "the appliance refused it" in early.stderr, early
        eventually(lambda: len(letters(shop)) == 2)
        assert [letter["replayed"] for letter in letters(shop)] == [None, None]

        heal(shop)
        assert [letter["number"] for letter in letters(shop)] == [1, 2]
        before = shop.profile(CULPRIT)
        assert before is None or before["features"]["views"] == 0
        done = dlq(shop, "replay", "--all", "--json")
        assert json.loads(done.stdout) == {"replayed": 2, "before": 0, "failed": 0,
                                           "ack": "durable"}
        features = shop.profile(CULPRIT)["features"]
        assert features["views"] == 1, "one event, however many letters it has become"
        assert features["recent"] == ["p7"] and features["paths"] == ["/p7?a=\u00e9"]
        assert all(letter["replayed"] for letter in letters(shop))

        again = dlq(shop, "replay", "1", check=False)
        assert again.returncode == 1 and "was replayed at" in again.stderr
        assert json.loads(dlq(shop, "replay", "--all", "--json").stdout)["before"] == 2
        # A client that never gave up, and a person who has lost the marks.
        send_culprit(shop)
        (shop.directory / "durable/dead_letters.replayed").unlink()
        assert json.loads(dlq(shop, "replay", "--all", "--json").stdout)["replayed"] == 2
        assert shop.profile(CULPRIT)["features"]["views"] == 1
        assert shop.profile("ada")["features"]["views"] == 2


def test_arrays_and_truth_values_come_through_a_replay():
    with Appliance(CONFIG, environment=poison("worker.poison_decode")) as shop:
        shop.post("/v1/track", {"type": "track", "event": "Order Completed", "userId": CULPRIT,
                                "messageId": "o-1", "properties": {
                                    "gift": True, "products": [{"price": 1.25}, {"name": "free"},
                                                               {"price": 40}]}}, timeout=60)
        eventually(lambda: len(letters(shop)) == 1)
        shown = json.loads(dlq(shop, "show", "1").stdout)
        assert shown["event"]["properties"]["products"] == [{"price": 1.25}, None, {"price": 40}]
        heal(shop)
        assert dlq(shop, "replay", "1").stdout == "1 replayed (durable)\n"
        features = shop.profile(CULPRIT)["features"]
        assert features["spend"] == 41.25 and features["gift"] is True


def test_letters_survive_their_keeper_and_everybody(tmp_path):
    with Appliance(CONFIG, environment=poison("worker.poison_apply")) as shop:
        send_culprit(shop)
        eventually(lambda: len(letters(shop)) == 1)
        keepers = [process["pid"] for process in shop.stat()["processes"]
                   if process["name"] == "keeper"]
        os.kill(keepers[0], signal.SIGKILL)
        eventually(lambda: any(process["name"] == "keeper" and process["starts"] == 2
                               for process in shop.stat()["processes"]))
        assert len(letters(shop)) == 1
        shop.kill_all()
        offline = run("deja", "dlq", "list", "--json", "--name", "nobody", "--durability",
                      shop.directory / "durable")
        assert [letter["user"] for letter in json.loads(offline.stdout)] == [CULPRIT]
        shop.environment = dict(os.environ)
        shop.start()
        assert len(letters(shop)) == 1
        assert dlq(shop, "replay", "--all").returncode == 0
        assert shop.profile(CULPRIT)["features"]["views"] == 1


def test_a_damaged_file_is_named_and_what_is_whole_is_shown():
    with Appliance(CONFIG, environment=poison("worker.poison_decode")) as shop:
        for number in range(3):
            shop.post("/v1/track", track(CULPRIT, "Product Viewed", f"m-{number}", item="p1"),
                      timeout=60)
            eventually(lambda: len(letters(shop)) == number + 1)  # pylint: disable=W0640
        path = shop.directory / "durable/dead_letters"
        content = bytearray(path.read_bytes())
        middle = content.rindex(b"DLTR")
        middle = content.rindex(b"DLTR", 0, middle)
        content[middle + 40] ^= 1
        path.write_bytes(content)
        done = dlq(shop, "list", "--json", check=False)
        assert done.returncode == 1 and "are damaged" in done.stderr
        assert [letter["number"] for letter in json.loads(done.stdout)] == [1, 3]
        path.write_bytes(b"x" * 500)
        done = dlq(shop, "list", check=False)
        assert done.returncode == 1 and "is no file of dead letters" in done.stderr


def test_misuse_and_absence_are_told_apart():
    with Appliance(CONFIG) as shop:
        assert dlq(shop, "show", "7", check=False).returncode == 1
        assert dlq(shop, "replay", "7", check=False).returncode == 1
        assert dlq(shop, "replay", check=False).returncode == 2
        assert dlq(shop, "replay", "7", "--all", check=False).returncode == 2
        assert run("deja", "dlq", check=False).returncode == 2
        assert run("deja", "dlq", "bury", check=False).returncode == 2
        assert json.loads(dlq(shop, "replay", "--all", "--json").stdout)["replayed"] == 0
    done = run("deja", "dlq", "list", "--name", "nobody", check=False)
    assert done.returncode == 1 and "--durability" in done.stderr
