"""An image of a file, restored by a run's method for a problem that is not the run's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradprom.config import component, options
from gradprom.config.composing import compose
from gradprom.data import image_io
from gradprom.data.batch import Batch
from gradprom.data.image_noise import ImageNoise
from gradprom.degradations.observation import Observation, observe_for_evaluation
from gradprom.errors import ConfigError, DataError, RunError
from gradprom.methods.base import Method
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, load_weights
from gradprom.runs.scoring import restore
from gradprom.storage.files import replacing
from gradprom.training import precision
from gradprom.training.engine import choose_device


def load_prior(
    study: Study, record: Record, problem: list[str], solver: dict[str, Any], device: str
) -> Method:
    """A run's method with its weights, for another problem.

    Parameters
    ----------
    study, record
        The run.
    problem
        The degradation, as overrides.
    solver
        Options of the method's solver that are changed; None: as the run was tested.
    device
        As `trainer.device`.

    Raises
    ------
    ConfigError
        For a problem or an option of the solver that is not allowed.
    RunError
        If the run's method has no solver, or its weights cannot be used.
    """
    degradation = options("degradation", compose(problem).degradation)
    run = load_run(study, record.id)
    own = run.config.method
    if not hasattr(own, "solver"):
        raise RunError(
            f"run {record.id} is one of method={own.name}, which solves no inverse problems; "
            f"name a run of a prior, such as method=rerg"
        )
    changes = {key: value for key, value in solver.items() if value is not None}
    try:
        # only the problem is another one: sizes of the run's own images do not matter
        own = replace(own, solver=replace(own.solver, **changes))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    config = replace(run.config, degradation=degradation, method=own)
    method: Method = component("method", own.name).build(config)
    torch.set_num_threads(config.trainer.threads)
    restore(method, load_weights(study, record), choose_device(device), record.id)
    return method


def restore_file(
    method: Method,
    source: Path,
    missing: Path | None,
    target: Path,
    progress: Callable[[int, int], None],
) -> tuple[int, int]:
    """Restore an image and write it; returns its height and width.

    Parameters
    ----------
    method
        As `load_prior` returns it.
    source
        The degraded image.
    missing
        For completion: an image of the same size that is not black where pixels are missing.
    target
        A PNG file.
    progress
        Called with the solver's steps done and in all.

    Raises
    ------
    DataError
        If a file cannot be read or does not fit.
    """
    channels = method.config.facts.channels
    degraded = _read(source, channels)
    kept = None if missing is None else _read(missing, 1) == 0
    if kept is not None and kept.shape[-2:] != degraded.shape[-2:]:
        raise DataError(
            f"{missing} has {kept.shape[-2]}×{kept.shape[-1]} pixels, and {source} has "
            f"{degraded.shape[-2]}×{degraded.shape[-1]}"
        )
    restored = restored_image(method, degraded, kept, progress)
    from PIL import Image

    pixels = (restored[0].permute(1, 2, 0).cpu() * 255).round().byte().numpy()
    with replacing(target) as stream:
        Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels).save(stream, format="PNG")
    return restored.shape[-2], restored.shape[-1]


@precision.tf32(False)
def restored_image(
    method: Method,
    degraded: Tensor,
    kept: Tensor | None,
    progress: Callable[[int, int], None],
) -> Tensor:
    """A degraded image [1, C, h, w] in [0, 1] to a restored one [1, C, H, W].

    Parameters
    ----------
    kept
        For completion: bool [1, 1, h, w], the pixels that are known.
    """
    degradation = method.config.degradation
    device = next(next(iter(method.networks.values())).parameters()).device
    degraded = degraded.to(device)
    if kept is None:
        height, width = (degradation.scale * side for side in degraded.shape[-2:])
        shape = (1, degraded.shape[1], height, width)
        observation = observe_for_evaluation(degradation, shape, ["image"], 0, device)
    else:
        kept = kept.to(device)
        degraded = degraded * kept
        observation = Observation(degradation, {"mask": kept}, tuple(degraded.shape))
    target = torch.zeros(observation.shape, device=device)  # not known, and not looked at
    batch = Batch(["image"], degraded, target, {}, observation)
    method.progress = progress
    restored = method.restore_images(batch, ImageNoise(0, batch.ids, device))
    assert restored is not None
    return restored


def _read(path: Path, channels: int) -> Tensor:
    """An image, float32 [1, C, H, W] in [0, 1].

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        pixels = np.atleast_3d(np.asarray(image_io.picture(path, channels)))
    except ValueError as error:
        raise DataError(str(error)) from error
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float() / 255
