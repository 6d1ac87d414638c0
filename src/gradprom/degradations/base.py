"""What a degradation is: the seam that every file of this package stands behind.

Torch is imported inside functions throughout the package: reports ask the files for their column
titles, and must not wait for torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Degradation(Protocol):
    """What every degradation offers; images are [B, C, H, W] with values in [0, 1].

    `draw` is what deepinv calls a physics generator's `step`, `apply` its `physics(x, **params)`,
    `operator` its `A` and `adjoint` its `A_adjoint`.
    """

    name: str

    @property
    def scale(self) -> int:
        """How many times smaller than the clean images the degraded ones are; >= 1."""
        ...

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

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """A x: the linear part of `apply`, without noise and without a cut to [0, 1].

        [B, C, H, W] -> `output_shape`; differentiable, values of any size.
        """
        ...

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Aᵀ y, from degraded images to `shape` [B, C, H, W], that of the clean ones.

        ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for all x and y, image by image.
        """
        ...

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """[B] float32 >= 0: the standard deviation of each image's noise, in image units.

        Zero where there is no noise; where it depends on the pixel, that of a white one.
        """
        ...

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the degraded images of clean images of `shape` [B, C, H, W].

        Raises
        ------
        ValueError
            For images that it cannot degrade.
        """
        ...


class Noiseless:
    """A degradation that adds no noise."""

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """Zero for each image, [B]."""
        return constant_level(0.0, parameters, batch_size)


class Deterministic(Noiseless):
    """A degradation that draws nothing."""

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Nothing is random here."""
        return {}


class SameShape:
    """A degradation that leaves the shape as it is."""

    @property
    def scale(self) -> int:
        """Degraded images are as large as clean ones."""
        return 1

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The clean images' own shape."""
        return shape


class Noise(SameShape):
    """A degradation that is noise and nothing else: its linear part is the identity."""

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The images themselves."""
        return batch

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The images themselves."""
        return batch


def constant_level(value: float, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
    """One noise level for all images, [B], where the draw lies; on the CPU if nothing was drawn."""
    import torch

    device = next((drawn.device for drawn in parameters.values()), torch.device("cpu"))
    return torch.full((batch_size,), value, device=device)


def scale_of(degradation: Degradation) -> int:
    """How many times smaller than the clean images the degraded ones are; a whole number >= 1."""
    return degradation.scale


def doubled(values: Tensor) -> Tensor:
    """The values in float64, in which every device finds the same float32 in the end.

    They are on the CPU where their own device has no float64 (MPS).
    """
    return (values.cpu() if values.device.type == "mps" else values).double()


def in_words(
    form: str, options: Mapping[str, Any], shown: Sequence[str], usual: Mapping[str, Any]
) -> str:
    """A column title: `form` filled with the options, then whatever it does not show.

    Parameters
    ----------
    form
        A format string over the options, such as `×{scale}`.
    options
        The options of a degradation, as they are in a record.
    shown
        The options that the form shows.
    usual
        Values that are not worth a word. All else stands behind as `key=value`, so that two
        degradations that differ have different titles.
    """
    hidden = ("name", *shown)
    rest = {k: v for k, v in options.items() if k not in hidden and (k, v) not in usual.items()}
    return " ".join([form.format(**options), *(f"{key}={value}" for key, value in rest.items())])
