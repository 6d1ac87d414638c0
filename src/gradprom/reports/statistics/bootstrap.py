"""Intervals for differences of scores: seeds and test images are drawn again and again.

A draw takes seeds with replacement, then groups (patients, lesions), then as many images as each
group has within it. Runs that were tested on the same images get the same draw of them, whatever
their seed: an image that is easy is so for all of them, and more seeds do not make more images.
Scores that are pooled (accuracy, mIoU) are pooled anew in each draw. Nothing here imports torch.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 2000
Array = NDArray[np.float64]


@dataclass
class Ratio:
    """A score that is a ratio of sums over images, in each column; then the mean over columns.

    A mean over images is one column of values over ones; mIoU has a column for each class.
    """

    part: Array
    """[images, columns]"""
    whole: Array
    """[images, columns]"""

    def score(self, weights: Array) -> Array:
        """The score where image i counts `weights[..., i]` times, [..., images] -> [...].

        Columns without a sum are left out; NaN where that leaves none.
        """
        part, whole = weights @ self.part, weights @ self.whole
        kept = whole > 0
        shares = np.divide(part, whole, out=np.zeros_like(part), where=kept)
        with np.errstate(invalid="ignore"):
            return np.asarray(shares.sum(axis=-1) / kept.sum(axis=-1))


def ratios(table: Mapping[str, Any] | pd.DataFrame) -> dict[str, Ratio]:
    """The scores a run has by metric, from its table of images: columns of numbers by name."""

    def column(*names: str) -> Array:
        return np.stack([np.asarray(table[name], float) for name in names], axis=1)

    def numbered(name: str) -> list[str]:
        return [c for c in map(str, table) if re.fullmatch(rf"{name}_\d+", c)]

    images = [metric for metric in ("psnr", "ssim") if metric in table]
    found = {metric: Ratio(part := column(metric), np.ones_like(part)) for metric in images}
    if "prediction" in table:
        known = column("label") >= 0
        hits = (column("prediction") == column("label")) & known
        found["accuracy"] = Ratio(hits.astype(float), known.astype(float))
    if "union_0" in table:
        found["miou"] = Ratio(column(*numbered("intersection")), column(*numbered("union")))
    return found


def resample(groups: NDArray[Any], draws: int, rng: np.random.Generator) -> Array:
    """How often each image is drawn, [draws, images]: over groups, then over their images."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    drawn = rng.integers(len(sizes), size=(draws, len(sizes)))
    of = np.repeat(drawn.ravel(), sizes[drawn].ravel())
    draw = np.repeat(np.arange(draws), sizes[drawn].sum(axis=1))
    images = order[starts[of] + rng.integers(sizes[of])]
    counts = np.bincount(draw * len(groups) + images, minlength=draws * len(groups))
    return counts.reshape(draws, len(groups)).astype(float)


@dataclass
class Draws:
    """Draws of images and of seeds, each made once: all scores that share them are paired."""

    number: int = DRAWS
    _images: dict[str, Array] = field(default_factory=dict)
    _seeds: dict[int, Array] = field(default_factory=dict)

    def images(self, test_set: str, groups: NDArray[Any]) -> Array:
        """Draws of a test set's images, [draws, images]; other test sets' are independent."""
        if test_set not in self._images:
            rng = np.random.default_rng([1, zlib.crc32(test_set.encode())])
            self._images[test_set] = resample(groups, self.number, rng)
        return self._images[test_set]

    def seeds(self, count: int) -> Array:
        """The share of each seed in each draw, [draws, seeds]; rows sum to 1."""
        if count not in self._seeds:
            rng = np.random.default_rng([0, count])
            even = np.full(count, 1 / count)
            self._seeds[count] = rng.multinomial(count, even, size=self.number) / count
        return self._seeds[count]

    def interval(self, by_seed: Array) -> tuple[float, float]:
        """The 95 % interval of a mean over seeds, from each seed's value in each draw of images.

        [draws, seeds] -> low, high: the percentiles 2.5 and 97.5.
        """
        return interval((self.seeds(by_seed.shape[1]) * by_seed).sum(axis=1))


def interval(drawn: Array) -> tuple[float, float]:
    """The percentiles 2.5 and 97.5 of some draws; those without a value (NaN) are left out."""
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)
