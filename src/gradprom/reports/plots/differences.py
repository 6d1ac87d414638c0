"""Panels of differences to a baseline: lines that lie on each other in absolute scores come apart.

The baseline is Benchmark-i, which is trained without an auxiliary task; for scores that it does not
have, such as an accuracy, the recognizer trained on degraded images (Benchmark-ii and -iii).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from gradprom.reports.plots.style import GREY, Stroke
from gradprom.reports.statistics.effect import effect
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.ranking import cell_scores, rivals_of
from gradprom.reports.tables.table import Cell, Row, Table

SPREAD = 14.0
"""Points over which the marks of one place on the axis are spread, so that none hides another."""
NEAREST = 2.5
"""Most points between two of them."""
LINEAR = 0.6
"""Length of the axis from 0 to the margin, in decades of the rest."""
ROOM = 1.3
"""Times the largest difference: where the axis ends."""
APART = 4
"""Least ratio of two ticks beyond the margin."""
FAR = 5
"""Times the margin: where a difference is larger, the axis is logarithmic beyond the margin."""
ZERO: Any = {"color": GREY, "lw": 0.8}
"""The line of the baseline itself."""
BAND: Any = {"color": GREY, "alpha": 0.2, "lw": 0}
"""The margin: what is in it makes no difference."""


@dataclass(frozen=True)
class Difference:
    """A row minus the baseline in one column."""

    mean: float
    low: float
    high: float
    """The paired 95 % interval; NaN without scores of single images."""
    published: float
    """The same of the paper's numbers; NaN where it prints none, or they are of other data."""


@dataclass(frozen=True)
class Differences:
    """All rows minus the baseline, in one metric."""

    baseline: Row
    rows: dict[int, dict[int, Difference]]
    """By the number of the row, and by column number; rows without any are left out."""


def differences(table: Table, metric: str, scores: StudyScores) -> Differences | None:
    """The differences of a table's rows to its baseline; None where it has none to compare."""
    for baseline in filter(None, _baselines(table)):
        rows = {
            number: found
            for number, row in enumerate(table.rows)
            if row is not baseline and (found := _of_row(table, row, baseline, metric, scores))
        }
        if rows:
            return Differences(baseline, rows)
    return None


def _baselines(table: Table) -> list[Row | None]:
    """The rows that may be the baseline, the first choice first."""

    def first(key: str, value: str) -> Row | None:
        rows = (row for row in table.rows if row.declared.overrides.get(key) == value)
        return next(rows, None)

    named = (row for row in table.rows if row.declared.title == "Benchmark-i")
    return [next(named, None), first("strategy", "mainstream"), first("method", "recognizer")]


def _of_row(
    table: Table, row: Row, baseline: Row, metric: str, scores: StudyScores
) -> dict[int, Difference]:
    """By column number; empty where the two have no column in common."""
    found = {}
    for number in range(len(table.columns)):
        for rivals in rivals_of([row, baseline], (number, metric), scores.records):
            if len(rivals) == 2:
                found[number] = _difference((row, rivals[0][1]), (baseline, rivals[1][1]), scores)
    return found


def _difference(
    first: tuple[Row, Cell], second: tuple[Row, Cell], scores: StudyScores
) -> Difference:
    (_, cell), (_, base) = first, second
    signed = [(1, cell_scores(*first, scores)), (-1, cell_scores(*second, scores))]
    paired = effect(signed, scores)
    published = np.nan
    if cell.published and base.published and cell.comparable and base.comparable:
        published = cell.published.mean - base.published.mean
    if paired.mean is None:  # no seed in common, or no scores of single images
        assert cell.value is not None and base.value is not None
        return Difference(cell.value.mean - base.value.mean, np.nan, np.nan, published)
    low, high = (np.nan if end is None else end for end in (paired.low, paired.high))
    return Difference(paired.mean, low, high, published)


def draw_panel(
    axis: Axes, shown: Differences, strokes: list[Stroke], values: list[float], margin: float
) -> None:
    """Draw a line for each row, with its paired intervals, and the margin as a band around 0.

    Where differences are far larger than the margin, the axis is logarithmic beyond it.

    Parameters
    ----------
    axis
        The panel.
    shown
        What is drawn.
    strokes
        Of each row of the table.
    values
        Where each column of the table stands on the axis.
    margin
        In the metric's unit; 0: no band.
    """
    step = min(NEAREST, SPREAD / len(shown.rows))
    ends = [2.0 * margin]
    for place, (number, by_column) in enumerate(shown.rows.items()):
        points = sorted((values[column], each) for column, each in by_column.items())
        x = [value for value, _ in points]
        mean, low, high, published = np.array(
            [[d.mean, d.low, d.high, d.published] for _, d in points]
        ).T
        ends += [float(end) for end in np.abs([*mean, *low, *high, *published]) if end == end]
        stroke = strokes[number]
        marks: Any = {"color": stroke.color, "marker": stroke.marker}
        drawn = [
            axis.vlines(x, low, high, color=stroke.color, lw=0.8),
            *axis.plot(x, mean, ls=stroke.dashes, **marks),
            *axis.plot(x, published, ls="", mfc="none", **marks),
        ]
        aside = (place - (len(shown.rows) - 1) / 2) * step / 72
        for artist in drawn:  # only now, because the limits of the axis are those of the data
            artist.set_transform(
                axis.transData + ScaledTranslation(aside, 0, axis.figure.dpi_scale_trans)
            )
    axis.margins(x=0.12)
    axis.axhline(0, **ZERO)
    if margin:
        axis.axhspan(-margin, margin, **BAND)
    if margin and max(ends) > FAR * margin:
        axis.set_yscale("symlog", linthresh=margin, linscale=LINEAR)
        beyond = ticks_beyond(margin, max(ends))
        axis.set_yticks([*(-t for t in beyond), -margin, 0, margin, *beyond])
        axis.minorticks_off()
    else:
        axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.set_ylim(-ROOM * max(ends), ROOM * max(ends))
    axis.yaxis.set_major_formatter("{x:g}")


def ticks_beyond(margin: float, farthest: float) -> list[float]:
    """Ticks of the logarithmic part of an axis: 1, 2 or 5 times powers of ten, with room between.

    Parameters
    ----------
    margin, farthest
        Where that part begins, and the largest difference on it.
    """
    ticks = [margin]
    for tick in (digit * 10.0**power for power in range(-9, 9) for digit in (1, 2, 5)):
        if APART * ticks[-1] * (1 - 1e-9) <= tick <= ROOM * farthest:
            ticks.append(tick)
    return ticks[1:]
