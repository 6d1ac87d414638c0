"""What quality costs: PSNR against the parameters and the multiply-adds of each row's network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from gradprom.errors import RunError
from gradprom.identity import digest
from gradprom.metrics.registry import METRICS
from gradprom.reports.plots.style import (
    GREY,
    Picture,
    Stroke,
    label_below,
    legend_line,
    page_style,
    panels,
    save,
    short_labels,
    strokes,
)
from gradprom.reports.tables.table import Row, Table
from gradprom.runs.cost import SIDE, Cost, cost
from gradprom.runs.record import Record
from gradprom.runs.records import Study

METRIC = "psnr"
READ = ("backbone", "degradation", "method", "auxiliary", "strategy", "facts")
"""Sections of a configuration that a network and its passes follow from."""
CAPTION = (
    f"A network's multiply-adds are those for one restored image of {SIDE}×{SIDE} pixels, of all "
    f"its passes. Networks that a row only trains with, such as recognizers, are not counted."
)


@dataclass(frozen=True)
class Point:
    """A row in one column."""

    cost: Cost
    mean: float
    """The mean score of its runs."""


def draw(
    tables: list[Table], records: dict[str, Record], study: Study, folder: Path
) -> list[Picture]:
    """Draw the figure of each table whose rows differ in their networks.

    Parameters
    ----------
    tables
        The filled tables.
    records, study
        The records of their runs by id, and the study with their configurations.
    folder
        Where the PNG and SVG files are written.
    """
    costs = Costs(records, study)
    with page_style():
        drawn = [_figure(table, costs, folder) for table in tables if _varies(table, records)]
    return [picture for picture in drawn if picture]


class Costs:
    """Costs of runs by their ids; runs with equal networks are counted once."""

    def __init__(self, records: dict[str, Record], study: Study) -> None:
        self.records, self.study = records, study
        self._counted: dict[str, Cost | None] = {}

    def of(self, run_id: str) -> Cost | None:
        """The cost of a run's network; None where it has none, or does not fit this version."""
        from gradprom.runs.restore import load_run  # imports torch

        config = self.records[run_id].config
        network = digest([config.get(key) for key in READ])
        if network not in self._counted:
            try:
                self._counted[network] = cost(load_run(self.study, run_id).method)
            except RunError:
                self._counted[network] = None
        return self._counted[network]


def points(table: Table, costs: Costs) -> dict[int, dict[int, Point]]:
    """The rows that have a score and a network, by column number and row number."""
    by_column: dict[int, dict[int, Point]] = {}
    for number in range(len(table.columns)):
        for place, row in enumerate(table.rows):
            cell = row.cells.get((number, METRIC))
            if cell is None or cell.value is None or row.declared.test_set:
                continue
            counted = costs.of(next(iter(cell.finished.values())))
            if counted is not None:
                by_column.setdefault(number, {})[place] = Point(counted, cell.value.mean)
    return by_column


def _figure(table: Table, costs: Costs, folder: Path) -> Picture | None:
    """A panel for each column and cost; None where all rows of each column have one network."""
    by_column = points(table, costs)
    if not any(len({point.cost for point in rows.values()}) > 1 for rows in by_column.values()):
        return None
    lines = strokes([row.declared for row in table.rows])
    present = {place for rows in by_column.values() for place in rows}
    names = short_labels([row.declared for row in table.rows])
    legend = {
        name: _mark(stroke)
        for place, (name, stroke) in enumerate(zip(names, lines, strict=True))
        if place in present
    }
    references = {number: _filters(table, number) for number in by_column}
    if any(references.values()):
        legend["best classical filter"] = Line2D([], [], ls="--", color=GREY)
    figure, axes = panels(2, len(by_column), 1.7, legend, sharex="row", sharey="col")
    for across, (number, rows) in enumerate(by_column.items()):
        for axis, kind in zip(axes[:, across], ("parameters", "multiply_adds"), strict=True):
            _panel(axis, rows, kind, lines, references[number])
        axes[0, across].set_title(table.columns[number].title)
    label_below(axes[0], "parameters")
    label_below(axes[1], "multiply-adds")
    for axis in axes[:, 0]:
        axis.set_ylabel(METRICS[METRIC].axis)
    caption = " ".join(filter(None, [table.experiment.caption, CAPTION]))
    title = f"{table.experiment.title}: PSNR against the cost of the network"
    return replace(save(figure, folder, f"{table.key}-costs", title, caption), table=table.key)


def _varies(table: Table, records: dict[str, Record]) -> bool:
    """Whether rows with scores differ in their backbones; others are not looked at more closely."""
    runs = [
        run
        for row in table.rows
        for (_, metric), cell in row.cells.items()
        for run in cell.finished.values()
        if metric == METRIC
    ]
    return len({digest(records[run].config.get("backbone")) for run in runs}) > 1


def _filters(table: Table, number: int) -> list[float]:
    """The score of the best classical filter of a column, if any has run."""
    rows: list[Row] = [row for row in table.classical if not row.declared.test_set]
    cells = [cell for row in rows if (cell := row.cells.get((number, METRIC))) is not None]
    scores = [cell.value.mean for cell in cells if cell.value is not None]
    return [max(scores)] if scores else []


def _panel(
    axis: Axes, rows: dict[int, Point], kind: str, lines: list[Stroke], references: list[float]
) -> None:
    for score in references:
        axis.axhline(score, ls="--", color=GREY, lw=0.8)
    for place, point in rows.items():
        stroke = lines[place]
        x = getattr(point.cost, kind)
        axis.plot([x], [point.mean], ls="", marker=stroke.marker, color=stroke.color, alpha=0.85)
    axis.set_xscale("log")
    axis.margins(x=0.15, y=0.1)
    axis.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=6))
    axis.xaxis.set_major_formatter(lambda value, _: short(value))
    axis.xaxis.set_minor_formatter(NullFormatter())


def short(value: float) -> str:
    """Such as `50 k` or `2 G`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _mark(stroke: Stroke) -> Any:
    line = legend_line(stroke)
    line.set_linestyle("")
    return line
