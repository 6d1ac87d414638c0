"""Embeddings of whom an image shows, from any classifier of whole images.

Task-GAN's face network is VGG-Face (Parkhi et al. 2015), whose last features are the embedding.
Here the classifier's logits are the embedding, and an identity is a place among them: its
probability follows from the angle to that place (Wang et al. 2017, NormFace).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 64
"""Numbers of an embedding."""
SCALE = 16.0
"""Of cosines, before the softmax over identities."""


class EmbeddingNetwork(nn.Module):
    """A classifier of whole images with `SIZE` outputs, and a place for each identity."""

    def __init__(self, classifier: nn.Module, identities: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.places = nn.Parameter(torch.randn(identities, SIZE))

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings of length 1, [B, SIZE], of images [B, channels, H, W]."""
        return F.normalize(self.classifier(images), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, identities] of images [B, channels, H, W]."""
        return SCALE * self.embed(images) @ F.normalize(self.places, dim=1).T
