"""Curves of declared tables: scores against the key that the columns vary, and training logs.

Scores are drawn as differences to a baseline where the table has one (`differences.py`), else as
they are.
"""

import math
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gradprom.metrics.registry import METRICS
from gradprom.reports.plots import training
from gradprom.reports.plots.differences import BAND, ZERO, Differences, differences, draw_panel
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
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.layout import references
from gradprom.reports.tables.table import Cell, Row, Table

PUBLISHED, MARGIN = "published", "margin"
VARIED_KEYS = {"noise": ("noise level σ", ("images",)), "lam": ("λ", ("images", "training"))}
"""By the key that the columns vary: the axis label, and the sources of the metrics drawn against
it (the images or training)."""
LONGEST = 36
"""Characters of the baseline in a legend."""
ACROSS = 4
"""Maximum number of panels side by side."""


def draw(tables: list[Table], scores: StudyScores, folder: Path) -> list[Picture]:
    """Draw every figure that these tables allow; none for a table without runs.

    Parameters
    ----------
    tables
        The filled tables.
    scores
        The scores of the study's runs; its folders have their `history.csv`.
    folder
        Where the PNG and SVG files are written.
    """
    pictures: list[Picture] = []
    with page_style():
        for table in tables:
            logged = training.draw(table, scores.records, scores.study, folder)
            drawn = [_curves(table, scores, folder), logged]
            pictures += [replace(picture, table=table.key) for picture in drawn if picture]
    return pictures


def varied_key(table: Table) -> tuple[str, list[float]] | None:
    """The key that the columns vary, such as `noise`, and its value in each column."""
    for key in VARIED_KEYS:
        values = [column.overrides.get(key) for column in table.columns]
        if None not in values and len(set(values)) == len(values) > 1:
            return key, [float(str(value)) for value in values]
    return None


def _curves(table: Table, scores: StudyScores, folder: Path) -> Picture | None:
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
    ranked = [name for name in metrics if METRICS[name].better]
    compared = {m: found for m in ranked if (found := differences(table, m, scores)) is not None}
    legend = _legend(table, metrics, compared, key)
    figure, axes, across = _panels(len(metrics), legend)
    lines = strokes([row.declared for row in table.rows])
    for number, (metric, axis) in enumerate(zip(metrics, axes, strict=True)):
        if metric in compared:
            draw_panel(axis, compared[metric], lines, values, table.margins.get(metric, 0.0))
        else:
            _panel(axis, table, metric, values, references=key == "noise")
        _format_axis(axis, key, metric, values, difference=metric in compared)
        if number + across < len(metrics):
            axis.set_xlabel("")  # the panel below has it
    name = "differences" if compared else "scores"
    title = f"{table.experiment.title}: {name} against {VARIED_KEYS[key][0]}"
    caption = _caption(table, metrics, compared, PUBLISHED in legend)
    return save(figure, folder, f"{table.key}-curves", title, caption)


