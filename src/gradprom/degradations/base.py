"""The interface of a degradation, and base classes for common cases.

Torch is imported inside functions throughout the package, because reports import the files for
their column titles and must not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Degradation(Protocol):
    """The interface of a degradation; images are [B, C, H, W] with values in [0, 1].

    In deepinv `draw` is a physics generator's `step`, `apply` is `physics(x, **params)`,
    `operator` is `A` and `adjoint` is `A_adjoint`.
    """

    name: str

    @property
    def scale(self) -> int:
        """How many times smaller than the clean images the degraded ones are; >= 1."""
        ...

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw everything random for clean images of `shape` [B, C, H, W].

        The tensors have the first dimension B and are on the generator's device.
        """
        ...

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Degrade `batch` [B, C, H, W] by a draw, on the batch's device, without randomness."""
        ...

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """A x: the linear part of `apply`, without noise and without clamping to [0, 1].

        [B, C, H, W] -> `output_shape`; differentiable, for values of any size.
        """
        ...

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Aᵀ y, from degraded images to the shape of the clean ones, `shape` [B, C, H, W].

        ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for all x and y, image by image.
        """
        ...

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """[B] float32 >= 0: the standard deviation of each image's noise, in image units.

        Zero without noise; if it depends on the pixel, the level of a white pixel.
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
        """An empty draw."""
        return {}


class SameShape:
    """A degradation that does not change the shape."""

    @property
    def scale(self) -> int:
        """1: degraded images have the size of clean ones."""
        return 1

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The clean images' shape."""
        return shape


class Noise(SameShape):
    """A degradation that only adds noise: its linear part is the identity."""

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The images themselves."""
        return batch

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The images themselves."""
        return batch


def require_share(key: str, value: float, least: float, remedy: str) -> None:
    """Require a value in units of the image's range [0, 1], from `least` to 1.

    Parameters
    ----------
    remedy
        What to write for a value that is in another unit; shown for values from 2 on.

    Raises
    ------
    ValueError
        For any other value.
    """
    if not least <= value <= 1:
        raise ValueError(
            f"{key}={value}: allowed are numbers from {least:g} to 1, in units of the image's "
            f"range [0, 1]{f'; {remedy}' if 2 <= value < float('inf') else ''}"
        )


def constant_level(value: float, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
    """One noise level for all images, [B], on the draw's device; on the CPU if it is empty."""
    import torch

    device = next((drawn.device for drawn in parameters.values()), torch.device("cpu"))
    return torch.full((batch_size,), value, device=device)


def scale_of(degradation: Degradation) -> int:
    """How many times smaller than the clean images the degraded ones are; a whole number >= 1."""
    return degradation.scale


def start_of(
    degradation: Degradation,
    batch: Tensor,
    parameters: Mapping[str, Tensor],
    shape: tuple[int, ...],
) -> Tensor:
    """A first estimate of the clean images, by the degradation's `start` if it has one.

    `start(batch, parameters, shape)` is optional and has the arguments of `adjoint`; without it the
    degraded images themselves are the estimate.
    """
    own = getattr(degradation, "start", None)
    return batch if own is None else own(batch, parameters, shape)


def divided(shape: tuple[int, ...], scale: int) -> tuple[int, ...]:
    """[..., H/scale, W/scale] of a shape [..., H, W].

    Raises
    ------
    ValueError
        If `scale` does not divide H and W.
    """
    *rest, height, width = shape
    if height % scale or width % scale:
        raise ValueError(f"{height}×{width} pixels cannot be divided by scale={scale}")
    return (*rest, height // scale, width // scale)


def doubled(values: Tensor) -> Tensor:
    """The values in float64, so that rounded to float32 the results agree on every device.

    They are on the CPU if their device has no float64 (MPS).
    """
    return (values.cpu() if values.device.type == "mps" else values).double()


def in_words(
    form: str, options: Mapping[str, Any], shown: Sequence[str], usual: Mapping[str, Any]
) -> str:
    """A column title: `form` filled with the options, then the options that it does not show.

    Parameters
    ----------
    form
        A format string over the options, such as `×{scale}`.
    options
        The options of a degradation, as they are in a record.
    shown
        The options that the form shows.
    usual
        Values that are left out. All others are appended as `key=value`, so that different
        degradations have different titles.
    """
    hidden = ("name", *shown)
    rest = {k: v for k, v in options.items() if k not in hidden and (k, v) not in usual.items()}
    return " ".join([form.format(**options), *(f"{key}={value}" for key, value in rest.items())])
