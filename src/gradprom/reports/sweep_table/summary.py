"""What a person sees at the end of a sweep: one table of its runs and their picture."""

from pathlib import Path

from rich.console import Console

from gradprom.reports.sweep_table import render, tables
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text

WIDE = 200
"""Columns where the output is no terminal, which would cut the table at 80."""


def show(run_ids: list[str], study: Study, folder: Path, table: bool = True) -> int:
    """Table, failures and places of a sweep; returns how many of its runs have not finished."""
    found = {run_id: study.record(run_id) for run_id in run_ids}
    records = [record for record in found.values() if record]
    if table and any(record.status == "finished" for record in records):
        show_table(records, study, folder)
    for record in records:
        if record.status == "failed":
            error = record.error or ErrorInfo()
            label = " ".join(record.overrides) or record.id
            print(f"failed   {label}: {error.type}: {error.message}")
            print(f"         at {error.where}; traceback in {study.run(record.id)}")
    print(f"records  {study.folder / 'runs'}")
    return len(found) - sum(record.status == "finished" for record in records)


def show_table(records: list[Record], study: Study, folder: Path) -> None:
    """Print the table of some records and leave it, with its picture, in a folder."""
    from gradprom.reports.sweep_table.figures import draw

    table = tables.build(records)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(render.terminal(table))
    write_text(folder / "table.md", render.markdown(table))
    write_text(folder / "table.csv", render.as_csv(table))
    print(f"table    {folder / 'table.md'}, {folder / 'table.csv'}")
    draw(records, study, folder / "picture.png")
    print(f"picture  {folder / 'picture.png'}")
