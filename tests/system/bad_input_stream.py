"""Frames and messages that are wrong on the stream: what each must be answered with is in
ingest/stream.md."""

import dataclasses
import struct

import bad_input_capnp as capnp
from bad_input_capnp import Raw, Struct, event
from bad_input_shop import MATE, StreamWire

GREETING = capnp.hello_frame()


@dataclasses.dataclass
class StreamCase:
    """Frames behind a hello (or in its place), and the Error or the Ack that must follow."""
    name: str
    send: bytes
    error: str = None              # its code; the connection is over
    rejects: list = None           # of the ack: (index, code, path)
    greeted: bool = True
    mates: int = 0
    rejected: tuple = ()
    ends: bool = False             # our side ends behind it
    silent: bool = False           # no answer: just the end

def broken(name, send, error, **more):
    return StreamCase(name, send, error=error, **more)


def rejected(name, code, path, bad, **more):
    """A bad event between two good ones of a batch."""
    batch = capnp.batch_frame(2, [event(user=MATE), bad, event(user=MATE)], **more)
    return StreamCase(name, batch, rejects=[(1, code, path)], mates=2, rejected=(code,))


def batch_of(pointer):
    """A batch whose list of events is the raw pointer."""
    return capnp.message_frame("batch", Struct(struct.pack("<Qq", 2, 0), [Raw(pointer)]))


GOOD = capnp.batch_frame(2, [event()])
WORDS = GOOD[16:]


def text_pointer(offset, size, kind=2):
    return offset << 2 & 0xffffffff | 1 | kind << 32 | size << 35


def nested(levels):
    """A member's value, so that the innermost list is at `levels` of the event."""
    value = 1
    for _ in range(levels - 2):
        value = [value]
    return value


