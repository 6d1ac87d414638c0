"""Main losses by name: how far an enhanced image is from the clean one."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from gradprom.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]

EPSILON = 1e-3
"""Charbonnier's ε, in units of the image range [0, 1]."""


def charbonnier(image: Tensor, target: Tensor) -> Tensor:
    """Mean of √((x - y)² + ε²), a smooth L1 (Charbonnier et al. 1994), with ε = 1e-3."""
    return ((image - target).square() + EPSILON**2).sqrt().mean()


LOSSES: dict[str, Loss] = {"mse": F.mse_loss, "l1": F.l1_loss, "charbonnier": charbonnier}
"""Means over all elements of an image and its target of equal shape, [B, C, H, W] -> 0-dim."""


def loss_by_name(name: str) -> Loss:
    """The main loss of this name.

    Raises
    ------
    ConfigError
        If there is none; the message lists the known names.
    """
    if name not in LOSSES:
        raise ConfigError(f"loss={name} is unknown; choose from {', '.join(LOSSES)}")
    return LOSSES[name]
