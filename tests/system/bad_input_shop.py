"""What every class of bad input is held against: an appliance with neighbours on long-lived
connections, and a ledger that says in which counter each event must have ended."""

import collections
import dataclasses
import itertools
import json
import os
import socket
import time

import bad_input_capnp as capnp
from appliance import Appliance

CONFIG = """
[appliance]
name = "@NAME@"
directory = "@DIRECTORY@"
profiles = 2000
shards = 4
huge_pages = "off"

[cpu]
ingest = 1
workers = 2

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/@NAME@.sock"]
console = ""
@KEYS@

[durability]
directory = "@DIRECTORY@/durable"
ack = "applied"
dedup_window = 1000

[events]
view = { track = "Product Viewed", item = "properties.product_id", price = "properties.price" }
order = { track = "Order Completed", item = "properties.products[].id", price = "properties.products[].price", value = "properties.revenue" }
visit = { page = "*" }
club = { group = "*" }
signed = { identify = true }

[features]
views = { type = "count", event = "view" }
spend = { type = "sum", event = "order", of = "price" }
visits = { type = "count", event = ["visit", "club", "signed"] }
"""

# Every event that must be refused is this one's; a profile of that name is an event too many.
VICTIM = "victim"
# Good events inside of otherwise bad input are this one's.
MATE = "mate"
# Where an event can end.
ENDS = ("applied", "duplicate", "unmatched", "alias", "abandoned", "rejected", "dead")
SLOW = 5 if os.environ.get("DEJA_SANITIZE") else 1

serial = itertools.count(1)


def event(user=VICTIM, **members):
    """A good track call, but for what is said; None takes a member away."""
    call = {"userId": user, "event": "Product Viewed", "messageId": f"m{next(serial)}",
            "properties": {"product_id": "p1", "price": 3}, **members}
    return {name: value for name, value in call.items() if value is not None}


def request(body=b"", method="POST", target="/v1/track", headers=(), version="HTTP/1.1",
            host="Host: shop", length=True):
    """The bytes of a request; `headers` are whole lines."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {target} {version}", *([host] if host else []), *headers]
    if length and (data or method in ("POST", "PUT")):
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


@dataclasses.dataclass
class Answer:
    """What a request must be answered with. `members` are of the JSON answer, beyond the error."""
    status: int
    code: str = None
    path: str = None
    rejected: list = None  # (index, code, path) of each
    headers: dict = dataclasses.field(default_factory=dict)
    without_body: bool = False


class Wire:
    """A connection by hand."""

    def __init__(self, address, timeout=10 * SLOW):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address[5:])
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """What the server no longer wants to read is not the client's fault."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, count):
        while len(self.left) < count:
            part = self.socket.recv(65536)
            assert part, f"the server closed; before that it said {self.left!r}"
            self.left += part
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def read_answer(self, without_body=False):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.receive(1)
        first, *lines = head.decode().split("\r\n")[:-2]
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        body = b""
        if not without_body:
            body = self.receive(int(headers.get("content-length", 0)))
        return int(status), headers, json.loads(body) if body else None

    def expect(self, expected):
        status, headers, body = self.read_answer(expected.without_body)
        shown = f"{status} {headers} {body}"
        assert status == expected.status, shown
        for name, value in expected.headers.items():
            assert headers.get(name.lower()) == value, shown
        if expected.code:
            error = body["error"]
            assert body["success"] is False and error["code"] == expected.code, shown
            assert error.get("path", "") == (expected.path or ""), shown
            assert error["message"] and VICTIM not in error["message"], shown
            assert set(error) <= {"code", "message", "path"}, shown
        elif status == 200:
            assert body is None or body["success"] is True, shown
        if body is not None:
            found = [(entry["index"], entry["code"], entry["path"])
                     for entry in body.get("rejected", [])]
            assert found == (expected.rejected or []), shown
            assert all(entry["message"] for entry in body.get("rejected", [])), shown
        return headers

    def expect_end(self):
        """The server closes, with nothing more to say."""
        try:
            more = self.left + self.socket.recv(65536)
        except ConnectionResetError:
            more = self.left
        assert more == b"", f"after its last word: {more!r}"


