"""Task-GAN's networks: as the appendix writes them, at any side."""

import pytest
import torch
from torch import nn

from gradprom.models.discriminator import Discriminator, DiscriminatorOptions
from gradprom.models.enhancers import pix2pix
from gradprom.models.recognizers.patch import PatchClassifier


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_generator_has_the_published_size() -> None:
    """54,413,955 parameters is the count of pix2pix's public code for colour images of 256²."""
    with torch.device("meta"):
        network = pix2pix.build(pix2pix.Options(), 3)
        narrow = [pix2pix.build(pix2pix.Options(size=2**n), 1) for n in range(1, 10)]
    assert count(network) == 54_413_955
    assert [net.levels for net in narrow] == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    dropped = [
        [i for i, up in enumerate(net.up) if isinstance(up[-1], nn.Dropout)] for net in narrow
    ]
    assert dropped == [[]] * 4 + [[0], [0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_every_size_of_features_skips_to_its_own() -> None:
    """One pixel is left in the middle, and each layer on the way up sees twice what it makes."""
    network = pix2pix.build(pix2pix.Options(channels=2, size=32), 3).eval()
    shapes: list[tuple[int, ...]] = []
    for module in [*network.down, *network.up]:
        module.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    network(torch.rand(1, 3, 32, 32))
    assert shapes[:5] == [(2, 16, 16), (4, 8, 8), (8, 4, 4), (16, 2, 2), (16, 1, 1)]
    assert shapes[5:] == [(16, 2, 2), (8, 4, 4), (4, 8, 8), (2, 16, 16)]
    ways_up = [up[1].in_channels for up in network.up] + [network.tail[1].in_channels]
    assert ways_up == [16, 32, 16, 8, 4]


def test_dropout_acts_in_training_alone() -> None:
    network = pix2pix.build(pix2pix.Options(channels=2, size=64), 1)
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


@pytest.mark.parametrize(
    ("key", "value"), [("channels", 0), ("size", 1), ("dropout", 1.0), ("dropout", -0.1)]
)
def test_wrong_options_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key}={value}: allowed"):
        pix2pix.Options(**{key: value})


# discriminator and patch classifier


def test_the_discriminator_has_the_published_size() -> None:
    """C64-C128-C256-C512-C512-C512: 4×4 kernels, a bias in the first, and a linear layer."""
    widths = [3, 64, 128, 256, 512, 512, 512]
    pairs = list(zip(widths, widths[1:], strict=False))
    convolutions = sum(16 * inputs * outputs for inputs, outputs in pairs)
    normalizations = sum(2 * outputs for _, outputs in pairs[1:])
    expected = convolutions + 64 + normalizations + 512 + 1
    assert count(Discriminator(3, DiscriminatorOptions())) == expected == 11_148_609


@pytest.mark.parametrize("size", [(64, 64), (17, 70)])
def test_the_discriminator_makes_one_number_an_image(size: tuple[int, int]) -> None:
    network = Discriminator(1, DiscriminatorOptions(channels=2)).eval()
    images = torch.rand(3, 1, *size)
    with torch.no_grad():
        logits = network(images)
        assert logits.shape == (3,)
        torch.testing.assert_close(network(images[1:2]), logits[1:2])


@pytest.mark.parametrize("matching", [1, 3, 6])
def test_the_matched_layer_is_the_one_of_that_number(matching: int) -> None:
    network = Discriminator(1, DiscriminatorOptions(channels=2, matching=matching)).eval()
    images = torch.rand(2, 1, 64, 64)
    expected = images
    for layer in list(network.layers)[:matching]:
        expected = layer(expected)
    with torch.no_grad():
        torch.testing.assert_close(network.matched(images), expected)
    assert expected.shape[-1] == 64 // 2**matching


def test_a_layer_that_there_is_not_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"discriminator.matching=7: allowed are layers from 1 to 6"
    ):
        DiscriminatorOptions(matching=7)


def test_patches_are_classified_where_they_are() -> None:
    """The logits are a mean over places, and a place sees 142 pixels of a side."""
    network = PatchClassifier(1, 2).eval()
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 6
    images = torch.rand(1, 1, 192, 192, requires_grad=True)
    patches = network.layers(images)
    torch.testing.assert_close(network(images), patches.mean((2, 3)))
    patches[0, 0, 5, 5].backward()
    assert images.grad is not None
    rows = images.grad[0, 0].any(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 142
