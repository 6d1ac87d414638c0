"""Degradations: from the clean image (the paper's Y) to the degraded one (X).

A degradation is a small dataclass: its fields are its configuration, its methods the interface.
`draw` draws everything random and `apply` is a pure function of the batch and of that draw. A mix
can therefore draw for its parts one after the other, and an evaluation can repeat a draw exactly.
Each file is found by its name, as datasets and strategies are; see docs/degradations.md. Nothing
here imports torch at import time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradprom.degradations.base import Degradation, scale_of
from gradprom.degradations.blur import Blur
from gradprom.degradations.completion import Completion
from gradprom.degradations.decimation import Decimation
from gradprom.degradations.downsample import Downsample, enlarge
from gradprom.degradations.gaussian import Gaussian
from gradprom.degradations.low_count import LowCount
from gradprom.degradations.mix import Mix
from gradprom.degradations.poisson import Poisson
from gradprom.degradations.random_problems import RandomProblems

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Blur",
    "Completion",
    "Decimation",
    "Degradation",
    "Downsample",
    "Gaussian",
    "LowCount",
    "Mix",
    "Poisson",
    "RandomProblems",
    "degrade_for_evaluation",
    "enlarge",
    "scale_of",
]


def degrade_for_evaluation(
    degradation: Degradation, images: Tensor, ids: Sequence[str], seed: int
) -> Tensor:
    """Degrade images for evaluation, on their device.

    With the draw of `observation.observe_for_evaluation`, which also returns that draw.

    Parameters
    ----------
    degradation
        The degradation.
    images : Tensor
        float32 [B, C, H, W] in [0, 1].
    ids
        The images' ids.
    seed
        The evaluation seed.
    """
    from gradprom.degradations.observation import observe_for_evaluation

    observed = observe_for_evaluation(degradation, images.shape, ids, seed, images.device)
    return observed.forward(images)
