"""Batches from images in memory. Everything random at a step follows only from (seed, step), so
that a resumed run needs no random state and any step can be reproduced.

Random numbers are drawn on the host, so that they are the same for every device; the arithmetic
runs on the device. For a GPU, and if images are read from disk, a thread prepares the host's part
of the next steps, so that neither waits for the other.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.data import augment, memory, targets
from gradprom.data.base import Images
from gradprom.data.batch import Batch
from gradprom.data.batches import Batches, labels_of
from gradprom.data.prefetch import Prefetcher
from gradprom.data.ragged import Ragged, shapes_of
from gradprom.degradations import Degradation
from gradprom.degradations.observation import Observation, observe_for_evaluation
from gradprom.randomness import stream
from gradprom.transfer import pin, to_device

log = logging.getLogger(__name__)

Stored = dict[str, Tensor | Ragged]
"""Target, perhaps the input, and annotations of all images, by name."""
_PIXELS = ("target", "input")


@dataclass
class _Drawn:
    """The host's part of a batch, ready for the device."""

    ids: list[str]
    rows: Tensor
    stored: dict[str, Tensor]
    """The stored arrays of these rows; empty if they are on the device."""
    affine: Tensor | None
    parameters: dict[str, Tensor] | None
    """The degradation's draw."""


