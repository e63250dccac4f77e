"""The HTTP producer of a storm, as a process: batches over kept connections, each sent again under the
same ids, whole or what is left of it, until all of it is acked durable. Writes the same ledger as
tests/storm/storm_producer_main.cc does."""

import http.client
import json
import threading
import time

from storm_events import call_of, index_of, user_of
from traffic import BROKEN, accepted

BATCH = 20
PATIENCE_S = 120  # of a batch, before the producer gives up


class Lane(threading.Thread):
    """One connection with a prefix and a ledger of its own."""

    def __init__(self, address, ledger, prefix, rate, stop):
        super().__init__()
        self.address, self.prefix, self.rate, self.stop = address, prefix, rate, stop
        self.ledger = open(ledger, "a")
        self.connection = None
        self.number = self.acked = self.resent = self.broken = 0
        self.failure = None

    def run(self):
        try:
            due = time.monotonic()
            while not self.stop.is_set():
                self.send_until_acked(self.next_batch())
                due = max(due + BATCH / self.rate, time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))
        except Exception as failure:  # for the process's own thread
            self.failure = repr(failure)
        self.ledger.close()

    def next_batch(self):
        now_us = time.time_ns() // 1000
        batch = []
        for at in range(BATCH):
            batch.append(call_of(self.prefix, self.number, now_us + at))
            self.ledger.write(f"S {self.prefix}.{self.number} {user_of(self.prefix, self.number)} "
                              f"{index_of(self.number) + 1} {now_us + at}\n")
            self.number += 1
        self.ledger.flush()
        time.sleep(0.0001)  # so that no time is given twice
        return batch

    def send_until_acked(self, left):
        deadline = time.monotonic() + PATIENCE_S
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a batch was never taken: {len(left)} are left")
            try:
                taken = accepted(left, self.post(left))
            except (*BROKEN, ValueError):
                self.connection = None
                self.broken += 1
                time.sleep(0.01)
                taken = []
            self.acked += len(taken)
            left = [event for event in left if event not in taken]
            self.resent += len(left)
            if left:
                time.sleep(0.005)
        self.ledger.write(f"A {self.acked}\n")
        self.ledger.flush()

    def post(self, batch):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=10)
        self.connection.request("POST", "/v1/batch", json.dumps({"batch": batch}))
        answer = self.connection.getresponse()
        parsed = json.loads(answer.read())
        if answer.status == 200 and answer.headers["Deja-Ack"] != "durable":
            raise RuntimeError(f"acked {answer.headers['Deja-Ack']}, and not durable")
        if answer.status not in (200, 503):
            raise RuntimeError(f"{answer.status}: {parsed}")
        return parsed


def send_on(address, ledgers, rate, stop, report):
    """The producer's process: one lane for each (prefix, ledger)."""
    lanes = [Lane(address, ledger, prefix, rate, stop) for prefix, ledger in ledgers.items()]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    report.put({"sent": sum(lane.number for lane in lanes),
                "acked": sum(lane.acked for lane in lanes),
                "resent": sum(lane.resent for lane in lanes),
                "broken": sum(lane.broken for lane in lanes),
                "failures": [lane.failure for lane in lanes if lane.failure]})
