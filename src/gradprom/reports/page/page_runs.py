"""Lists of runs as the page's template `runs.html` shows them: a line for each, with its id."""

from collections.abc import Iterable
from dataclasses import dataclass

from gradprom.metrics.registry import Metric, main_metrics, with_baselines
from gradprom.reports import unplanned
from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record

Named = tuple[str, str, str, int]
"""A run's id, name, condition and seed."""


@dataclass(frozen=True)
class Score:
    """A score of one run as text, with the number that its column is sorted by."""

    text: str
    sort_by: float | str


@dataclass(frozen=True)
class RunView:
    """One run."""

    id: str
    known: bool
    """Whether it has a record, to which its id leads."""
    name: str
    """What tells it from the other runs, such as `phantom gradprom`."""
    condition: str
    """Its degradation, such as `σ=0.1`."""
    seed: int
    status: str
    dataset: str
    scores: tuple[Score, ...]
    """In the order of the list's metrics."""
    started: str
    """Such as `2026-03-02 10:15`."""


@dataclass(frozen=True)
class RunsView:
    """A list of runs."""

    anchor: str
    metrics: tuple[tuple[str, str], ...]
    """Title and direction in which the best come first, of each metric."""
    runs: tuple[RunView, ...]


def runs_of_table(table: Table, records: dict[str, Record]) -> RunsView:
    """The runs behind a table, in its order, each once."""
    named: dict[str, Named] = {}
    for row in table.rows:
        for number, runs in row.expected.items():
            for seed, run in runs.items():
                condition = table.columns[number].title
                named.setdefault(run, (run, row.declared.title, condition, seed))
    return _view(f"{table.experiment.key}-runs", named.values(), records)


def all_runs(records: dict[str, Record]) -> RunsView:
    """Every run of a study, the newest first."""
    expansion = unplanned.expansion(list(records.values()))
    named = [
        (run, cell.row.title, cell.column.title, seed)
        for cell in expansion.cells
        for seed, run in cell.runs.items()
    ]
    named.sort(key=lambda run: records[run[0]].started, reverse=True)
    return _view("all-runs", named, records)


def first_order(metric: Metric) -> str:
    """How a column of a metric is sorted at the first click: the best first."""
    return "ascending" if metric.better == "lower" else "descending"


def _view(anchor: str, named: Iterable[Named], records: dict[str, Record]) -> RunsView:
    listed = list(named)
    scored = {name for run, *_ in listed if run in records for name in records[run].metrics}
    metrics = [m for m in with_baselines(main_metrics()) if m.name in scored]
    return RunsView(
        anchor,
        tuple((metric.title, first_order(metric)) for metric in metrics),
        tuple(_run(run, records.get(run[0]), metrics) for run in listed),
    )


def _run(named: Named, record: Record | None, metrics: list[Metric]) -> RunView:
    run_id, name, condition, seed = named
    return RunView(
        id=run_id,
        known=record is not None,
        name=name,
        condition=condition,
        seed=seed,
        status=record.status if record else "not run",
        dataset=record.dataset.name if record else "",
        scores=tuple(_score(record, metric) for metric in metrics),
        started=record.started[:16].replace("T", " ") if record else "",
    )


def _score(record: Record | None, metric: Metric) -> Score:
    value = record.metrics.get(metric.name) if record else None
    text = layout.MISSING if value is None else metric.number(value)
    return Score(text, "" if value is None or text == layout.MISSING else value)
