"""RLFN, a residual local feature network (Kong et al. 2022, arXiv 2205.07514)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.models.borders import repeated
from gradprom.models.enhancers.srresnet import require_scale

SLOPE = 0.05
"""Of the leaky ReLUs."""
SMALLEST = 17
"""Pixels of the smallest side that the spatial attention's pooling can take."""


@dataclass
class Options:
    """The size of the network; the defaults are the published one."""

    name: str = "rlfn"
    """Which backbone this is."""
    channels: int = 52
    """Feature channels; >= 1."""
    blocks: int = 6
    """Residual local feature blocks; >= 1."""
    attention: int = 16
    """Channels inside the spatial attention; >= 1."""

    def __post_init__(self) -> None:
        for key in ("channels", "blocks", "attention"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")


class SpatialAttention(nn.Module):
    """Enhanced spatial attention: weights in (0, 1) from a view of a sixth of the resolution."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, inner, 1)
        self.shrink = nn.Conv2d(inner, inner, 3, stride=2)
        self.pool = nn.MaxPool2d(7, stride=3)
        self.coarse = nn.Conv2d(inner, inner, 3, padding=1)
        self.fine = nn.Conv2d(inner, inner, 1)
        self.widen = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same, each value multiplied by its weight."""
        narrow = self.narrow(x)
        coarse = self.coarse(self.pool(self.shrink(narrow)))
        enlarged = F.interpolate(coarse, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * self.widen(enlarged + self.fine(narrow)).sigmoid()


class Block(nn.Module):
    """Three convolutions and the input added, a 1×1 convolution, spatial attention."""

    def __init__(self, channels: int, attention: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.join = nn.Conv2d(channels, channels, 1)
        self.attention = SpatialAttention(channels, attention)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return self.attention(self.join(x + self.layers(x)))


class RLFN(nn.Module):
    """Blocks under a long skip between features, and one convolution to the enlarged image."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.scale = require_scale(scale)
        channels = options.channels
        self.head = nn.Conv2d(inputs, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(Block(channels, options.attention) for _ in range(options.blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.tail = nn.Conv2d(channels, outputs * scale**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        height, width = x.shape[-2:]
        features = self.head(repeated(x, least=SMALLEST))
        image = F.pixel_shuffle(self.tail(features + self.body(features)), self.scale)
        return image[..., : self.scale * height, : self.scale * width]


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return RLFN(channels if inputs is None else inputs, channels, options, scale)
