"""The batches of a stage: how many images, in which order, degraded how, with which annotations."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.data.base import UNLABELLED, Images
from gradprom.degradations import Degradation
from gradprom.randomness import stream

Order = Callable[[Tensor, int, int], Tensor]
"""`order(labels, seed, epoch)` gives the positions in a split, int64, that an epoch shows in turn.

`labels` is int64 [N] on the CPU, -1 where an image has none. An order is a pure function, and all
its epochs have the same length: a step's epoch follows by division, and training can resume
exactly at any step.
"""


def shuffled(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """All images once, in random order."""
    return torch.randperm(len(labels), generator=_generator(seed, epoch))


def one_label(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Images of one label per epoch, in random order; the labels take turns.

    An epoch has as many images as the rarest label; those of other labels are drawn again for each
    epoch. Images without a label are never shown.

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
    """Images per step, over all ranks; >= 1."""
    degradation: Degradation | None = None
    """The degradation of the input; None: the input is the clean target (or the stored input)."""
    augment: bool = True
    """Whether images are flipped, rotated and cropped (section 4.1)."""
    annotations: tuple[str, ...] = ()
    """The annotations of the images: `label`, `mask` and others that a dataset has."""
    order: Order = shuffled
    """The order in which images are shown."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"batch_size={self.size}: must be at least 1")

    def steps_per_epoch(self, labels: Tensor) -> int:
        """Steps of an epoch over images with these labels, int64 [N] as `labels_of` gives them."""
        return steps_per_epoch(len(self.order(labels, 0, 0)), self.size)


def labels_of(images: Images, split: str) -> Tensor:
    """The labels of a split's images, for an order; -1 where there are none."""
    rows = torch.tensor(images.splits[split])
    if images.label is None:
        return torch.full(rows.shape, UNLABELLED)
    return images.label[rows]


def steps_per_epoch(count: int, size: int) -> int:
    """Full batches among `count` images; fewer images than one batch form a batch."""
    return max(1, count // size)


def _generator(seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream(seed, "epoch", epoch))
