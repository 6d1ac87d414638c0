"""NAFNetSR, one branch of NAFSSR (Chu et al. 2022), of NAFNet's blocks (Chen et al. 2022).

NAFSSR restores stereo pairs; a single image has no partner to attend to, and what is left of each
block is NAFNet's: no activation functions, gates instead.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.models.enhancers.srresnet import require_scale, skipped


@dataclass
class Options:
    """The size of the network; NAFSSR-T has 48 channels and 16 blocks, -S 64/32, -B 96/64."""

    name: str = "nafnet"
    """Which backbone this is."""
    channels: int = 48
    """Feature channels; >= 1."""
    blocks: int = 16
    """Blocks; >= 1."""
    drop_path: float = 0.0
    """Share of training steps at which a block is passed by, in [0, 1); NAFSSR-S 0.1, -B 0.2."""

    def __post_init__(self) -> None:
        for key in ("channels", "blocks"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path={self.drop_path}: allowed are numbers in [0, 1)")


class LayerNorm(nn.Module):
    """Normalises the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return last.permute(0, 3, 1, 2)


def _gate(x: Tensor) -> Tensor:
    """SimpleGate: one half of the channels times the other."""
    first, second = x.chunk(2, dim=1)
    return first * second


class Block(nn.Module):
    """A gated depthwise convolution with channel attention, then a gated pointwise layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(channels), LayerNorm(channels)
        self.expand = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels),
        )
        self.attention = nn.Conv2d(channels, channels, 1)
        self.join1 = nn.Conv2d(channels, channels, 1)
        self.expand2 = nn.Conv2d(channels, 2 * channels, 1)
        self.join2 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        gated = _gate(self.expand(self.norm1(x)))
        weights = self.attention(gated.mean(dim=(2, 3), keepdim=True))
        x = x + self.beta * self.join1(gated * weights)
        return x + self.gamma * self.join2(_gate(self.expand2(self.norm2(x))))


class NAFNetSR(nn.Module):
    """A convolution, blocks, a convolution to the enlarged correction; the input is added."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        self.drop_path = options.drop_path
        channels = options.channels
        self.head = nn.Conv2d(inputs, channels, 3, padding=1)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(options.blocks))
        self.tail = nn.Conv2d(channels, outputs * scale**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        features = self.head(x)
        for block in self.blocks:
            features = self._dropped(features, block(features))
        correction = F.pixel_shuffle(self.tail(features), self.scale)
        return correction + skipped(x, self.outputs, self.scale, mode="bilinear")

    def _dropped(self, before: Tensor, after: Tensor) -> Tensor:
        """In training, pass a share of the images by the block, and scale the others' change."""
        if not (self.training and self.drop_path):
            return after
        kept = torch.rand(len(before), 1, 1, 1, device=before.device) >= self.drop_path
        return before + (after - before) * kept / (1 - self.drop_path)


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return NAFNetSR(channels if inputs is None else inputs, channels, options, scale)
