"""DRUNet: the published sizes, the scaling of a network without biases, and any size of image."""

import pytest
import torch
from torch import nn

from gradprom.models.priors.drunet import DRUNetOptions, ProximalOperator, RegularizingGradient

SMALL = DRUNetOptions(channels=4, blocks=1, levels=2)


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        assert count(RegularizingGradient(3, DRUNetOptions())) == 32_640_384
        assert count(ProximalOperator(3, DRUNetOptions())) == 32_640_960


@pytest.mark.parametrize("factor", [0.03, 40.0])
@pytest.mark.parametrize("residual", [False, True])
def test_without_biases_networks_scale(factor: float, residual: bool) -> None:
    """N(a·x) = a·N(x), and for a proximal operator P(a·x, a·σ) = a·P(x, σ)."""
    images, level = random_images(2, 3, 11, 14), torch.tensor([0.1, 0.4], dtype=torch.float64)
    gradient = RegularizingGradient(3, SMALL).double()
    torch.testing.assert_close(gradient(factor * images), factor * gradient(images))
    options = DRUNetOptions(channels=4, blocks=1, levels=2, residual=residual)
    proximal = ProximalOperator(3, options).double()
    expected = factor * proximal(images, level)
    torch.testing.assert_close(proximal(factor * images, factor * level), expected)
    assert expected.shape == images.shape


def test_a_gain_multiplies_the_gradient_alone() -> None:
    images, level = random_images(1, 3, 8, 8), torch.tensor([0.1])
    larger = DRUNetOptions(channels=4, blocks=1, levels=2, gain=50.0)
    for kind, factor, inputs in (
        (RegularizingGradient, 50.0, (images,)),
        (ProximalOperator, 1.0, (images, level)),
    ):
        plain, scaled = kind(3, SMALL).double(), kind(3, larger).double()
        scaled.load_state_dict(plain.state_dict())
        torch.testing.assert_close(scaled(*inputs), factor * plain(*inputs))
    with pytest.raises(ValueError, match="gain=0: allowed are numbers > 0"):
        DRUNetOptions(gain=0)


def test_each_image_has_its_own_level() -> None:
    images = random_images(1, 1, 8, 8).expand(2, -1, -1, -1)
    proximal = ProximalOperator(1, SMALL).double()
    one, other = proximal(images, torch.tensor([0.0, 0.5]))
    assert not torch.allclose(one, other)
    torch.testing.assert_close(proximal(images[:1], torch.tensor([0.5]))[0], other)


@pytest.mark.parametrize("key", ["channels", "blocks", "levels"])
def test_wrong_sizes_say_what_is_allowed(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}=0: allowed are whole numbers >= 1"):
        DRUNetOptions(**{key: 0})
