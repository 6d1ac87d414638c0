"""Intervals for differences of scores: seeds and test images are drawn again and again.

A draw takes seeds with replacement, then groups (patients, lesions), then as many images as each
group has within it. Runs that were tested on the same images get the same draw of them, whatever
their seed: an image that is easy is so for all of them, and more seeds do not make more images.
Scores that are pooled are pooled anew in each draw (`Metric.score`). Nothing here imports torch.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
Array = NDArray[np.float64]


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
