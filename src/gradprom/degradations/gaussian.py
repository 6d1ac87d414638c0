"""White Gaussian noise (Section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Noise, constant_level, in_words, require_share
from gradprom.identity import added

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Gaussian(Noise):
    """Additive white Gaussian noise, the same σ at every pixel and channel (Section 4.2)."""

    name: str = "gaussian"
    """Which degradation this is."""
    sigma: float = 0.1
    """Standard deviation of the noise in image units, where the image's range is [0, 1]; from 0 to
    1."""
    clamp: bool = True
    """Whether the noisy image is clamped to [0, 1], as in ESTR."""
    sigma_low: float | None = added(None)
    """Each image draws its own σ uniformly from [sigma_low, sigma]; None: σ is `sigma`."""

    def __post_init__(self) -> None:
        share = f"{self.sigma:g}/255 = {self.sigma / 255:.3f}"
        in_levels = f"for {self.sigma:g} of 255 grey levels write {share}"
        require_share("sigma", self.sigma, 0, in_levels)
        if self.sigma_low is not None and not 0 <= self.sigma_low <= self.sigma:
            raise ValueError(
                f"sigma_low={self.sigma_low}: allowed are numbers from 0 to sigma={self.sigma}, "
                f"or null for one σ"
            )

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A standard normal field: σ scales it in `apply`, so every σ sees the same field.

        With `sigma_low` also `sigma`, each image's own, [B].
        """
        import torch

        noise = torch.empty(shape, device=generator.device, dtype=torch.float32)
        drawn = {"noise": noise.normal_(generator=generator)}
        if self.sigma_low is not None:
            share = torch.rand(shape[0], generator=generator, device=generator.device)
            drawn["sigma"] = self.sigma_low + (self.sigma - self.sigma_low) * share
        return drawn

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """batch + σ·noise, cut to [0, 1] if `clamp`; [B, C, H, W] -> [B, C, H, W]."""
        sigma: Tensor | float = self.sigma
        if self.sigma_low is not None:
            sigma = parameters["sigma"].to(batch).view(-1, 1, 1, 1)
        noisy = batch + sigma * parameters["noise"].to(batch)
        return noisy.clamp_(0, 1) if self.clamp else noisy

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """σ of each image, [B]: the drawn values if `sigma_low` is set."""
        if self.sigma_low is not None:
            return parameters["sigma"]
        return constant_level(self.sigma, parameters, batch_size)


Options = Gaussian


def label(options: Mapping[str, Any]) -> str:
    """Such as `σ=0.1`, or `σ=0…0.2` where each image draws its own."""
    form = (
        "σ={sigma:.12g}" if options.get("sigma_low") is None else "σ={sigma_low:.12g}…{sigma:.12g}"
    )
    return in_words(form, options, ("sigma", "sigma_low"), {"clamp": True})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """First of all kinds, by σ."""
    return 0, options["sigma"]
