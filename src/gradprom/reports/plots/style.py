"""What the figures of a report share: their files, their size on a page, their colours."""

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
"""Between two rows of panels, in inches: room for an axis and its name."""
LEGEND = 4
"""Entries beside each other in a legend."""
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titley": 1.0,  # told, so that no drawing has to look for it
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
"""Okabe and Ito's palette, which colour-blind readers can tell apart; yellow is lost on paper."""
GREY = "#777777"
STRATEGIES = {
    "mainstream": BLACK,
    "joint": GREEN,
    "frozen": BLUE,
    "gradprom": VERMILLION,
    "multitask": PURPLE,
}
"""One colour for a strategy in every figure; for several tasks at once, a colour of their own."""
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
    """Its files' name, without the ending."""
    title: str
    caption: str
    png: Path
    vector: Path | None = None
    """The same as SVG, its text as outlines."""


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn: told by its dashes and marker as well as by its colour."""

    color: str
    dashes: Any
    marker: str


def strokes(rows: list[Row]) -> list[Stroke]:
    """A stroke for each row: a strategy has its colour everywhere, its variants their dashes.

    Rows of other methods share what colours are left.
    """
    kinds = [_kind(row) for row in rows]
    others = [kind for kind in dict.fromkeys(kinds) if kind not in STRATEGIES]
    colors = STRATEGIES | {kind: _OTHERS[i % len(_OTHERS)] for i, kind in enumerate(others)}
    seen: Counter[str] = Counter()
    found = []
    for kind in kinds:
        dashes, marker = _VARIANTS[seen[colors[kind]] % len(_VARIANTS)]
        found.append(Stroke(colors[kind], dashes, marker))
        seen[colors[kind]] += 1
    return found


def _kind(row: Row) -> str:
    if row.overrides.get("auxiliary") == "multitask":
        return "multitask"
    return str(row.overrides.get("strategy", row.title))


def labels(rows: list[Row]) -> list[str]:
    """Short names of rows: group, title, and the backbone where that alone tells them apart."""
    short = [" ".join(filter(None, [row.group, row.title])) for row in rows]
    counts = Counter(short)
    return [
        f"{name}, {row.details['Backbone']}" if counts[name] > 1 and row.details else name
        for name, row in zip(short, rows, strict=True)
    ]


def frame(
    down: int, across: int, height: float, legend: dict[str, Any], **axes: Any
) -> tuple[Figure, Any]:
    """A page-wide figure of [down, across] panels with a legend below; `height` in inches.

    Margins are fixed: a layout that measures every text takes longer than drawing it.
    """
    bottom = 0.5 + 0.16 * -(-len(legend) // LEGEND)
    total = bottom + down * height + GAP * (down - 1) + 0.25
    figure = Figure(figsize=(PAGE, total))
    gaps = {"hspace": GAP / height, "wspace": 0.1 if axes.get("sharey") else 0.25}
    edges = {"left": 0.65 / PAGE, "right": 0.98, "top": 1 - 0.25 / total, "bottom": bottom / total}
    found = figure.subplots(down, across, squeeze=False, gridspec_kw={**gaps, **edges}, **axes)
    figure.legend(legend.values(), legend, loc="lower center", ncols=LEGEND, borderaxespad=0.1)
    return figure, found


def key(stroke: Stroke, marker: bool = True) -> Line2D:
    """What the legend shows of a line."""
    line = Line2D([], [], color=stroke.color, ls=stroke.dashes)
    line.set_marker(stroke.marker if marker else "")
    return line


def name_below(axes: Any, text: str) -> None:
    """One name for the horizontal axes of a row of panels."""
    figure, first, last = axes[0].figure, axes[0].get_position(), axes[-1].get_position()
    below = first.y0 - 0.2 / figure.get_figheight()
    figure.text((first.x0 + last.x1) / 2, below, text, ha="center", va="top")


def save(figure: Figure, folder: Path, name: str, title: str, caption: str) -> Picture:
    """Write a figure as PNG and SVG."""
    png, vector = folder / f"{name}.png", folder / f"{name}.svg"
    for path, metadata in ((png, {}), (vector, {"Date": None})):
        with replacing(path) as stream:
            figure.savefig(stream, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    return Picture(name, title, caption, png, vector)


def styled() -> Any:
    """A context in which figures are built and saved: sizes and fonts for a page."""
    return matplotlib.rc_context(STYLE)
