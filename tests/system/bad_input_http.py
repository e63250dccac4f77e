"""Requests that are wrong as HTTP: method and path, keys, truncation, pipelined garbage, framing,
versions. What they must be answered with is in ingest/README.md."""

import base64
import json

from bad_input_case import Case, bad_http, refused, taken
from bad_input_shop import MATE, Answer, event, request

POSTS = {"allow": "POST, OPTIONS"}
GETS = {"allow": "GET, HEAD, OPTIONS"}


def quiet(name, send, status, code, **more):
    """Refused before any event of it was looked at: nothing was received."""
    return refused(name, send, status, code, counted=False, **more)


METHOD_AND_PATH = [
    quiet("GET of a call", request(method="GET"), 405, "method_not_allowed", headers=POSTS),
    quiet("PUT of a batch", request({"batch": [event()]}, "PUT", "/v1/batch"), 405,
          "method_not_allowed", headers=POSTS),
    quiet("DELETE of a short call", request(method="DELETE", target="/v1/t"), 405,
          "method_not_allowed", headers=POSTS),
    quiet("PATCH with a body", request(event(), "PATCH"), 405, "method_not_allowed", headers=POSTS),
    quiet("POST to healthz", request(event(), target="/healthz"), 405, "method_not_allowed",
          headers=GETS),
    Case("HEAD of a call", request(method="HEAD"), [Answer(405, headers=POSTS, without_body=True)]),
    quiet("misspelt path", request(event(), target="/v1/trak"), 404, "not_found"),
    quiet("no path at all", request(event(), target="/"), 404, "not_found"),
    quiet("slash behind", request(event(), target="/v1/track/"), 404, "not_found"),
    quiet("two slashes", request(event(), target="//v1/track"), 404, "not_found"),
    quiet("other case", request(event(), target="/V1/Track"), 404, "not_found"),
    quiet("escaped letter", request(event(), target="/v1/%74rack"), 404, "not_found"),
    quiet("dots", request(event(), target="/v1/x/../track"), 404, "not_found"),
    quiet("settings of no key", request(method="GET", target="/v1/projects//settings"), 404,
          "not_found"),
    taken("a query", request(event(MATE), target="/v1/track?a=/../&b=%00")),
    Case("OPTIONS of all", request(method="OPTIONS", target="*"), [Answer(204)]),
    bad_http("unknown method", request(event(), "FROB"), 501, "unknown_method"),
    bad_http("method in small letters", request(event(), "post"), 501, "unknown_method"),
    bad_http("no method", request(event(), ""), 400, "bad_request_line"),
    bad_http("a method that is no token", request(event(), "PO(ST"), 400, "bad_request_line"),
    bad_http("path without a slash", request(event(), target="v1/track"), 400, "bad_target"),
    bad_http("fragment", request(event(), target="/v1/track#x"), 400, "bad_target"),
    bad_http("blank in the path", request(event(), target="/v1/tr ack"), 400, "bad_target"),
    bad_http("byte beyond ASCII", request(event(), target="/v1/tr\xe9ck"), 400, "bad_target"),
    bad_http("CONNECT", request(method="CONNECT", target="other:443"), 400, "bad_target"),
    bad_http("asterisk of a POST", request(event(), target="*"), 400, "bad_target"),
    bad_http("endless path", request(event(), target="/" + "x" * 20000), 414, "target_too_long"),
]


def basic(text):
    return ["Authorization: Basic " + base64.b64encode(text.encode()).decode()]


def keyed(key):
    return request({**event(), "writeKey": key})


