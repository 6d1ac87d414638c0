"""A sweep of the command line as an experiment: rows are choices, columns degradations.

`-m strategy=gradprom,frozen noise=0.05,0.1 seed=0,1` has two rows, two columns and two seeds. Only
what was swept is a cell. Nothing here imports torch.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gradprom.degradations import labels
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.experiments.short_texts import short_texts
from gradprom.metrics.registry import main_metrics

NAMES = ("strategy", "method")
"""Groups of the configuration; the choice of one of them is part of every row's label."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the sweep's choices for it, and the configuration that it reads."""

    id: str
    seed: int
    degradation: dict[str, Any]
    """Its options, as in a record."""
    choices: dict[str, str]
    """What may distinguish it from other runs, in the order of its label: the file chosen for each
    group, and the value of each other key; an empty text where it has no effect on the run."""
    groups: frozenset[str]
    """Groups of the configuration; in labels their choices stand without the group's name."""
    names: dict[str, str]
    """The choice of one of `NAMES`, by group: it is always part of the row's label."""
    reads: dict[str, Any]
    """The configuration that it reads, by dotted key."""
    scores: tuple[str, ...]
    """Names of the metrics it has."""

    @property
    def row_reads(self) -> dict[str, Any]:
        """The configuration that it reads, but seed and degradation."""
        seed_keys = {"seed"} if self.reads.get("strategy.seed") != self.seed else _SEEDS
        return {
            key: value
            for key, value in self.reads.items()
            if key not in seed_keys and not key.startswith("degradation.")
        }


FEW = 3
"""Most settings that a row's label names, unless more are needed to tell it from the others."""
_SEEDS = {"seed", "strategy.seed"}
"""A strategy with random decisions takes the run's seed unless its own is set."""


@dataclass
class _Points:
    """The runs of one row, by column and seed."""

    reads: dict[str, Any]
    points: dict[tuple[str, int], Point] = field(default_factory=dict)

    def common(self, key: str) -> str | None:
        """The choice that all its runs share; None where there are several, or none."""
        values = {point.choices.get(key) for point in self.points.values()}
        return (values.pop() or None) if len(values) == 1 else None


def experiment_of(points: Sequence[Point], name: str, title: str, caption: str) -> Expansion:
    """The experiment that has the runs of a sweep in its cells.

    Parameters
    ----------
    points
        The runs; several with one id count as one.
    name
        The experiment's name, also of its files and of its anchor on the page.
    title, caption
        Texts above the table.
    """
    titles = _Titles()
    groups = _grouped(points, titles)
    metrics = [metric.name for metric in (*main_metrics(), *main_metrics("training"))]
    rows = [
        Row(label, metrics=_metrics_of(group, metrics), overrides=_row_settings(group))
        for label, group in zip(_labels(groups), groups, strict=True)
    ]
    columns = [Column(text, _column_settings(text, groups)) for text in titles.in_order()]
    cells = [
        cell
        for row, group in zip(rows, groups, strict=True)
        for cell in _cells(row, group, columns)
    ]
    experiment = Experiment(
        name=name,
        title=title,
        caption=caption,
        overrides={},
        seeds=tuple(sorted({point.seed for point in points})),
        metrics=tuple(m for m in metrics if any(m in row.metrics for row in rows)),
        columns=tuple(columns),
        rows=tuple(rows),
    )
    return Expansion(experiment, cells)


class _Titles:
    """Titles of columns, one for each degradation."""

    def __init__(self) -> None:
        self.by_options: dict[str, str] = {}
        self.ranks: dict[str, tuple[Any, ...]] = {}

    def of(self, degradation: dict[str, Any]) -> str:
        """Such as `σ=0.1`; two degradations that differ have different titles."""
        key = json.dumps(degradation, sort_keys=True)
        if key not in self.by_options:
            title = labels.label(degradation)
            self.by_options[key] = title
            self.ranks[title] = (labels.sort_key(degradation), title)
        return self.by_options[key]

    def in_order(self) -> list[str]:
        """Sorted by kind of degradation, then by rising values."""
        return sorted(self.ranks, key=lambda title: self.ranks[title])


def _grouped(points: Sequence[Point], titles: _Titles) -> list[_Points]:
    """The runs of each row: they read the same configuration, but for seed and degradation."""
    groups: dict[str, _Points] = {}
    for point in points:
        reads, position = point.row_reads, (titles.of(point.degradation), point.seed)
        key = json.dumps(reads, sort_keys=True)
        # runs that read the same and have different ids, as of two code versions, are two rows
        while key in groups and groups[key].points.get(position, point).id != point.id:
            key, reads = f"{key}+", {**reads, "run": point.id}
        group = groups.setdefault(key, _Points(reads))
        earlier = group.points.setdefault(position, point)
        if earlier is not point:
            group.points[position] = _merged(earlier, point)
    return list(groups.values())


def _merged(first: Point, second: Point) -> Point:
    """One run that two overrides describe: it has the choices that both have."""
    choices = {key: v for key, v in first.choices.items() if second.choices.get(key) == v}
    return replace(first, choices=choices)


