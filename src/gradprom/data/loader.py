"""Batches from images in memory. Everything random at a step follows from (seed, step) alone,
so that a resumed run needs no random state and any step can be looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.data import augment
from gradprom.data.base import Images
from gradprom.degradations import Degradation, degrade_for_evaluation
from gradprom.randomness import stream


@dataclass
class Batch:
    """Images of one step, all on one device."""

    ids: list[str]
    input: Tensor
    """float32 [B,C,h,w]: the degraded images; h, w are smaller where they are down-sampled."""
    target: Tensor
    """float32 [B,C,H,W] in [0,1]: the clean images."""
    mask: Tensor | None
    """int64 [B,H,W]."""
    label: Tensor | None
    """int64 [B], -1 where an image is not labelled."""


class Loader:
    """Training batches of one split; masks and labels only as the auxiliary tasks need them.

    `tasks` holds any of `diagnosis` and `segmentation`. `degradation=None` leaves images clean.
    `part` of `parts` gets its share of each batch: everything random is drawn for the whole batch,
    so that the shares together are the batch of a single one, bit for bit.
    Raises ValueError for an empty split, or a task whose masks or labels the dataset lacks.
    """

    def __init__(
        self,
        images: Images,
        split: str,
        batch_size: int,
        augment: bool,
        degradation: Degradation | None,
        device: torch.device | str,
        tasks: Sequence[str],
        part: int = 0,
        parts: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: must be at least 1")
        self.ids, self.rows = images.ids, torch.tensor(_rows(images, split))
        self.batch_size, self.augment, self.degradation = batch_size, augment, degradation
        self.device, self.part, self.parts = torch.device(device), part, parts
        mask, label = _annotations(images, tasks)
        self.target = images.target.to(self.device)
        self.mask = None if mask is None else mask.to(self.device)
        self.label = None if label is None else label.to(self.device)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch; a split smaller than one batch is a batch of its own."""
        return steps_per_epoch(len(self.rows), self.batch_size)

    def batch(self, seed: int, step: int, degraded: bool = True) -> Batch:
        """The batch of step 0, 1, …; with `degraded=False` the input is the target itself."""
        rows = self._rows(seed, step)
        share = self._share(len(rows))
        target, mask, label = _take(self, rows[share])
        if self.augment:
            affine = augment.draw(len(rows), _generator(seed, "augment", step))
            target, mask = augment.apply(target, mask, affine[share])
        ids = [self.ids[row] for row in rows.tolist()]
        input = target
        if degraded and self.degradation is not None:
            generator = _generator(seed, "degrade", step)
            drawn = self.degradation.draw(ids, (len(rows), *target.shape[1:]), generator)
            input = self.degradation.apply(target, {k: v[share] for k, v in drawn.items()})
        return Batch(ids[share], input, target, mask, label)

    def _share(self, count: int) -> slice:
        size = count // self.parts
        return slice(self.part * size, (self.part + 1) * size)

    def _rows(self, seed: int, step: int) -> Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self.rows), generator=_generator(seed, "epoch", epoch))
        first = position * self.batch_size
        return self.rows[order[first : first + self.batch_size]]


def test_batches(
    images: Images,
    split: str,
    batch_size: int,
    degradation: Degradation | None,
    seed: int,
    device: torch.device | str,
) -> Iterator[Batch]:
    """All images of a split in order, never augmented, with all their masks and labels.

    The degradation of an image depends on `seed` and its id alone. Raises ValueError for an
    empty split.
    """
    for rows in torch.tensor(_rows(images, split)).split(batch_size):
        target, mask, label = (
            None if part is None else part.to(device) for part in _take(images, rows)
        )
        ids = [images.ids[row] for row in rows.tolist()]
        assert target is not None
        input = target
        if degradation is not None:
            input = degrade_for_evaluation(degradation, target, ids, seed)
        yield Batch(ids, input, target, mask, label)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Full batches among `count` images; fewer than one batch are a batch of their own."""
    return max(1, count // batch_size)


# pytest would take the name for a test where it is imported.
test_batches.__test__ = False  # type: ignore[attr-defined]


def _take(source: Images | Loader, rows: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Target float32 [B,C,H,W] in [0,1], mask int64 and label int64 of some rows."""
    rows = rows.to(source.target.device)
    return (
        source.target[rows].float() / 255,
        None if source.mask is None else source.mask[rows].long(),
        None if source.label is None else source.label[rows],
    )


def _rows(images: Images, split: str) -> list[int]:
    rows = images.splits.get(split)
    if not rows:
        known = ", ".join(f"{name} ({len(rows)})" for name, rows in images.splits.items())
        raise ValueError(f"split={split} has no images; there are: {known}")
    return rows


def _annotations(images: Images, tasks: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
    found = {"segmentation": images.mask, "diagnosis": images.label}
    for task, kind in (("segmentation", "masks"), ("diagnosis", "labels")):
        if task in tasks and found[task] is None:
            raise ValueError(f"task={task} needs {kind}, which the dataset does not have")
    mask, label = (found[task] if task in tasks else None for task in found)
    return mask, label


def _generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(stream(*parts))
