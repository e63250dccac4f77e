"""What every feature's value is, by brute force: keeps all events of a user and computes each value
from scratch, from the wording of the features' definition and nothing else. Slow and plain; shares
no code with the engine. One call answers for one user at one instant."""

import math
from collections import defaultdict

UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000,
         "d": 86_400_000_000}


def duration_us(text):
    digits = text.rstrip("usmhd")
    return int(digits) * UNITS[text[len(digits):]]


def number_text(value):
    return str(int(value)) if value == int(value) else repr(value)


def item_text(value):
    return value if isinstance(value, str) else number_text(value)


class Event:
    """`kind` is the declared name; `fields` what it has of the declared fields."""

    def __init__(self, time_us, kind, fields):
        self.time_us = time_us
        self.kind = kind
        self.fields = fields


def evaluate(expression, fields, cache={}):
    """The test configs' expressions are Python's as they stand."""
    code = cache.get(expression)
    if code is None:
        code = cache[expression] = compile(expression, expression, "eval")
    try:
        return eval(code, {"__builtins__": {}}, fields)  # noqa: S307: our own config
    except (NameError, TypeError, ZeroDivisionError):
        return None


def sources_of(feature, kinds):
    event = feature.get("event")
    if event is None:
        return kinds
    return [event] if isinstance(event, str) else event


def fed(feature, events, kinds):
    """(time, value, event) of everything that feeds a feature; value None where it takes none."""
    sources = sources_of(feature, kinds)
    of, where = feature.get("of"), feature.get("where")
    for event in events:
        if event.kind not in sources:
            continue
        if where is not None and not evaluate(where, event.fields):
            continue
        value = evaluate(of, event.fields) if of is not None else None
        if of is not None and value is None:
            continue
        yield event.time_us, value, event


