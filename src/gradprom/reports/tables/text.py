"""A table as text: for a terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from gradprom.reports.tables import layout, summary_text
from gradprom.reports.tables.table import Cell, Row, Slot, Table

SHORT = 16
"""Width that labels of rows get in any terminal; in wide ones it is two fifths."""
TITLE = 24
"""Width from which titles of columns are wrapped."""


@dataclass
class Terminal:
    """A table that is split into parts where the terminal is too narrow for all its columns."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{self.table.experiment.title}. {self.table.experiment.caption}")
        yield from _parts(self.table, console, options)
        yield Text(f"{_legend(self.table)} {layout.rank_note(self.table)}".strip(), "dim")
        for note in [*layout.notes(self.table), *_slips(self.table)]:
            yield Text(note, "dim")
        for summary in self.table.summaries:
            yield from summary_text.terminal(self.table, summary)
        if self.table.summaries:
            yield Text(summary_text.NOTE, "dim")
        yield Text("")


def terminal(table: Table) -> Terminal:
    """The table for a terminal: our numbers, and the published ones dimmed below them."""
    return Terminal(table)


def _legend(table: Table) -> str:
    if table.experiment.published is None:
        return layout.MEAN_NOTE
    count = len(table.experiment.seeds)
    seeds = f"{count} seed{'s' * (count != 1)}"
    return f"Ours: mean ± sample standard deviation; {seeds} unless stated otherwise."


def _slips(table: Table) -> list[str]:
    return [f"Slip in the paper: {slip}" for slip in table.experiment.slips]


