"""Gaussian noise has the standard deviation it says, one for all images or one for each."""

import math

import pytest
import torch
from scipy import stats
from support.degraded import IMAGES, degrade

from gradprom.degradations import Gaussian
from gradprom.identity import canonical, digest


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.3])
def test_sigma_is_the_standard_deviation_of_what_is_added(sigma):
    clean = torch.full((4, 3, 128, 128), 0.5)
    noise = degrade(Gaussian(sigma=sigma, clamp=False), clean) - clean
    count = noise.numel()
    # five standard errors of a sample's mean and standard deviation
    assert abs(noise.mean().item()) < 5 * sigma / math.sqrt(count)
    assert abs(noise.std().item() - sigma) < 5 * sigma / math.sqrt(2 * count)
    assert (noise.std(dim=(2, 3)) / sigma - 1).abs().max() < 0.05


def test_noise_differs_between_images_and_channels():
    noise = degrade(Gaussian(clamp=False), torch.zeros(3, 3, 64, 64)).flatten(2).flatten(0, 1)
    correlation = torch.corrcoef(noise) - torch.eye(9)
    assert correlation.abs().max() < 5 / 64


def test_clamp_cuts_to_the_image_range_and_changes_nothing_inside():
    raw = degrade(Gaussian(sigma=0.3, clamp=False), IMAGES)
    cut = degrade(Gaussian(sigma=0.3), IMAGES)
    assert raw.min() < 0 and raw.max() > 1
    assert torch.equal(cut, raw.clamp(0, 1))


def test_sigma_zero_is_the_clean_image():
    assert torch.equal(degrade(Gaussian(sigma=0.0), IMAGES), IMAGES)


def test_draw_scales_with_nothing_but_apply():
    """σ enters in `apply`, so another σ sees the same normal field."""
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    shape = (2, 1, 8, 8)
    draws = [
        Gaussian(sigma=sigma).draw(["a", "b"], shape, generator)
        for sigma, generator in zip((0.1, 0.2), generators, strict=True)
    ]
    assert torch.equal(draws[0]["noise"], draws[1]["noise"])
    assert draws[0]["noise"].shape == shape


def test_levels_are_uniform_in_their_range_and_are_what_is_added():
    degradation = Gaussian(sigma=0.4, sigma_low=0.1, clamp=False)
    clean = torch.zeros(400, 1, 16, 16)
    ids = [str(number) for number in range(400)]
    drawn = degradation.draw(ids, tuple(clean.shape), torch.Generator().manual_seed(0))
    levels = degradation.noise_level(drawn, 400)
    assert stats.kstest(levels.numpy(), stats.uniform(0.1, 0.3).cdf).pvalue > 0.01
    noise = degradation.apply(clean, drawn)
    torch.testing.assert_close(noise, levels.view(-1, 1, 1, 1) * drawn["noise"])
    assert (noise.std((1, 2, 3)) / levels - 1).abs().max() < 6 / math.sqrt(2 * 256)


def test_a_range_sees_the_same_normal_field_and_has_an_id_of_its_own():
    fields = [
        d.draw(["a"], (1, 3, 8, 8), torch.Generator().manual_seed(3))["noise"]
        for d in (Gaussian(), Gaussian(sigma_low=0.0))
    ]
    assert torch.equal(*fields)
    assert canonical(Gaussian()) == {"name": "gaussian", "sigma": 0.1, "clamp": True}
    assert digest(Gaussian()) != digest(Gaussian(sigma_low=0.0))


@pytest.mark.parametrize("sigma", [-1.0, -1e-9, 1.001, 25.0, math.nan, math.inf])
def test_wrong_sigma_is_refused_with_the_value_and_what_is_allowed(sigma):
    with pytest.raises(ValueError, match=rf"sigma={sigma}.*from 0 to 1"):
        Gaussian(sigma=sigma)