def in_window(feature, fed_events, at_us):
    """Those that count at `at_us`: the pane of at_us and the panes-1 before, of the panes kept."""
    fed_events = list(fed_events)
    if "window" not in feature or not fed_events:
        return fed_events
    panes = 1 if feature.get("tumbling") else feature.get("panes", 12)
    pane_us = duration_us(feature["window"]) // panes
    newest = max(time // pane_us for time, _, _ in fed_events)
    last = at_us // pane_us
    return [entry for entry in fed_events
            if newest - panes < entry[0] // pane_us and last - panes < entry[0] // pane_us <= last]


def top(feature, fed_events, at_us):
    """{item: weight}; the caller orders and cuts, since neighbours within 1e-9 may swap."""
    weights = feature.get("weights", {})
    half_life = duration_us(feature["half_life"]) if "half_life" in feature else None
    total = defaultdict(list)
    for time, value, event in in_window(feature, fed_events, at_us):
        weight = weights.get(event.kind, 1)
        if half_life is not None:
            weight *= 2.0 ** (-(at_us - time) / half_life)
        total[item_text(value)].append(weight)
    return {item: math.fsum(parts) for item, parts in total.items()}


def sessions(feature, fed_events):
    gap = duration_us(feature.get("gap", "30m"))
    runs = []
    for time in sorted(time for time, _, _ in fed_events):
        if runs and time - runs[-1][-1] <= gap:
            runs[-1].append(time)
        else:
            runs.append([time])
    return gap, runs


def value_of(feature, events, kinds, at_us):
    """(value, size): size is what an estimate's error is measured against (distinct, top), else 0."""
    kind = feature["type"]
    entries = list(fed(feature, events, kinds))
    if kind == "session":
        gap, runs = sessions(feature, entries)
        if not runs:
            return None, 0
        current = runs[-1]
        return {"events": len(current), "started_us": current[0],
                "duration_s": (current[-1] - current[0]) / 1e6,
                "active": at_us <= current[-1] + gap, "count": len(runs)}, 0
    if kind in ("first", "last", "trait"):
        if not entries:
            return None, 0
        if kind == "first":
            time = min(entry[0] for entry in entries)
            return min(entry[1] for entry in entries if entry[0] == time), 0
        time = max(entry[0] for entry in entries)
        return max(entry[1] for entry in entries if entry[0] == time), 0
    if kind == "recent":
        newest = {}
        for time, value, _ in entries:
            item = item_text(value)
            newest[item] = max(time, newest.get(item, time))
        order = sorted(newest, key=lambda item: (-newest[item], item.encode()))
        return order[:feature.get("keep", 16)], 0
    if kind == "top":
        weights = top(feature, entries, at_us)
        # A key that takes another's place inherits its weight: at most the smallest of `track` in a
        # window that ended no earlier than this one begins.
        inheritable = weights
        if "window" in feature:
            since = at_us - 2 * duration_us(feature["window"])
            inheritable = top({**feature, "window": "100000d"},
                              [entry for entry in entries if entry[0] > since], at_us)
        return (weights, math.fsum(inheritable.values())), len(
            {item_text(value) for _, value, _ in in_window(feature, entries, at_us)})
    counted = in_window(feature, entries, at_us)
    if kind == "count":
        return len(counted), 0
    if kind == "distinct":
        size = len({item_text(value) for _, value, _ in counted})
        return size, size
    numbers = [value for _, value, _ in counted]
    if kind == "sum":
        return math.fsum(numbers), math.fsum(abs(number) for number in numbers)
    if not numbers:
        return None, 0
    if kind == "min":
        return min(numbers), 0
    if kind == "max":
        return max(numbers), 0
    assert kind == "mean", kind
    return (math.fsum(numbers) / len(numbers),
            math.fsum(abs(number) for number in numbers) / len(numbers))


def compare(name, feature, expected, size, seen, estimated, at_us):
    """A list of complaints about one value; empty when it is right."""
    kind = feature["type"]
    wrong = [f"{name}: expected {expected!r}, seen {seen!r}"]
    if kind in ("sum", "mean"):
        if expected is None or seen is None:
            return [] if expected is seen else wrong
        return [] if abs(expected - seen) <= 1e-9 * size + 1e-12 else wrong
    if kind == "distinct":
        if size <= 32:
            return wrong if estimated or seen != expected else []
        if not estimated:
            return [f"{name}: {size} different items, not named as an estimate"]
        return [] if abs(seen - expected) <= 3 * 0.10 * expected else wrong
    if kind == "session":
        if expected is None or seen is None:
            return [] if expected is seen else wrong
        same = (seen["events"] == expected["events"] and seen["count"] == expected["count"]
                and seen["active"] == expected["active"]
                and abs(seen["duration_s"] - expected["duration_s"]) < 1e-6
                and parse_time_us(seen["started"]) == expected["started_us"])
        return [] if same else wrong
    if kind == "top":
        return compare_top(name, feature, expected, size, seen, estimated)
    return [] if seen == expected else wrong


def compare_top(name, feature, expected, size, seen, estimated):
    weights, inheritable = expected
    keep = feature.get("keep", 8)
    track = feature.get("track", 4 * keep)
    if size <= track and estimated and "window" not in feature:
        return [f"{name}: {size} keys, but named as an estimate"]
    # Weights within 1e-9 are tied: what was lost long ago may have decayed to nothing that shows,
    # and then all of it must be exact again.
    if size > track and not estimated and "half_life" not in feature:
        return [f"{name}: {size} keys of {track} tracked, not named as an estimate"]
    # Estimated in a window, a tracked key may have nothing left in it where an untracked one has.
    if len(seen) != min(keep, len(weights)) and not (estimated and "window" in feature):
        return [f"{name}: {len(seen)} of {min(keep, len(weights))} items shown"]
    scale = max((abs(weight) for weight in weights.values()), default=0)
    slack = 1e-9 * max(1.0, scale)
    if estimated:
        # Space-saving's bound: what a key inherited, or lost before it came back (in a window, in a
        # merge with a side that no longer had it), is at most the smallest of `track` weights.
        bound = inheritable / track + slack
        return [f"{name}: {item} seen {weight}, true {weights.get(item)}"
                for item, weight in seen
                if not weights.get(item, 0) - bound <= weight <= weights.get(item, 0) + bound]
    complaints = [f"{name}: {item} seen {weight}, expected {weights.get(item)}"
                  for item, weight in seen if abs(weights.get(item, 1e300) - weight) > slack]
    order = sorted(weights.values(), reverse=True)[:keep]
    complaints += [f"{name}: place {place} has {weight}, expected {order[place]}"
                   for place, (_, weight) in enumerate(seen)
                   if abs(order[place] - weight) > 2 * slack]
    for (item, weight), (other, other_weight) in zip(seen, seen[1:]):
        if weight == other_weight and item.encode() > other.encode():
            complaints.append(f"{name}: {item} and {other} tie and are not in order of their bytes")
    return complaints


def parse_time_us(text):
    from datetime import datetime, timezone
    assert text.endswith("Z"), text
    moment = datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def check_profile(config, events, profile, at_us):
    """All complaints about one profile as `deja export` prints it."""
    kinds = list(config["events"])
    complaints = []
    for name, feature in config["features"].items():
        expected, size = value_of(feature, events, kinds, at_us)
        complaints += compare(name, feature, expected, size, profile["features"][name],
                              name in profile.get("estimates", []), at_us)
    return complaints
