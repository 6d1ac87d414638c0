"""What finished runs scored, on their test images and on bootstrap draws of them.

Each table of images is read once, each score drawn once, however many claims ask for it.
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
class Scored:
    """One score of one run."""

    test_set: str
    """Content and ids of its images: equal for runs that were tested on the same."""
    score: float
    drawn: Array
    """[draws]; runs tested on the same images share the draws."""


@dataclass
class _Tested:
    """A run on one test set."""

    test_set: str
    groups: NDArray[Any]
    table: dict[str, Array]
    """Its columns of numbers."""


@dataclass
class Evidence:
    """The scores of a study's runs."""

    records: dict[str, Record]
    """By run id."""
    study: Study
    draws: Draws = field(default_factory=Draws)
    _tested: dict[tuple[str, str], _Tested | None] = field(default_factory=dict)
    _scored: dict[tuple[str, str, str], Scored] = field(default_factory=dict)

    def of(self, cell: Cell, metric: str) -> dict[int, Scored]:
        """The scores of a cell's finished runs, by seed."""
        found = {seed: self._score(r, cell.row.test_set, metric) for seed, r in cell.runs.items()}
        return {seed: score for seed, score in found.items() if score is not None}

    def finished(self, cell: Cell) -> int:
        """How many runs of a cell have finished."""
        there = [self.records[run] for run in cell.runs.values() if run in self.records]
        return sum(record.finished for record in there)

    def _score(self, run: str, test_set: str, metric: str) -> Scored | None:
        tested = self._read(run, test_set)
        if tested is None or not metric_of(metric).fits(tested.table):
            return None
        key = run, test_set, metric
        if key not in self._scored:
            score, once = metric_of(metric).score, np.ones(len(tested.groups))
            drawn = score(tested.table, self.draws.images(tested.test_set, tested.groups))
            self._scored[key] = Scored(tested.test_set, float(score(tested.table, once)), drawn)
        return None if np.isnan(self._scored[key].score) else self._scored[key]

    def _read(self, run: str, test_set: str) -> _Tested | None:
        """None where the run has not finished, or left no table of that test set."""
        if (run, test_set) not in self._tested:
            self._tested[run, test_set] = self._table(run, test_set)
        return self._tested[run, test_set]

    def _table(self, run: str, test_set: str) -> _Tested | None:
        record = self.records.get(run)
        name = f"scores-{test_set}.csv" if test_set else "scores.csv"
        path = self.study.run(run) / name
        if record is None or not record.finished or not path.is_file():
            return None
        ids, groups, numbers = _columns(path)
        images = "\n".join([record.fingerprints()[test_set], *ids])
        return _Tested(images, np.array(groups), numbers)


def _columns(path: Path) -> tuple[list[str], list[str], dict[str, Array]]:
    """Ids, groups and the numbers of a table of images, by id; pandas takes three times as long."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    rows.sort(key=lambda row: row[header.index("id")])
    found = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    ids, groups = found.pop("id"), found.pop("group")
    numbers = {name: [text or "nan" for text in texts] for name, texts in found.items()}
    return ids, groups, {name: np.array(texts, float) for name, texts in numbers.items()}
