"""Probabilities against truth as a regression, as Task-GAN trains and scores its task network.

Its Eq. 3 regresses one number on a label of 0 or 1. For K classes it is the probabilities p on the
truth y as 0s and 1s, with half of the sum over classes, which for two classes is Eq. 3.
"""

import torch
from torch import Tensor

from gradprom.data.base import UNLABELLED
from gradprom.tasks.base import per_labelled


def squared_error(logits: Tensor, truth: Tensor) -> Tensor:
    """½ Σ_k (p_k − y_k)², averaged over the images or pixels that are not `UNLABELLED`.

    Parameters
    ----------
    logits
        [B, K] or [B, K, H, W].
    truth
        int64 [B] or [B, H, W], classes 0..K-1 or `UNLABELLED`.

    Returns
    -------
    Tensor
        0-dim in [0, 1]; 0 if nothing is labelled. On several ranks the mean of their losses is the
        loss over the labels of all ranks.
    """
    errors = _differences(logits, truth).square().sum(1) / 2
    return per_labelled(torch.where(truth != UNLABELLED, errors, 0).sum(), truth)


def absolute_error(logits: Tensor, truth: Tensor) -> Tensor:
    """½ Σ_k |p_k − y_k| of each image, which is 1 − p of the true class; arguments as above.

    Returns
    -------
    Tensor
        [B] in [0, 1], for pixels the mean over those that are labelled; NaN where nothing is.
    """
    errors = _differences(logits, truth).abs().sum(1) / 2
    known = torch.where(truth != UNLABELLED, errors, torch.nan)
    return known.reshape(len(known), -1).nanmean(1)


def _differences(logits: Tensor, truth: Tensor) -> Tensor:
    """p − y, as the logits; y is 0 everywhere where the truth is not known."""
    shape = [-1, *[1] * (logits.dim() - 2)]
    classes = torch.arange(logits.shape[1], device=logits.device).view(shape)
    return logits.softmax(1) - (truth.unsqueeze(1) == classes).to(logits.dtype)
