"""How good an enhanced image is, and what the recognizer makes of it.

Pure functions on tensors, importing nothing else of gradprom. The image metrics work in float64,
whatever they are given, on its device (on the CPU where that has no float64): in float32 SSIM is
off by some 1e-5 where an image is flat and bright. The protocol (open choice 9):
data range 1, all channels, no border crop, per image; a score is then the mean over images.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WINDOW = 11
"""Side of SSIM's Gaussian window in pixels."""
SIGMA = 1.5
"""Standard deviation of SSIM's window in pixels."""
K1, K2 = 0.01, 0.03
"""SSIM's constants; with data range 1 they enter as their squares."""


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB, data range 1.

    [B, C, H, W] twice -> float64 [B]; +inf where the two are equal. The squared error is averaged
    over one image, not over the batch: a pooled value is lower and depends on the batch size.

    Raises ValueError when the shapes differ.
    """
    _check_shapes(image, target)
    error = (_doubled(image) - _doubled(target)).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error)


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each image (Wang et al. 2004), data range 1.

    [B, C, H, W] twice -> float64 [B]. Gaussian window of 11×11 pixels, σ 1.5, population
    covariance, mean over all channels and over the window positions that lie wholly inside the
    image.

    Raises ValueError when the shapes differ or a side is shorter than 11 pixels.
    """
    _check_shapes(image, target)
    if min(image.shape[-2:]) < WINDOW:
        height, width = image.shape[-2:]
        raise ValueError(f"image of {height}×{width} pixels: SSIM needs at least 11×11")
    # a CPU's cache holds the maps of one image; a GPU takes them all at once
    size = 1 if image.device.type == "cpu" else max(1, len(image))
    pairs = zip(image.split(size), target.split(size), strict=True)
    return torch.cat([_similarity(_doubled(x), _doubled(y)) for x, y in pairs])


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _smooth(x), _smooth(y)
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance = _smooth(x * y) - product
    # the two variances enter as their sum alone, and so does what is smoothed for them
    variances = _smooth(x.square() + y.square()) - squares
    luminance = (2 * product + K1**2) / (squares + K1**2)
    structure = (2 * covariance + K2**2) / (variances + K2**2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def confusion(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """How often each class was taken for each: int64 [classes, classes], rows the target's class.

    `prediction` and `target` are class numbers of equal shape, images' labels or masks alike;
    where the target is negative (not labelled) nothing is counted.

    Raises ValueError when the shapes differ or a class is out of range.
    """
    _check_shapes(prediction, target)
    known = target >= 0
    prediction, target = prediction[known].long(), target[known].long()
    for name, values in (("prediction", prediction), ("target", target)):
        if values.numel() and not (0 <= int(values.min()) and int(values.max()) < classes):
            raise ValueError(
                f"{name} holds classes {int(values.min())} to {int(values.max())}: "
                f"allowed are 0 to {classes - 1}"
            )
    cells = torch.bincount(target * classes + prediction, minlength=classes**2)
    return cells.view(classes, classes)


def intersection_and_union(
    prediction: Tensor, target: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """Pixels of each image in both masks and in either, for each class: two int64 [B, classes].

    `prediction` and `target` are class numbers [B, H, W].

    Raises ValueError when the shapes differ.
    """
    _check_shapes(prediction, target)
    numbers = torch.arange(classes, device=target.device).view(1, -1, 1, 1)
    predicted = prediction.unsqueeze(1) == numbers
    actual = target.unsqueeze(1) == numbers
    return (predicted & actual).sum(dim=(2, 3)), (predicted | actual).sum(dim=(2, 3))


def mean_iou(intersection: Tensor, union: Tensor) -> float:
    """Intersection over union in [0, 1], pooled over images, then the mean over classes.

    Both [N, classes] (or [classes], pooled already), as `intersection_and_union` counts them. The
    background is a class like any other. A class that no mask of either side holds has no union
    and is left out, where counting it as 0 or 1 would make the score depend on how many classes
    were declared; a class predicted where there is none counts 0. NaN when nothing is left.
    """
    overlap = intersection.reshape(-1, intersection.shape[-1]).sum(dim=0).tolist()
    either = union.reshape(-1, union.shape[-1]).sum(dim=0).tolist()
    return _mean([i / u for i, u in zip(overlap, either, strict=True) if u > 0])


def accuracy(matrix: Tensor) -> float:
    """Share of right predictions in [0, 1] from a confusion matrix; NaN when it is empty."""
    return _ratio(int(matrix.trace()), int(matrix.sum()))


def balanced_accuracy(matrix: Tensor) -> float:
    """Mean over classes of the share of their members that were found, in [0, 1].

    Classes without a member in the target are left out; NaN when there are none with.
    """
    found, members = matrix.diagonal().tolist(), matrix.sum(dim=1).tolist()
    return _mean([f / m for f, m in zip(found, members, strict=True) if m > 0])


def majority_share(matrix: Tensor) -> float:
    """The accuracy of always saying the most frequent class, in [0, 1]; NaN when it is empty."""
    return _ratio(int(matrix.sum(dim=1).max()), int(matrix.sum()))


def _smooth(images: Tensor) -> Tensor:
    """Gaussian-weighted means over the windows inside the image: [B, C, H, W] -> 10 less a side.

    A sum of shifted images: float64 has no quick convolution.
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


def _doubled(images: Tensor) -> Tensor:
    return (images.cpu() if images.device.type == "mps" else images).double()


def _check_shapes(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(f"shapes {list(first.shape)} and {list(second.shape)}: must be equal")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
