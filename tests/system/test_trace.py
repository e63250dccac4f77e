"""`deja trace` against a real appliance: every stage of an event in its order, whoever is killed in
between; a client's trace goes on; and spans that OpenTelemetry's own schema reads."""

import base64
import contextlib
import fcntl
import http.server
import itertools
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import peers
from appliance import BIN, Appliance
from bad_input_capnp import batch_frame, event, hello_frame
from traffic import SLOW, Client, eventually, processes, track
from watched import watched_config

CONFIG = watched_config("traced", 'stream = ["unix:@DIRECTORY@/traced.sock"]')

WAY = ["received", "committed", "published", "taken", "visible"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
LANES = 3  # of the one ingest thread: two workers', and that of events in no ring
SLOT_BYTES, SLOTS = 248, 1024


@pytest.fixture(scope="module")
def shop():
    with Appliance(CONFIG) as appliance:
        yield appliance


def file_of(shop, name):
    return next(path for path in shop.segment.glob(f"{name}.*") if path.suffix[1:].isdigit())


def lease_ns(shop):
    """How long events are followed yet, in nanoseconds; negative: they are not."""
    return struct.unpack("q", file_of(shop, "trace").read_bytes()[:8])[0] - time.monotonic_ns()


def followed_count(shop):
    data = file_of(shop, "trace-ingest-0").read_bytes()
    return sum(struct.unpack_from("Q", data, lane * (64 + SLOT_BYTES * SLOTS))[0] for lane in range(LANES))


class Tracer:
    """`deja trace` while it is entered, and the stories that it has told."""

    def __init__(self, shop, *arguments, json_lines=True):
        self.shop, self.stories, self.said = shop, [], ""
        self.arguments = [str(BIN / "deja"), "trace", "--name", shop.name, "--directory", str(shop.directory),
                          *(["--json"] if json_lines else []), *map(str, arguments)]

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=self.read), threading.Thread(target=self.listen)]
        for reader in self.readers:
            reader.start()
        self.wait_until_on()
        return self

    def wait_until_on(self):
        eventually(lambda: self.process.poll() is not None or lease_ns(self.shop) > 1_500_000_000)
        time.sleep(0.2 * SLOW)  # an ingest that sleeps looks at it within 10 ms

    def read(self):
        for line in self.process.stdout:
            self.stories.append(json.loads(line) if line.startswith("{") else line)

    def listen(self):
        for line in self.process.stderr:
            self.said += line

    def of(self, message_id):
        """The stories of that message, once there are any."""
        return eventually(lambda: [story for story in self.stories if story["message_id"] == message_id])

    def end(self, number=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(30 * SLOW)
        for reader in self.readers:
            reader.join()
        return status

    def __exit__(self, *_):
        self.end()


def stages(story):
    return [stage["stage"] for stage in story["stages"]]


def went_its_way(story, *stages_after):
    """Whether it has these stages after WAY and no others, and no stage is before its cause. Some are no
    cause of each other: a journal can have an event before its worker has applied it, and Redis can
    have it before its answer is written."""
    found = stages(story)
    causes = [*zip(WAY, WAY[1:]), ("taken", "durable"), ("durable", "flushed"), ("visible", "answered")]
    if story["ack"] == "durable":
        causes.append(("durable", "answered"))
    return set(found) == {*WAY, *stages_after} and len(found) == len(set(found)) and all(
        found.index(cause) < found.index(effect) for cause, effect in causes
        if cause in found and effect in found)


def view(user, message_id, **properties):
    return track(user, "Product Viewed", message_id, **properties)


def test_a_users_event_is_followed_through_every_stage(shop):
    with Tracer(shop, "--user", "ada") as tracer:
        shop.post("/v1/track", view("bob", "not-hers"))
        assert shop.post("/v1/track", view("ada", "hers"))[0] == 200
        [story] = tracer.of("hers")
        assert went_its_way(story, "durable", "answered", "flushed")
        times = [stage["since_received_ns"] for stage in story["stages"]]
        assert times == sorted(times) and times[0] == 0
        assert story["outcome"] == "applied" and story["ack"] == "durable" and story["whole"]
        assert story["sequence"] >= shop.profile("ada")["sequence"] > 0
        assert re.fullmatch(r"[0-9a-f]{32}", story["trace"]) and "parent" not in story
        assert shop.post("/v1/track", view("ada", "early"), {"Deja-Ack": "applied"})[0] == 200
        [story] = tracer.of("early")
        assert went_its_way(story, "durable", "answered", "flushed") and story["ack"] == "applied"
    assert [story["message_id"] for story in tracer.stories] == ["hers", "early"]
    assert "2 events followed" in tracer.said


def test_no_stage_is_told_before_its_cause(shop):
    """Beside others, who keep ingest awake: it sees a position move without being told."""
    done = threading.Event()

    def keep_awake():
        with Client(shop.http) as client:
            for number in itertools.takewhile(lambda _: not done.is_set(), itertools.count()):
                client.post("/v1/track", view("dee", f"awake-{number}"))

    others = [threading.Thread(target=keep_awake) for _ in range(2)]
    with Tracer(shop, "--user", "cay") as tracer:
        for other in others:
            other.start()
        try:
            for number in range(250):
                for ack in ("applied", "durable"):
                    shop.post("/v1/track", view("cay", f"{ack}-{number}"), {"Deja-Ack": ack}, timeout=10 * SLOW)
            assert all(other.is_alive() for other in others)
        finally:
            done.set()
            for other in others:
                other.join()
        assert tracer.end() == 0
    assert len(tracer.stories) == 500
    assert not [story for story in tracer.stories if not went_its_way(story, "durable", "answered", "flushed")]


def test_what_became_of_others_is_told_too(shop):
    with Tracer(shop, "--sample", "1") as tracer:
        shop.post("/v1/track", view("eve", "first"))
        shop.post("/v1/track", view("eve", "first"))
        shop.post("/v1/track", track("eve", "Nobody Wants It", "unmatched"))
        shop.post("/v1/alias", {"userId": "eve", "previousId": "x", "messageId": "alias"})
        shop.post("/v1/track", view("x" * 65, "long"))
        shop.post("/v1/track", b"{no json")
        eventually(lambda: len(tracer.stories) == 6)
        first, again = sorted(tracer.of("first"), key=lambda story: story["outcome"])
        assert (first["outcome"], again["outcome"]) == ("applied", "duplicate")
        assert went_its_way(again, "durable", "answered") and "sequence" not in again and again["whole"]
        for message, outcome, code in (("unmatched", "unmatched", ""), ("alias", "alias", ""),
                                       ("long", "refused", "key_too_long"), ("", "refused", "bad_json")):
            [story] = tracer.of(message)
            assert (story["outcome"], story["code"]) == (outcome, code)
            assert stages(story) == ["received", "committed"] and "worker" not in story


def test_a_part_is_chosen_by_id_and_chosen_again(shop):
    batches = [[view(f"u{number % 50}", f"sample-{number}") for number in range(first, first + 500)]
               for first in range(0, 4000, 500)]
    with Tracer(shop, "--sample", "5%") as tracer, Client(shop.http) as client:
        for batch in batches:
            client.post("/v1/batch", {"batch": batch})
        assert tracer.end() == 0
        once = [story["message_id"] for story in tracer.stories]
    assert len(once) == len(set(once)) and 150 < len(once) < 250
    assert all(story["whole"] for story in tracer.stories)
    with Tracer(shop, "--sample", "0.05") as tracer, Client(shop.http) as client:
        for batch in batches:
            client.post("/v1/batch", {"batch": batch})
        assert tracer.end() == 0
    assert sorted(story["message_id"] for story in tracer.stories) == sorted(once)
    assert {story["outcome"] for story in tracer.stories} == {"duplicate"}


def test_a_clients_trace_goes_on(shop):
    with Tracer(shop, "--sample", "0") as tracer:
        shop.post("/v1/track", view("ann", "hers"), {"traceparent": TRACEPARENT})
        [story] = tracer.of("hers")
        assert (story["trace"], story["parent"]) == (TRACE, PARENT)
        before = len(tracer.stories)
        for number, value in enumerate(("", "x", TRACEPARENT[:-2] + "00", TRACEPARENT.upper(), "ff" + TRACEPARENT[2:],
                                        f"00-{'0' * 32}-{PARENT}-01", "00-" * 5000, TRACEPARENT + "-x")):
            status = shop.post("/v1/track", view("ann", f"bad-{number}"), {"traceparent": value})[0]
            assert status == 200, value
        batch = [view("ann", f"batch-{number}") for number in range(5)]
        later = "cc" + TRACEPARENT[2:] + "-more"
        shop.post("/v1/batch", {"batch": batch}, {"Traceparent": later})
        eventually(lambda: len(tracer.stories) == before + 5)
        assert tracer.end() == 0
    assert {(story["message_id"], story["trace"]) for story in tracer.stories[before:]} == {
        (event["messageId"], TRACE) for event in batch}


def test_an_unreadable_event_of_a_clients_trace_is_told(shop):
    with Tracer(shop, "--sample", "0") as tracer:
        broken = {"event": "Product Viewed", "messageId": "nobodys"}
        assert shop.post("/v1/track", broken, {"traceparent": TRACEPARENT})[0] == 400
        [story] = tracer.of("nobodys")
        assert (story["trace"], story["outcome"], story["code"]) == (TRACE, "refused", "missing_user")


def test_over_the_stream_events_are_followed_too(shop):
    with Tracer(shop, "--user", "anon:dev") as tracer, socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(shop.directory / "traced.sock"))
        stream.settimeout(20 * SLOW)
        stream.sendall(hello_frame(ack_level=2))
        stream.sendall(batch_frame(1, [event(user="", anonymous="dev", message_id="streamed"),
                                       event(user="dev", message_id="somebody-else")]))
        [story] = tracer.of("streamed")
        assert went_its_way(story, "durable", "answered", "flushed") and story["ack"] == "durable"
        stream.recv(4096)
    assert len(tracer.stories) == 1


