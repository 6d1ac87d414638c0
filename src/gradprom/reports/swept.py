"""Tables of sweeps that no experiment declares, and the summary printed at the end of a sweep."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from gradprom.experiments import on_the_fly
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.metrics.registry import METRICS, main_metrics
from gradprom.reports import rounding, unplanned
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables import latex, summary_text, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record, value_of
from gradprom.runs.records import Study
from gradprom.storage.files import write_text

FILE_WIDTH = 200
"""Columns of the output where it is not a terminal; rich would cut the table at 80."""


def expansions(study: Study) -> list[Expansion]:
    """The experiments made of a study's ad hoc sweeps, as its plans hold them, the newest first."""
    plans = [plan.swept for plan in reversed(study.plans()) if plan.swept]
    by_name = {plan["name"]: plan for plan in plans}
    return [on_the_fly.from_plan(plan) for plan in by_name.values()]


def table_of(
    expansion: Expansion, records: dict[str, Record], scores: StudyScores | None = None
) -> Table:
    """Fill the table of a sweep; metrics logged in training only appear in rows that logged them.

    Below the rows come the same ones as tested on each further set of `evaluate_on`.

    Parameters
    ----------
    expansion
        The experiment made of the sweep, with the run ids of its cells.
    records
        By run id.
    scores
        The scores of single images, by which rows are compared; None: by their means alone.
    """
    experiment = expansion.experiment
    cells: dict[int, list[Cell]] = {id(row): [] for row in experiment.rows}
    for cell in expansion.cells:
        cells[id(cell.row)].append(cell)
    records_of = {
        number: [records[run] for c in of_row for run in c.runs.values() if run in records]
        for number, of_row in cells.items()
    }
    rows = [(_with_logged_metrics(r, records_of[id(r)]), cells[id(r)]) for r in experiment.rows]
    of_runs = [record for of_row in records_of.values() for record in of_row]
    for test_set in dict.fromkeys(name for record in of_runs for name in record.evaluate_on):
        rows += [
            (tested, cells[id(row)])
            for row in experiment.rows
            if (tested := _tested_on(test_set, row, records_of[id(row)])) is not None
        ]
    shown = {metric for row, _ in rows for metric in row.metrics}
    filled = replace(
        experiment,
        rows=tuple(row for row, _ in rows),
        metrics=tuple(name for name in METRICS if name in shown or name in experiment.metrics),
    )
    filled_cells = [replace(cell, row=row) for row, of_row in rows for cell in of_row]
    return fill(Expansion(filled, filled_cells), records, [], filled, scores)


def _tested_on(test_set: str, row: DeclaredRow, records: list[Record]) -> DeclaredRow | None:
    """The row with its scores on a further test set; None if none of its runs has any."""
    metrics = tuple(
        metric.name
        for metric in main_metrics()
        if any(value_of(record, metric.name, test_set) is not None for record in records)
    )
    group = f"tested on {test_set}"
    return replace(row, group=group, test_set=test_set, metrics=metrics) if metrics else None


def _with_logged_metrics(row: DeclaredRow, records: list[Record]) -> DeclaredRow:
    """The row without the metrics of training that none of its runs has logged."""

    def applies(metric: str) -> bool:
        values = (value_of(record, metric) for record in records)
        return METRICS[metric].source == "images" or any(value is not None for value in values)

    return replace(row, metrics=tuple(filter(applies, row.metrics)))


def show(
    run_ids: list[str], study: Study, folder: Path, swept: Expansion | None, table: bool = True
) -> int:
    """Print the table, the failures and the files of a sweep.

    Parameters
    ----------
    run_ids
        The runs of the sweep.
    study
        The study that holds their records.
    folder
        Where the table and its picture are written.
    swept
        The experiment made of the sweep; None for single runs, whose rows are told apart by the
        keys that they read.
    table
        Whether to show a table; those of declared experiments belong to the report.

    Returns
    -------
    int
        How many of the runs have not finished.
    """
    loaded = {run_id: study.record(run_id) for run_id in run_ids}
    records = {run_id: record for run_id, record in loaded.items() if record}
    finished = sum(record.finished for record in records.values())
    if table and finished:
        expansion = swept or unplanned.expansion(list(records.values()))
        filled = table_of(expansion, records, StudyScores(records, study))
        rounding.note_below([filled], rounding.stored(study))
        _write_table(filled, records, study, folder)
    for record in records.values():
        if record.error is not None:
            label = " ".join(record.overrides) or record.id
            print(f"failed   {label}: {record.error.type}: {record.error.message}")
            print(f"         at {record.error.where}; traceback in {study.run(record.id)}")
    print(f"records  {study.folder / 'runs'}")
    return len(loaded) - finished


def _write_table(table: Table, records: dict[str, Record], study: Study, folder: Path) -> None:
    """Print a table and write it, with its picture, to a folder."""
    from gradprom.reports.plots.sweep_picture import draw  # imports matplotlib

    console().print(text.terminal(table))
    files = write_forms(table, folder, "table")
    print(f"table    {', '.join(map(str, files))}")
    if draw(table, records, study, folder / "picture.png"):
        print(f"picture  {folder / 'picture.png'}")


def write_forms(table: Table, folder: Path, name: str) -> list[Path]:
    """Write a table in every form, and its summaries, if it has any, as a CSV of their own."""
    forms = {".md": text.markdown, ".csv": text.as_csv, ".tex": latex.latex}
    forms |= {"-summary.csv": summary_text.as_csv} if table.summaries else {}
    files = [folder / f"{name}{ending}" for ending in forms]
    for file, form in zip(files, forms.values(), strict=True):
        write_text(file, form(table))
    return files


def console() -> Console:
    """Where tables are printed: the terminal, or a file with wide lines."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=FILE_WIDTH)
