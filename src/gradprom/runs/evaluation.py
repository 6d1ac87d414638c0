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
from gradprom.metrics import registry
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
        scored = method.evaluate(batch)
        measured = metrics.measure(degraded, batch.target, metrics.measures_of(scored))
        scores = {registry.DEGRADED + name: values for name, values in measured.items()} | scored
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


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """The scores of a table of images, each as the registry of metrics pools it."""
    return registry.scores({str(name): values.to_numpy() for name, values in table.items()})


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
