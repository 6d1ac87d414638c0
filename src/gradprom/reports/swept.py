"""Tables of sweeps that no experiment declares, and what a person sees at the end of one."""

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

WIDE = 200
"""Columns where the output is no terminal, which would cut the table at 80."""


def tables(study: Study, records: dict[str, Record]) -> list[Table]:
    """One of each sweep of a study, the newest first."""
    plans = [plan.swept for plan in reversed(study.plans()) if plan.swept]
    by_name = {plan["name"]: plan for plan in plans}
    return [table_of(on_the_fly.from_plan(plan), records) for plan in by_name.values()]


def table_of(expansion: Expansion, records: dict[str, Record]) -> Table:
    """The table of a sweep; what training logs is part of the rows that have logged it."""
    experiment = expansion.experiment
    runs: dict[int, list[str]] = {}
    for cell in expansion.cells:
        runs.setdefault(id(cell.row), []).extend(cell.runs.values())
    rows = {id(row): _logged(row, runs[id(row)], records) for row in experiment.rows}
    trimmed = Expansion(
        replace(experiment, rows=tuple(rows.values())),
        [replace(cell, row=rows[id(cell.row)]) for cell in expansion.cells],
    )
    return fill(trimmed, records, [], experiment)


def _logged(row: DeclaredRow, runs: list[str], records: dict[str, Record]) -> DeclaredRow:
    def has(metric: str) -> bool:
        values = (value_of(records.get(run), metric) for run in runs)
        return METRICS[metric].source == "images" or any(v is not None for v in values)

    return replace(row, metrics=tuple(filter(has, row.metrics)))


def show(
    run_ids: list[str], study: Study, folder: Path, swept: Expansion | None, table: bool = True
) -> int:
    """Table, failures and places of a sweep; returns how many of its runs have not finished.

    Parameters
    ----------
    swept
        The experiment that the sweep is; None for single runs, which are told apart by what they
        read.
    table
        Whether there is a table to show; those of declared experiments are the report's.
    """
    found = {run_id: study.record(run_id) for run_id in run_ids}
    records = {run_id: record for run_id, record in found.items() if record}
    finished = sum(record.finished for record in records.values())
    if table and finished:
        expansion = swept or unplanned.expansion(list(records.values()))
        _leave(table_of(expansion, records), records, study, folder)
    for record in records.values():
        if record.error is not None:
            label = " ".join(record.overrides) or record.id
            print(f"failed   {label}: {record.error.type}: {record.error.message}")
            print(f"         at {record.error.where}; traceback in {study.run(record.id)}")
    print(f"records  {study.folder / 'runs'}")
    return len(found) - finished


def _leave(table: Table, records: dict[str, Record], study: Study, folder: Path) -> None:
    """Print a table and leave it, with its picture, in a folder."""
    from gradprom.reports.plots.sweep_picture import draw  # with matplotlib

    console().print(text.terminal(table))
    written = {"md": text.markdown, "csv": text.as_csv, "tex": latex.latex}
    for ending, form in written.items():
        write_text(folder / f"table.{ending}", form(table))
    print(f"table    {', '.join(str(folder / f'table.{ending}') for ending in written)}")
    if draw(table, records, study, folder / "picture.png"):
        print(f"picture  {folder / 'picture.png'}")


def console() -> Console:
    """Where tables are printed: the terminal, or a file as wide as it takes."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=WIDE)
