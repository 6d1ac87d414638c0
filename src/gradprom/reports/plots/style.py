"""Shared by the figures of a report: files, sizes on a page, colours and line styles."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradprom.experiments.declared import Row
from gradprom.storage.files import replacing

PAGE = 7.2
"""Width of a figure over both columns of a page, in inches."""
DPI = 200
GAP = 0.42
"""Between two rows of panels, in inches: room for an axis and its label."""
LEGEND = 4
"""Entries side by side in a legend."""
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titley": 1.0,  # fixed, so that matplotlib need not search for it in every drawing
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "axes.linewidth": 0.6,
    "svg.hashsalt": "gradprom",  # equal figures are equal files
}

BLACK, ORANGE, SKY, GREEN, _, BLUE, VERMILLION, PURPLE = (
    "#000000 #E69F00 #56B4E9 #009E73 #F0E442 #0072B2 #D55E00 #CC79A7".split()
)
"""The palette of Okabe and Ito, safe for colour-blind readers; yellow is too faint on paper."""
GREY = "#777777"
STRATEGIES = {
    "mainstream": BLACK,
    "joint": GREEN,
    "frozen": BLUE,
    "gradprom": VERMILLION,
    "multitask": PURPLE,
}
"""One colour for each strategy in every figure; `multitask` stands for several tasks at once."""
_OTHERS = (ORANGE, SKY, GREY)
_VARIANTS: list[tuple[Any, str]] = [
    ("solid", "o"),
    ((0, (4, 1.5)), "s"),
    ((0, (5, 1.5, 1, 1.5)), "^"),
    ((0, (8, 2)), "D"),
    ((0, (2, 1)), "v"),
]


@dataclass(frozen=True)
class Picture:
    """One figure of a report, as files."""

    name: str
    """The name of its files, without suffix."""
    title: str
    caption: str
    png: Path
    vector: Path | None = None
    """The same figure as SVG, its text as outlines."""
    table: str = ""
    """The key of the table that it belongs to, or `claims`; empty: none."""


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn: dashes and marker identify it as well as its colour."""

    color: str
    dashes: Any
    marker: str


def strokes(rows: list[Row]) -> list[Stroke]:
    """Choose a stroke for each row: the colour shows the strategy, the dashes its variant.

    Rows of other methods share the colours that are left.
    """
    kinds = [_kind(row) for row in rows]
    others = [kind for kind in dict.fromkeys(kinds) if kind not in STRATEGIES]
    colors = STRATEGIES | {kind: _OTHERS[i % len(_OTHERS)] for i, kind in enumerate(others)}
    uses: Counter[str] = Counter()
    row_strokes = []
    for kind in kinds:
        dashes, marker = _VARIANTS[uses[colors[kind]] % len(_VARIANTS)]
        row_strokes.append(Stroke(colors[kind], dashes, marker))
        uses[colors[kind]] += 1
    return row_strokes


def _kind(row: Row) -> str:
    """What determines the colour of a row: its strategy, or its title."""
    if row.overrides.get("auxiliary") == "multitask":
        return "multitask"
    return str(row.overrides.get("strategy", row.title))


def short_labels(rows: list[Row]) -> list[str]:
    """Short names of rows: group, title, and the backbone where those are not unique."""
    short = [" ".join(filter(None, [row.group, row.title])) for row in rows]
    counts = Counter(short)
    return [
        f"{name}, {row.details['Backbone']}" if counts[name] > 1 and row.details else name
        for name, row in zip(short, rows, strict=True)
    ]


def panels(
    down: int, across: int, height: float, legend: dict[str, Any], **axes: Any
) -> tuple[Figure, Any]:
    """Make a figure as wide as a page, with a legend below its panels.

    Margins are fixed, because a layout that measures every text takes longer than drawing it.

    Parameters
    ----------
    down, across
        Number of rows and columns of panels.
    height
        Of a panel, in inches.
    legend
        Lines by label.
    **axes
        Further arguments of `Figure.subplots`.

    Returns
    -------
    tuple[Figure, Any]
        The figure and its axes, an array [down, across].
    """
    bottom = 0.5 + 0.16 * -(-len(legend) // LEGEND)
    total = bottom + down * height + GAP * (down - 1) + 0.25
    figure = Figure(figsize=(PAGE, total))
    gaps = {"hspace": GAP / height, "wspace": 0.1 if axes.get("sharey") else 0.25}
    edges = {"left": 0.65 / PAGE, "right": 0.98, "top": 1 - 0.25 / total, "bottom": bottom / total}
    grid = figure.subplots(down, across, squeeze=False, gridspec_kw={**gaps, **edges}, **axes)
    figure.legend(legend.values(), legend, loc="lower center", ncols=LEGEND, borderaxespad=0.1)
    return figure, grid


def legend_line(stroke: Stroke, marker: bool = True) -> Line2D:
    """A line as the legend shows it."""
    line = Line2D([], [], color=stroke.color, ls=stroke.dashes)
    line.set_marker(stroke.marker if marker else "")
    return line


def label_below(axes: Any, text: str) -> None:
    """One label for the horizontal axes of a row of panels."""
    figure, first, last = axes[0].figure, axes[0].get_position(), axes[-1].get_position()
    below = first.y0 - 0.2 / figure.get_figheight()
    figure.text((first.x0 + last.x1) / 2, below, text, ha="center", va="top")


def save(
    figure: Figure, folder: Path, name: str, title: str, caption: str, dpi: int = DPI
) -> Picture:
    """Write a figure to the folder as PNG and SVG."""
    png, vector = folder / f"{name}.png", folder / f"{name}.svg"
    for path, metadata in ((png, {}), (vector, {"Date": None})):
        with replacing(path) as stream:
            figure.savefig(stream, format=path.suffix[1:], dpi=dpi, metadata=metadata)
    return Picture(name, title, caption, png, vector)


def page_style() -> Any:
    """A context for building and saving figures, with sizes and fonts for a page."""
    return matplotlib.rc_context(STYLE)