class StreamWire(Wire):
    """A stream's connection: frames by hand, replies read."""

    def __init__(self, address, key=""):
        super().__init__(address)
        self.key = key
        self.sequence = 0

    def greet(self):
        self.send(capnp.hello_frame(write_key=self.key))
        reply = self.read()
        assert reply["kind"] == "helloReply" and reply["version"] == 1, reply
        assert reply["ackLevel"] == 1, reply

    def read(self):
        length, flags = capnp.HEADER.unpack(self.receive(8))
        assert flags == 0 and length % 8 == 0
        return capnp.read_message(self.receive(length))

    def batch(self, *events, **options):
        self.sequence += 1
        self.send(capnp.batch_frame(self.sequence, events, **options))
        return self.read()


class Shop:
    """An appliance, its neighbours, and the ledger."""

    def __init__(self, name, key=""):
        self.key = key
        keys = f'write_keys = ["{key}", "another-key"]' if key else ""
        self.appliance = Appliance(CONFIG, name=name, keys=keys)
        self.ledger = collections.Counter()
        self.codes = collections.Counter()
        self.views = collections.Counter()

    def __enter__(self):
        self.appliance.__enter__()
        self.http = self.appliance.http
        self.stream = self.appliance.streams[0]
        self.meet_neighbours()
        return self

    def __exit__(self, *exception):
        self.neighbour.socket.close()
        self.stream_neighbour.socket.close()
        return self.appliance.__exit__(*exception)

    def meet_neighbours(self):
        self.neighbour = Wire(self.http)
        self.stream_neighbour = StreamWire(self.stream, self.key)
        self.stream_neighbour.greet()

    def good_request(self, user):
        return request({**event(user), **({"writeKey": self.key} if self.key else {})})

    def count(self, outcome, count=1, code=None):
        self.ledger["received"] += count
        self.ledger[outcome] += count
        if code:
            self.codes[code] += count

    def good(self, wire, user):
        """An event that must be taken, over a connection that must be whole."""
        wire.send(self.good_request(user))
        headers = wire.expect(Answer(200))
        assert headers["deja-ack"] == "applied" and headers["deja-token"]
        self.counted(user)

    def counted(self, user, count=1):
        self.count("applied", count)
        self.views[user] += count

    def good_stream(self, wire, user):
        reply = wire.batch(capnp.event(user=user, message_id=f"m{next(serial)}"))
        assert reply["kind"] == "ack" and reply["rejects"] == [], reply
        assert reply["sequence"] == wire.sequence and reply["token"], reply
        self.counted(user)

    def neighbours_go_on(self):
        self.good(self.neighbour, "neighbour")
        self.good_stream(self.stream_neighbour, "stream-neighbour")

    def totals(self):
        return self.appliance.stat()["totals"]

    def expect_counts(self):
        """Every event received is where the ledger has it, and nowhere else."""
        wanted = {name: self.ledger[name] for name in ("received", *ENDS)}
        deadline = time.monotonic() + 10 * SLOW
        while True:
            stat = self.appliance.stat()
            found = {name: stat["totals"][name] for name in wanted}
            if found == wanted or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        assert found == wanted, f"{found} in place of {wanted}"
        codes = {code: count for code, count in self.codes.items() if count}
        assert stat["rejected"] == codes, f"{stat['rejected']} in place of {codes}"
        self.expect_sums(stat["totals"])

    @staticmethod
    def expect_sums(totals):
        ended = sum(totals[name] for name in ENDS)
        assert totals["received"] == ended and totals["on_their_way"] == 0, totals

    def start_the_books_again(self):
        """Behind a line that failed, so that the next ones are not blamed for it."""
        self.neighbour.socket.close()
        self.stream_neighbour.socket.close()
        self.meet_neighbours()
        deadline = time.monotonic() + 10 * SLOW
        while (stat := self.appliance.stat())["totals"]["on_their_way"] != 0:
            assert time.monotonic() < deadline, stat["totals"]
            time.sleep(0.01)
        self.expect_sums(stat["totals"])
        self.ledger = collections.Counter(stat["totals"])
        self.codes = collections.Counter(stat["rejected"])
        self.views = collections.Counter({user: profile["features"]["views"] for user, profile
                                          in self.appliance.export().items()})

    def expect_profiles(self):
        """Everybody's good events are there, and nothing of what was refused."""
        for user in (VICTIM, f"anon:{VICTIM}"):
            assert self.appliance.profile(user) is None, f"an event of {user} was taken"
        found = {user: profile["features"]["views"]
                 for user, profile in self.appliance.export().items()}
        found = {user: count for user, count in found.items() if count}
        assert found == dict(self.views), f"{found} in place of {dict(self.views)}"
