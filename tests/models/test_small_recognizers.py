"""The small recognizers: shapes, gradients, and that they learn what they are for."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gradprom.models.recognizers.small import SmallClassifier, SmallUNet


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (45, 71), (33, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_at_any_size(size: tuple[int, int], channels: int) -> None:
    images = torch.rand(2, channels, *size)
    assert SmallClassifier(channels, 5)(images).shape == (2, 5)
    assert SmallUNet(channels, 4)(images).shape == (2, 4, *size)


@pytest.mark.parametrize("network", [SmallClassifier(3, 3), SmallUNet(3, 2)])
def test_gradient_reaches_image_and_every_parameter(network: torch.nn.Module) -> None:
    images = torch.rand(4, 3, 40, 40, requires_grad=True)
    network(images).square().sum().backward()
    assert images.grad is not None and (images.grad != 0).any(1).float().mean() > 0.9
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_width_sets_the_channels() -> None:
    narrow, wide = SmallClassifier(3, 3, width=4), SmallClassifier(3, 3, width=8)
    assert (narrow.head.in_features, wide.head.in_features) == (32, 64)
    assert SmallUNet(3, 2, width=8).head.in_channels == 8


def test_padding_moves_no_pixel() -> None:
    """Logits of an image whose border goes on by repetition do not depend on who repeats it."""
    torch.manual_seed(0)
    network = SmallUNet(3, 2).eval()
    image = torch.rand(1, 3, 38, 41)
    repeated = F.pad(image, (0, 3, 0, 2), mode="replicate")
    torch.testing.assert_close(network(image), network(repeated)[..., :38, :41])


def discs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noisy images [count,3,32,32] with a darker disc, and their masks [count,32,32]."""
    grid = torch.arange(32.0)
    x, y, radius = (torch.rand(3, count, 1, 1, generator=generator) * 12).unbind(0)
    mask = (grid - 10 - x) ** 2 + (grid[:, None] - 10 - y) ** 2 < (4 + radius / 2) ** 2
    images = 0.7 - 0.2 * mask[:, None] + 0.1 * torch.randn(count, 3, 32, 32, generator=generator)
    return images, mask.long()


def test_unet_learns_to_segment() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = SmallUNet(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        images, mask = discs(8, generator)
        optimizer.zero_grad()
        F.cross_entropy(network(images), mask).backward()
        optimizer.step()
    images, mask = discs(32, generator)
    predicted = network.eval()(images).argmax(1)
    overlap = (predicted * mask).sum() / ((predicted + mask) > 0).sum()
    assert overlap > 0.8


def boards(labels: Tensor) -> Tensor:
    """Noisy checkerboards [B,1,40,40] of one (label 0) and two pixels (1): equal in the mean."""
    grid = torch.arange(40)
    pair = torch.stack([((grid // p) + (grid[:, None] // p)) % 2 for p in (1, 2)]).float()
    return 0.25 + 0.5 * pair[labels][:, None] + 0.1 * torch.randn(len(labels), 1, 40, 40)


def test_classifier_learns_fine_texture() -> None:
    torch.manual_seed(0)
    network = SmallClassifier(1, 2, width=8)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        labels = torch.randint(2, (8,))
        optimizer.zero_grad()
        F.cross_entropy(network(boards(labels)), labels).backward()
        optimizer.step()
    labels = torch.arange(40) % 2
    assert (network.eval()(boards(labels)).argmax(1) == labels).float().mean() > 0.95
