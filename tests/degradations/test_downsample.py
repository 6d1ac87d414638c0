"""Down-sampling and enlarging are Pillow's bicubic interpolation."""

import numpy as np
import pytest
import torch
from PIL import Image
from support.degraded import ALL, IMAGES, degrade

from gradprom.degradations import Downsample, Mix, enlarge, scale_of


def pillow(images, height, width):
    """Resized by Pillow, a channel at a time."""
    planes = [
        Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC)
        for image in images
        for plane in image
    ]
    return torch.from_numpy(np.stack(planes).reshape(*images.shape[:2], height, width).clip(0, 1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_downsampling_is_pillows(scale):
    images = torch.rand(2, 3, 48, 24, generator=torch.Generator().manual_seed(0))
    images[..., 8:16, 8:16] = 1  # an edge, beside which a cubic leaves the range
    images[..., 16:20, 8:16] = 0
    degraded = degrade(Downsample(scale=scale), images)
    torch.testing.assert_close(
        degraded, pillow(images, 48 // scale, 24 // scale), rtol=0, atol=2e-6
    )
    assert degraded.min() >= 0 and degraded.max() <= 1


def test_enlarging_is_pillows_and_cut_to_the_range():
    images = (IMAGES > 0.5).float()
    found = enlarge(images, (24, 32))
    torch.testing.assert_close(found, pillow(images, 24, 32), rtol=0, atol=2e-6)
    assert found.min() == 0 and found.max() == 1


def test_images_of_the_size_are_not_touched():
    beyond = 3 * IMAGES - 1
    assert enlarge(beyond, (12, 8)) is beyond


@pytest.mark.parametrize("size", [(30, 32), (32, 30)])
def test_sizes_that_a_scale_does_not_divide_are_refused(size):
    for degradation in (
        Downsample(scale=4),
        Mix(order=["downsample"], downsample=Downsample(scale=4)),
    ):
        with pytest.raises(ValueError, match=f"{size[0]}×{size[1]} pixels cannot be .* scale=4"):
            degradation.output_shape((1, 3, *size))
        with pytest.raises(ValueError, match="cannot be divided by scale=4"):
            degrade(degradation, torch.zeros(1, 3, *size))


def test_scale_is_how_many_times_smaller():
    assert [scale_of(d) for d in ALL] == [1, 1, 1, 2, 1, 2, 1, 1, 1]
    assert [scale_of(Downsample(scale=scale)) for scale in (1, 3, 6, 8)] == [1, 3, 6, 8]
