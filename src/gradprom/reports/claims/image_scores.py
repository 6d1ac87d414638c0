"""Scores of finished runs, on their test images and on bootstrap draws of them.

Each table of images is read once and each score resampled once, however many claims use it.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.experiments.expansion import Cell
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.bootstrap import Array, Draws
from gradprom.runs.record import Record
from gradprom.runs.records import Study


@dataclass
class RunScore:
    """The score of one run in one metric."""

    test_set: str
    """Content and ids of the test images: equal for runs tested on the same images."""
    score: float
    """On the test images as they are."""
    resampled: Array
    """[draws], the score on each bootstrap draw; runs tested on the same images share the draws."""


@dataclass
class _ImageTable:
    """What a run measured of each image of one test set, ordered by image id."""

    test_set: str
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

    def by_seed(self, cell: Cell, metric: str) -> dict[int, RunScore]:
        """The scores of a cell's finished runs, by seed."""
        scores = {
            seed: self._score(run_id, cell.row.test_set, metric)
            for seed, run_id in cell.runs.items()
        }
        return {seed: score for seed, score in scores.items() if score is not None}

    def finished_count(self, cell: Cell) -> int:
        """How many runs of a cell have finished."""
        records = [self.records[run_id] for run_id in cell.runs.values() if run_id in self.records]
        return sum(record.finished for record in records)

    def _score(self, run_id: str, test_set: str, metric: str) -> RunScore | None:
        """None where the run has no table of that test set, or its table lacks the metric."""
        table = self._table(run_id, test_set)
        if table is None or not metric_of(metric).fits(table.columns):
            return None
        key = run_id, test_set, metric
        if key not in self._scores:
            score, once = metric_of(metric).score, np.ones(len(table.groups))
            resampled = score(table.columns, self.draws.images(table.test_set, table.groups))
            value = float(score(table.columns, once))
            self._scores[key] = RunScore(table.test_set, value, resampled)
        return None if np.isnan(self._scores[key].score) else self._scores[key]

    def _table(self, run_id: str, test_set: str) -> _ImageTable | None:
        """None where the run has not finished, or left no table of that test set."""
        if (run_id, test_set) not in self._tables:
            self._tables[run_id, test_set] = self._read_table(run_id, test_set)
        return self._tables[run_id, test_set]

    def _read_table(self, run_id: str, test_set: str) -> _ImageTable | None:
        record = self.records.get(run_id)
        name = f"scores-{test_set}.csv" if test_set else "scores.csv"
        path = self.study.run(run_id) / name
        if record is None or not record.finished or not path.is_file():
            return None
        ids, groups, numbers = _columns(path)
        images = "\n".join([record.fingerprints()[test_set], *ids])
        return _ImageTable(images, np.array(groups), numbers)


def _columns(path: Path) -> tuple[list[str], list[str], dict[str, Array]]:
    """Ids, groups and the columns of numbers of a table of images, ordered by image id.

    Read with the csv module, because pandas takes three times as long.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows.sort(key=lambda row: row[header.index("id")])
    columns = {name: [row[index] for row in rows] for index, name in enumerate(header)}
    ids, groups = columns.pop("id"), columns.pop("group")
    numbers = {name: [text or "nan" for text in texts] for name, texts in columns.items()}
    return ids, groups, {name: np.array(texts, float) for name, texts in numbers.items()}
