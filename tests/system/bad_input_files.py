"""Files that are wrong: configs (tools/config/README.md), replay maps and the data they are for
(tools/README.md). Each line is what is written, the place that must be named, and what must be said."""

import gzip
import json

# Three lines ahead of every config's mistake.
CONFIG_HEAD = '[appliance]\nname = "wrong"\ndirectory = "@DIRECTORY@"\n'
EVENTS = """[events]
view = { track = "Viewed", item = "properties.id", price = "properties.price" }
[features]
"""  # what follows is line 7

ADDRESS = 'write "127.0.0.1:8080", "[::1]:8080" or "unix:/path"'
OPEN = ("is open to other hosts and there are no write_keys; none = open, allowed on loopback and unix "
        "sockets only: set write_keys")

CONFIG_MISTAKES = [
    ("profiles = 0", "4:12: [appliance] profiles: found 0; write a whole number from 1 to 1000000000"),
    ("shards = 64.0", "4:10: [appliance] shards: found 64; write a whole number from 1 to 4096"),
    ("huge_pages = 'yes'", '4:14: [appliance] huge_pages: found "yes"; write "try", "require" or '
     '"off"'),
    ("profile = 5", '4:1: [appliance]: unknown key "profile"; did you mean "profiles"?'),
    ("[feature]", '4:2: unknown section "feature"; did you mean "features"?'),
    ("[cpu]\nworkers = []", '5:11: [cpu] workers: found a list; write "auto", a list of cores such as '
     "[2, 3], or how many without pinning: 2"),
    ("[cpu]\nwait = 'busy'", '5:8: [cpu] wait: found "busy"; write "adaptive", "spin" or "sleep"'),
    ("[listen]\nhttp = '127.0.0.1:65536'", '5:8: [listen] http: found "127.0.0.1:65536"; a port is 0 '
     "to 65535 (0: any free one); " + ADDRESS),
    ("[listen]\nhttp = '0.0.0.0:80'", f'5:8: [listen] http: "0.0.0.0:80" {OPEN}'),
    ("[listen]\nstream = 'unix:x'", '5:10: [listen] stream: found "unix:x"; write an absolute path: '
     '"unix:/run/..."'),
    ("[listen]\nwrite_keys = ['env:DEJA_NOT_THERE']", "5:15: [listen] write_keys: the environment has "
     'no "DEJA_NOT_THERE"; set it, or list no key at all to listen without one'),
    ("[listen]\nwrite_keys = ['k']\nread_keys = ['k']", "6:13: [listen] read_keys: one key is a write "
     "key as well; a write key never reads: use another"),
    ("[durability]\nack = 'synced'", '5:7: [durability] ack: found "synced"; write "applied" or '
     '"durable"'),
    ("[durability]\nmax_future = '5 min'", '5:14: [durability] max_future: found "5 min"; write a '
     'whole number and one of us ms s m h d w: "90d"'),
    ("[redis]\nurl = 'rediss://h'", "5:7: [redis] url: not an address of Redis; TLS is not spoken; "
     "put a tunnel in front"),
    ("[events]\nv = { item = 'properties.id' }", "5:5: [events] v: nothing says how it is recognised; give one of "
     'track, page, screen, group (a name or "*"), or identify = true'),
    ("[events]\nv = { track = 'V', a = 'properties.a[].b[]' }", "5:24: [events] v.a: found "
     '"properties.a[].b[]"; a path goes over one array ("[]") at most'),
    (EVENTS + "f = { type = 'topp', event = 'view', of = 'item' }", '7:14: [features] f: unknown type '
     '"topp"; did you mean "top"?'),
    (EVENTS + "f = { type = 'count', event = 'vieww' }", '7:31: [features] f.event: unknown event '
     '"vieww"; did you mean "view"?'),
    (EVENTS + "f = { type = 'count', event = 'view', windw = '1h' }", '7:39: [features] f: unknown key '
     '"windw"; did you mean "window"?'),
    (EVENTS + "f = { type = 'sum', event = 'view', of = 'prize * 2' }", "7:43: [features] f.of: "
     "unknown field 'prize' (event view); did you mean 'price'?"),
    (EVENTS + "f = { type = 'count', event = 'view', where = 'price >' }", "7:55: [features] f.where: "
     "expected a number, a text, a field or '(', found the end (event view)"),
    (EVENTS + "f = { type = 'recent', event = 'view', of = 'item', keep = 257 }", "7:60: [features] "
     "f.keep: found 257; write a whole number from 1 to 256"),
]
# Where TOML itself is broken, its reader's words are not ours to fix.
TOML_MISTAKES = [
    ("[cpu\nworkers = 1", "4:5: "), ("a = ", "4:5: "), ("a = 'b", "4:7: "), ("a = 1\na = 2", "5:5: "),
    ("[[test]", "4:8: "), ("a = 2026-02-30", "4:"), ("\x01", "4:1: "), ("= 1", "4:1: "),
]
SEVERAL = "profiles = 0\nshards = 0\n[redis]\nurl = 7"

MAP = """format = "csv"
user = "who"
time = { column = "when", format = "%Y-%m-%d %H:%M:%S" }
id = ["item", "#row"]
[[event]]
when = "kind == 'view'"
track = "Product Viewed"
properties = { product_id = "item", price = "price:number" }
"""


def changed(before, after):
    assert MAP.count(before) == 1, before
    return MAP.replace(before, after)


