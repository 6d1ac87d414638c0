"""Blur, down and up again, against SciPy's filter and torch's resampling one after the other."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from gradprom.degradations.low_resolution import LowResolution, label


def by_steps(images: Tensor, factor: int, sigma: float) -> Tensor:
    radius = int(np.ceil(3 * sigma))
    blurred = [
        [gaussian_filter(channel, sigma, mode="mirror", radius=radius) for channel in image]
        for image in images.numpy()
    ]
    height, width = images.shape[-2:]
    small = F.interpolate(
        torch.tensor(np.array(blurred)),
        (-(-height // factor), -(-width // factor)),
        mode="bicubic",
        antialias=True,
    )
    return F.interpolate(small, (height, width), mode="bicubic", antialias=True)


@pytest.mark.parametrize(("size", "factor", "sigma"), [((64, 48), 8, 4.0), ((37, 40), 3, 1.3)])
def test_it_is_blur_and_two_resamplings(size: tuple[int, int], factor: int, sigma: float) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    degradation = LowResolution(factor=factor, sigma=sigma)
    expected = by_steps(images, factor, sigma)
    torch.testing.assert_close(degradation.operator(images, {}), expected, rtol=0, atol=1e-12)
    clamped = degradation.apply(images, {})
    torch.testing.assert_close(clamped, expected.clamp(0, 1), rtol=0, atol=1e-12)


def test_what_is_flat_stays_and_detail_goes() -> None:
    flat = torch.full((1, 1, 32, 32), 0.7)
    torch.testing.assert_close(LowResolution().apply(flat, {}), flat)
    stripes = torch.arange(32).remainder(2).float().expand(1, 1, 32, 32)
    assert (LowResolution().apply(stripes, {}) - 0.5).abs().max() < 0.01


def test_its_title_has_what_differs() -> None:
    assert label({"name": "low_resolution", "factor": 8, "sigma": 4.0}) == "×8 and back"
    assert label({"name": "low_resolution", "factor": 4, "sigma": 2.0}) == "×4 and back sigma=2.0"


@pytest.mark.parametrize(("key", "value"), [("factor", 1), ("sigma", 0.0)])
def test_wrong_options_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key}={value}: allowed"):
        LowResolution(**{key: value})
