"""Plots of the results as SVG, drawn by gnuplot."""

import math
import re
import subprocess

from frame import programs

PACKAGE = "gnuplot-nox"

# Okabe and Ito's: told apart with any kind of colour vision; its yellow is too pale for lines.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
LOG_MARGIN = 1.08
DECADES_WITH_STEPS = 3
MARKED_POINTS_MAX = 40  # with more the marks would hide the line

HEAD = """\
set terminal {terminal}
set output {output}
set termoption noenhanced
set encoding utf8
set title {title} offset 0,0.4
set xlabel {x} offset 0,0.5
set ylabel {y}
set border 3 linewidth 1 linecolor rgb "#555555"
set tics nomirror textcolor rgb "#333333"
set grid linetype 1 linewidth 0.5 linecolor rgb "#dddddd"
set key outside bottom center horizontal Left reverse samplen 2.5 spacing 1.3 noautotitle
"""
SVG = 'svg size 820,500 dynamic font "sans-serif,14" background "#ffffff"'


def gnuplot():
    return programs.installed("gnuplot")


def quoted(text):
    # In single quotes gnuplot takes all as it stands, but for the quote itself.
    return "'" + " ".join(text.replace("'", "''").split()) + "'"


def file_name(plot):
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plot["name"]) + ".svg"


def axis(plot, letter):
    """Commands for an axis: from where to where, and its marks."""
    values = [point["xy".index(letter)] for points in plot["curves"].values() for point in points]
    if letter in plot["log"]:
        values = [value for value in values if value > 0] or [1]
        lowest, highest = min(values) / LOG_MARGIN, max(values) * LOG_MARGIN
        marks = ", ".join(f'"{short(mark)}" {mark!r}' for mark in log_marks(lowest, highest))
        yield f"set logscale {letter} 10"
        yield f"set {letter}range [{lowest!r}:{highest!r}]"
        yield f"set {letter}tics ({marks})"
        return
    if letter == "y" and min(values) >= 0:
        yield "set yrange [0:100]" if plot["y"].startswith("%") else "set yrange [0:*]"
    yield f'set format {letter} "%.6g"'


def log_marks(lowest, highest):
    """The decades; 1, 2 and 5 of each where there are few."""
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    steps = (1,) if highest > lowest * 10 ** DECADES_WITH_STEPS else (1, 2, 5)
    marks = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
    return [mark for mark in marks if lowest <= mark <= highest]


def short(value):
    """1,000 · 10 k · 2 M: a mark's text."""
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (1e3 if sign == ' k' else size):g}{sign}"
    return f"{value:,g}"


def script(plot, output, terminal=SVG):
    lines = [HEAD.format(terminal=terminal, output=quoted(str(output)), title=quoted(plot["title"]),
                         x=quoted(plot["x"]), y=quoted(plot["y"]))]
    lines += [*axis(plot, "x"), *axis(plot, "y")]
    drawn = []
    # Ours first, so that it has the same colour everywhere.
    curves = sorted(plot["curves"].items(), key=lambda curve: not curve[0].startswith("deja"))
    for at, (name, points) in enumerate(curves):
        lines += [f"$curve{at} << END", *(f"{x!r} {y!r}" for x, y in sorted(points)), "END"]
        colour = PALETTE[at % len(PALETTE)]
        # A second time around the palette the lines are broken.
        dash = 1 + at // len(PALETTE)
        style = f"linecolor rgb \"{colour}\" dashtype {dash} linewidth 2"
        marks = f"with linespoints {style} pointtype {5 + 2 * (at % 5)} pointsize 0.6"
        drawn.append(f"$curve{at} using 1:2 title {quoted(name)} "
                     + (marks if len(points) <= MARKED_POINTS_MAX else f"with lines {style}"))
    lines.append("plot " + ", \\\n     ".join(drawn))
    return "\n".join(lines) + "\n"


def draw(results, folder):
    """Draws all plots of the results into the folder; the files' names. RuntimeError: why not."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for result in results:
        for plot in result["plots"]:
            name = file_name(plot)
            if name in names:
                name = f"{result['benchmark']}_{name}"
            done = subprocess.run([gnuplot()], input=script(plot, folder / name), text=True,
                                  capture_output=True)
            if done.returncode != 0 or not (folder / name).exists():
                raise RuntimeError(f"gnuplot could not draw {plot['name']}: {done.stderr.strip()}")
            names.append(name)
    return names
