"""Requests that are right as HTTP and whose content is wrong: JSON, types, sizes, encodings, nesting,
timestamps, compression. What they must be answered with is in ingest/README.md."""

import gzip
import json
import zlib

from bad_input_case import Case, bad_event, bad_http, refused, taken
from bad_input_shop import MATE, Answer, event, request


def text_of(**members):
    return json.dumps(event(**members))


def raw(name, body, code, path=None):
    """A body as it is."""
    return refused(name, request(body if isinstance(body, bytes) else body.encode()), 400, code,
                   path)


def price(name, literal, code, path="properties.price"):
    """One value of a good event, written as `literal`."""
    return raw(name, text_of().replace('"price": 3', f'"price": {literal}'), code, path)


def within(about, code, path, /, **members):
    """A bad event between two good ones of a batch: those are taken."""
    batch = [{"type": "track", **event(MATE)}, {"type": "track", **event(), **members},
             {"type": "track", **event(MATE)}]
    return Case(about, request({"batch": batch}, target="/v1/batch"),
                [Answer(200, rejected=[(1, code, f"batch[1].{path}" if path else "batch[1]")])],
                rejected=(code,), mates=2)


def batch_text(*events):
    return request(('{"batch":[' + ",".join(events) + "]}").encode(), target="/v1/batch")


def typed(user, **members):
    return json.dumps({"type": "track", **event(user, **members)})


BROKEN = typed("victim").replace('"price": 3', '"price": 3.')
JSON = [
    raw("empty", "", "bad_json"),
    raw("blank", "  \n", "bad_json"),
    raw("an open brace", "{", "bad_json"),
    raw("no closing brace", text_of()[:-1], "bad_json"),
    raw("a comma behind the last", text_of()[:-1] + ",}", "bad_json"),
    raw("text behind", text_of() + " x", "bad_json"),
    raw("two documents", text_of() + text_of(), "bad_json"),
    raw("single quotes", text_of().replace('"', "'"), "bad_json"),
    raw("names without quotes", '{userId: "victim", event: "Product Viewed"}', "bad_json"),
    raw("no colon", '{"userId" "victim"}', "bad_json"),
    raw("a comment", "/* */" + text_of(), "bad_json"),
    raw("the wrong bracket", text_of()[:-1] + "]", "bad_json"),
    raw("a form", "userId=victim&event=Product+Viewed", "bad_json"),
    raw("XML", "<event user='victim'/>", "bad_json"),
    price("NaN", "NaN", "bad_json"),
    price("half a word", "tru", "bad_json"),
    price("a word too long", "truex", "bad_json"),
    price("null in capitals", "NULL", "bad_json"),
    price("zero ahead", "01", "bad_number"),
    price("a point behind", "1.", "bad_number"),
    price("beyond a double", "1e999", "bad_number"),
    price("an exponent of nothing", "1e", "bad_number"),
    price("two points", "1.2.3", "bad_number"),
    price("a lone surrogate", r'"\ud800"', "bad_json"),
    price("an unknown escape", r'"\x41"', "bad_json"),
    price("a line break in a text", '"a\nb"', "bad_json", None),
    raw("a broken name", text_of().replace('"price"', r'"pri\ce"'), "bad_json", "properties"),
    raw("a broken first name", text_of().replace('"product_id"', r'"\u12"'), "bad_json",
        "properties"),
    raw("a broken outermost name", text_of().replace('"event"', r'"\udc00"'), "bad_json"),
    refused("a batch of broken structure", batch_text(typed(MATE), typed("victim")[:-1]), 400,
            "bad_json"),
    Case("one broken number of a batch", batch_text(typed(MATE), BROKEN, typed(MATE)),
         [Answer(200, rejected=[(1, "bad_number", "batch[1].properties.price")])],
         rejected=("bad_number",), mates=2),
    Case("nothing but broken ones", batch_text(BROKEN, BROKEN),
         [Answer(400, "bad_number", "batch[0].properties.price",
                 [(0, "bad_number", "batch[0].properties.price"),
                  (1, "bad_number", "batch[1].properties.price")])],
         rejected=("bad_number", "bad_number")),
    taken("the last of equal members", request(
        (text_of()[:-1] + f', "userId": "{MATE}"}}').encode())),
]

