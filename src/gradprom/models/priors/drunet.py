"""DRUNet (Zhang et al. 2021) without biases, as proximal operator and as regularizing gradient.

Without biases and with ReLU alone, N(a·x) = a·N(x) for a > 0: the noise level of an image and its
size scale together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradprom.identity import added
from gradprom.models.borders import repeated

GAIN = 0.2
"""Of the orthogonal initial weights, as in the published training."""


@dataclass
class DRUNetOptions:
    """The size of the network; the defaults are the published ones, with 32.6 million weights."""

    channels: int = 64
    """Feature channels at full resolution, doubled at each level; >= 1."""
    blocks: int = 4
    """Residual blocks at each resolution, on the way down and on the way up; >= 1."""
    levels: int = 3
    """How many times the resolution is halved; >= 1."""
    residual: bool = False
    """Whether a proximal operator is its input minus the network, which learns faster."""

    gain: float = added(1.0)
    """What a regularizing gradient's output is multiplied by, > 0. Noise of standard deviation s
    in an image has to change the gradient by up to s/σ², thousands of times as much as new weights
    make of it."""

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ValueError(f"gain={self.gain}: allowed are numbers > 0")
        for key in ("channels", "blocks", "levels"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")


class Block(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(channels, channels),
            nn.ReLU(inplace=True),
            _convolution(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return x + self.layers(x)


class DRUNet(nn.Module):
    """Residual blocks at each resolution, on the way down and up; skips are added.

    Parameters
    ----------
    inputs, outputs
        Channels of the image that goes in, and of the one that comes out.
    options
        The size.
    """

    def __init__(self, inputs: int, outputs: int, options: DRUNetOptions) -> None:
        super().__init__()
        widths = [options.channels * 2**level for level in range(options.levels + 1)]
        pairs = list(zip(widths, widths[1:], strict=False))
        self.multiple = 2**options.levels
        self.head = _convolution(inputs, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(*_blocks(narrow, options), nn.Conv2d(narrow, wide, 2, 2, bias=False))
            for narrow, wide in pairs
        )
        self.body = nn.Sequential(*_blocks(widths[-1], options))
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(wide, narrow, 2, 2, bias=False), *_blocks(narrow, options)
            )
            for narrow, wide in reversed(pairs)
        )
        self.tail = _convolution(widths[0], outputs)
        for parameter in self.parameters():
            nn.init.orthogonal_(parameter, GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H, W], of any size."""
        height, width = x.shape[-2:]
        features = self.head(repeated(x, self.multiple))
        skips = [features]
        for down in self.down:
            features = down(features)
            skips.append(features)
        features = self.body(features)
        for up in self.up:
            features = up(features + skips.pop())
        return self.tail(features + skips.pop())[..., :height, :width]


class ProximalOperator(nn.Module):
    """P_σ², a denoiser: DRUNet with a constant map of the noise level as a further channel."""

    def __init__(self, channels: int, options: DRUNetOptions) -> None:
        super().__init__()
        self.network = DRUNet(channels + 1, channels, options)
        self.residual = options.residual

    def forward(self, images: Tensor, level: Tensor) -> Tensor:
        """Images [B, C, H, W] and the standard deviation of their noise [B] -> denoised ones."""
        level_map = level.to(images).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[-2:])
        output: Tensor = self.network(torch.cat([images, level_map], dim=1))
        return images - output if self.residual else output


class RegularizingGradient(DRUNet):
    """G, the gradient of the regularizer R at an image [B, C, H, W]; it knows no noise level."""

    def __init__(self, channels: int, options: DRUNetOptions) -> None:
        super().__init__(channels, channels, options)
        self.gain = options.gain

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W], of any size."""
        return self.gain * super().forward(x)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _blocks(channels: int, options: DRUNetOptions) -> list[nn.Module]:
    return [Block(channels) for _ in range(options.blocks)]
