"""Slices of drawn heads: where which tissue is."""

import numpy as np
from numpy.typing import NDArray

from gradprom.data.drawing import Array, centres, halved
from gradprom.data.mr_signals import TISSUES, Slice
from gradprom.randomness import stream

VERSION = 1
"""Raised when a drawing changes."""

_VARIATION = 0.06
"""Of tissues' density and times from head to head, as a standard deviation relative to them."""


def drawn(head: str, place: float, size: int) -> Slice:
    """A slice of a head.

    Parameters
    ----------
    head
        The name of the head.
    place
        Of the slice: from -1, the lowest, to 1.
    size
        Height and width in pixels.
    """
    tissue = _tissues(head, place, size)
    return lambda sequence: halved(sequence.signal(*tissue))


def _tissues(head: str, place: float, size: int) -> tuple[Array, Array, Array]:
    """Proton density, T1 and T2 of each point of a slice."""
    rng = np.random.default_rng(stream("head", head))
    values = np.array(list(TISSUES.values()))
    values = values * (1 + _VARIATION * rng.standard_normal(values.shape)).clip(0.7, 1.3)
    map_ = _anatomy(rng, place, 2 * size)
    density, t1, t2 = (values[map_, number] for number in range(3))
    return density, t1, t2


def _anatomy(rng: np.random.Generator, place: float, points: int) -> NDArray[np.intp]:
    """The number of the tissue of each point, [points, points]."""
    y, x = np.meshgrid(centres(points), centres(points), indexing="ij")
    width, height = rng.uniform((0.66, 0.82), (0.74, 0.9))
    shrunk = np.sqrt(1 - 0.6 * place**2)  # a head is narrower towards its ends
    angle = np.arctan2(y, x)
    folds, waves, phases = rng.integers(9, 15), rng.uniform(0.5, 1, 2), rng.uniform(0, 6, 2)
    radius = np.hypot(x / width, y / height) / shrunk
    folded = waves[0] * np.cos(folds * angle + phases[0] + 3 * place)
    folded += waves[1] * np.cos((folds - 4) * angle + phases[1] - 2 * place)
    map_ = np.zeros(x.shape, np.intp)
    for tissue, border in enumerate((1.0, 0.92, 0.84, 0.78), start=1):
        map_[radius < border] = tissue
    map_[radius < 0.64 + 0.05 * folded] = 5
    map_[_ventricles(x, y, place, rng)] = 3
    map_[_nuclei(x, y, place, rng)] = 4
    map_[_lesions(x, y, place, rng) & (map_ == 5)] = 6
    return map_


def _ventricles(x: Array, y: Array, place: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    wide, long = rng.uniform((0.05, 0.2), (0.1, 0.32)) * np.sqrt(max(1 - place**2, 0))
    bent = np.abs(x) - 0.09 - 0.25 * (y + 0.05) ** 2
    inside: NDArray[np.bool_] = (bent / wide) ** 2 + ((y + 0.05) / long) ** 2 < 1
    return inside


def _nuclei(x: Array, y: Array, place: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    size = rng.uniform(0.08, 0.12) * np.sqrt(max(1 - (1.5 * place) ** 2, 0))
    inside: NDArray[np.bool_] = np.hypot(np.abs(x) - 0.3, y - 0.08) < size
    return inside


def _lesions(x: Array, y: Array, place: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    inside = np.zeros(x.shape, bool)
    for _ in range(int(rng.integers(0, 7))):
        across, down, level = rng.uniform((-0.4, -0.5, -0.8), (0.4, 0.5, 0.8))
        radius = rng.uniform(0.04, 0.09)
        inside |= (x - across) ** 2 + (y - down) ** 2 + (0.5 * (place - level)) ** 2 < radius**2
    return inside
