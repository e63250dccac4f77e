"""Frames of the stream, good and damaged, by hand: ingest/stream.md says how they look, and
`capnp compile -ocapnp ingest/event.capnp` where each member lies."""

import struct

HEADER = struct.Struct("<II")
KINDS = ("nothing", "hello", "helloReply", "batch", "ack", "error")
CALLS = {"none": 0, "track": 1, "page": 2, "screen": 3, "group": 4, "identify": 5, "alias": 6}
NULL, BOOLEAN, NUMBER, TEXT, LIST, OBJECT = range(6)


class Segment:
    """One segment that grows; an object is (data words, pointers), each a value below."""

    def __init__(self):
        self.words = bytearray()

    def reserve(self, words):
        at = len(self.words) // 8
        self.words += bytes(8 * words)
        return at

    def put(self, at, word):
        self.words[8 * at:8 * at + 8] = word if isinstance(word, bytes) else struct.pack("<Q", word)

    def write(self, at, value):
        """Lets the pointer at word `at` point to the value."""
        if value is None:
            return
        if isinstance(value, Raw):
            self.put(at, value.word)
        elif isinstance(value, (bytes, str)):
            data = value if isinstance(value, bytes) else value.encode() + b"\0"
            target = self.reserve((len(data) + 7) // 8)
            self.words[8 * target:8 * target + len(data)] = data
            self.put(at, (target - at - 1) << 2 & 0xffffffff | 1 | 2 << 32 | len(data) << 35)
        elif isinstance(value, list):
            stride = 0 if not value else len(value[0].data) // 8 + len(value[0].pointers)
            target = self.reserve(1 + stride * len(value))
            self.put(at, (target - at - 1) << 2 & 0xffffffff | 1 | 7 << 32
                     | stride * len(value) << 35)
            shape = value[0] if value else Struct(b"", [])
            self.put(target, len(value) << 2 | len(shape.data) // 8 << 32
                     | len(shape.pointers) << 48)
            for number, element in enumerate(value):
                self.fill(target + 1 + number * stride, element)
        else:
            target = self.reserve(len(value.data) // 8 + len(value.pointers))
            self.put(at, (target - at - 1) << 2 & 0xffffffff | len(value.data) // 8 << 32
                     | len(value.pointers) << 48)
            self.fill(target, value)

    def fill(self, at, value):
        self.words[8 * at:8 * at + len(value.data)] = value.data
        for number, pointer in enumerate(value.pointers):
            self.write(at + len(value.data) // 8 + number, pointer)


class Struct:
    def __init__(self, data, pointers):
        self.data = data
        self.pointers = pointers


class Raw:
    """A pointer as it is, however wrong."""

    def __init__(self, word):
        self.word = word


def message_frame(kind, content, tag=None):
    segment = Segment()
    segment.reserve(1)
    number = KINDS.index(kind) if tag is None else tag
    segment.write(0, Struct(struct.pack("<Q", number), [content]))
    return frame(bytes(segment.words))


def frame(words, length=None, flags=0, segments=0, segment_words=None):
    count = len(words) // 8 if segment_words is None else segment_words
    table = struct.pack("<II", segments, count)
    return HEADER.pack(8 + len(words) if length is None else length, flags) + table + words


def hello_frame(version=1, ack_level=0, write_key="", client="bad input"):
    return message_frame("hello", Struct(struct.pack("<HHI", version, ack_level, 0),
                                         [write_key or None, client]))


def batch_frame(sequence, events, sent_at_us=0):
    return message_frame("batch", Struct(struct.pack("<Qq", sequence, sent_at_us), [list(events)]))


def member(name, value):
    tag, number, bit, content = NULL, 0.0, 0, None
    if isinstance(value, bool):
        tag, bit = BOOLEAN, int(value)
    elif isinstance(value, (int, float)):
        tag, number = NUMBER, float(value)
    elif isinstance(value, (str, bytes, Raw)):
        tag, content = TEXT, value
    elif isinstance(value, dict):
        tag, content = OBJECT, members(value)
    elif isinstance(value, list):
        tag, content = LIST, [member("", element) for element in value]
    return Struct(struct.pack("<HHId", tag, bit, 0, number), [name or None, content])


def members(values):
    return [member(name, value) for name, value in values.items()]


def event(call="track", name="Product Viewed", user="victim", anonymous=None, message_id=None,
          timestamp_us=0, properties=None, traits=None, context=None):
    number = CALLS.get(call, call)
    objects = [value if isinstance(value, (Raw, list)) else members(value) if value else None
               for value in (properties, traits, context)]
    return Struct(struct.pack("<HHIq", number, 0, 0, timestamp_us),
                  [name, user, anonymous, message_id, *objects])


# --- replies -------------------------------------------------------------------------------------
def follow(words, at):
    """(kind, target word, word behind the offset) of the pointer at word `at`."""
    low, high = struct.unpack_from("<iI", words, 8 * at)
    return low & 3, at + 1 + (low >> 2), high


def read_text(words, at):
    kind, target, high = follow(words, at)
    if high == 0:
        return ""
    assert kind == 1 and high & 7 == 2
    return words[8 * target:8 * target + (high >> 3) - 1].decode()


def read_message(message):
    segments, count = struct.unpack_from("<II", message)
    assert segments == 0 and count == len(message) // 8 - 1
    words = message[8:]
    _, root, high = follow(words, 0)
    kind = KINDS[struct.unpack_from("<H", words, 8 * root)[0]]
    _, body, high = follow(words, root + (high & 0xffff))
    texts = lambda *numbers: [read_text(words, body + (high & 0xffff) + n) for n in numbers]
    if kind == "error":
        code, text = texts(0, 1)
        return {"kind": kind, "code": code, "message": text}
    if kind == "helloReply":
        version, level, events, size, most, longest = struct.unpack_from("<HHIIII", words, 8 * body)
        return {"kind": kind, "version": version, "ackLevel": level, "creditEvents": events,
                "creditBytes": size, "batchEventsMax": most, "frameBytesMax": longest,
                "appliance": texts(0)[0]}
    assert kind == "ack", kind
    sequence, level = struct.unpack_from("<QH", words, 8 * body)
    rejects = []
    _, tag_at, shape = follow(words, body + (high & 0xffff) + 1)
    if shape:
        elements, sizes = struct.unpack_from("<II", words, 8 * tag_at)
        data, pointers = sizes & 0xffff, sizes >> 16
        for number in range(elements >> 2):
            at = tag_at + 1 + number * (data + pointers)
            index, retry = struct.unpack_from("<IB", words, 8 * at)
            code, text, path = (read_text(words, at + data + n) for n in range(3))
            rejects.append({"index": index, "retry": bool(retry), "code": code, "message": text,
                            "path": path})
    return {"kind": kind, "sequence": sequence, "ackLevel": level, "token": texts(0)[0],
            "rejects": rejects}
