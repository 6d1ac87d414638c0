"""How values of images pool into a score, with a weight for each image."""

import re

import numpy as np
from numpy.typing import NDArray

from gradprom.metrics.registry import Score, Table

Array = NDArray[np.float64]


def ratio(part: Array, whole: Array, weights: Array) -> Array:
    """A ratio of sums over images in each column, then the mean over columns.

    Parameters
    ----------
    part, whole
        [images, columns]
    weights
        [..., images]: how often each image counts

    Returns
    -------
    Array
        [...]; columns whose sum is 0 are left out, NaN if none is left.
    """
    parts, wholes = weights @ part, weights @ whole
    nonempty = wholes > 0
    shares = np.divide(parts, wholes, out=np.zeros_like(parts), where=nonempty)
    with np.errstate(invalid="ignore"):
        return np.asarray(shares.sum(axis=-1) / nonempty.sum(axis=-1))


def mean(name: str) -> Score:
    """The weighted mean of a column over the images that have a value (NaN: none)."""

    def score(table: Table, weights: Array) -> Array:
        values = column(table, name)
        present, infinite = ~np.isnan(values), np.isinf(values)
        finite = np.where(present & ~infinite, values, 0.0)
        average = ratio(finite[:, None], present.astype(float)[:, None], weights)
        if infinite.any():  # not by a product: an infinite value that is not drawn gives 0 · ∞
            drawn = weights @ np.stack([values == np.inf, values == -np.inf], 1).astype(float) > 0
            with np.errstate(invalid="ignore"):
                average = average + np.where(drawn, [np.inf, -np.inf], 0.0).sum(axis=-1)
        return average

    return score


def column(table: Table, name: str) -> Array:
    """A column as numbers, [images]."""
    return np.asarray(table[name], float)


def numbered(table: Table, name: str) -> Array:
    """The columns `name_0`, `name_1`, … as an array, [images, columns]."""
    names = [c for c in map(str, table) if re.fullmatch(rf"{name}_\d+", c)]
    ordered = sorted(names, key=lambda c: int(c.rpartition("_")[2]))
    return np.stack([column(table, c) for c in ordered], axis=1)
