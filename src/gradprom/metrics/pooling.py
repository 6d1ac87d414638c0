"""How values of images pool into a score, with a weight for each image."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradprom.metrics.registry import Table

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


@dataclass(frozen=True)
class Mean:
    """The weighted mean of a column over the images that have a finite value.

    NaN in a column means that an image has no value. An infinite value, such as the PSNR of an
    image equal to the clean one, would be the mean whatever the other images are: it is left out
    too, and its number is told (`left_out`).
    """

    column: str

    def __call__(self, table: Table, weights: Array) -> Array:
        """The score [...] for weights [..., images]; NaN where no image with a value counts."""
        values = column(table, self.column)
        finite = np.isfinite(values)
        kept = np.where(finite, values, 0.0)
        return ratio(kept[:, None], finite.astype(float)[:, None], weights)

    def left_out(self, table: Table) -> int:
        """How many images have an infinite value."""
        return int(np.isinf(column(table, self.column)).sum())


def mean(name: str) -> Mean:
    """The weighted mean of a column over the images that have a finite value."""
    return Mean(name)


def column(table: Table, name: str) -> Array:
    """A column as numbers, [images]."""
    return np.asarray(table[name], float)


def numbered(table: Table, name: str) -> Array:
    """The columns `name_0`, `name_1`, … as an array, [images, columns]."""
    names = [c for c in map(str, table) if re.fullmatch(rf"{name}_\d+", c)]
    ordered = sorted(names, key=lambda c: int(c.rpartition("_")[2]))
    return np.stack([column(table, c) for c in ordered], axis=1)
