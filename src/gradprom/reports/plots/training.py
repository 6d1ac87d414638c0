"""Gates and gradient cosines of the strategies in coupled training, from the runs' histories."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.reports.plots.style import (
    Picture,
    Stroke,
    label_below,
    legend_line,
    panels,
    save,
    short_labels,
    strokes,
)
from gradprom.reports.tables.table import Row, Table
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.records import Study

Array = NDArray[np.float64]
Runs = dict[int, list[Array]]
"""By column number of the table: the values of each run over coupled training."""

PARTS = 20
"""Maximum number of points of a curve: equal parts of coupled training."""
THIRDS = ("early", "middle", "late")
BINS = 31
"""Bins of a histogram."""


@dataclass
class TaskLog:
    """What the runs of a row logged for one task."""

    row: DeclaredRow
    task: str
    gate: Runs
    """Share of open gates, 0 to 1; empty where all gates are always open."""
    cosine: Runs
    """Cosine of the main and the auxiliary gradient, −1 to 1."""


def draw(table: Table, records: dict[str, Record], study: Study, folder: Path) -> Picture | None:
    """Draw the open gates over coupled training, and below the distributions of the cosines.

    Returns
    -------
    Picture | None
        None where no run of the table logged a cosine.
    """
    logs = [log for row in _trained(table) for log in _task_logs(table, row, records, study)]
    columns = [n for n in range(len(table.columns)) if any(n in log.cosine for log in logs)]
    if not columns:
        return None
    lines = list(zip(logs, strokes([log.row for log in logs]), strict=True))
    groups = list(dict.fromkeys(log.row.group for log in logs))
    gates = any(log.gate for log in logs)
    legend = {
        name: legend_line(stroke, False)
        for name, (_, stroke) in zip(_names(logs), lines, strict=True)
    }
    figure, axes = panels(gates + len(groups), len(columns), 1.35, legend, sharey="row")
    if gates:
        _gates(axes[0], lines, columns)
    for group, row_axes in zip(groups, axes[gates:], strict=True):
        in_group = [(log, stroke) for log, stroke in lines if log.row.group == group]
        _cosines(row_axes, in_group, columns, _edges(logs))
        row_axes[0].set_ylabel(group)
    for number, axis in zip(columns, axes[0], strict=True):
        axis.set_title(table.columns[number].title)
    label_below(axes[-1], "cosine of the main and the auxiliary gradient")
    title = f"{table.experiment.title}: gates and gradients over coupled training"
    return save(figure, folder, f"{table.key}-training", title, _caption(table, gates))


def mean_over_parts(runs: list[Array], parts: int = PARTS) -> tuple[Array, Array, Array]:
    """Average runs over equal parts of training.

    Parameters
    ----------
    runs
        The values of each run, in the order of training; lengths may differ.
    parts
        Number of parts, unless the shortest run has fewer values.

    Returns
    -------
    tuple[Array, Array, Array]
        [parts] each: place in training (0 to 1), mean and sample standard deviation over runs (0
        for a single run).
    """
    parts = min(parts, *(len(run) for run in runs))
    means = np.array([[part.mean() for part in np.array_split(run, parts)] for run in runs])
    spread = means.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(parts)
    return (np.arange(parts) + 0.5) / parts, means.mean(axis=0), spread


def _trained(table: Table) -> list[Row]:
    """The rows without those that show the same runs as an earlier one, on another test set."""
    numbers = range(len(table.columns))
    runs = [[row.finished_runs(number) for number in numbers] for row in table.rows]
    return [row for i, row in enumerate(table.rows) if runs[i] not in runs[:i]]


def _task_logs(table: Table, row: Row, records: dict[str, Record], study: Study) -> list[TaskLog]:
    """What a row logged, by task; tasks without a logged cosine are left out."""
    run_ids = {number: row.finished_runs(number) for number in range(len(table.columns))}
    logged_keys = [key for ids in run_ids.values() for run in ids for key in records[run].training]
    prefix = "cosine_"
    tasks = dict.fromkeys(key[len(prefix) :] for key in logged_keys if key.startswith(prefix))
    if not tasks:
        return []
    names = [f"{kind}_{task}" for task in tasks for kind in ("gate", "cosine")]
    histories = {
        number: [_history(study, run, names) for run in ids] for number, ids in run_ids.items()
    }
    logs = []
    for task in tasks:
        gate, cosine = (_logged_values(histories, f"{kind}_{task}") for kind in ("gate", "cosine"))
        always_open = all((run == 1).all() for runs in gate.values() for run in runs)
        if cosine:
            logs.append(TaskLog(row.declared, task, {} if always_open else gate, cosine))
    return logs


def _logged_values(histories: dict[int, list[dict[str, Array]]], name: str) -> Runs:
    """One column of the histories, without the runs that did not log it."""
    values = {n: [run[name] for run in runs if run[name].size] for n, runs in histories.items()}
    return {number: runs for number, runs in values.items() if runs}


def _history(study: Study, run: str, names: list[str]) -> dict[str, Array]:
    """Columns of a run's last stage, without gaps; empty where it did not log them."""
    last = history.read(study.run(run)).last_stage()
    columns = {name: last.values(name) for name in names}
    return {name: values[~np.isnan(values)] for name, values in columns.items()}


