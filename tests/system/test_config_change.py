"""Started with a changed config: unchanged features keep their values wherever they stand in the
file, changed and new ones start empty, and what becomes of each is said."""

import json
import os
import signal

import pytest

from appliance import Appliance
from traffic import Client, track

CONFIG = """
[appliance]
name = "changing"
directory = "@DIRECTORY@"
profiles = @PROFILES@
shards = 4
huge_pages = "off"

[cpu]
workers = @WORKERS@

[listen]
http = "127.0.0.1:0"
stream = []
console = ""

[durability]
directory = "@DIRECTORY@/durable"

[events]
@EVENTS@

[features]
@FEATURES@
"""

EVENTS = """view  = { track = "Product Viewed", item = "properties.item", price = "properties.price" }
cart  = { track = "Product Added", item = "properties.item" }"""

BEFORE = {
    "views": '{ type = "count", event = "view" }',
    "week": '{ type = "count", event = "view", window = "7d" }',
    "recent": '{ type = "recent", event = "view", of = "item", keep = 4 }',
    "dearest": '{ type = "max", event = "view", of = "price" }',
    "taste": '{ type = "top", event = "view", of = "item", keep = 3 }',
    "items": '{ type = "distinct", event = "view", of = "item" }',
    "visits": '{ type = "session", gap = "30m" }',
    "carts": '{ type = "count", event = "cart" }',
    "plan": '{ type = "trait", of = "traits.plan" }',
}
AT = "2030-01-01T00:00:00Z"
USERS = [f"u{number}" for number in range(30)]


def text_of(features, events=EVENTS, profiles=100, workers=1):
    lines = "\n".join(f"{name} = {definition}" for name, definition in features.items())
    return (CONFIG.replace("@EVENTS@", events).replace("@FEATURES@", lines)
            .replace("@PROFILES@", str(profiles)).replace("@WORKERS@", str(workers)))


def fill(shop):
    with Client(shop.http) as client:
        for number, user in enumerate(USERS):
            batch = [{**track(user, "Product Viewed", f"{user}-{view}", item=f"p{view}",
                              price=view + 0.5), "timestamp": f"2026-01-{1 + view:02d}T10:00:00Z"}
                     for view in range(number % 7 + 1)]
            batch.append({**track(user, "Product Added", f"{user}-cart", item="p1"),
                          "timestamp": "2026-01-20T10:00:00Z"})
            batch.append({"type": "identify", "userId": user, "messageId": f"{user}-plan",
                          "traits": {"plan": f"plan {number}"}})
            status, answer, _ = client.post("/v1/batch", {"batch": batch})
            assert status == 200 and "rejected" not in answer


def values(shop):
    return {user: profile["features"] for user, profile in shop.export("--at", AT).items()}


class Shop(Appliance):
    """An appliance whose config changes between two lives."""

    def restart_with(self, text, signal_number=signal.SIGTERM):
        if signal_number == signal.SIGTERM:
            assert self.stop() == 0
        else:
            os.kill(self.process.pid, signal_number)
            self.process.wait()
            self.process = None
        self.config.write_text(text.replace("@DIRECTORY@", str(self.directory)))
        self.log.write_text("")
        self.start()


def start(features, **options):
    shop = Shop(text_of(features, **options))
    try:
        return shop.start()
    except BaseException:
        shop.clean_up()
        raise


