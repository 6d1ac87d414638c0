"""Class activation maps (Zhou et al. 2016) of classifiers that end in a mean and a linear layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.models.recognizers.base import LinearHead


@torch.no_grad()
def class_activation(recognizer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Maps [B, classes, h, w] and logits [B, classes] of images [B, C, H, W] in [0, 1].

    A map's mean over space is its class's logit without the bias.

    Raises
    ------
    TypeError
        For a network without a linear head.
    """
    if not isinstance(recognizer, LinearHead):
        raise TypeError(f"{type(recognizer).__name__} is not a classifier with a linear head")
    features, head = recognizer.eval().features_and_head(images)
    maps = torch.einsum("bkhw,ck->bchw", features, head.weight)
    return maps, maps.mean(dim=(2, 3)) + head.bias


def evidence(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The positive part of maps [B, h, w] at an image's size, [B, H, W] (bilinear)."""
    return F.interpolate(maps[:, None].clamp(min=0), size, mode="bilinear")[:, 0]


def share_inside(evidence: Tensor, mask: Tensor) -> float:
    """The share of a map [H, W] >= 0 inside the mask [H, W] of booleans; NaN for an empty map."""
    return float((evidence * mask).sum() / evidence.sum())
