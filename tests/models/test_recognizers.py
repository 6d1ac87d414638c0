"""Recognizers have their published sizes, take images of any size, and all of them learns."""

import pytest
import torch
import torch.nn.functional as F
from support.small_networks import (
    RECOGNIZERS,
    assert_all_learn,
    images,
    open_residuals,
    parameters,
    recognizer,
)

from gradprom.errors import ConfigError
from gradprom.models.recognizers import build_recognizer


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
@pytest.mark.parametrize("channels, size", [(1, (45, 70)), (3, (64, 32))])
def test_recognizer_takes_any_size(output, backbone, channels, size):
    logits = recognizer(output, backbone, channels, 5).eval()(images(2, channels, *size))
    assert logits.shape == ((2, 5) if output == "image" else (2, 5, *size))


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
def test_all_of_a_recognizer_and_its_image_learn(output, backbone):
    network = open_residuals(recognizer(output, backbone))
    x = images(4, 1, 64, 64).requires_grad_()
    logits = network(x)
    target = torch.arange(4) % 3
    if output == "pixel":
        target = target.view(4, 1, 1).expand(4, 64, 64)
    assert_all_learn(network, F.cross_entropy(logits, target))
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("output, backbone", RECOGNIZERS)
def test_evaluation_of_a_recognizer_is_deterministic(output, backbone):
    network = recognizer(output, backbone).eval()
    x = images(2, 1, 40, 40)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    "backbone, count", [("resnet18", 11689512), ("resnet50", 25557032), ("resnet101", 44549160)]
)
def test_classifiers_are_the_published_resnets(backbone, count):
    assert parameters(recognizer("image", backbone, 3, 1000)) == count


def test_unet_is_the_measured_one():
    """notes/libraries.md: Unet('resnet101') of segmentation-models-pytorch has 51.5 million."""
    network = recognizer("pixel", "resnet101", 3, 1)
    assert parameters(network) == pytest.approx(51.5e6, rel=1e-3)


def test_an_unknown_network_or_output_is_refused_with_what_is_allowed():
    with pytest.raises(ConfigError, match="backbone=vgg22 .*resnet18, .*small"):
        build_recognizer("image", "vgg22", False, 3, 2)
    with pytest.raises(ConfigError, match="backbone=small .*every box"):
        build_recognizer("box", "small", False, 3, 2)
