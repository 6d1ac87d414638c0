"""Reverse diffusion from the degraded image draws from the posterior."""

from pathlib import Path

import pytest
import torch
from support import contract_cases
from torch import Tensor, nn

from gradprom.data.image_noise import ImageNoise
from gradprom.errors import NotServed
from gradprom.methods import ddm

SPREAD, MIDDLE = 0.2, 0.4
"""Of the toy prior: independent Gaussian pixels."""


class Exact(nn.Module):
    """The mean of a clean image under the toy prior, given a noisy one."""

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.view(-1, 1, 1, 1).square()
        return MIDDLE + SPREAD**2 / (SPREAD**2 + level) * (noisy - MIDDLE)


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_samples_are_those_of_the_analytic_posterior(sigma: float) -> None:
    """Mean and spread over 40,000 pixels that are equally noisy."""
    degraded = torch.full((1, 1, 200, 200), 0.7)
    noise = ImageNoise(0, ["a"], torch.device("cpu"))
    drawn = ddm.posterior_sample(Exact(), degraded, torch.tensor([sigma]), 300, noise)
    gain = SPREAD**2 / (SPREAD**2 + sigma**2)
    assert drawn.mean().item() == pytest.approx(MIDDLE + gain * (0.7 - MIDDLE), abs=0.003)
    assert drawn.std().item() == pytest.approx(gain**0.5 * sigma, rel=0.03)


@pytest.mark.parametrize("steps", [5, 30])
def test_one_step_is_the_posteriors_mean_at_the_lowest_level(steps: int) -> None:
    degraded = torch.rand(2, 1, 5, 5)
    noise = ImageNoise(0, ["a", "b"], torch.device("cpu"))
    once = ddm.posterior_sample(Exact(), degraded, torch.tensor([0.001, 0.0]), steps, noise)
    expected = Exact()(degraded, torch.tensor([0.002, 0.002]))
    torch.testing.assert_close(once, expected, atol=0.01, rtol=0)


def test_the_preconditioned_denoiser_has_unit_targets() -> None:
    """What the backbone has to put out has unit size at every level, and its input too."""
    seen: list[Tensor] = []

    class Zero(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros_like(x[:, :1])

    torch.manual_seed(0)
    clean = 0.5 + ddm.SPREAD * torch.randn(3, 1, 100, 100)
    sigma = torch.tensor([0.01, 0.1, 0.5])
    level = sigma.view(-1, 1, 1, 1)
    left = clean - ddm.Denoiser(Zero())(clean + level * torch.randn_like(clean), sigma)
    scale = level * ddm.SPREAD / (level.square() + ddm.SPREAD**2).sqrt()
    assert (left / scale).std((1, 2, 3)).tolist() == pytest.approx([1, 1, 1], rel=0.03)
    assert seen[0][:, 0].std((1, 2)).tolist() == pytest.approx([1, 1, 1], rel=0.03)


def test_training_is_shared_by_all_tests(tmp_path: Path) -> None:
    """Neither the test's noise nor the sampler is known to training."""
    runs = [
        contract_cases.made("ddm", tmp_path, *words)
        for words in ((), ("noise=0.3",), ("method.samples=4",), ("method.steps=5",))
    ]
    assert len({run.method.stage().id for run in runs}) == 1
    assert len({run.id for run in runs}) == len(runs)


def test_other_degradations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotServed, match="method=ddm removes Gaussian noise"):
        contract_cases.made("ddm", tmp_path, "degradation=blur")
