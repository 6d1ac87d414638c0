"""Scores of finished runs, on their test images and on bootstrap draws of them.

Each table of images is read once and each score resampled once, however many cells, claims and
figures use it.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.metrics.pooling import Mean
from gradprom.metrics.registry import Table
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.bootstrap import Array, Draws
from gradprom.reports.statistics.pairing import comparable
from gradprom.runs.record import Record
from gradprom.runs.records import Study


@dataclass(frozen=True)
class RunScore:
    """The score of one run in one metric."""

    run: str
    """The run's id."""
    test_set: str
    """One of `evaluate_on`; empty: the test split."""
    metric: str
    """Name in the metric registry."""
    images: str
    """Content and ids of the test images: equal for runs tested on the same images."""
    score: float
    """On the test images as they are."""
    resampled: Array
    """[draws], the score on each bootstrap draw; runs tested on the same images share the draws."""


@dataclass
class _ImageTable:
    """What a run measured of each image of one test set, ordered by image id."""

    images: str
    """Content and ids of the images."""
    groups: NDArray[Any]
    """[images], the group (such as the patient) of each image."""
    columns: dict[str, Array]
    """[images] each: the columns of numbers by name."""


@dataclass
class StudyScores:
    """The scores of a study's runs."""

    records: dict[str, Record]
    """By run id."""
    study: Study
    """The study whose folders hold the runs' tables of images."""
    draws: Draws = field(default_factory=Draws)
    _tables: dict[tuple[str, str], _ImageTable | None] = field(default_factory=dict)
    _scores: dict[tuple[str, str, str], RunScore] = field(default_factory=dict)

    def by_seed(self, runs: dict[int, str], test_set: str, metric: str) -> dict[int, RunScore]:
        """The scores of the finished ones among some runs, by seed.

        Parameters
        ----------
        runs
            Ids by seed.
        test_set
            One of `evaluate_on`; empty: the test split.
        metric
            Name in the metric registry.
        """
        scores = {seed: self._score(run, test_set, metric) for seed, run in runs.items()}
        return {seed: score for seed, score in scores.items() if score is not None}

    def paired(self, scores: Sequence[RunScore]) -> list[RunScore]:
        """The same scores of one metric, over the images that are finite in all runs of their set.

        A score is NaN where no such image is left.
        """
        by_images: dict[str, list[int]] = {}
        for place, score in enumerate(scores):
            by_images.setdefault(score.images, []).append(place)
        paired = list(scores)
        for places in by_images.values():
            for place, score in zip(
                places, self._on_common_images([scores[n] for n in places]), strict=True
            ):
                paired[place] = score
        return paired

    def _on_common_images(self, scores: list[RunScore]) -> list[RunScore]:
        metric = metric_of(scores[0].metric)
        tables = [self._table(score.run, score.test_set) for score in scores]
        columns = [table.columns for table in tables if table is not None]
        if not isinstance(metric.score, Mean) or _all_equal(
            [np.isfinite(table[metric.score.column]) for table in columns]
        ):
            return scores
        common = comparable(metric, columns)
        return [
            replace(score, **self._measured(score.run, score.test_set, score.metric, table))
            for score, table in zip(scores, common, strict=True)
        ]

    def _score(self, run: str, test_set: str, metric: str) -> RunScore | None:
        """None where the run has no table of that test set, or no finite score in its table."""
        table = self._table(run, test_set)
        if table is None or not metric_of(metric).fits(table.columns):
            return None
        key = run, test_set, metric
        if key not in self._scores:
            measured = self._measured(*key, table.columns)
            self._scores[key] = RunScore(*key, table.images, **measured)
        return self._scores[key] if np.isfinite(self._scores[key].score) else None

    def _measured(self, run: str, test_set: str, metric: str, columns: Table) -> dict[str, Any]:
        """`score` and `resampled` of a table of images."""
        table, score = self._table(run, test_set), metric_of(metric).score
        assert table is not None
        weights = self.draws.images(table.images, table.groups)
        return {
            "score": float(score(columns, np.ones(len(table.groups)))),
            "resampled": score(columns, weights),
        }

    def _table(self, run: str, test_set: str) -> _ImageTable | None:
        """None where the run has not finished, or left no table of that test set."""
        if (run, test_set) not in self._tables:
            self._tables[run, test_set] = self._read_table(run, test_set)
        return self._tables[run, test_set]

    def _read_table(self, run: str, test_set: str) -> _ImageTable | None:
        record = self.records.get(run)
        name = f"scores-{test_set}.csv" if test_set else "scores.csv"
        path = self.study.run(run) / name
        if record is None or not record.finished or not path.is_file():
            return None
        ids, groups, numbers = _columns(path)
        images = "\n".join([record.fingerprints()[test_set], *ids])
        return _ImageTable(images, np.array(groups), numbers)


def _all_equal(arrays: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(arrays[0], other) for other in arrays[1:])


def _columns(path: Path) -> tuple[list[str], list[str], dict[str, Array]]:
    """Ids, groups and the columns of numbers of a table of images, ordered by image id.

    Read with the csv module, because pandas takes three times as long.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows.sort(key=lambda row: row[header.index("id")])
    columns = {name: [row[index] for row in rows] for index, name in enumerate(header)}
    ids, groups = columns.pop("id"), columns.pop("group")
    numbers = {name: [_TRUTH.get(text, text) for text in texts] for name, texts in columns.items()}
    return ids, groups, {name: np.array(texts, float) for name, texts in numbers.items()}


_TRUTH = {"": "nan", "False": "0", "True": "1"}
"""Texts that are no numbers, with the number that they stand for."""
