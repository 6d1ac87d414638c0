"""What the degraded inputs themselves score: the first row of a table, or one a test set."""

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
class _Inputs:
    """The degraded inputs of one test set a column."""

    sets: dict[int, str] = field(default_factory=dict)
    """What tells the test set of a column from others, by the column's number."""
    described: dict[str, Any] = field(default_factory=dict)
    """What a test set is, for the title; of the first column."""
    cells: dict[tuple[int, str], Cell] = field(default_factory=dict)


def degraded_rows(experiment: Experiment, rows: list[Row], records: dict[str, Record]) -> list[Row]:
    """Scores of the inputs: equal for all runs of a column that are tested on one set.

    A table whose rows are tested on several sets has a row for each, titled by what tells the
    sets apart.
    """
    found: list[_Inputs] = []
    for row in rows:
        for number in row.expected:
            for run in _finished(row, number):
                record, test_set = records[run], row.declared.test_set
                key = _key(record, test_set)
                inputs = next((i for i in found if i.sets.get(number, key) == key), None)
                if inputs is None:
                    found.append(inputs := _Inputs())
                inputs.sets[number] = key
                inputs.described = inputs.described or _description(record, test_set)
                for metric in experiment.metrics:
                    value = value_of(record, DEGRADED + metric, test_set)
                    if value is not None:
                        # one image set, one number: runs differ in the last bit at most
                        cell = Cell(metric, Estimate(value, None, 1))
                        inputs.cells.setdefault((number, metric), cell)
    having = [inputs for inputs in found if inputs.cells]
    titles = _titles([inputs.described for inputs in having])
    return [
        Row(DeclaredRow(title), inputs.cells, degraded=True)
        for title, inputs in zip(titles, having, strict=True)
    ]


def _finished(row: Row, number: int) -> list[str]:
    cells = [cell for (n, _), cell in row.cells.items() if n == number]
    return list(dict.fromkeys(run for cell in cells for run in cell.finished.values()))


def _key(record: Record, test_set: str) -> str:
    """Content of the test set, and what its degradation is drawn from."""
    data = record.evaluate_on[test_set] if test_set else record.dataset
    return f"{data.fingerprint} {record.setting('evaluation.seed')}"


def _description(record: Record, test_set: str) -> dict[str, Any]:
    """What a person tells test sets apart by, the name first and the content last."""
    data = record.evaluate_on[test_set] if test_set else record.dataset
    options = {} if test_set else record.config["dataset"]
    return {
        "name": test_set or record.dataset.name,
        **{f"dataset.{key}": value for key, value in options.items() if key not in _NO_CONTENT},
        "evaluation.seed": record.setting("evaluation.seed"),
        "data": data.fingerprint[:8],
    }


_NO_CONTENT = ("name", "root")


def _titles(sets: list[dict[str, Any]]) -> list[str]:
    """The dataset's name if there are several, then the keys that vary between its test sets."""
    titles = []
    for own in sets:
        alike = [other for other in sets if other["name"] == own["name"]]
        varied = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        # another fingerprint follows from another size or split, and is not worth its place
        parts = [f"{key}={own[key]}" for key in varied if key != "data" or varied == ["data"]]
        name = [own["name"]] if len(alike) < len(sets) else []
        titles.append(" ".join([TITLE, *name, *parts]))
    return titles
