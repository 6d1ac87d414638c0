"""A paper's numbers, from its `published.csv`, for the cells of a declared table."""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.experiments import papers
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.metrics.registry import METRICS
from gradprom.metrics.registry import metric as metric_of


@dataclass(frozen=True)
class Published:
    """One number as the paper prints it."""

    mean: float
    std: float | None
    """The number after ±; None where the paper gives none."""


def published(experiment: Experiment, row: Row, column: Column, metric: str) -> Published | None:
    """Look up the paper's number for a cell; None where it prints none.

    Raises
    ------
    ConfigError
        If several published numbers fit the cell, with the file and line of its row; or if the
        paper's `published.csv` is missing or lacks a column.
    """
    if experiment.published is None or experiment.paper is None:
        return None
    keys = {experiment.paper.keys[0]: row.title, **column.published, **row.published}
    lines = _lines(experiment.paper, str(experiment.published), metric_of(metric).title)
    fitting = [line for line in lines if all(line[key] == value for key, value in keys.items())]
    if len(fitting) > 1:
        raise ConfigError(
            f"{row.place}: {row.label}, {column.title}: {len(fitting)} published numbers "
            f"fit; name more of their columns under published"
        )
    if not fitting:
        return None
    std = fitting[0].get("std")
    return Published(float(fitting[0]["mean"]), float(std) if std else None)


@functools.cache
def _lines(paper: papers.Paper, table: str, metric: str) -> list[dict[str, str]]:
    """The lines of `published.csv` for one table and metric."""
    path = paper.folder / "published.csv"
    if not path.is_file():
        raise ConfigError(f"{path} is missing, though a table of {paper.folder.name} needs it")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    for key in ("table", "metric", "mean", *paper.keys):
        if key not in (reader.fieldnames or ()):
            raise ConfigError(f"{paper.folder.name}/{path.name}:1: the column {key} is missing")
    return [line for line in lines if (line["table"], line["metric"]) == (table, metric)]


def degraded_inputs() -> dict[tuple[str, str, str], float]:
    """Scores of the degraded inputs of the papers' datasets, measured once with this code.

    By experiment, column title and metric. A published number worse than this is worse than no
    enhancement at all.
    """
    return _measured(tuple(folder / "degraded_inputs.csv" for folder in papers.paper_folders()))


@functools.cache
def _measured(paths: tuple[Path, ...]) -> dict[tuple[str, str, str], float]:
    lines = []
    for path in filter(Path.is_file, paths):
        with path.open(newline="", encoding="utf-8") as file:
            lines += list(csv.DictReader(file))
    return {
        (line["experiment"], line["column"], name): float(value)
        for line in lines
        for name, value in line.items()
        if name in METRICS
    }
