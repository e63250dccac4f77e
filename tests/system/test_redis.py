"""Redis behind the profiles: fields that a person can read beside the exact image, and the same
profiles, byte for byte, after a stop or a kill of everything."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from appliance import Appliance
from traffic import BROKEN, Client, children, eventually, runs, track, without_age

CONFIG = """
[appliance]
name = "stored"
directory = "@DIRECTORY@"
profiles = 1_000
shards = 4
huge_pages = "off"

[cpu]
workers = 2

[listen]
http = "127.0.0.1:0"
stream = []
console = ""

[durability]
directory = "@DIRECTORY@/durable"
dedup_window = 1_000

[redis]
url = "@URL@"
flush_every = "@FLUSH@"

[events]
view  = { track = "Product Viewed", item = "properties.item", category = "properties.category", price = "properties.price" }
order = { track = "Order Completed", item = "properties.products[].item", price = "properties.products[].price", quantity = "properties.products[].quantity", value = "properties.value" }

[features]
views      = { type = "count", event = "view" }
views_1h   = { type = "count", event = "view", window = "1h" }
day        = { type = "count", event = "view", window = "1d", tumbling = true }
spend      = { type = "sum", event = "order", of = "price * quantity", window = "30d" }
cheapest   = { type = "min", event = "view", of = "price" }
dearest    = { type = "max", event = "view", of = "price", window = "7d", panes = 7 }
basket     = { type = "mean", event = "order", of = "value" }
first_seen = { type = "first", event = "view", of = "item" }
last_price = { type = "last", event = "view", of = "price" }
recent     = { type = "recent", event = "view", of = "item", keep = 4 }
taste      = { type = "top", event = "view", of = "category", half_life = "1h", keep = 3 }
bought     = { type = "top", event = "order", of = "item", keep = 3 }
items      = { type = "distinct", event = "view", of = "item", window = "7d" }
visits     = { type = "session", gap = "30m" }
plan       = { type = "trait", of = "traits.plan" }
sequence   = { type = "trait", of = "traits.sequence" }
"""

OWN_FIELDS = {"image", "epoch", "sequence", "catalog", "updated", "as_of"}
AT = "2030-01-01T00:00:00Z"
USERS = ["ada", "with a blank", "{2}:user:x", "bö", "k" * 64] + [f"u{number}" for number in range(20)]


def stored(flush="20ms", url="local", **options):
    return Appliance(CONFIG, flush=flush, url=url, **options)


def fill(shop):
    """Events of every kind; what is not given stays empty for some."""
    with Client(shop.http) as client:
        def send(route, body):
            status, answer, _ = client.post(route, body)
            assert status == 200 and "rejected" not in answer, answer

        for number, user in enumerate(USERS):
            batch = [{**track(user, "Product Viewed", f"{user}-{view}", item=f"p{view}",
                              category=["shoes", "hats", "Käppis"][view % 3], price=view + 0.1),
                      "timestamp": f"2026-01-{1 + view:02d}T10:00:00Z"}
                     for view in range(number % 7 + 1)]
            batch += [track(user, "Product Viewed", item="new", category="shoes", price=7)]
            if number % 2:
                batch.append(track(user, "Order Completed", value=9.25, products=[
                    {"item": "p1", "price": 0.1, "quantity": 3},
                    {"item": "p2", "price": 8.95, "quantity": 1}]))
            if number % 3:
                batch.append({"type": "identify", "userId": user,
                              "traits": {"plan": "gold, \"paid\"", "sequence": number}})
            send("/v1/batch", {"batch": batch})
        send("/v1/track", {"anonymousId": "ada", "event": "Product Viewed",
                           "properties": {"item": "p9", "price": 3}})


def redis(socket, *command):
    return subprocess.run(["redis-cli", "-s", str(socket), *command], check=True,
                          capture_output=True, timeout=20).stdout


def private_socket(shop):
    return shop.directory / "durable/redis.sock"


def profile_keys(socket):
    return [key.decode() for key in redis(socket, "KEYS", "deja:{*").splitlines()
            if key and b"}:watermark" not in key]


def images(socket):
    """{key: the image as redis-cli shows it, every byte readable}"""
    return {key: redis(socket, "--no-raw", "HGET", key, "image")
            for key in profile_keys(socket)}


def fields(socket, key):
    """HGETALL as a person's redis-cli shows it."""
    return json.loads(redis(socket, "--json", "HGETALL", key).decode(errors="replace"))


def key_of(socket, user):
    kind, name = ("anon", user[5:]) if user.startswith("anon:") else ("user", user)
    found = [key for key in profile_keys(socket) if key.split("}:", 1)[1] == f"{kind}:{name}"]
    return found[0] if found else None


def is_flushed(shop, socket):
    sequences = {user: profile["sequence"] for user, profile in shop.export().items()}
    for user, sequence in sequences.items():
        key = key_of(socket, user)
        if key is None or int(redis(socket, "HGET", key, "sequence")) != sequence:
            return False
    return bool(sequences)


@contextlib.contextmanager
def own_redis(directory=None):
    """A redis-server of the test's own, in `directory` if one is given; its socket. Takes it away again."""
    directory = directory or pathlib.Path(tempfile.mkdtemp(prefix="deja-redis-", dir="/dev/shm"))
    directory.mkdir(exist_ok=True)
    socket = directory / "redis.sock"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--dir",
                               directory, "--save", "", "--maxmemory-policy", "noeviction"],
                              stdout=subprocess.DEVNULL)
    try:
        eventually(socket.exists)
        yield socket
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(directory, ignore_errors=True)


