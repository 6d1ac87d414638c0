"""SADNet, a spatially adaptive denoiser (Chang et al. 2020), the network of the row D2SM.

A U-Net whose decoder samples with modulated deformable convolutions. Their offsets are estimated
from coarse to fine. For super-resolution it works on the enlarged image.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.identity import added
from gradprom.models.borders import doubled, repeated
from gradprom.models.enhancers.srresnet import enlarged, require_scale, scale_weights, skipped

LEVELS = 4
SLOPE = 0.2
"""Of the leaky ReLUs."""
TAPS = 9
"""Samples of a 3×3 convolution."""


@dataclass
class Options:
    """The size of the network; the defaults are the published one."""

    name: str = "sadnet"
    """Which backbone this is."""
    channels: int = 32
    """Feature channels at full resolution, doubled at each level; a multiple of `groups`, >= 1."""
    offsets: int = 32
    """Feature channels of the offsets' estimation; >= 1."""
    groups: int = added(8)
    """Parts of the channels that are sampled at different places; >= 1."""
    start: float = added(1.0)
    """What the last convolution's initial weights are multiplied by, >= 0; at 0, which is not
    published, training starts from the degraded image."""

    def __post_init__(self) -> None:
        for key in ("offsets", "groups"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")
        if self.channels < 1 or self.channels % self.groups:
            raise ValueError(
                f"channels={self.channels}: allowed are multiples of groups={self.groups}, >= 1"
            )
        if not (math.isfinite(self.start) and self.start >= 0):
            raise ValueError(f"start={self.start}: allowed are finite numbers >= 0")


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1)


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


class Block(nn.Module):
    """x + conv(LeakyReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return x + self.second(_activated(self.first(x)))


class Context(nn.Module):
    """Dilated convolutions side by side at the lowest resolution, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.narrow = nn.Conv2d(channels, narrow, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(narrow, narrow, 3, padding=rate, dilation=rate) for rate in (1, 2, 3, 4)
        )
        self.join = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        narrow = _activated(self.narrow(x))
        views = torch.cat([_activated(branch(narrow)) for branch in self.dilated], dim=1)
        return x + self.join(views)


class OffsetFeatures(nn.Module):
    """What the offsets of a level are computed from: its features, and those of the coarser one."""

    def __init__(self, channels: int, features: int, coarser: bool) -> None:
        super().__init__()
        self.own = _convolution(channels, features)
        self.join = _convolution(2 * features, features) if coarser else None
        self.last = _convolution(features, features)

    def forward(self, x: Tensor, coarser: Tensor | None) -> Tensor:
        """[B, channels, H, W] and [B, features, H/2, W/2] -> [B, features, H, W]."""
        features = _activated(self.own(x))
        if self.join is not None:
            assert coarser is not None
            # an offset of one pixel at half the resolution is one of two pixels here
            larger = 2 * doubled(coarser)
            features = _activated(self.join(torch.cat([features, larger], dim=1)))
        return _activated(self.last(features))


class AdaptiveBlock(nn.Module):
    """A residual block whose first convolution samples at learned places, with learned weights."""

    def __init__(self, channels: int, features: int, groups: int = 8) -> None:
        super().__init__()
        self.places = _convolution(features, 3 * groups * TAPS)
        # begin as a plain convolution of half the strength
        nn.init.zeros_(self.places.weight)
        assert self.places.bias is not None
        nn.init.zeros_(self.places.bias)
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """[B, channels, H, W] and the level's offset features -> [B, channels, H, W]."""
        places = self.places(features)
        offsets, weights = places.split([places.shape[1] * 2 // 3, places.shape[1] // 3], dim=1)
        convolved = _torchvisions if x.is_cuda else sampled_convolution
        sampled = convolved(x, offsets, weights.sigmoid(), self.first.weight, self.first.bias)
        return x + self.second(_activated(sampled))


def sampled_convolution(
    x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """A modulated deformable 3×3 convolution (Zhu et al. 2019) by `grid_sample`.

    On a CPU the gradient of torchvision's takes eight times as long.

    Parameters
    ----------
    x
        Features [B, C, H, W]; zero outside.
    offsets
        [B, 2·groups·9, H, W] in pixels, for each of a group's samples how far down, then to the
        right.
    mask
        Weights of the samples, [B, groups·9, H, W].
    weight, bias
        Of the convolution, [D, C, 3, 3] and [D].

    Returns
    -------
    Tensor
        [B, D, H, W].
    """
    batch, channels, height, width = x.shape
    groups = mask.shape[1] // TAPS
    precise = torch.promote_types(x.dtype, torch.float32)  # bfloat16 has too few digits for places
    down, right = offsets.to(precise).reshape(-1, TAPS, 2, height, width).unbind(2)
    taps = torch.arange(TAPS, device=x.device)[:, None, None]
    down = down + taps // 3 - 1 + torch.arange(height, device=x.device)[:, None]
    right = right + taps % 3 - 1 + torch.arange(width, device=x.device)
    # from -1, the first pixel's outer edge, to 1, that of the last
    grid = torch.stack([(2 * right + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
    grouped = x.to(precise).reshape(batch * groups, -1, height, width)
    samples = F.grid_sample(grouped, grid.flatten(1, 2), align_corners=False)
    samples = samples.view(batch, groups, -1, TAPS, height, width)
    weighted = samples * mask.reshape(batch, groups, 1, TAPS, height, width)
    kernel = weight.reshape(len(weight), TAPS * channels, 1, 1)
    return F.conv2d(weighted.reshape(batch, -1, height, width), kernel, bias)


def _torchvisions(
    x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    from torchvision.ops import deform_conv2d  # importing torchvision takes a second

    return deform_conv2d(x, offsets, weight, bias, padding=1, mask=mask)


class SADNet(nn.Module):
    """Encoder, context, and a decoder of adaptive blocks; the input is added to the output."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        widths = [options.channels * 2**level for level in range(LEVELS)]
        self.head = nn.Conv2d(inputs, widths[0], 1)
        self.encoder = nn.ModuleList(Block(width) for width in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1]
        )
        self.context = Context(widths[-1])
        self.offsets = nn.ModuleList(
            OffsetFeatures(width, options.offsets, coarser=width < widths[-1]) for width in widths
        )
        self.decoder = nn.ModuleList(
            AdaptiveBlock(width, options.offsets, options.groups) for width in widths
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in widths[:-1]
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.tail = _convolution(widths[0], outputs)
        scale_weights(self.tail, options.start)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        start = skipped(x, self.outputs, self.scale)
        features = self.head(repeated(enlarged(x, self.scale), multiple=2 ** (LEVELS - 1)))
        skips = []
        for level, block in enumerate(self.encoder):
            features = block(features)
            if level < LEVELS - 1:
                skips.append(features)
                features = _activated(self.shrink[level](features))
        features = self.context(features)
        places = None
        for level in reversed(range(LEVELS)):
            if level < LEVELS - 1:
                larger = self.enlarge[level](features)
                features = self.join[level](torch.cat([larger, skips[level]], dim=1))
            places = self.offsets[level](features, places)
            features = self.decoder[level](features, places)
        height, width = start.shape[-2:]
        return start + self.tail(features)[..., :height, :width]


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return SADNet(channels if inputs is None else inputs, channels, options, scale)
