"""Degradations: from the clean image (the paper's Y) to the degraded one (X).

A degradation is a small dataclass: its fields are its configuration, its methods the seam.
`draw` makes what is random and `apply` is a pure function of the batch and of that draw. A mix can
therefore draw for its parts one after the other, an evaluation can repeat a draw exactly, and an
operator that makes smaller images says so in `output_shape`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gradprom.degradations.base import Degradation, scale_of
from gradprom.degradations.blur import Blur
from gradprom.degradations.downsample import Downsample, enlarge
from gradprom.degradations.gaussian import Gaussian
from gradprom.degradations.mix import Mix
from gradprom.degradations.observation import Observation, observe_for_evaluation
from gradprom.degradations.poisson import Poisson

__all__ = [
    "OPTIONS",
    "Blur",
    "Degradation",
    "Downsample",
    "Gaussian",
    "Mix",
    "Observation",
    "Poisson",
    "build",
    "degrade_for_evaluation",
    "enlarge",
    "observe_for_evaluation",
    "scale_of",
]

OPTIONS: dict[str, type] = {
    "gaussian": Gaussian,
    "poisson": Poisson,
    "blur": Blur,
    "downsample": Downsample,
    "mix": Mix,
}


def build(node: Any) -> Degradation:
    """A degradation from its configuration: a mapping with `name`, or the dataclass itself.

    Raises ValueError when no degradation has that name.
    """
    if not isinstance(node, Mapping):
        return node
    name = node.get("name")
    if name not in OPTIONS:
        raise ValueError(f"degradation name={name!r}: allowed are {', '.join(sorted(OPTIONS))}")
    return OPTIONS[name](**node)


def degrade_for_evaluation(
    degradation: Degradation, images: Tensor, ids: Sequence[str], seed: int
) -> Tensor:
    """Degrade `images` [B, C, H, W] (float32, [0, 1]) for evaluation, on their device.

    As `observe_for_evaluation` draws it, which also gives what was drawn.
    """
    observed = observe_for_evaluation(degradation, images.shape, ids, seed, images.device)
    return observed.forward(images)
