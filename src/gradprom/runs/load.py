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

from gradprom.data import formats
from gradprom.data.formats.contents import Picture, joined, resized
from gradprom.data.value_range import EIGHT_BITS, Extremes, ValueRange, checked, chosen, is_deep
from gradprom.errors import DataError, RunError, first_line
from gradprom.runs import enhancement, export, inference

Array = NDArray[Any]

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
    | array [H, W] or [H, W, C], integers or floats | the same |
    | tensor [C, H, W] or [N, C, H, W], integers or floats | the same, on the tensor's device |
    | path of an image file | an array of its type; [P, H, W] or [P, H, W, C] of P images |

    C is 1 or 3, and 2 or 4 if the last channel of an array of uint8 or uint16 is transparency,
    which is kept; for a run that takes several contrasts their number. After down-sampling by s the
    result has s·H × s·W pixels.

    White is 255 in uint8. In other integers the values of black and white are those of the files
    that the run was trained on if these had more than 8 bits, else 0 and the largest value of the
    fewest bits (8, 10, 12, 14 or 16) that hold the image; in floats they are 0 and 1, or those of
    the training files if the image is on their scale. `values=(black, white)` sets them.
    """

    def __init__(self, folder: Path, device: torch.device | str, tile: int):
        self.device = _usable(device)
        self.method = export.load(folder, device)
        """The run's method; its `config` says how it was trained."""
        self.trained_range = export.trained_range(folder)
        """The values of black and white in the training files; None if these had 8 bits."""
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

    def __call__(self, image: Any, values: Sequence[float] = ()) -> Any:
        """Enhance an image; see the class for what is allowed.

        Parameters
        ----------
        image
            An array, a tensor or a path.
        values
            The values of black and of white in an image that has not 8 bits per channel, such as
            `(-160, 240)` for soft tissue in CT.

        Raises
        ------
        DataError
            For a file that is not a readable image.
        RunError
            For another type, shape or range of values, or if the run cannot enhance an image alone.
        """
        try:
            given = checked(values, "values=")
        except ValueError as error:
            raise RunError(str(error)) from error
        if isinstance(image, Tensor):
            return self._of_tensor(image, given)
        if isinstance(image, np.ndarray):
            return self._of_array(image, given)
        if isinstance(image, str | os.PathLike):
            return self._of_file(Path(image), given)
        raise RunError(f"{type(image).__name__} is no image; give an array, a tensor or a path")

    def _of_tensor(self, image: Tensor, given: ValueRange | None) -> Tensor:
        if image.ndim not in (3, 4):
            raise _wrong_shape(image.shape, "[C, H, W] or [N, C, H, W]")
        batch = image.detach().cpu()
        numbers = (batch.float() if batch.is_floating_point() else batch).numpy()
        enhanced = torch.from_numpy(self._of_batch(numbers.reshape(-1, *image.shape[-3:]), given))
        return enhanced.reshape(*image.shape[:-3], *enhanced.shape[1:]).to(image)

    def _of_array(self, image: Array, given: ValueRange | None) -> Array:
        if image.ndim not in (2, 3):
            raise _wrong_shape(image.shape, "[H, W] or [H, W, C]")
        planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        colours = len(planes)
        if image.dtype in (np.uint8, np.uint16) and colours in (2, 4) and colours != self._inputs:
            colours -= 1
        enhanced = self._of_batch(planes[None, :colours], given)[0]
        if colours < len(planes):
            alpha = resized(planes[-1], *enhanced.shape[1:])
            enhanced = np.concatenate([enhanced, alpha[None]])
        single = image.ndim == 2 and len(enhanced) == 1
        return enhanced[0] if single else np.ascontiguousarray(enhanced.transpose(1, 2, 0))

    def _of_file(self, path: Path, given: ValueRange | None) -> Array:
        try:
            contents = formats.read(path)
        except ValueError as error:
            raise DataError(str(error)) from error
        facts = self.method.config.facts
        if facts.inputs != facts.channels:
            raise RunError(
                f"{path} is one image, and the run takes {facts.inputs} contrasts of it: give an "
                f"array of {facts.inputs} channels"
            )
        values = EIGHT_BITS
        if is_deep(contents.pages[0].pixels):
            values = self._range(np.stack([page.pixels for page in contents.pages]), given)
        result = enhancement.enhanced(self.method, contents, values, self.tile, self.device)
        arrays = [_array(page) for page in result.pages]
        return arrays[0] if len(arrays) == 1 else np.stack(arrays)

    @property
    def _inputs(self) -> int:
        return self.method.config.facts.inputs

    def _of_batch(self, images: Array, given: ValueRange | None) -> Array:
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
        low, high = self._range(images, given)
        white = np.float32(high - low)
        bands = inference.bands(
            self.method.enhance,
            lambda *at: (images[..., *at].astype(np.float32) - np.float32(low)) / white,
            (images.shape[2], images.shape[3]),
            facts.inputs,
            self.tile,
            self.device,
            scale,
        )
        parts = []
        for _, band in bands:
            enhanced = band * white + np.float32(low)
            if images.dtype.kind in "iu":
                enhanced = np.rint(enhanced).clip(
                    max(low, 0) if images.dtype.kind == "u" else low, high
                )
            parts.append(enhanced.astype(images.dtype))
        return np.concatenate(parts, axis=2)

    def _range(self, images: Array, given: ValueRange | None) -> ValueRange:
        """The values of black and white in images of one kind.

        Raises
        ------
        RunError
            If they must be given, or the type is not one of images.
        """
        if images.dtype.kind not in "iuf":
            raise RunError(f"images of {images.dtype}: allowed are integers and floats")
        if not is_deep(images):
            return EIGHT_BITS
        if given is not None:
            return given
        if not np.isfinite(images).all():
            raise RunError("the image has values that are not a number, or infinite")
        extremes = Extremes()
        extremes.add(images)
        low, high = extremes.low, extremes.high
        if images.dtype.kind == "f" and -BEYOND <= low and high <= 1 + BEYOND:
            return 0.0, 1.0
        values = chosen(extremes, given, self.trained_range)
        if values is None:
            raise RunError(
                f"the image has {extremes.text()}, and which of them are black and white cannot be "
                f"told: give values=(black, white)"
            )
        return values


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


def _array(page: Picture) -> Array:
    """The pixels of a picture, [H, W] or [H, W, C] with transparency last."""
    pixels = joined(page)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _wrong_shape(shape: Sequence[int], allowed: str) -> RunError:
    return RunError(f"an image of shape {list(shape)}: allowed are {allowed}")
