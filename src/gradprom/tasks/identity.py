"""Identity: whom an image shows, verified on pairs of images as faces are (Task-GAN's LFW)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from gradprom.data.base import Facts
from gradprom.data.loader import Batch
from gradprom.tasks.base import Classification


@dataclass
class Identity(Classification):
    """Learnt as classes of the training identities, scored on the embeddings of others.

    No identity of the test images is among those of training: of two images is asked whether they
    show the same one, by the distance of their embeddings.
    """

    annotation: ClassVar[str] = "identity"
    output: ClassVar[str] = "embedding"
    metrics: ClassVar[tuple[str, ...]] = ("auc",)
    lacking: ClassVar[str] = (
        "auxiliary=identity needs images with identities and dataset={dataset} has none, unless it "
        "is faces, or dataset.identities says so for covid_ct or folder"
    )

    name: str = "identity"

    def classes(self, facts: Facts) -> tuple[str, ...]:
        """Names of all identities, those of test images too, which are never learnt."""
        return facts.further.get(self.annotation, ())

    def scored(self, recognizer: Any, images: Tensor) -> Tensor:
        """Embeddings of length 1, [B, D]."""
        embeddings: Tensor = recognizer.embed(images)
        return embeddings

    def scores(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The identity of each image, int64 [B], and its embedding, [B, D]."""
        return {"identity": self.truth(batch), "embedding": logits}


Options = Identity
