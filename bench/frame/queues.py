"""The way of an event as queues: clients ─▶ ingest threads ─▶ rings[i][w] ─▶ workers ─▶ visible. A
discrete-event simulation with constant service times, every party on a core of its own. What has a
seed gives the same figures again.

- Clients send whether or not they are answered (Poisson). As browsers each user has a connection, the
  hot one too; as `backends` each connection carries events of everybody, the hot user's among them.
- Ingest takes up to `bundle` events a pass, and publishes at the end of it. A record whose ring has
  no room stops its connection, and no other. Else it is first come, first served.
- A worker goes round its rings and takes up to `batch` records of one. Users are hashed to shards, a
  shard belongs to worker shard % W. A batch costs `batch_ns`, `event_ns` for each event, and for each
  different user in it `publish_ns` (block copied and published) and `cold_ns` (not for the hot user,
  whose block is in the cache). A ring's space is free when its batch is done.
- Left out: renderers, who share nothing with anybody that could wait, keeper and log, Redis, acks."""

import collections
import dataclasses
import heapq
import random

HOT = -1


@dataclasses.dataclass
class Costs:
    """In ns, on one core. bench/SCALING.md says which are measured."""
    ingest_ns: float = 400
    batch_ns: float = 500
    event_ns: float = 400
    publish_ns: float = 250
    cold_ns: float = 250
    handover_ns: float = 70
    wake_ns: float = 20_000
    spin_ns: float = 10_000

    def nominal_ns(self, batch):
        """A worker's cost of an event where batches are full and nobody is hot."""
        return self.batch_ns / batch + self.event_ns + self.publish_ns + self.cold_ns


@dataclasses.dataclass
class Setup:
    ingests: int = 1
    workers: int = 1
    per_s: float = 1e6
    events: int = 20_000
    hot: float = 0.0
    backends: bool = False
    sleeping: bool = False  # waits as `adaptive` does: spins, then sleeps; else spins for ever
    connections: int = 8  # of backends, for each ingest thread
    users: int = 1_000_000
    shards: int = 64
    ring_bytes: int = 4 << 20
    record_bytes: int = 200
    bundle: int = 32
    batch: int = 256
    seed: int = 1


class Ring:
    def __init__(self):
        self.records = collections.deque()
        self.used_bytes = 0
        self.fullest_bytes = 0
        self.full_since = None
        self.full_ns = 0.0


class Event:
    __slots__ = ("arrived", "connection", "user", "worker", "taken", "published", "begun", "visible")

    def __init__(self, arrived, connection, user, worker):
        self.arrived, self.connection, self.user, self.worker = arrived, connection, user, worker


class Ingest:
    def __init__(self, arrivals):
        self.arrivals = collections.deque(arrivals)
        self.looks_again = False  # a ring that was full has room
        self.stopped = {}  # connection → its events that wait, in order of arrival
        self.busy = False
        self.busy_ns = 0.0
        self.idle_since = 0.0
        self.wakes_at = None


class Worker:
    def __init__(self):
        self.busy = False
        self.busy_ns = 0.0
        self.idle_since = 0.0
        self.next_ring = 0
        self.batches = 0
        self.done = 0
        self.published = 0