def _parts(table: Table, console: Console, options: ConsoleOptions) -> list[RichTable]:
    """The table in as few parts as the width allows, each with all rows; no number is cut."""
    unlimited, width = options.update(width=10_000), options.max_width
    for parts in _divisions(table):
        tables = [_part(table, slots, label_width=max(SHORT, width * 2 // 5)) for slots in parts]
        widest = max(Measurement.get(console, unlimited, part).maximum for part in tables)
        if widest <= width:
            return tables
    narrower = max(1, max(SHORT, width * 2 // 5) - (widest - width))
    return [_part(table, slots, narrower) for slots in parts]


def _divisions(table: Table) -> Iterator[list[list[Slot]]]:
    """The columns of numbers in 1, 2, … parts: whole columns first, then parts of a column."""
    slots = layout.slots(table)
    columns = [[slot for slot in slots if slot[0] == n] for n in range(len(table.columns))]
    columns = [column for column in columns if column] or [[]]
    for number in range(1, len(columns) + 1):
        size = -(-len(columns) // number)
        yield [sum(columns[i : i + size], []) for i in range(0, len(columns), size)]
    for number in range(2, max(map(len, columns)) + 1):
        sizes = [max(1, -(-len(column) // number)) for column in columns]
        yield [
            column[i : i + size]
            for column, size in zip(columns, sizes, strict=True)
            for i in range(0, len(column), size)
        ]


def _part(table: Table, slots: list[Slot], label_width: int) -> RichTable:
    """All rows of these columns of numbers; longer labels are wrapped."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    rich.add_column("", overflow="fold", max_width=label_width)
    for n, metric in slots:
        title = Text.assemble(table.columns[n].title, "\n", layout.heading(metric))
        cells = [_compact(row.cells.get((n, metric)), table) for row in layout.rows(table)]
        widest = max((cell.cell_len for text in cells for cell in text.split("\n")), default=0)
        # a number that finds no room in a very narrow terminal is wrapped, never cut
        rich.add_column(title, justify="right", overflow="fold", max_width=max(TITLE, widest))
    for group, rows in layout.grouped(table):
        if group:
            rich.add_row(Text(group, "italic"))
        for row in rows:
            cells = [_compact(row.cells.get(slot), table) for slot in slots]
            rich.add_row(_label(row, indent="  " * bool(group)), *cells)
    return rich


def _label(row: Row, indent: str) -> Text:
    """The title of a row, its details dimmed below."""
    details = [
        f"{key}: {value}" if value in ("Yes", "No") else value
        for key, value in row.declared.details.items()
    ]
    text = Text(f"{indent}{row.declared.title}")
    if details:
        text.append(f"\n{indent}{' · '.join(details)}", "dim")
    return text


def _compact(cell: Cell | None, table: Table) -> Text:
    if cell is None:
        return Text(layout.MISSING, "dim")
    parts = [_mean(cell, table)]
    if cell.published is not None:
        mark = layout.BELOW if cell.below_degraded else ""
        published = f"{layout.number(cell.published.mean, cell.metric)}{mark}"
        parts.append(Text(f"{published} {layout.difference_text(cell)}".strip(), "dim"))
    parts += [Text(state, "yellow") for state in cell.states]
    return Text("\n").join(parts)


def _mean(cell: Cell, table: Table) -> Text:
    """Mean and spread; with the number of seeds only in tables without published numbers."""
    if cell.value is None:
        return Text(layout.MISSING, "dim")
    mean, _, spread = layout.mean_text(cell).partition(" ")
    if table.experiment.published is not None:
        std = cell.value.std
        spread = "" if std is None else f"±{layout.number(std, cell.metric)}"
    elif spread:
        spread = f" {spread}"
    return Text(mean, "bold" if cell.best else "").append(spread, "not bold")


def markdown(table: Table) -> str:
    """Heading, caption, a pipe table, its notes and summaries; the best in `**bold**`."""
    details, slots = layout.details(table), layout.slots(table)
    titles = [f"{layout.plain(table.columns[n].title)}<br>{layout.heading(m)}" for n, m in slots]
    grouped = any(row.declared.group for row in table.rows)
    head = [*([""] if grouped else []), "", *map(layout.plain, details)]
    lines = [[*head, *titles], [*["---"] * len(head), *["---:"] * len(titles)]]
    for group, rows in layout.grouped(table):
        for row in rows:
            first = [layout.plain(group) if row is rows[0] else ""] if grouped else []
            texts = [layout.plain(row.declared.details.get(name, "")) for name in details]
            cells = [_marked(row.cells.get(slot)) for slot in slots]
            lines.append([*first, layout.plain(row.declared.title), *texts, *cells])
    text = (
        f"## {layout.plain(table.experiment.title)}\n\n{layout.plain(table.experiment.caption)}\n\n"
    )
    text += "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = [layout.MEAN_NOTE, layout.rank_note(table), *layout.notes(table)]
    text += f"\n{' '.join(map(layout.plain, filter(None, notes)))}\n"
    if table.experiment.slips:
        text += "\nSlips in the paper's table:\n\n"
        text += "".join(f"- {layout.plain(slip)}\n" for slip in table.experiment.slips)
    text += "".join(summary_text.markdown(table, summary) for summary in table.summaries)
    return text + (f"\n{summary_text.NOTE}\n" if table.summaries else "")


def _marked(cell: Cell | None) -> str:
    if cell is None:
        return layout.MISSING
    mean = layout.mean_text(cell) or layout.MISSING
    parts = [f"**{mean}**" if cell.best else mean]
    if cell.published is not None:
        mark = layout.BELOW if cell.below_degraded else ""
        published = layout.published_text(cell.published, cell.metric) + mark
        texts = filter(None, [published, layout.difference_text(cell)])
        parts.append(f"<sub>{'; '.join(texts)}</sub>")
    return "<br>".join([*parts, *cell.states])


CSV_COLUMNS = (
    *("column", "metric", "mean", "std", "n", "best", "states"),
    *("published_mean", "published_std", "difference", "comparable", "below_degraded"),
    *("below_classical", "runs"),
)


def as_csv(table: Table) -> str:
    """CSV with a line for each cell; `std` is the sample standard deviation (ddof 1).

    `best` is whether it is bold; `runs` are the ids behind the mean as `seed:id`; `difference` is
    ours minus published, empty where the two are for different data.
    """
    details = layout.details(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["table", "group", "row", *details, *CSV_COLUMNS])
    for row in layout.rows(table):
        texts = [row.declared.details.get(name, "") for name in details]
        for numbers in _numbers(table, row):
            writer.writerow([table.key, row.declared.group, row.declared.title, *texts, *numbers])
    return buffer.getvalue()


def _numbers(table: Table, row: Row) -> Iterator[list[object]]:
    for n, metric in layout.slots(table):
        cell = row.cells.get((n, metric))
        if cell is None:
            continue
        value, published = cell.value, cell.published
        runs = row.expected.get(n, {}) if row.reference else cell.finished
        yield [
            *(table.columns[n].title, metric),
            *((value.mean, value.std) if value else (None, None)),
            # no run of the table produced a reference: n is 0
            *(len(cell.finished), _yes(cell.best), ", ".join(cell.states)),
            *((published.mean, published.std) if published else (None, None)),
            *(cell.difference, _yes(cell.comparable), _yes(cell.below_degraded)),
            _yes(cell.below_classical),
            " ".join(f"{seed}:{run}" for seed, run in runs.items()),
        ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
