"""Two runs side by side: how their configurations differ, and their scores image by image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradprom.errors import RunError
from gradprom.metrics.registry import Metric, Table, main_metrics
from gradprom.reports.statistics.bootstrap import DRAWS, interval, resample
from gradprom.runs.record import Record
from gradprom.runs.record_config import flatten
from gradprom.runs.records import Study
from gradprom.runs.restore import require_finished


@dataclass
class Difference:
    """One score of two runs on the same images."""

    metric: str
    first: float
    second: float
    low: float
    high: float
    """The 95 % bootstrap interval of second − first."""


@dataclass
class Comparison:
    """What tells two runs apart."""

    ids: tuple[str, str]
    keys: dict[str, tuple[Any, Any]]
    """Both values of each key that differs; None where a run does not have it."""
    images: int
    groups: int
    differences: list[Difference]

    def text(self) -> str:
        """For a terminal; differences are second − first."""
        first, second = self.ids
        lines = [f"{'configuration':<28}{first:<20}{second}"]
        for key, values in self.keys.items():
            told = ["–" if value is None else str(value) for value in values]
            lines.append(f"  {key:<26}{told[0]:<20}{told[1]}")
        if not self.keys:
            lines.append("  no difference")
        groups = f" of {self.groups} groups" if self.groups < self.images else ""
        lines.append(
            f"scores on {self.images} test images{groups}, 95 % interval of the difference"
        )
        lines += [
            f"  {d.metric:<26}{d.first:<20.4f}{d.second:<20.4f}"
            f"{d.second - d.first:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"
            for d in self.differences
        ]
        return "\n".join(lines)


def compare(study: Study, first: str, second: str) -> Comparison:
    """Compare two finished runs, given by the beginnings of their ids.

    Raises
    ------
    RunError
        If a run has not finished, if they were tested on different images, or if they share no
        score.
    """
    records = study.resolve(first), study.resolve(second)
    _require_same_test(*records)
    tables = [_scores(study, record.id) for record in records]
    common = tables[0].index.intersection(tables[1].index)
    one, other = (
        {str(name): values.to_numpy() for name, values in table.loc[common].items()}
        for table in tables
    )
    groups = tables[0].loc[common, "group"].to_numpy()
    shared = [metric for metric in main_metrics() if metric.fits(one) and metric.fits(other)]
    if not shared:
        raise RunError(f"runs {records[0].id} and {records[1].id} have no score in common")
    differences = paired(shared, one, other, groups)
    return Comparison(
        ids=(records[0].id, records[1].id),
        keys=_differing(records[0].config, records[1].config),
        images=len(common),
        groups=len(set(groups)),
        differences=differences,
    )


def paired(
    metrics: list[Metric], first: Table, second: Table, groups: NDArray[Any], seed: int = 0
) -> list[Difference]:
    """Scores of two runs on the same images, with intervals for second − first.

    The interval holds 95 % of `DRAWS` bootstrap differences: groups (patients) are drawn with
    replacement, then as many images as they have within each. Both runs get the same draws.
    """
    rng = np.random.default_rng(seed)
    weights, everything = resample(groups, DRAWS, rng), np.ones(len(groups))
    found = []
    for metric in metrics:
        low, high = interval(metric.score(second, weights) - metric.score(first, weights))
        one, other = (float(metric.score(table, everything)) for table in (first, second))
        found.append(Difference(metric.name, one, other, low, high))
    return found


def _scores(study: Study, run_id: str) -> pd.DataFrame:
    path = study.run(run_id) / "scores.csv"
    try:
        return pd.read_csv(path, dtype={"id": str, "group": str}).set_index("id")
    except FileNotFoundError:
        raise RunError(f"run {run_id} has no scores: there is no {path}") from None


def _require_same_test(first: Record, second: Record) -> None:
    for record in (first, second):
        require_finished(record)
    aspects: dict[str, Callable[[Record], Any]] = {
        "dataset content or split": lambda r: r.dataset.fingerprint,
        "degradation": lambda r: r.setting("degradation"),
        "evaluation seed": lambda r: r.setting("evaluation.seed"),
    }
    differing = [name for name, aspect in aspects.items() if aspect(first) != aspect(second)]
    if differing:
        raise RunError(
            f"runs {first.id} and {second.id} were not tested on the same images: "
            f"they differ in {' and '.join(differing)}"
        )


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys with different values; `facts` follow from the dataset, places do not matter."""
    one, other = flatten(first), flatten(second)
    places = ("results", "dataset.root")
    keys = [k for k in {**one, **other} if not k.startswith("facts.") and k not in places]
    return {k: (one.get(k), other.get(k)) for k in keys if one.get(k) != other.get(k)}
