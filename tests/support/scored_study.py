"""A study of hand-made runs with scores of single images, and the table of its sweep."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support import hand_made

from gradprom.metrics.registry import METRICS
from gradprom.reports import swept, unplanned
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.table import Table
from gradprom.runs.records import Study

Images = dict[str, Any]
"""Columns of a table of images by name, [images] each."""


class Scored:
    """Runs by strategy, σ and seed."""

    def __init__(self, folder: Path, groups: list[str] | None = None):
        self.study = Study(folder, "made")
        self.groups = groups
        self.runs: dict[str, Any] = {}

    def add(
        self, strategy: str, images: Images, sigma: float = 0.1, seed: int = 0, **changes: Any
    ) -> str:
        """Write a run; the scores of its record are those of its images."""
        count = len(next(iter(images.values())))
        columns = {name: np.asarray(values) for name, values in images.items()}
        fitting = [m for m in METRICS.values() if m.fits(columns)]
        metrics = {m.name: float(m.score(columns, np.ones(count))) for m in fitting}
        # no degraded scores: their rows would only be in the way
        changes |= {"config__seed": seed, "config__degradation__sigma": sigma, "metrics": metrics}
        record = hand_made.strategy(strategy, 0.0, **changes)
        folder = self.study.run(record.id)
        folder.mkdir(parents=True)
        groups = self.groups or [f"patient-{n}" for n in range(count)]
        ids = {"id": [f"image-{n:03d}" for n in range(count)], "group": groups}
        pd.DataFrame({**ids, **images}).to_csv(folder / "scores.csv", index=False)
        self.runs[record.id] = record
        return record.id

    def scores(self) -> StudyScores:
        return StudyScores(self.runs, self.study)

    def table(self, scores: StudyScores | None = None) -> Table:
        expansion = unplanned.expansion([*self.runs.values()])
        return swept.table_of(expansion, self.runs, scores or self.scores())


def best(table: Table, metric: str = "psnr", column: int = 0) -> set[str]:
    """Titles of the rows that are bold in a column."""
    cells = {row.declared.title: row.cells.get((column, metric)) for row in table.rows}
    return {title for title, cell in cells.items() if cell is not None and cell.best}
