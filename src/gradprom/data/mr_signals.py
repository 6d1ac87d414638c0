"""What MR sequences measure of tissues: the signals, and the contrasts that are made of them.

Tissues have a proton density and two relaxation times; signals follow from these by the equations
of spin echo and inversion recovery (Bernstein et al. 2004, chapters 14.2 and 14.3). Times are in
ms.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradprom.data.drawing import Array

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


@dataclass(frozen=True)
class Sequence:
    """A pulse sequence: spin echo, after an inversion where `inversion` is set."""

    repetition: float
    echo: float
    inversion: float = 0.0

    def magnetization(self, density: Array, t1: Array, t2: Array) -> Array:
        """That of each point at the echo: negative where it has not recovered from inversion."""
        recovered = 1 - np.exp(-self.repetition / t1)
        if self.inversion:
            recovered = 1 - 2 * np.exp(-self.inversion / t1) + np.exp(-self.repetition / t1)
        return density * recovered * np.exp(-self.echo / t2)

    def signal(self, density: Array, t1: Array, t2: Array) -> Array:
        """Its magnitude, which images show."""
        return np.abs(self.magnetization(density, t1, t2))


CONTRASTS = {
    "T1w": Sequence(500, 10),
    "T1-FLAIR": Sequence(2500, 10, 1050),
    "T2w": Sequence(4500, 100),
    "T2-FLAIR": Sequence(9000, 100, 2450),
    "STIR": Sequence(4300, 60, 150),
    "PDw": Sequence(4500, 15),
}
"""The six conventional contrasts of Task-GAN, by its names."""
ACQUIRED = tuple(Sequence(2000, echo, delay) for delay in (170, 670, 1840) for echo in (23, 98))
"""Three dynamics of two echoes: what contrasts are synthesized from."""
_WHITE = {name: 0.62 for name in CONTRASTS} | {"T2w": 0.7, "T2-FLAIR": 0.35, "PDw": 0.9}
"""The signal that is shown as white."""
_WHITE_ACQUIRED = 0.8

Slice = Callable[[Sequence], Array]
"""A slice: the signal of its pixels [H, W] in a sequence."""


def acquired(slice_: Slice) -> NDArray[np.uint8]:
    """What was acquired of a slice, uint8 [6, H, W]."""
    return np.stack([_levels(slice_(sequence), _WHITE_ACQUIRED) for sequence in ACQUIRED])


def contrast(slice_: Slice, name: str) -> NDArray[np.uint8]:
    """A slice in one of `CONTRASTS`, uint8 [1, H, W]."""
    return _levels(slice_(CONTRASTS[name]), _WHITE[name])[None]


def _levels(signal: Array, white: float) -> NDArray[np.uint8]:
    return ((signal / white).clip(0, 1) * 255).round().astype(np.uint8)
