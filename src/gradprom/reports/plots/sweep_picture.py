"""The picture of a sweep: what came out, and what the strategies did on the way."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from gradprom.metrics.registry import DEGRADED, METRICS, Metric, main_metrics
from gradprom.reports.tables.table import Table
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import replacing

CAPTION = (
    "The first test image, degraded, enhanced by each row and clean, with the mean scores of the "
    "test split; below, what was logged of coupled training. One run a row, that of the lowest "
    "seed."
)
SMOOTHING = 3
"""Rows of the history in a curve's moving mean."""


Shown = dict[tuple[int, str], Record]
"""The run that stands for each row in each column, by the column's number and the row's title."""


def draw(table: Table, records: dict[str, Record], study: Study, path: Path) -> bool:
    """A row of pictures for each degradation (degraded, each table row, clean), then curves.

    One run stands for each row of the table: the one of the lowest seed. Nothing is drawn, and
    False returned, where no run has scored both its images and its degraded input.
    """
    metric = _measure(table)
    if metric is None:
        return False
    shown = {
        (number, row.declared.title): records[cell.finished[min(cell.finished)]]
        for row in table.rows
        for number in range(len(table.columns))
        if (cell := row.cells.get((number, metric.name))) is not None and cell.finished
    }
    labels = list(dict.fromkeys(label for _, label in shown))
    titles = {n: c.title for n, c in enumerate(table.columns) if any(n == m for m, _ in shown)}
    figure = Figure(
        figsize=(2.0 * (len(labels) + 2), 2.1 * len(titles) + 2.6), layout="constrained"
    )
    grid = figure.add_gridspec(2, 1, height_ratios=[2.1 * len(titles), 2.6])
    axes = figure.add_subfigure(grid[0]).subplots(len(titles), len(labels) + 2, squeeze=False)
    for number, line in zip(titles, axes, strict=True):
        runs = {label: shown[number, label] for label in labels if (number, label) in shown}
        _pictures(line, titles[number], labels, runs, study, metric)
    _curves(figure.add_subfigure(grid[1]), shown, titles, study)
    with replacing(path) as stream:
        figure.savefig(stream, dpi=110, format="png")
    return True


def _measure(table: Table) -> Metric | None:
    """The first metric that runs have of their images and of the degraded input."""
    scored = {m for row in table.rows for (_, m), cell in row.cells.items() if cell.finished}
    degraded = {metric for row in table.degraded for _, metric in row.cells}
    return next((m for m in METRICS.values() if m.name in scored & degraded), None)


def _pictures(
    axes: Iterable[Axes],
    column: str,
    labels: list[str],
    runs: dict[str, Record],
    study: Study,
    metric: Metric,
) -> None:
    """degraded | enhanced by each | clean, of the first test image; the scores are means."""
    degraded, *enhanced, clean = axes
    for axis in (degraded, *enhanced, clean):
        axis.axis("off")
    for label, axis in zip(labels, enhanced, strict=True):
        if label not in runs:
            continue
        parts = _panel(study.run(runs[label].id) / "panels")
        if parts is None:
            continue
        score = runs[label].metrics
        _image(axis, parts[1], f"{label}\nmean {metric.text(score[metric.name])}")
        floor = metric.text(score[DEGRADED + metric.name])
        _image(degraded, parts[0], f"degraded, {_spaced(column)}\nmean {floor}")
        _image(clean, parts[2], "clean\n")


def _spaced(column: str) -> str:
    """Such as `σ = 0.1`: a picture has the room."""
    return column.replace("=", " = ")


def _panel(folder: Path) -> list[np.ndarray] | None:
    """A run's first panel, cut into degraded, enhanced, clean, error; None if it kept none."""
    first = min(folder.glob("*.png"), default=None)
    if first is None:
        return None
    return np.split(np.asarray(Image.open(first)), 4, axis=1)


def _image(axis: Axes, pixels: np.ndarray, title: str) -> None:
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_title(title, fontsize=8, parse_math=False)  # a name may hold a dollar sign


def _curves(figure: SubFigure, shown: Shown, titles: dict[int, str], study: Study) -> None:
    """What was logged of coupled training, against its steps; a line style for each degradation."""
    labels = list(dict.fromkeys(label for _, label in shown))
    styles = dict(zip(titles, "-:", strict=False))
    curves = {place: _logged(study, record.id) for place, record in shown.items()}
    metrics = [m for m in METRICS.values() if any(m.name in found for found in curves.values())]
    axes = figure.subplots(1, len(metrics), squeeze=False)[0] if metrics else []
    for metric, axis in zip(metrics, axes, strict=True):
        for (number, label), found in curves.items():
            if metric.name in found:
                line: dict[str, Any] = {"color": f"C{labels.index(label)}", "lw": 1}
                name = f"{label}, {_spaced(titles[number])}"
                line |= {"ls": styles.get(number, "--"), "label": name}
                axis.plot(found[metric.name], **line)
        axis.set_title(f"{metric.axis}, in training", fontsize=8)
        axis.set_xlabel("step of coupled training", fontsize=7)
        axis.tick_params(labelsize=7)
        if metric.log:
            axis.set_yscale("log")
    for text in axes[0].legend(fontsize=6).get_texts() if metrics else ():
        text.set_parse_math(False)


def _logged(study: Study, run_id: str) -> dict[str, pd.Series]:
    """What a run's last stage logged of each metric, by step: means over tasks, smoothed."""
    last = history.read(study.run(run_id)).last_stage()
    steps = last.values("step")
    curves = {}
    for metric in [*main_metrics(), *main_metrics("training")]:
        names = [name for name in last.columns if metric.logs(name)]
        columns = pd.DataFrame({name: last.values(name) for name in names}, index=steps)
        if columns.notna().any(axis=None):
            mean = columns.mean(axis=1)
            curves[metric.name] = mean.rolling(SMOOTHING, min_periods=1).mean()
    return curves
