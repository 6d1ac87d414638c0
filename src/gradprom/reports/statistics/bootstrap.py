"""Bootstrap intervals for differences of scores.

A draw takes seeds with replacement, then groups (patients, lesions), then from each drawn group as
many images as it has. Runs that were tested on the same images get the same draw of them, whatever
their seed: an easy image is easy for all of them, and more seeds do not make more images. Pooled
scores are pooled anew in each draw (`Metric.score`). Nothing here imports torch.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
"""Number of bootstrap draws."""
Array = NDArray[np.float64]


def resample(groups: NDArray[Any], draws: int, rng: np.random.Generator) -> Array:
    """Draw groups with replacement, then images within each drawn group.

    Parameters
    ----------
    groups
        [images], the group of each image.
    draws
        Number of draws.
    rng
        Source of the draws.

    Returns
    -------
    Array
        [draws, images], how often each image is drawn.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    drawn_groups = rng.integers(len(sizes), size=(draws, len(sizes)))
    # one entry for each drawn image: its group, and its draw
    image_group = np.repeat(drawn_groups.ravel(), sizes[drawn_groups].ravel())
    image_draw = np.repeat(np.arange(draws), sizes[drawn_groups].sum(axis=1))
    images = order[starts[image_group] + rng.integers(sizes[image_group])]
    counts = np.bincount(image_draw * len(groups) + images, minlength=draws * len(groups))
    return counts.reshape(draws, len(groups)).astype(float)


@dataclass
class Draws:
    """Draws of images and of seeds, each made once: all scores that share them are paired."""

    number: int = DRAWS
    """Number of draws."""
    _images: dict[str, Array] = field(default_factory=dict)
    _seeds: dict[int, Array] = field(default_factory=dict)

    def images(self, test_set: str, groups: NDArray[Any]) -> Array:
        """How often each image of a set is drawn, [draws, images]; independent between sets."""
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
        """The 95 % interval of a mean over seeds.

        Parameters
        ----------
        by_seed
            [draws, seeds], the value of each seed in each draw of images.

        Returns
        -------
        tuple[float, float]
            The percentiles 2.5 and 97.5.
        """
        with np.errstate(invalid="ignore"):
            return interval((self.seeds(by_seed.shape[1]) * by_seed).sum(axis=1))


def interval(values: Array) -> tuple[float, float]:
    """The percentiles 2.5 and 97.5 of a value over the draws in which it is finite.

    NaN, twice, if it is finite in none.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.nan, np.nan
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)