def _names(logs: list[TaskLog]) -> list[str]:
    """The label of each line; it names the task where a row has several."""
    rows = [log.row for log in logs]
    distinct = [row for n, row in enumerate(rows) if row not in rows[:n]]
    names = short_labels(distinct)
    return [
        names[distinct.index(row)] + (f", {log.task}" if rows.count(row) > 1 else "")
        for row, log in zip(rows, logs, strict=True)
    ]


def _gates(axes: Any, lines: list[tuple[TaskLog, Stroke]], columns: list[int]) -> None:
    for number, axis in zip(columns, axes, strict=True):
        for log, stroke in lines:
            if number in log.gate:
                x, mean, std = mean_over_parts(log.gate[number])
                axis.fill_between(x, mean - std, mean + std, color=stroke.color, alpha=0.15, lw=0)
                axis.plot(x, mean, c=stroke.color, ls=stroke.dashes)
        axis.set(xlim=(0, 1), ylim=(0, 1), yticks=(0, 0.5, 1))
        axis.set_xticks((0, 0.5, 1), ("0", "½", "1"))
    label_below(axes, "share of coupled training")
    axes[0].set_ylabel("open gates")


def _edges(logs: list[TaskLog]) -> Array:
    """The edges of the histograms' bins, equal in all panels, with 99.5 % of cosines inside."""
    cosines = np.concatenate([run for log in logs for runs in log.cosine.values() for run in runs])
    edge = max(float(np.quantile(np.abs(cosines), 0.995)), 1e-6)
    return np.linspace(-edge, edge, BINS + 1)


def _cosines(
    axes: Any, lines: list[tuple[TaskLog, Stroke]], columns: list[int], edges: Array
) -> None:
    """Draw three histograms in each column, each on its own base line, the earliest on top."""
    for number, axis in zip(columns, axes, strict=True):
        shares = [
            (_thirds(log.cosine[number], edges), stroke)
            for log, stroke in lines
            if number in log.cosine
        ]
        top = max((part.max() for parts, _ in shares for part in parts), default=1.0) / 0.85
        for parts, stroke in shares:
            for base, part in zip((2, 1, 0), parts, strict=True):
                _ridge(axis, base, base + part / top, edges, stroke)
        axis.axvline(0, color="black", lw=0.6)
        axis.set_yticks((2, 1, 0), THIRDS)
        axis.set(xlim=(edges[0], edges[-1]), ylim=(0, 3))
        axis.grid(False)
        axis.xaxis.set_major_locator(MaxNLocator(2))


def _thirds(runs: list[Array], edges: Array) -> list[Array]:
    """The share of values in each bin, for each third of training; outliers in the outer bins."""
    parts = [np.concatenate(p) for p in zip(*(np.array_split(r, 3) for r in runs), strict=True)]
    inside = [part.clip(edges[0], edges[-1]) for part in parts]
    return [np.histogram(part, edges)[0] / max(part.size, 1) for part in inside]


def _ridge(axis: Axes, base: int, heights: Array, edges: Array, stroke: Stroke) -> None:
    area = {"fc": stroke.color, "lw": 0, "alpha": 0.12}
    outline = {"fill": False, "ec": stroke.color, "ls": stroke.dashes, "lw": 0.9}
    for style in (area, outline):
        # added as an artist: `stairs` would also compute axis limits, which are fixed here
        axis.add_artist(StepPatch(heights, edges, baseline=base, **style))


def _caption(table: Table, gates: bool) -> str:
    sentences = [
        "How far the gradients of the main and of the auxiliary loss agree over θ, in each third "
        "of coupled training: all seeds together, each value the mean over the steps of one row "
        "of the history."
    ]
    if gates:
        sentences.insert(
            0,
            "Top: how often the auxiliary gradient joins, means over seeds with bands of ± one "
            "standard deviation; strategies whose gates are always open are left out.",
        )
    return " ".join(sentences)
