"""CDnCNN-B, the denoiser of U-SAID: DnCNN (Zhang et al. 2017) for colour, 20 layers without biases.

It predicts the noise. For super-resolution it corrects the enlarged image, as VDSR does.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from gradprom.identity import added
from gradprom.models.enhancers.srresnet import enlarged, require_scale, skipped


@dataclass
class Options:
    """The size of the network; the defaults are the published one."""

    name: str = "dncnn"
    """Which backbone this is."""
    channels: int = 64
    """Feature channels; >= 1."""
    layers: int = 20
    """Convolutions, the first and the last among them; >= 2."""
    normalise: bool = added(True)
    """Batch normalisation behind all convolutions but the first and the last, as published; without
    it training starts from the degraded image."""

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels={self.channels}: allowed are whole numbers >= 1")
        if self.layers < 2:
            raise ValueError(f"layers={self.layers}: allowed are whole numbers >= 2")


class DnCNN(nn.Module):
    """Convolutions of 3×3 with ReLUs between them, and batch normalisation as configured."""

    def __init__(self, inputs: int, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        channels = options.channels
        layers: list[nn.Module] = [_convolution(inputs, channels), nn.ReLU()]
        for _ in range(options.layers - 2):
            normalisation = [nn.BatchNorm2d(channels)] if options.normalise else []
            layers += [_convolution(channels, channels), *normalisation, nn.ReLU()]
        last = _convolution(channels, outputs)
        if not options.normalise:
            nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        return skipped(x, self.outputs, self.scale) - self.layers(enlarged(x, self.scale))


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    """Without a bias; initial weights as U-SAID's (He et al. 2015, by the inputs)."""
    convolution = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return convolution


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`."""
    return DnCNN(channels if inputs is None else inputs, channels, options, scale)
