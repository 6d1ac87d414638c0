"""Fills a declared table from records.

Pure functions of the expansion and the records; the renderers write the table that they return.
"""

import math
from collections import Counter

from gradprom.experiments.declared import Experiment
from gradprom.experiments.expansion import Cell as ExpandedCell
from gradprom.experiments.expansion import Expansion
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.claims.specs import margins_of
from gradprom.reports.statistics.estimate import estimate
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.classical_rows import classical_rows, mark_below_classical
from gradprom.reports.tables.published import degraded_inputs, published
from gradprom.reports.tables.ranking import mark_best
from gradprom.reports.tables.recognizer_rows import recognizer_rows
from gradprom.reports.tables.references import baseline_rows, degraded_rows, left_out_text
from gradprom.reports.tables.setup import setup
from gradprom.reports.tables.summary import summaries
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.record import Record, value_of

_STATES = {"failed": "failed", "pruned": "pruned", "started": "not finished"}


def fill(
    expansion: Expansion,
    records: dict[str, Record],
    narrowing: list[str],
    whole: Experiment,
    scores: StudyScores | None = None,
) -> Table:
    """Fill a table from records.

    Parameters
    ----------
    expansion
        The narrowed experiment with the run ids of its cells. A row and column without a cell
        stay empty.
    records
        By run id.
    narrowing
        The overrides that narrowed the experiment.
    whole
        The experiment before any narrowing, which declares the dataset of each cell.
    scores
        The scores of single images, by which rows are compared; None: by their means alone.
    """
    experiment = expansion.experiment
    current, datasets = _current_fingerprints(records), whole.datasets()
    # by identity: comparing thousands of rows by their content takes seconds
    cells = {(id(cell.row), id(cell.column)): cell for cell in expansion.cells}
    rows = []
    for declared in experiment.rows:
        row = Row(declared, {})
        for number, column in enumerate(experiment.columns):
            if (cell := cells.get((id(declared), id(column)))) is not None:
                dataset = datasets.get((declared.label, column.title), "")
                comparable = _runs_on(cell, records, dataset)
                _fill_cells(row, number, cell, experiment, records, current, comparable)
        rows.append(row)
    margins = margins_of(experiment.paper)
    mark_best(rows, records, margins, scores)
    for row in rows:
        _flag_below_degraded(experiment, row)
    mark_below_classical(rows, records)
    finished = [
        records[run_id]
        for row in rows
        for cell in row.cells.values()
        for run_id in cell.finished.values()
    ]
    names = ", ".join(dict.fromkeys(filter(None, datasets.values()))) or "no declared dataset"
    degraded = degraded_rows(experiment, rows, records)
    baselines = baseline_rows(experiment, rows, records)
    table = Table(experiment, narrowing, degraded, rows, setup(finished), names, baselines)
    table.classical = classical_rows(experiment, rows, records)
    table.recognizers = recognizer_rows(experiment, rows, records)
    table.margins, table.summaries = margins, summaries(rows, records, margins, scores)
    return table


def _fill_cells(
    row: Row,
    number: int,
    cell: ExpandedCell,
    experiment: Experiment,
    records: dict[str, Record],
    current: dict[str, str],
    comparable: bool,
) -> None:
    """Fill the cells of a row in one column, one for each metric."""
    row.expected[number] = cell.runs
    if cell.problem and cell.problem not in row.problems:
        row.problems.append(cell.problem)
    for metric in experiment.metrics_of(cell.row):
        filled = _filled_cell(cell, metric, records, current)
        filled.published = published(experiment, cell.row, cell.column, metric)
        filled.comparable = comparable
        row.cells[number, metric] = filled


def _filled_cell(
    cell: ExpandedCell, metric: str, records: dict[str, Record], current: dict[str, str]
) -> Cell:
    """Our number of a cell in one metric, from the runs on the current data."""
    started = {seed: records[run] for seed, run in cell.runs.items() if run in records}
    counted = {
        seed: record
        for seed, record in started.items()
        if record.dataset.fingerprint == current[dataset_key(record)]
    }
    values = {
        seed: value
        for seed, record in counted.items()
        if (value := value_of(record, metric, cell.row.test_set)) is not None
    }
    filled = Cell(metric, estimate(list(values.values())))
    filled.finished = {seed: cell.runs[seed] for seed in values}
    filled.states = _states(cell, counted, other_data=len(counted) < len(started))
    filled.states += _left_out(values, [counted[seed] for seed in values], metric, cell)
    return filled


def _left_out(
    values: dict[int, float], records: list[Record], metric: str, cell: ExpandedCell
) -> list[str]:
    """What the mean leaves out: runs whose score is not finite, and images of the others."""
    infinite = sum(not math.isfinite(value) for value in values.values())
    texts = [f"{infinite} not finite" if infinite else ""]
    texts.append(left_out_text(records, metric, cell.row.test_set))
    return [text for text in texts if text]


def _states(cell: ExpandedCell, records: dict[int, Record], other_data: bool) -> list[str]:
    """Such as `2/3 seeds`; `records` are those of the current data, by seed."""
    if cell.problem or (not records and not other_data):
        return ["not run"]
    counts = Counter(record.status for record in records.values())
    states = []
    if counts["finished"] < len(cell.runs):
        states.append(f"{counts['finished']}/{len(cell.runs)} seeds")
    states += [f"{counts[s]} {text}" for s, text in _STATES.items() if counts[s]]
    finished = [record for record in records.values() if record.finished]
    if len({record.git.text() for record in finished}) > 1:
        states.append("mixed revisions")
    if any(record.variants for record in finished):
        states.append("differing results")
    return [*states, "other data"] if other_data else states


def dataset_key(record: Record) -> str:
    """The dataset with its options, but for the folder it lies in, and what changes its split."""
    config = record.config["dataset"]
    options = {k: v for k, v in sorted(config.items()) if k != "root"}
    return str([options, record.setting("validation", 0.0), record.setting("train_images")])


def _current_fingerprints(records: dict[str, Record]) -> dict[str, str]:
    """The fingerprint of each dataset (with its options) in the newest record on it."""
    ordered = sorted(records.values(), key=lambda record: record.started)
    return {dataset_key(record): record.dataset.fingerprint for record in ordered}


def _runs_on(cell: ExpandedCell, records: dict[str, Record], dataset: str) -> bool:
    """Whether all runs of the cell that have a record use that dataset."""
    started = [records[run_id] for run_id in cell.runs.values() if run_id in records]
    return all(record.setting("dataset.name") == dataset for record in started)


def _flag_below_degraded(experiment: Experiment, row: Row) -> None:
    """Flag published numbers that are worse than the degraded input of the paper's own dataset."""
    for (number, metric), cell in row.cells.items():
        column = experiment.columns[number].title
        degraded = degraded_inputs().get((experiment.name, column, metric))
        if cell.published is not None and degraded is not None:
            cell.below_degraded = metric_of(metric).sign * (cell.published.mean - degraded) < 0
