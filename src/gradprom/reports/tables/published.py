"""The paper's numbers: `experiments/published.csv`, and where each belongs in a declared table."""

import csv
import functools
from dataclasses import dataclass

from gradprom.errors import ConfigError
from gradprom.experiments.declared import FOLDER, Column, Experiment, Row
from gradprom.metrics.registry import METRICS
from gradprom.metrics.registry import metric as metric_of


@dataclass(frozen=True)
class Published:
    """One number as printed; ± where the paper gives one."""

    mean: float
    std: float | None


@functools.cache
def _lines(table: int, metric: str) -> list[dict[str, str]]:
    with (FOLDER / "published.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    return [x for x in lines if (x["table"], x["metric"]) == (str(table), metric_of(metric).title)]


def published(experiment: Experiment, row: Row, column: Column, metric: str) -> Published | None:
    """The paper's number for a cell, None where it prints none.

    Raises
    ------
    ConfigError
        If what the table declares fits several numbers.
    """
    if experiment.published is None:
        return None
    wanted = {"row": row.title, **column.published, **row.published}
    lines = _lines(experiment.published, metric)
    found = [line for line in lines if all(line[k] == v for k, v in wanted.items())]
    if len(found) > 1:
        raise ConfigError(
            f"{experiment.name}.yaml: {row.label}, {column.title}: {len(found)} published numbers "
            f"fit; name more of their columns under published"
        )
    if not found:
        return None
    std = found[0]["std"]
    return Published(float(found[0]["mean"]), float(std) if std else None)


@functools.cache
def degraded_inputs() -> dict[tuple[str, str, str], float]:
    """What the degraded inputs of the paper's datasets score, measured once with this code.

    By experiment, column title and metric; a published number below it is worse than doing
    nothing.
    """
    path = FOLDER / "degraded_inputs.csv"
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    return {
        (line["experiment"], line["column"], name): float(value)
        for line in lines
        for name, value in line.items()
        if name in METRICS
    }