TYPES = [
    raw("a list", "[" + text_of() + "]", "bad_type"),
    raw("a text", '"victim"', "bad_type"),
    raw("null", "null", "bad_type"),
    raw("a number", "7", "bad_type"),
    bad_event("event is a number", "bad_type", "event", event=7),
    bad_event("event is an object", "bad_type", "event", event={"name": "Product Viewed"}),
    bad_event("no event", "missing_event", "event", event=None),
    bad_event("an empty event", "missing_event", "event", event=""),
    bad_event("userId is an object", "bad_type", "userId", userId={"id": "victim"}),
    bad_event("userId is true", "bad_type", "userId", userId=True),
    bad_event("userId is a list", "bad_type", "userId", userId=["victim"]),
    bad_event("anonymousId is false", "bad_type", "anonymousId", userId=None, anonymousId=False),
    bad_event("no user", "missing_user", "userId", userId=None),
    bad_event("an empty user", "missing_user", "userId", userId="", anonymousId=""),
    bad_event("messageId is a number", "bad_type", "messageId", messageId=5),
    bad_event("type is a number", "bad_type", "type", type=5),
    bad_event("a page's name is a list", "bad_type", "name", target="/v1/page", name=["home"]),
    bad_event("a screen's name is true", "bad_type", "name", target="/v1/screen", name=True),
    bad_event("groupId is an object", "bad_type", "groupId", target="/v1/group", groupId={}),
    bad_event("alias without a user", "missing_user", "userId", target="/v1/alias", userId=None,
              previousId="x"),
    bad_event("batch is an object", "bad_type", "batch", target="/v1/batch", batch={}),
    bad_event("no batch", "bad_type", "batch", target="/v1/batch"),
    refused("an event of a batch is a text", batch_text('"victim"'), 400, "bad_type", "batch[0]",
            rejected=[(0, "bad_type", "batch[0]")]),
    within("no type in a batch", "missing_type", "type", type=None),
    within("an unknown type", "unknown_type", "type", type="trak"),
    within("type is a list", "bad_type", "type", type=["track"]),
    within("no user in a batch", "missing_user", "userId", userId=None),
    within("no event in a batch", "missing_event", "event", event=None),
    within("userId of a batch is a list", "bad_type", "userId", userId=[1]),
    taken("properties are a text", request(event(MATE, properties="x"))),
    taken("price is an object", request(event(MATE, properties={"price": {"value": 3}}))),
    Case("an empty batch", batch_text(), [Answer(200)]),
    Case("an alias", request(event(event=None, previousId="x"), target="/v1/alias"), [Answer(200)],
         other={"alias": 1}),
]


def sized(bytes_, user="victim"):
    """A good event of so many bytes."""
    short = len(json.dumps(event(user, pad="")))
    return json.dumps(event(user, pad="x" * (bytes_ - short))).encode()


def padded(bytes_, user):
    body = json.dumps({"batch": [{"type": "track", **event(user)}]}).encode()
    return body + b" " * (bytes_ - len(body))


def products(count, **members):
    return {"products": [{"id": "p", "price": 1} for _ in range(count)], **members}


CHUNKED = ["Transfer-Encoding: chunked"]
MORE_THAN_A_BATCH = 500 * 1024 + 1
SIZES = [
    refused("an event of 32 KB and a byte", request(sized(32 * 1024 + 1)), 400, "event_too_large"),
    taken("an event of 32 KB", request(sized(32 * 1024, MATE))),
    within("one of a batch is too large", "event_too_large", "", pad="x" * 33000),
    bad_http("a length of 500 KB and a byte",
             request(headers=[f"Content-Length: {MORE_THAN_A_BATCH}"], length=False), 413,
             "body_too_large"),
    bad_http("a body of 500 KB and a byte", request(padded(MORE_THAN_A_BATCH, "victim"),
                                                    target="/v1/batch"), 413, "body_too_large"),
    bad_http("chunks of 500 KB and a byte", request(headers=CHUNKED, length=False)
             + b"%x\r\n%s\r\n0\r\n\r\n" % (MORE_THAN_A_BATCH, padded(MORE_THAN_A_BATCH, "victim")),
             413, "body_too_large"),
    taken("a body of 500 KB", request(padded(500 * 1024, MATE), target="/v1/batch")),
    bad_event("a user of 65 bytes", "key_too_long", "userId", userId="u" * 65),
    bad_event("an anonymous one of 65 bytes", "key_too_long", "anonymousId", userId=None,
              anonymousId="a" * 65),
    bad_event("a user of 22 characters and 66 bytes", "key_too_long", "userId", userId="€" * 22),
    bad_event("a user of 65 digits", "key_too_long", "userId", body=json.dumps(event()).replace(
        '"victim"', "9" * 65).encode()),
    bad_event("1025 elements", "too_many_elements", "properties.list[1024]",
              properties={"list": [0] * 1025}),
    bad_event("2049 values", "too_many_values", "properties.revenue", event="Order Completed",
              properties=products(1024, revenue=5)),
    refused("too much for all of a batch", request(
        {"context": {"pad": "x" * 33000}, "batch": [{"type": "track", **event()}]},
        target="/v1/batch"), 400, "event_too_large"),
    refused("32,001 events", request(b'{"batch":[' + b",".join([b"{}"] * 32001) + b"]}",
                                     target="/v1/batch"), 400, "event_too_large", "batch"),
    Case("32,000 events that are none", request(b'{"batch":[' + b",".join([b"{}"] * 32000) + b"]}",
                                                target="/v1/batch"),
         [Answer(400, "missing_type", "batch[0].type",
                 [(n, "missing_type", f"batch[{n}].type") for n in range(32000)])],
         rejected=("missing_type",) * 32000),
    bad_http("a head of more than 16 KB", request(event(), headers=["X: " + "x" * 17000]), 431,
             "head_too_large"),
    bad_http("101 headers", request(event(), headers=[f"X{n}: y" for n in range(99)]), 431,
             "too_many_headers"),
    taken("100 headers", request(event(MATE), headers=[f"X{n}: y" for n in range(98)])),
]


