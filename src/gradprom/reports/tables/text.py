"""A rebuilt table as text: in a terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Line, Rebuilt, Shown

PLACES = {1: "bold", 2: "underline"}


@dataclass
class Terminal:
    """A table that puts as many of its columns side by side as the terminal has room for."""

    table: Rebuilt

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{self.table.experiment.title}. {self.table.experiment.caption}")
        yield from _fitting(self.table, console, options)
        seeds = len(self.table.experiment.seeds)
        told = f"Ours: mean ± sample standard deviation; {seeds} seeds unless told."
        yield Text(f"{told} {layout.MARKS}", "dim")
        for note in [*layout.said(self.table), *_slips(self.table)]:
            yield Text(note, "dim")
        yield Text("")


def terminal(table: Rebuilt) -> Terminal:
    """The table for a person at a terminal: ours, and the published numbers dim beneath."""
    return Terminal(table)


def _slips(table: Rebuilt) -> list[str]:
    return [f"Slip in the paper: {slip}" for slip in table.experiment.slips]


def _fitting(table: Rebuilt, console: Console, options: ConsoleOptions) -> list[Table]:
    """The table in as few parts as the width allows, each with all rows."""
    count = len(table.columns)
    unlimited = options.update(width=10_000)
    for parts in range(1, count + 1):
        size = -(-count // parts)
        found = [_part(table, range(i, min(i + size, count))) for i in range(0, count, size)]
        widest = max(Measurement.get(console, unlimited, part).maximum for part in found)
        if widest <= options.max_width:
            break
    return found


def _part(table: Rebuilt, numbers: range) -> Table:
    rich = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    rich.add_column("")
    shown = [(n, metric) for n, metric in layout.slots(table) if n in numbers]
    for n, metric in shown:
        title = Text.assemble(table.columns[n].title, "\n", layout.heading(metric))
        rich.add_column(title, justify="right", no_wrap=True)
    for group, lines in layout.grouped(table):
        if group:
            rich.add_row(Text(group, "italic"))
        for line in lines:
            cells = [_compact(line.cells.get(key), table) for key in shown]
            rich.add_row(_label(line, indent="  " * bool(group)), *cells)
    return rich


def _label(line: Line, indent: str) -> Text:
    told = [
        f"{key}: {value}" if value in ("Yes", "No") else value
        for key, value in line.row.details.items()
    ]
    text = Text(f"{indent}{line.row.title}")
    if told:
        text.append(f"\n{indent}{' · '.join(told)}", "dim")
    return text


def _compact(cell: Shown | None, table: Rebuilt) -> Text:
    if cell is None:
        return Text(layout.MISSING, "dim")
    parts = []
    if cell.value is not None:
        std = cell.value.std
        spread = "" if std is None else f"±{layout.number(std, cell.metric)}"
        mean = Text(layout.number(cell.value.mean, cell.metric), PLACES.get(cell.place, ""))
        parts.append(mean.append(spread, "not bold not underline"))
    else:
        parts.append(Text(layout.MISSING, "dim"))
    if cell.published is not None:
        mark = layout.BELOW if cell.below_degraded else ""
        told = f"{layout.number(cell.published.mean, cell.metric)}{mark}"
        parts.append(Text(f"{told} {layout.difference(cell)}".strip(), "dim"))
    parts += [Text(state, "yellow") for state in cell.states]
    return Text("\n").join(parts)


def markdown(table: Rebuilt) -> str:
    """Heading, caption, a pipe table and its notes; best `**bold**`, second `<u>underlined</u>`."""
    details, shown = layout.details(table), layout.slots(table)
    titles = [f"{_plain(table.columns[n].title)}<br>{layout.heading(m)}" for n, m in shown]
    grouped = any(line.row.group for line in table.lines)
    head = [*([""] if grouped else []), "", *map(_plain, details)]
    rows = [[*head, *titles], [*["---"] * len(head), *["---:"] * len(titles)]]
    for group, lines in layout.grouped(table):
        for line in lines:
            first = [_plain(group) if line is lines[0] else ""] if grouped else []
            told = [_plain(line.row.details.get(name, "")) for name in details]
            cells = [_marked(line.cells.get(key)) for key in shown]
            rows.append([*first, _plain(line.row.title), *told, *cells])
    text = f"## {_plain(table.experiment.title)}\n\n{_plain(table.experiment.caption)}\n\n"
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    text += f"\n{' '.join(map(_plain, [layout.OURS, layout.MARKS, *layout.said(table)]))}\n"
    if table.experiment.slips:
        text += "\nSlips in the paper's table:\n\n"
        text += "".join(f"- {_plain(slip)}\n" for slip in table.experiment.slips)
    return text


def _plain(text: str) -> str:
    """Text that Markdown takes as it stands."""
    text = "".join(f"\\{c}" if c in "\\`*_[]|#~" else c for c in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")


def _marked(cell: Shown | None) -> str:
    if cell is None:
        return layout.MISSING
    around = {1: "**{}**", 2: "<u>{}</u>"}.get(cell.place, "{}")
    parts = [around.format(layout.ours(cell) or layout.MISSING)]
    if cell.published is not None:
        mark = layout.BELOW if cell.below_degraded else ""
        told = [layout.theirs(cell.published, cell.metric) + mark, layout.difference(cell)]
        parts.append(f"<sub>{'; '.join(filter(None, told))}</sub>")
    return "<br>".join([*parts, *cell.states])


CSV_COLUMNS = (
    *("column", "metric", "mean", "std", "n", "place", "states"),
    *("published_mean", "published_std", "difference", "comparable", "below_degraded", "runs"),
)


def as_csv(table: Rebuilt) -> str:
    """A line a cell, with all that is known of it; `std` is the sample's (ddof 1).

    `runs` are the ids behind the mean as `seed:id`, `difference` is ours less published, empty
    where the two are of different data.
    """
    details = layout.details(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["table", "group", "row", *details, *CSV_COLUMNS])
    for line in layout.lines(table):
        told = [line.row.details.get(name, "") for name in details]
        for numbers in _numbers(table, line):
            writer.writerow([table.key, line.row.group, line.row.title, *told, *numbers])
    return buffer.getvalue()


def _numbers(table: Rebuilt, line: Line) -> Iterator[list[object]]:
    for n, metric in layout.slots(table):
        cell = line.cells.get((n, metric))
        if cell is None:
            continue
        value, published = cell.value, cell.published
        yield [
            *(table.columns[n].title, metric),
            *((value.mean, value.std) if value else (None, None)),
            # the degraded input is of no run
            *(len(cell.finished), cell.place or None, ", ".join(cell.states)),
            *((published.mean, published.std) if published else (None, None)),
            *(cell.difference, _yes(cell.comparable), _yes(cell.below_degraded)),
            " ".join(f"{seed}:{run}" for seed, run in cell.finished.items()),
        ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
