"""A declared table, filled from records.

Only pure functions of the expansion and the records; the renderers write what is found here.
"""

from collections import Counter

from gradprom.experiments.declared import Experiment
from gradprom.experiments.expansion import Cell as ExpandedCell
from gradprom.experiments.expansion import Expansion
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.estimate import estimate
from gradprom.reports.tables.degraded import degraded_rows
from gradprom.reports.tables.published import degraded_inputs, published
from gradprom.reports.tables.setup import setup
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.record import Record, value_of

_STATES = {"failed": "failed", "pruned": "pruned", "started": "not finished"}


def fill(
    expansion: Expansion, records: dict[str, Record], asked: list[str], whole: Experiment
) -> Table:
    """Fill a table.

    Parameters
    ----------
    expansion
        The experiment, narrowed, with the run ids of its cells; what has no cell stays empty.
    records
        By run id.
    asked
        The overrides that narrowed it.
    whole
        The experiment before any narrowing: which dataset each cell is of.
    """
    experiment = expansion.experiment
    current, datasets = _current_data(records), whole.datasets()
    # by identity: comparing thousands of rows by their content takes seconds
    cells = {(id(cell.row), id(cell.column)): cell for cell in expansion.cells}
    rows = []
    for declared in experiment.rows:
        row = Row(declared, {})
        for number, column in enumerate(experiment.columns):
            if (cell := cells.get((id(declared), id(column)))) is not None:
                on = _on(cell, records, datasets.get((declared.label, column.title), ""))
                _fill_cells(row, number, cell, experiment, records, current, on)
        rows.append(row)
    _rank(rows)
    for row in rows:
        _flag(experiment, row)
    used = [records[i] for row in rows for c in row.cells.values() for i in c.finished.values()]
    named = ", ".join(dict.fromkeys(filter(None, datasets.values()))) or "no declared dataset"
    degraded = degraded_rows(experiment, rows, records)
    return Table(experiment, asked, degraded, rows, setup(used), named)


def _fill_cells(
    row: Row,
    number: int,
    cell: ExpandedCell,
    experiment: Experiment,
    records: dict[str, Record],
    current: dict[str, str],
    comparable: bool,
) -> None:
    """The cells of a row in one column, one for each metric."""
    row.expected[number] = cell.runs
    if cell.problem and cell.problem not in row.problems:
        row.problems.append(cell.problem)
    for metric in experiment.metrics_of(cell.row):
        filled = _filled(cell, metric, records, current)
        filled.published = published(experiment, cell.row, cell.column, metric)
        filled.comparable = comparable
        row.cells[number, metric] = filled


def _filled(
    cell: ExpandedCell, metric: str, records: dict[str, Record], current: dict[str, str]
) -> Cell:
    started = {seed: records[run] for seed, run in cell.runs.items() if run in records}
    other = {s for s, r in started.items() if r.dataset.fingerprint != current[_data_key(r)]}
    counted = {s: r for s, r in started.items() if s not in other}
    values = {
        seed: value
        for seed, record in counted.items()
        if (value := value_of(record, metric, cell.row.test_set)) is not None
    }
    filled = Cell(metric, estimate(list(values.values())))
    filled.finished = {seed: cell.runs[seed] for seed in values}
    filled.states = _states(cell, counted, bool(other))
    return filled


def _states(cell: ExpandedCell, records: dict[int, Record], other: bool) -> list[str]:
    if cell.problem or (not records and not other):
        return ["not run"]
    counts = Counter(record.status for record in records.values())
    states = []
    if counts["finished"] < len(cell.runs):
        states.append(f"{counts['finished']}/{len(cell.runs)} seeds")
    states += [f"{counts[s]} {text}" for s, text in _STATES.items() if counts[s]]
    done = [r for r in records.values() if r.finished]
    if len({(r.git.revision, r.git.dirty) for r in done}) > 1:
        states.append("mixed revisions")
    return states + ["other data"] * other


def _data_key(record: Record) -> str:
    config = record.config["dataset"]
    return str({k: v for k, v in sorted(config.items()) if k != "root"})


def _current_data(records: dict[str, Record]) -> dict[str, str]:
    """The fingerprint of each dataset (with its options) in the newest record that has it."""
    ordered = sorted(records.values(), key=lambda record: record.started)
    return {_data_key(record): record.dataset.fingerprint for record in ordered}


def _on(cell: ExpandedCell, records: dict[str, Record], dataset: str) -> bool:
    """Whether the cell's runs are of the dataset that the table declares for it."""
    there = [records[run] for run in cell.runs.values() if run in records]
    return all(record.setting("dataset.name") == dataset for record in there)


def _rank(rows: list[Row]) -> None:
    """Mark the best and the second of each column, as far as the printed digits tell."""
    for key in {key for row in rows for key in row.cells}:
        cells = [row.cells[key] for row in rows if key in row.cells]
        metric = metric_of(key[1])
        values = {
            id(c): round(c.value.mean, metric.digits)
            for c in cells
            if c.value is not None and metric.better
        }
        best = sorted(set(values.values()), reverse=metric.better == "higher")
        for cell in cells if len(best) > 1 else ():
            if id(cell) in values and values[id(cell)] in best[:2]:
                cell.place = best.index(values[id(cell)]) + 1


def _flag(experiment: Experiment, row: Row) -> None:
    """Published numbers that are worse than the degraded input of the paper's own dataset."""
    for (number, metric), cell in row.cells.items():
        floor = degraded_inputs().get((experiment.name, experiment.columns[number].title, metric))
        if cell.published is not None and floor is not None:
            cell.below_degraded = metric_of(metric).sign * (cell.published.mean - floor) < 0