class Simulation:
    """run() once; then read `events`, `rings[i][w]`, `ingests`, `workers`, `horizon_ns`."""

    def __init__(self, setup, costs):
        self.setup, self.costs = setup, costs
        self.horizon_ns = setup.events / setup.per_s * 1e9
        self.queue, self.number = [], 0
        self.events = list(self.arrivals())
        by_thread = [[] for _ in range(setup.ingests)]
        for event in self.events:
            by_thread[event.connection % setup.ingests].append(event)
        self.ingests = [Ingest(events) for events in by_thread]
        self.workers = [Worker() for _ in range(setup.workers)]
        self.rings = [[Ring() for _ in self.workers] for _ in self.ingests]

    def arrivals(self):
        setup, draw = self.setup, random.Random(self.setup.seed)
        backends = setup.ingests * setup.connections
        at = 0.0
        for _ in range(setup.events):
            at += draw.expovariate(setup.per_s) * 1e9
            user = draw.randrange(setup.users)
            # A connection for each user, and his shard says nothing of the ingest thread that it met.
            own = user // setup.shards + user % setup.shards * setup.ingests * setup.users
            connection = draw.randrange(backends) if setup.backends else own
            if draw.random() < setup.hot:
                user = HOT
                connection = connection if setup.backends else HOT
            shard = 0 if user == HOT else user % setup.shards
            yield Event(at, connection, user, shard % setup.workers)

    def later(self, at, what, *arguments):
        self.number += 1
        heapq.heappush(self.queue, (at, self.number, what, arguments))

    def run(self):
        for number in range(len(self.ingests)):
            self.ingest_pass(0.0, number)
        while self.queue:
            at, _, what, arguments = heapq.heappop(self.queue)
            what(at, *arguments)
        return self

    def handed_over(self, at, idle_since):
        """When a party that waits since then sees what was published at `at`."""
        asleep = self.setup.sleeping and at - idle_since > self.costs.spin_ns
        return at + (self.costs.wake_ns if asleep else self.costs.handover_ns)

    # ── ingest

    def ingest_wakes(self, at, number):
        ingest = self.ingests[number]
        if at == ingest.wakes_at:
            ingest.wakes_at = None
        if not ingest.busy:
            self.ingest_pass(at, number)

    def ingest_pass(self, at, number):
        ingest, bundle = self.ingests[number], []
        arrivals = ingest.arrivals
        while arrivals and arrivals[0].arrived <= at and len(bundle) < self.setup.bundle:
            event = arrivals.popleft()
            if event.connection in ingest.stopped:
                ingest.stopped[event.connection].append(event)  # not even received
            elif self.claim(at, number, event):
                bundle.append(event)
            else:
                ingest.stopped[event.connection] = collections.deque([event])
        # Behind those that arrive, so that a backlog does not hold up the other connections.
        for connection in list(ingest.stopped) if ingest.looks_again else ():
            waiting = ingest.stopped[connection]
            first = waiting[0]
            while waiting and len(bundle) < self.setup.bundle and self.claim(at, number, waiting[0]):
                bundle.append(waiting.popleft())
            if not waiting:
                del ingest.stopped[connection]
            elif waiting[0] is not first:
                ingest.stopped[connection] = ingest.stopped.pop(connection)  # the others are next
            if len(bundle) == self.setup.bundle:
                break
        else:
            ingest.looks_again = False
        if bundle:
            for place, event in enumerate(bundle):
                event.taken = at + place * self.costs.ingest_ns
            spent = len(bundle) * self.costs.ingest_ns
            ingest.busy = True
            ingest.busy_ns += max(0.0, min(at + spent, self.horizon_ns) - at)
            self.later(at + spent, self.ingest_publishes, number, bundle)
            return
        ingest.idle_since = at
        if arrivals and ingest.wakes_at is None:
            due = arrivals[0].arrived
            asleep = self.setup.sleeping and due - at > self.costs.spin_ns
            ingest.wakes_at = due + (self.costs.wake_ns if asleep else 0)
            self.later(ingest.wakes_at, self.ingest_wakes, number)

    def claim(self, at, number, event):
        ring = self.rings[number][event.worker]
        if ring.used_bytes + self.setup.record_bytes > self.setup.ring_bytes:
            if ring.full_since is None:
                ring.full_since = at
            return False
        ring.used_bytes += self.setup.record_bytes
        ring.fullest_bytes = max(ring.fullest_bytes, ring.used_bytes)
        return True

    def ingest_publishes(self, at, number, bundle):
        for event in bundle:
            event.published = at
            self.rings[number][event.worker].records.append(event)
        for to in {event.worker for event in bundle}:
            worker = self.workers[to]
            if not worker.busy:
                worker.busy = True  # on its way to its rings
                self.later(self.handed_over(at, worker.idle_since), self.worker_pass, to)
        self.ingests[number].busy = False
        self.ingest_pass(at, number)

    # ── worker

    def worker_pass(self, at, number):
        worker, setup, costs = self.workers[number], self.setup, self.costs
        for _ in range(setup.ingests):
            source = worker.next_ring
            worker.next_ring = (source + 1) % setup.ingests
            records = self.rings[source][number].records
            if records:
                break
        else:
            worker.busy, worker.idle_since = False, at
            return
        batch = [records.popleft() for _ in range(min(setup.batch, len(records)))]
        users = {event.user for event in batch}
        for event in batch:
            event.begun = at
        end = at + (costs.batch_ns + len(batch) * costs.event_ns + len(users) * costs.publish_ns
                    + (len(users) - (HOT in users)) * costs.cold_ns)
        worker.busy_ns += max(0.0, min(end, self.horizon_ns) - at)
        worker.batches += 1
        worker.published += len(users)
        self.later(end, self.worker_publishes, number, source, batch)

    def worker_publishes(self, at, number, source, batch):
        for event in batch:
            event.visible = at
        if at <= self.horizon_ns:
            self.workers[number].done += len(batch)
        ring, ingest = self.rings[source][number], self.ingests[source]
        ring.used_bytes -= len(batch) * self.setup.record_bytes
        if ring.full_since is not None:
            ring.full_ns += max(0.0, min(at, self.horizon_ns) - ring.full_since)
            ring.full_since = None
            ingest.looks_again = True
            if not ingest.busy:
                self.later(self.handed_over(at, ingest.idle_since), self.ingest_wakes, source)
        self.worker_pass(at, number)