def encoded(name, bytes_, code="bad_utf8", path=None):
    body = text_of(event="@").encode().replace(b'"@"', b'"Product ' + bytes_ + b'"')
    return raw(name, body, code, path)


ENCODINGS = [
    encoded("Latin-1", "Kühe".encode("latin-1")),
    encoded("a lone byte of a character", b"\x80"),
    encoded("a character that is not whole", b"\xe2\x82"),
    encoded("an overlong slash", b"\xc0\xaf"),
    encoded("an overlong zero", b"\xe0\x80\x80"),
    encoded("a surrogate", b"\xed\xa0\x80"),
    encoded("beyond the last character", b"\xf4\x90\x80\x80"),
    encoded("a byte that is never one", b"\xff"),
    encoded("a zero byte", b"\0", "bad_json"),
    raw("UTF-16", text_of().encode("utf-16"), "bad_utf8"),
    raw("UTF-16 without a mark", text_of().encode("utf-16-le"), "bad_json"),
    raw("a byte order mark", b"\xef\xbb\xbf" + text_of().encode(), "bad_json"),
    refused("one bad byte in a batch", batch_text(typed(MATE), typed("victim")).replace(
        b"victim", b"victi\xff"), 400, "bad_utf8"),
    taken("an unknown charset", request(event(MATE), headers=[
        "Content-Type: application/json; charset=utf-16"])),
    taken("a content type of its own", request(event(MATE), headers=[
        "Content-Type: application/x-www-form-urlencoded"])),
    taken("characters of four bytes", request(json.dumps(
        event(MATE, properties={"product_id": "😀𝄞"}), ensure_ascii=False).encode())),
]


def deep(levels, inner="1"):
    """A member nested so that its innermost array is at `levels` of the event."""
    return "[" * (levels - 1) + inner + "]" * (levels - 1)


def nested(name, literal, code, path=None):
    return raw(name, text_of()[:-1] + f', "x": {literal}}}', code, path)


NESTING = [
    nested("33 levels of lists", deep(33), "too_deep", "x" + "[0]" * 31),
    taken("32 levels of lists", request((text_of(user=MATE)[:-1] + f', "x": {deep(32)}}}').encode())),
    nested("33 levels of objects", '{"a":' * 31 + "{}" + "}" * 31, "too_deep", "x" + ".a" * 31),
    nested("33 levels, of both", '[{"a":' * 16 + "1" + "}]" * 16, "too_deep", "x" + "[0].a" * 15
           + "[0]"),
    nested("500 levels", deep(500), "too_deep", "x" + "[0]" * 31),
    nested("more levels than anybody reads", deep(100000), "too_deep"),
    raw("nothing but brackets", "[" * 200000, "too_deep"),
    nested("more closed than opened", "[" * 8 + "]" * 9, "bad_json"),
    within("one of a batch", "too_deep", "x" + "[0]" * 31, x=json.loads(deep(33))),
    bad_event("below declared fields", "too_deep", "properties.products" + "[0]" * 30,
              properties={"products": json.loads(deep(32))}),
]


def timed(name, value, member="timestamp", **members):
    return bad_event(name, "bad_timestamp", member, **{member: value}, **members)


