"""SR-ResNet (Ledig et al. 2017), the paper's plain enhancer; for denoising without up-sampling."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


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

    def __post_init__(self) -> None:
        for key, value in (("channels", self.channels), ("blocks", self.blocks)):
            if value < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")


class ResidualBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return x + self.layers(x)


def upsampling(channels: int, scale: int) -> nn.Sequential:
    """One doubling by pixel shuffle for each factor 2 in `scale`; nothing at scale 1.

    Raises ValueError when `scale` is no power of two.
    """
    if scale < 1 or scale & (scale - 1):
        raise ValueError(f"scale={scale}: allowed are powers of two (1, 2, 4, ...)")
    layers: list[nn.Module] = []
    for _ in range(scale.bit_length() - 1):
        layers += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()]
    return nn.Sequential(*layers)


def enlarged(x: Tensor, scale: int) -> Tensor:
    """[B, C, H, W] -> [B, C, scale·H, scale·W], bicubic."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bicubic")


class SRResNet(nn.Module):
    """A 9×9 convolution, residual blocks under a long skip, up-sampling, a 9×9 convolution."""

    def __init__(
        self, image_channels: int, channels: int, blocks: int, scale: int, global_skip: bool
    ) -> None:
        super().__init__()
        self.scale, self.global_skip = scale, global_skip
        self.head = nn.Sequential(nn.Conv2d(image_channels, channels, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.upsampling = upsampling(channels, scale)
        self.tail = nn.Conv2d(channels, image_channels, 9, padding=4)
        if global_skip:
            # near the input, yet not at zero: there the body would have no gradient at first
            for parameter in self.tail.parameters():
                parameter.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, C, H, W] in [0, 1] -> enhanced [B, C, scale·H, scale·W], not clamped."""
        features = self.head(x)
        output = self.tail(self.upsampling(features + self.body(features)))
        return output + enlarged(x, self.scale) if self.global_skip else output


def build(options: Options, channels: int, scale: int = 1) -> nn.Module:
    """SR-ResNet for images of `channels` channels, enlarging them `scale` times.

    Raises ValueError when `scale` is no power of two.
    """
    return SRResNet(channels, options.channels, options.blocks, scale, options.global_skip)
