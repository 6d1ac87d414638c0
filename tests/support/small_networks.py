"""Enhancers and recognizers that are small enough to test."""

import torch

from gradprom.models.enhancers import resnet_encoder, srresnet, unet
from gradprom.models.recognizers import build_recognizer

OUTPUTS = ("image", "pixel")


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small_srresnet(channels=1, scale=1):
    return srresnet.build(srresnet.Options(channels=8, blocks=2), channels, scale)


def resnet_enhancer(channels=1, scale=1, encoder="resnet18", trained=True):
    options = resnet_encoder.Options(encoder=encoder, pretrained=False)
    network = resnet_encoder.build(options, channels, scale)
    if trained:  # it starts as the identity, which would hide everything before the last layer
        torch.nn.init.normal_(network.tail.weight, std=0.01)
    return network


def small_unet(channels=1, scale=1, trained=True):
    network = unet.build(unet.Options(channels=4, levels=2, blocks=1), channels, scale)
    if trained:
        torch.nn.init.normal_(network.tail.weight, std=0.01)
    return network


PLAIN = srresnet.Options(channels=8, blocks=2, global_skip=True, ends=3, normalise=False, start=0.5)


def plain_srresnet(channels=1, scale=1):
    return srresnet.build(PLAIN, channels, scale)


ENHANCERS = {
    "srresnet": small_srresnet,
    "srresnet, plain": plain_srresnet,
    "resnet_encoder": resnet_enhancer,
    "unet": small_unet,
}
RECOGNIZERS = [(output, backbone) for output in OUTPUTS for backbone in ("small", "resnet18")]


def recognizer(output, backbone, channels=1, classes=3):
    return build_recognizer(output, backbone, False, channels, classes)


def open_residuals(network):
    """timm starts each residual branch at zero, where its inner layers learn from step two on."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    return network


def assert_all_learn(network, loss):
    loss.backward()
    still = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
    ]
    assert still == []
