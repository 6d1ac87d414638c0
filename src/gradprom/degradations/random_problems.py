"""Inverse problems at random: what priors for many problems are trained on.

Each image is blurred, down-sampled, or loses pixels, a third each (Willingham et al. 2024, section
5.1), and gets noise. Down-sampled images stay on the grid of the clean ones, with zeros where there
is no pixel: data term and gradient are the same, and a batch can hold every kind of problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradprom.degradations import circulant
from gradprom.degradations.base import SameShape, doubled, in_words, require_share
from gradprom.degradations.completion import GREY, LARGEST_DROP
from gradprom.degradations.decimation import SIGMA
from gradprom.identity import added

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class RandomProblems(SameShape):
    """y = M (R x Cᵀ) + σ·noise: filters R, C of rows and columns, then a mask M of kept pixels."""

    name: str = "random_problems"
    """Which degradation this is."""
    blur: float = 4.0
    """The largest standard deviation of a Gaussian blur in pixels, drawn uniformly from 0 on."""
    scales: list[int] = field(default_factory=lambda: [1, 2, 4])
    """Factors of super-resolution, each as likely; the filter is bicubic or Gaussian."""
    drop: float = LARGEST_DROP
    """The largest probability that a pixel is missing, drawn uniformly from 0 on."""
    sigma: float = 50 / 255
    """The largest standard deviation of the noise in image units."""
    power: float = added(1.0)
    """Noise is `sigma`·uᵖ with u uniform in [0, 1): uniform with 1, mostly small with more; > 0."""

    def __post_init__(self) -> None:
        require_share("sigma", self.sigma, 0, f"for {self.sigma:g} of 255 grey levels divide it")
        if not 0 <= self.drop <= LARGEST_DROP:
            raise ValueError(f"drop={self.drop}: allowed are numbers from 0 to {LARGEST_DROP}")
        if not self.power > 0:
            raise ValueError(f"power={self.power}: allowed are numbers > 0")
        if not 0 <= self.blur < float("inf"):
            raise ValueError(f"blur={self.blur}: allowed are finite numbers >= 0")
        if not self.scales or min(self.scales) < 1:
            raise ValueError(f"scales={self.scales}: allowed are one or more whole numbers >= 1")

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Uniform numbers in [0, 1) for what is chosen, [B]; noise and the mask's field."""
        import torch

        batch, device = shape[0], generator.device
        kind, degree, filter, level = torch.rand(4, batch, generator=generator, device=device)
        field = torch.rand((batch, 1, *shape[2:]), generator=generator, device=device)
        return {
            "kind": kind,
            "degree": degree,
            "filter": filter,
            "level": level,
            "field": field,
            "noise": torch.randn(shape, generator=generator, device=device),
        }

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], with noise where pixels are kept; not clamped."""
        wide = doubled(batch)
        level = self.noise_level(parameters, len(batch)).view(-1, 1, 1, 1)
        noise = (level * parameters["noise"] * self._mask(parameters)).to(batch)
        return self.operator(wide, parameters).to(batch) + noise

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """M (R x Cᵀ), [B, C, H, W] -> [B, C, H, W]; in the images' own precision, to be fast."""
        blurred = circulant.filtered(batch, *self._filters(parameters, batch))
        return blurred * self._mask(parameters).to(batch)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Rᵀ (M y) C."""
        rows, columns = self._filters(parameters, batch)
        masked = batch * self._mask(parameters).to(batch)
        return circulant.filtered(masked, rows.mT, columns.mT)

    def start(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Blurred images as they are, missing pixels grey, down-sampled images enlarged."""
        scale, completes = self._scale(parameters), self._completes(parameters)
        matrices = []
        for side in shape[-2:]:
            places = _places(side, scale)
            around = circulant.bicubic(places - (scale[:, None] - 1) / 2, side, scale)
            # only kept pixels count, which lie at the multiples of the factor
            around = around * (places.remainder(scale[:, None]) == 0)[:, None]
            matrices.append((around / around.sum(-1, keepdim=True)).to(batch))
        enlarged = circulant.filtered(batch, *matrices)
        missing = ~self._mask(parameters) & completes.view(-1, 1, 1, 1)
        return enlarged + GREY * missing.to(batch)

    def prepare(
        self, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """The draw with its filters and mask, [B, …] float32, for operators used many times."""
        rows, columns = (
            self._filter(parameters, side).to(parameters["noise"]) for side in shape[-2:]
        )
        return {**parameters, "rows": rows, "columns": columns, "mask": self._mask(parameters)}

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """σ of each image, [B]."""
        return self.sigma * parameters["level"] ** self.power

    def _filters(self, parameters: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
        """Of rows and of columns, [B, side, side] each, of the images' type."""
        if (matrices := circulant.prepared(parameters, images)) is not None:
            return matrices
        return [self._filter(parameters, side).to(images) for side in images.shape[-2:]]

    def _filter(self, parameters: Mapping[str, Tensor], side: int) -> Tensor:
        """Along an axis, float64 [B, side, side]; the identity where pixels are missing."""
        scale, kind, degree = self._scale(parameters), parameters["kind"], parameters["degree"]
        shrinks = self._shrinks(parameters)
        sigma = (self.blur * degree.double()).where(kind < 1 / 3, 0.0)
        sigma = (SIGMA * scale).where(shrinks, sigma)
        is_bicubic = (shrinks & (parameters["filter"] < 0.5)).view(-1, 1, 1)
        centres = _places(side, scale) + (scale[:, None] - 1) / 2
        bicubic = circulant.bicubic(centres, side, scale)
        return bicubic.where(is_bicubic, circulant.gaussian(centres, side, sigma))

    def _mask(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The pixels that are kept, bool [B, 1, H, W]."""
        if "mask" in parameters:
            return parameters["mask"]
        field, scale = parameters["field"], self._scale(parameters)
        height, width = (
            _places(side, scale).remainder(scale[:, None]) == 0 for side in field.shape[-2:]
        )
        grid = height[:, None, :, None] & width[:, None, None, :]
        drop = (self.drop * parameters["degree"]).where(self._completes(parameters), 0.0)
        return grid & (field >= drop.view(-1, 1, 1, 1))

    def _scale(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The factor of super-resolution, float64 [B]; 1 for other problems."""
        import torch

        degree = parameters["degree"]
        factors = torch.tensor(self.scales, dtype=torch.float64).to(degree.device)
        chosen = factors[(degree * len(self.scales)).long()]
        return chosen.where(self._shrinks(parameters), 1.0)

    def _shrinks(self, parameters: Mapping[str, Tensor]) -> Tensor:
        kind = parameters["kind"]
        return (kind >= 1 / 3) & (kind < 2 / 3)

    def _completes(self, parameters: Mapping[str, Tensor]) -> Tensor:
        return parameters["kind"] >= 2 / 3


Options = RandomProblems


def _places(side: int, scale: Tensor) -> Tensor:
    """The pixels of an axis, float64 [B, side]."""
    import torch

    return torch.arange(side, dtype=torch.float64, device=scale.device).expand(len(scale), side)


def label(options: Mapping[str, Any]) -> str:
    """Such as `random problems`, and what differs from the published ranges."""
    return in_words("random problems", options, (), _USUAL)


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After all single problems."""
    return 6, options["sigma"]


_USUAL = {"blur": 4.0, "scales": [1, 2, 4], "drop": LARGEST_DROP, "sigma": 50 / 255, "power": 1.0}
