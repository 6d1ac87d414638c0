"""The picture of a sweep: images of the first test image, and curves of coupled training."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from gradprom.metrics.registry import DEGRADED, METRICS, Metric, main_metrics
from gradprom.reports.tables.references import tested_images
from gradprom.reports.tables.table import Table
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import replacing

IMAGES = (
    "The first test image, degraded, enhanced by each row and clean, with the mean scores of the "
    "test split."
)
CURVES = "What was logged in coupled training."
ROWS = "Each row is shown by its run of the lowest seed."
WRAPPED = 26
"""Characters after which the name of a row goes on below."""
SMOOTHING = 3
"""Number of history rows in the moving mean of a curve."""


RowRuns = dict[tuple[int, str], Record]
"""The run that is shown for each row in each column, by column number and row title."""
LoggedMeans = dict[tuple[int, str], dict[str, pd.Series]]
"""What the run of each of those logged, by metric."""


def draw(table: Table, records: dict[str, Record], study: Study, path: Path) -> str | None:
    """Draw strips of images (degraded, each table row, clean), then curves.

    Rows that were tested on the same images under the same degradation share a strip. Each row of
    the table is shown by its run of the lowest seed. Of runs that kept no panels there are only
    the curves.

    Parameters
    ----------
    table
        The filled table of the sweep.
    records
        By run id.
    study
        The study with the runs' panels and histories.
    path
        The PNG file.

    Returns
    -------
    str or None
        The caption. None where nothing is drawn: no run has a score of both its images and the
        degraded input, or none has kept panels or logged anything.
    """
    metric = _shown_metric(table)
    if metric is None:
        return None
    runs = {
        (number, row.declared.title): records[cell.finished[min(cell.finished)]]
        for row in table.rows
        if not row.declared.test_set  # the panels are of the run's own test split
        for number in range(len(table.columns))
        if (cell := row.cells.get((number, metric.name))) is not None and cell.finished
    }
    titles = {n: c.title for n, c in enumerate(table.columns) if any(n == m for m, _ in runs)}
    strips = [
        (title, strip)
        for title, strip in _strips(runs, titles)
        if any(_panel_file(study, run) for run in strip.values())
    ]
    curves = {key: _logged_means(study, record.id) for key, record in runs.items()}
    logged = [m for m in METRICS.values() if any(m.name in curve for curve in curves.values())]
    heights = [2.1 * len(strips)] * bool(strips) + [2.6] * bool(logged)
    if not heights:
        return None
    across = 2 + max((len(strip) for _, strip in strips), default=len(logged))
    figure = Figure(figsize=(2.0 * across, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    areas = [figure.add_subfigure(grid[number]) for number in range(len(heights))]
    if strips:
        axes = areas[0].subplots(len(strips), across, squeeze=False)
        for (title, strip), row_axes in zip(strips, axes, strict=True):
            _pictures(row_axes, title, strip, study, metric)
    if logged:
        _curves(areas[-1], logged, curves, titles)
    with replacing(path) as stream:
        figure.savefig(stream, dpi=110, format="png")
    parts = [text for text, is_drawn in ((IMAGES, strips), (CURVES, logged)) if is_drawn]
    return " ".join([*parts, ROWS])


def _strips(runs: RowRuns, titles: dict[int, str]) -> list[tuple[str, dict[str, Record]]]:
    """The title of each strip of images, and the run of each of its rows by the row's title."""
    strips: dict[tuple[int, str], dict[str, Record]] = {}
    for number in titles:
        for (column, label), run in runs.items():
            if column == number:
                strips.setdefault((number, tested_images(run, "")), {})[label] = run
    return [(titles[number], strip) for (number, _), strip in strips.items()]


def _shown_metric(table: Table) -> Metric | None:
    """The first metric that is known of the runs' images and of the degraded input."""
    own = [row for row in table.rows if not row.declared.test_set]
    scored = {m for row in own for (_, m), cell in row.cells.items() if cell.finished}
    degraded = {metric for row in table.degraded for _, metric in row.cells}
    return next((m for m in METRICS.values() if m.name in scored & degraded), None)


def _pictures(
    axes: Iterable[Axes],
    column: str,
    runs: dict[str, Record],
    study: Study,
    metric: Metric,
) -> None:
    """Show degraded | enhanced by each run | clean of the first test image, with mean scores."""
    degraded, *enhanced, clean = axes
    for axis in (degraded, *enhanced, clean):
        axis.axis("off")
    for label, axis in zip(runs, enhanced, strict=False):
        panel = _panel_file(study, runs[label])
        if panel is None:
            continue
        parts = np.split(np.asarray(Image.open(panel)), 4, axis=1)
        scores = runs[label].metrics
        name = textwrap.fill(label, WRAPPED, break_on_hyphens=False)
        _image(axis, parts[1], f"{name}\nmean {metric.text(scores[metric.name])}")
        degraded_score = metric.text(scores[DEGRADED + metric.name])
        _image(degraded, parts[0], f"degraded, {_spaced(column)}\nmean {degraded_score}")
        _image(clean, parts[2], "clean\n")


def _spaced(column: str) -> str:
    """Such as `σ = 0.1`."""
    return column.replace("=", " = ")


def _panel_file(study: Study, run: Record) -> Path | None:
    """A run's first panel: degraded, enhanced, clean, error side by side; None if it has none."""
    return min((study.run(run.id) / "panels").glob("*.png"), default=None)


def _image(axis: Axes, pixels: np.ndarray, title: str) -> None:
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_title(title, fontsize=8, parse_math=False)  # a name may hold a dollar sign


def _curves(
    figure: SubFigure, metrics: list[Metric], curves: LoggedMeans, titles: dict[int, str]
) -> None:
    """Draw what coupled training logged over its steps, with a line style for each degradation."""
    labels = list(dict.fromkeys(label for _, label in curves))
    styles = dict(zip(titles, "-:", strict=False))
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for metric, axis in zip(metrics, axes, strict=True):
        for (number, label), logged in curves.items():
            if metric.name in logged:
                line: dict[str, Any] = {"color": f"C{labels.index(label)}", "lw": 1}
                name = f"{label}, {_spaced(titles[number])}"
                line |= {"ls": styles.get(number, "--"), "label": name}
                line["marker"] = "." if len(logged[metric.name]) == 1 else ""
                axis.plot(logged[metric.name], **line)
        axis.set_title(f"{metric.axis}, in training", fontsize=8)
        axis.set_xlabel("step of coupled training", fontsize=7)
        axis.tick_params(labelsize=7)
        if metric.log:
            axis.set_yscale("log")
    for text in axes[0].legend(fontsize=6).get_texts():
        text.set_parse_math(False)


def _logged_means(study: Study, run_id: str) -> dict[str, pd.Series]:
    """Each metric that a run's last stage logged, by step: means over tasks, smoothed."""
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
