"""Poisson noise has the quantiles, the mean and the variance of its distribution."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from support.degraded import IMAGES, degrade

from gradprom.degradations import Poisson
from gradprom.degradations.poisson import quantile


def test_counts_are_the_quantiles_of_poisson():
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(40000, generator=generator).double()
    uniform[:3] = torch.tensor([1e-6, 0.5, 1 - 2**-24])
    mean = torch.linspace(0, 12, 40000, dtype=torch.float64)[
        torch.randperm(40000, generator=generator)
    ]
    expected = stats.poisson.ppf(uniform.numpy(), mean.numpy())
    np.testing.assert_array_equal(quantile(uniform, mean, 60).numpy(), expected)
    np.testing.assert_array_equal(quantile(uniform, mean, 5).numpy(), expected.clip(max=5))
    assert quantile(torch.zeros(1).double(), torch.ones(1).double(), 5) == 0


@pytest.mark.parametrize("rate", [0.002, 0.1, 0.3, 1.0])
def test_poisson_counts_in_steps_of_its_rate(rate):
    """Poisson(y / rate) · rate, whatever the cut saves of the counting."""
    uniform = torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(2))
    degraded = Poisson(rate=rate).apply(IMAGES, {"uniform": uniform})
    counts = stats.poisson.ppf(uniform.double().numpy(), IMAGES.double().numpy() / rate)
    expected = (counts * rate).clip(0, 1).astype(np.float32)
    np.testing.assert_array_equal(degraded.numpy(), expected)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.3, 0.9, 1.0])
def test_poisson_has_the_mean_and_the_variance_of_its_distribution(value):
    degraded = degrade(Poisson(), torch.full((2, 3, 128, 128), value)).double()
    counts = np.arange(200)
    levels, chance = (0.1 * counts).clip(0, 1), stats.poisson.pmf(counts, value / 0.1)
    mean = (levels * chance).sum()
    variance = (levels**2 * chance).sum() - mean**2
    assert abs(degraded.mean().item() - mean) <= 5 * math.sqrt(variance / degraded.numel())
    assert degraded.var().item() == pytest.approx(variance, rel=0.05)
    if value == 0.3:  # where the cut hardly counts, the textbook's numbers
        assert (mean, variance) == (pytest.approx(0.3, abs=1e-4), pytest.approx(0.03, rel=5e-3))


def test_poisson_draws_what_no_image_has_a_part_in():
    drawn = [Poisson().draw(["a"], (1, 1, 4, 4), torch.Generator().manual_seed(3))]
    drawn += [Poisson(rate=0.5).draw(["b"], (1, 1, 4, 4), torch.Generator().manual_seed(3))]
    assert torch.equal(drawn[0]["uniform"], drawn[1]["uniform"])
