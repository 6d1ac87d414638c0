"""Random numbers for each image of a batch, independent of the batch and the machine."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradprom.randomness import stream
from gradprom.transfer import pin, to_device


class ImageNoise:
    """Draws for images, each from its own generator on the CPU.

    Parameters
    ----------
    seed
        The evaluation seed.
    ids
        The images' ids: an image's draw depends only on the seed and its id.
    device
        The device of the draws.
    """

    def __init__(self, seed: int, ids: Sequence[str], device: torch.device):
        self.device = device
        self.generators = [
            torch.Generator().manual_seed(stream("evaluation sampler", seed, id)) for id in ids
        ]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal values, float32 [B, *shape]; each call continues the random stream."""
        return self._to_device(
            [torch.randn(shape, generator=generator) for generator in self.generators]
        )

    def uniform(self, *shape: int) -> Tensor:
        """Values in [0, 1), float32 [B, *shape]."""
        return self._to_device(
            [torch.rand(shape, generator=generator) for generator in self.generators]
        )

    def _to_device(self, draws: list[Tensor]) -> Tensor:
        return to_device(pin(torch.stack(draws), self.device), self.device)
