"""A blur is scipy's Gaussian filter of each channel."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from support.degraded import IMAGES, degrade

from gradprom.degradations import Blur


@pytest.mark.parametrize(("kernel", "sigma"), [(3, 2.0), (3, 0.4), (7, 1.5), (3, 1e-200)])
def test_blur_is_a_gaussian_filter_of_each_channel(kernel, sigma):
    blurred = degrade(Blur(kernel=kernel, sigma=sigma), IMAGES.double())
    # scipy's `mirror` does not repeat the border pixel, as torch's `reflect`
    expected = ndimage.gaussian_filter(
        IMAGES.double().numpy(), sigma, mode="mirror", radius=kernel // 2, axes=(2, 3)
    )
    np.testing.assert_allclose(blurred.numpy(), expected, rtol=0, atol=1e-12)


def test_a_blurred_point_is_the_kernel():
    point = torch.zeros(1, 1, 5, 5)
    point[..., 2, 2] = 1
    side, corner = math.exp(-1 / 8), math.exp(-2 / 8)  # beside a centre of 1, for σ = 2
    kernel = torch.tensor([[corner, side, corner], [side, 1, side], [corner, side, corner]])
    torch.testing.assert_close(degrade(Blur(), point)[0, 0, 1:4, 1:4], kernel / kernel.sum())


def test_blur_leaves_flat_images_as_they_are():
    for value in (0.0, 0.3, 1.0):
        flat = torch.full((1, 3, 9, 9), value)
        assert torch.equal(degrade(Blur(), flat), flat)


def test_a_blur_wider_than_the_image_is_refused():
    Blur(kernel=7).output_shape((1, 1, 4, 9))
    with pytest.raises(ValueError, match="a blur of 7×7 pixels needs images of more than 3 pixels"):
        Blur(kernel=7).output_shape((1, 1, 9, 3))
