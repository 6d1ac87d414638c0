"""Rows of images on a page: with a zoomed box, as heat maps, or as frames for missing images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from gradprom.reports.plots.style import GREY, PAGE, SKY, VERMILLION

Array = NDArray[Any]
Box = tuple[float, float, float, float]
"""Left, top, width and height as shares of the image."""

HEAT = "magma"
INSET = 0.44
"""Side of the zoomed box as a share of the image it is drawn into."""
LABEL, LINE, SPACE = 0.38, 0.15, 0.04
"""Inches: beside a row for its label, above it for each line of a title, and between tiles."""
LARGEST, TALLEST = 1.75, 9.6
"""Maximum width of a tile and maximum height of the page, in inches."""


@dataclass
class Tile:
    """A cell of a row: an image, an image under a heat map, a heat map, or a frame with a text.

    Without pixels and a reason it is empty.
    """

    pixels: Array | None = None
    """[H, W] or [H, W, 3] in [0, 1]; of a heat map [H, W] >= 0."""
    title: str = ""
    reason: str = ""
    """Why there are no pixels."""
    box: Box | None = None
    """Marked, and zoomed into a corner."""
    top: float | None = None
    """Of a heat map: the value with the brightest colour."""
    over: Array | None = None
    """A heat map in [0, 1] to lay over the image."""
    outline: Array | None = None
    """A mask [H, W] whose border is drawn."""


@dataclass
class Strip:
    """A row of tiles, with a label to its left."""

    tiles: list[Tile]
    label: str = ""
    bar: tuple[float, str] | None = None
    """A colour bar in the last place: the value at its top, and its label."""


def page(strips: Sequence[Strip]) -> Figure:
    """All strips below each other, as wide as a page at most."""
    columns = max(len(strip.tiles) for strip in strips)
    margin = LABEL if any(strip.label for strip in strips) else SPACE
    above = [LINE * max(_lines(tile.title) for tile in strip.tiles) for strip in strips]
    side = min(
        (PAGE - margin) / columns - SPACE,
        (TALLEST - sum(above)) / len(strips) - SPACE,
        LARGEST,
    )
    total = sum(above) + len(strips) * (side + SPACE) + SPACE
    figure = Figure(figsize=(margin + columns * (side + SPACE), total))
    top = total
    for strip, titles in zip(strips, above, strict=True):
        top -= titles + side + SPACE
        _strip(figure, strip, margin, top, side)
    return figure


def _lines(title: str) -> int:
    return title.count("\n") + 1 if title else 0


def _strip(figure: Figure, strip: Strip, left: float, bottom: float, side: float) -> None:
    """A row with its lower left corner at `left` and `bottom`, in inches."""
    width, height = figure.get_size_inches()
    places = [left + number * (side + SPACE) for number in range(len(strip.tiles))]
    for place, tile in zip(places, strip.tiles, strict=True):
        _tile(_axes(figure, (place, bottom, side, side)), tile)
    if strip.bar:
        _bar(figure, (places[-1], bottom, side, side), *strip.bar)
    middle = (bottom + side / 2) / height
    figure.text(left / 2 / width, middle, strip.label, rotation=90, ha="center", va="center")


def _axes(figure: Figure, place: Box) -> Axes:
    """Axes without ticks at a place in inches: left, bottom, width, height."""
    width, height = figure.get_size_inches()
    left, bottom, across, up = place
    axis = figure.add_axes((left / width, bottom / height, across / width, up / height))
    axis.set(xticks=(), yticks=())
    axis.grid(False)
    return axis


def _tile(axis: Axes, tile: Tile) -> None:
    axis.set_title(tile.title, fontsize=7, pad=2)
    axis.spines[:].set_visible(bool(tile.reason))
    if tile.reason:
        axis.spines[:].set(color=GREY, linestyle=(0, (4, 3)))
        axis.text(0.5, 0.5, tile.reason, ha="center", va="center", color=GREY, fontsize=7)
    if tile.pixels is None:
        return
    _image(axis, tile)
    if tile.over is not None:
        # where the map is dark, the image shows
        axis.imshow(tile.over, cmap=HEAT, vmin=0, vmax=1, alpha=0.6 * tile.over, aspect="auto")
    if tile.outline is not None:
        axis.contour(tile.outline, levels=[0.5], colors=["black"], linewidths=1.8)
        axis.contour(tile.outline, levels=[0.5], colors=[SKY], linewidths=0.9)
    if tile.box is not None:
        _zoom(axis, tile, tile.box)


def _image(axis: Axes, tile: Tile) -> None:
    assert tile.pixels is not None
    heat = tile.top is not None
    axis.imshow(
        tile.pixels,
        cmap=HEAT if heat else "gray",
        vmin=0,
        vmax=tile.top if heat else 1,
        interpolation="nearest",
        aspect="auto",
    )


def _zoom(axis: Axes, tile: Tile, box: Box) -> None:
    """Mark the box, and show it in the corner that is farthest from it."""
    assert tile.pixels is not None
    height, width = tile.pixels.shape[:2]
    left, top, across, down = (round(s * n) for s, n in zip(box, (width, height) * 2, strict=True))
    for colour, line in (("white", 2.2), (VERMILLION, 1.1)):  # visible on noise, too
        place = (left - 0.5, top - 0.5)
        axis.add_patch(Rectangle(place, across, down, fill=False, ec=colour, lw=line))
    corner = (
        1 - INSET if box[0] + box[2] / 2 < 0.5 else 0,
        0 if box[1] + box[3] / 2 < 0.5 else 1 - INSET,
    )
    inset = axis.inset_axes((*corner, INSET, INSET))
    inset.set(xticks=(), yticks=())
    inset.grid(False)
    inset.spines[:].set(visible=True, color=VERMILLION, linewidth=1.0)
    part = tile.pixels[top : top + down, left : left + across]
    _image(inset, Tile(part, top=tile.top))


def _bar(figure: Figure, place: Box, top: float, text: str) -> None:
    left, bottom, across, up = place
    axis = _axes(figure, (left + 0.1 * across, bottom + 0.1 * up, 0.08 * across, 0.8 * up))
    axis.imshow(np.linspace(1, 0, 64)[:, None], cmap=HEAT, aspect="auto", extent=(0, 1, 0, top))
    axis.yaxis.tick_right()
    axis.set_yticks((0, top), ("0", f"{top:.2g}"), fontsize=6)
    axis.text(2.2, top / 2, text, fontsize=6, va="center", rotation=90)