# (map, place and what is said behind its path)
MAP_MISTAKES = [
    (changed('"csv"', '"cvs"'), '1:10: unknown format "cvs"; did you mean "csv"?'),
    (changed('format = "csv"\n', "\n"), "1:1: the map has no format"),
    (changed("user =", "usr ="), '2:1: unknown key "usr"; did you mean "user"?'),
    (changed('user = "who"\n', "\n"), "1:1: the map names no user"),
    (changed('"who"', "7"), "2:8: a user's column is not a text"),
    (changed('"who"', '"{who"'), '2:8: "{" without "}" in "{who"'),
    (changed('"who"', '""'), "2:8: the name of a column is empty"),
    (changed("column =", "colum ="), '3:10: unknown key "colum"; did you mean "column"?'),
    (changed("%Y-%m-%d %H:%M:%S", "YYYY"), "3:36: time's format has no field"),
    (changed('format = "%Y-%m-%d %H:%M:%S"', 'unit = "h"'), '3:34: unknown unit "h"'),
    (changed("time = ", "# "), "1:1: the map names no time"),
    (changed('["item", "#row"]', '"item"'), "4:6: id is not a list of columns"),
    (changed("#row", "#line"), '4:15: unknown part of id "#line"'),
    (changed("kind ==", "kind = "), "6:14: "),
    (changed("[[event]]", "[event]"), "5:1: event is not a list"),
    (changed('track = "Product Viewed"\n', ""), "5:1: the event has no call"),
    (changed("track =", "page = 'x'\ntrack ="), "7:8: one event is both "),
    (changed('"price:number"', '"price:numbr"'), '8:45: unknown type "numbr"; did you mean "number"?'),
    (changed('"price:number"', '"=price *"'), "8:"),
    (changed('"price:number"', "2026-01-01"), "8:45: a date can't be a value here"),
    (changed('"item", price', '"itm", price'), '8:29: @DATA@ has no column "itm"; did you mean '
     '"item"?'),
    (changed('format = "csv"', 'format = "csv'), "1:14: "),
    ("", "1:1: the map has no format"),
]

HEADER = "who,item,when,kind,price\n"
GOOD_ROW = "mate,p1,2026-01-01 10:00:00,view,3\n"


def row(**members):
    values = {"who": "mate", "item": "p1", "when": "2026-01-01 10:00:00", "kind": "view", "price": "3"}
    return ",".join({**values, **members}.values()) + "\n"


LINES_MAP = """format = "jsonl"
user = "who"
time = { column = "when", unit = "s" }
id = ["#row"]
each = "events"
[[event]]
track = "Product Viewed"
properties = { product_id = "item" }
"""
GOOD_LINE = json.dumps({"who": "mate", "events": [{"item": "p1", "when": 1767268800}]}) + "\n"


def csv(about, text, **counts):
    """Rows between two good ones; what must be counted of them."""
    return (about, MAP, "data.csv", (HEADER + GOOD_ROW + text + GOOD_ROW).encode(), counts)


def lines(about, text, **counts):
    return (about, LINES_MAP, "data.jsonl", (GOOD_LINE + text + GOOD_LINE).encode(), counts)


# Rows that are no events: each is counted by what is wrong with it, and its neighbours go on.
BAD_ROWS = [
    csv("a field too few", "mate,p1,2026-01-01 10:00:00,view\n", unreadable=1),
    csv("a field too many", row(price="3,4"), unreadable=1),
    csv("text behind a quote", row(item='"p1"x'), unreadable=1),
    csv("an empty line", "\n", unreadable=1),
    csv("no user", row(who=""), skipped=1),
    csv("no time", row(when=""), bad_time=1),
    csv("a time of another format", row(when="01/02/2026 10:00"), bad_time=1),
    csv("30 February", row(when="2026-02-30 10:00:00"), bad_time=1),
    csv("a time and more", row(when="2026-01-01 10:00:00Z"), bad_time=1),
    csv("another kind", row(kind="cart"), no_rule=1),
    csv("a price that is none", row(price="three"), good=1),
    csv("a user that is too long", row(who="u" * 65), rejected={"key_too_long": 1}),
    csv("a user that is not UTF-8", row(who="victim@"), unreadable=1),
    csv("a time before 1970", row(when="1969-01-01 10:00:00"), rejected={"bad_timestamp": 1}),
    csv("all of them", row(who="") + row(when="") + row(kind="") + "x\n", skipped=1, bad_time=1,
        no_rule=1, unreadable=1),
    lines("no JSON", '{"who": \n', unreadable=1),
    lines("no object", "[1]\n", unreadable=1),
    lines("no events", '{"who": "mate"}\n', unreadable=1),
    lines("events that are no list", '{"who": "mate", "events": 7}\n', unreadable=1),
    lines("events that are none", '{"who": "mate", "events": [7, null]}\n', bad_time=2),
    lines("a time that is a text", GOOD_LINE.replace("1767268800", '"soon"'), bad_time=1),
    lines("a user that is an object", GOOD_LINE.replace('"mate"', '{"id": 1}'), skipped=1),
    lines("an empty line", "\n"),
]

# Files that can't be read on: exit 1, with a sentence.
BAD_FILES = [
    ("data.csv", b"", "data.csv: there is no header"),
    ("data.csv", b"a,b,c\n1,2,3\n", 'data.csv has no column "who"'),
    ("data.csv.gz", b"who,item", "data.csv.gz"),
    ("data.csv.gz", gzip.compress((HEADER + GOOD_ROW * 1000).encode())[:-20], "data.csv.gz"),
    ("data.csv.xz", b"\xfd7zXZ\0garbage and more of it", "data.csv.xz"),
    ("data.csv.zst", b"\x28\xb5\x2f\xfdgarbage and more of it", "data.csv.zst"),
    (None, b"", "data.csv: No such file or directory"),
]
