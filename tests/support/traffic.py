"""Events for an appliance under test, and what a test wants to know of its processes."""

import http.client
import json
import os
import pathlib
import random
import socket
import time

SLOW = 5 if os.environ.get("DEJA_SANITIZE") else 1


class Client:
    """One kept connection to an appliance's HTTP address."""

    def __init__(self, address, timeout=30 * SLOW):
        self.connection = http.client.HTTPConnection(address, timeout=timeout)

    def post(self, route, body):
        """(status, parsed answer, headers); OSError or HTTPException where the connection broke."""
        self.connection.request("POST", route, json.dumps(body))
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text or b"null"), answer.headers

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


BROKEN = (OSError, http.client.HTTPException)


def track(user, event, message_id=None, **properties):
    call = {"type": "track", "userId": user, "event": event, "properties": properties}
    return {**call, "messageId": message_id} if message_id else call


def accepted(events, answer):
    """Those of a batch's events that its answer does not list in `rejected`; none of a refused
    request."""
    refused = {entry["index"] for entry in answer.get("rejected", [])}
    if not answer.get("success") and not refused:
        return []
    return [event for index, event in enumerate(events) if index not in refused]


def worker_of(headers):
    """The number of the worker that got the one event of this answer."""
    parts = headers["Deja-Token"].split(".")[2:]
    assert len(parts) == 1, headers["Deja-Token"]
    return int(parts[0].split(":")[1], 16)


def lasting_address():
    """An address for an appliance that is to have the same one in its next life. One that the kernel
    chose lies in the range that it gives to everybody who asks, so while nobody listens on it another
    program may get it."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(1024, first - 12_000), first)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"127.0.0.1:{port}"


def eventually(condition, seconds=20):
    """The first true value of condition(); fails after `seconds`."""
    deadline = time.monotonic() + seconds * SLOW
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


def processes(appliance):
    """{name: pid} of the appliance's own processes."""
    return {process["name"]: process["pid"] for process in appliance.stat()["processes"]}


def runs(pid):
    """Whether the process is there and not a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid):
    """The pids of a process's children."""
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def without_age(profiles):
    return {user: {**profile, "age_us": 0} for user, profile in profiles.items()}
