"""Segmentation: the class of every pixel."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom import metrics
from gradprom.data.base import Facts
from gradprom.data.loader import Batch
from gradprom.tasks.base import Classification


@dataclass
class Segmentation(Classification):
    """Masks of images; scored by each class's overlap, pooled over the test split."""

    annotation: ClassVar[str] = "mask"
    output: ClassVar[str] = "pixel"
    metrics: ClassVar[tuple[str, ...]] = ("miou",)
    lacking: ClassVar[str] = "auxiliary=segmentation needs masks and dataset={dataset} has none"

    name: str = "segmentation"

    def classes(self, facts: Facts) -> tuple[str, ...]:
        """Names of the mask values, background included."""
        return facts.mask_classes

    def scores(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Pixels of each image in both masks and in either, int64 [B, classes] each."""
        intersection, union = metrics.intersection_and_union(
            logits.argmax(1), self.truth(batch), logits.shape[1]
        )
        return {"intersection": intersection, "union": union}


Options = Segmentation
