"""APD-Net, image denoising with adaptive priors (Jiang et al. 2022), the network of the row ADAP.

An encoder and a decoder, as published without a global skip. Its *random prior* disturbs the
encoder's features by a learned map times a random number, its *spatial prior* weighs the decoder's
by a second one. Maps have the size of the images that the network is trained on, and are
interpolated for others.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.identity import added
from gradprom.models.borders import repeated
from gradprom.models.enhancers.srresnet import enlarged, require_scale, skipped

LEVELS = 4
SMALLEST = 64
"""Pixels of the smallest side that the spatial prior's convolutions can take."""


@dataclass
class Options:
    """The size of the network; the defaults are the published one."""

    name: str = "apdnet"
    """Which backbone this is."""
    channels: int = 64
    """Feature channels at every level; >= 16."""
    size: int = 256
    """Side of the training images in pixels, whose shares the learned maps have; >= 16."""
    global_skip: bool = added(False)
    """Add the (enlarged) input to the output, with a last convolution that starts at zero, so that
    training starts from the degraded image; not in the published network."""

    def __post_init__(self) -> None:
        for key in ("channels", "size"):
            if (value := getattr(self, key)) < 16:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 16")


def _map(side: int) -> nn.Parameter:
    """A learned map [1, 1, side, side], which starts with the usual weights of a small layer."""
    return nn.Parameter(torch.randn(1, 1, side, side) * 0.02)


def _resized(learned: Tensor, x: Tensor) -> Tensor:
    if learned.shape[-2:] == x.shape[-2:]:
        return learned
    return F.interpolate(learned, x.shape[-2:], mode="bilinear", align_corners=False)


class RandomPrior(nn.Module):
    """x + (μ + σ·N(0, 1) + α·U(−1, 1)) · conv(map), a random number an image; μ alone in tests."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.map = _map(side)
        self.widen = nn.Conv2d(1, channels, 1)
        self.mu = nn.Parameter(torch.zeros(()))
        self.sigma = nn.Parameter(torch.ones(()))
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        strength = self.mu.expand(len(x), 1, 1, 1)
        if self.training:
            normal, uniform = torch.randn_like(strength), 2 * torch.rand_like(strength) - 1
            strength = strength + self.sigma * normal + self.alpha * uniform
        return x + strength * self.widen(_resized(self.map, x))


class SpatialPrior(nn.Module):
    """f + P·a + P·a², where P is a learned map and a is attention to channels and places."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.map = _map(side)
        # PReLU, because ReLUs of one or two channels may never open again
        inner, narrow = max(channels // 16, 1), max(channels // 32, 1)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.PReLU(),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )
        self.down = nn.Sequential(
            nn.Conv2d(channels, narrow, 1),
            nn.BatchNorm2d(narrow),
            nn.PReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(narrow, narrow, 3),
            nn.PReLU(),
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(narrow, narrow, 3),
            nn.PReLU(),
            nn.ConvTranspose2d(narrow, narrow, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(narrow, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        spatial = self.up(strongest(self.down(x)))
        # weights of the channels apply at every place
        attention = F.relu(x * self.squeeze(x) + spatial)
        prior = _resized(self.map, x)
        return x + prior * attention + prior * attention.square()


def strongest(x: Tensor) -> Tensor:
    """The largest value of each 2×2 window, the first of equals; 0 elsewhere: [B, C, H, W].

    What max pooling and unpooling leave, for which torch has no deterministic kernel. The last row
    and column of odd sides are 0.
    """
    height, width = (side // 2 for side in x.shape[-2:])
    windows = x[..., : 2 * height, : 2 * width].unflatten(3, (width, 2)).unflatten(2, (height, 2))
    first = windows.movedim(3, 4).flatten(4).argmax(4)  # [B, C, height, width]
    kept = F.one_hot(first, 4).unflatten(4, (2, 2)).movedim(4, 3).flatten(4, 5).flatten(2, 3)
    odd_rows, odd_columns = x.shape[2] - 2 * height, x.shape[3] - 2 * width
    return x * F.pad(kept, (0, odd_columns, 0, odd_rows))


class Down(nn.Module):
    """A convolution, one of 6×6 that halves the resolution, and the random prior."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 6, stride=2, padding=2),
            nn.PReLU(),
        )
        self.prior = RandomPrior(channels, side)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H/2, W/2]."""
        return self.prior(self.layers(x))


class Up(nn.Module):
    """A transposed convolution, the spatial prior but at the last level, and a doubling one."""

    def __init__(self, channels: int, side: int | None) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ConvTranspose2d(channels, channels, 3, padding=1), nn.PReLU())
        self.prior = nn.Identity() if side is None else SpatialPrior(channels, side)
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 6, stride=2, padding=2), nn.PReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, 2H, 2W]."""
        return self.enlarge(self.prior(self.first(x)))


class APDNet(nn.Module):
    """Four halvings and four doublings, with the features of the way down added on the way up."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        self.global_skip, channels = options.global_skip, options.channels
        self.head = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.PReLU(),
        )
        sides = [options.size // 2 ** (level + 1) for level in range(LEVELS)]
        self.down = nn.ModuleList(Down(channels, side) for side in sides)
        deepest_first: list[int | None] = [*reversed(sides[1:]), None]
        self.up = nn.ModuleList(Up(channels, side) for side in deepest_first)
        self.tail = nn.Conv2d(channels, outputs, 1)
        if self.global_skip:
            for parameter in self.tail.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        image = enlarged(x, self.scale)
        height, width = image.shape[-2:]
        features = self.head(repeated(image, multiple=2**LEVELS, least=SMALLEST))
        skips = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        for up in self.up:
            features = up(features) + skips.pop()
        enhanced = self.tail(features)[..., :height, :width]
        return enhanced + skipped(x, self.outputs, self.scale) if self.global_skip else enhanced


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return APDNet(channels if inputs is None else inputs, channels, options, scale)
