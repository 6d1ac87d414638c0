"""Main losses against their formulas, element by element in float64."""

import math

import pytest
import torch

from gradprom.errors import ConfigError
from gradprom.training.losses import LOSSES, loss_by_name

FORMULAS = {
    "mse": lambda d: d * d,
    "l1": abs,
    "charbonnier": lambda d: math.sqrt(d * d + 1e-6),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_mean_of_its_formula(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    image, target = torch.rand(2, 2, 3, 5, 4, generator=generator, dtype=torch.float64).unbind(0)
    image[0, 0] = target[0, 0]  # where ε is all there is
    differences = (image - target).flatten().tolist()
    expected = math.fsum(map(FORMULAS[name], differences)) / len(differences)
    assert float(loss_by_name(name)(image, target)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_images_give_a_finite_gradient(name: str) -> None:
    image = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    loss_by_name(name)(image, image.detach().clone()).backward()
    assert image.grad is not None and not image.grad.any()


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        loss_by_name("l2")
    assert all(name in str(caught.value) for name in ("l2", *FORMULAS))
