"""One pass over a test set, in which each image is restored once, scored, and drawn."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradprom import metrics
from gradprom.config import Evaluation
from gradprom.data.base import Images
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch, test_batches
from gradprom.degradations import enlarge
from gradprom.metrics import registry
from gradprom.training import precision


class Evaluable(Protocol):
    """The part of a method that scoring needs."""

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        """The restored images; None where the method restores none."""

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The scores of each image."""


@dataclass
class ScoredBatch:
    """The scores and pictures of one batch of test images."""

    rows: list[dict[str, Any]]
    """A row an image: id, group, the degraded input's and the method's scores."""
    panels: dict[str, np.ndarray]
    """uint8 [H, 4·W, 3 or 1], degraded | restored | clean | error, by id, of images to be shown."""


def scored_batches(
    method: Evaluable,
    images: Images,
    degradation: Any,
    options: Evaluation,
    device: torch.device,
    split: str = "test",
    done: Collection[str] = (),
) -> Iterator[ScoredBatch]:
    """Score a split batch by batch, all in float32, whatever `trainer.precision` was.

    A degraded input that is smaller than the clean image is enlarged bicubically and then scored.

    Parameters
    ----------
    method
        The method, with its weights.
    images
        The dataset.
    degradation
        Degrades the test images.
    options
        The section `evaluation` of the configuration.
    device
        Where the networks are.
    split
        The split that is scored.
    done
        Ids of images that have scores; a batch is skipped if all its images have.
    """
    batches = _scored_batches(method, images, degradation, options, device, split, done)
    while True:
        # around each batch, because a generator would leave its caller in its own precision
        with precision.tf32(False):
            scored = next(batches, None)
        if scored is None:
            return
        yield scored


def _scored_batches(
    method: Evaluable,
    images: Images,
    degradation: Any,
    options: Evaluation,
    device: torch.device,
    split: str,
    done: Collection[str],
) -> Iterator[ScoredBatch]:
    groups = dict(zip(images.ids, images.groups, strict=True))
    shown = {images.ids[row] for row in images.splits[split][: options.panels]}
    for batch in test_batches(images, split, options.batch_size, degradation, options.seed, device):
        if all(id in done for id in batch.ids):
            continue
        restored = method.restore_images(batch, ImageNoise(options.seed, batch.ids, device))
        columns: dict[str, list[Any]] = {"group": [groups[id] for id in batch.ids]}
        scores = method.evaluate(batch, restored)
        scores = _degraded_scores(batch, scores) | scores
        for name, values in scores.items():
            columns |= numbered_columns(name, values.cpu())  # the host waits for the device here
        rows = [
            {"id": id, **{name: values[index] for name, values in columns.items()}}
            for index, id in enumerate(batch.ids)
        ]
        panels = {}
        if restored is not None and shown & set(batch.ids):
            pictures = _panels(batch, restored)
            panels = {id: p for id, p in zip(batch.ids, pictures, strict=True) if id in shown}
        yield ScoredBatch(rows, panels)


def evaluate(
    method: Evaluable,
    images: Images,
    degradation: Any,
    options: Evaluation,
    device: torch.device,
    split: str = "test",
) -> pd.DataFrame:
    """A table of all rows of a split, as `scored_batches` yields them."""
    batches = scored_batches(method, images, degradation, options, device, split)
    return pd.DataFrame([row for batch in batches for row in batch.rows])


def _degraded_scores(batch: Batch, scored: Iterable[str]) -> dict[str, Tensor]:
    """Scores of the degraded inputs; none where they have other channels than the target."""
    if batch.input.shape[1] != batch.target.shape[1]:
        return {}
    degraded = enlarge(batch.input, batch.target.shape[-2:])
    measured = metrics.measure(degraded, batch.target, metrics.measures_of(scored))
    return {registry.DEGRADED + name: values for name, values in measured.items()}


def numbered_columns(name: str, values: Tensor) -> dict[str, list[Any]]:
    """[B] is one column, [B, n] are n of them."""
    if values.ndim == 1:
        return {name: values.tolist()}
    return {f"{name}_{i}": values[:, i].tolist() for i in range(values.shape[1])}


def shown_input(batch: Batch) -> Tensor:
    """The degraded images as pictures show them, [B, C, H, W] as the clean ones.

    Smaller ones are enlarged bicubically, those of other channels are shown as their mean.
    """
    degraded = enlarge(batch.input, batch.target.shape[-2:])
    if degraded.shape[1] != batch.target.shape[1]:
        degraded = degraded.mean(1, keepdim=True).expand_as(batch.target)
    return degraded


def _panels(batch: Batch, restored: Tensor) -> np.ndarray:
    """uint8 [B, H, 4·W, 3 or 1]; the error is |restored - clean|, four times as bright."""
    target = batch.target
    error = (4 * (restored - target).abs()).clamp(0, 1)
    rows = torch.cat([shown_input(batch), restored, target, error], dim=3).cpu()
    return (rows * 255).round().byte().permute(0, 2, 3, 1).numpy()


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """The scores of a table of images, each as the registry of metrics pools it."""
    return registry.scores({str(name): values.to_numpy() for name, values in table.items()})