def _panels(count: int, legend: dict[str, Any]) -> tuple[Figure, list[Axes], int]:
    """Panels in as few rows as `ACROSS` allows, and how many stand side by side."""
    down = -(-count // ACROSS)
    across = -(-count // down)
    figure, axes = panels(down, across, 1.9, legend)
    for axis in axes.flat[count:]:
        figure.delaxes(axis)
    return figure, list(axes.flat[:count]), across


def _legend(
    table: Table, metrics: list[str], compared: dict[str, Differences], key: str
) -> dict[str, Any]:
    """Lines by label: of rows with our numbers, of references, the margin, published numbers."""
    rows = [row.declared for row in table.rows]
    absolute = [metric for metric in metrics if metric not in compared]
    in_panels = {number for shown in compared.values() for number in shown.rows}
    legend: dict[str, Any] = {
        label: legend_line(stroke)
        for number, (label, stroke) in enumerate(
            zip(short_labels(rows), strokes(rows), strict=True)
        )
        if number in in_panels or any(_has_numbers_of(table.rows[number], m) for m in absolute)
    }
    for row, dashes in _dashes(table) if key == "noise" else ():
        if any(metric in absolute for _, metric in row.cells):
            legend[row.declared.title] = Line2D([], [], ls=dashes, color=GREY)
    if compared:
        labels = dict.fromkeys(shown.baseline.declared.label for shown in compared.values())
        legend[textwrap.shorten(f"Δ = 0: {', '.join(labels)}", LONGEST)] = Line2D([], [], **ZERO)
    if any(table.margins.get(metric) for metric in compared):
        legend[MARGIN] = Patch(**BAND)
    shown = [row.cells[slot] for row in table.rows for slot in row.cells if slot[1] in absolute]
    differing = [d for c in compared.values() for row in c.rows.values() for d in row.values()]
    if any(map(_has_mark, shown)) or any(math.isfinite(d.published) for d in differing):
        legend[PUBLISHED] = Line2D([], [], ls="", marker="o", mfc="none", color=GREY)
    return legend


def _has_numbers(table: Table, metric: str) -> bool:
    """Whether any run has that metric."""
    return any(_has_numbers_of(row, metric) for row in table.rows)


def _has_numbers_of(row: Row, metric: str) -> bool:
    return any(cell.value is not None for (_, m), cell in row.cells.items() if m == metric)


def _panel(axis: Axes, table: Table, metric: str, values: list[float], references: bool) -> None:
    """Draw the lines of one metric, and those of rows that no run produced."""
    for row, stroke in zip(table.rows, strokes([row.declared for row in table.rows]), strict=True):
        points = _points(row, metric, values)
        if not points:
            continue
        _line(axis, points, stroke)
        marks = [(x, cell.published) for x, cell in points if cell.published and cell.comparable]
        x, y = [value for value, _ in marks], [number.mean for _, number in marks]
        axis.plot(x, y, ls="", mfc="none", c=stroke.color, marker=stroke.marker)
    if references:
        _references(axis, table, metric, values)


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
    """The rows of references, each with a line style; the first is dotted."""
    rows = references(table)
    styles = [":", "-.", *((0, (1, 2 + n)) for n in range(len(rows)))]
    return list(zip(rows, styles, strict=False))


def _references(axis: Axes, table: Table, metric: str, values: list[float]) -> None:
    for row, dashes in _dashes(table):
        points = _points(row, metric, values)
        y = [cell.value.mean for _, cell in points if cell.value]
        axis.plot([x for x, _ in points], y, ls=dashes, c=GREY)


def _format_axis(axis: Axes, key: str, metric: str, values: list[float], difference: bool) -> None:
    axis.set_title(f"Δ {METRICS[metric].axis}" if difference else METRICS[metric].axis)
    axis.set_xlabel(VARIED_KEYS[key][0])
    if key == "lam":
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(values, list(map(_tick_label, values)))
    if METRICS[metric].log and not difference:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # powers of ten would need TeX's typesetting


def _caption(
    table: Table, metrics: list[str], compared: dict[str, Differences], published: bool
) -> str:
    runs = {run for row in table.rows for c in row.cells.values() for run in c.finished.values()}
    sentences = [table.experiment.caption]
    if not sentences[0].endswith("."):
        sentences[0] += "."  # the caption of a sweep is its words
    by_baseline: dict[str, list[str]] = {}
    for metric, shown in compared.items():
        label = shown.baseline.declared.label
        by_baseline.setdefault(label, []).append(METRICS[metric].full_title)
    sentences += [
        f"Δ: {', '.join(names)} minus {label}'s, with paired 95 % intervals."
        for label, names in by_baseline.items()
    ]
    if len(compared) < len(metrics):
        others = "Others: means" if compared else "Means"
        sentences.append(f"{others} over seeds with bands of ± one standard deviation.")
    if any(table.margins.get(metric) for metric in compared):
        sentences.append("A difference within the grey band, the margin, makes none.")
    sentences.append(f"Of {len(runs)} runs ({'; '.join(table.setup)}).")
    if published:
        sentences.append("Hollow marks: the paper's numbers.")
    elif table.experiment.published is not None:
        sentences.append("The paper's numbers are of another dataset and left out.")
    return " ".join(sentences)


def _tick_label(value: float) -> str:
    """The shorter of `0.0001` and `1e-4`, of those that are exact."""
    texts = [f"{value:g}", f"{value:.0e}"]
    return min(
        (text.replace("e-0", "e-") for text in texts if float(text) == value),
        key=len,
        default=texts[0],
    )
