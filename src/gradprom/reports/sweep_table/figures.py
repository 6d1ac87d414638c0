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
from gradprom.reports.sweep_table.tables import build
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import replacing

SMOOTHING = 3
"""Rows of the history in a curve's moving mean."""


def draw(records: list[Record], study: Study, path: Path) -> None:
    """A row of pictures for each degradation (degraded, each table row, clean), then curves.

    One run stands for each row of the table: the one of the lowest seed.
    """
    finished = [r for r in records if r.finished]
    metric = _measure(finished)
    if metric is None:
        return
    finished = [r for r in finished if metric.name in r.metrics]
    table = build(finished)
    rows = [row for row in table.rows if row.decisions]
    by_id = {record.id: record for record in finished}
    shown = {
        (column, row.label): min((by_id[i] for i in cell.runs), key=lambda r: r.seed)
        for row in rows
        for column in table.columns
        if (cell := row.cells.get((column, metric.name))) is not None
    }
    labels = [row.label for row in rows]
    figure = Figure(
        figsize=(2.0 * (len(labels) + 2), 2.1 * len(table.columns) + 2.6), layout="constrained"
    )
    grid = figure.add_gridspec(2, 1, height_ratios=[2.1 * len(table.columns), 2.6])
    axes = figure.add_subfigure(grid[0]).subplots(
        len(table.columns), len(labels) + 2, squeeze=False
    )
    for column, line in zip(table.columns, axes, strict=True):
        runs = {label: shown[column, label] for label in labels if (column, label) in shown}
        _pictures(line, column, labels, runs, study, metric)
    _curves(figure.add_subfigure(grid[1]), shown, study)
    with replacing(path) as stream:
        figure.savefig(stream, dpi=110, format="png")


def _measure(records: list[Record]) -> Metric | None:
    """The first metric that runs have of their images and of the degraded input."""
    names = {name for record in records for name in record.metrics}
    both = (m for m in METRICS.values() if {m.name, DEGRADED + m.name} <= names)
    return next(both, None)


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


def _curves(figure: SubFigure, shown: dict[tuple[str, str], Record], study: Study) -> None:
    """What was logged of coupled training, against its steps; a line style for each degradation."""
    labels = list(dict.fromkeys(label for _, label in shown))
    styles = dict(zip(dict.fromkeys(column for column, _ in shown), "-:", strict=False))
    curves = {place: _logged(study, record.id) for place, record in shown.items()}
    metrics = [m for m in METRICS.values() if any(m.name in found for found in curves.values())]
    axes = figure.subplots(1, len(metrics), squeeze=False)[0] if metrics else []
    for metric, axis in zip(metrics, axes, strict=True):
        for (column, label), found in curves.items():
            if metric.name in found:
                line: dict[str, Any] = {"color": f"C{labels.index(label)}", "lw": 1}
                line |= {"ls": styles.get(column, "--"), "label": f"{label}, {_spaced(column)}"}
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