NOW = "2026-01-01T12:00:00Z"
TIMESTAMPS = [
    timed("a word", "yesterday"),
    timed("empty", ""),
    timed("30 February", "2026-02-30T12:00:00Z"),
    timed("month 13", "2026-13-01T12:00:00Z"),
    timed("hour 25", "2026-01-01T25:00:00Z"),
    timed("minute 60", "2026-01-01T12:60:00Z"),
    timed("29 February of no leap year", "2025-02-29"),
    timed("an American date", "01/02/2026"),
    timed("a zone by name", "2026-01-01T12:00:00 CET"),
    timed("text behind", NOW + "x"),
    timed("the year 10000", "10000-01-01T00:00:00Z"),
    timed("before 1970", "1969-12-31T23:59:59Z"),
    timed("before 1970 by its zone", "1970-01-01T00:00:00+01:00"),
    timed("milliseconds below zero", -1),
    timed("microseconds", 1767268800000000),
    timed("true", True),
    timed("an object", {"$date": NOW}),
    timed("a list", [NOW]),
    timed("sentAt", "soon", "sentAt"),
    timed("originalTimestamp", "then", "originalTimestamp"),
    timed("sentAt ages behind", "9999-01-01T00:00:00Z", "sentAt", timestamp=0),
    within("one of a batch", "bad_timestamp", "timestamp", timestamp="never"),
    refused("the batch's sentAt", request({"sentAt": "never", "batch": [
        {"type": "track", **event()}]}, target="/v1/batch"), 400, "bad_timestamp", "sentAt"),
    taken("years ahead", request(event(MATE, timestamp="2999-01-01T00:00:00Z"))),
    taken("the first instant", request(event(MATE, timestamp=0))),
    taken("a leap second", request(event(MATE, timestamp="2016-12-31T23:59:60Z"))),
]


def zipped(name, data, code, status=400, coding="gzip", target="/v1/track", **more):
    return refused(name, request(data, target=target, headers=[f"Content-Encoding: {coding}"]),
                   status, code, counted=False, **more)


def gzipped(user="victim"):
    return gzip.compress(json.dumps(event(user)).encode())


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]


RAW_DEFLATE = zlib.compressobj(wbits=-15)
COMPRESSION = [
    zipped("not gzip", text_of().encode(), "bad_gzip"),
    zipped("nothing", b"", "bad_gzip"),
    zipped("cut short", gzipped()[:-12], "bad_gzip"),
    zipped("without its last byte", gzipped()[:-1], "bad_gzip"),
    zipped("a head alone", gzipped()[:10], "bad_gzip"),
    zipped("a wrong checksum", damaged(gzipped(), -8), "bad_gzip"),
    zipped("a wrong length", damaged(gzipped(), -4), "bad_gzip"),
    zipped("a damaged block", damaged(gzipped(), 12), "bad_gzip"),
    zipped("text behind", gzipped() + b"garbage", "bad_gzip"),
    zipped("zlib's own format", zlib.compress(text_of().encode()), "bad_gzip"),
    zipped("raw deflate", RAW_DEFLATE.compress(text_of().encode()) + RAW_DEFLATE.flush(),
           "bad_gzip"),
    zipped("50 MB of zeros", gzip.compress(bytes(50 * 1024 * 1024)), "body_too_large", 413),
    zipped("500 KB and a byte", gzip.compress(padded(MORE_THAN_A_BATCH, "victim")),
           "body_too_large", 413, target="/v1/batch"),
    zipped("deflate", zlib.compress(text_of().encode()), "unknown_encoding", 415, "deflate",
           headers={"accept-encoding": "gzip"}),
    zipped("brotli", b"\x0b\x02\x80", "unknown_encoding", 415, "br",
           headers={"accept-encoding": "gzip"}),
    zipped("twice", gzip.compress(gzipped()), "unknown_encoding", 415, "gzip, gzip",
           headers={"accept-encoding": "gzip"}),
    raw("gzip that is not announced", gzipped(), "bad_utf8"),
    refused("gzip of what is not JSON", request(gzip.compress(b"{"), headers=[
        "Content-Encoding: gzip"]), 400, "bad_json"),
    taken("gzip", request(gzipped(MATE), headers=["Content-Encoding: GZIP"])),
    taken("gzip in two members", request(gzip.compress(json.dumps(event(MATE)).encode())
                                         + gzip.compress(b" "),
                                         headers=["Content-Encoding: x-gzip"])),
    taken("500 KB once inflated", request(gzip.compress(padded(500 * 1024, MATE)),
                                          target="/v1/batch",
                                          headers=["Content-Encoding: gzip"])),
]