KEY = "right-key"
KEYS = [
    quiet("none", request(event()), 401, "bad_key"),
    quiet("another", request(event(), headers=basic("wrong-key:")), 401, "bad_key"),
    quiet("as the password", request(event(), headers=basic(f"x:{KEY}")), 401, "bad_key"),
    quiet("its beginning", request(event(), headers=basic("right-ke:")), 401, "bad_key"),
    quiet("more than it", request(event(), headers=basic("right-key1:")), 401, "bad_key"),
    quiet("twice it", request(event(), headers=basic(f"{KEY}{KEY}:")), 401, "bad_key"),
    quiet("in capitals", request(event(), headers=basic("RIGHT-KEY:")), 401, "bad_key"),
    quiet("an empty one", request(event(), headers=basic(":")), 401, "bad_key"),
    quiet("no base64", request(event(), headers=["Authorization: Basic !!!!"]), 401, "bad_key"),
    quiet("not coded", request(event(), headers=[f"Authorization: Basic {KEY}:"]), 401, "bad_key"),
    quiet("a long one", request(event(), headers=basic("k" * 5000 + ":")), 401, "bad_key"),
    quiet("another scheme", request(event(), headers=[f"Authorization: Bearer {KEY}"]), 401,
          "bad_key"),
    quiet("wrong header, right body", request({**event(), "writeKey": KEY},
                                              headers=basic("wrong-key:")), 401, "bad_key"),
    quiet("a wrong one in the body", keyed("wrong-key"), 401, "bad_key"),
    quiet("empty in the body", keyed(""), 401, "bad_key"),
    quiet("a list in the body", keyed([KEY]), 401, "bad_key"),
    quiet("null in the body", keyed(None), 401, "bad_key"),
    quiet("inside of an event", request({"batch": [{**event(), "type": "track", "writeKey": KEY}]},
                                        target="/v1/batch"), 401, "bad_key"),
    quiet("wrong behind right", request(json.dumps({**event(), "writeKey": KEY})[:-1].encode()
                                        + b', "writeKey": "wrong"}'), 401, "bad_key"),
    refused("none, and no JSON in which one could be", request(b"{"), 400, "bad_json"),
    quiet("settings of another", request(method="GET", target="/v1/projects/wrong-key/settings"),
          401, "bad_key"),
    taken("right in the header", request(event(MATE), headers=basic(f"{KEY}:"))),
    taken("the second one", request(event(MATE), headers=basic("another-key:password"))),
    taken("right in the body", request({**event(MATE), "writeKey": KEY})),
]

WHOLE = request(event())
HALF = WHOLE[:-10]


def cut(name, send, ending="half", **more):
    """The server closes without a word and without an event."""
    return Case(name, send, [], stays=False, ending=ending, **more)


TRUNCATION = [
    cut("half a request line", b"POST /v1/tr"),
    cut("half a header", b"POST /v1/track HTTP/1.1\r\nHo"),
    cut("no empty line", b"POST /v1/track HTTP/1.1\r\nHost: shop\r\n"),
    cut("no body", WHOLE[:WHOLE.index(b"\r\n\r\n") + 4]),
    cut("half a body", HALF),
    cut("a body but for its last byte", WHOLE[:-1]),
    cut("half a chunk", request(headers=["Transfer-Encoding: chunked"], length=False)
        + b"ff\r\n{\"userId\""),
    cut("no last chunk", request(headers=["Transfer-Encoding: chunked"], length=False)
        + b"%x\r\n%s\r\n" % (len(json.dumps(event())), json.dumps(event()).encode())),
    cut("closed within a head", b"POST /v1/track HTT", "close"),
    cut("closed within a body", HALF, "close"),
    cut("reset within a body", HALF, "reset"),
    cut("reset within a chunk", request(headers=["Transfer-Encoding: chunked"], length=False)
        + b"5\r\n{", "reset"),
    Case("half a request behind a good one", request(event(MATE)) + HALF, [Answer(200)], False,
         mates=1, ending="half"),
]

GOODS = [request(event(MATE)) for _ in range(50)]


def garbage(name, bytes_, status, code):
    return Case(name, request(event(MATE)) + bytes_, [Answer(200), Answer(status, code)], False,
                mates=1)


