"""A residual U-Net without normalisation: the enhancer of the profiles `demo` and `bench`.

After DRUNet (Zhang et al. 2021), much smaller, and with a global skip whose correction starts at
zero. Most of its work is done at half the resolution, where a convolution of twice the channels
costs the same and sees twice as far. `docs/recipes.md` compares it with its alternatives.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from gradprom.models.borders import repeated
from gradprom.models.enhancers.srresnet import skipped, upsampling


@dataclass
class Options:
    """The size of the network."""

    name: str = "unet"
    """Which backbone this is."""
    channels: int = 16
    """Feature channels at full resolution, doubled at each level; >= 1."""
    blocks: int = 2
    """Residual blocks at each resolution, on the way down and on the way up; >= 1."""
    levels: int = 1
    """How many times the resolution is halved; >= 1."""

    def __post_init__(self) -> None:
        for key in ("channels", "blocks", "levels"):
            if getattr(self, key) < 1:
                value = getattr(self, key)
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")


class Block(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        return x + self.layers(x)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(count)))


class Down(nn.Module):
    """Blocks, then a 2×2 convolution of stride 2 to twice the channels."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.blocks = _blocks(channels, blocks)
        self.shrink = nn.Conv2d(channels, 2 * channels, 2, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, H, W] -> the same, for the skip, and [B, 2·channels, H/2, W/2]."""
        x = self.blocks(x)
        return x, self.shrink(x)


class Up(nn.Module):
    """A transposed 2×2 convolution to half the channels, the skip added, then blocks."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.blocks = _blocks(channels, blocks)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, 2·channels, H/2, W/2] and [B, channels, H, W] -> [B, channels, H, W]."""
        return self.blocks(self.enlarge(x) + skip)


class UNet(nn.Module):
    """Blocks at each resolution, on the way down and on the way up, under a global skip."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale
        channels, blocks = options.channels, options.blocks
        widths = [channels * 2**level for level in range(options.levels)]
        self.head = nn.Conv2d(inputs, channels, 3, padding=1)
        self.down = nn.ModuleList(Down(width, blocks) for width in widths)
        self.body = _blocks(2 * widths[-1], blocks)
        self.up = nn.ModuleList(Up(width, blocks) for width in reversed(widths))
        self.upsampling = upsampling(channels, scale)
        self.tail = nn.Conv2d(channels, outputs, 3, padding=1)
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, C, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        height, width = x.shape[-2:]
        features = self.head(repeated(x, 2 ** len(self.down)))
        skips = []
        for down in self.down:
            skip, features = down(features)
            skips.append(skip)
        features = self.body(features)
        for up in self.up:
            features = up(features, skips.pop())
        correction = self.tail(self.upsampling(features))
        start = skipped(x, self.outputs, self.scale)
        return start + correction[..., : start.shape[-2], : start.shape[-1]]


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network, from degraded to enhanced images of any size.

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
    return UNet(channels if inputs is None else inputs, channels, options, scale)
