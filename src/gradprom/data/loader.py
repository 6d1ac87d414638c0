"""Batches from images in memory. Everything random at a step follows from (seed, step) alone,
so that a resumed run needs no random state and any step can be looked at again.

What is random is drawn on the host, on which every device sees the same; the arithmetic is the
device's. For a GPU, and where images are read from the disk, a thread makes the host's part of the
next steps, so that neither waits for the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.data import augment, memory
from gradprom.data.base import Images
from gradprom.data.prefetch import Ahead
from gradprom.degradations import Degradation, degrade_for_evaluation
from gradprom.randomness import stream
from gradprom.transfer import pinned, sent

log = logging.getLogger(__name__)


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


@dataclass
class _Drawn:
    """The host's part of a batch, ready to be sent."""

    ids: list[str]
    rows: Tensor
    stored: list[Tensor | None]
    """Target, mask and label of these rows; none of them where they lie on the device."""
    affine: Tensor | None
    degradation: dict[str, Tensor] | None


class Loader:
    """Training batches of one split; masks and labels only where they are asked for.

    `annotations` holds any of `mask` and `label`. `degradation=None` leaves images clean.
    `part` of `parts` gets its share of each batch: everything random is drawn for the whole batch,
    so that the shares together are the batch of a single one, bit for bit.
    Raises ValueError for an empty split, or masks or labels that the dataset lacks.
    """

    def __init__(
        self,
        images: Images,
        split: str,
        batch_size: int,
        augment: bool,
        degradation: Degradation | None,
        device: torch.device | str,
        annotations: Sequence[str],
        part: int = 0,
        parts: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: must be at least 1")
        self.ids, self.rows = images.ids, torch.tensor(_rows(images, split))
        self.batch_size, self.augment, self.degradation = batch_size, augment, degradation
        self.device, self.part, self.parts = torch.device(device), part, parts
        stored = [images.target, *_annotations(images, annotations)]
        self.shape = images.target.shape[1:]
        size = sum(part.nbytes for part in stored if part is not None)
        self.home = self.device if memory.fits_device(size, self.device) else torch.device("cpu")
        if self.home != self.device:
            told = f"{size / 2**30:.1f} GiB of images do not fit on the GPU beside the networks"
            log.info("%s: they stay on the host, from where batches are fetched ahead", told)
        self.stored = [None if part is None else part.to(self.home) for part in stored]
        ahead = self.device.type == "cuda" or images.mapped
        self.ahead: Ahead[_Drawn] | None = Ahead(self.device) if ahead else None

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch; a split smaller than one batch is a batch of its own."""
        return steps_per_epoch(len(self.rows), self.batch_size)

    def batch(self, seed: int, step: int, degraded: bool = True) -> Batch:
        """The batch of step 0, 1, …; with `degraded=False` the input is the target itself."""
        asked = seed, step, degraded
        drawn = self.ahead.take(self._draw, *asked) if self.ahead else self._draw(*asked)
        stored = drawn.stored or _take(self.stored, sent(drawn.rows, self.device))
        target, mask, label = _opened(stored, self.device)
        if drawn.affine is not None:
            target, mask = augment.apply(target, mask, sent(drawn.affine, self.device))
        input = target
        if self.degradation is not None and drawn.degradation is not None:
            found = {key: sent(value, self.device) for key, value in drawn.degradation.items()}
            input = self.degradation.apply(target, found)
        return Batch(drawn.ids, input, target, None if mask is None else mask.long(), label)

    def _draw(self, seed: int, step: int, degraded: bool) -> _Drawn:
        rows = self._rows(seed, step)
        share = self._share(len(rows))
        ids = [self.ids[row] for row in rows.tolist()]
        affine, found = None, None
        if self.augment:
            affine = augment.draw(len(rows), _generator(seed, "augment", step))[share]
            affine = pinned(affine, self.device)
        if degraded and self.degradation is not None:
            generator = _generator(seed, "degrade", step)
            drawn = self.degradation.draw(ids, (len(rows), *self.shape), generator)
            found = {key: pinned(value[share], self.device) for key, value in drawn.items()}
        rows = rows[share]
        stored = []
        if self.home.type == "cpu":
            stored = _pinned(_take(self.stored, rows), self.device)
        return _Drawn(ids[share], pinned(rows, self.device), stored, affine, found)

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
    device, stored = torch.device(device), [images.target, images.mask, images.label]
    for rows in torch.tensor(_rows(images, split)).split(batch_size):
        target, mask, label = _opened(_pinned(_take(stored, rows), device), device)
        mask = None if mask is None else mask.long()
        ids = [images.ids[row] for row in rows.tolist()]
        input = target
        if degradation is not None:
            input = degrade_for_evaluation(degradation, target, ids, seed)
        yield Batch(ids, input, target, mask, label)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Full batches among `count` images; fewer than one batch are a batch of their own."""
    return max(1, count // batch_size)


# pytest would take the name for a test where it is imported.
test_batches.__test__ = False  # type: ignore[attr-defined]


def _take(stored: list[Tensor | None], rows: Tensor) -> list[Tensor | None]:
    """Some rows of target, mask and label, where these lie."""
    return [None if part is None else part.index_select(0, rows) for part in stored]


def _pinned(stored: list[Tensor | None], device: torch.device) -> list[Tensor | None]:
    return [None if part is None else pinned(part, device) for part in stored]


def _opened(
    stored: list[Tensor | None], device: torch.device
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Target float32 [B,C,H,W] in [0,1], mask and label as they are stored, on the device."""
    target, mask, label = (None if part is None else sent(part, device) for part in stored)
    assert target is not None
    # by a tensor: CUDA would multiply by the reciprocal of a number, and round otherwise
    return target / torch.full((), 255.0, device=device), mask, label


def _rows(images: Images, split: str) -> list[int]:
    rows = images.splits.get(split)
    if not rows:
        known = ", ".join(f"{name} ({len(rows)})" for name, rows in images.splits.items())
        raise ValueError(f"split={split} has no images; there are: {known}")
    return rows


def _annotations(images: Images, names: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
    held = {"mask": images.mask, "label": images.label}
    for name in names:
        if held.get(name) is None:
            raise ValueError(f"annotation={name}: the dataset has none")
    mask, label = (held[name] if name in names else None for name in held)
    return mask, label


def _generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(stream(*parts))
