"""Redis out of memory, stopped, killed, put back to an older state, failed over, and behind a line that
delays, cuts and repeats: no update is refused for its sake, no version goes back in it unless it lost
one itself, and afterwards it has the table's own bytes.

DEJA_REDIS_SECONDS is how long each fault lasts: a few seconds in short form, minutes in the long one."""

import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import threading
import time

import pytest

from appliance import Appliance
from redis_proxy import RedisClient, RedisProxy, RedisServer
from test_redis import AT, CONFIG, fill
from test_storm import free_ports
from traffic import SLOW, Client, eventually, track, without_age

CONFIG = CONFIG.replace("[durability]", "[durability]\nack = \"durable\"")
FAULT_SECONDS = float(os.environ.get("DEJA_REDIS_SECONDS", 4))


class Writer(threading.Thread):
    """Updates of its own users over one kept connection. Every one is taken, durable, at once. A user
    gets a few and then none for long, so that what is missed once stays missing."""

    def __init__(self, shop, number, rng):
        super().__init__(daemon=True)
        self.shop, self.number, self.rng = shop, number, rng
        self.users = [f"w{number}-{user}" for user in range(300)]
        self.sent = collections.Counter()
        self.first = 0
        self.stop = threading.Event()
        self.failure = None
        self.start()

    def run(self):
        try:
            with Client(self.shop.http) as client:
                batches = 0
                while not self.stop.wait(0.002):
                    self.first += batches % 20 == 0
                    users = [self.users[(self.first + at) % len(self.users)]
                             for at in self.rng.choices(range(3), k=10)]
                    batch = [track(user, "Product Viewed", f"{self.number}-{batches}-{at}",
                                   item=f"p{self.rng.randrange(50)}",
                                   category=f"c{self.rng.randrange(9)}",
                                   price=self.rng.randrange(1000) / 8)
                             for at, user in enumerate(users)]
                    status, answer, headers = client.post("/v1/batch", {"batch": batch})
                    assert status == 200 and "rejected" not in answer, (status, answer)
                    assert headers["Deja-Ack"] == "durable"
                    for user in users:
                        self.sent[user] += 1
                    batches += 1
        except Exception as failure:  # for the test's own thread
            self.failure = failure


class Sampler(threading.Thread):
    """Looks at the versions in Redis, past the proxy, all the time: none may go back, but where
    Redis has lost one: forget() is called then."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world
        self.seen = {}
        self.back = []
        self.samples = 0
        self.guard = threading.Lock()
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            with self.guard, contextlib.suppress(OSError, RuntimeError, IndexError, ValueError):
                self.look()

    def look(self):
        with RedisClient(self.world.server.socket) as client:
            client.socket.settimeout(0.5)
            for key, (epoch, sequence) in client.profiles("epoch", "sequence").items():
                version = (int(epoch), int(sequence))
                if version < self.seen.get(key, (0, 0)):
                    self.back.append(f"{key} went from {self.seen[key]} to {version}")
                self.seen[key] = version
                self.samples += 1

    def forget(self):
        self.seen.clear()


class World:
    """A shop, its Redis, and the proxy between them."""

    def __init__(self, rng):
        self.rng = rng
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="deja-faults-", dir="/dev/shm"))
        port = int(free_ports(1)[0].split(":")[1])
        self.server = RedisServer(self.directory / "first", port).start()
        self.others = []
        self.proxy = RedisProxy(self.directory / "proxy.sock", self.server, rng.random())
        self.shop = Appliance(CONFIG, flush="20ms", url=f"unix://{self.directory}/proxy.sock")

    def close(self):
        self.proxy.close()
        for server in (self.server, *self.others):
            server.close()
        self.shop.clean_up()
        shutil.rmtree(self.directory, ignore_errors=True)

    def redis(self, *command):
        with RedisClient(self.server.socket) as client:
            return client(*command)

    def profiles(self, *fields):
        with RedisClient(self.server.socket) as client:
            return client.profiles(*fields)

    def is_flushed(self):
        """Whether Redis has every profile of the table, in the table's version."""
        table = {profile["user"]: profile["sequence"] for profile in self.shop.export().values()}
        stored = {}
        for key, (sequence,) in self.profiles("sequence").items():
            kind, user = key.decode().split("}:", 1)[1].split(":", 1)
            stored[user if kind == "user" else f"anon:{user}"] = int(sequence or 0)
        return stored == table


def out_of_memory(world, sampler):
    used = int(next(line for line in world.redis("INFO", "memory").split(b"\r\n")
                    if line.startswith(b"used_memory:")).split(b":")[1])
    until = time.monotonic() + FAULT_SECONDS
    while time.monotonic() < until:  # now a few get in, now none
        world.redis("CONFIG", "SET", "maxmemory", str(used + world.rng.randrange(-50_000, 50_000)))
        time.sleep(0.1)
    errors = json.loads(world.shop.deja("errors", "--json").stdout)
    assert any("OOM" in error["error"] for error in errors), errors
    world.redis("CONFIG", "SET", "maxmemory", "0")


def stopped(world, sampler):
    world.server.signal(signal.SIGSTOP)
    time.sleep(2 * FAULT_SECONDS)  # past the keeper's patience
    world.server.signal(signal.SIGCONT)


def killed(world, sampler):
    for _ in range(3):
        time.sleep(FAULT_SECONDS / 4)
        # The last second may be lost: its file is synced each second, but a kill costs no page.
        world.server.signal(signal.SIGKILL)
        time.sleep(world.rng.uniform(0, FAULT_SECONDS / 4))
        world.server.start()


