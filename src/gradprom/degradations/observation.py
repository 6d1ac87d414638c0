"""The observation model of a batch: its degradation and the draw for its images.

Compared with deepinv's physics, `operator` is `A`, `adjoint` is `A_adjoint`, and `forward` is the
call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.degradations.base import Degradation, start_of
from gradprom.degradations.downsample import enlarge
from gradprom.randomness import stream
from gradprom.transfer import pin, to_device


@dataclass
class Observation:
    """A degradation with its draw for a batch; equal arguments give bit-identical results."""

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
        """A first estimate [B, C, H, W], by the degradation's own rule if it has one.

        Without one: the degraded images, enlarged where they are smaller.
        """
        return enlarge(
            start_of(self.degradation, degraded, self.parameters, self.shape), self.shape[-2:]
        )

    def data_gradient(self, estimate: Tensor, degraded: Tensor) -> Tensor:
        """Aᵀ(A x − y), the gradient of ½‖A x − y‖² at x = `estimate`: [B, C, H, W]."""
        return self.adjoint(self.operator(estimate) - degraded)

    def prepared(self) -> "Observation":
        """An equal observation whose operator is fast to apply again and again.

        By the degradation's optional `prepare(parameters, shape)`, which returns more parameters.
        """
        prepare = getattr(self.degradation, "prepare", None)
        if prepare is None:
            return self
        parameters = prepare(self.parameters, self.shape)
        return Observation(self.degradation, parameters, self.shape)

    def select(self, rows: Tensor) -> "Observation":
        """Some images' part of the observation; `rows` is int64."""
        parameters = {key: drawn.index_select(0, rows) for key, drawn in self.parameters.items()}
        return Observation(self.degradation, parameters, (len(rows), *self.shape[1:]))


def observe_for_evaluation(
    degradation: Degradation,
    shape: Sequence[int],
    ids: Sequence[str],
    seed: int,
    device: torch.device,
) -> Observation:
    """Draw for the evaluation of a batch of images.

    Each image's draw depends only on the seed and its id and is made on the CPU, so that every
    strategy, machine, batch size and order sees the same degraded test set.

    Parameters
    ----------
    degradation
        The degradation.
    shape
        [B, C, H, W] of the images.
    ids
        Their ids.
    seed
        The evaluation seed.
    device
        The device of the images.
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
