"""One forest plot of all contrasts of claims: ours and the published ones, with their intervals."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gradprom.metrics.registry import METRICS
from gradprom.reports.claims.contrast import EQUIVALENT, FAILS, HOLDS, UNDECIDABLE, Contrast
from gradprom.reports.claims.verdicts import JudgedClaim
from gradprom.reports.plots.differences import BAND, LINEAR, ROOM, ZERO, ticks_beyond
from gradprom.reports.plots.style import GREEN, GREY, SKY, VERMILLION, Picture, page_style, save

WIDTH, LABELS, PANEL_GAP = 11.0, 4.3, 0.16
"""Of the figure, of its labels, and between panels, in inches."""
LINE = 0.135
"""Height of one contrast, in inches."""
TOP, BOTTOM = 0.75, 0.35
"""Above the first line and below the last one, in inches."""
RESOLUTION = 120
"""Dots per inch: the figure is as tall as several pages."""
SEARCHED: Any = {"svg.fonttype": "none"}
"""Texts stay texts in the SVG: hundreds of labels, in which a reader searches."""
COLORS = {HOLDS: GREEN, EQUIVALENT: GREY, FAILS: VERMILLION, UNDECIDABLE: SKY}
OURS, PUBLISHED = ("o", 0.16), ("s", -0.16)
"""Marker, and how far above the middle of its line it stands."""
CAPTION = (
    "All contrasts of the claims, each a gain that should be above 0: ours with paired 95 % "
    "bootstrap intervals, the published ones with those of Welch's test on the paper's means and "
    "±, where it prints a ±. Colours are verdicts (the published ones are judged by their sign "
    "alone); the grey band is the margin, within which the axis is linear, and logarithmic beyond."
)


@dataclass(frozen=True)
class _Line:
    """One line of the figure: the heading of a claim, or the same cells in each metric."""

    label: str
    contrasts: dict[str, Contrast]
    """By metric; none in a heading."""


def draw(judged: list[JudgedClaim], folder: Path) -> list[Picture]:
    """Draw the forest plot; nothing without a contrast that has a number.

    Parameters
    ----------
    judged
        The claims; those of which our runs say something come first.
    folder
        Where the PNG and SVG files are written.
    """
    ordered = sorted(judged, key=lambda claim: all(c.effect is None for c in claim.contrasts))
    lines = [line for claim in ordered for line in _lines(claim)]
    shown = {metric for line in lines for metric in line.contrasts}
    metrics = [metric for metric in METRICS if metric in shown]
    if not metrics:
        return []
    with page_style(), matplotlib.rc_context(SEARCHED):
        figure, axes = _panels(len(lines), len(metrics))
        _labels(axes[0], lines)
        for metric, axis in zip(metrics, axes, strict=True):
            _panel(axis, metric, lines)
        figure.legend(
            *_legend(), loc="upper left", ncols=7, bbox_to_anchor=(0, 1), columnspacing=1.2
        )
        title = "Claims: all contrasts, ours and published"
        picture = save(figure, folder, "claims-forest", title, CAPTION, RESOLUTION)
    return [Picture(**{**vars(picture), "table": "claims"})]


def _lines(claim: JudgedClaim) -> list[_Line]:
    """A heading, and a line for each set of cells that has a number; none without any."""
    by_cells: dict[str, dict[str, Contrast]] = {}
    for contrast in claim.contrasts:
        if contrast.effect is not None or contrast.published is not None:
            by_cells.setdefault(contrast.cells, {})[contrast.metric] = contrast
    heading = f"{claim.name}: ours {claim.verdict}, published {claim.published_verdict}"
    lines = [_Line(label, contrasts) for label, contrasts in by_cells.items()]
    return [_Line(heading, {}), *lines] if lines else []


def _panels(lines: int, count: int) -> tuple[Figure, list[Axes]]:
    height = TOP + lines * LINE + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    grid = {"left": LABELS / WIDTH, "right": 1 - 0.1 / WIDTH, "wspace": PANEL_GAP}
    grid |= {"top": 1 - TOP / height, "bottom": BOTTOM / height}
    axes = list(figure.subplots(1, count, squeeze=False, gridspec_kw=grid)[0])
    for axis in axes:
        axis.set_ylim(lines - 0.5, -0.5)
        axis.tick_params(left=False, labelleft=False, labeltop=True, top=True, labelsize=6)
        axis.grid(axis="y", visible=False)
    return figure, axes


def _labels(axis: Axes, lines: list[_Line]) -> None:
    left = -LABELS / (axis.get_position().width * WIDTH) + 0.02
    for number, line in enumerate(lines):
        text = axis.text(left, number + 0.05, line.label, va="center", fontsize=6, parse_math=False)
        text.set_transform(axis.get_yaxis_transform())
        text.set_fontweight("normal" if line.contrasts else "bold")


def _panel(axis: Axes, metric: str, lines: list[_Line]) -> None:
    """All contrasts of one metric."""
    contrasts = {
        n: line.contrasts[metric] for n, line in enumerate(lines) if metric in line.contrasts
    }
    margin = max(contrast.margin for contrast in contrasts.values())
    ends = [end for c in contrasts.values() for end in _numbers(c) if math.isfinite(end)]
    farthest = max([*map(abs, ends), 2 * margin])
    axis.set_xscale("symlog", linthresh=margin or farthest, linscale=LINEAR)
    axis.set_xlim(-ROOM * farthest, ROOM * farthest)
    ticks = ticks_beyond(margin or farthest, farthest)
    # beside each other, only the outermost labels find room
    labels = ["" for _ in ticks[:-1]] + [f"{tick:g}" for tick in ticks[-1:]]
    axis.set_xticks(
        [*(-t for t in ticks), 0, *ticks], [*(f"−{x}" * bool(x) for x in labels), "0", *labels]
    )
    axis.minorticks_off()
    if margin:
        axis.axvspan(-margin, margin, **BAND)
    axis.axvline(0, **ZERO)
    text = f"{METRICS[metric].axis} (margin {margin:g})" if margin else METRICS[metric].axis
    axis.set_title(text, pad=18)
    for verdict, color in COLORS.items():
        ours = [(n, c.effect, c.low, c.high) for n, c in contrasts.items() if c.verdict == verdict]
        theirs = [
            (n, c.published, c.published_low, c.published_high)
            for n, c in contrasts.items()
            if c.published_verdict == verdict
        ]
        _marks(axis, ours, OURS, color)
        _marks(axis, theirs, PUBLISHED, color)


def _numbers(contrast: Contrast) -> list[float]:
    c = contrast
    numbers = (c.effect, c.low, c.high, c.published, c.published_low, c.published_high)
    return [number for number in numbers if number is not None]


def _marks(axis: Axes, rows: list[Any], kind: tuple[str, float], color: str) -> None:
    """Marks with their intervals; `rows` are line, mean, low and high, any of which may be None."""
    if not rows:
        return
    marker, above = kind
    place, mean, low, high = np.array(rows, float).T  # None becomes NaN
    hollow = marker == PUBLISHED[0]
    axis.hlines(place - above, low, high, color=color, lw=0.8)
    face = "white" if hollow else color
    axis.plot(mean, place - above, ls="", marker=marker, ms=2.6, mew=0.7, c=color, mfc=face)


def _legend() -> tuple[list[Any], list[str]]:
    handles: list[Any] = [
        Line2D([], [], ls="", marker=OURS[0], color=color, ms=4) for color in COLORS.values()
    ]
    handles.append(Line2D([], [], ls="", marker=PUBLISHED[0], color=GREY, mfc="white", ms=4))
    return [*handles, Patch(**BAND)], [*(f"ours: {v}" for v in COLORS), "published", "margin"]
