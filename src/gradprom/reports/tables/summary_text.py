"""The summaries of a table as text: for a terminal, as Markdown, as CSV."""

import csv
import io
import math
from collections.abc import Iterator

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Measured, Summary, Table

TITLES = ("mean rank", "win rate")
NOTE = (
    "Mean rank: 1 is best, whatever the difference. Win rate: the share of comparisons with the "
    "other rows that a row wins; a difference below the margin is half a win. With 95 % intervals, "
    "of seeds, groups and images drawn alike for all rows and cells."
)


def title(table: Table, summary: Summary) -> str:
    """Such as `Over 8 cells (PSNR, SSIM in 4 columns), 3 seeds`."""
    metrics = ", ".join(map(layout.heading, dict.fromkeys(metric for _, metric in summary.slots)))
    columns = len({number for number, _ in summary.slots})
    where = f"{columns} columns" if columns > 1 else table.columns[summary.slots[0][0]].title
    seeds = f"{summary.seeds} seed{'s' if summary.seeds > 1 else ''}"
    drawn = seeds if summary.seeds else "no common scores of single images, so no intervals"
    return f"Over {len(summary.slots)} cells ({metrics} in {where}), {drawn}"


def left_out(summary: Summary) -> str:
    """Which rows lack some of the cells; or empty."""
    return f"Without {', '.join(summary.left_out)}: cells missing." if summary.left_out else ""


def rank_text(rank: Measured) -> str:
    """Such as `1.50 [1.25, 2.38]`."""
    interval = f" [{rank.low:.2f}, {rank.high:.2f}]" if math.isfinite(rank.low) else ""
    return f"{rank.mean:.2f}{interval}" if math.isfinite(rank.mean) else layout.MISSING


def win_text(rate: Measured) -> str:
    """Such as `83 % [71, 92]`."""
    interval = f" [{rate.low:.0%}, {rate.high:.0%}]" if math.isfinite(rate.low) else ""
    text = f"{rate.mean:.0%}".replace("%", " %") + interval.replace("%", "")
    return text if math.isfinite(rate.mean) else layout.MISSING


def terminal(table: Table, summary: Summary) -> Iterator[Text | RichTable]:
    """The standings of rows over all cells."""
    yield Text(f"\n{title(table, summary)}")
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    rich.add_column("", overflow="fold")
    for heading in TITLES:
        rich.add_column(heading, justify="right", overflow="fold")
    for standing in summary.standings:
        rich.add_row(
            Text(standing.row.label),
            rank_text(standing.rank),
            win_text(standing.win_rate),
        )
    yield rich
    if summary.left_out:
        yield Text(left_out(summary), "dim")


def markdown(table: Table, summary: Summary) -> str:
    """A heading and a pipe table of standings, the best first."""
    lines = [["", *TITLES], ["---", *["---:"] * len(TITLES)]]
    lines += [
        [
            layout.plain(standing.row.label),
            layout.plain(rank_text(standing.rank)),
            layout.plain(win_text(standing.win_rate)),
        ]
        for standing in summary.standings
    ]
    text = f"\n{layout.plain(title(table, summary))}:\n\n"
    text += "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return text + (f"\n{layout.plain(left_out(summary))}\n" if summary.left_out else "")


CSV_COLUMNS = (
    *("table", "metrics", "cells", "seeds", "group", "row"),
    *("mean_rank", "rank_low", "rank_high", "win_rate", "win_low", "win_high"),
)


def as_csv(table: Table) -> str:
    """CSV with a line for each row of each summary; intervals are empty where there are none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for summary in table.summaries:
        metrics = " ".join(dict.fromkeys(metric for _, metric in summary.slots))
        for standing in summary.standings:
            numbers = [
                number if math.isfinite(number) else None
                for measured in (standing.rank, standing.win_rate)
                for number in (measured.mean, measured.low, measured.high)
            ]
            of_row = [standing.row.group, standing.row.title]
            writer.writerow(
                [table.key, metrics, len(summary.slots), summary.seeds, *of_row, *numbers]
            )
    return buffer.getvalue()
