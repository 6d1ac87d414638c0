"""An exported run in Python: called with a degraded image, it returns the enhanced one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradprom.data import image_files
from gradprom.errors import DataError, RunError, first_line
from gradprom.runs import export, inference

Array = NDArray[Any]

LEVELS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""The value of white by type; that of floats is 1."""
BEYOND = 1.0
"""How far noise may carry floats out of [0, 1]; what is farther off is on another scale."""


class Exported:
    """An exported run. Called with a degraded image it returns the enhanced one, in its form.

    Images of any size are taken. One that is larger than a tile is enhanced in overlapping tiles,
    as by `gradprom enhance`; networks that need multiples of a size pad. Networks compute in
    float32, whatever precision they were trained in, and without gradients.

    A network of colour images sees a grey one as three equal channels, and one of grey images each
    channel alone.

    | given | returned |
    |---|---|
    | array [H, W] or [H, W, C], uint8 or uint16, white 255 or 65535 | the same |
    | array [H, W] or [H, W, C] of floats, white 1 | the same |
    | tensor [C, H, W] or [N, C, H, W], floats or uint8 | the same, on the tensor's device |
    | path of a picture | array [H, W] or [H, W, C] in the file's bit depth |

    C is 1 or 3, and 2 or 4 if the last channel of uint8 or uint16 is transparency, which is kept;
    for a run that takes several contrasts their number. After down-sampling by s the result has
    s·H × s·W pixels.
    """

    def __init__(self, folder: Path, device: torch.device | str, tile: int):
        self.device = _usable(device)
        self.method = export.load(folder, device)
        """The run's method; its `config` says how it was trained."""
        self.tile = tile

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The trained networks by name, in evaluation mode; each a function of tensors."""
        return self.method.networks

    @property
    def restorer(self) -> str:
        """The name of the network that restores images; empty where none does so alone."""
        described = self.method.describe()
        only = next(iter(self.networks)) if len(self.networks) == 1 else ""
        return described.restorer or ("" if described.network else only)

    def __repr__(self) -> str:
        names = ", ".join(self.networks)
        restoring = f"{self.restorer} restores images" if self.restorer else "takes no image alone"
        return f"<{self.method.describe().title}; networks {names}; {restoring}>"

    def __call__(self, image: Any) -> Any:
        """Enhance an image; see the class for what is allowed.

        Raises
        ------
        DataError
            For a file that is not a readable picture.
        RunError
            For another type, shape or range of values, or if the run cannot enhance an image alone.
        """
        if isinstance(image, Tensor):
            return self._of_tensor(image)
        if isinstance(image, np.ndarray):
            return self._of_array(image)
        if isinstance(image, str | os.PathLike):
            return self._of_array(_read(Path(image)))
        raise RunError(f"{type(image).__name__} is no image; give an array, a tensor or a path")

    def _of_tensor(self, image: Tensor) -> Tensor:
        if image.ndim not in (3, 4):
            raise _wrong_shape(image.shape, "[C, H, W] or [N, C, H, W]")
        batch = image.detach().cpu()
        numbers = (batch.float() if batch.is_floating_point() else batch).numpy()
        enhanced = torch.from_numpy(self._of_batch(numbers.reshape(-1, *image.shape[-3:])))
        return enhanced.reshape(*image.shape[:-3], *enhanced.shape[1:]).to(image)

    def _of_array(self, image: Array) -> Array:
        if image.ndim not in (2, 3):
            raise _wrong_shape(image.shape, "[H, W] or [H, W, C]")
        planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        colours = len(planes)
        if image.dtype in LEVELS and colours in (2, 4) and colours != self._inputs:
            colours -= 1
        enhanced = self._of_batch(planes[None, :colours])[0]
        if colours < len(planes):
            alpha = image_files.resized(planes[-1], *enhanced.shape[1:])
            enhanced = np.concatenate([enhanced, alpha[None]])
        single = image.ndim == 2 and len(enhanced) == 1
        return enhanced[0] if single else np.ascontiguousarray(enhanced.transpose(1, 2, 0))

    @property
    def _inputs(self) -> int:
        return self.method.config.facts.inputs

    def _of_batch(self, images: Array) -> Array:
        """[N, C, H, W] -> [N, c, s·H, s·W] of the same type."""
        facts, scale = self.method.config.facts, self.method.config.degradation.scale
        allowed = (1, 3) if facts.inputs == facts.channels else (facts.inputs,)
        if images.shape[1] not in allowed or 0 in images.shape:
            channels = " or ".join(map(str, allowed))
            raise RunError(
                f"images of {images.shape[1]} channel(s), {images.shape[2]}×{images.shape[3]} "
                f"pixels: allowed are {channels} channel(s) and at least one pixel; channels are "
                f"the last dimension of an array, and come before height and width in a tensor"
            )
        white = _white(images)
        planes = images.astype(np.float32) / np.float32(white)
        enhanced = inference.enhance_batch(
            self.method.enhance, planes, facts.inputs, self.tile, self.device, scale
        )
        if white > 1:
            enhanced = np.rint(enhanced.clip(0, 1) * np.float32(white))
        return enhanced.astype(images.dtype)


def load(folder: Path | str, device: torch.device | str = "cpu", tile: int = 512) -> Exported:
    """Load a run that `gradprom export` has written, as a function of images.

    Needs neither the run's records nor Hydra; a method of a plug-in must be found on Python's path.

    Parameters
    ----------
    folder
        The exported folder, wherever it is now.
    device
        Where the networks compute, such as `cuda`.
    tile
        Height and width in pixels of the tiles of larger images: a multiple of 32, at least 256.
        Memory grows with its square.

    Raises
    ------
    RunError
        If a file is missing or damaged, this version of the code cannot use the configuration, or
        this machine does not have the device.
    """
    return Exported(Path(folder), device, tile)


def _usable(device: torch.device | str) -> torch.device:
    """A device, if this machine has it.

    Raises
    ------
    RunError
        If it does not.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RunError(f"device={device} cannot be used here: {first_line(error)}") from error


def _read(path: Path) -> Array:
    """The pixels of a picture, [H, W] or [H, W, C] with transparency last."""
    try:
        picture = image_files.read(path)
    except ValueError as error:
        raise DataError(f"{error}; an 8- or 16-bit picture is expected") from error
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _white(images: Array) -> int:
    """The value of white of an array's type.

    Raises
    ------
    RunError
        For another type, or floats that are not on a scale from 0 to 1.
    """
    if images.dtype in LEVELS:
        return LEVELS[images.dtype]
    if not np.issubdtype(images.dtype, np.floating):
        raise RunError(f"images of {images.dtype}: allowed are uint8, uint16 and floats")
    low, high = float(images.min()), float(images.max())
    if not (-BEYOND <= low and high <= 1 + BEYOND):
        raise RunError(
            f"the image has values from {low:.6g} to {high:.6g}; floats are 0 for black and 1 for "
            f"white, so divide them by the value of white"
        )
    return 1


def _wrong_shape(shape: Sequence[int], allowed: str) -> RunError:
    return RunError(f"an image of shape {list(shape)}: allowed are {allowed}")
