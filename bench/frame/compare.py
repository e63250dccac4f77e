"""Now against then: each ratio of a kept result beside the same ratio of this run."""

from frame import host, table
from frame.result import target_of

# A ratio that was counted and not sampled has no spread; so small a change of it says nothing.
LEAST_CHANGE = 0.01


def beyond_spread(then, now):
    """Each median lies outside of what the other run saw in 5 … 95 % of its rounds."""
    return (not then["low"] <= now["median"] <= then["high"]
            and not now["low"] <= then["median"] <= now["high"]
            and abs(now["median"] - then["median"]) > LEAST_CHANGE * abs(then["median"]))


def judged(then, now):
    """"worse", "better", "changed" (where there is no target to say which is better), or ""."""
    if not beyond_spread(then, now):
        return ""
    target = target_of(now) or target_of(then)
    if target is None:
        return "changed"
    grew = now["median"] > then["median"]
    return "better" if grew == (target[0] == "at_least") else "worse"


def change(then, now):
    if then["median"] == 0:
        return "" if now["median"] == 0 else "from 0"
    return f"{100 * (now['median'] / then['median'] - 1):+.1f} %"


def compared(reference, latest):
    """(lines to print, whether a ratio got worse beyond the spread). Only what was run now."""
    ran = {result["benchmark"]: result for result in latest["benchmarks"]}
    rows = [("benchmark", "what", "then", "now", "change", "")]
    worse = False
    for result in reference["benchmarks"]:
        if result["benchmark"] not in ran:
            continue
        ratios = {ratio["name"]: ratio for ratio in ran[result["benchmark"]]["ratios"]}
        for then in result["ratios"]:
            now = ratios.get(then["name"])
            if now is None:
                rows.append((result["benchmark"], then["name"], table.seen(then), "", "", "gone"))
                continue
            mark = judged(then, now)
            worse = worse or mark == "worse"
            rows.append((result["benchmark"], then["name"], table.seen(then), table.seen(now),
                         change(then, now), mark.upper() if mark == "worse" else mark))
    lines = [f"then: {reference['date']}, commit {(reference['code']['commit'] or 'unknown')[:10]}"]
    if not host.same_host(reference["host"], latest["host"]):
        lines.append("then was another host: its ratios are a hint, no more")
    lines += table.lines(rows, right=(4,))
    if len(rows) == 1:
        lines.append("no ratio of the kept result was measured now")
    return lines, worse
