"""Slices of drawn heads: tissues, and what MR sequences measure of them.

A head has tissues with a proton density and two relaxation times; signals follow from these by the
equations of spin echo and inversion recovery (Bernstein et al. 2004, chapters 14.2 and 14.3). Times
are in ms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradprom.data.drawing import Array, centres, halved
from gradprom.randomness import stream

VERSION = 1
"""Raised when a drawing changes."""

TISSUES = {
    "air": (0.0, 1000.0, 100.0),
    "scalp": (0.9, 280.0, 75.0),
    "skull": (0.08, 900.0, 30.0),
    "fluid": (1.0, 4000.0, 1800.0),
    "grey matter": (0.83, 1150.0, 92.0),
    "white matter": (0.69, 680.0, 74.0),
    "lesion": (0.86, 1450.0, 160.0),
}
"""Proton density relative to water, T1 and T2 at 1.5 T, rounded."""
_VARIATION = 0.06
"""Of each of these from head to head, as a standard deviation relative to them."""


@dataclass(frozen=True)
class Sequence:
    """A pulse sequence: spin echo, after an inversion where `inversion` is set."""

    repetition: float
    echo: float
    inversion: float = 0.0

    def signal(self, density: Array, t1: Array, t2: Array) -> Array:
        """The magnitude of the signal of each point."""
        recovered = 1 - np.exp(-self.repetition / t1)
        if self.inversion:
            recovered = 1 - 2 * np.exp(-self.inversion / t1) + np.exp(-self.repetition / t1)
        return np.abs(density * recovered) * np.exp(-self.echo / t2)


CONTRASTS = {
    "T1w": Sequence(500, 10),
    "T1-FLAIR": Sequence(2500, 10, 1050),
    "T2w": Sequence(4500, 100),
    "T2-FLAIR": Sequence(9000, 100, 2450),
    "STIR": Sequence(4300, 60, 150),
    "PDw": Sequence(4500, 15),
}
"""The six conventional contrasts of the paper, by its names."""
ACQUIRED = tuple(Sequence(2000, echo, delay) for delay in (170, 670, 1840) for echo in (23, 98))
"""Three dynamics of two echoes: what contrasts are synthesized from."""
_WHITE = {name: 0.62 for name in CONTRASTS} | {"T2w": 0.7, "T2-FLAIR": 0.35, "PDw": 0.9}
"""The signal that is shown as white."""


def acquired(head: str, place: float, size: int) -> NDArray[np.uint8]:
    """What was acquired of a slice, uint8 [6, size, size].

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
    return np.stack([_pixels(sequence.signal(*tissue), 0.8) for sequence in ACQUIRED])


def contrast(head: str, place: float, name: str, size: int) -> NDArray[np.uint8]:
    """A slice in one of `CONTRASTS`, uint8 [1, size, size]; arguments as above."""
    signal = CONTRASTS[name].signal(*_tissues(head, place, size))
    return _pixels(signal, _WHITE[name])[None]


def _pixels(signal: Array, white: float) -> NDArray[np.uint8]:
    return ((halved(signal) / white).clip(0, 1) * 255).round().astype(np.uint8)


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
