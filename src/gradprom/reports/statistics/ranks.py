"""Ranks and wins of rows over the cells of a table, as pure functions of arrays.

After the mean win rate of HELM (https://arxiv.org/abs/2211.09110, Section 1.1), with a margin below
which two scores are a tie.
"""

from typing import Literal

import numpy as np

from gradprom.reports.statistics.bootstrap import Array


def wins(gains: Array, margin: float = 0.0) -> Array:
    """How many of the other rows each row beats; a tie counts half.

    Parameters
    ----------
    gains
        [..., rows], scores of which more is better.
    margin
        A smaller difference is a tie, as are equal scores.

    Returns
    -------
    Array
        [..., rows], between 0 and rows − 1; NaN where a score of any row is NaN.
    """
    beaten = _below(gains, gains - margin, "right" if margin > 0 else "left")
    not_better = _below(gains, gains + margin, "left" if margin > 0 else "right")
    counts = (beaten + not_better - 1) / 2  # a row is not better than itself
    unknown = np.isnan(gains).any(axis=-1, keepdims=True)
    return np.asarray(np.where(unknown, np.nan, counts))


def ranks(gains: Array) -> Array:
    """The rank of each row, 1 for the best; equal scores share the mean of their ranks.

    Parameters
    ----------
    gains
        [..., rows], scores of which more is better.

    Returns
    -------
    Array
        [..., rows]; NaN where a score of any row is NaN.
    """
    return gains.shape[-1] - wins(gains)


def _below(gains: Array, limits: Array, side: Literal["left", "right"]) -> Array:
    """How many gains lie below each limit, [..., rows]; with `right`, equal ones count too.

    As `numpy.searchsorted` for each row of an array: sorted together, because comparing all pairs
    would take too long for hundreds of rows.
    """
    rows = gains.shape[-1]
    # the sort is stable: of equal numbers, those that stand first come first
    both = [gains, limits] if side == "right" else [limits, gains]
    is_gain = np.repeat([side == "right", side == "left"], rows)
    order = np.argsort(np.concatenate(both, axis=-1), axis=-1, kind="stable")
    counts = np.empty(order.shape)
    np.put_along_axis(counts, order, np.cumsum(is_gain[order], axis=-1), axis=-1)
    return counts[..., rows:] if side == "right" else counts[..., :rows]
