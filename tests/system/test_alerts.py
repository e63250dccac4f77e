"""Every alert of tools/monitoring/deja.rules.yml fires by its real cause, alone, and ends with it: real
appliances under a real Prometheus, whose windows are shorter (support/prometheus.py)."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import tempfile
import threading
import typing

import pytest

from appliance import Appliance
from disk import small_disk
from prometheus import RULES, Prometheus, need_prometheus
from traffic import BROKEN, SLOW, Client, eventually, lasting_address, processes, track

CONFIG = """
[appliance]
name = "alerting"
directory = "@DIRECTORY@"
profiles = 1000
shards = 4
huge_pages = "off"

[cpu]
ingest = 1
workers = 1

[listen]
http = "127.0.0.1:0"
console = "@CONSOLE@"
stream = []

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", item = "properties.product_id", note = "properties.note" }

[features]
views = { type = "count", event = "view" }
notes = { type = "last", event = "view", of = "note" }
"""

MIB = 1 << 20


def view(user, message_id=None, **properties):
    return track(user, "Product Viewed", message_id, **properties)


@contextlib.contextmanager
def again_and_again(step, pause_seconds=0.0):
    """Calls step() in a thread while it is entered; fails with what step() failed with."""
    ended = threading.Event()

    def run():
        while not ended.is_set():
            step()
            ended.wait(pause_seconds)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
        finally:
            ended.set()
        running.result()


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def private_redis(shop):
    return next(pid for pid in shop.pids()
                if b"redis-server" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])


# --- causes: each goes on while it is entered ---------------------------------------------------


@contextlib.contextmanager
def the_appliance_is_stopped(shop, _):
    assert shop.stop() == 0
    yield
    shop.start()


@contextlib.contextmanager
def a_worker_dies_again_and_again(shop, _):
    def dies():
        pid = processes(shop)["worker-0"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: processes(shop)["worker-0"] not in (pid, 0))

    with again_and_again(dies, 0.5):
        yield


@contextlib.contextmanager
def supervisor_and_worker_hang_under_load(shop, _):
    """And nobody puts right what goes wrong, so that the private Redis stays away when it dies."""
    def floods():  # with more than a ring holds; whoever is refused comes again
        with contextlib.suppress(*BROKEN), Client(shop.http) as client:
            client.post("/v1/batch", {"batch": [view(f"u{number}", note="x" * 20_000)
                                                for number in range(20)]})

    pids = processes(shop)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(again_and_again(floods))
        stack.enter_context(stopped(pids["supervisor"], pids["worker-0"]))
        os.kill(private_redis(shop), signal.SIGKILL)
        yield


@contextlib.contextmanager
def redis_hangs(shop, _):
    with stopped(private_redis(shop)):
        assert shop.post("/v1/track", view("ada"))[0] == 200
        yield


@contextlib.contextmanager
def the_disk_hangs(shop, disk):
    """A keeper without io_uring hangs with it, and its lag stands still: it is said by the log's age."""
    if "is written with io_uring" not in shop.log_text():
        pytest.skip("skipped: the journal is not written with io_uring here")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with disk.hanging():
            answer = pool.submit(shop.post, "/v1/track", view("ada"), timeout=60 * SLOW)
            yield
        assert answer.result()[0] == 200


@contextlib.contextmanager
def the_disk_fills_up(shop, disk):
    with disk.filled(left=0.05):
        os.kill(processes(shop)["keeper"], signal.SIGKILL)  # each life begins a segment: it finds no room
        yield
    # Nobody sends anything that the keeper could try it with, so it has to see by itself.
    eventually(lambda: shop.post("/v1/track", view("ada"))[0] == 200)


@contextlib.contextmanager
def an_event_can_not_be_understood(shop, _):
    assert shop.post("/v1/track", {"userId": "ada"})[0] == 400
    yield


