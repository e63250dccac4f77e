"""What a benchmark's JSON has to look like (bench/support/report.h writes it); read here, and held
against its form before anything is made of it."""

import json
import math

SAMPLED = {"name": str, "unit": str, "median": float, "low": float, "high": float, "samples": int}
PLOT = {"name": str, "title": str, "x": str, "y": str, "log": str, "curves": dict}
LOGARITHMIC = ("", "x", "y", "xy")


class BadResult(Exception):
    """The sentence says what is wrong with it."""


def load(text):
    """The result in `text`, or BadResult."""
    try:
        result = json.loads(text, parse_constant=lambda name: math.nan)
    except ValueError as error:
        raise BadResult(f"no valid JSON: {error}") from None
    problems = list(problems_of(result))
    if problems:
        raise BadResult("; ".join(problems))
    return result


def target_of(ratio):
    """("at_least" | "at_most", the bound), or None."""
    for side in ("at_least", "at_most"):
        if side in ratio:
            return side, ratio[side]
    return None


def problems_of(result):
    if not isinstance(result, dict) or not isinstance(result.get("benchmark"), str):
        yield "it does not name its benchmark"
        return
    if not isinstance(result.get("quick"), bool):
        yield "it does not say whether it was a smoke run"
    for part in ("figures", "ratios", "notes", "plots"):
        if not isinstance(result.get(part), list):
            yield f"it has no {part}"
            return
    if not result["figures"] and not result["ratios"]:
        yield "it measured nothing"
    for sampled in result["figures"] + result["ratios"]:
        yield from problems_of_sampled(sampled)
    for ratio in result["ratios"]:
        target = target_of(ratio)
        if target is None:
            continue
        if not is_number(target[1]):
            yield f"the target of \"{ratio.get('name')}\" is no number"
        if not isinstance(ratio.get("met"), bool):
            yield f"\"{ratio.get('name')}\" has a target and does not say whether it is met"
    for plot in result["plots"]:
        yield from problems_of_plot(plot)


def problems_of_sampled(sampled):
    yield from missing(sampled, SAMPLED)
    for key in ("median", "low", "high"):
        if key in sampled and not is_number(sampled[key]):
            yield f"the {key} of \"{sampled.get('name')}\" is no number"
    if sampled.get("samples") == 0:
        yield f"\"{sampled.get('name')}\" has no samples"


def problems_of_plot(plot):
    yield from missing(plot, PLOT)
    if plot.get("log") not in LOGARITHMIC:
        yield f"the axes of the plot {plot.get('name')} can't be logarithmic in \"{plot.get('log')}\""
    curves = plot.get("curves")
    if not curves:
        yield f"the plot {plot.get('name')} has no curves"
        return
    for name, points in curves.items():
        if not points:
            yield f"the curve {name} of the plot {plot.get('name')} has no points"
        elif not all(len(point) == 2 and all(map(is_number, point)) for point in points):
            yield f"the curve {name} of the plot {plot.get('name')} has a point that is none"


def missing(given, form):
    for key, kind in form.items():
        if key not in given:
            yield f"{given.get('name', 'something')} has no {key}"
        elif not isinstance(given[key], (int, float) if kind is float else kind):
            yield f"the {key} of {given.get('name', 'something')} is {given[key]!r}"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