def said(shop):
    """What it says of its features, everywhere the same: {kept, empty, dropped}."""
    text = shop.ready["features"]
    assert text in shop.log_text() and text in shop.deja("stat").stdout
    assert shop.stat()["start"]["features"] == text
    parts = {"keeps ": [], "starts empty: ": [], "drops ": []}
    for part in text.split("; ") if text else []:
        title = next(title for title in parts if part.startswith(title))
        parts[title] = part[len(title):].split(", ")
    return tuple(parts.values())


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_unchanged_features_keep_their_values_and_the_others_start_empty(ended_by):
    shop = start(BEFORE)
    try:
        assert said(shop) == ([], [], []), "a first start has nothing to compare with"
        fill(shop)
        before = values(shop)
        after = {
            "cheapest": '{ type = "min", event = "view", of = "price" }',  # new
            "recent": '{ type = "recent", event = "view", of = "item", keep = 5 }',  # redefined
            **{name: BEFORE[name] for name in ("plan", "items", "views", "visits", "taste")},
            "week": '{ type = "count", event = "view", window = "7d", panes = 7 }',  # redefined
            "dearest": BEFORE["dearest"],
        }  # and carts is dropped
        shop.restart_with(text_of(after), ended_by)
        kept, empty, dropped = said(shop)
        assert kept == ["plan", "items", "views", "visits", "taste", "dearest"]
        assert empty == ["cheapest (new)", "recent (changed)", "week (changed)"]
        assert dropped == ["carts"]
        now = values(shop)
        assert set(now) == set(USERS)
        for user in USERS:
            assert list(now[user]) == list(after)
            assert {name: now[user][name] for name in kept} == \
                {name: before[user][name] for name in kept}
            assert (now[user]["cheapest"], now[user]["recent"], now[user]["week"]) == (None, [], 0)

        # They go on from there: kept ones with their past, empty ones without it.
        with Client(shop.http) as client:
            event = {**track("u6", "Product Viewed", item="p-new", price=0.25),
                     "timestamp": "2026-01-21T00:00:00Z"}
            assert client.post("/v1/track", event)[0] == 200
        u6 = values(shop)["u6"]
        assert u6["views"] == before["u6"]["views"] + 1
        assert u6["dearest"] == before["u6"]["dearest"]
        assert (u6["cheapest"], u6["recent"]) == (0.25, ["p-new"])

        # A third life with the first config: what was dropped or changed meanwhile is empty.
        shop.restart_with(text_of(BEFORE), ended_by)
        kept, empty, dropped = said(shop)
        assert empty == ["week (changed)", "recent (changed)", "carts (new)"]
        assert dropped == ["cheapest"]
        again = values(shop)
        for user in USERS[:6]:
            assert again[user]["carts"] == 0 and again[user]["recent"] == []
            assert {name: again[user][name] for name in kept} == \
                {name: before[user][name] for name in kept}
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_another_order_other_names_of_fields_and_other_counts_keep_everything():
    shop = start(BEFORE)
    try:
        fill(shop)
        before = values(shop)
        backwards = dict(reversed(BEFORE.items()))
        events = "\n".join(reversed(EVENTS.splitlines()))
        shop.restart_with(text_of(backwards, events=events, profiles=2_000, workers=3))
        kept, empty, dropped = said(shop)
        assert kept == list(backwards) and (empty, dropped) == ([], [])
        now = values(shop)
        assert now == before
        assert list(now["u1"]) == list(backwards)
        shop.restart_with(text_of(BEFORE))
        assert said(shop) == (list(BEFORE), [], [])
        assert values(shop) == before
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_an_event_or_field_that_means_something_else_changes_its_features():
    shop = start(BEFORE)
    try:
        fill(shop)
        before = values(shop)
        events = EVENTS.replace("Product Added", "Added To Cart").replace("properties.price",
                                                                          "properties.amount")
        shop.restart_with(text_of(BEFORE, events=events))
        kept, empty, dropped = said(shop)
        now = values(shop)
        # Whatever is said, the values are of that.
        assert "carts (changed)" in empty and "dearest (changed)" in empty, (kept, empty)
        assert {"views", "recent", "plan"} <= set(kept) and dropped == []
        for user in USERS:
            assert now[user]["carts"] == 0 and now[user]["dearest"] is None
            assert {name: now[user][name] for name in kept} == \
                {name: before[user][name] for name in kept}
        assert shop.stop() == 0
    finally:
        shop.clean_up()
