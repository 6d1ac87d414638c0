"""A table as the page's template `table.html` shows it: its texts, and the runs behind them.

The texts of cells come from `reports/tables/layout.py`, as in the other forms of a table.
"""

import json
from dataclasses import dataclass

from gradprom.metrics.registry import METRICS
from gradprom.reports.page.page_runs import first_order
from gradprom.reports.tables import layout, summary_text
from gradprom.reports.tables.table import Cell, Row, Summary, Table

_BADGES = ("failed", "mixed", "other", "not", "seeds")
"""Words in states for which the style has a class."""


@dataclass(frozen=True)
class Badge:
    """A state of a cell as text; its colour only repeats the text."""

    text: str
    kind: str
    """One of the words that have a style, or empty."""


@dataclass(frozen=True)
class Number:
    """The texts of a cell: our number, the published one below it, and the states."""

    mean: str
    """Of our runs; empty where none has finished."""
    spread: str
    """Such as `±0.030 (3)`; empty for the degraded input, which no run produced."""
    published: str
    """As the paper prints it, such as `24.610 ± 0.03`; empty where it prints none."""
    published_mean: str
    below_degraded: bool
    """Whether the published number is worse than the score of the degraded input."""
    difference: str
    """Our number minus the published one; empty where the two are not comparable."""
    badges: tuple[Badge, ...]


@dataclass(frozen=True)
class Button:
    """What the page's script needs to show the runs of a number."""

    runs: str
    """Seed and id of each run, such as `0:9c1185a5c5e9 1:0123456789ab`."""
    place: str
    """Such as `Table I · Sup. GradProm · σ = 0.1`."""
    metric: str
    test_set: str
    title: str


@dataclass(frozen=True)
class NumberCell:
    """A cell of one metric in one column."""

    classes: str
    sort_by: float | str = ""
    """Our number, unrounded; empty where no run has finished."""
    number: Number | None = None
    """None where the row does not have the metric."""
    button: Button | None = None
    """None where there are no runs to show."""


@dataclass(frozen=True)
class RowView:
    """One row: its heading, the details beside it and its numbers."""

    kind: str
    """CSS class: `pinned` (a row that no run produced), `grouped`, or empty."""
    group: str
    title: str
    problems: tuple[str, ...]
    """Why cells of the row cannot be run."""
    details: tuple[str, ...]
    cells: tuple[NumberCell, ...]


@dataclass(frozen=True)
class GroupView:
    """Rows under one heading; the heading is empty where they have none."""

    title: str
    rows: tuple[RowView, ...]


@dataclass(frozen=True)
class Heading:
    """A column's title with the number of its metrics, or one metric's with its CSS class."""

    text: str
    span: int = 1
    side: str = ""
    first: str = ""
    """How it is sorted at the first click: `descending` or `ascending`."""
    names: str = ""
    """The titles by which it can be hidden, as JSON: the column's and the metric's."""


@dataclass(frozen=True)
class SummaryView:
    """Rows over all cells: their labels, mean ranks and win rates, the best first."""

    title: str
    standings: tuple[tuple[str, str, str], ...]
    left_out: str


@dataclass(frozen=True)
class TableView:
    """A table with all its texts."""

    title: str
    caption: str
    columns: tuple[Heading, ...]
    details: tuple[str, ...]
    metrics: tuple[Heading, ...]
    groups: tuple[GroupView, ...]
    legend: str
    shown: tuple[str, ...]
    """Titles of columns and metrics, of which there are several, so that each can be hidden."""
    slips: tuple[str, ...]
    """Mistakes in the paper's own table."""
    summaries: tuple[SummaryView, ...]

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return sum(len(group.rows) for group in self.groups)

    @property
    def width(self) -> int:
        """Number of cells in a row, including its heading."""
        return 1 + len(self.details) + len(self.metrics)


