"""SR-ResNet (Ledig et al. 2017), the paper's plain enhancer; for denoising without up-sampling."""

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.identity import added


@dataclass
class Options:
    """The size of SR-ResNet; the defaults are the published network."""

    name: str = "srresnet"
    """Which backbone this is."""
    channels: int = 64
    """Feature channels of every convolution; >= 1."""
    blocks: int = 16
    """Residual blocks of the body; >= 1."""
    global_skip: bool = False
    """Add the (enlarged) input to the output, so that training starts from the degraded image;
    not in the published network."""
    ends: int = added(9)
    """Side of the first and the last convolution's kernel, an odd number."""
    normalise: bool = added(True)
    """Batch normalisation behind the convolutions of the body."""
    start: float | None = added(None)
    """What the last convolution's initial weights are multiplied by, >= 0; 0 starts from the input
    itself. None: 0.1 with a global skip, else 1."""

    def __post_init__(self) -> None:
        for key, value in (("channels", self.channels), ("blocks", self.blocks)):
            if value < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")
        if self.ends < 1 or self.ends % 2 == 0:
            raise ValueError(f"ends={self.ends}: allowed are odd numbers >= 1")
        if self.start is not None and not (math.isfinite(self.start) and self.start >= 0):
            raise ValueError(f"start={self.start}: allowed are finite numbers >= 0, or null")


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x))))), or without the BNs."""

    def __init__(self, channels: int, normalise: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, normalise), nn.PReLU(), *_convolution(channels, normalise)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return x + self.layers(x)


def _convolution(channels: int, normalise: bool) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(channels, channels, 3, padding=1)]
    return [*layers, nn.BatchNorm2d(channels)] if normalise else layers


def require_scale(scale: int) -> int:
    """The scale, if it is a whole number >= 1.

    Raises
    ------
    ValueError
        If it is not.
    """
    if scale < 1:
        raise ValueError(f"scale={scale}: allowed are whole numbers >= 1")
    return scale


def upsampling(channels: int, scale: int) -> nn.Sequential:
    """One pixel shuffle for each prime factor of `scale`, the smallest first; none at scale 1.

    Raises
    ------
    ValueError
        If `scale` is not a whole number >= 1.
    """
    layers: list[nn.Module] = []
    for factor in prime_factors(require_scale(scale)):
        convolution = nn.Conv2d(channels, factor**2 * channels, 3, padding=1)
        layers += [convolution, nn.PixelShuffle(factor), nn.PReLU()]
    return nn.Sequential(*layers)


def prime_factors(number: int) -> list[int]:
    """In rising order; empty for 1."""
    factors = []
    divisor = 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors


def enlarged(x: Tensor, scale: int, mode: str = "bicubic") -> Tensor:
    """[B, C, H, W] -> [B, C, scale·H, scale·W], `bicubic` or `bilinear`."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode=mode)


def skipped(x: Tensor, channels: int, scale: int, mode: str = "bicubic") -> Tensor:
    """The input as a global skip adds it: [B, C, H, W] -> [B, channels, scale·H, scale·W].

    Enlarged, `bicubic` or `bilinear`. If input and output differ in their channels, such as several
    contrasts for one, the mean of the input's channels is used.
    """
    if x.shape[1] != channels:
        x = x.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    return enlarged(x, scale, mode)


def scale_weights(layer: nn.Module, factor: float) -> None:
    """Multiply a layer's initial weights and biases, such as of a last one that starts small."""
    for parameter in layer.parameters():
        parameter.data.mul_(factor)


class SRResNet(nn.Module):
    """A 9×9 convolution, residual blocks under a long skip, up-sampling, a 9×9 convolution."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale, self.global_skip = outputs, scale, options.global_skip
        channels, ends, normalise = options.channels, options.ends, options.normalise
        self.head = nn.Sequential(nn.Conv2d(inputs, channels, ends, padding=ends // 2), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(channels, normalise) for _ in range(options.blocks)),
            *_convolution(channels, normalise),
        )
        self.upsampling = upsampling(channels, scale)
        self.tail = nn.Conv2d(channels, outputs, ends, padding=ends // 2)
        # under a global skip training starts near the input
        start = options.start if options.start is not None else 0.1 if self.global_skip else 1
        scale_weights(self.tail, start)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        features = self.head(x)
        output = self.tail(self.upsampling(features + self.body(features)))
        return output + skipped(x, self.outputs, self.scale) if self.global_skip else output


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """SR-ResNet, a network from degraded to enhanced images of any size.

    Parameters
    ----------
    options
        The network's size.
    channels
        Channels of the enhanced image.
    scale
        How many times larger than its input the enhanced image is; any whole number >= 1.
    inputs
        Channels of the degraded image; None: `channels`.

    Raises
    ------
    ValueError
        If `scale` is not a whole number >= 1.
    """
    return SRResNet(channels if inputs is None else inputs, channels, options, scale)
