"""A classifier of patches, the task network of Task-GAN's contrast synthesis.

Six 4×4 convolutions, after the patch discriminator of pix2pix (Isola et al. 2017) with one layer
more: four of stride 2 and two of stride 1. The last one classifies patches of 142×142 pixels, and
the mean over patches is the image's logits.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from gradprom.models.borders import repeated

OUTPUTS = ("image",)
PRETRAINED = False
WIDTHS = (64, 128, 256, 512, 512)
STRIDES = (2, 2, 2, 2, 1)
SIDE = 64
"""The least side in pixels; smaller images are padded to it."""


@dataclass
class Options:
    """No choices but the name."""

    name: str = "patch"


class PatchClassifier(nn.Module):
    """From images to the mean of their patches' logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (outputs, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
            layers += [nn.Conv2d(channels, outputs, 4, stride, 1, bias=number == 0)]
            layers += [nn.BatchNorm2d(outputs)] if number else []
            layers += [nn.LeakyReLU(0.2)]
            channels = outputs
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, classes, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, channels, H, W]."""
        return self.layers(repeated(images, least=SIDE)).mean((2, 3))


def build(
    options: Options, output: str, channels: int, classes: int, pretrained: bool
) -> nn.Module:
    """The classifier of whole images."""
    return PatchClassifier(channels, classes)
