"""Curves of declared tables: scores against the key that the columns vary, and training logs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradprom.metrics.registry import METRICS
from gradprom.reports.plots import training
from gradprom.reports.plots.style import (
    GREY,
    Picture,
    Stroke,
    legend_line,
    page_style,
    panels,
    save,
    short_labels,
    strokes,
)
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.record import Record
from gradprom.runs.records import Study

PUBLISHED = "published"
VARIED_KEYS = {"noise": ("noise level σ", ("images",)), "lam": ("λ", ("images", "training"))}
"""By the key that the columns vary: the axis label, and the sources of the metrics drawn against
it (the images or training)."""
ACROSS = 4
"""Maximum number of panels side by side."""


def draw(
    tables: list[Table], records: dict[str, Record], study: Study, folder: Path
) -> list[Picture]:
    """Draw every figure that these tables allow; none for a table without runs.

    Parameters
    ----------
    tables
        The filled tables.
    records
        By run id.
    study
        The study with the runs' `history.csv`.
    folder
        Where the PNG and SVG files are written.
    """
    pictures: list[Picture] = []
    with page_style():
        for table in tables:
            drawn = [_curves(table, folder), training.draw(table, records, study, folder)]
            pictures += [replace(picture, table=table.key) for picture in drawn if picture]
    return pictures


def varied_key(table: Table) -> tuple[str, list[float]] | None:
    """The key that the columns vary, such as `noise`, and its value in each column."""
    for key in VARIED_KEYS:
        values = [column.overrides.get(key) for column in table.columns]
        if None not in values and len(set(values)) == len(values) > 1:
            return key, [float(str(value)) for value in values]
    return None


def _curves(table: Table, folder: Path) -> Picture | None:
    """A panel for each score, a line for each row that has runs."""
    varied = varied_key(table)
    if varied is None:
        return None
    key, values = varied
    metrics = [
        name
        for name in table.experiment.metrics
        if METRICS[name].source in VARIED_KEYS[key][1] and _has_numbers(table, name)
    ]
    if not metrics:
        return None
    legend = _legend(table, metrics, key)
    figure, axes, across = _panels(len(metrics), legend)
    for number, (metric, axis) in enumerate(zip(metrics, axes, strict=True)):
        _panel(axis, table, metric, values)
        if key == "noise":
            _references(axis, table, metric, values)
        _format_axis(axis, key, metric, values)
        if number + across < len(metrics):
            axis.set_xlabel("")  # the panel below has it
    title = f"{table.experiment.title}: scores against {VARIED_KEYS[key][0]}"
    return save(figure, folder, f"{table.key}-curves", title, _caption(table, PUBLISHED in legend))


def _panels(count: int, legend: dict[str, Any]) -> tuple[Figure, list[Axes], int]:
    """Panels in as few rows as `ACROSS` allows, and how many stand side by side."""
    down = -(-count // ACROSS)
    across = -(-count // down)
    figure, axes = panels(down, across, 1.9, legend)
    for axis in axes.flat[count:]:
        figure.delaxes(axis)
    return figure, list(axes.flat[:count]), across


def _legend(table: Table, metrics: list[str], key: str) -> dict[str, Any]:
    """Lines by label: of rows with our numbers, of references and published numbers."""
    rows = [row.declared for row in table.rows]
    cells = [[row.cells[k] for k in row.cells if k[1] in metrics] for row in table.rows]
    legend: dict[str, Any] = {
        label: legend_line(stroke)
        for label, stroke, row_cells in zip(short_labels(rows), strokes(rows), cells, strict=True)
        if any(cell.value for cell in row_cells)
    }
    for row, dashes in _dashes(table) if key == "noise" else ():
        if any(metric in metrics for _, metric in row.cells):
            legend[row.declared.title] = Line2D([], [], ls=dashes, color=GREY)
    if any(_has_mark(cell) for row_cells in cells for cell in row_cells):
        legend[PUBLISHED] = Line2D([], [], ls="", marker="o", mfc="none", color=GREY)
    return legend


def _has_numbers(table: Table, metric: str) -> bool:
    """Whether any run has that metric."""
    cells = [cell for row in table.rows for (_, m), cell in row.cells.items() if m == metric]
    return any(cell.value is not None for cell in cells)


def _panel(axis: Axes, table: Table, metric: str, values: list[float]) -> None:
    """Draw the lines of one metric."""
    for row, stroke in zip(table.rows, strokes([row.declared for row in table.rows]), strict=True):
        points = _points(row, metric, values)
        if not points:
            continue
        _line(axis, points, stroke)
        marks = [(x, cell.published) for x, cell in points if cell.published and cell.comparable]
        x, y = [value for value, _ in marks], [number.mean for _, number in marks]
        axis.plot(x, y, ls="", mfc="none", c=stroke.color, marker=stroke.marker)


def _has_mark(cell: Cell) -> bool:
    """Whether the paper's number is drawn beside ours."""
    return cell.value is not None and cell.published is not None and cell.comparable


def _points(row: Row, metric: str, values: list[float]) -> list[tuple[float, Cell]]:
    """The cells of a row that have our number, with their place on the axis, in its order."""
    cells = [(x, row.cells.get((number, metric))) for number, x in enumerate(values)]
    points = [(x, cell) for x, cell in cells if cell is not None and cell.value is not None]
    return sorted(points, key=lambda point: point[0])


def _line(axis: Axes, points: list[tuple[float, Cell]], stroke: Stroke) -> None:
    """Draw means over seeds, with a band of ± one standard deviation."""
    x = np.array([x for x, _ in points])
    estimates = [cell.value for _, cell in points if cell.value]
    mean = np.array([estimate.mean for estimate in estimates])
    std = np.array([estimate.std or 0.0 for estimate in estimates])
    axis.fill_between(x, mean - std, mean + std, color=stroke.color, alpha=0.15, lw=0)
    axis.plot(x, mean, c=stroke.color, ls=stroke.dashes, marker=stroke.marker)


def _dashes(table: Table) -> list[tuple[Row, Any]]:
    """The rows that no run produced, each with a line style; the first is dotted."""
    styles = [":", "-.", *((0, (1, 2 + n)) for n in range(len(table.degraded + table.baselines)))]
    return list(zip([*table.degraded, *table.baselines], styles, strict=False))


def _references(axis: Axes, table: Table, metric: str, values: list[float]) -> None:
    for row, dashes in _dashes(table):
        points = _points(row, metric, values)
        y = [cell.value.mean for _, cell in points if cell.value]
        axis.plot([x for x, _ in points], y, ls=dashes, c=GREY)


def _format_axis(axis: Axes, key: str, metric: str, values: list[float]) -> None:
    axis.set_title(METRICS[metric].axis)
    axis.set_xlabel(VARIED_KEYS[key][0])
    if key == "lam":
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(values, [f"{value:g}".replace("e-0", "e-") for value in values])
    if METRICS[metric].log:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # powers of ten would need TeX's typesetting


def _caption(table: Table, published: bool) -> str:
    runs = {run for row in table.rows for c in row.cells.values() for run in c.finished.values()}
    sentences = [
        f"{table.experiment.caption} Means over seeds with bands of ± one standard deviation, of "
        f"{len(runs)} runs ({'; '.join(table.setup)})."
    ]
    if published:
        sentences.append("Hollow marks: the paper's numbers.")
    elif table.experiment.published is not None:
        sentences.append("The paper's numbers are of another dataset and left out.")
    return " ".join(sentences)