def _labels(groups: list[_Points]) -> list[str]:
    """Labels of rows: varied choices in the sweep's order, then keys where those are equal."""
    points = [point for group in groups for point in group.points.values()]
    keys = dict.fromkeys(key for point in points for key in point.choices)
    varied = [key for key in keys if len({group.common(key) for group in groups} - {None}) > 1]
    short = {key: short_texts(filter(None, (g.common(key) for g in groups))) for key in varied}
    labels = [_label(group, short) for group in groups]
    groups_by_label: dict[str, list[_Points]] = {}
    for label, group in zip(labels, groups, strict=True):
        groups_by_label.setdefault(label, []).append(group)
    settings: dict[int, list[str]] = {}
    for equal in groups_by_label.values():
        settings |= dict(zip(map(id, equal), _settings(equal), strict=True))
    return [
        " ".join([label, *settings[id(group)]]) for label, group in zip(labels, groups, strict=True)
    ]


def _label(group: _Points, short: dict[str, dict[str, str]]) -> str:
    """Choices of groups, the strategy or method among them, then `key=value` of other keys."""
    [first, *_] = group.points.values()
    chosen = {key: short[key][value] for key in short if (value := group.common(key))}
    group_choices = {key: value for key, value in chosen.items() if key in first.groups}
    settings = [f"{key}={value}" for key, value in chosen.items() if key not in first.groups]
    return " ".join([*{**group_choices, **first.names}.values(), *settings])


def _settings(groups: list[_Points]) -> list[list[str]]:
    """For each of these rows, whose labels are equal, the settings that tell them apart."""
    texts = [{key: _in_words(value) for key, value in group.reads.items()} for group in groups]
    keys = _telling(texts)
    short = {key: short_texts(of_row[key] for of_row in texts if key in of_row) for key in keys}
    return [[f"{k}={short[k][of_row[k]]}" for k in keys if k in of_row] for of_row in texts]


def _in_words(value: Any) -> str:
    """A value as text; of components, as those of `evaluate_on`, only the names."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return f"[{','.join(str(component.get('name')) for component in value)}]"
    return str(value)


def _telling(texts: list[dict[str, str]]) -> list[str]:
    """The keys in which rows differ; if they are many, only as many as tell all rows apart."""
    keys = dict.fromkeys(key for of_row in texts for key in of_row)
    differing = [key for key in keys if len({of_row.get(key) for of_row in texts}) > 1]
    if len(differing) <= FEW:
        return differing

    def kinds(chosen: list[str]) -> int:
        return len({tuple(of_row.get(key) for key in chosen) for of_row in texts})

    chosen: list[str] = []
    while kinds(chosen) < kinds(differing):
        chosen.append(max(differing, key=lambda key: kinds([*chosen, key])))
    return [key for key in differing if key in chosen]


def _metrics_of(group: _Points, metrics: list[str]) -> tuple[str, ...]:
    """The scores that its runs have, and what training may log."""
    scores = {score for point in group.points.values() for score in point.scores}
    training = {metric.name for metric in main_metrics("training")}
    return tuple(metric for metric in metrics if metric in scores or metric in training)


def _row_settings(group: _Points) -> dict[str, Any]:
    """The choices that all runs of a row share, and the one that names it."""
    [first, *_] = group.points.values()
    shared = {key: value for key in first.choices if (value := group.common(key)) is not None}
    return {**first.names, **shared}


def _column_settings(title: str, groups: list[_Points]) -> dict[str, Any]:
    """The choices that all runs of a column share, such as the noise level."""
    points = [p for g in groups for (column, _), p in g.points.items() if column == title]
    shared = points[0].choices.items()
    return {k: v for k, v in shared if v and all(p.choices.get(k) == v for p in points)}


def _cells(row: Row, group: _Points, columns: list[Column]) -> list[Cell]:
    cells = []
    for column in columns:
        runs = {seed: p.id for (title, seed), p in group.points.items() if title == column.title}
        if runs:
            cells.append(Cell(row, column, runs=dict(sorted(runs.items()))))
    return cells


# the form in which a plan stores it


def as_plan(expansion: Expansion) -> dict[str, Any]:
    """The experiment and the ids of its runs, as JSON types."""
    experiment = expansion.experiment
    rows = {id(row): number for number, row in enumerate(experiment.rows)}
    columns = {id(column): number for number, column in enumerate(experiment.columns)}
    return {
        **{key: getattr(experiment, key) for key in ("name", "title", "caption")},
        "seeds": list(experiment.seeds),
        "metrics": list(experiment.metrics),
        "columns": [{"title": c.title, "overrides": c.overrides} for c in experiment.columns],
        "rows": [
            {"title": r.title, "overrides": r.overrides, "metrics": list(r.metrics)}
            for r in experiment.rows
        ],
        "cells": [
            [rows[id(cell.row)], columns[id(cell.column)], list(cell.runs.items())]
            for cell in expansion.cells
        ],
    }


def from_plan(content: dict[str, Any]) -> Expansion:
    """The experiment that `as_plan` has written."""
    rows = tuple(
        Row(r["title"], overrides=r["overrides"], metrics=tuple(r["metrics"]))
        for r in content["rows"]
    )
    columns = tuple(Column(c["title"], c["overrides"]) for c in content["columns"])
    experiment = Experiment(
        name=content["name"],
        title=content["title"],
        caption=content["caption"],
        overrides={},
        seeds=tuple(content["seeds"]),
        metrics=tuple(content["metrics"]),
        columns=columns,
        rows=rows,
    )
    cells = [Cell(rows[r], columns[c], runs=dict(runs)) for r, c, runs in content["cells"]]
    return Expansion(experiment, cells)
