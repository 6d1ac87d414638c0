"""The first rows of a table, which no run produced: scores to hold the others against.

The degraded inputs themselves, and the baselines of metrics that have one, such as the accuracy of
always answering the most frequent class; each once, or once for each test set.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gradprom.experiments.declared import Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.experiments.short_texts import short_texts
from gradprom.metrics.registry import DEGRADED, LEFT_OUT, METRICS
from gradprom.reports.statistics.estimate import estimate
from gradprom.reports.tables.table import Cell, Row
from gradprom.runs.record import Record, value_of

TITLE = "degraded input"
Scored = Callable[[str], str]
"""From the metric of a column to the score of a record that stands there; empty: none."""
Tested = tuple[Record, str]
"""A run, and one of its test sets: of `evaluate_on`, or empty for the dataset's own."""
Source = Callable[[Tested], Tested | None]
"""From a run of the table to the one whose scores stand in the row; None: none."""


class _Score(NamedTuple):
    """A score, and the run and the test set that it is of."""

    value: float
    record: Record
    test_set: str


@dataclass
class _InputRow:
    """A row of references, with one test set in each column."""

    test_sets: dict[int, str] = field(default_factory=dict)
    """What identifies the test set of a column, by column number."""
    description: dict[str, Any] = field(default_factory=dict)
    """The test set of the first column, for the title."""
    scores: dict[tuple[int, str], dict[int, _Score]] = field(default_factory=dict)
    """By column number and metric, one for each seed."""
    runs: dict[int, dict[int, str]] = field(default_factory=dict)
    """Ids of the runs of another source than the table's rows, by column number and seed."""


def degraded_rows(experiment: Experiment, rows: list[Row], records: dict[str, Record]) -> list[Row]:
    """Score the degraded inputs, which are the same for all runs tested on one set.

    A table whose rows are tested on several sets gets a row for each, titled by the keys in which
    the sets differ.
    """
    return reference_rows(TITLE, lambda metric: DEGRADED + metric, experiment, rows, records)


def baseline_rows(experiment: Experiment, rows: list[Row], records: dict[str, Record]) -> list[Row]:
    """Score the baselines of the table's metrics, a row for each baseline and test set."""
    shown = [METRICS[name] for name in experiment.metrics]
    baselines = dict.fromkeys(metric.baseline for metric in shown if metric.baseline)
    filled = []
    for baseline in baselines:

        def scored(metric: str, baseline: str = baseline) -> str:
            return baseline if METRICS[metric].baseline == baseline else ""

        title = METRICS[baseline].full_title
        filled += reference_rows(title, scored, experiment, rows, records)
    return filled


def tested_images(record: Record, test_set: str) -> str:
    """The content of a run's test set, and the seed of its degradation.

    Scores of runs in which these are equal can be ranked against each other.
    """
    data = record.evaluate_on[test_set] if test_set else record.dataset
    return f"{data.fingerprint} {record.setting('evaluation.seed')}"


def left_out_text(records: list[Record], metric: str, test_set: str) -> str:
    """Such as `1 image left out`: how many images a score of these runs leaves out; or empty."""
    counts = [int(value_of(r, metric + LEFT_OUT, test_set) or 0) for r in records]
    low, high = min(counts, default=0), max(counts, default=0)
    number = str(high) if low == high else f"{low} to {high}"
    return f"{number} image{'s' if high > 1 else ''} left out" if high else ""


def reference_rows(
    title: str,
    scored: Scored,
    experiment: Experiment,
    rows: list[Row],
    records: dict[str, Record],
    source: Source | None = None,
) -> list[Row]:
    """Rows with scores of the images that the table's rows are tested on, one for each test set.

    Parameters
    ----------
    title
        Their title, to which the keys are added in which test sets differ.
    scored
        The score of each metric's column.
    experiment, rows, records
        The table's experiment, its filled rows, and records by run id.
    source
        Whose scores they are; None: those of the table's own runs.
    """
    input_rows: list[_InputRow] = []
    for row in rows:
        test_set = row.declared.test_set
        for number in row.expected:
            for run_id in row.finished_runs(number):
                record = records[run_id]
                input_row = _row_of(input_rows, number, record, test_set)
                tested = source((record, test_set)) if source else (record, test_set)
                if tested is None:
                    continue
                if source:
                    input_row.runs.setdefault(number, {tested[0].seed: tested[0].id})
                for metric in filter(scored, experiment.metrics):
                    value = value_of(tested[0], scored(metric), tested[1])
                    if value is not None:  # older records do not have baselines
                        of_seeds = input_row.scores.setdefault((number, metric), {})
                        of_seeds.setdefault(tested[0].seed, _Score(value, *tested))
    # a source may have scores of one of several test sets, which its row then says
    named = [input_row for input_row in input_rows if input_row.scores or source]
    names = titles(title, [input_row.description for input_row in named])
    return [
        Row(DeclaredRow(name), _cells(input_row, scored), input_row.runs, reference=True)
        for name, input_row in zip(names, named, strict=True)
        if input_row.scores
    ]


def _cells(input_row: _InputRow, scored: Scored) -> dict[tuple[int, str], Cell]:
    return {
        (number, metric): _cell([of_seeds[seed] for seed in sorted(of_seeds)], metric, scored)
        for (number, metric), of_seeds in input_row.scores.items()
    }


def _cell(scores: list[_Score], metric: str, scored: Scored) -> Cell:
    """One set of images has one score, unless a network judges it that each seed has of its own."""
    values = [score.value for score in scores]
    # those of two runs differ in the last bit
    one = np.allclose(values, values[0], rtol=1e-5, atol=0, equal_nan=True)
    runs = {} if one else {score.record.seed: score.record.id for score in scores}
    left_out = left_out_text([scores[0].record], scored(metric), scores[0].test_set)
    states = [left_out] if left_out else []
    return Cell(metric, estimate(values[:1] if one else values), runs, states)


def _row_of(input_rows: list[_InputRow], number: int, record: Record, test_set: str) -> _InputRow:
    """The first row whose test set in this column is the given one or open; else a new row."""
    key = tested_images(record, test_set)
    for input_row in input_rows:
        if input_row.test_sets.setdefault(number, key) == key:
            break
    else:
        input_rows.append(input_row := _InputRow({number: key}))
    input_row.description = input_row.description or description(record, test_set)
    return input_row


def description(record: Record, test_set: str) -> dict[str, Any]:
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


def titles(title: str, sets: list[dict[str, Any]]) -> list[str]:
    """The dataset's name if there are several, then the keys that vary between its test sets.

    The last key of a description is shown only where no other varies.
    """
    texts = []
    for test_set in sets:
        same_name = [other for other in sets if other["name"] == test_set["name"]]
        varied = [
            key for key in test_set if any(other.get(key) != test_set[key] for other in same_name)
        ]
        # another size or split implies another fingerprint, which would only lengthen the title
        *_, content = test_set
        shown = [key for key in varied if key != content or varied == [content]]
        name = [test_set["name"]] if len(same_name) < len(sets) else []
        parts = [f"{key}={_short(key, test_set, same_name)}" for key in shown]
        texts.append(" ".join([title, *name, *parts]))
    return texts


def _short(key: str, test_set: dict[str, Any], others: list[dict[str, Any]]) -> str:
    short = short_texts(str(other[key]) for other in others if key in other)
    return short[str(test_set[key])]