@contextlib.contextmanager
def a_producer_sends_everything_again(shop, _):
    batches = [{"batch": [view(f"u{number % 50}", f"{batch}-{number}") for number in range(100)]}
               for batch in range(50)]
    for batch in batches:
        assert shop.post("/v1/batch", batch)[0] == 200
    left = iter(batches * 10)

    def sends():
        assert shop.post("/v1/batch", next(left))[0] == 200

    with again_and_again(sends, 1):
        yield


@dataclasses.dataclass(frozen=True)
class Case:
    cause: typing.Callable
    alerts: set  # (alert, process or queue): while it goes on
    later: set = dataclasses.field(default_factory=set)  # once it is over
    disk: str = ""  # what of the appliance's directory lies on a small disk


CASES = [
    Case(the_appliance_is_stopped, {("DejaNotServing", None)}),
    Case(a_worker_dies_again_and_again, {("DejaProcessRestarts", "worker-0")}),
    Case(supervisor_and_worker_hang_under_load,
         {("DejaHeartbeatStale", "supervisor"), ("DejaHeartbeatStale", "worker-0"),
          ("DejaLagOld", "ring-0-0"), ("DejaBackPressure", None), ("DejaRedisDown", "keeper")},
         # What waited is visible far too late.
         later={("DejaLatencyBudgetBurns", None)}),
    Case(redis_hangs, {("DejaRedisDown", "keeper"), ("DejaRedisLagOld", "keeper")}),
    # A log's room is free again only once the disk has what lay there.
    Case(the_disk_hangs, {("DejaJournalLagOld", "keeper"), ("DejaLagOld", "log-0")},
         disk="durable/journal"),
    # A keeper begins its journal before it turns to Redis.
    Case(the_disk_fills_up, {("DejaJournalNearlyFull", "keeper"), ("DejaJournalRefuses", "keeper"),
                             ("DejaRedisDown", "keeper")}, disk="durable"),
    Case(an_event_can_not_be_understood, {("DejaDeadLetters", None)}),
    Case(a_producer_sends_everything_again, {("DejaDuplicatesSpike", None)}),
]


def run(case, prometheus):
    """Starts an appliance, lets the cause come and go, and returns the alerts' names."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="deja-test-", dir="/dev/shm")))
        disk = case.disk and stack.enter_context(
            small_disk(directory / case.disk, directory / "image", 192 * MIB))
        shop = stack.enter_context(Appliance(CONFIG, keep_directory=directory,
                                             console=lasting_address()))
        prometheus.scrape(shop)
        stack.callback(prometheus.forget, shop)
        with case.cause(shop, disk):
            eventually(lambda: prometheus.firing(shop) >= case.alerts, 90)
        eventually(lambda: prometheus.ever_fired(shop) >= case.later, 90)
        eventually(lambda: prometheus.firing(shop) == set(), 90)
        fired = prometheus.ever_fired(shop)
        # How late the few events of a case are is the machine's affair, where the case isn't about it.
        assert fired - {("DejaLatencyBudgetBurns", None)} == case.alerts
        return {name for name, _ in fired & (case.alerts | case.later)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All cases at once, {cause: its future}: they mostly wait."""
    need_prometheus()
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as prometheus, \
            concurrent.futures.ThreadPoolExecutor(len(CASES)) as pool:
        yield {case.cause: pool.submit(run, case, prometheus) for case in CASES}


@pytest.mark.parametrize("cause", [case.cause for case in CASES], ids=lambda cause: cause.__name__)
def test_alerts_fire_and_end_when(cause, runs):
    runs[cause].result()


def test_every_alert_has_fired(runs):
    failures = [future.exception() for future in runs.values()]
    if any(isinstance(failure, pytest.skip.Exception) for failure in failures):
        pytest.skip("skipped: some cause can't be had here")
    fired = set().union(*(future.result() for future in runs.values()))
    assert fired == set(re.findall(r"- alert: (\w+)", RULES.read_text()))
