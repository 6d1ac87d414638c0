"""What is known of how degraded images came about: the degradation with what was drawn for them.

Named beside deepinv's physics: `operator` is its `A`, `adjoint` its `A_adjoint`, and `forward` its
call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.degradations.base import Degradation
from gradprom.degradations.downsample import enlarge
from gradprom.randomness import stream
from gradprom.transfer import pin, to_device


@dataclass
class Observation:
    """What was drawn for the images of a batch; each call with equal arguments gives equal bits."""

    degradation: Degradation
    parameters: Mapping[str, Tensor]
    """The draw, each tensor with the batch's length first, on the batch's device."""
    shape: tuple[int, ...]
    """[B, C, H, W] of the images before they were degraded."""

    def forward(self, clean: Tensor) -> Tensor:
        """The degraded images of `clean` [B, C, H, W], with this draw's noise."""
        return self.degradation.apply(clean, self.parameters)

    def operator(self, clean: Tensor) -> Tensor:
        """A x for x = `clean` [B, C, H, W]: the linear part, without noise and clamp."""
        return self.degradation.operator(clean, self.parameters)

    def adjoint(self, degraded: Tensor) -> Tensor:
        """Aᵀ y for y = `degraded`: [B, C, H, W], as the clean images."""
        return self.degradation.adjoint(degraded, self.parameters, self.shape)

    def sigma(self) -> Tensor:
        """Standard deviation of each image's noise, [B], in units of the images; 0 without."""
        return self.degradation.noise_level(self.parameters, self.shape[0])

    def start(self, degraded: Tensor) -> Tensor:
        """A first estimate [B, C, H, W]: the degraded images, enlarged where they are smaller."""
        return enlarge(degraded, self.shape[-2:])


def observe_for_evaluation(
    degradation: Degradation,
    shape: Sequence[int],
    ids: Sequence[str],
    seed: int,
    device: torch.device,
) -> Observation:
    """Draw for the evaluation of images of `shape` [B, C, H, W], which are to lie on `device`.

    Each image's draw depends on the seed and its id alone and happens on the CPU, so that every
    strategy, machine, batch size and order sees the same degraded test set.
    """
    alone = (1, *shape[1:])
    draws = []
    for id in ids:
        generator = torch.Generator().manual_seed(stream("evaluation degradation", seed, id))
        draws.append(degradation.draw([id], alone, generator))
    parameters = {
        key: to_device(pin(torch.cat([draw[key] for draw in draws]), device), device)
        for key in draws[0]
    }
    return Observation(degradation, parameters, tuple(shape))
