"""Which cells of a table are bold: the best of a column, and all that are not worse.

A cell is worse than the best of its column, among rows tested on the same images, if the 95 %
interval of their paired difference lies wholly on the worse side of 0 and the difference is no
smaller than the metric's margin. The interval is that of claims (`statistics/effect.py`). Where
images have no scores, or two cells have no seed in common, the margin alone decides.
"""

from gradprom.metrics.registry import Metric
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.effect import effect
from gradprom.reports.statistics.image_scores import RunScore, StudyScores
from gradprom.reports.tables.references import tested_images
from gradprom.reports.tables.table import Cell, Row, Slot
from gradprom.runs.record import Record

Rivals = list[tuple[Row, Cell]]
"""Cells of one column and metric with a number, of rows tested on the same images."""


def mark_best(
    rows: list[Row],
    records: dict[str, Record],
    margins: dict[str, float],
    scores: StudyScores | None,
) -> None:
    """Mark the best cell of each column, and those that are not worse.

    Parameters
    ----------
    rows
        Those that runs produced.
    records
        By run id.
    margins
        By metric, in its unit; 0 for others.
    scores
        The scores of single images; None where they are not to be had.
    """
    for slot in dict.fromkeys(slot for row in rows for slot in row.cells):
        metric = metric_of(slot[1])
        for rivals in rivals_of(rows, slot, records) if metric.better else ():
            if len(rivals) > 1:
                _mark(rivals, metric, margins.get(metric.name, 0.0), scores)


def rivals_of(rows: list[Row], slot: Slot, records: dict[str, Record]) -> list[Rivals]:
    """The cells of one column and metric that have a number, by the images they were tested on."""
    by_images: dict[str, Rivals] = {}
    for row in rows:
        cell = row.cells.get(slot)
        if cell is not None and cell.value is not None:
            by_images.setdefault(images_of(row, cell, records), []).append((row, cell))
    return list(by_images.values())


def images_of(row: Row, cell: Cell, records: dict[str, Record]) -> str:
    """What identifies the images that a cell with a number was tested on."""
    return tested_images(records[next(iter(cell.finished.values()))], row.declared.test_set)


def _mark(rivals: Rivals, metric: Metric, margin: float, scores: StudyScores | None) -> None:
    best_row, best = max(rivals, key=lambda rival: metric.sign * _mean(rival[1]))
    best_scores = cell_scores(best_row, best, scores)
    for row, cell in rivals:
        gap = metric.sign * (_mean(best) - _mean(cell))
        low: float | None = None
        if cell is not best and scores is not None:
            own = cell_scores(row, cell, scores)
            behind = effect([(metric.sign, best_scores), (-metric.sign, own)], scores)
            if behind.mean is not None and behind.low is not None:
                gap, low = behind.mean, behind.low
        cell.paired = cell is best or low is not None
        worse = gap > 0 and gap >= margin and (low is None or low > 0)
        cell.best = not worse


def cell_scores(row: Row, cell: Cell, scores: StudyScores | None) -> dict[int, RunScore]:
    """The scores of a cell's runs by seed; empty where single images have none."""
    if scores is None:
        return {}
    return scores.by_seed(cell.finished, row.declared.test_set, cell.metric)


def _mean(cell: Cell) -> float:
    assert cell.value is not None
    return cell.value.mean
