"""One step of a stage on the CPU, to see whether small images or batches suit its networks.

Pooling layers need a side that they can divide, and normalisation over a batch needs more than one
value. Whether they get that is known only to the networks themselves.
"""

import logging
from collections.abc import Callable

import torch

from gradprom.data.base import Images
from gradprom.data.batch import Batch
from gradprom.data.ragged import Ragged, shapes_of
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.errors import ConfigError, first_line
from gradprom.training.stage import Stage, Training

log = logging.getLogger(__name__)

LARGE = 64
"""Pixels a side from which images are large enough for any network; they are not rehearsed."""
FEW = 2
"""Images of a rehearsed step: enough for a batch whose images are large enough."""


def is_needed(stage: Stage, images: Images) -> bool:
    """Whether a stage's batches are so small that its networks may not take them."""
    return stage.epochs > 0 and (_side(stage, images) < LARGE or _count(stage, images) == 1)


def rehearse(stage: Stage, begin: Callable[[], Training], images: Images) -> None:
    """Take one step of a stage, and forget it.

    A step that also fails with large images says nothing of their size: it has code that does not
    run here, such as that of a GPU, and is left to the training itself.

    Parameters
    ----------
    stage
        The stage, for its batches.
    begin
        Builds its training on the CPU.
    images
        The dataset that it is trained on.

    Raises
    ------
    ConfigError
        If the images or batches are too small; the message says which.
    """
    count = min(FEW, _count(stage, images))
    error = _failure(stage, begin(), images, count, 1)
    if error is None:
        return
    height, width = _shape(images)[-2:]
    reason = f"stage {stage.name} cannot be trained: {first_line(error)}"
    if count == 1 and _failure(stage, begin(), images, FEW, 1) is None:
        raise ConfigError(
            f"{reason}; batches of one image of {height}×{width} pixels are too small, raise "
            f"trainer.batch_size or dataset.size"
        )
    if _failure(stage, begin(), images, FEW, -(-LARGE // _side(stage, images))) is None:
        raise ConfigError(
            f"{reason}; images of {height}×{width} pixels are too small, raise dataset.size"
        )
    log.debug("stage %s cannot be rehearsed: %s", stage.name, error)


def _count(stage: Stage, images: Images) -> int:
    return min(stage.batches.size, len(images.splits["train"]))


def _shape(images: Images) -> tuple[int, ...]:
    """[C, H, W] of the images that are degraded."""
    stored = images.target if images.input is None else images.input
    return shapes_of(stored, images.splits["train"][:1])[0]


def _side(stage: Stage, images: Images) -> int:
    """The smaller side of the images that the networks get, in pixels."""
    shape, degradation = (1, *_shape(images)), stage.batches.degradation
    return min((shape if degradation is None else degradation.output_shape(shape))[-2:])


def _failure(
    stage: Stage, training: Training, images: Images, count: int, factor: int
) -> Exception | None:
    """What a step on `count` images, their sides `factor` times longer, raises; None if nothing."""
    try:
        training.update(_batch(stage, images, count, factor), probe=True)
    except Exception as error:  # whichever the networks raise
        return error
    return None


def _batch(stage: Stage, images: Images, count: int, factor: int) -> Batch:
    """A batch of the shapes and types that the stage's loader gives, of grey images."""

    def shape_of(stored: torch.Tensor | Ragged, own: int) -> tuple[int, ...]:
        """The first `own` numbers of a row's shape are not those of sides."""
        [shape] = shapes_of(stored, images.splits["train"][:1])
        return (count, *shape[:own], *(factor * side for side in shape[own:]))

    target = torch.full(shape_of(images.target, 1), 0.5)
    undegraded = target if images.input is None else torch.full(shape_of(images.input, 1), 0.5)
    known = images.annotations
    annotations = {
        name: torch.zeros(shape_of(known[name], 0), dtype=torch.int64)
        for name in stage.batches.annotations
    }
    ids, degradation = [str(number) for number in range(count)], stage.batches.degradation
    if degradation is None:
        return Batch(ids, undegraded, target, annotations)
    cpu = torch.device("cpu")
    observation = observe_for_evaluation(degradation, tuple(undegraded.shape), ids, 0, cpu)
    return Batch(ids, observation.forward(undegraded), target, annotations, observation)
