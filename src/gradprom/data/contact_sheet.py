"""The sample sheet: a few decoded images of a dataset with the outlines of their masks, to show
what a run would learn from. Nothing here imports torch."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from gradprom.data.base import Entry, Source
from gradprom.randomness import stream
from gradprom.storage.files import replacing

Style = Literal["solid", "dashed", "dotted"]

IMAGES = 12
_COLUMNS = 4
_NO_SPLIT = "no split"
_ID = 34  # characters of an id that fit above an image

# Okabe and Ito's colours, safe for all kinds of colour vision, without the darkest.
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#D55E00", "#CC79A7")
_STYLES: tuple[Style, ...] = ("solid", "dashed", "dotted")


def draw(source: Source, entries: list[Entry], splits: dict[str, list[str]], path: Path) -> None:
    """Write the sheet as PNG.

    Raises
    ------
    OSError or ValueError
        For an image that cannot be read.
    """
    chosen = choose(entries, splits)
    rows = -(-len(chosen) // _COLUMNS)
    figure = Figure(figsize=(2.4 * _COLUMNS, 2.75 * rows + 0.8))
    figure.set_layout_engine("constrained", h_pad=0.08)
    size = getattr(source.options, "size", 0)
    pixels = f"{size}×{size} pixels" if size else "each of its own size"
    figure.suptitle(f"{source.options.name}: {len(chosen)} of {len(entries)} images, {pixels}")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis in grid:
        axis.axis("off")
    for axis, (entry, split) in zip(grid, chosen, strict=False):
        _image(axis, source, entry, split)
    _legend(figure, source.facts.mask_classes)
    with replacing(path) as stream:
        figure.savefig(stream, dpi=120, format="png")


def choose(entries: list[Entry], splits: dict[str, list[str]]) -> list[tuple[Entry, str]]:
    """Images and their splits: about equally many of each split and class, in the index's order.

    The choice follows from the ids, so that the same dataset always gives the same images. Images
    in no split come last.
    """
    part = {id: split for split, ids in splits.items() for id in ids}
    order = [*splits, _NO_SPLIT]
    by_cell: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        label = len(entries) if entry.label is None else entry.label  # not labelled: last
        by_cell[order.index(part.get(entry.id, _NO_SPLIT)), label].append(entry)
    cells = [by_cell[key] for key in sorted(by_cell)]
    if len(cells) > IMAGES:
        cells = [cells[n * len(cells) // IMAGES] for n in range(IMAGES)]
    turns = [n for turn in range(IMAGES) for n, cell in enumerate(cells) if turn < len(cell)]
    shares = Counter(turns[:IMAGES])
    drawn = {
        entry.id
        for number, cell in enumerate(cells)
        for entry in sorted(cell, key=lambda entry: stream("sheet", entry.id))[: shares[number]]
    }
    return [(e, part.get(e.id, _NO_SPLIT)) for cell in cells for e in cell if e.id in drawn]


def _image(axis: Axes, source: Source, entry: Entry, split: str) -> None:
    sample = source.decode(entry)
    pixels = sample["target"].transpose(1, 2, 0)
    # with fixed limits, because imshow would stretch a grey image
    axis.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    if "mask" in sample:
        _outlines(axis, sample["mask"], len(source.facts.mask_classes))
    classes = source.facts.classes
    kind = "not labelled" if entry.label is None else classes[entry.label]
    name = entry.id if len(entry.id) <= _ID else "…" + entry.id[1 - _ID :]
    title = f"{name}\n{kind}, {split}" if classes else f"{name}\n{split}"
    axis.set_title(title, fontsize=8, parse_math=False)


def _outlines(axis: Axes, mask: np.ndarray, classes: int) -> None:
    """A line around each class but the background, with a dark rim to be visible on any image."""
    for number in range(1, classes):
        inside = np.pad(mask == number, 1)  # closes outlines at the border
        if inside.any():
            colour, style = _line(number)
            lines = axis.contour(
                np.arange(-1, mask.shape[1] + 1),
                np.arange(-1, mask.shape[0] + 1),
                inside,
                levels=[0.5],
                colors=[colour],
                linestyles=[style],
                linewidths=1.4,
            )
            lines.set_path_effects([withStroke(linewidth=2.4, foreground="black")])
    axis.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def _line(number: int) -> tuple[str, Style]:
    """Colour and style of a mask class."""
    again, colour = divmod(number - 1, len(_COLOURS))
    return _COLOURS[colour], _STYLES[again % len(_STYLES)]


def _legend(figure: Figure, classes: Sequence[str]) -> None:
    handles = []
    for number, name in list(enumerate(classes))[1:]:
        colour, style = _line(number)
        rim = [withStroke(linewidth=3, foreground="black")]
        handles.append(Line2D([], [], color=colour, linestyle=style, label=name, path_effects=rim))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
