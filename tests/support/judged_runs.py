"""A study of made-up runs whose effects are known, for the verdicts on claims."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support import records_factory

from gradprom.experiments.declared import read
from gradprom.experiments.expansion import Cell, Expansion, Identity, expand
from gradprom.experiments.narrowing import narrow
from gradprom.experiments.overrides import OverrideList
from gradprom.identity import digest
from gradprom.reports.claims import verdicts
from gradprom.reports.claims.verdicts import Claim, JudgedClaim
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.runs.record import DatasetInfo, FurtherTestSet, Record
from gradprom.runs.records import Study

IMAGES = 40
GROUPS = [f"lesion-{i // 2}" for i in range(IMAGES)]
EASY = np.random.default_rng(0).normal(25, 3, IMAGES)
"""What any run scores on each image, but for a shift of its own."""

DECIDED = records_factory.record(training={"gate_diagnosis": 0.5})
"""A record whose share of open gates controls take."""
Shift = Callable[[Cell, int], float]
"""From a cell and a seed to the decibels its run is better by."""


class Made:
    """A study of made-up runs."""

    def __init__(self, folder: Path, *names: str, **given: list[str]):
        self.study = Study(folder, "made")
        self.records: dict[str, Record] = {}
        self.expansions: dict[str, Expansion] = {}
        for name in names:
            [experiment] = read(name)
            self.expansions[name] = expand(narrow(experiment, given), identify, lambda run: DECIDED)

    def fill(self, shift: Shift, data: str = "isic") -> "Made":
        """Write the scores of every run."""
        for expansion in self.expansions.values():
            for cell in expansion.cells:
                for seed, run in cell.runs.items():
                    self.write(cell, seed, scores(shift(cell, seed), run), data)
        return self

    def write(self, cell: Cell, seed: int, table: pd.DataFrame, data: str = "isic") -> None:
        run, test_set = cell.runs[seed], cell.row.test_set
        others = {test_set: FurtherTestSet(fingerprint=test_set)} if test_set else {}
        record = records_factory.record(
            run, dataset=DatasetInfo(fingerprint=data), evaluate_on=others
        )
        self.records.setdefault(run, record)
        folder = self.study.run(run)
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / (f"scores-{test_set}.csv" if test_set else "scores.csv"), index=False)

    def change(self, run: str, **changes: Any) -> None:
        self.records[run] = replace(self.records[run], **changes)

    def cell(self, label: str, column: str, name: str = "table1") -> Cell:
        cells = self.expansions[name].cells
        [found] = [c for c in cells if (c.row.label, c.column.title) == (label, column)]
        return found

    def judge(self, *wanted: Claim) -> list[JudgedClaim]:
        scores = StudyScores(self.records, self.study)
        return verdicts.judge(list(wanted), self.expansions, scores)


def identify(asked: list[OverrideList]) -> list[Identity]:
    return [Identity(digest(sorted(words))) for words in asked]


def scores(shift: float, run: str, prefix: str = "image") -> pd.DataFrame:
    """A table of images as a run leaves it, with a little noise of the run's own."""
    noise = np.random.default_rng(int(run, 16)).normal(0, 0.1, IMAGES)
    psnr = EASY + shift + noise - noise.mean()
    ids = [f"{prefix}-{i}" for i in range(IMAGES)]
    return pd.DataFrame({"id": ids, "group": GROUPS, "psnr": psnr, "ssim": psnr / 50})


def claim(name: str) -> Claim:
    [found] = [one for one in verdicts.read_claims() if one.name == name]
    return found


def better(**by_title: float) -> Shift:
    """Shifts by the first word of a row's title, equal for all seeds."""
    return lambda cell, seed: by_title.get(cell.row.title.split()[0].split("-")[0], 0.0)


RISING = better(Benchmark=0.0, Joint=0.5, Frozen=1.0, GradProm=1.5)
