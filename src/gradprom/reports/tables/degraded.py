"""Scores of the degraded inputs themselves: the first row of a table, or one for each test set."""

from dataclasses import dataclass, field
from typing import Any

from gradprom.experiments.declared import Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.metrics.registry import DEGRADED
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables.table import Cell, Row
from gradprom.runs.record import Record, value_of

TITLE = "degraded input"


@dataclass
class _InputRow:
    """A row of degraded inputs, with one test set in each column."""

    test_sets: dict[int, str] = field(default_factory=dict)
    """What identifies the test set of a column, by column number."""
    description: dict[str, Any] = field(default_factory=dict)
    """The test set of the first column, for the title."""
    cells: dict[tuple[int, str], Cell] = field(default_factory=dict)


def degraded_rows(experiment: Experiment, rows: list[Row], records: dict[str, Record]) -> list[Row]:
    """Score the degraded inputs, which are the same for all runs tested on one set.

    A table whose rows are tested on several sets gets a row for each, titled by the keys in which
    the sets differ.
    """
    input_rows: list[_InputRow] = []
    for row in rows:
        for number in row.expected:
            for run_id in row.finished_runs(number):
                record, test_set = records[run_id], row.declared.test_set
                input_row = _row_of(input_rows, number, record, test_set)
                _add_scores(input_row, number, experiment, record, test_set)
    scored = [input_row for input_row in input_rows if input_row.cells]
    titles = _titles([input_row.description for input_row in scored])
    return [
        Row(DeclaredRow(title), input_row.cells, degraded=True)
        for title, input_row in zip(titles, scored, strict=True)
    ]


def _row_of(input_rows: list[_InputRow], number: int, record: Record, test_set: str) -> _InputRow:
    """The first row whose test set in this column is the given one or open; else a new row."""
    key = _key(record, test_set)
    for input_row in input_rows:
        if input_row.test_sets.setdefault(number, key) == key:
            break
    else:
        input_rows.append(input_row := _InputRow({number: key}))
    input_row.description = input_row.description or _description(record, test_set)
    return input_row


def _add_scores(
    input_row: _InputRow, number: int, experiment: Experiment, record: Record, test_set: str
) -> None:
    """Fill the cells of one column that are still empty."""
    for metric in experiment.metrics:
        value = value_of(record, DEGRADED + metric, test_set)
        if value is not None:
            # one set of images has one score: those of two runs differ in the last bit at most
            input_row.cells.setdefault((number, metric), Cell(metric, Estimate(value, None, 1)))


def _key(record: Record, test_set: str) -> str:
    """The content of the test set, and the seed of its degradation."""
    data = record.evaluate_on[test_set] if test_set else record.dataset
    return f"{data.fingerprint} {record.setting('evaluation.seed')}"


def _description(record: Record, test_set: str) -> dict[str, Any]:
    """What a reader tells test sets apart by, the name first and the content last."""
    data = record.evaluate_on[test_set] if test_set else record.dataset
    options = {} if test_set else record.config["dataset"]
    return {
        "name": test_set or record.dataset.name,
        **{f"dataset.{key}": value for key, value in options.items() if key not in _NOT_CONTENT},
        "evaluation.seed": record.setting("evaluation.seed"),
        "data": data.fingerprint[:8],
    }


_NOT_CONTENT = ("name", "root")
"""Options of a dataset that do not change its images."""


def _titles(sets: list[dict[str, Any]]) -> list[str]:
    """The dataset's name if there are several, then the keys that vary between its test sets."""
    titles = []
    for test_set in sets:
        same_name = [other for other in sets if other["name"] == test_set["name"]]
        varied = [
            key for key in test_set if any(other.get(key) != test_set[key] for other in same_name)
        ]
        # another size or split implies another fingerprint, which would only lengthen the title
        parts = [f"{key}={test_set[key]}" for key in varied if key != "data" or varied == ["data"]]
        name = [test_set["name"]] if len(same_name) < len(sets) else []
        titles.append(" ".join([TITLE, *name, *parts]))
    return titles
