"""Scores on the whole test split, image by image, and their means."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradprom import metrics
from gradprom.config import Evaluation
from gradprom.data.base import Images
from gradprom.data.loader import test_batches
from gradprom.degradations import enlarge
from gradprom.training import precision
from gradprom.training.stage import Method


@precision.tf32(False)
def evaluate(
    method: Method,
    images: Images,
    degradation: Any,
    options: Evaluation,
    device: torch.device,
    split: str = "test",
) -> pd.DataFrame:
    """One row an image of a split: id, group, degraded input's and method's scores.

    A degraded input that is smaller than the clean image is scored enlarged, bicubically. All is
    computed in float32, whatever `trainer.precision` was.
    """
    ids: list[str] = []
    found: dict[str, list[Tensor]] = {}
    for batch in test_batches(images, split, options.batch_size, degradation, options.seed, device):
        degraded = enlarge(batch.input, batch.target.shape[-2:])
        scores = {
            "degraded_psnr": metrics.psnr(degraded, batch.target),
            "degraded_ssim": metrics.ssim(degraded, batch.target),
            **method.evaluate(batch),
        }
        ids += batch.ids
        for name, values in scores.items():
            found.setdefault(name, []).append(values)
    groups = dict(zip(images.ids, images.groups, strict=True))
    columns: dict[str, list[Any]] = {"id": ids, "group": [groups[id] for id in ids]}
    for name, parts in found.items():
        columns |= _columns(name, torch.cat(parts).cpu())  # the host waits for the device here
    return pd.DataFrame(columns)


def _columns(name: str, values: Tensor) -> dict[str, list[Any]]:
    """[B] is one column, [B, classes] one for each class."""
    if values.ndim == 1:
        return {name: values.tolist()}
    return {f"{name}_{i}": values[:, i].tolist() for i in range(values.shape[1])}


def summarise(table: pd.DataFrame, classes: int) -> dict[str, float]:
    """Means over the test split (PSNR, SSIM), and the pooled accuracy and mIoU."""
    kept = ["degraded_psnr", "degraded_ssim", "psnr", "ssim"]
    means = {name: float(table[name].mean()) for name in kept if name in table}
    if "prediction" in table:
        label = torch.tensor(table["label"].to_numpy())  # negative ones are not counted
        for prefix in ("", "clean_"):
            if f"{prefix}prediction" in table:
                predicted = torch.tensor(table[f"{prefix}prediction"].to_numpy())
                confusion = metrics.confusion(predicted, label, classes)
                means[f"{prefix}accuracy"] = metrics.accuracy(confusion)
        confusion = metrics.confusion(torch.tensor(table["prediction"].to_numpy()), label, classes)
        means["balanced_accuracy"] = metrics.balanced_accuracy(confusion)
        means["majority_share"] = metrics.majority_share(confusion)
    if "union_0" in table:
        intersection = torch.tensor(table.filter(regex=r"^intersection_\d+$").to_numpy())
        union = torch.tensor(table.filter(regex=r"^union_\d+$").to_numpy())
        means["miou"] = metrics.mean_iou(intersection, union)
    return means


@precision.tf32(False)
def panels(
    method: Method,
    images: Images,
    degradation: Any,
    options: Evaluation,
    device: torch.device,
    split: str = "test",
) -> dict[str, np.ndarray]:
    """Pictures of the first images of a split, by id: degraded | enhanced | clean | error.

    uint8 [H, 4·W, 3 or 1]; a smaller degraded image is enlarged bicubically; the error is
    |enhanced - clean|, four times as bright.
    """
    pictures: dict[str, np.ndarray] = {}
    if options.panels == 0:
        return pictures
    for batch in test_batches(images, split, options.panels, degradation, options.seed, device):
        enhanced = method.enhance(batch.input)
        error = (4 * (enhanced - batch.target).abs()).clamp(0, 1)
        degraded = enlarge(batch.input, batch.target.shape[-2:])
        rows = torch.cat([degraded, enhanced, batch.target, error], dim=3).cpu()
        rows = (rows * 255).round().byte().permute(0, 2, 3, 1)
        return dict(zip(batch.ids, rows.numpy(), strict=True))
    return pictures
