"""DVANet, directional variance attention for super-resolution (Behjati et al. 2023, DiVANet).

How the attention of a block reaches its group, and that of a group the whole network, is read from
the numbers of parameters, which it reproduces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from gradprom.models.enhancers.srresnet import prime_factors, require_scale, skipped

MEAN = (0.4488, 0.4371, 0.4040)
"""Of DIV2K's colours, subtracted from what the network sees; grey: their mean."""
UNITS = 3
"""Blocks in a group, and groups in the network."""


@dataclass
class Options:
    """The size of the network; the defaults are the published one."""

    name: str = "divanet"
    """Which backbone this is."""
    channels: int = 64
    """Feature channels, a multiple of 4; >= 4."""
    expansion: int = 6
    """By what factor a block widens its channels; >= 1."""

    def __post_init__(self) -> None:
        if self.channels < 4 or self.channels % 4:
            raise ValueError(f"channels={self.channels}: allowed are multiples of 4, >= 4")
        if self.expansion < 1:
            raise ValueError(f"expansion={self.expansion}: allowed are whole numbers >= 1")


def _convolution(inside: int, outside: int, side: int, groups: int = 1) -> nn.Module:
    return weight_norm(nn.Conv2d(inside, outside, side, padding=side // 2, groups=groups))


class Attention(nn.Module):
    """Weights of the columns and of the rows from the variance of the values in each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.columns = nn.Conv2d(channels, channels, 1)
        self.rows = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same, weighted."""
        columns = self.columns(x.var(dim=2, keepdim=True, correction=0)).sigmoid()
        rows = self.rows(x.var(dim=3, keepdim=True, correction=0)).sigmoid()
        return x * columns * rows


class Block(nn.Module):
    """A wide 1×1, a narrow 1×1 and a 3×3 convolution, added to the input; attention to them."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(channels, expansion * channels, 1),
            nn.ReLU(),
            _convolution(expansion * channels, int(0.8 * channels), 1),
            _convolution(int(0.8 * channels), channels, 3),
        )
        self.attention = Attention(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, H, W] -> features and what attention makes of the change, of its shape."""
        change = self.layers(x)
        return x + change, self.attention(change)


class Group(nn.Module):
    """Units one after another; all their features fused, and all their attentions, and the input.

    The units are blocks, or groups of blocks.
    """

    def __init__(self, channels: int, units: list[nn.Module]) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.features = _convolution((len(units) + 1) * channels, channels, 1)
        self.attentions = _convolution(len(units) * channels, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, H, W] -> features and attention, of its shape."""
        features, attentions = [x], []
        for unit in self.units:
            feature, attention = unit(features[-1])
            features.append(feature)
            attentions.append(attention)
        attention = self.attentions(torch.cat(attentions, dim=1))
        return self.features(torch.cat(features, dim=1)) + attention + x, attention


class DVANet(nn.Module):
    """A convolution, a group of groups, a shuffle for each factor of the scale, a convolution."""

    mean: Tensor

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        channels = options.channels
        self.register_buffer("mean", _mean(inputs))
        self.head = _convolution(inputs, channels, 3)
        groups: list[nn.Module] = []
        for _ in range(UNITS):
            blocks: list[nn.Module] = [Block(channels, options.expansion) for _ in range(UNITS)]
            groups.append(Group(channels, blocks))
        self.body = Group(channels, groups)
        layers: list[nn.Module] = []
        for factor in prime_factors(scale):
            wide = _convolution(channels, factor**2 * channels, 3, groups=4)
            layers += [wide, nn.ReLU(), nn.PixelShuffle(factor)]
        self.upsampling = nn.Sequential(*layers)
        self.tail = _convolution(channels, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        features, _ = self.body(self.head(x - self.mean))
        return self.tail(self.upsampling(features)) + skipped(x, self.outputs, self.scale)


def _mean(channels: int) -> Tensor:
    means = torch.tensor(MEAN)
    return (means if channels == 3 else means.mean().repeat(channels)).view(-1, 1, 1)


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return DVANet(channels if inputs is None else inputs, channels, options, scale)
