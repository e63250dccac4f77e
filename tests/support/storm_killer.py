"""Who kills in a storm: finds the processes of one appliance, kills any of them with SIGKILL, now and
then all, and starts `deja serve` again where its supervisor is gone. Kills only what names the
appliance's own scratch directory on its command line."""

import collections
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from appliance import BIN

KINDS = {"deja-worker": "worker", "deja-ingest": "ingest", "deja-keeper": "keeper",
         "deja-console": "console", "redis-server": "redis", "redis-aof-rewrite": "redis"}
# How often a kind is chosen, for each of its processes; the tree is chosen like one.
WEIGHTS = {"worker": 4, "ingest": 8, "keeper": 8, "console": 2, "redis": 4, "supervisor": 1.5,
           "unborn": 1, "tree": 0.4}


def processes_of(directory):
    """{pid: kind} of an appliance's living processes."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) not in line:
            continue
        first = os.path.basename(re.split(rb"[\0 ]", line)[0]).decode()
        kind = KINDS.get(first)
        if first == "deja" and b"\0serve\0" in line:
            kind = "supervisor"
        if kind:
            found[int(entry.name)] = kind
    return found


class Killer:
    """Kills `shop`'s processes; `shop.process` is always the newest supervisor."""

    def __init__(self, shop, rng, everybody_by):
        """everybody_by: after so many kills those that chance has spared so far come first."""
        self.shop = shop
        self.rng = rng
        self.everybody_by = everybody_by
        self.kills = collections.Counter()  # by kind, the tree's members under their own kinds
        self.trees = 0
        self.starts = 0
        self.gave_up = []  # supervisors that ended by themselves: exit statuses
        self.waits_for_ingest = False  # most new supervisors may come as far as that

    def count(self):
        return sum(self.kills.values())

    def start(self):
        """A new supervisor, not waited for."""
        with open(self.shop.log, "ab") as log:
            self.shop.process = subprocess.Popen(
                [str(BIN / "deja"), "serve", "-c", str(self.shop.config)], stdout=log, stderr=log,
                env=self.shop.environment)
        self.starts += 1
        self.waits_for_ingest = self.rng.random() < 0.7

    def see_to_the_supervisor(self):
        """Starts one where there is none. One that ended by itself is written down."""
        if self.shop.process is not None:
            status = self.shop.process.poll()
            if status is None:
                return
            if status != -signal.SIGKILL:
                self.gave_up.append(status)
        self.start()

    def processes(self):
        """{pid: kind}; a fork of the supervisor that is nobody yet is "unborn"."""
        found = {pid: "unborn" if kind == "supervisor" else kind
                 for pid, kind in processes_of(self.shop.directory).items()}
        if self.shop.process.poll() is None:
            found[self.shop.process.pid] = "supervisor"
        else:
            found.pop(self.shop.process.pid, None)
        return found

    def kill(self, pid, kind):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[kind] += 1

    def spared(self):
        """Kinds that nobody has killed yet."""
        hit = {*self.kills, *(["tree"] if self.trees else [])}
        return WEIGHTS.keys() - hit - {"unborn"}  # an unborn one is not there to be waited for

    def kill_one(self):
        """One kill, or all of the tree; False where nobody is there, or not yet."""
        processes = self.processes()
        self.waits_for_ingest = self.waits_for_ingest and "ingest" not in processes.values()
        if not processes or self.waits_for_ingest:
            return False
        victims = [*processes.items(), (0, "tree")]
        if self.count() >= self.everybody_by:
            spared = self.spared()
            victims = [victim for victim in victims if victim[1] in spared] or victims
        pid, kind = self.rng.choices(victims, [WEIGHTS[kind] for _, kind in victims])[0]
        if kind == "tree":
            self.trees += 1
            members = sorted(processes.items(), key=lambda one: one[1] != "supervisor")
            if self.rng.random() < 0.5:  # in any order, as a machine's own killer would
                self.rng.shuffle(members)
            for member in members:
                self.kill(*member)
        else:
            self.kill(pid, kind)
        if kind in ("supervisor", "tree"):
            self.shop.process.wait(20)
        return True


class Pace:
    """Waits at random between kills: mostly too short for anybody to get up, at times long enough for
    everybody."""

    def __init__(self, rng, mean_s):
        self.rng = rng
        self.mean_s = mean_s

    def wait(self):
        time.sleep(min(self.rng.expovariate(1 / self.mean_s), 8 * self.mean_s))


class Progress(threading.Thread):
    """Follows the ledgers' acks, so that the killer can wait for load to flow."""

    def __init__(self, ledgers):
        super().__init__(daemon=True)
        self.files = [open(ledger, "rb") for ledger in ledgers]
        self.acked = [0] * len(ledgers)
        self.rest = [b""] * len(ledgers)
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            for at, file in enumerate(self.files):
                *lines, self.rest[at] = (self.rest[at] + file.read()).split(b"\n")
                for line in lines:
                    if line.startswith(b"A"):
                        self.acked[at] = int(line[2:])

    def moved_since(self, before, events):
        return all(now >= then + events for now, then in zip(self.acked, before))
