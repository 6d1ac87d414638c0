"""Task-GAN's discriminator: a classifier of whole images, real or restored.

The appendix writes it as C64-C128-C256-C512-C512-C512, after the discriminator of pix2pix: 4×4
convolutions of stride 2 with leaky activations, the first without batch normalization. A linear
layer on the mean over positions makes one number an image of it, at any size.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from gradprom.models.borders import repeated

WIDEST = 8
"""The widest features, in widths of the first layer's."""


@dataclass
class DiscriminatorOptions:
    """The size of the discriminator, and the layer that restored images are compared at."""

    channels: int = 64
    """Channels of the first layer, doubled at each up to 8 times as many; >= 1."""
    layers: int = 6
    """Convolutions, each of which halves the image; >= 1."""
    matching: int = 4
    """The layer whose activations f(x) the feature matching compares, from 1 to `layers`."""

    def __post_init__(self) -> None:
        for key in ("channels", "layers"):
            if getattr(self, key) < 1:
                value = getattr(self, key)
                raise ValueError(f"discriminator.{key}={value}: allowed are whole numbers >= 1")
        if not 1 <= self.matching <= self.layers:
            raise ValueError(
                f"discriminator.matching={self.matching}: allowed are layers from 1 to "
                f"{self.layers} (discriminator.layers)"
            )


class Discriminator(nn.Module):
    """From images to one logit each: positive where it takes an image for a clean one."""

    def __init__(self, channels: int, options: DiscriminatorOptions) -> None:
        super().__init__()
        self.options = options
        widths = [options.channels * min(2**layer, WIDEST) for layer in range(options.layers)]
        self.layers = nn.ModuleList()
        for layer, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=layer == 0)
            normal = [nn.BatchNorm2d(outputs)] if layer else []
            self.layers.append(nn.Sequential(convolution, *normal, nn.LeakyReLU(0.2)))
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B] of images [B, channels, H, W]."""
        features = self.features(images, self.options.layers)
        return self.head(features.mean((2, 3))).squeeze(1)

    def matched(self, images: Tensor) -> Tensor:
        """f(x), the activations [B, K, h, w] that the feature matching compares (Eq. 2)."""
        return self.features(images, self.options.matching)

    def features(self, images: Tensor, layers: int) -> Tensor:
        """The activations of the layer of this number, from 1, for images [B, channels, H, W]."""
        features = repeated(images, 2**self.options.layers)
        for layer in self.layers[:layers]:
            features = layer(features)
        return features