PIPELINED_GARBAGE = [
    garbage("words", b"GARBAGE\r\n\r\n", 400, "bad_request_line"),
    garbage("zeros", bytes(64), 400, "bad_character"),
    garbage("a TLS hello", bytes.fromhex("16030100a5010000a10303"), 400, "bad_character"),
    garbage("high bytes", b"\xff\xfe\xfd\r\n\r\n", 400, "bad_request_line"),
    garbage("a bare line feed", b"\nPOST /v1/track HTTP/1.1\r\n\r\n", 400, "bad_line_end"),
    garbage("three empty lines", b"\r\n\r\n\r\n" + WHOLE, 400, "bad_request_line"),
    garbage("a body that is longer than it says", json.dumps(event()).encode() + b"\r\n\r\n", 400,
            "bad_request_line"),
    garbage("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "bad_version"),
    garbage("a stream's frame", b"\x18\0\0\0\0\0\0\0", 400, "bad_character"),
    Case("behind fifty good ones", b"".join(GOODS) + b"x\r\n\r\n",
         [Answer(200)] * 50 + [Answer(400, "bad_request_line")], False, mates=50),
    Case("bad JSON between good ones", request(event(MATE)) + request(b"{") + request(event(MATE)),
         [Answer(200), Answer(400, "bad_json"), Answer(200)], rejected=("bad_json",), mates=2),
    Case("a good one behind garbage is not read", b"x\r\n\r\n" + WHOLE,
         [Answer(400, "bad_request_line")], False),
    Case("two empty lines are borne", b"\r\n\r\n" + request(event(MATE)), [Answer(200)], mates=1),
    Case("a good one behind a close", request(event(MATE), headers=["Connection: close"]) + WHOLE,
         [Answer(200)], False, mates=1),
]

HIDDEN = WHOLE  # what a smuggler would have us read as a second request


def framed(*headers, body=b"", version="HTTP/1.1"):
    return request(headers=headers, length=False, version=version) + body


def chunks(name, body, code="bad_chunk"):
    return bad_http(name, framed("Transfer-Encoding: chunked", body=body), 400, code)


ONE_CHUNK = b"2\r\n{}\r\n0\r\n\r\n"
LENGTH_AND_CODING = [
    bad_http("length and chunked", framed("Content-Length: 5", "Transfer-Encoding: chunked",
                                          body=b"0\r\n\r\n" + HIDDEN), 400, "ambiguous_length"),
    bad_http("chunked and length", framed("Transfer-Encoding: chunked", "Content-Length: 300",
                                          body=ONE_CHUNK + HIDDEN), 400, "ambiguous_length"),
    bad_http("two lengths", framed("Content-Length: 2", "Content-Length: 300", body=b"{}" + HIDDEN),
             400, "bad_content_length"),
    bad_http("twice the same length", framed("Content-Length: 2", "Content-Length: 2", body=b"{}"),
             400, "bad_content_length"),
    bad_http("a list of lengths", framed("Content-Length: 2, 2", body=b"{}"), 400,
             "bad_content_length"),
    bad_http("length with a sign", framed("Content-Length: +2", body=b"{}"), 400,
             "bad_content_length"),
    bad_http("length below zero", framed("Content-Length: -2", body=b"{}"), 400,
             "bad_content_length"),
    bad_http("length in hex", framed("Content-Length: 0x2", body=b"{}"), 400,
             "bad_content_length"),
    bad_http("empty length", framed("Content-Length:", body=b"{}"), 400, "bad_content_length"),
    bad_http("length beyond 64 bits", framed("Content-Length: " + "9" * 30), 413,
             "body_too_large"),
    bad_http("another coding first", framed("Transfer-Encoding: gzip, chunked", body=ONE_CHUNK),
             501, "bad_transfer_encoding"),
    bad_http("a coding like chunked", framed("Transfer-Encoding: xchunked", body=ONE_CHUNK), 501,
             "bad_transfer_encoding"),
    bad_http("identity", framed("Transfer-Encoding: identity", "Content-Length: 2", body=b"{}"),
             501, "bad_transfer_encoding"),
    bad_http("a list of chunked", framed("Transfer-Encoding: chunked, chunked", body=ONE_CHUNK),
             501, "bad_transfer_encoding"),
    bad_http("chunked twice", framed("Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
                                     body=ONE_CHUNK), 400, "bad_transfer_encoding"),
    bad_http("blank before the colon", framed("Transfer-Encoding : chunked", "Content-Length: 2",
                                              body=b"{}" + HIDDEN), 400, "bad_header"),
    bad_http("folded header", framed("Transfer-Encoding:\r\n chunked", body=ONE_CHUNK), 400,
             "folded_header"),
    bad_http("no colon", framed("Content-Length 2", body=b"{}"), 400, "bad_header"),
    bad_http("bare line feed", framed("X: y\nTransfer-Encoding: chunked", body=ONE_CHUNK), 400,
             "bad_line_end"),
    bad_http("bare carriage return", framed("X: y\rTransfer-Encoding: chunked", body=ONE_CHUNK),
             400, "bad_line_end"),
    bad_http("zero in a header", framed("X: \0"), 400, "bad_character"),
    bad_http("chunked in 1.0", framed("Transfer-Encoding: chunked", body=ONE_CHUNK,
                                      version="HTTP/1.0"), 400, "bad_transfer_encoding"),
    bad_http("no host", request(event(), host=None), 400, "bad_host"),
    bad_http("two hosts", request(event(), headers=["Host: other"]), 400, "bad_host"),
    bad_http("unknown expectation", request(event(), headers=["Expect: 200-ok"]), 417,
             "bad_expectation"),
    chunks("no size", b"\r\n{}\r\n0\r\n\r\n"),
    chunks("size with 0x", b"0x2\r\n{}\r\n0\r\n\r\n"),
    chunks("size with a blank", b"2 \r\n{}\r\n0\r\n\r\n"),
    chunks("size below zero", b"-2\r\n{}\r\n0\r\n\r\n"),
    chunks("size of nine digits", b"000000002\r\n{}\r\n0\r\n\r\n"),
    chunks("more than its size", b"1\r\n{}\r\n0\r\n\r\n"),
    chunks("bare line feed behind the size", b"2\n{}\r\n0\r\n\r\n"),
    chunks("bare carriage return behind the size", b"2\rx{}\r\n0\r\n\r\n"),
    chunks("bare carriage return behind the data", b"2\r\n{}\rx0\r\n\r\n"),
    chunks("bare carriage return behind all", b"2\r\n{}\r\n0\r\n\rx"),
    chunks("no line end behind the data", b"2\r\n{}0\r\n\r\n"),
    chunks("a trailer without a colon", b"2\r\n{}\r\n0\r\nsmuggled\r\n\r\n"),
    chunks("endless extension", b"2;" + b"x" * 300 + b"\r\n{}\r\n0\r\n\r\n"),
    Case("hidden in a body that is one", framed(f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
         [Answer(400, "bad_json")], rejected=("bad_json",)),
    taken("in small chunks", framed("Transfer-Encoding: Chunked", body=b"".join(
        b"1;x=y\r\n%c\r\n" % byte for byte in json.dumps(event(MATE)).encode())
        + b"0\r\nTrailer: x\r\n\r\n")),
]


def version(name, text, status, code):
    return bad_http(name, request(event(), version=text), status, code)


VERSIONS = [
    version("2.0", "HTTP/2.0", 505, "bad_version"),
    version("1.2", "HTTP/1.2", 505, "bad_version"),
    version("0.9", "HTTP/0.9", 505, "bad_version"),
    version("9.9", "HTTP/9.9", 505, "bad_version"),
    version("none", "", 400, "bad_request_line"),
    version("in small letters", "http/1.1", 400, "bad_request_line"),
    version("without a minor one", "HTTP/1", 400, "bad_request_line"),
    version("of two digits", "HTTP/1.10", 400, "bad_request_line"),
    version("another protocol", "RTSP/1.0", 400, "bad_request_line"),
    version("a blank behind", "HTTP/1.1 ", 400, "bad_request_line"),
    bad_http("0.9's simple request", b"GET /v1/track\r\n\r\n", 400, "bad_request_line"),
    Case("1.0 is answered, and closed", request(event(MATE), version="HTTP/1.0", host=None),
         [Answer(200)], False, mates=1),
    taken("1.0 that stays", request(event(MATE), version="HTTP/1.0",
                                    headers=["Connection: keep-alive"])),
]