def test_who_watches_gives_way(shop):
    with Tracer(shop, "--sample", "1") as tracer:
        assert os.getpriority(os.PRIO_PROCESS, tracer.process.pid) == max(10, os.getpriority(os.PRIO_PROCESS, 0))


@contextlib.contextmanager
def blocked_tracer(shop):
    """One that waits for whoever reads its output, of twenty events; killed at the end."""
    tracer = Tracer(shop, "--user", "pat")
    tracer.process = subprocess.Popen(tracer.arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        tracer.wait_until_on()
        fcntl.fcntl(tracer.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        shop.post("/v1/batch", {"batch": [view("pat", f"told-{number}") for number in range(20)]})
        waits_in = pathlib.Path(f"/proc/{tracer.process.pid}/wchan")
        eventually(lambda: "pipe_write" in waits_in.read_text())
        yield tracer.process
    finally:
        tracer.process.kill()
        tracer.process.wait()
        tracer.process.stdout.close()


def test_what_was_followed_when_it_was_told_to_end_is_told(shop):
    with blocked_tracer(shop) as process:
        shop.post("/v1/track", view("pat", "late"))
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=30 * SLOW)[0]
    assert sorted(json.loads(line)["message_id"] for line in told.splitlines()) == sorted(
        [*(f"told-{number}" for number in range(20)), "late"])
    assert process.returncode == 0


def test_a_second_signal_waits_for_no_reader(shop):
    with blocked_tracer(shop) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10 * SLOW) == 0


