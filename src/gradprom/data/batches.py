"""What a stage is fed: how many images a step, in which order, and what comes with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.data.base import UNLABELLED, Images
from gradprom.degradations import Degradation
from gradprom.randomness import stream

Order = Callable[[Tensor, int, int], Tensor]
"""`order(labels, seed, epoch)` gives the places in a split, int64, that an epoch shows in turn.

`labels` is int64 [N] on the CPU, -1 where an image has none. An order is pure, and all its epochs
are equally long: a step then finds its epoch by division, and training resumes anywhere exactly.
"""


def shuffled(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """All images once, in random order."""
    return torch.randperm(len(labels), generator=_generator(seed, epoch))


def one_label(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Images of one label in random order: the labels take turns, an epoch each.

    Epochs are as long as the rarest label has images, so that those of the others are drawn anew
    each time; images without a label are never shown.

    Raises
    ------
    ValueError
        If no image is labelled.
    """
    present, counts = labels[labels >= 0].unique(return_counts=True)
    if not len(present):
        raise ValueError("order=one_label needs labelled images, and the split has none")
    places = (labels == present[epoch % len(present)]).nonzero().flatten()
    order = torch.randperm(len(places), generator=_generator(seed, epoch))
    return places[order[: int(counts.min())]]


@dataclass(frozen=True)
class Batches:
    """The batches of a stage."""

    size: int
    """Images a step, over all ranks together; >= 1."""
    degradation: Degradation | None = None
    """What makes the input; None: clean, the input is the target (or the stored input)."""
    augment: bool = True
    """Whether images are flipped, rotated and cropped (section 4.1)."""
    annotations: tuple[str, ...] = ()
    """What comes with the images: `label`, `mask` and others that a dataset has."""
    order: Order = shuffled
    """In which order images are shown."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"batch_size={self.size}: must be at least 1")

    def steps_per_epoch(self, labels: Tensor) -> int:
        """Steps in each epoch over images of these labels, int64 [N] as `labels_of` gives them."""
        return steps_per_epoch(len(self.order(labels, 0, 0)), self.size)


def labels_of(images: Images, split: str) -> Tensor:
    """What an order sees of a split: the labels of its images, -1 where there are none."""
    rows = torch.tensor(images.splits[split])
    if images.label is None:
        return torch.full(rows.shape, UNLABELLED)
    return images.label[rows]


def steps_per_epoch(count: int, size: int) -> int:
    """Full batches among `count` images; fewer than one batch are a batch of their own."""
    return max(1, count // size)


def _generator(seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream(seed, "epoch", epoch))
