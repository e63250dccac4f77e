"""The events of a storm, and what they must come to. Event `number` of a producer is a function of that
number alone. A user gets 192 events, each with one bit of its own in one of four sums, so that the
sums say of each single event whether it is in, and the counts say whether any is in twice."""

import collections
import datetime

OPEN_USERS = 16  # who get events in turn
EVENTS_PER_USER = 192
BITS_PER_LANE = 48  # a sum of so many powers of two is exact
LANES = EVENTS_PER_USER // BITS_PER_LANE
KEEP = 4

FEATURES = """
[events]
hit = { track = "Hit", item = "properties.item", n = "properties.n", lane = "properties.lane", bit = "properties.bit" }

[features]
hits    = { type = "count", event = "hit" }
hits_1d = { type = "count", event = "hit", window = "1d" }
total   = { type = "sum", event = "hit", of = "n" }
bits_0  = { type = "sum", event = "hit", of = "bit", where = "lane == 0" }
bits_1  = { type = "sum", event = "hit", of = "bit", where = "lane == 1" }
bits_2  = { type = "sum", event = "hit", of = "bit", where = "lane == 2" }
bits_3  = { type = "sum", event = "hit", of = "bit", where = "lane == 3" }
last    = { type = "last", event = "hit", of = "n" }
recent  = { type = "recent", event = "hit", of = "item", keep = 4 }
"""


def user_of(prefix, number):
    return f"{prefix}-{number // (OPEN_USERS * EVENTS_PER_USER) * OPEN_USERS + number % OPEN_USERS}"


def index_of(number):
    return number // OPEN_USERS % EVENTS_PER_USER


def call_of(prefix, number, time_us):
    """Event `number` as a call of the HTTP API."""
    index = index_of(number)
    when = datetime.datetime.fromtimestamp(time_us / 1e6, datetime.timezone.utc)
    return {"type": "track", "event": "Hit", "userId": user_of(prefix, number),
            "messageId": f"{prefix}.{number}", "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "properties": {"item": f"i{index + 1}", "n": index + 1, "lane": index // BITS_PER_LANE,
                           "bit": 1 << index % BITS_PER_LANE}}


def read_ledger(path):
    """({user: {n: time in microseconds}}, events sent, last count acked, refusals)"""
    users = collections.defaultdict(dict)
    sent = acked = 0
    refused = []
    for line in open(path):
        kind, *rest = line.split()
        if kind == "S":
            _, user, n, time_us = rest
            assert int(n) not in users[user], f"the ledger has {line} twice"
            users[user][int(n)] = int(time_us)
            sent += 1
        elif kind == "A":
            acked = int(rest[0])
        else:
            refused.append(line.strip())
    return users, sent, acked, refused


def expected_of(events):
    """What a user's features must be: the reference, by plain sums over what the ledger has."""
    newest = sorted(events, key=lambda n: -events[n])
    lanes = [sum(1 << (n - 1) % BITS_PER_LANE for n in events if (n - 1) // BITS_PER_LANE == lane)
             for lane in range(LANES)]
    return {"hits": len(events), "hits_1d": len(events), "total": sum(events),
            **{f"bits_{lane}": bits for lane, bits in enumerate(lanes)},
            "last": newest[0], "recent": [f"i{n}" for n in newest[:KEEP]]}


def compare(ledger_users, exported):
    """How the appliance differs from the ledger: counts of events lost, doubled and never sent, and the
    first sentences about them."""
    lost = doubled = never_sent = 0
    wrong = []
    for user in sorted(set(ledger_users) | set(exported)):
        expected = expected_of(ledger_users[user]) if user in ledger_users else None
        features = exported[user]["features"] if user in exported else None
        if features == expected:
            continue
        events = set(ledger_users.get(user, ()))
        seen = set() if features is None else {
            lane * BITS_PER_LANE + bit + 1 for lane in range(LANES) for bit in range(BITS_PER_LANE)
            if int(features[f"bits_{lane}"]) >> bit & 1}
        hits = 0 if features is None else features["hits"]
        lost += len(events - seen)
        never_sent += len(seen - events)
        doubled += max(0, hits - len(seen))
        wrong.append(f"{user}: {features}, not {expected}")
    return {"lost": lost, "doubled": doubled, "never_sent": never_sent, "wrong": wrong[:5],
            "users_wrong": len(wrong)}
