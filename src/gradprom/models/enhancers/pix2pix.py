"""The generator of pix2pix (Isola et al. 2017), with which Task-GAN restores images.

Convolutions of 4×4 and stride 2 halve the image until one pixel is left, transposed ones double it
again, and the features of each size skip from the way down to the way up. For sides of 256 it is
the network of Task-GAN's appendix, C64-C128-C256-C512-C512-C512-C512-C512 and back, in the reading
of pix2pix's own code: the first and the last convolution on the way down have no batch
normalization, activations on the way down are leaky, and the last layer makes the image.

The random input z of the publications is the dropout. Test images are restored without it, so that
an image has one restoration.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradprom.models.borders import repeated
from gradprom.models.enhancers.srresnet import enlarged

LEVELS = 8
"""Most halvings: those of the published network, for sides of 256."""
WIDEST = 8
"""The widest features, in widths of the first level's."""
DROPPED = 3
"""Layers of the published decoder that have dropout: its first, of the widest features."""


@dataclass
class Options:
    """The size of the network."""

    name: str = "pix2pix"
    """Which backbone this is."""
    channels: int = 64
    """Channels after the first convolution, doubled at each level up to 8 times as many; >= 1."""
    size: int = 256
    """The side in pixels of the images it is made for, which are halved until one pixel is left, 8
    times at most; >= 2. Other images are padded to multiples of what is one pixel in the end."""
    dropout: float = 0.5
    """Share of features that are dropped in training, in [0, 1)."""

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels={self.channels}: allowed are whole numbers >= 1")
        if self.size < 2:
            raise ValueError(f"size={self.size}: allowed are whole numbers >= 2")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: allowed are numbers >= 0 and < 1")


class Pix2Pix(nn.Module):
    """The way down, the way up, and the skips between."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale={scale}: allowed are whole numbers >= 1")
        self.scale = scale
        self.levels = levels = min(options.size.bit_length() - 1, LEVELS)
        widths = [options.channels * min(2**level, WIDEST) for level in range(levels)]
        self.down = nn.ModuleList([nn.Conv2d(inputs, widths[0], 4, 2, 1, bias=False)])
        for level in range(1, levels):
            convolution = nn.Conv2d(widths[level - 1], widths[level], 4, 2, 1, bias=False)
            normal = [] if level == levels - 1 else [nn.BatchNorm2d(widths[level])]
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), convolution, *normal))
        self.up = nn.ModuleList()
        dropped = min(DROPPED, levels - LEVELS // 2)
        for number, level in enumerate(range(levels - 1, 0, -1)):
            features = widths[level] if number == 0 else 2 * widths[level]
            enlarging = nn.ConvTranspose2d(features, widths[level - 1], 4, 2, 1, bias=False)
            layers = [nn.ReLU(), enlarging, nn.BatchNorm2d(widths[level - 1])]
            dropout = [nn.Dropout(options.dropout)] if number < dropped else []
            self.up.append(nn.Sequential(*layers, *dropout))
        features = widths[0] if levels == 1 else 2 * widths[0]
        self.tail = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(features, outputs, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> restored [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        x = enlarged(x, self.scale)
        height, width = x.shape[-2:]
        features, skips = repeated(x, 2**self.levels), []
        for down in self.down:
            features = down(features)
            skips.append(features)
        skips.pop()
        for up in self.up:
            features = torch.cat([skips.pop(), up(features)], 1)
        return self.tail(features)[..., :height, :width]


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The generator, from degraded to restored images of any size.

    Parameters
    ----------
    options
        The network's size.
    channels
        Channels of the restored image.
    scale
        How many times larger than its input the restored image is, any whole number >= 1; the
        input is enlarged bicubically.
    inputs
        Channels of the degraded image; None: `channels`.

    Raises
    ------
    ValueError
        If `scale` is not a whole number >= 1.
    """
    return Pix2Pix(channels if inputs is None else inputs, channels, options, scale)
