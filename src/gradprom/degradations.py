"""Degradations: from the clean image (the paper's Y) to the degraded one (X).

A degradation is a small dataclass: its fields are its configuration, its methods the seam.
`draw` makes what is random and `apply` is a pure function of the batch and of that draw. A mix can
therefore draw for its parts one after the other, an evaluation can repeat a draw exactly, and an
operator that makes smaller images says so in `output_shape`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gradprom.randomness import stream


class Degradation(Protocol):
    """What every degradation offers; images are [B, C, H, W] with values in [0, 1]."""

    name: str

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw what is random for clean images of `shape` [B, C, H, W].

        The tensors have the first dimension B and lie on the generator's device.
        """
        ...

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Degrade `batch` [B, C, H, W] by a draw, on the batch's device, without randomness."""
        ...

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the degraded images of clean images of `shape` [B, C, H, W]."""
        ...


@dataclass
class Gaussian:
    """Additive white Gaussian noise, the same σ at every pixel and channel (Section 4.2)."""

    name: str = "gaussian"
    """Which degradation this is."""
    sigma: float = 0.1
    """Standard deviation of the noise in image units, where the image's range is [0, 1]; >= 0."""
    clamp: bool = True
    """Whether the noisy image is cut to [0, 1], as ESTR does it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma={self.sigma}: allowed are finite numbers >= 0")

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A standard normal field: σ scales it in `apply`, so every σ sees the same field."""
        noise = torch.empty(shape, device=generator.device, dtype=torch.float32)
        return {"noise": noise.normal_(generator=generator)}

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """batch + σ·noise, cut to [0, 1] if `clamp`; [B, C, H, W] -> [B, C, H, W]."""
        noisy = batch + self.sigma * parameters["noise"].to(batch)
        return noisy.clamp(0, 1) if self.clamp else noisy

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Noise leaves the shape as it is."""
        return shape


OPTIONS: dict[str, type] = {"gaussian": Gaussian}


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

    Each image's draw depends on the seed and its id alone and happens on the CPU, so that every
    strategy, machine, batch size and order sees the same degraded test set.
    """
    shape = (1, *images.shape[1:])
    draws = []
    for id in ids:
        generator = torch.Generator().manual_seed(stream("evaluation degradation", seed, id))
        draws.append(degradation.draw([id], shape, generator))
    parameters = {
        key: torch.cat([draw[key] for draw in draws]).to(images.device) for key in draws[0]
    }
    return degradation.apply(images, parameters)