FRAMES = [
    broken("length 0", struct.pack("<II", 0, 0) + bytes(16), "bad_frame"),
    broken("a length that is no multiple of 8", capnp.frame(WORDS + b"1234567"), "bad_frame"),
    broken("a length of 8", capnp.frame(b""), "bad_frame"),
    broken("more than 512 KiB", capnp.frame(b"", length=524296), "bad_frame"),
    broken("four gigabytes", capnp.frame(b"", length=0xfffffff8), "bad_frame"),
    broken("flags", capnp.frame(WORDS, flags=1), "bad_frame"),
    broken("two segments", capnp.frame(WORDS, segments=1), "bad_frame"),
    broken("a segment longer than its frame",
           capnp.frame(WORDS, segment_words=len(WORDS) // 8 + 1), "bad_frame"),
    broken("a segment shorter than its frame",
           capnp.frame(WORDS, segment_words=len(WORDS) // 8 - 1), "bad_frame"),
    broken("HTTP", b"POST /v1/track HTTP/1.1\r\n\r\n", "bad_frame"),
    broken("HTTP in the hello's place", b"POST /v1/track HTTP/1.1\r\n\r\n", "bad_frame",
           greeted=False),
    broken("TLS in the hello's place", bytes.fromhex("16030100a5010000a1030300") * 2, "bad_frame",
           greeted=False),
    broken("half a frame", GOOD[:-8], "bad_frame", ends=True),
    broken("half a header", GOOD[:5], "bad_frame", ends=True),
    broken("half a hello", GREETING[:-1], "bad_frame", greeted=False, ends=True),
    StreamCase("nothing at all", b"", greeted=False, ends=True, silent=True),
    StreamCase("nothing behind the hello", b"", ends=True, silent=True),
]

MESSAGES = [
    broken("zeros", capnp.frame(bytes(64)), "bad_message"),
    broken("no root", capnp.frame(struct.pack("<Q", 0)), "bad_message"),
    broken("a root that is a list", capnp.frame(struct.pack("<QQ", 1, 0)), "bad_message"),
    broken("a root beyond the end", capnp.frame(struct.pack("<QQ", 1000 << 2 | 1 << 32, 0)),
           "bad_message"),
    broken("a root before the beginning", capnp.frame(struct.pack(
        "<QQ", (-9 << 2 & 0xffffffff) | 1 << 32, 0)), "bad_message"),
    broken("a far pointer as root", capnp.frame(struct.pack("<QQ", 2, 0)), "bad_message"),
    broken("random words", capnp.frame(bytes(range(7, 135))), "bad_message"),
    broken("an unknown member of the union", capnp.message_frame("batch", None, tag=77),
           "bad_message"),
    broken("nothing", capnp.message_frame("nothing", None), "bad_message"),
    broken("a server's message", capnp.message_frame("ack", Struct(bytes(16), [None, None])),
           "bad_message"),
    broken("a server's error", capnp.message_frame("error", Struct(b"", ["code", "text"])),
           "bad_message"),
    broken("events beyond the end", batch_of(text_pointer(0, 1000, 7)), "bad_message"),
    broken("events that are a struct", batch_of(1 << 32), "bad_message"),
    broken("half a billion events of no size",
           capnp.message_frame("batch", Struct(struct.pack("<Qq", 2, 0), [Raw(
               text_pointer(0, (1 << 29) - 1, 0))])), "bad_message"),
    broken("a batch before the hello", capnp.batch_frame(1, [event()]), "hello_expected",
           greeted=False),
    broken("a second hello", GREETING, "hello_repeated"),
    broken("a batch's number again", capnp.batch_frame(1, [event()]), "bad_sequence"),
    broken("a batch's number that is smaller", capnp.batch_frame(0, [event()]), "bad_sequence"),
    broken("1025 events", capnp.batch_frame(2, [event(name="x")] * 1025), "batch_too_large"),
    broken("a key that is no text", capnp.message_frame("hello", Struct(
        struct.pack("<HHI", 1, 0, 0), [Raw(text_pointer(0, 100)), None])), "bad_message",
        greeted=False),
    broken("a key that does not end", capnp.message_frame("hello", Struct(
        struct.pack("<HHI", 1, 0, 0), [b"12345678", None])), "bad_message", greeted=False),
]

STREAM_VERSIONS = [
    broken(f"version {version}", capnp.hello_frame(version=version), "unsupported_version",
           greeted=False) for version in (0, 2, 3, 257, 65535)
] + [
    broken(f"ack level {level}, which is none", capnp.hello_frame(ack_level=level),
           "ack_unavailable", greeted=False) for level in (3, 9, 65535)
]

STREAM_KEYS = [
    broken(name, capnp.hello_frame(write_key=key), "bad_write_key", greeted=False)
    for name, key in (("none", ""), ("another", "wrong-key"), ("its beginning", "right-ke"),
                      ("more than it", "right-key1"), ("twice it", "right-key" * 2),
                      ("with a zero", "right-key\0"), ("a long one", "k" * 100000))
]

EVENTS = [
    rejected("no call", "missing_type", "type", event(call="none")),
    rejected("an unknown call", "unknown_type", "call", event(call=7)),
    rejected("no event's name", "missing_event", "event", event(name=None)),
    rejected("no user", "missing_user", "", event(user=None)),
    rejected("a user of 65 bytes", "key_too_long", "userId", event(user="u" * 65)),
    rejected("an anonymous one of 65", "key_too_long", "anonymousId",
             event(user=None, anonymous="a" * 65)),
    rejected("before 1970", "bad_timestamp", "timestamp", event(timestamp_us=-1)),
    rejected("the year 10000", "bad_timestamp", "timestamp",
             event(timestamp_us=253402300800000000)),
    rejected("the last of all times", "bad_timestamp", "timestamp",
             event(timestamp_us=(1 << 63) - 1)),
    StreamCase("sent before 1970", capnp.batch_frame(2, [event(), event(timestamp_us=5)], -1),
               rejects=[(0, "bad_timestamp", "sentAt"), (1, "bad_timestamp", "sentAt")],
               rejected=("bad_timestamp",) * 2),
    rejected("a name that is not UTF-8", "bad_utf8", "name", event(name=b"Product \xff\0")),
    rejected("a value that is not UTF-8", "bad_utf8", "properties.a",
             event(properties={"a": b"\xed\xa0\x80\0"})),
    rejected("infinity", "bad_number", "properties.price",
             event(properties={"price": float("inf")})),
    rejected("no number", "bad_number", "properties.a[1]",
             event(properties={"a": [1, float("nan")]})),
    rejected("33 levels", "too_deep", "properties.x" + "[0]" * 30,
             event(properties={"x": nested(33)})),
    rejected("more than 32 KiB", "event_too_large", "properties.a",
             event(properties={"a": "x" * 33000})),
    rejected("a member of an unknown kind", "bad_type", "context.x",
             event(context=[Struct(struct.pack("<HHId", 99, 0, 0, 0), ["x", None])])),
    rejected("1025 elements", "too_many_elements", "properties.products[1024]",
             event(properties={"products": [None] * 1025})),
    rejected("1025 elements of what is not declared", "too_many_elements", "properties.x[1024]",
             event(properties={"x": [None] * 1025})),
    rejected("2049 declared values", "too_many_values", "properties.products[1023].price",
             event(name="Order Completed", properties={
                 "revenue": 1, "products": [{"id": None, "price": None}] * 1024})),
    rejected("a text beyond the end", "bad_message", "userId",
             event(user=Raw(text_pointer(0, 1 << 20)))),
    rejected("a text that does not end", "bad_message", "userId", event(user=b"12345678")),
    rejected("a text that is a struct", "bad_message", "messageId",
             event(message_id=Raw(1 << 32))),
    rejected("a text that is a far pointer", "bad_message", "name", event(name=Raw(2))),
    rejected("properties that are a text", "bad_message", "properties",
             event(properties=Raw(text_pointer(1 << 28, 8, 7)))),
]


def repeating_frame(sequence, user, events, text_bytes):
    """A batch whose events all point to the same properties, with a long text in them."""
    segment = capnp.Segment()
    event_words = 9
    segment.reserve(1)
    segment.write(0, Struct(struct.pack("<Q", capnp.KINDS.index("batch")), [
        Struct(struct.pack("<Qq", sequence, 0), [[event(user=user) for _ in range(events)]])]))
    # The first event's text and everybody's events lie behind root (2 words), batch (3) and tag.
    first = 1 + 2 + 3 + 1
    shared = segment.reserve(1)
    segment.write(shared, capnp.members({"pad": "x" * text_bytes}))
    for number in range(events):
        at = first + number * event_words + 2 + 4
        segment.put(at, (shared - at) << 2 & 0xffffffff | 1 | 7 << 32 | 4 << 35)
    return capnp.frame(bytes(segment.words))


def run_stream_case(shop, case):
    shop.neighbours_go_on()
    with StreamWire(shop.stream, shop.key) as wire:
        if case.greeted:
            wire.greet()
            shop.good_stream(wire, "same-connection")
        wire.send(case.send)
        if case.ends:
            wire.end()
        if case.error:
            reply = wire.read()
            assert reply["kind"] == "error" and reply["code"] == case.error, reply
            assert reply["message"], reply
            wire.expect_end()
        elif case.silent:
            wire.expect_end()
        else:
            reply = wire.read()
            assert reply["kind"] == "ack" and reply["sequence"] == 2, reply
            found = [(entry["index"], entry["code"], entry["path"]) for entry in reply["rejects"]]
            assert found == case.rejects, reply
            assert not any(entry["retry"] or not entry["message"] for entry in reply["rejects"])
            wire.sequence = 2
            shop.good_stream(wire, "same-connection")
    for code in case.rejected:
        shop.count("rejected", code=code)
    if case.mates:
        shop.counted(MATE, case.mates)
    shop.neighbours_go_on()
    shop.expect_counts()
