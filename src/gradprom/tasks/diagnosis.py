"""Diagnosis: the class of a whole image."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.data.base import Facts
from gradprom.data.loader import Batch
from gradprom.tasks.base import Classification, Network


@dataclass
class Diagnosis(Classification):
    """Class labels of images; scored by the confusion of classes over the test split."""

    annotation: ClassVar[str] = "label"
    output: ClassVar[str] = "image"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "majority_share")
    clean_metrics: ClassVar[tuple[str, ...]] = ("clean_accuracy",)
    lacking: ClassVar[str] = "auxiliary=diagnosis needs class labels and dataset={dataset} has none"

    name: str = "diagnosis"

    def classes(self, facts: Facts) -> tuple[str, ...]:
        """Names of the image labels."""
        return facts.classes

    def scores(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Label and prediction of each image, int64 [B]."""
        return {"label": self.truth(batch), "prediction": logits.argmax(1)}

    def clean_scores(self, recognizer: Network, batch: Batch) -> dict[str, Tensor]:
        """The prediction on each clean image, int64 [B]."""
        return {"clean_prediction": recognizer(batch.target).argmax(1)}


Options = Diagnosis
