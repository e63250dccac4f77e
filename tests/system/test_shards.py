"""`deja serve` started with another count of shards: everybody and every acknowledged event is there
once, after a kill of everything under load as after a stop, from Redis as from the journal alone."""

import contextlib
import random
import shutil
import subprocess

import pytest

from appliance import BIN, Appliance
from test_redis import own_redis, private_socket, profile_keys, redis
from test_restart import (Sender, check_exactly_once, check_resend_is_duplicate, others,
                          wait_for_load)
from traffic import SLOW, eventually, lasting_address

CONFIG = """
[appliance]
name = "refiled"
directory = "@DIRECTORY@"
profiles = 1_000
shards = @SHARDS@
huge_pages = "off"

[cpu]
workers = @WORKERS@

[listen]
http = "@HTTP@"
stream = []
console = ""

[durability]
directory = "@DIRECTORY@/durable"
ack = "durable"
dedup_window = 100_000

[redis]
url = "@URL@"
loss_window = "@LOSS@"

[events]
view = { track = "Product Viewed", item = "properties.item", n = "properties.n" }

[features]
views  = { type = "count", event = "view" }
twice  = { type = "sum", event = "view", of = "n" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
items  = { type = "distinct", event = "view", of = "item" }
"""


class Shop(Appliance):
    def __init__(self, shards, url="local", loss="60s"):
        super().__init__(CONFIG, shards=shards, workers=min(2, shards), http=lasting_address(), url=url,
                         loss=loss)

    def set_shards(self, shards):
        lines = []
        for line in self.config.read_text().splitlines():
            for key, value in {"shards": shards, "workers": min(2, shards)}.items():
                if line.startswith(f"{key} ="):
                    line = f"{key} = {value}"
            lines.append(line)
        self.config.write_text("\n".join(lines))
        self.log.write_text("")


def features(shop):
    return {user: profile["features"] for user, profile in shop.export().items()}


def check_stored(shop, socket, senders):
    """Redis has everybody under one name."""
    users = {user for sender in senders for user in sender.users}
    names = eventually(lambda: (names := profile_keys(socket)) and len(names) >= len(users) and names)
    assert sorted(name.split("}:user:")[1] for name in names) == sorted(users)


@pytest.mark.parametrize("loss", ["60s", "200ms"])
@pytest.mark.parametrize("ends", [("killed", "stopped"), ("stopped", "killed")])
def test_two_shards_become_three_and_then_one_and_nobody_loses_anything(ends, loss):
    shop = Shop(2, loss=loss)
    try:
        shop.start()
        senders = [Sender(shop, number, patient=True) for number in range(2)]
        for shards, end in zip((3, 1), ends):
            wait_for_load(senders)
            if end == "killed":
                shop.kill_all()
            else:
                assert shop.stop() == 0, shop.log_text()
            shop.set_shards(shards)
            shop.start()
            if end == "killed":
                assert "the count of shards" in shop.log_text(), shop.log_text()
            assert f"filed the profiles anew: shards = {shards}" in shop.log_text(), shop.log_text()
            wait_for_load(senders)
        for sender in senders:
            sender.finish()
        check_exactly_once(shop, senders)
        check_stored(shop, private_socket(shop), senders)
        assert redis(private_socket(shop), "GET", "deja:shards").strip() == b"1"
        check_resend_is_duplicate(shop, senders)
        before = features(shop)

        # Nobody writes any more: what is exported stays as it is through all counts.
        for shards in (3, 2):
            assert shop.stop() == 0, shop.log_text()
            shop.set_shards(shards)
            shop.start()
            assert features(shop) == before
            check_resend_is_duplicate(shop, senders)
        if loss == "200ms":
            eventually(lambda: redis(private_socket(shop), "EXISTS", "deja:resharding").strip() == b"0")
        assert shop.stop() == 0, shop.log_text()
    finally:
        shop.clean_up()


def test_the_journal_alone_brings_everything_into_another_count_of_shards():
    with own_redis() as socket, contextlib.ExitStack() as stack:
        shop = Shop(2, url=f"unix://{socket}")
        stack.callback(shop.clean_up)
        shop.start()
        senders = [Sender(shop, number, patient=True) for number in range(2)]
        for shards in (3, 1):
            wait_for_load(senders)
            shop.kill_all()
            shutil.rmtree(shop.segment)  # as a power loss would
            redis(socket, "FLUSHALL")
            shop.set_shards(shards)
            shop.start()
            assert "restored 0 profiles" in shop.log_text(), shop.log_text()
            wait_for_load(senders)
        for sender in senders:
            sender.finish()
        check_exactly_once(shop, senders)
        check_resend_is_duplicate(shop, senders)
        assert set(others(shop)) == {"ingest", "keeper", "worker-0"}
        assert shop.stop() == 0, shop.log_text()


def test_a_count_that_is_changed_again_before_its_start_was_through_loses_nothing():
    """Killed at any moment of the change, and then to yet another count."""
    shop = Shop(2)
    try:
        shop.start()
        sender = Sender(shop, 0, patient=True)
        wait_for_load([sender])
        for shards in (3, 1, 2, 4, 1):
            shop.kill_all()
            shop.set_shards(shards)
            with open(shop.log, "ab") as log:
                process = subprocess.Popen([str(BIN / "deja"), "serve", "-c", str(shop.config)],
                                           stdout=log, stderr=log)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0, 0.5) * SLOW)
            process.kill()
            process.wait()
        shop.kill_all()
        shop.set_shards(3)
        shop.start()
        wait_for_load([sender])
        sender.finish()
        check_exactly_once(shop, [sender])
        check_resend_is_duplicate(shop, [sender])
        assert shop.stop() == 0, shop.log_text()
    finally:
        shop.clean_up()
