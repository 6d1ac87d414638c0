"""The paper's ResNet-50 and ResNet-101 enhancers: SR-ResNet with a ResNet encoder for a body.

The paper names only the encoder. The rest is our interpretation: SR-ResNet's 9×9 convolutions and
long skip are kept, its body becomes a timm ResNet with a pixel-shuffle decoder, and the network
learns the residual to its input.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.models.enhancers.srresnet import skipped, upsampling
from gradprom.models.imagenet import RESNETS, Normalization, pad, weights_name, with_weights

WIDTH = 64
"""Channels at the image's own size, as in SR-ResNet."""

DECODER_WIDTHS = (256, 128, 64, 64)
"""Channels of the decoder at 1/16, 1/8, 1/4 and 1/2 of the image's size."""


@dataclass
class Options:
    """The ResNet of the encoder and its initial weights."""

    name: str = "resnet_encoder"
    """Which backbone this is."""
    encoder: str = "resnet50"
    """The ResNet: resnet18, resnet34, resnet50, resnet101 or resnet152."""
    pretrained: bool = True
    """Whether the encoder starts from ImageNet weights; an error if they cannot be loaded."""

    def __post_init__(self) -> None:
        if self.encoder not in RESNETS:
            raise ValueError(f"encoder={self.encoder}: allowed are {', '.join(RESNETS)}")


class Up(nn.Module):
    """Double the size by pixel shuffle, then join the encoder's features of that size."""

    def __init__(self, inside: int, skip: int, outside: int) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(
            nn.Conv2d(inside, 4 * outside, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()
        )
        self.join = nn.Sequential(
            nn.Conv2d(outside + skip, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.PReLU()
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, inside, H, W] and [B, skip, 2H, 2W] -> [B, outside, 2H, 2W]."""
        return self.join(torch.cat([self.enlarge(x), skip], dim=1))


class Decoder(nn.Module):
    """From a ResNet's features, deepest last, to `WIDTH` channels at the image's size."""

    def __init__(self, encoder_channels: list[int]) -> None:
        super().__init__()
        *skips, deepest = encoder_channels
        # a pixel shuffle straight from 2048 channels would hold most of the network's parameters
        self.narrow = nn.Sequential(nn.Conv2d(deepest, DECODER_WIDTHS[0], 1), nn.PReLU())
        insides = (DECODER_WIDTHS[0], *DECODER_WIDTHS[:-1])
        self.ups = nn.ModuleList(
            Up(inside, skip, outside)
            for inside, skip, outside in zip(insides, reversed(skips), DECODER_WIDTHS, strict=True)
        )
        self.last = nn.Sequential(
            nn.Conv2d(DECODER_WIDTHS[-1], 4 * WIDTH, 3, padding=1),
            nn.PixelShuffle(2),
            nn.BatchNorm2d(WIDTH),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features at 1/2, ..., 1/32 of the size -> [B, WIDTH, H, W]."""
        *skips, deepest = features
        x = self.narrow(deepest)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(x, skip)
        return self.last(x)


class ResNetEnhancer(nn.Module):
    """The input, enlarged by `scale`, plus the residual of SR-ResNet with a ResNet body."""

    def __init__(self, options: Options, inputs: int, outputs: int, scale: int) -> None:
        super().__init__()
        import timm

        self.outputs, self.scale = outputs, scale
        self.normalization = Normalization(inputs, options.pretrained)
        self.head = nn.Sequential(nn.Conv2d(inputs, WIDTH, 9, padding=4), nn.PReLU())
        encoder: Any = with_weights(
            lambda pretrained: timm.create_model(
                weights_name(options.encoder),
                pretrained=pretrained,
                features_only=True,
                in_chans=inputs,
            ),
            options.encoder,
            options.pretrained,
        )
        self.encoder = encoder
        self.decoder = Decoder(encoder.feature_info.channels())
        self.upsampling = upsampling(WIDTH, scale)
        self.tail = nn.Conv2d(WIDTH, outputs, 9, padding=4)
        # start as the identity: a random residual would first have to be unlearned
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        height, width = x.shape[-2:]
        features = self.head(x)
        body = self.decoder(self.encoder(self.normalization(pad(x))))[..., :height, :width]
        residual = self.tail(self.upsampling(features + body))
        return skipped(x, self.outputs, self.scale) + residual


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The ResNet enhancer for images of any size; timm is imported here.

    Parameters
    ----------
    options
        The encoder and its weights.
    channels
        Channels of the enhanced image.
    scale
        How many times larger than its input the enhanced image is; any whole number >= 1.
    inputs
        Channels of the degraded image; None: `channels`.

    Raises
    ------
    ConfigError
        If the ImageNet weights are required and cannot be loaded.
    ValueError
        If `scale` is not a whole number >= 1.
    """
    return ResNetEnhancer(options, channels if inputs is None else inputs, channels, scale)