def test_one_tracer_at_a_time(shop):
    with Tracer(shop, "--user", "ada"):
        done = shop.deja("trace", check=False)
        assert done.returncode == 1 and done.stdout == ""
        assert "followed already" in done.stderr and "end the other one first" in done.stderr
    assert lease_ns(shop) < 0
    assert shop.deja("trace", "--duration", "100ms").returncode == 0


def test_a_killed_tracer_turns_itself_off(shop):
    with Tracer(shop, "--sample", "1") as tracer:
        shop.post("/v1/track", view("kim", "k1"))
        tracer.of("k1")
        tracer.end(signal.SIGKILL)
        eventually(lambda: lease_ns(shop) < 0)
        time.sleep(0.1 * SLOW)
        before = followed_count(shop)
        shop.post("/v1/track", view("kim", "k2"))
        assert followed_count(shop) == before
    with Tracer(shop, "--sample", "1") as tracer:
        shop.post("/v1/track", view("kim", "k3"))
        tracer.of("k3")
    assert [story["message_id"] for story in tracer.stories] == ["k3"]


def test_a_worker_that_is_killed_in_between_is_survived(shop):
    with Tracer(shop, "--sample", "1", "--wait", "60s") as tracer:
        pids = [pid for name, pid in processes(shop).items() if name.startswith("worker")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        sender = threading.Thread(target=shop.post, args=("/v1/track", view("lee", "killed")),
                                  kwargs={"timeout": 60 * SLOW})
        before = followed_count(shop)
        sender.start()
        eventually(lambda: followed_count(shop) > before)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        [story] = tracer.of("killed")
        sender.join()
        assert went_its_way(story, "durable", "answered", "flushed") and story["outcome"] == "applied"


def test_a_keeper_that_is_killed_in_between_is_survived(shop):
    with Tracer(shop, "--sample", "1", "--wait", "60s") as tracer:
        pid = processes(shop)["keeper"]
        os.kill(pid, signal.SIGSTOP)
        shop.post("/v1/track", view("lee", "unkept"), {"Deja-Ack": "applied"})
        os.kill(pid, signal.SIGKILL)
        [story] = tracer.of("unkept")
        assert stages(story) == WAY + ["answered", "durable", "flushed"] and story["whole"]


def test_what_does_not_come_is_not_waited_for_for_ever(shop):
    with Tracer(shop, "--sample", "1", "--wait", "300ms") as tracer:
        pid = processes(shop)["keeper"]
        os.kill(pid, signal.SIGSTOP)
        try:
            shop.post("/v1/track", view("lee", "unfinished"), {"Deja-Ack": "applied"})
            [story] = tracer.of("unfinished")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert not story["whole"] and stages(story) == WAY + ["answered"]


def test_it_goes_on_with_the_next_life_of_the_appliance():
    with Appliance(CONFIG.replace('"traced"', '"traced2"')) as shop:
        with Tracer(shop, "--sample", "1") as tracer:
            shop.post("/v1/track", view("mia", "before"))
            tracer.of("before")
            assert shop.stop() == 0
            eventually(lambda: "not served now" in tracer.said)
            shop.start()
            tracer.wait_until_on()
            shop.post("/v1/track", view("mia", "after"))
            tracer.of("after")
        assert tracer.end() == 0


def test_a_hostile_tracer_can_follow_events_and_nothing_else(shop):
    control = file_of(shop, "trace")
    size = control.stat().st_size
    until = time.monotonic_ns() + 5_000_000_000
    try:
        for head in (b"\xff" * 64, struct.pack("qQQQ", until, 3, 2**64 - 1, 0).ljust(64, b"\xff")):
            for rest in (b"\xff", b"\x00", b"\x81"):
                with open(control, "r+b") as file:
                    file.write(head + rest * (size - 64))
                for number in range(20):
                    assert shop.post("/v1/track", view("nil", f"h{number}{rest}"))[0] == 200
    finally:
        with open(control, "r+b") as file:
            file.write(bytes(size))
    with Tracer(shop, "--user", "nil") as tracer:
        shop.post("/v1/track", view("nil", "again"))
        assert tracer.of("again")[0]["whole"]


def test_what_an_event_leaves_is_the_services_own(shop):
    for name in ("trace", "trace-ingest-0", "trace-worker-1", "trace-keeper"):
        assert file_of(shop, name).stat().st_mode & 0o777 == 0o600


def test_root_becomes_the_segments_owner(shop):
    if os.geteuid() != 0:
        pytest.skip("skipped: only root can give a segment to another user")
    nobody = pwd.getpwnam("nobody")
    files = (shop.segment, *shop.segment.iterdir())
    lock = shop.segment / "trace.lock"
    lock.unlink(missing_ok=True)
    shop.directory.chmod(0o711)
    try:
        for path in files:
            if path != lock:
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with Tracer(shop, "--sample", "1") as tracer:
            shop.post("/v1/track", view("max", "owned"))
            tracer.of("owned")
        assert lock.stat().st_uid == nobody.pw_uid
    finally:
        for path in shop.segment.iterdir():
            os.chown(path, os.geteuid(), os.getegid())
        os.chown(shop.segment, os.geteuid(), os.getegid())


def test_text_for_people_and_an_end_by_count(shop):
    with Tracer(shop, "--sample", "1", "--count", "2", json_lines=False) as tracer:
        for number in range(3):
            shop.post("/v1/track", view("\x1b[31m", f"c\x1b{number}"))
        assert tracer.process.wait(30 * SLOW) == 0
    text = "".join(tracer.stories)
    assert text.count("track Product Viewed: applied, shard") == 2 and "\x1b" not in text
    for stage in WAY + ["durable", "answered", "flushed"]:
        assert len(re.findall(rf"^  {stage} +[+2]", text, re.MULTILINE)) == 2


@pytest.mark.parametrize("arguments,said", [
    (["--sample", "2"], "0.01 or 1%"), (["--user", "x" * 65], "64 bytes"), (["--duration", "10"], "10s"),
    (["--duration", "0s"], "10s"), (["--wait", "soon"], "5s"), (["--otlp", "https://x"], "http://"),
    (["--count", "-1"], "--count")])
def test_misuse_is_said(shop, arguments, said):
    done = shop.deja("trace", *arguments, check=False)
    assert done.returncode == 2 and said in done.stderr


def test_without_an_appliance_it_says_so(tmp_path):
    done = subprocess.run([BIN / "deja", "trace", "--directory", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "deja serve -c FILE" in done.stderr


# --- to a collector ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema():
    """OpenTelemetry's protobuf schema, from PyPI, kept in the build folder."""
    wanted = pathlib.Path(__file__).parent / "otlp/requirements.txt"
    into = pathlib.Path(os.environ.get("DEJA_BUILD_DIR", tempfile.gettempdir())).parent / "otlp"
    stamp = into / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        peers.fetch([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", into,
                     "--requirement", wanted])
        stamp.write_text(wanted.read_text())
    sys.path.insert(0, str(into))
    from google.protobuf import json_format  # pylint: disable=import-outside-toplevel
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # pylint: disable=import-outside-toplevel

    def parse(body):
        """Protobuf's own JSON has bytes in base64; OTLP's has ids in hexadecimal."""
        def ids(value):
            if isinstance(value, list):
                return [ids(element) for element in value]
            if not isinstance(value, dict):
                return value
            return {key: base64.b64encode(bytes.fromhex(each)).decode()
                    if key in ("traceId", "spanId", "parentSpanId") else ids(each) for key, each in value.items()}
        return json_format.ParseDict(ids(json.loads(body)), trace_service_pb2.ExportTraceServiceRequest())

    return parse


class Collector:
    """Answers with each (status, headers, body) in turn, then with 200; keeps what it took."""

    def __init__(self, *answers):
        collector = self
        self.answers, self.requests, self.taken = list(answers), [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((time.monotonic(), self.path, self.headers["Content-Type"]))
                status, headers, text = collector.answers.pop(0) if collector.answers else (200, {}, "{}")
                if status == 200:
                    collector.taken.append(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def attributes(of):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of}


def test_spans_are_what_the_schema_says(shop, schema):
    with Collector() as collector, Tracer(shop, "--sample", "1", "--otlp", collector.url) as tracer:
        shop.post("/v1/track", view("ann", "otlp-1"), {"traceparent": TRACEPARENT})
        shop.post("/v1/track", view("ann", "otlp-2"))
        shop.post("/v1/track", b"{no json")
        eventually(lambda: len(tracer.stories) == 3)
        assert tracer.end() == 0
        assert collector.requests[0][1:] == ("/v1/traces", "application/json")
        requests = [schema(body) for body in collector.taken]
    spans = {}
    for request in requests:
        [resource] = request.resource_spans
        found = attributes(resource.resource.attributes)
        assert found["service.name"] == "deja" and found["service.instance.id"] == shop.name
        [scope] = resource.scope_spans
        assert scope.scope.name == "deja.trace"
        for span in scope.spans:
            assert span.span_id not in spans and len(span.span_id) == 8 and len(span.trace_id) == 16
            assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
            assert abs(span.end_time_unix_nano / 1e9 - time.time()) < 300
            spans[span.span_id] = span
    assert len(spans) == sum(len(story["stages"]) for story in tracer.stories)
    for story in tracer.stories:
        [root] = [span for span in spans.values() if span.trace_id.hex() == story["trace"] and span.name == "event"
                  and attributes(span.attributes).get("deja.message_id", "") == story["message_id"]]
        assert root.parent_span_id.hex() == story.get("parent", "") and root.kind == 2
        assert attributes(root.attributes)["deja.outcome"] == story["outcome"]
        assert root.status.code == (2 if story["outcome"] == "refused" else 0)
        children = [span for span in spans.values() if span.parent_span_id == root.span_id]
        assert [span.name for span in children] == stages(story)[1:]
        ends = [root.start_time_unix_nano] + [span.end_time_unix_nano for span in children]
        assert [span.start_time_unix_nano for span in children] == ends[:-1]
        assert ends[-1] == root.end_time_unix_nano


def test_a_collector_that_is_busy_gets_them_later(shop, schema):
    with Collector((503, {}, ""), (429, {"Retry-After": "1"}, "")) as collector:
        with Tracer(shop, "--sample", "1", "--otlp", collector.url) as tracer:
            shop.post("/v1/track", view("ann", "busy"))
            eventually(lambda: collector.taken)
            assert tracer.end() == 0
        assert len(collector.requests) == 3 and len(collector.taken) == 1
        assert collector.requests[2][0] - collector.requests[1][0] >= 1  # what it asked for, at the least
        assert len(schema(collector.taken[0]).resource_spans[0].scope_spans[0].spans) == 8
    assert "it answers 503" in tracer.said and "8 spans sent\n" in tracer.said


def test_what_a_collector_does_not_take_is_counted(shop):
    refused = json.dumps({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "no"}})
    with Collector((200, {}, refused)) as collector:
        with Tracer(shop, "--sample", "1", "--count", "1", "--otlp", collector.url) as tracer:
            shop.post("/v1/track", view("ann", "partly"))
            assert tracer.process.wait(30 * SLOW) == 1
    assert "5 spans sent, 3 dropped" in tracer.said
    with Collector((400, {}, "no")) as collector:
        with Tracer(shop, "--sample", "1", "--count", "1", "--otlp", collector.url) as tracer:
            shop.post("/v1/track", view("ann", "wrong"))
            assert tracer.process.wait(30 * SLOW) == 1
        assert len(collector.requests) == 1  # more of the same would be no better
    assert "it answers 400" in tracer.said and "0 spans sent, 8 dropped" in tracer.said


def test_a_collector_that_is_not_there_holds_up_nothing(shop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Tracer(shop, "--sample", "1", "--otlp", url) as tracer:
            for number in range(20):
                shop.post("/v1/track", view("ann", f"nowhere-{number}"))
            eventually(lambda: len(tracer.stories) == 20)
            assert tracer.end() == 1
    assert "Connection refused" in tracer.said and tracer.said.count("Connection refused") == 1
    assert "0 spans sent, 160 dropped" in tracer.said


def test_a_collector_that_never_answers_holds_up_nothing(shop):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Tracer(shop, "--sample", "1", "--otlp", url) as tracer:
            shop.post("/v1/track", view("ann", "first-unheard"))
            tracer.of("first-unheard")
            time.sleep(3)  # longer than a lease that nobody renews
            shop.post("/v1/track", view("ann", "then-unheard"))
            tracer.of("then-unheard")
            assert tracer.end() == 1
    assert "0 spans sent, 16 dropped" in tracer.said
