"""Tables of sweeps that no experiment declares, and the summary printed at the end of a sweep."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from gradprom.experiments import on_the_fly
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.experiments.expansion import Expansion
from gradprom.metrics.registry import METRICS
from gradprom.reports import unplanned
from gradprom.reports.tables import latex, text
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


def table_of(expansion: Expansion, records: dict[str, Record]) -> Table:
    """Fill the table of a sweep; metrics logged in training only appear in rows that logged them.

    Parameters
    ----------
    expansion
        The experiment made of the sweep, with the run ids of its cells.
    records
        By run id.
    """
    experiment = expansion.experiment
    runs: dict[int, list[str]] = {}
    for cell in expansion.cells:
        runs.setdefault(id(cell.row), []).extend(cell.runs.values())
    rows = {id(row): _with_logged_metrics(row, runs[id(row)], records) for row in experiment.rows}
    trimmed = Expansion(
        replace(experiment, rows=tuple(rows.values())),
        [replace(cell, row=rows[id(cell.row)]) for cell in expansion.cells],
    )
    return fill(trimmed, records, [], experiment)


def _with_logged_metrics(
    row: DeclaredRow, runs: list[str], records: dict[str, Record]
) -> DeclaredRow:
    """The row without the metrics of training that none of its runs has logged."""

    def applies(metric: str) -> bool:
        values = (value_of(records.get(run_id), metric) for run_id in runs)
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
        _write_table(table_of(expansion, records), records, study, folder)
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
    forms = {"md": text.markdown, "csv": text.as_csv, "tex": latex.latex}
    for ending, form in forms.items():
        write_text(folder / f"table.{ending}", form(table))
    print(f"table    {', '.join(str(folder / f'table.{ending}') for ending in forms)}")
    if draw(table, records, study, folder / "picture.png"):
        print(f"picture  {folder / 'picture.png'}")


def console() -> Console:
    """Where tables are printed: the terminal, or a file with wide lines."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=FILE_WIDTH)