def table_view(table: Table) -> TableView:
    """A table as the template shows it."""
    details, slots = layout.details(table), layout.slots(table)
    return TableView(
        title=table.experiment.title,
        caption=table.experiment.caption,
        columns=tuple(
            Heading(column.title, span=sum(n == number for n, _ in slots))
            for number, column in enumerate(table.columns)
        ),
        details=tuple(details),
        metrics=tuple(
            Heading(
                layout.heading(metric),
                side=_side(slots, place),
                first=first_order(METRICS[metric]),
                names=json.dumps([table.columns[number].title, layout.heading(metric)]),
            )
            for place, (number, metric) in enumerate(slots)
        ),
        groups=tuple(
            GroupView(title, tuple(_row(table, row, details, slots) for row in rows))
            for title, rows in layout.grouped(table)
        ),
        legend=" ".join(
            filter(None, [layout.MEAN_NOTE, layout.rank_note(table), *layout.notes(table)])
        ),
        shown=_shown(table, slots),
        slips=table.experiment.slips,
        summaries=tuple(_summary(table, summary) for summary in table.summaries),
    )


def _summary(table: Table, summary: Summary) -> SummaryView:
    standings = tuple(
        (each.row.label, summary_text.rank_text(each.rank), summary_text.win_text(each.win_rate))
        for each in summary.standings
    )
    return SummaryView(
        summary_text.title(table, summary), standings, summary_text.left_out(summary)
    )


def _shown(table: Table, slots: list[tuple[int, str]]) -> tuple[str, ...]:
    """Titles of metrics, then of columns, where there is more than one."""
    metrics = dict.fromkeys(layout.heading(metric) for _, metric in slots)
    columns = dict.fromkeys(table.columns[number].title for number, _ in slots)
    return tuple(title for titles in (metrics, columns) if len(titles) > 1 for title in titles)


def _side(slots: list[tuple[int, str]], place: int) -> str:
    """The CSS class of the first metric of a column, which separates the columns."""
    return "first" if place == 0 or slots[place][0] != slots[place - 1][0] else ""


def _row(table: Table, row: Row, details: list[str], slots: list[tuple[int, str]]) -> RowView:
    declared = row.declared
    cells = []
    for place, (number, metric) in enumerate(slots):
        names = (table.experiment.title, declared.label, table.columns[number].title)
        cells.append(_cell(row, (number, metric), _side(slots, place), names))
    return RowView(
        kind="pinned" if row.reference else "grouped" if declared.group else "",
        group=declared.group,
        title=declared.title,
        problems=tuple(row.problems),
        details=tuple(declared.details.get(name, "") for name in details),
        cells=tuple(cells),
    )


def _cell(row: Row, slot: tuple[int, str], side: str, names: tuple[str, ...]) -> NumberCell:
    cell, runs = row.cells.get(slot), row.expected.get(slot[0])
    if cell is None:
        return NumberCell(f"{side} none".strip())
    return NumberCell(
        classes=f"{side} {'best' if cell.best else ''}".strip(),
        sort_by=cell.value.mean if cell.value else "",
        number=_number(cell),
        button=_button(row, cell, runs, names) if runs else None,
    )


def _button(row: Row, cell: Cell, runs: dict[int, str], names: tuple[str, ...]) -> Button:
    return Button(
        runs=" ".join(f"{seed}:{run}" for seed, run in runs.items()),
        place=" · ".join(names),
        metric=cell.metric,
        test_set=row.declared.test_set,
        title=" · ".join([*names, layout.heading(cell.metric)]),
    )


def _number(cell: Cell) -> Number:
    mean, _, spread = layout.mean_text(cell).partition(" ")
    published = layout.published_text(cell.published, cell.metric) if cell.published else ""
    return Number(
        mean=mean,
        spread=spread.replace("± ", "±"),
        published=published,
        published_mean=published.partition(" ")[0],
        below_degraded=cell.below_degraded,
        difference=layout.difference_text(cell),
        badges=tuple(
            Badge(state, next(word for word in (*_BADGES, "") if word in state))
            for state in cell.states
        ),
    )
