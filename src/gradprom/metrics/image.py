"""How close an image is to the clean one.

A method's columns: any of `psnr`, `ssim`, `rmse`, `mae`, as `measure` makes them. The functions
work in float64, whatever they are given, on its device (on the CPU where that has no float64): in
float32 SSIM is off by some 1e-5 where an image is flat and bright. The protocol (open choice 9):
data range 1, all channels, no border crop, per image; a score is then the mean over images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gradprom.metrics.pooling import mean
from gradprom.metrics.registry import Metric

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 0
"""Image metrics come first in tables."""
WINDOW = 11
"""Side of SSIM's Gaussian window in pixels."""
SIGMA = 1.5
"""Standard deviation of SSIM's window in pixels."""
K1, K2 = 0.01, 0.03
"""SSIM's constants; with data range 1 they enter as their squares."""


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, data range 1.

    The squared error is averaged over one image, not over the batch: a pooled value is lower and
    depends on the batch size.

    Parameters
    ----------
    image, target : Tensor
        [B, C, H, W].

    Returns
    -------
    Tensor
        float64 [B]; +inf where the two are equal.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return -10 * _squared_error(image, target).log10()


def rmse(image: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared error of each image, on the range [0, 1].

    Parameters
    ----------
    image, target : Tensor
        [B, C, H, W].

    Returns
    -------
    Tensor
        float64 [B].

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return _squared_error(image, target).sqrt()


def mae(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of each image, on the range [0, 1].

    Parameters
    ----------
    image, target : Tensor
        [B, C, H, W].

    Returns
    -------
    Tensor
        float64 [B].

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _check_shapes(image, target)
    return (_doubled(image) - _doubled(target)).abs().mean(dim=(1, 2, 3))


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each image (Wang et al. 2004), data range 1.

    Gaussian window of 11×11 pixels, σ 1.5, population covariance, mean over all channels and over
    the window positions that lie completely inside the image.

    Parameters
    ----------
    image, target : Tensor
        [B, C, H, W].

    Returns
    -------
    Tensor
        float64 [B].

    Raises
    ------
    ValueError
        If the shapes differ or a side is shorter than 11 pixels.
    """
    import torch

    _check_shapes(image, target)
    if min(image.shape[-2:]) < WINDOW:
        height, width = image.shape[-2:]
        raise ValueError(f"image of {height}×{width} pixels: SSIM needs at least 11×11")
    # a CPU's cache holds the maps of one image; a GPU processes them all at once
    size = 1 if image.device.type == "cpu" else max(1, len(image))
    pairs = zip(image.split(size), target.split(size), strict=True)
    return torch.cat([_similarity(_doubled(x), _doubled(y)) for x, y in pairs])


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _smooth(x), _smooth(y)
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance = _smooth(x * y) - product
    # only the sum of the two variances is needed, so one smoothing serves both
    variances = _smooth(x.square() + y.square()) - squares
    luminance = (2 * product + K1**2) / (squares + K1**2)
    structure = (2 * covariance + K2**2) / (variances + K2**2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def _smooth(images: Tensor) -> Tensor:
    """Gaussian-weighted means over the windows inside the image: 10 pixels fewer per side.

    As a sum of shifted images, because convolution is slow in float64.
    """
    weights = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    weights = [weight / sum(weights) for weight in weights]
    for dim in (-1, -2):
        size = images.shape[dim] - WINDOW + 1
        total = images.narrow(dim, 0, size) * weights[0]
        for i in range(1, WINDOW):
            total.add_(images.narrow(dim, i, size), alpha=weights[i])
        images = total
    return images


def _squared_error(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each image, float64 [B]."""
    _check_shapes(image, target)
    return (_doubled(image) - _doubled(target)).square().mean(dim=(1, 2, 3))


def _doubled(images: Tensor) -> Tensor:
    return (images.cpu() if images.device.type == "mps" else images).double()


def _check_shapes(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(f"shapes {list(first.shape)} and {list(second.shape)}: must be equal")


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": psnr,
    "ssim": ssim,
    "rmse": rmse,
    "mae": mae,
}
"""The function of each metric, from an image and the clean one, [B, C, H, W] each, to [B]."""
USUAL = ("psnr", "ssim")
"""The measures of every run's degraded inputs, and of every enhancer's images."""


def measure(image: Tensor, target: Tensor, names: Iterable[str] = USUAL) -> dict[str, Tensor]:
    """Measures of each image, from [B, C, H, W] twice to float64 [B] by name."""
    return {name: MEASURES[name](image, target) for name in names}


def measures_of(scored: Iterable[str]) -> tuple[str, ...]:
    """The measures of degraded inputs: the usual ones, and those among a method's scores."""
    names = {*USUAL, *scored}
    return tuple(name for name in MEASURES if name in names)


_ALIKE = "data range 1, all channels, no border crop"

METRICS = (
    Metric(
        "psnr",
        "PSNR",
        unit="dB",
        score=mean("psnr"),
        columns=("psnr",),
        protocol=f"PSNR is taken of each image ({_ALIKE}), then the mean over images.",
        std_digits=2,
        brief="{:.1f}",
        logged=True,
    ),
    Metric(
        "ssim",
        "SSIM",
        score=mean("ssim"),
        side=WINDOW,
        columns=("ssim",),
        protocol=f"SSIM is taken of each image ({_ALIKE}), then the mean over images. It has a "
        f"Gaussian window of {WINDOW}×{WINDOW} pixels with σ {SIGMA}, population covariance, and "
        f"only windows that lie wholly inside the image.",
    ),
    Metric(
        "rmse",
        "RMSE",
        digits=4,
        better="lower",
        score=mean("rmse"),
        columns=("rmse",),
        protocol=f"RMSE is taken of each image ({_ALIKE}), then the mean over images.",
    ),
    Metric(
        "mae",
        "MAE",
        digits=4,
        better="lower",
        score=mean("mae"),
        columns=("mae",),
        protocol=f"MAE is taken of each image ({_ALIKE}), then the mean over images.",
    ),
)
