"""The picture of a sweep: what came out, and what the strategies did on the way."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from gradprom.reports.sweep_table.tables import Record, build
from gradprom.runs import history
from gradprom.runs.records import Study
from gradprom.storage.files import replacing

CURVES = {
    "psnr": "PSNR of training batches, dB",
    "gate": "share of open gates",
    "ratio": "λ‖g_VR‖/‖g_IP‖",
}
SMOOTHING = 3
"""Rows of the history in a curve's moving mean."""


def draw(records: list[Record], study: Study, path: Path) -> None:
    """A row of pictures for each degradation (degraded, each table row, clean), then curves.

    One run stands for each row of the table: the one of the lowest seed.
    """
    finished = [r for r in records if r["status"] == "finished" and "psnr" in r["metrics"]]
    if not finished:
        return
    table = build(finished)
    rows = [row for row in table.rows if row.decisions]
    by_id = {record["id"]: record for record in finished}
    shown = {
        (column, row.label): min((by_id[i] for i in cell.runs), key=lambda r: r["seed"])
        for row in rows
        for column in table.columns
        if (cell := row.cells.get((column, "psnr"))) is not None
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
        _pictures(line, column, labels, runs, study)
    _curves(figure.add_subfigure(grid[1]).subplots(1, len(CURVES)), shown, study)
    with replacing(path) as stream:
        figure.savefig(stream, dpi=110, format="png")


def _pictures(
    axes: Iterable[Axes], column: str, labels: list[str], runs: dict[str, Any], study: Study
) -> None:
    """degraded | enhanced by each | clean, of the first test image; the scores are means."""
    degraded, *enhanced, clean = axes
    for axis in (degraded, *enhanced, clean):
        axis.axis("off")
    for label, axis in zip(labels, enhanced, strict=True):
        if label not in runs:
            continue
        parts = _panel(study.run(runs[label]["id"]) / "panels")
        if parts is None:
            continue
        score = runs[label]["metrics"]
        _image(axis, parts[1], f"{label}\nmean {score['psnr']:.2f} dB")
        told = f"degraded, {_spaced(column)}\nmean {score['degraded_psnr']:.2f} dB"
        _image(degraded, parts[0], told)
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


def _curves(axes: Iterable[Axes], shown: dict[tuple[str, str], Any], study: Study) -> None:
    """What was logged of coupled training, against its steps; a line style for each degradation."""
    labels = list(dict.fromkeys(label for _, label in shown))
    styles = dict(zip(dict.fromkeys(column for column, _ in shown), "-:", strict=False))
    for (column, label), record in shown.items():
        last = history.read(study.run(record["id"])).last_stage()
        for kind, axis in zip(CURVES, axes, strict=True):
            names = [name for name in last.columns if f"{name}_".startswith(f"{kind}_")]
            if not names:
                continue
            kept = pd.DataFrame({name: last.values(name) for name in names})
            curve = kept.mean(axis=1).rolling(SMOOTHING, min_periods=1).mean()
            color = f"C{labels.index(label)}"
            style, told = styles.get(column, "--"), f"{label}, {_spaced(column)}"
            axis.plot(last.values("step"), curve, style, color=color, lw=1, label=told)
    for (kind, title), axis in zip(CURVES.items(), axes, strict=True):
        axis.set_title(title, fontsize=8)
        axis.set_xlabel("step of coupled training", fontsize=7)
        axis.tick_params(labelsize=7)
        if kind == "ratio":
            axis.set_yscale("log")
        if kind == "psnr":  # the one that every run has
            for text in axis.legend(fontsize=6).get_texts():
                text.set_parse_math(False)
