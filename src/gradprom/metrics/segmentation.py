"""Segmentation metrics, from pixel counts of each image.

A method's columns: `intersection_<class>` and `union_<class>`, in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradprom.metrics.pooling import Array, numbered, ratio
from gradprom.metrics.registry import Metric, Table

if TYPE_CHECKING:
    from torch import Tensor


def intersection_and_union(
    prediction: Tensor, target: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """Pixels of each image in both masks and in either, for each class.

    Parameters
    ----------
    prediction, target : Tensor
        Class numbers [B, H, W].
    classes
        Number of classes.

    Returns
    -------
    tuple
        Two int64 [B, classes].

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    import torch

    if prediction.shape != target.shape:
        shapes = f"shapes {list(prediction.shape)} and {list(target.shape)}"
        raise ValueError(f"{shapes}: must be equal")
    numbers = torch.arange(classes, device=target.device).view(1, -1, 1, 1)
    predicted = prediction.unsqueeze(1) == numbers
    actual = target.unsqueeze(1) == numbers
    return (predicted & actual).sum(dim=(2, 3)), (predicted | actual).sum(dim=(2, 3))


def _mean_iou(table: Table, weights: Array) -> Array:
    """Intersection over union in [0, 1], pooled over images, then the mean over classes.

    The background is a class like any other. A class that occurs in no mask has no union and is
    left out: counting it as 0 or 1 would make the score depend on the number of declared classes.
    A class that is predicted but never occurs counts 0.
    """
    return ratio(numbered(table, "intersection"), numbered(table, "union"), weights)


METRICS = (
    Metric(
        "miou",
        "mIoU",
        score=_mean_iou,
        columns=("intersection_0", "union_0"),
        protocol="mIoU is the mean over classes, background included, of the intersection over "
        "union pooled over all images.",
    ),
)
