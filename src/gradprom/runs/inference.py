"""Enhancement of a picture of any size: whole where it fits a tile, else by overlapping tiles.

Neighbouring tiles share a strip of `OVERLAP` pixels. On its outer `MARGIN` a
tile's output is discarded, because the network saw a border there that the picture does not have;
in between, the two tiles fade into each other. For a network whose receptive field reaches no
further than `MARGIN` (SR-ResNet as published: 41 pixels) the result is therefore that of the whole
picture at once; for others, such as the ResNet encoders, seams are smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradprom.data.base import Facts
from gradprom.errors import RunError
from gradprom.training import precision

Array = NDArray[np.float32]
Cut = Callable[[slice, slice], Array]
"""Some rows and columns of pictures, as float32 [N, C, h, w] in [0, 1]."""

MARGIN = 48
"""Pixels at a tile's inner edge that are computed and discarded."""
FADE = 32
"""Pixels over which one tile fades into the next."""
OVERLAP = 2 * MARGIN + FADE
"""Pixels that two neighbouring tiles share."""
GRID = 32
"""Tiles begin at multiples of this, so that down-sampling networks see one grid everywhere."""
LEAST_TILE = 2 * OVERLAP
"""A smaller tile would fade into three others at once."""


def require_pictures(facts: Facts, run_id: str) -> None:
    """Raises RunError for a run whose input no single picture is, such as several contrasts."""
    if facts.inputs != facts.channels:
        raise RunError(
            f"run {run_id} makes images of {facts.channels} channel(s) from inputs of "
            f"{facts.inputs}, which no picture is; load it from an export"
        )


def enhance(
    network: Callable[[Tensor], Tensor],
    image: Array,
    channels: int,
    tile: int = 512,
    device: torch.device | str = "cpu",
    scale: int = 1,
) -> Array:
    """Enhance a picture: float32 [C, H, W] in [0, 1] -> [C, scale·H, scale·W] in that range.

    The parameters and errors are those of `bands`; `image` is the degraded picture.
    """
    return enhance_batch(network, image[None], channels, tile, device, scale)[0]


def enhance_batch(
    network: Callable[[Tensor], Tensor],
    images: Array,
    channels: int,
    tile: int = 512,
    device: torch.device | str = "cpu",
    scale: int = 1,
) -> Array:
    """Enhance pictures: float32 [N, C, H, W] in [0, 1] -> [N, C, scale·H, scale·W] in that range.

    The parameters and errors are those of `bands`; `images` are the degraded pictures.
    """
    size = (images.shape[2], images.shape[3])
    parts = bands(network, lambda *at: images[..., *at], size, channels, tile, device, scale)
    return np.concatenate([part for _, part in parts], axis=2)


def bands(
    network: Callable[[Tensor], Tensor],
    cut: Cut,
    size: tuple[int, int],
    channels: int,
    tile: int,
    device: torch.device | str,
    scale: int,
) -> Iterator[tuple[slice, Array]]:
    """Enhance pictures from top to bottom, of which only a band is in memory as floats.

    On CUDA too in float32, never in TF32.

    Parameters
    ----------
    network
        From [B, channels, h, w] in [0, 1] to [B, c, scale·h, scale·w], without gradient: a
        method's `enhance`.
    cut
        The degraded pictures, C 1 or 3; or `channels`, and then the result has c.
    size
        Their height and width in pixels, any.
    channels
        What the network takes. A network of 3 channels sees a grey picture as three equal ones
        and its output is averaged; a network of 1 sees each channel of a colour picture alone.
    tile
        Height and width of a tile in pixels of the input; memory grows with its square, and with
        its product with the width of the pictures.
    device
        Where the network is.
    scale
        How many times larger the network makes its input.

    Yields
    ------
    tuple
        Rows of the result, and these as float32 [N, C, h, scale·W]; each row once, in order.

    Raises
    ------
    RunError
        If `tile` is not a multiple of 32 that is at least 256.
    """
    if tile < LEAST_TILE or tile % GRID:
        raise RunError(f"tile={tile}: allowed are multiples of {GRID} from {LEAST_TILE} on")
    height, width = size
    spans = _spans(height, tile, scale)
    starts = [*(rows.start for rows, _ in spans[1:]), height]
    unfinished: Any = np.float32(0)
    for (rows, row_weights), next_start in zip(spans, starts, strict=True):
        given, band = 0, unfinished
        for columns, column_weights in _spans(width, tile, scale):
            part = cut(rows, columns)
            given = part.shape[1]
            output = _output(network, _as_planes(part, channels), device)
            if band is unfinished:
                shape = (*output.shape[:2], scale * (rows.stop - rows.start), scale * width)
                band = np.zeros(shape, np.float32)
                if unfinished.ndim:
                    band[..., : unfinished.shape[2], :] = unfinished
            band[..., _scaled(columns, scale)] += output * (row_weights[:, None] * column_weights)
        finished = scale * (next_start - rows.start)
        at = _scaled(slice(rows.start, next_start), scale)
        yield at, _as_images(band[..., :finished, :], given, channels)
        unfinished = band[..., finished:, :]


@precision.tf32(False)
def _output(
    network: Callable[[Tensor], Tensor], planes: Array, device: torch.device | str
) -> Array:
    part = torch.from_numpy(np.ascontiguousarray(planes)).to(device)
    output: Array = network(part).cpu().numpy()
    return output


def _as_planes(images: Array, channels: int) -> Array:
    """[N, C, H, W] -> [B, channels, H, W]."""
    count, given = images.shape[:2]
    if given == channels:
        return images
    if given == 1:
        return np.repeat(images, channels, axis=1)
    return images.reshape(count * given, 1, *images.shape[2:])


def _as_images(planes: Array, given: int, channels: int) -> Array:
    """The inverse of `_as_planes`: [B, c, H, W] -> [N, given, H, W]; c channels stay c."""
    if given == channels:
        return planes
    if given == 1:
        return planes.mean(axis=1, keepdims=True)
    return planes.reshape(-1, given, *planes.shape[2:])


def _spans(length: int, tile: int, scale: int = 1) -> list[tuple[slice, Array]]:
    """The tiles along one axis of the input, and their weights along the output's.

    The weights add up to 1 at every pixel of the output.
    """
    fade = _fade_in(scale)
    # the last tile is shorter; moved back to full size, it would leave the grid
    starts = range(0, max(length - OVERLAP, 1), tile - OVERLAP)
    spans = []
    for start in starts:
        stop = min(start + tile, length)
        weights = np.ones(scale * (stop - start), np.float32)
        if start > 0:
            weights[: len(fade)] *= fade
        if stop < length:
            weights[-len(fade) :] *= fade[::-1]
        spans.append((slice(start, stop), weights))
    return spans


def _scaled(span: slice, scale: int) -> slice:
    """Where a tile of the input lies in the output."""
    return slice(scale * span.start, scale * span.stop)


def _fade_in(scale: int) -> Array:
    """0 on the margin, sin² over the fade, then 1; with its mirror image it adds up to 1."""
    ramp = ((np.arange(scale * OVERLAP) + 0.5) / scale - MARGIN) / FADE
    return (np.sin(np.pi / 2 * ramp.clip(0, 1)) ** 2).astype(np.float32)
