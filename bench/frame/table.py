"""The one table: every ratio and its target, then every figure. And numbers that read well."""

from frame.result import target_of

SIGNS = {"at_least": "≥", "at_most": "≤"}


def number(value):
    """Four digits that count, never an exponent where people would not write one."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.2e}"
    return f"{value:.4g}"


def with_unit(value, unit):
    return number(value) + ("" if unit == "" else "×" if unit == "×" else f" {unit}")


def seen(sampled):
    spread = ""
    if sampled["samples"] > 1:
        spread = f" ({number(sampled['low'])} … {number(sampled['high'])})"
    return with_unit(sampled["median"], sampled["unit"]) + spread


def verdict(ratio, quick):
    if target_of(ratio) is None:
        return ""
    return "smoke" if quick else "met" if ratio["met"] else "MISSED"


def lines(rows, right=()):
    """Rows of cells in columns; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for at, row in enumerate(rows):
        cells = [cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()
        if at == 0:
            yield "  ".join("─" * width for width in widths)


def results(found):
    """The table of all results, and what it comes to."""
    rows = [("benchmark", "what", "seen: median (5 … 95 %)", "target", "")]
    met = []
    for result in found:
        for ratio in result["ratios"]:
            target = target_of(ratio)
            aim = f"{SIGNS[target[0]]} {with_unit(target[1], ratio['unit'])}" if target else ""
            rows.append((result["benchmark"], ratio["name"], seen(ratio), aim,
                         verdict(ratio, result["quick"])))
            if target and not result["quick"]:
                met.append(ratio["met"])
    for result in found:
        for figure in result["figures"]:
            rows.append((result["benchmark"], figure["name"], seen(figure), "", ""))
    yield from lines(rows)
    for result in found:
        for note in result["notes"]:
            yield f"{result['benchmark']}: {note}"
    if met:
        yield ""
        yield f"{sum(met)} of {len(met)} targets met"
