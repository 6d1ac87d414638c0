"""Two runs side by side: how their configurations differ, and their scores image by image."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradprom.errors import RunError
from gradprom.metrics.pooling import Mean, column
from gradprom.metrics.registry import NO_NUMBER, Metric, Table, main_metrics, with_baselines
from gradprom.reports import code_differences
from gradprom.reports.statistics.bootstrap import DRAWS, interval, resample
from gradprom.reports.statistics.pairing import comparable
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
    left_out: int
    """Number of images that have no finite value in one of the runs, and count in neither."""

    def text(self) -> str:
        """A line for a terminal; a number that is not finite is shown as `–`."""

        def number(value: float, sign: str = "") -> str:
            return f"{value:{sign}.4f}" if math.isfinite(value) else NO_NUMBER

        difference = number(self.second - self.first, "+")
        interval_text = f"[{number(self.low, '+')}, {number(self.high, '+')}]"
        scores = f"{number(self.first):<20}{number(self.second):<20}"
        note = f"  {self.left_out} images left out: not finite" if self.left_out else ""
        return f"  {self.metric:<26}{scores}{difference} {interval_text}{note}"


@dataclass
class Comparison:
    """The differences between two runs."""

    ids: tuple[str, str]
    keys: dict[str, tuple[Any, Any]]
    """Both values of each key that differs; None where a run does not have it."""
    images: int
    """Number of test images that both runs scored."""
    groups: int
    """Number of groups (patients) of these images."""
    differences: list[Difference]
    code: str = ""
    """What is known of the code of both, as lines for a terminal."""

    def text(self) -> str:
        """Text for a terminal; differences are second − first."""
        first, second = self.ids
        lines = [f"{'configuration':<28}{first:<20}{second}"]
        for key, values in self.keys.items():
            texts = ["–" if value is None else str(value) for value in values]
            lines.append(f"  {key:<26}{texts[0]:<20}{texts[1]}")
        if not self.keys:
            lines.append("  no difference")
        lines.append(self.code)
        groups = f" of {self.groups} groups" if self.groups < self.images else ""
        lines.append(
            f"scores on {self.images} test images{groups}, 95 % interval of the difference"
        )
        lines += [difference.text() for difference in self.differences]
        return "\n".join(lines)


def compare(study: Study, first: str, second: str) -> Comparison:
    """Compare two finished runs.

    Parameters
    ----------
    study
        The study that holds both runs.
    first, second
        Their ids, or unique beginnings of them.

    Raises
    ------
    RunError
        If a run has not finished, if they were tested on different images, or if they share no
        score.
    """
    records = study.resolve(first), study.resolve(second)
    _require_same_test(*records)
    tables = [image_scores(study, record.id) for record in records]
    common = tables[0].index.intersection(tables[1].index)
    columns = [
        {str(name): values.to_numpy() for name, values in table.loc[common].items()}
        for table in tables
    ]
    groups = tables[0].loc[common, "group"].to_numpy()
    known = with_baselines(main_metrics())
    shared = [metric for metric in known if all(map(metric.fits, columns))]
    if not shared:
        raise RunError(f"runs {records[0].id} and {records[1].id} have no score in common")
    differences = paired_differences(shared, columns[0], columns[1], groups)
    return Comparison(
        ids=(records[0].id, records[1].id),
        keys=_differing(records[0].config, records[1].config),
        images=len(common),
        groups=len(set(groups)),
        differences=differences,
        code=code_differences.text(study, *records),
    )


def paired_differences(
    metrics: list[Metric], first: Table, second: Table, groups: NDArray[Any], seed: int = 0
) -> list[Difference]:
    """Scores of two runs on the same images, with intervals for second − first.

    The interval holds 95 % of `DRAWS` bootstrap differences: groups (patients) are drawn with
    replacement, then from each drawn group as many images as it has. Both runs get the same draws.

    Parameters
    ----------
    metrics
        Those to compare; both tables must have their columns.
    first, second
        Columns by name, [images] each, in the same order of images.
    groups
        [images], the group of each image.
    seed
        Of the bootstrap draws.
    """
    rng = np.random.default_rng(seed)
    weights, once = resample(groups, DRAWS, rng), np.ones(len(groups))
    differences = []
    for metric in metrics:
        one, other = comparable(metric, [first, second])
        low, high = interval(metric.score(other, weights) - metric.score(one, weights))
        scores = [float(metric.score(table, once)) for table in (one, other)]
        left_out = 0
        if isinstance(metric.score, Mean):
            left_out = int(np.isnan(column(one, metric.score.column)).sum())
        differences.append(Difference(metric.name, scores[0], scores[1], low, high, left_out))
    return differences


def image_scores(study: Study, run_id: str) -> pd.DataFrame:
    """A run's table of test images, by their ids; RunError where there is none."""
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
    """Keys with different values; without `facts`, which follow from the dataset, and folders."""
    a, b = flatten(first), flatten(second)
    folders = ("results", "dataset.root")
    keys = [k for k in {**a, **b} if not k.startswith("facts.") and k not in folders]
    return {k: (a.get(k), b.get(k)) for k in keys if a.get(k) != b.get(k)}
