"""A config read again while it serves: everything acknowledged is there afterwards, nobody who reads
fails, and what is wrong changes nothing and is said."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from appliance import BIN, Appliance, run
from lasting_load import LastingLoad
from redis_proxy import RedisServer
from renderer import DEJA_OK, DEJA_STALE, Renderer
from traffic import BROKEN, Client, eventually, lasting_address, processes, track

CONFIG = """
[appliance]
name = "reloading"
directory = "@DIRECTORY@"
profiles = 20_000
shards = 4
huge_pages = "off"

[cpu]
workers = @WORKERS@

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/reloading.sock"]
console = "127.0.0.1:0"
write_keys = ["@KEY@"]

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", n = "properties.n" }
cart = { track = "Product Added", n = "properties.n" }

[features]
views = { type = "count", event = "view" }
twice = { type = "sum", event = "view", of = "n" }
again = { type = "count", event = "view" }
@MORE@
"""

CARTS = 'carts = { type = "count", event = "cart" }'


def text_of(shop, workers=1, key="first", more=""):
    return (CONFIG.replace("@WORKERS@", str(workers)).replace("@KEY@", key).replace("@MORE@", more)
            .replace("@DIRECTORY@", str(shop.directory)))


@pytest.fixture
def shop():
    with Appliance(CONFIG, workers=1, key="first", more="") as running:
        yield running


def reload(shop, text=None, check=True):
    if text is not None:
        shop.config.write_text(text)
    return shop.deja("reload", check=check)


def test_under_load_nothing_is_lost_and_no_read_fails(shop):
    changes = [dict(more=CARTS), dict(more=CARTS, workers=2), dict(more=""), dict(workers=2, more=CARTS)]
    with LastingLoad(shop, key="first") as load:
        for change in changes:
            before = load.acknowledged()
            done = reload(shop, text_of(shop, **change))
            assert "changed" in done.stdout
            eventually(lambda: load.acknowledged() > before + 100)
    assert load.attached == [len(changes)] * 2
    assert all(profile["features"]["carts"] == 0 for profile in shop.export().values())


def test_the_sockets_are_the_same_and_new_ones_are_opened(shop):
    pids = processes(shop)
    console = lasting_address()
    text = text_of(shop).replace('console = "127.0.0.1:0"', f'console = "{console}"')
    reload(shop, text)
    start = shop.stat()["start"]
    assert start["http"] == shop.http and start["console"] == console
    after = processes(shop)
    assert after["supervisor"] == pids["supervisor"]
    with Client(shop.http) as client:
        assert client.post("/v1/track", {**track("u1", "Product Viewed", "m1", n=2),
                                         "writeKey": "first"})[0] == 200
    assert (shop.directory / "reloading.sock").exists()
    # A limit alone: a key.
    reload(shop, text_of(shop, key="second"))
    with Client(shop.http) as client:
        for key, status in (("first", 401), ("second", 200)):
            assert client.post("/v1/track", {**track("u1", "Product Viewed", f"m-{key}", n=2),
                                             "writeKey": key})[0] == status


def unchanged(shop, call):
    """Whether everybody, and the segment, is the same after call()."""
    before = processes(shop), shop.stat()["incarnation"]
    result = call()
    assert (processes(shop), shop.stat()["incarnation"]) == before
    return result


WRONG = {
    "a mistake": (lambda text: text.replace('type = "count"', 'type = "cuont"'), "cuont"),
    "a test that fails": (lambda text: text + '\n[[test]]\nname = "t"\nsend = ["view*2"]\n'
                          "expect = { views = 3 }\n", "views is 2 and not 3"),
    "another name": (lambda text: text.replace('"reloading"', '"other"'), "[appliance] name"),
    "another durability directory": (lambda text: text.replace("/durable", "/else"),
                                     "[durability] directory"),
    "an address in use": (lambda text: text.replace('console = "127.0.0.1:0"',
                                                    'console = "127.0.0.1:@BUSY@"'), "listens there"),
    "more memory than there is": (lambda text: text.replace("20_000", "1_000_000_000"), "space"),
    "a group that is not there": (lambda text: text.replace('huge_pages', 'readers_group = "nogrp-x"\n'
                                                            'huge_pages'), "nogrp-x"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_changes_nothing_and_is_said(shop, what):
    change, said = WRONG[what]
    with socket.socket() as busy, Client(shop.http) as client:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        text = change(text_of(shop)).replace("@BUSY@", str(busy.getsockname()[1]))
        done = unchanged(shop, lambda: reload(shop, text, check=False))
        assert done.returncode == 1 and said in done.stderr, done
        assert said in shop.log_text()
        # The same connection goes on.
        assert client.post("/v1/track", {**track("u1", "Product Viewed", "m1", n=2),
                                         "writeKey": "first"})[0] == 200
    assert sorted(path.name for path in shop.directory.glob("deja-*")) == ["deja-reloading"]
    # Corrected, it is taken.
    assert "changed" in reload(shop, text_of(shop, more=CARTS)).stdout


def test_a_config_that_is_the_same_changes_nothing(shop):
    assert "nothing changed" in unchanged(shop, lambda: reload(shop)).stdout
    assert "nothing changed" in unchanged(shop, lambda: reload(shop, text_of(shop) + "# more words\n")).stdout
    assert json.loads(shop.deja("reload", "--json").stdout) == {"done": True, "text": "nothing changed"}


def test_who_asks_during_a_reload_gets_an_answer_of_his_own(shop):
    shop.config.write_text(text_of(shop, more=CARTS))
    with subprocess.Popen([BIN / "deja", "reload", "--name", shop.name, "--directory", shop.directory],
                          stdout=subprocess.PIPE, text=True) as first:
        eventually(lambda: "reloading: " in shop.log_text())
        done = reload(shop, text_of(shop, more='carts = { type = "none" }'), check=False)
        first.communicate()
    assert done.returncode == 1 and '"none"' in done.stderr, done


def test_without_redis_it_serves_on_as_it_is(tmp_path):
    redis = RedisServer(tmp_path)
    try:
        redis.start()
        text = CONFIG.replace("[events]", f'[redis]\nurl = "unix://{redis.socket}"\n\n[events]')
        with Appliance(text, workers=1, key="first", more="") as shop:
            redis.signal(signal.SIGKILL)
            eventually(lambda: not shop.stat()["redis"]["connected"])
            changed = shop.config.read_text().replace("again =", f"{CARTS}\nagain =")
            done = unchanged(shop, lambda: reload(shop, changed, check=False))
            assert done.returncode == 1 and "Redis does not answer" in done.stderr, done
            assert shop.post("/v1/track", {**track("u1", "Product Viewed", "m1", n=2),
                                           "writeKey": "first"})[0] == 200
            redis.start()
            eventually(lambda: shop.stat()["redis"]["connected"])
            assert "changed" in reload(shop).stdout
            assert shop.profile("u1")["features"]["views"] == 1
    finally:
        redis.close()


def test_a_stop_after_it_leaves_nothing(shop):
    reload(shop, text_of(shop, more=CARTS))
    assert shop.stop() == 0
    assert not shop.segment.exists()
    shop.start()


def test_asked_of_nobody_it_says_so(shop, tmp_path):
    done = run("deja", "reload", "--name", "nobody", "--directory", tmp_path, check=False)
    assert done.returncode == 1 and "nobody serves" in done.stderr
    shop.kill()
    done = shop.deja("reload", check=False)
    assert done.returncode == 1 and "no supervisor" in done.stderr
    shop.start()


def test_killed_in_a_reload_it_loses_nothing(shop):
    """The supervisor is killed at different moments of a reload; the next start goes on."""
    sent = 0
    for delay in (0.0, 0.05, 0.1, 0.2, 0.4):
        with Client(shop.http) as client:
            for _ in range(20):
                status, _, _ = client.post("/v1/track", {
                    **track("u1", "Product Viewed", f"m{sent}", n=2), "writeKey": "first"})
                assert status == 200
                sent += 1
        renderer = Renderer(shop.name, shop.directory)
        shop.config.write_text(text_of(shop, more=CARTS if sent % 40 else "", workers=1 + sent % 40 // 20))
        shop.process.send_signal(signal.SIGHUP)
        time.sleep(delay)
        shop.kill()
        shop.start()
        assert eventually(lambda: shop.profile("u1")["features"]["views"] == sent)
        # Whoever had an old one mapped reads it right or is told.
        status, _, views, _, _ = renderer.get("u1")
        assert status == DEJA_STALE or (status, views) == (DEJA_OK, sent)


def test_killed_when_the_new_segment_has_its_name_it_goes_on(shop):
    """The console still shows the segment before then, and must not be taken for the new one's."""
    with Client(shop.http) as client:
        assert client.post("/v1/track", {**track("u1", "Product Viewed", "m1", n=2),
                                         "writeKey": "first"})[0] == 200
    superblock = shop.segment / "superblock"
    before = superblock.stat().st_ino
    console = processes(shop)["console"]
    shop.config.write_text(text_of(shop, more=CARTS))
    shop.process.send_signal(signal.SIGHUP)
    while superblock.stat().st_ino == before:
        pass
    shop.kill()
    shop.start()
    assert processes(shop)["console"] != console
    assert eventually(lambda: shop.profile("u1")["features"]["views"] == 1)