def test_a_profile_in_redis_is_readable_and_finished_at_its_as_of():
    with stored() as shop:
        fill(shop)
        socket = private_socket(shop)
        eventually(lambda: is_flushed(shop, socket))
        for user in USERS + ["anon:ada"]:
            shown = fields(socket, key_of(socket, user))
            assert shown["image"].startswith("DEJI"), shown
            profile = shop.profile(user, "--at", shown["as_of"])
            assert shown["updated"] == profile["updated"] <= shown["as_of"]
            assert int(shown["sequence"]) == profile["sequence"]
            names = {"feature:sequence" if name in OWN_FIELDS else name
                     for name in profile["features"]}
            assert set(shown) == OWN_FIELDS | names
            for name, value in profile["features"].items():
                text = shown[f"feature:{name}" if name in OWN_FIELDS else name]
                said = text if isinstance(value, str) else json.loads(text)
                assert said == value, f"{user}.{name}: {text} in Redis, {value} in the profile"
        ada = fields(socket, key_of(socket, "ada"))
        assert (ada["views"], ada["views_1h"], ada["first_seen"]) == ("2", "1", "p0")
        with_plan = fields(socket, key_of(socket, "with a blank"))
        assert with_plan["plan"] == 'gold, "paid"' and with_plan["spend"] == "9.25"


@pytest.mark.parametrize("flush", ["20ms", "1h"])
def test_stopped_and_started_again_the_profiles_are_the_same(flush):
    shop = stored(flush=flush)
    try:
        shop.start()
        fill(shop)
        socket = private_socket(shop)
        before = without_age(shop.export("--at", AT))
        assert len(before) == len(USERS) + 1
        if flush != "1h":
            eventually(lambda: is_flushed(shop, socket))
            stored_before = images(socket)
        assert shop.stop() == 0

        shop.start()
        assert without_age(shop.export("--at", AT)) == before
        if flush == "1h":
            stored_before = images(socket)
        assert len(stored_before) == len(before)
        assert shop.stop() == 0

        shop.start()  # also what was only restored, and never touched, is there a second time
        assert without_age(shop.export("--at", AT)) == before
        assert images(socket) == stored_before
        assert shop.stop() == 0
    finally:
        shop.clean_up()


def test_a_redis_of_one_s_own_brings_the_profiles_back():
    with own_redis() as socket:
        shop = stored(flush="1h", url=f"unix://{socket}")
        try:
            shop.start()
            fill(shop)
            before = without_age(shop.export("--at", AT))
            assert shop.stop() == 0
            stored_before = images(socket)
            assert len(stored_before) == len(before) == len(USERS) + 1

            shutil.rmtree(shop.directory / "durable")  # Redis is all that is needed
            shop.start()
            assert without_age(shop.export("--at", AT)) == before
            assert images(socket) == stored_before
            with Client(shop.http) as client:
                client.post("/v1/track", track("ada", "Product Viewed", item="after"))
            profile = shop.profile("ada")
            assert profile["features"]["recent"][0] == "after"
            assert profile["features"]["views"] == before["ada"]["features"]["views"] + 1
            assert profile["sequence"] > before["ada"]["sequence"]
            assert shop.stop() == 0
            stored_after = images(socket)
            changed = [key for key in stored_after if stored_after[key] != stored_before[key]]
            assert changed == [key_of(socket, "ada")]
        finally:
            shop.clean_up()


class Writer(threading.Thread):
    """Posts views of its own users over one connection until it breaks or is told to stop; knows what
    was answered."""

    def __init__(self, shop, number):
        super().__init__()
        self.stop = threading.Event()
        self.address = shop.http
        self.users = [f"w{number}-{user}" for user in range(10)]
        self.sent = {user: 0 for user in self.users}
        self.acknowledged = {user: 0 for user in self.users}
        self.start()

    def run(self):
        try:
            with Client(self.address) as client:
                while not self.stop.is_set():
                    for user in self.users:
                        batch = [track(user, "Product Viewed", item="p1") for _ in range(5)]
                        self.sent[user] += len(batch)
                        status, answer, _ = client.post("/v1/batch", {"batch": batch})
                        assert status == 200 and "rejected" not in answer, answer
                        self.acknowledged[user] += len(batch)
        except BROKEN:
            pass


@pytest.mark.parametrize("url", ["local", "unix"])
@pytest.mark.parametrize("killed", ["the supervisor", "every process at once"])
def test_nothing_acknowledged_is_missing_after_kill_9(killed, url):
    with contextlib.ExitStack() as stack:
        if url == "unix":
            url = f"unix://{stack.enter_context(own_redis())}"
        shop = stored(url=url)
        stack.callback(shop.clean_up)
        shop.start()
        fill(shop)
        quiet = without_age(shop.export("--at", AT))
        writers = [Writer(shop, number) for number in range(2)]
        eventually(lambda: all(min(w.acknowledged.values()) >= 50 for w in writers))
        alone = killed == "the supervisor"
        others = children(shop.process.pid)
        for pid in [shop.process.pid] if alone else [shop.process.pid, *others]:
            os.kill(pid, signal.SIGKILL)
        shop.process.wait()
        if alone:  # everybody else serves on
            seen = [min(writer.acknowledged.values()) for writer in writers]
            eventually(lambda: all(min(w.acknowledged.values()) > before + 20
                                   for w, before in zip(writers, seen)))
        for writer in writers:
            if alone:
                writer.stop.set()
            writer.join(30)
            assert not writer.is_alive()

        shop.start()
        assert "going on with its segment" in shop.log_text()
        assert [pid for pid in others if runs(pid)] == (others if alone else [])
        after = without_age(shop.export("--at", AT))
        assert {user: after[user] for user in quiet} == quiet
        for writer in writers:
            for user in writer.users:
                views = after[user]["features"]["views"]
                assert writer.acknowledged[user] <= views <= writer.sent[user], user
        assert shop.stop() == 0