def restarted_with_its_last_seconds_lost(world, sampler):
    for _ in range(2):
        older = world.directory / "older"
        shutil.copytree(world.server.directory / "appendonlydir", older)
        time.sleep(FAULT_SECONDS / 2)
        with sampler.guard:
            world.server.signal(signal.SIGKILL)
            shutil.rmtree(world.server.directory / "appendonlydir")
            older.rename(world.server.directory / "appendonlydir")
            sampler.forget()
            world.server.start()


def failed_over(world, sampler):
    replica = RedisServer(world.directory / "second").start(
        "--replicaof", f"127.0.0.1 {world.server.port}")
    world.others.append(replica)
    with RedisClient(replica.socket) as client:
        eventually(lambda: b"master_link_status:up" in client("INFO", "replication"))
        time.sleep(FAULT_SECONDS / 4)
        client("REPLICAOF", "NO", "ONE")  # from here on it lags
    time.sleep(FAULT_SECONDS / 2)
    with sampler.guard:
        world.server.signal(signal.SIGKILL)
        sampler.forget()
        world.others.append(world.server)
        world.server = world.proxy.server = replica
        world.proxy.break_all()


def replies_delayed(world, sampler):
    world.proxy.delay_s = 0.05
    time.sleep(FAULT_SECONDS)
    eventually(lambda: world.proxy.counts["delayed"] > 10, 60)


def replies_cut_in_the_middle(world, sampler):
    world.proxy.cut = 0.02
    time.sleep(FAULT_SECONDS)
    eventually(lambda: world.proxy.counts["cut"] > 3, 60)


def commands_repeated_and_late(world, sampler):
    world.proxy.repeat_command, world.proxy.late, world.proxy.cut = 0.2, 0.2, 0.002
    until = time.monotonic() + FAULT_SECONDS
    while time.monotonic() < until:
        time.sleep(0.3)
        world.proxy.send_late()
    counts = world.proxy.counts
    eventually(lambda: world.proxy.send_late()
               or min(counts["repeated_commands"], counts["late"]) > 10, 60)


def replies_repeated(world, sampler):
    """With refusals among them: a reply taken for another command's would confirm what was refused."""
    world.proxy.repeat_reply = 0.05
    out_of_memory(world, sampler)
    eventually(lambda: world.proxy.counts["repeated_replies"] > 3, 60)


def commands_cut_and_replies_repeated(world, sampler):
    """A reply too many, and as many as there were commands: whose command never came to Redis?"""
    world.proxy.cut_command, world.proxy.repeat_reply = 0.1, 0.1
    time.sleep(FAULT_SECONDS)
    counts = world.proxy.counts
    eventually(lambda: min(counts["cut_commands"], counts["repeated_replies"]) > 0, 60)


FAULTS = [out_of_memory, stopped, killed, restarted_with_its_last_seconds_lost, failed_over,
          replies_delayed, replies_cut_in_the_middle, commands_repeated_and_late, replies_repeated,
          commands_cut_and_replies_repeated]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_redis_s_faults_refuse_nothing_turn_nothing_back_and_leave_the_table_s_bytes(fault):
    seed = int(os.environ.get("DEJA_SEED", time.time_ns() % 1_000_000))
    print(f"DEJA_SEED={seed}")
    world = World(random.Random(seed))
    try:
        world.shop.start()
        fill(world.shop)
        writers = [Writer(world.shop, number, random.Random(seed + number)) for number in range(2)]
        eventually(lambda: all(writer.first > 10 or writer.failure for writer in writers))
        sampler = Sampler(world)
        eventually(lambda: sampler.samples > 100)
        fault(world, sampler)
        world.proxy.calm()
        time.sleep(FAULT_SECONDS / 4)
        for writer in writers:
            writer.stop.set()
            writer.join(60 * SLOW)
            assert not writer.is_alive() and writer.failure is None, writer.failure
        eventually(world.is_flushed, 60)
        sampler.ended.set()
        sampler.join(30)
        assert sampler.back == []

        # Redis loses all, and gets the table anew: the same bytes as before.
        table = without_age(world.shop.export("--at", AT))
        for writer in writers:
            assert writer.sent == {user: table[user]["features"]["views"] for user in writer.sent}
        before = world.profiles("image", "sequence", "updated", "catalog")
        world.redis("FLUSHALL")
        world.proxy.break_all()
        eventually(world.is_flushed, 60)
        assert world.profiles("image", "sequence", "updated", "catalog") == before
        assert len(before) == len(table)

        # And they are all that is needed.
        assert world.shop.stop() == 0
        shutil.rmtree(world.shop.directory / "durable")
        world.shop.start()
        assert without_age(world.shop.export("--at", AT)) == table
        assert world.profiles("image", "sequence", "updated", "catalog") == before
        assert world.shop.stop() == 0
        print(json.dumps({"fault": fault.__name__, "updates": sum(sum(writer.sent.values())
                                                                  for writer in writers),
                          "refused": sum(writer.failure is not None for writer in writers),
                          "versions_sampled": sampler.samples, "went_back": len(sampler.back),
                          "profiles_compared": len(before), **world.proxy.counts}))
    except BaseException:
        print(f"deja serve had said:\n{world.shop.log_text()}")
        raise
    finally:
        world.close()
