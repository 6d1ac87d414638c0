"""A summary over all cells of a table: mean rank and win rate of each row, with intervals.

Rows are compared with those tested on the same images, over metrics that the same rows have, and
over cells that all compared rows have: of the rows and cells that leave no gap, those that make the
most numbers. The intervals come from the draws of seeds, groups and images behind all others, alike
for all rows and cells: cells of one table share images and seeds, so that drawing cells as if they
were independent would be wrong, and they are the ones of interest, not a sample of others.
"""

import numpy as np

from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.bootstrap import Array, interval
from gradprom.reports.statistics.image_scores import RunScore, StudyScores
from gradprom.reports.statistics.ranks import ranks, wins
from gradprom.reports.tables.ranking import cell_scores, images_of
from gradprom.reports.tables.table import Measured, Row, Slot, Standing, Summary
from gradprom.runs.record import Record

FEWEST = 2
"""Rows, and cells of each, below which there is nothing to sum up."""
Numbers = set[tuple[Slot, str]]
"""The cells of a row that have a number, each with the images it is of."""


def summaries(
    rows: list[Row],
    records: dict[str, Record],
    margins: dict[str, float],
    scores: StudyScores | None,
) -> list[Summary]:
    """Sum up a table.

    Parameters
    ----------
    rows
        Those that runs produced.
    records
        By run id.
    margins
        By metric, in its unit: two scores that differ by less are a tie in the win rate; 0 for
        others.
    scores
        The scores of single images; None where they are not to be had: no intervals then.
    """
    summed = []
    for metrics in _shared_metrics(rows):
        numbers = [(row, _numbers(row, metrics, records)) for row in rows]
        for group in _tested_alike(numbers):
            compared, slots = _without_gaps(group)
            if min(len(compared), len(slots)) >= FEWEST:
                ids = set(map(id, compared))
                left_out = tuple(row.declared.label for row, _ in group if id(row) not in ids)
                standings, seeds = _standings(compared, slots, margins, scores)
                summed.append(Summary(slots, standings, seeds, left_out))
    return summed


def _shared_metrics(rows: list[Row]) -> list[list[str]]:
    """The metrics that have a better direction, those that the same rows have together."""
    by_rows: dict[tuple[int, ...], list[str]] = {}
    for metric in dict.fromkeys(name for row in rows for _, name in row.cells):
        having = tuple(n for n, row in enumerate(rows) if any(m == metric for _, m in row.cells))
        if metric_of(metric).better:
            by_rows.setdefault(having, []).append(metric)
    return list(by_rows.values())


def _numbers(row: Row, metrics: list[str], records: dict[str, Record]) -> Numbers:
    return {
        (slot, images_of(row, cell, records))
        for slot, cell in row.cells.items()
        if slot[1] in metrics and cell.value is not None
    }


def _tested_alike(numbers: list[tuple[Row, Numbers]]) -> list[list[tuple[Row, Numbers]]]:
    """The rows with numbers, apart if no row links them by the images of its cells."""
    groups: list[list[tuple[Row, Numbers]]] = []
    for row, own in numbers:
        linked = [group for group in groups if any(own & other for _, other in group)]
        groups = [group for group in groups if group not in linked]
        if own:
            groups.append([*(each for group in linked for each in group), (row, own)])
    return groups


def _without_gaps(group: list[tuple[Row, Numbers]]) -> tuple[list[Row], tuple[Slot, ...]]:
    """The rows and cells with the most numbers among those in which no row lacks a cell."""
    best: tuple[list[Row], Numbers] = ([], set())
    for numbers in [set.intersection(*(own for _, own in group)), *(own for _, own in group)]:
        having = [row for row, own in group if numbers <= own]
        if len(having) * len(numbers) > len(best[0]) * len(best[1]):
            best = having, numbers
    slots = {slot for slot, _ in best[1]}
    return best[0], tuple(slot for slot in best[0][0].cells if slot in slots)


def _standings(
    rows: list[Row], slots: tuple[Slot, ...], margins: dict[str, float], scores: StudyScores | None
) -> tuple[tuple[Standing, ...], int]:
    """Rank and win rate of each row, the best first; and over how many seeds."""
    by_seed = [[cell_scores(row, row.cells[slot], scores) for row in rows] for slot in slots]
    seeds = sorted(set.intersection(*(set(own) for of_rows in by_seed for own in of_rows)))
    if scores is None or not seeds:
        measured = [_means(rows, slot) for slot in slots]
    else:
        measured = [
            _gains(slot, [[own[seed] for own in of_rows] for seed in seeds], scores)
            for slot, of_rows in zip(slots, by_seed, strict=True)
        ]
    rank, drawn_rank = _mean_over_cells([(ranks(gains), ranks(drawn)) for gains, drawn in measured])
    thresholds = [margins.get(metric, 0.0) for _, metric in slots]
    rate, drawn_rate = _mean_over_cells(
        [
            (wins(gains, margin) / (len(rows) - 1), wins(drawn, margin) / (len(rows) - 1))
            for (gains, drawn), margin in zip(measured, thresholds, strict=True)
        ]
    )
    standings = [
        Standing(
            row.declared,
            Measured(float(rank[n]), *interval(drawn_rank[:, n])),
            Measured(float(rate[n]), *interval(drawn_rate[:, n])),
        )
        for n, row in enumerate(rows)
    ]
    return tuple(sorted(standings, key=lambda standing: standing.rank.mean)), len(seeds)


def _mean_over_cells(cells: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The mean over cells of [rows], and of [draws, rows]."""
    values, drawn = zip(*cells, strict=True)
    return np.mean(values, axis=0), np.mean(drawn, axis=0)


def _gains(slot: Slot, runs: list[list[RunScore]], scores: StudyScores) -> tuple[Array, Array]:
    """The scores of a cell, more being better: [rows], and on each draw, [draws, rows].

    From the runs of each seed and row, in each seed over the images that are finite in all rows.
    """
    paired = [scores.paired(of_seed) for of_seed in runs]
    values = np.array([[run.score for run in of_seed] for of_seed in paired]).mean(axis=0)
    # [seeds, rows, draws], and the seeds drawn with the images
    resampled = np.array([[run.resampled for run in of_seed] for of_seed in paired])
    drawn = np.einsum("ds,srd->dr", scores.draws.seeds(len(runs)), resampled)
    sign = metric_of(slot[1]).sign
    return sign * values, sign * drawn


def _means(rows: list[Row], slot: Slot) -> tuple[Array, Array]:
    """The same from the numbers of the table, which have no draws: [rows], and NaN [1, rows]."""
    values = [cell.value for cell in (row.cells[slot] for row in rows)]
    means = np.array([value.mean for value in values if value is not None])
    return metric_of(slot[1]).sign * means, np.full((1, len(rows)), np.nan)
