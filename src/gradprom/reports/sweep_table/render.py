"""A table as text: in a terminal, as Markdown, as CSV."""

import csv
import io

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from gradprom.metrics.registry import METRICS, Metric, main_metrics
from gradprom.reports.sweep_table.tables import Cell, Row, Table


def header(table: Table) -> list[str]:
    """Column titles, the row's own title first."""
    cells = [f"{METRICS[m].title} {column}" for column in table.columns for m in table.metrics]
    return ["", *cells, *(metric.title for metric in main_metrics("training"))]


def line(table: Table, row: Row) -> list[str]:
    """One row's texts, in the order of `header`."""
    cells = [
        _cell(row.cells.get((column, metric)), METRICS[metric].digits)
        for column in table.columns
        for metric in table.metrics
    ]
    return [
        row.label,
        *cells,
        *(_decided(table, row, metric) for metric in main_metrics("training")),
    ]


def _cell(cell: Cell | None, digits: int) -> str:
    if cell is None:
        return "–"
    told = [cell.value.text(digits) if cell.value else "", cell.note]
    return ", ".join(filter(None, told)) or "–"


def _decided(table: Table, row: Row, metric: Metric) -> str:
    """One value for each degradation, in the order of the columns."""
    values = [row.decisions.get(column, {}).get(metric.name) for column in table.columns]
    if all(value is None for value in values):
        return "–"
    return " / ".join("–" if value is None else metric.brief.format(value) for value in values)


def terminal(table: Table) -> RichTable:
    """The table for a person at a terminal."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(header(table)):
        rich.add_column(
            Text(title), justify="left" if number == 0 else "right", no_wrap=number == 0
        )
    for row in table.rows:
        # as texts: what stands in brackets would be taken for a style
        rich.add_row(*map(Text, line(table, row)))
    return rich


def markdown(table: Table) -> str:
    """A pipe table; ± is the sample standard deviation, n the number of seeds."""
    titles = header(table)
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
    lines += [[_plain(text) for text in line(table, row)] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _plain(text: str) -> str:
    """Text that makes neither a cell nor an element of its own."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def as_csv(table: Table) -> str:
    """One line a cell: row, degradation, metric, mean, std (ddof 1), n, note, run ids."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["row", "degradation", "metric", "mean", "std", "n", "note", "runs"])
    for row in table.rows:
        for (column, metric), cell in sorted(row.cells.items()):
            value = cell.value
            numbers = [value.mean, value.std, value.n] if value else [None, None, 0]
            writer.writerow([row.label, column, metric, *numbers, cell.note, " ".join(cell.runs)])
        for column, values in sorted(row.decisions.items()):
            for kind, number in values.items():
                writer.writerow([row.label, column, kind, number, None, None, "", ""])
    return buffer.getvalue()
