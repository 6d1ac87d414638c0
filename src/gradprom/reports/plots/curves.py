"""Curves of declared tables: scores against what the columns vary, and what training logged."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradprom.metrics.registry import METRICS
from gradprom.reports.plots import training
from gradprom.reports.plots.style import GREY, Picture, Stroke, frame, labels, save, strokes, styled
from gradprom.reports.plots.style import key as key_of
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.record import Record
from gradprom.runs.records import Study

PUBLISHED = "published"
SWEPT = {"noise": ("noise level σ", ("images",)), "lam": ("λ", ("images", "training"))}
"""By the key that the columns vary: the axis title, and the sources of the metrics drawn against
it, of the images or of training."""
ACROSS = 4
"""Most panels side by side."""


def draw(
    tables: list[Table], records: dict[str, Record], study: Study, folder: Path
) -> list[Picture]:
    """Every figure that these tables give: PNG and PDF in `folder`; none for a table without runs.

    Parameters
    ----------
    tables
        The tables.
    records
        By run id; those of the tables' runs are read.
    study
        Whose `runs/<id>/history.csv` tell of coupled training.
    folder
        Where the files go.
    """
    found: list[Picture | None] = []
    with styled():
        for table in tables:
            found.append(_curves(table, folder))
            found.append(training.draw(table, records, study, folder))
    return [picture for picture in found if picture is not None]


def swept(table: Table) -> tuple[str, list[float]] | None:
    """The key that the columns vary, such as `noise`, and its value in each of them."""
    for key in SWEPT:
        values = [column.overrides.get(key) for column in table.columns]
        if None not in values and len(set(values)) == len(values) > 1:
            return key, [float(str(value)) for value in values]
    return None


def _curves(table: Table, folder: Path) -> Picture | None:
    """A panel for each score, a line for each row that has runs."""
    found = swept(table)
    if found is None:
        return None
    key, places = found
    metrics = [
        name
        for name in table.experiment.metrics
        if METRICS[name].source in SWEPT[key][1] and _has(table, name)
    ]
    if not metrics:
        return None
    legend = _legend(table, metrics, key == "noise")
    figure, axes, across = _panels(len(metrics), legend)
    for number, (metric, axis) in enumerate(zip(metrics, axes, strict=True)):
        _panel(axis, table, metric, places)
        if key == "noise":
            _degraded(axis, table, metric, places)
        _frame(axis, key, metric, places)
        if number + across < len(metrics):
            axis.set_xlabel("")  # the panel below has it
    title = f"{table.experiment.title}: scores against {SWEPT[key][0]}"
    return save(figure, folder, f"{table.key}-curves", title, _caption(table, PUBLISHED in legend))


def _panels(count: int, legend: dict[str, Any]) -> tuple[Figure, list[Axes], int]:
    """Panels in as few rows as `ACROSS` allows, and how many stand side by side."""
    down = -(-count // ACROSS)
    across = -(-count // down)
    figure, axes = frame(down, across, 1.9, legend)
    for axis in axes.flat[count:]:
        figure.delaxes(axis)
    return figure, list(axes.flat[:count]), across


def _legend(table: Table, metrics: list[str], degraded: bool) -> dict[str, Any]:
    rows = [row.declared for row in table.rows]
    cells = [[row.cells[k] for k in row.cells if k[1] in metrics] for row in table.rows]
    legend: dict[str, Any] = {
        label: key_of(stroke)
        for label, stroke, mine in zip(labels(rows), strokes(rows), cells, strict=True)
        if any(cell.value for cell in mine)
    }
    if degraded:
        legend["degraded input"] = Line2D([], [], ls=":", color=GREY)
    if any(_marked(cell) for mine in cells for cell in mine):
        legend[PUBLISHED] = Line2D([], [], ls="", marker="o", mfc="none", color=GREY)
    return legend


def _has(table: Table, metric: str) -> bool:
    cells = [cell for row in table.rows for (_, m), cell in row.cells.items() if m == metric]
    return any(cell.value is not None for cell in cells)


def _panel(axis: Axes, table: Table, metric: str, places: list[float]) -> None:
    """The lines of one score."""
    for row, stroke in zip(
        table.rows, strokes([each.declared for each in table.rows]), strict=True
    ):
        points = _points(row, metric, places)
        if not points:
            continue
        _line(axis, points, stroke)
        marks = [(x, cell.published) for x, cell in points if cell.published and cell.comparable]
        x, y = [place for place, _ in marks], [number.mean for _, number in marks]
        axis.plot(x, y, ls="", mfc="none", c=stroke.color, marker=stroke.marker)


def _marked(cell: Cell) -> bool:
    """Whether the paper's number stands beside ours."""
    return cell.value is not None and cell.published is not None and cell.comparable


def _points(row: Row, metric: str, places: list[float]) -> list[tuple[float, Cell]]:
    """Where the row has a number of ours, in the order of the axis."""
    cells = [(x, row.cells.get((number, metric))) for number, x in enumerate(places)]
    found = [(x, cell) for x, cell in cells if cell is not None and cell.value is not None]
    return sorted(found, key=lambda point: point[0])


def _line(axis: Axes, points: list[tuple[float, Cell]], stroke: Stroke) -> None:
    x = np.array([place for place, _ in points])
    values = [cell.value for _, cell in points]
    mean = np.array([value.mean for value in values if value])
    std = np.array([value.std or 0.0 for value in values if value])
    axis.fill_between(x, mean - std, mean + std, color=stroke.color, alpha=0.15, lw=0)
    axis.plot(x, mean, c=stroke.color, ls=stroke.dashes, marker=stroke.marker)


def _degraded(axis: Axes, table: Table, metric: str, places: list[float]) -> None:
    for row in table.degraded:
        points = _points(row, metric, places)
        axis.plot([x for x, _ in points], [c.value.mean for _, c in points if c.value], ":", c=GREY)


def _frame(axis: Axes, key: str, metric: str, places: list[float]) -> None:
    axis.set_title(METRICS[metric].axis)
    axis.set_xlabel(SWEPT[key][0])
    if key == "lam":
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(places, [f"{place:g}".replace("e-0", "e-") for place in places])
    if METRICS[metric].log:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # powers of ten would need TeX's typesetting


def _caption(table: Table, published: bool) -> str:
    runs = {run for row in table.rows for c in row.cells.values() for run in c.finished.values()}
    told = [
        f"{table.experiment.caption} Means over seeds with bands of ± one standard deviation, of "
        f"{len(runs)} runs ({'; '.join(table.setup)})."
    ]
    if published:
        told.append("Hollow marks: the paper's numbers.")
    elif table.experiment.published is not None:
        told.append("The paper's numbers are of another dataset and left out.")
    return " ".join(told)