class Loader:
    """Training batches of one split.

    Parameters
    ----------
    images
        The dataset.
    split
        One of its splits.
    batches
        Size, degradation, augmentation, annotations and order of the batches.
    device
        The device of the batches.
    part, parts
        This rank, and how many share each batch. Everything random is drawn for the whole batch,
        so that the shares together are bit-identical to the batch of a single rank.

    Raises
    ------
    ValueError
        For an annotation that the dataset lacks.
    DataError
        For an empty split, or if its images differ in size: a batch is one tensor.
    """

    def __init__(
        self,
        images: Images,
        split: str,
        batches: Batches,
        device: torch.device | str,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        rows = targets.rows_of(images, split)
        targets.require_one_shape(images, split)
        self.ids, self.rows, self.batches = images.ids, torch.tensor(rows), batches
        self.device, self.part, self.parts = torch.device(device), part, parts
        stored = _stored(images) | _annotations(images, batches.annotations)
        [self.shape] = set(shapes_of(stored.get("input", stored["target"]), rows))
        finer = images.finer() if batches.augment and images.finer else None
        if finer is not None:
            stored["target"] = finer.target
        self.least = None if finer is None else finer.least
        self.labels = labels_of(images, split)
        self.steps_per_epoch = batches.steps_per_epoch(self.labels)
        """Full batches in an epoch; fewer images than one batch form a batch."""
        self.home = self._home(stored)
        self.stored = {
            name: part if isinstance(part, Ragged) else part.to(self.home)
            for name, part in stored.items()
        }
        mapped = images.mapped if finer is None else finer.mapped
        ahead = self.device.type == "cuda" or mapped
        self.ahead: Prefetcher[_Drawn] | None = Prefetcher(self.device) if ahead else None

    def batch(self, seed: int, step: int) -> Batch:
        """The batch of step 0, 1, …"""
        drawn = self.ahead.take(self._draw, seed, step) if self.ahead else self._draw(seed, step)
        rows = drawn.stored or _take(self.stored, to_device(drawn.rows, self.device))
        stored = _opened(rows, self.device)
        if drawn.affine is not None:
            affine = to_device(drawn.affine, self.device)
            stored = _augmented(stored, affine, finer=self.least is not None)
        observation = None
        if self.batches.degradation is not None and drawn.parameters is not None:
            parameters = {
                key: to_device(value, self.device) for key, value in drawn.parameters.items()
            }
            shape = tuple(_undegraded(stored).shape)
            observation = Observation(self.batches.degradation, parameters, shape)
        return _batch(drawn.ids, stored, observation)

    def _home(self, stored: Stored) -> torch.device:
        """Where the images are stored: on the device, if they fit there."""
        host = torch.device("cpu")
        if any(isinstance(part, Ragged) for part in stored.values()):
            return host  # their rows are looked up there
        size = sum(part.nbytes for part in stored.values())
        if memory.fits_device(size, self.device):
            return self.device
        shown = f"{size / 2**30:.1f} GiB of images do not fit on the GPU besides the networks"
        log.info("%s: they stay on the host, and batches are prefetched", shown)
        return host

    def _draw(self, seed: int, step: int) -> _Drawn:
        rows = self._rows(seed, step)
        share = self._share(len(rows))
        ids = [self.ids[row] for row in rows.tolist()]
        affine, parameters = None, None
        if self.batches.augment:
            affine = pin(self._maps(rows, seed, step)[share], self.device)
        if self.batches.degradation is not None:
            generator = _generator(seed, "degrade", step)
            drawn = self.batches.degradation.draw(ids, (len(rows), *self.shape), generator)
            parameters = {key: pin(value[share], self.device) for key, value in drawn.items()}
        rows = rows[share]
        stored = {}
        if self.home.type == "cpu":
            stored = _pin(_take(self.stored, rows), self.device)
        return _Drawn(ids[share], pin(rows, self.device), stored, affine, parameters)

    def _maps(self, rows: Tensor, seed: int, step: int) -> Tensor:
        least = None if self.least is None else self.least[rows]
        generator = _generator(seed, "augment", step)
        return augment.draw(len(rows), generator, least, self.shape[-2] == self.shape[-1])

    def _share(self, count: int) -> slice:
        size = count // self.parts
        return slice(self.part * size, (self.part + 1) * size)

    def _rows(self, seed: int, step: int) -> Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self.batches.order(self.labels, seed, epoch)
        first = position * self.batches.size
        return self.rows[order[first : first + self.batches.size]]


def test_batches(
    images: Images,
    split: str,
    size: int,
    degradation: Degradation | None,
    seed: int,
    device: torch.device | str,
) -> Iterator[Batch]:
    """All images of a split, never augmented, with all their annotations.

    Images of equal shape are batched together, at most `size`: shapes in the order of their first
    image, the images of a shape in the split's order. If all have one shape this is the split's own
    order, and neither size, degradation nor device changes it; `Batch.ids` has the order.

    The degradation of an image depends only on `seed` and its id.

    Raises
    ------
    DataError
        For an empty split.
    """
    device, stored = torch.device(device), _stored(images) | images.annotations
    for group in _alike(stored, targets.rows_of(images, split)):
        for rows in torch.tensor(group).split(size):
            ids = [images.ids[row] for row in rows.tolist()]
            opened = _opened(_pin(_take(stored, rows), device), device)
            observation = None
            if degradation is not None:
                shape = _undegraded(opened).shape
                observation = observe_for_evaluation(degradation, shape, ids, seed, device)
            yield _batch(ids, opened, observation)


# pytest would collect the function as a test
test_batches.__test__ = False  # type: ignore[attr-defined]


def _stored(images: Images) -> Stored:
    """The images, and their inputs if these are stored."""
    return {"target": images.target, **({} if images.input is None else {"input": images.input})}


def _annotations(images: Images, names: tuple[str, ...]) -> Stored:
    known = images.annotations
    for name in names:
        if name not in known:
            has = ", ".join(known) or "none"
            raise ValueError(f"annotation={name} is not in the dataset; it has: {has}")
    return {name: known[name] for name in names}


def _take(stored: Stored, rows: Tensor) -> dict[str, Tensor]:
    """Some rows of all stored arrays, on their device."""
    return {name: part.index_select(0, rows) for name, part in stored.items()}


def _pin(stored: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: pin(part, device) for name, part in stored.items()}


def _opened(stored: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Images as float32 [B,C,H,W] in [0,1], annotations as they are stored, on the device."""
    opened = {name: to_device(part, device) for name, part in stored.items()}
    for name in opened.keys() & set(_PIXELS):
        # by a tensor: for a number CUDA multiplies by its reciprocal, which rounds differently
        opened[name] = opened[name] / torch.full((), 255.0, device=device)
    return opened


def _augmented(stored: dict[str, Tensor], affine: Tensor, finer: bool) -> dict[str, Tensor]:
    """Images, inputs and masks under the same maps; annotations of whole images do not change."""
    augmented = {**stored}
    for name, values in stored.items():
        if name in _PIXELS:
            sample = augment.apply_to_finer if finer else augment.apply
            augmented[name] = sample(values, affine)
        elif values.ndim > 1:
            augmented[name] = augment.apply_to_mask(values, affine)
    return augmented


def _undegraded(stored: Mapping[str, Tensor]) -> Tensor:
    """The images that the degradation applies to."""
    return stored.get("input", stored["target"])


def _batch(ids: list[str], stored: dict[str, Tensor], observation: Observation | None) -> Batch:
    input = _undegraded(stored)
    if observation is not None:
        input = observation.forward(input)
    annotations = {name: part.long() for name, part in stored.items() if name not in _PIXELS}
    return Batch(ids, input, stored["target"], annotations, observation)


def _alike(stored: Stored, rows: list[int]) -> list[list[int]]:
    """Rows of equal shapes together, in the order of their first ones."""
    images = (stored[name] for name in _PIXELS if name in stored)
    shapes = zip(*(shapes_of(part, rows) for part in images), strict=True)
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for row, shape in zip(rows, shapes, strict=True):
        groups.setdefault(shape, []).append(row)
    return list(groups.values())


def _generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(stream(*parts))
