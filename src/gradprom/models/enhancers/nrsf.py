"""NRSF (Wu et al. 2022, MedIA 78:102397): echocardiography segmentation, used as a denoiser.

The network fuses three neighbouring frames of a video, each with a ResNet-18 of its own, and ends
at full resolution with as many channels as it is asked for: with those of the image and an error on
pixels for its loss it denoises, which is how a row of a table of denoisers can have come about. A
still image has no neighbours; it is its own.

Features of a neighbour are calibrated by a convolution whose kernel follows from how similar its
channels are to those of the centre. In the publication the kernel's learned factor starts with
ones, which makes calibrated features 9·C² times as large as those of the centre; here it starts
with their mean.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.models.borders import repeated
from gradprom.models.enhancers.srresnet import enlarged, require_scale
from gradprom.models.imagenet import Normalization, weights_name, with_weights

FRAMES = 3
STRIDE = 16
"""How much smaller than the image the deepest features are."""
POOLED = (1, 3, 5, 7)
"""Sides of the grids by which channels are compared."""
SMALLEST = 48
"""Pixels of the smallest side, where the deepest features have the 3 that a 3×3 convolution
without padding takes."""
RESNET, WIDTH = "resnet18", 64


@dataclass
class Options:
    """The width of the encoders; the default is ResNet-18's."""

    name: str = "nrsf"
    """Which backbone this is."""
    width: int = WIDTH
    """Channels of the first encoder block, doubled at each of three; a multiple of 4, >= 4."""
    pretrained: bool = True
    """Whether the encoders start from ImageNet weights, for width 64; an error if they cannot be
    loaded."""

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise ValueError(f"width={self.width}: allowed are multiples of 4, >= 4")
        if self.pretrained and self.width != WIDTH:
            raise ValueError(f"width={self.width}: ImageNet weights are of width {WIDTH} alone")


class Encoder(nn.Module):
    """ResNet-18 without the pooling behind its stem; the names of its blocks are torchvision's."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for number in range(1, 5):
            setattr(self, f"layer{number}", _layer(widths[number - 1], widths[number], number > 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, inputs, H, W] -> features at 1/2, 1/4, 1/8 and 1/16 of the size."""
        features = [self.stem(x)]
        for number in range(1, 5):
            features.append(getattr(self, f"layer{number}")(features[-1]))
        return features[1:]


def _layer(inside: int, outside: int, halve: bool) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock  # importing torchvision takes a second

    stride = 2 if halve else 1
    shortcut = (
        nn.Sequential(
            nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
        )
        if halve
        else None
    )
    return nn.Sequential(
        BasicBlock(inside, outside, stride, shortcut), BasicBlock(outside, outside)
    )


class Calibration(nn.Module):
    """A convolution of a neighbour's features whose kernel depends on both frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 3, bias=False)
        self.key = nn.Conv2d(channels, channels, 3, bias=False)
        # what a row of similarities is multiplied by: C × 9C
        self.kernel = nn.Parameter(torch.full((channels, 9 * channels), 1 / (9 * channels**2)))

    def forward(self, neighbour: Tensor, centre: Tensor) -> Tensor:
        """[B, C, H, W] twice -> the calibrated neighbour, [B, C, H, W]."""
        batch, channels = neighbour.shape[:2]
        query, key = _pooled(self.query(centre)), _pooled(self.key(neighbour))
        similar = (query @ key.transpose(1, 2)).sigmoid()
        kernels = (similar @ self.kernel).reshape(batch * channels, channels, 3, 3)
        # one kernel an image: images become groups of channels
        joined = neighbour.reshape(1, batch * channels, *neighbour.shape[2:])
        return F.conv2d(joined, kernels, padding=1, groups=batch).view_as(neighbour)


def _pooled(features: Tensor) -> Tensor:
    """[B, C, H, W] -> the maxima over coarse grids, [B, C, 84], of unit length."""
    grids = [_maxima(_maxima(features, side, 2), side, 3).flatten(2) for side in POOLED]
    return F.normalize(torch.cat(grids, dim=2), dim=2)


def _maxima(features: Tensor, cells: int, dim: int) -> Tensor:
    """Maxima over parts of a dimension, as `adaptive_max_pool2d`'s.

    That has no gradient with a fixed order on CUDA.
    """
    length = features.shape[dim]
    starts = [cell * length // cells for cell in range(cells)]
    ends = [-(-(cell + 1) * length // cells) for cell in range(cells)]
    parts = [
        features.narrow(dim, start, end - start).amax(dim, keepdim=True)
        for start, end in zip(starts, ends, strict=True)
    ]
    return torch.cat(parts, dim=dim)


class Fusion(nn.Module):
    """The frames' features of one scale as one: neighbours calibrated, all joined by 1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = Calibration(channels), Calibration(channels)
        self.join = nn.Sequential(
            nn.Conv2d(FRAMES * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, before: Tensor, centre: Tensor, after: Tensor) -> Tensor:
        """[B, C, H, W] three times -> [B, C, H, W]."""
        frames = [self.before(before, centre), centre, self.after(after, centre)]
        return self.join(torch.cat(frames, dim=1))


def _doubling(inside: int, outside: int) -> nn.Sequential:
    """LinkNet's decoder block: [B, inside, H, W] -> [B, outside, 2H, 2W]."""
    narrow = inside // 4
    return nn.Sequential(
        nn.Conv2d(inside, narrow, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.ConvTranspose2d(narrow, narrow, 3, 2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, outside, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class NRSF(nn.Module):
    """Three encoders, a fusion at each scale, and a decoder to which the fused scales are added."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.scale = require_scale(scale)
        width = options.width
        self.normalization = Normalization(inputs, options.pretrained)
        self.encoders = nn.ModuleList(Encoder(inputs, width) for _ in range(FRAMES))
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.fusions = nn.ModuleList(Fusion(channels) for channels in widths)
        self.decoder = nn.ModuleList(
            _doubling(inside, outside)
            for inside, outside in zip(widths, [width, *widths[:-1]], strict=True)
        )
        self.tail = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        image = enlarged(x, self.scale)
        height, width = image.shape[-2:]
        frame = self.normalization(repeated(image, multiple=STRIDE, least=SMALLEST))
        frames = [encoder(frame) for encoder in self.encoders]
        fused = [
            fusion(*scales)
            for fusion, scales in zip(self.fusions, zip(*frames, strict=True), strict=True)
        ]
        features = fused[-1]
        for level in reversed(range(len(self.decoder))):
            features = self.decoder[level](features)
            features = features + fused[level - 1] if level else features
        return self.tail(features)[..., :height, :width]


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `resnet_encoder.build`."""
    network = NRSF(channels if inputs is None else inputs, channels, options, scale)
    if options.pretrained:
        blocks = _imagenet_blocks()
        for encoder in network.encoders:
            encoder.load_state_dict(blocks, strict=False)  # all but the stem
    return network


def _imagenet_blocks() -> dict[str, Tensor]:
    import timm

    def create(pretrained: bool) -> Any:
        return timm.create_model(weights_name(RESNET), pretrained=pretrained)

    state = with_weights(create, RESNET, pretrained=True).state_dict()
    return {key: value for key, value in state.items() if key.startswith("layer")}
