"""A signed sum of cells, such as the difference of two rows, with its paired interval.

The one definition behind claims, the marks in tables and the error bars of figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradprom.reports.statistics.image_scores import RunScore, StudyScores


@dataclass(frozen=True)
class Effect:
    """A signed sum of cells: its mean over seeds, with a 95 % interval."""

    by_seed: dict[int, float]
    """Of each seed that all cells have, and in which some image has a score in all of them."""
    low: float | None
    high: float | None
    """Percentiles of the bootstrap over seeds, groups and images, over groups and images alone with
    one seed; None where no draw has a score."""

    @property
    def mean(self) -> float | None:
        """None without a seed."""
        return float(np.mean(list(self.by_seed.values()))) if self.by_seed else None


def effect(signed: Sequence[tuple[int, dict[int, RunScore]]], scores: StudyScores) -> Effect:
    """The signed sum of the scores of some cells.

    Within each seed, runs on the same images are compared on those that have a finite score in all
    of them; all runs share the draws.

    Parameters
    ----------
    signed
        For each cell its sign, and the scores of its runs by seed.
    scores
        The study that the scores are of.
    """
    seeds = sorted(set.intersection(*(set(by_seed) for _, by_seed in signed)))
    by_seed, resampled = {}, []
    for seed in seeds:
        paired = scores.paired([of_cell[seed] for _, of_cell in signed])
        signs = [sign for sign, _ in signed]
        value = sum(sign * run.score for sign, run in zip(signs, paired, strict=True))
        if np.isfinite(value):
            by_seed[seed] = float(value)
            resampled.append(
                sum(sign * run.resampled for sign, run in zip(signs, paired, strict=True))
            )
    if not resampled:
        return Effect({}, None, None)
    low, high = scores.draws.interval(np.stack(resampled, axis=1))
    finite = bool(np.isfinite([low, high]).all())
    return Effect(by_seed, low if finite else None, high if finite else None)
