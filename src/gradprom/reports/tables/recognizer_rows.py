"""Rows of the recognizer itself: what it does on clean and on degraded images.

They bound the accuracies of a table: the recognizer is the one pre-trained on clean images, before
coupled training, which rows that differ in their strategy share.
"""

from dataclasses import dataclass, field
from typing import Any

from gradprom.experiments.declared import Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.metrics.registry import RECOGNIZED_CLEAN, RECOGNIZED_DEGRADED
from gradprom.reports.statistics.estimate import estimate
from gradprom.reports.tables.references import description, tested_images, titles
from gradprom.reports.tables.table import Cell, Row
from gradprom.runs.record import Record, value_of
from gradprom.runs.record_config import dotted

_TITLES = {
    RECOGNIZED_DEGRADED: "recognizer on degraded images",
    RECOGNIZED_CLEAN: "recognizer on clean images",
}
_STAGE = "recognizer."
"""Beginning of the names of pre-training stages; the rest is the task."""
_READS = (_STAGE, f"epochs.{_STAGE}", "trainer.batch_size", "trainer.schedule", "trainer.augment")
"""Beginnings of the keys that pre-training reads, beside the dataset's."""
Recognizers = dict[tuple[int, int, str], str]
"""Which stage was tested on which images, by column number, seed and the stage's name."""


@dataclass
class _Group:
    """Rows of the table that share their recognizers."""

    recognizers: Recognizers = field(default_factory=dict)
    runs: dict[tuple[int, int], list[Record]] = field(default_factory=dict)
    """By column number and seed."""
    description: dict[str, Any] = field(default_factory=dict)
    """Of the first run, what tells the group from others."""

    def shares(self, recognizers: Recognizers) -> bool:
        """Whether a column and seed that both have are of one recognizer."""
        return all(self.recognizers.get(key, stage) == stage for key, stage in recognizers.items())


def recognizer_rows(
    experiment: Experiment, rows: list[Row], records: dict[str, Record]
) -> list[Row]:
    """Score the pre-trained recognizers on degraded and on clean images, over seeds.

    Where rows of the table differ in their recognizer, each has its own two rows, titled by the
    keys in which they differ.
    """
    groups = _groups(rows, records)
    filled = []
    for prefix, title in _TITLES.items():
        names = titles(title, [group.description for group in groups])
        made = [
            _row(name, prefix, group, experiment) for name, group in zip(names, groups, strict=True)
        ]
        filled += [row for row in made if row.cells]
    return filled


def _groups(rows: list[Row], records: dict[str, Record]) -> list[_Group]:
    groups: list[_Group] = []
    for row in (row for row in rows if not row.declared.test_set):
        runs = {
            (number, seed): records[run_id]
            for number, of_column in row.expected.items()
            for seed, run_id in of_column.items()
            if run_id in records and _has_scores(records[run_id])
        }
        if not runs:
            continue
        recognizers = {
            (*place, stage.name): f"{stage.id} {tested_images(record, '')}"
            for place, record in runs.items()
            for stage in record.stages
            if stage.name.startswith(_STAGE)
        }
        group = next((group for group in groups if group.shares(recognizers)), None)
        if group is None:
            groups.append(group := _Group(description=_description(next(iter(runs.values())))))
        group.recognizers |= recognizers
        for place, record in runs.items():
            group.runs.setdefault(place, []).append(record)
    return groups


def _has_scores(record: Record) -> bool:
    return record.finished and any(name.startswith(RECOGNIZED_CLEAN) for name in record.metrics)


def _description(record: Record) -> dict[str, Any]:
    """As `references.description`, with what pre-training reads; its stages stand last."""
    reads = {k: v for k, v in dotted(record.reads).items() if k.startswith(_READS)}
    stages = [stage.id for stage in record.stages if stage.name.startswith(_STAGE)]
    return {**description(record, ""), **reads, "stage": " ".join(stages)}


def _row(title: str, prefix: str, group: _Group, experiment: Experiment) -> Row:
    row = Row(DeclaredRow(title), {}, reference=True)
    values: dict[tuple[int, str], dict[int, float]] = {}
    for (number, seed), records in group.runs.items():
        row.expected.setdefault(number, {})[seed] = records[0].id
        for record in records:
            for metric in experiment.metrics:
                if (value := value_of(record, prefix + metric)) is not None:
                    # one recognizer has one score: those of two runs differ in the last bit
                    values.setdefault((number, metric), {}).setdefault(seed, value)
    for (number, metric), of_seeds in values.items():
        runs = {seed: row.expected[number][seed] for seed in of_seeds}
        row.cells[number, metric] = Cell(metric, estimate([*of_seeds.values()]), runs)
    return row
