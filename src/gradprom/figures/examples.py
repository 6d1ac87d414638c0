"""What a figure shows of a trained run: its networks, and a few images of its test split."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradprom.data.base import Images
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch, test_batches
from gradprom.errors import RunError
from gradprom.figures.selection import Entrant
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method
from gradprom.runs.run import Run

Array = NDArray[Any]
BOX = 5
"""A zoomed box is this many times smaller than the image."""


@dataclass
class Trained:
    """A finished run with its weights."""

    title: str
    record: Record
    run: Run
    method: Any

    @property
    def caption(self) -> str:
        """The run as captions name it."""
        return run_caption(self.title, self.record)

    @property
    def network(self) -> str:
        """The first of its networks as plans list it, such as `srresnet (channels 64, …)`."""
        return str(next(iter(self.method.describe().parts.values())))

    def restored(self, batch: Batch) -> Tensor | None:
        """What its method makes of test images, as in evaluation; None where it makes nothing."""
        seed = self.run.config.evaluation.seed
        noise = ImageNoise(seed, batch.ids, batch.input.device)
        restored: Tensor | None = self.method.restore_images(batch, noise)
        return restored


def run_caption(title: str, record: Record) -> str:
    """A run as captions name it, such as `GradProm: run 0123456789ab (seed 0)`."""
    return f"{title}: run {record.id} (seed {record.seed})"


def load(entrant: Entrant, study: Study, device: torch.device) -> Trained:
    """A run with its weights, in evaluation mode.

    Raises
    ------
    RunError
        If its weights are missing, or its configuration does not fit this version.
    """
    assert entrant.record is not None
    run = load_run(study, entrant.record.id)
    method = restored_method(run, entrant.record, device)
    return Trained(entrant.title, entrant.record, run, method)


def examples(trained: Trained, count: int, device: torch.device, clean: bool = False) -> Batch:
    """`count` test images at equal distances in the test split, degraded as in evaluation.

    They are chosen only by their position. With `clean` they are not degraded.
    """
    images = trained.run.images()
    rows = images.splits[trained.run.split]
    places = [len(rows) * (2 * n + 1) // (2 * count) for n in range(min(count, len(rows)))]
    return at(trained, images, [rows[place] for place in places], device, clean)


def at(
    trained: Trained, images: Images, rows: list[int], device: torch.device, clean: bool = False
) -> Batch:
    """Some images of the dataset, degraded as in evaluation, or not at all."""
    config = trained.run.config
    part = replace(images, splits={"test": rows})
    degradation = None if clean else config.degradation
    batches = list(
        test_batches(part, "test", len(rows), degradation, config.evaluation.seed, device)
    )
    if len(batches) > 1:
        raise RunError(
            f"figures show images of one size, and the chosen images of "
            f"dataset={config.dataset.name} have {len(batches)} sizes; choose fewer images"
        )
    return batches[0]


def tested(
    trained: Trained, device: torch.device, ids: Collection[str] | None = None
) -> Iterator[Batch]:
    """The test images, or those of some ids, in batches and degraded as in evaluation."""
    config, images = trained.run.config, trained.run.images()
    rows = images.splits[trained.run.split]
    chosen = [row for row in rows if ids is None or images.ids[row] in ids]
    part, options = replace(images, splits={"test": chosen}), config.evaluation
    yield from test_batches(
        part, "test", options.batch_size, config.degradation, options.seed, device
    )


def picture(image: Tensor) -> Array:
    """[C, H, W] -> [H, W] for grey images, [H, W, 3] for colour, on the CPU."""
    pixels = image.detach().cpu().numpy()
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def detail(clean: Array, mask: Array | None) -> tuple[float, float, float, float]:
    """The box with the most detail: left, top, width and height as shares of the image.

    If there is a mask that is not empty, the box's centre lies within it.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    grey = clean if clean.ndim == 2 else clean.mean(axis=2)
    # smoothed, because the gradients of noise and speckle are not detail
    strength = np.hypot(*np.gradient(gaussian_filter(grey, max(grey.shape) / 64)))
    sides = [max(side // BOX, 1) for side in grey.shape]
    # where a box's centre can lie
    inner = tuple(slice(s // 2, s // 2 + n - s + 1) for s, n in zip(sides, grey.shape, strict=True))
    total = uniform_filter(strength, sides)[inner]
    if mask is not None and mask[inner].any():
        total = np.where(mask[inner], total, -1)
    top, left = np.unravel_index(total.argmax(), total.shape)
    down, across = grey.shape
    return float(left / across), float(top / down), sides[1] / across, sides[0] / down


def foreground(batch: Batch, number: int) -> Array | None:
    """The mask of one image as booleans [H, W]; None if it has none or it is empty."""
    if batch.mask is None:
        return None
    mask = (batch.mask[number] > 0).cpu().numpy()
    return mask if mask.any() else None
