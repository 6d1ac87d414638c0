"""What the strategies saw and did in coupled training, from the runs' histories."""

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
    frame,
    key,
    labels,
    name_below,
    save,
    strokes,
)
from gradprom.reports.tables.table import Row, Table
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.records import Study

Array = NDArray[np.float64]
Runs = dict[int, list[Array]]
"""By the number of the table's column: each run's values over coupled training."""

PARTS = 20
"""Parts of coupled training that a curve has at most."""
THIRDS = ("early", "middle", "late")
BINS = 31


@dataclass
class Logged:
    """What a row's runs logged of one task."""

    row: DeclaredRow
    task: str
    gate: Runs
    """Empty where the gates stand open all the time."""
    cosine: Runs


def draw(table: Table, records: dict[str, Record], study: Study, folder: Path) -> Picture | None:
    """Open gates over coupled training, and below how the gradients' cosines are distributed."""
    logged = [one for row in table.rows for one in _logged(table, row, records, study)]
    columns = [n for n in range(len(table.columns)) if any(n in one.cosine for one in logged)]
    if not columns:
        return None
    lines = list(zip(logged, _strokes(logged), strict=True))
    groups = list(dict.fromkeys(one.row.group for one in logged))
    gates = any(one.gate for one in logged)
    legend = {
        name: key(stroke, False) for name, (_, stroke) in zip(_names(logged), lines, strict=True)
    }
    figure, axes = frame(gates + len(groups), len(columns), 1.35, legend, sharey="row")
    if gates:
        _gates(axes[0], lines, columns)
    for group, across in zip(groups, axes[gates:], strict=True):
        mine = [(one, stroke) for one, stroke in lines if one.row.group == group]
        _cosines(across, mine, columns, _edges(logged))
        across[0].set_ylabel(group)
    for number, axis in zip(columns, axes[0], strict=True):
        axis.set_title(table.columns[number].title)
    name_below(axes[-1], "cosine of the main and the auxiliary gradient")
    title = f"{table.experiment.title}: gates and gradients over coupled training"
    return save(figure, folder, f"{table.key}-training", title, _caption(table, gates))


def over_parts(runs: list[Array], parts: int = PARTS) -> tuple[Array, Array, Array]:
    """Place in training (0 to 1), mean and sample standard deviation over runs (0 for one run).

    Each run is first averaged over equal parts of its training: as many as `parts`, or as the
    shortest run has values.
    """
    parts = min(parts, *(len(run) for run in runs))
    means = np.array([[part.mean() for part in np.array_split(run, parts)] for run in runs])
    spread = means.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(parts)
    return (np.arange(parts) + 0.5) / parts, means.mean(axis=0), spread


def _logged(table: Table, row: Row, records: dict[str, Record], study: Study) -> list[Logged]:
    """By task; what was never compared with the main gradient is left out."""
    runs = {number: _finished(row, number) for number in range(len(table.columns))}
    told = [records[run].training for ids in runs.values() for run in ids]
    tasks = dict.fromkeys(k[len("cosine_") :] for t in told for k in t if k.startswith("cosine_"))
    wanted = [f"{kind}_{task}" for task in tasks for kind in ("gate", "cosine")]
    read = {n: [_history(study, run, wanted) for run in ids] for n, ids in runs.items() if wanted}
    found = []
    for task in tasks:
        values: dict[str, Runs] = {"gate": {}, "cosine": {}}
        for kind, number in ((kind, n) for kind in values for n in read):
            if kept := [v for one in read[number] if (v := one[f"{kind}_{task}"]).size]:
                values[kind][number] = kept
        gates = [run for kept in values["gate"].values() for run in kept]
        varies = any((run != 1).any() for run in gates)
        if values["cosine"]:
            found.append(
                Logged(row.declared, task, values["gate"] if varies else {}, values["cosine"])
            )
    return found


def _finished(row: Row, number: int) -> list[str]:
    cells = [cell for (n, _), cell in row.cells.items() if n == number]
    return list(dict.fromkeys(run for cell in cells for run in cell.finished.values()))


def _history(study: Study, run: str, names: list[str]) -> dict[str, Array]:
    """Columns of a run's last stage, without gaps; empty where nothing is kept of them."""
    last = history.read(study.run(run)).last_stage()
    columns = {name: last.values(name) for name in names}
    return {name: values[~np.isnan(values)] for name, values in columns.items()}


def _strokes(logged: list[Logged]) -> list[Stroke]:
    return strokes([one.row for one in logged])


def _names(logged: list[Logged]) -> list[str]:
    """Of each line; the task is named where a row has several."""
    rows = [one.row for one in logged]
    distinct = [row for n, row in enumerate(rows) if row not in rows[:n]]
    names = labels(distinct)
    return [
        names[distinct.index(row)] + (f", {one.task}" if rows.count(row) > 1 else "")
        for row, one in zip(rows, logged, strict=True)
    ]


def _gates(axes: Any, lines: list[tuple[Logged, Stroke]], columns: list[int]) -> None:
    for number, axis in zip(columns, axes, strict=True):
        for one, stroke in lines:
            if number in one.gate:
                x, mean, std = over_parts(one.gate[number])
                axis.fill_between(x, mean - std, mean + std, color=stroke.color, alpha=0.15, lw=0)
                axis.plot(x, mean, c=stroke.color, ls=stroke.dashes)
        axis.set(xlim=(0, 1), ylim=(0, 1), yticks=(0, 0.5, 1))
        axis.set_xticks((0, 0.5, 1), ("0", "½", "1"))
    name_below(axes, "share of coupled training")
    axes[0].set_ylabel("open gates")


def _edges(logged: list[Logged]) -> Array:
    """Of the histograms' bins, alike in all panels, with nearly every cosine inside."""
    every = np.concatenate([v for one in logged for runs in one.cosine.values() for v in runs])
    edge = max(float(np.quantile(np.abs(every), 0.995)), 1e-6)
    return np.linspace(-edge, edge, BINS + 1)


def _cosines(
    axes: Any, lines: list[tuple[Logged, Stroke]], columns: list[int], edges: Array
) -> None:
    """For each column three histograms on base lines of their own, the earliest on top."""
    for number, axis in zip(columns, axes, strict=True):
        shares = [(_thirds(o.cosine[number], edges), s) for o, s in lines if number in o.cosine]
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
        # an artist, and no `stairs`, which works out limits that are known
        axis.add_artist(StepPatch(heights, edges, baseline=base, **style))


def _caption(table: Table, gates: bool) -> str:
    told = [
        "How far the gradients of the main and of the auxiliary loss agree over θ, in each third "
        "of coupled training: all seeds together, each value the mean over the steps of one row "
        "of the history."
    ]
    if gates:
        told.insert(
            0,
            "Top: how often the auxiliary gradient joins, means over seeds with bands of ± one "
            "standard deviation; strategies whose gates are always open are left out.",
        )
    return " ".join(told)
